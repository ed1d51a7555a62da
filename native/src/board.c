/* SPDX-License-Identifier: MIT */
#include "board.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "block/image.h"
#include "context.h"
#include "error.h"
#include "kvm.h"
#include "machine.h"
#include "machine_devices.h"
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/fs.h"
#include "virtio/power_button.h"
#include "virtio/rng.h"
#include "virtio/vsock.h"

/* Where the platform has none of its own, it is a virtio device. */
static bool board_has_virtio_button(void)
{
	return arch_gsi_power_button() == ARCH_GSI_NONE;
}

struct arch_shape board_shape(const struct machine_config *config)
{
	struct arch_shape shape = {
		.cpus = config->cpus,
		.discovery = config->discovery,
		/* Console and entropy, and what the machine has. */
		.virtio_count = 2u + board_has_virtio_button() +
				config->balloon + config->disk_count +
				config->share_count + config->has_nic +
				(config->vsock != NULL),
	};

	for (uint32_t i = 0; i < shape.virtio_count; i++)
		shape.virtio[i] = arch_virtio_slot(i);
	return shape;
}

void board_init(struct board *board, struct machine *machine,
		const struct arch_shape *shape, const struct memory *memory)
{
	*board = (struct board) {
		.machine = machine,
		.shape = shape,
		.memory = memory,
		.uart_irq_fd = -1,
		.power_irq_fd = -1,
	};
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++)
		board->virtio_irq_fds[i] = -1;
}

/* A new eventfd whose signal is an edge of interrupt gsi. */
static enum capsa_status board_create_irq(int vm_fd, uint32_t gsi, int *fd,
					  struct capsa_error *error)
{
	struct kvm_irqfd request = { .gsi = gsi };

	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		return error_system(error, errno, "eventfd", "interrupt");
	request.fd = (uint32_t)*fd;
	if (ioctl(vm_fd, KVM_IRQFD, &request) < 0)
		return error_system(error, errno, "KVM_IRQFD", KVM_DEVICE);
	return CAPSA_STATUS_OK;
}

static void board_exit(void *owner, enum capsa_exit exit)
{
	struct board *board = owner;

	machine_stop(board->machine, exit, NULL);
}

static uint32_t board_no_input(void *owner, uint8_t *data, uint32_t length)
{
	(void)owner;
	(void)data;
	(void)length;
	return 0;
}

/* Both consoles put their output into one stream; one of them gets input. */
static struct console_port board_console_port(struct board *board,
					      enum capsa_console console)
{
	bool chosen = board->machine->config.console == console;

	return (struct console_port) {
		.output = mailbox_output,
		.input = chosen ? mailbox_input : board_no_input,
		.owner = &board->machine->box,
	};
}

static enum capsa_status board_create_platform(struct board *board, int vm_fd,
					       struct capsa_error *error)
{
	struct arch_platform_host host = {
		.exit = board_exit,
		.owner = board,
		.console = board_console_port(board, CAPSA_CONSOLE_SERIAL),
	};
	enum capsa_status status;
	int result;

	status = board_create_irq(vm_fd, arch_gsi_uart(), &board->uart_irq_fd,
				  error);
	if (status == CAPSA_STATUS_OK && !board_has_virtio_button())
		status = board_create_irq(vm_fd, arch_gsi_power_button(),
					  &board->power_irq_fd, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	host.uart_irq_fd = board->uart_irq_fd;
	result = arch_platform_create(&board->platform, &host, &board->pio,
				      &board->mmio);
	if (result < 0)
		return error_system(error, -result, "create", "platform");
	return CAPSA_STATUS_OK;
}

/* Makes the guest's notifications reach a device without its vCPU waiting. */
static enum capsa_status board_add_notify(struct board *board, int vm_fd,
					  uint32_t index,
					  struct capsa_error *error)
{
	struct virtio_mmio *mmio = board->virtio[index];

	for (uint32_t queue = 0; queue < virtio_mmio_queue_count(mmio);
	     queue++) {
		struct kvm_ioeventfd request = {
			.addr = board->shape->virtio[index].base +
				VIRTIO_MMIO_NOTIFY,
			.len = sizeof(uint32_t),
			.datamatch = queue,
			.fd = virtio_mmio_notify_fd(mmio, queue),
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (ioctl(vm_fd, KVM_IOEVENTFD, &request) < 0)
			return error_system(error, errno, "KVM_IOEVENTFD",
					    KVM_DEVICE);
	}
	return CAPSA_STATUS_OK;
}

/* Puts a device, owned from here on, into the next slot. */
static enum capsa_status board_add_virtio(struct board *board, int vm_fd,
					  struct virtio_device *device,
					  struct loop *loop,
					  struct capsa_error *error)
{
	uint32_t index = board->virtio_count++;
	const struct arch_virtio_slot *slot = &board->shape->virtio[index];
	int *irq_fd = &board->virtio_irq_fds[index];
	enum capsa_status status;
	int result;

	status = board_create_irq(vm_fd, slot->gsi, irq_fd, error);
	if (status != CAPSA_STATUS_OK) {
		device->ops->destroy(device);
		return status;
	}
	result = virtio_mmio_create(&board->virtio[index], device,
				    board->memory, loop, *irq_fd);
	if (result == 0)
		result = bus_add(&board->mmio, slot->base, VIRTIO_MMIO_SIZE,
				 &virtio_mmio_bus_ops, board->virtio[index]);
	if (result < 0)
		return error_system(error, -result, "create", "virtio device");
	return board_add_notify(board, vm_fd, index, error);
}

static enum capsa_status board_add_console(struct board *board, int vm_fd,
					   struct loop *loop,
					   struct capsa_error *error)
{
	struct console_port port = board_console_port(board,
						      CAPSA_CONSOLE_VIRTIO);
	int result = virtio_console_create(&board->console, &port, false);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-console");
	return board_add_virtio(board, vm_fd, board->console, loop, error);
}

static enum capsa_status board_add_rng(struct board *board, int vm_fd,
				       struct loop *loop,
				       struct capsa_error *error)
{
	struct virtio_device *rng;
	int result = virtio_rng_create(&rng);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-rng");
	return board_add_virtio(board, vm_fd, rng, loop, error);
}

static enum capsa_status board_add_power_button(struct board *board, int vm_fd,
						struct loop *loop,
						struct capsa_error *error)
{
	int result = virtio_power_button_create(&board->power_button);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-input");
	return board_add_virtio(board, vm_fd, board->power_button, loop, error);
}

static enum capsa_status board_add_vsock(struct board *board, int vm_fd,
					 struct loop *loop,
					 struct capsa_error *error)
{
	struct virtio_device *device;
	enum capsa_status status = machine_create_vsock(&device, board->machine,
							loop, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	status = board_add_virtio(board, vm_fd, device, loop, error);
	if (status == CAPSA_STATUS_OK)
		board->vsock = device;
	return status;
}

static enum capsa_status board_add_disk(struct board *board, int vm_fd,
					struct loop *loop,
					struct capsa_error *error)
{
	struct machine *machine = board->machine;
	uint32_t index = board->disk_count;
	const struct disk_config *config = &machine->config.disks[index];
	struct virtio_device *disk;
	struct io_engine *engine;
	struct image image;
	enum capsa_status status;
	int result = context_engine(machine->capsa, machine->handle, &engine);

	if (result < 0)
		return error_system(error, -result, "create", "I/O engine");
	status = image_open(&image, config, index, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	result = virtio_blk_create(&disk, &image, config->serial, engine);
	if (result < 0)
		return error_system(error, -result, "create", "virtio-blk");
	status = board_add_virtio(board, vm_fd, disk, loop, error);
	if (status == CAPSA_STATUS_OK)
		board->disks[board->disk_count++] = disk;
	return status;
}

static enum capsa_status board_add_balloon(struct board *board, int vm_fd,
					   struct loop *loop,
					   struct capsa_error *error)
{
	int result = virtio_balloon_create(&board->balloon);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-balloon");
	return board_add_virtio(board, vm_fd, board->balloon, loop, error);
}

static enum capsa_status board_add_share(struct board *board, int vm_fd,
					 struct loop *loop,
					 struct capsa_error *error)
{
	uint32_t index = board->share_count;
	struct virtio_device **device = &board->shares[index];
	enum capsa_status status = machine_create_share(device, board->machine,
							index, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	status = board_add_virtio(board, vm_fd, *device, loop, error);
	if (status == CAPSA_STATUS_OK)
		board->share_count++;
	return status;
}

static enum capsa_status board_add_net(struct board *board, int vm_fd,
				       struct loop *loop,
				       struct capsa_error *error)
{
	struct virtio_device *net;
	enum capsa_status status = machine_create_net(&net, board->machine,
						      loop, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	return board_add_virtio(board, vm_fd, net, loop, error);
}

enum capsa_status board_create(struct board *board, int vm_fd,
			       struct loop *loop, struct capsa_error *error)
{
	const struct machine_config *config = &board->machine->config;
	enum capsa_status status = board_create_platform(board, vm_fd, error);

	if (status == CAPSA_STATUS_OK)
		status = board_add_console(board, vm_fd, loop, error);
	if (status == CAPSA_STATUS_OK)
		status = board_add_rng(board, vm_fd, loop, error);
	if (status == CAPSA_STATUS_OK && board_has_virtio_button())
		status = board_add_power_button(board, vm_fd, loop, error);
	while (status == CAPSA_STATUS_OK &&
	       board->disk_count < config->disk_count)
		status = board_add_disk(board, vm_fd, loop, error);
	if (status == CAPSA_STATUS_OK && config->balloon)
		status = board_add_balloon(board, vm_fd, loop, error);
	while (status == CAPSA_STATUS_OK &&
	       board->share_count < config->share_count)
		status = board_add_share(board, vm_fd, loop, error);
	if (status == CAPSA_STATUS_OK && config->has_nic)
		status = board_add_net(board, vm_fd, loop, error);
	if (status == CAPSA_STATUS_OK && config->vsock)
		status = board_add_vsock(board, vm_fd, loop, error);
	return status;
}

void board_end(struct board *board)
{
	if (board->vsock)
		virtio_vsock_end(board->vsock);
}

void board_destroy(struct board *board)
{
	for (uint32_t i = 0; i < board->virtio_count; i++)
		virtio_mmio_destroy(board->virtio[i]);
	arch_platform_destroy(board->platform);
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++) {
		if (board->virtio_irq_fds[i] >= 0)
			close(board->virtio_irq_fds[i]);
	}
	if (board->uart_irq_fd >= 0)
		close(board->uart_irq_fd);
	if (board->power_irq_fd >= 0)
		close(board->power_irq_fd);
}

void board_press_power(struct board *board)
{
	if (board->power_button)
		virtio_power_button_press(board->power_button);
	else
		eventfd_write(board->power_irq_fd, 1);
}

void board_console_input(struct board *board)
{
	if (board->machine->config.console == CAPSA_CONSOLE_VIRTIO)
		virtio_console_input(board->console);
	else
		arch_platform_input(board->platform);
}

void board_stats(struct board *board, struct capsa_stats *stats)
{
	struct virtio_balloon_stats balloon = { 0 };
	struct vsock_counts vsock = { 0 };

	if (board->balloon)
		virtio_balloon_stats(board->balloon, &balloon);
	stats->balloon_held = balloon.held;
	stats->balloon_reported = balloon.reported;
	stats->guest_total = balloon.total;
	stats->guest_free = balloon.free;
	stats->guest_available = balloon.available;
	if (board->vsock)
		vsock = virtio_vsock_counts(board->vsock);
	stats->vsock_connections = vsock.connections;
	stats->vsock_sent = vsock.to_guest;
	stats->vsock_received = vsock.from_guest;
	for (uint32_t i = 0; i < board->share_count; i++)
		stats->share_requests += virtio_fs_requests(board->shares[i]);
	for (uint32_t i = 0; i < board->disk_count; i++)
		virtio_blk_count(board->disks[i], &stats->disk_read,
				 &stats->disk_written);
}
