/* SPDX-License-Identifier: MIT */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "kvm.h"
#include "vcpu.h"
#include "virtio/console.h"

/* The virtio devices of every machine, in the order of their slots. */
enum { VM_VIRTIO_CONSOLE, VM_VIRTIO_COUNT };

struct vm *vm_create(struct machine *machine)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->machine = machine;
	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->memory.fd = -1;
	vm->uart_irq_fd = -1;
	vm->power_irq_fd = -1;
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++)
		vm->virtio_irq_fds[i] = -1;
	vm->shape.cpus = machine->config.cpus;
	vm->shape.discovery = machine->config.discovery;
	vm->shape.virtio_count = VM_VIRTIO_COUNT;
	for (uint32_t i = 0; i < VM_VIRTIO_COUNT; i++)
		vm->shape.virtio[i] = arch_virtio_slot(i);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	return vm;
}

/* A new eventfd whose signal is an edge of interrupt gsi. */
static enum capsa_status vm_create_irq(struct vm *vm, uint32_t gsi, int *fd,
				       struct capsa_error *error)
{
	struct kvm_irqfd request = { .gsi = gsi };

	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		return error_system(error, errno, "eventfd", "interrupt");
	request.fd = (uint32_t)*fd;
	if (ioctl(vm->fd, KVM_IRQFD, &request) < 0)
		return error_system(error, errno, "KVM_IRQFD", KVM_DEVICE);
	return CAPSA_STATUS_OK;
}

static void vm_platform_exit(void *owner, enum capsa_exit exit)
{
	struct vm *vm = owner;

	machine_stop(vm->machine, exit, NULL);
}

static uint32_t vm_no_input(void *owner, uint8_t *data, uint32_t length)
{
	(void)owner;
	(void)data;
	(void)length;
	return 0;
}

/* Both consoles put their output into one stream; one of them gets input. */
static struct console_port vm_console_port(struct vm *vm,
					   enum capsa_console console)
{
	bool chosen = vm->machine->config.console == console;

	return (struct console_port) {
		.output = mailbox_output,
		.input = chosen ? mailbox_input : vm_no_input,
		.owner = &vm->machine->box,
	};
}

static enum capsa_status vm_create_platform(struct vm *vm,
					    struct capsa_error *error)
{
	struct arch_platform_host host = {
		.exit = vm_platform_exit,
		.owner = vm,
		.console = vm_console_port(vm, CAPSA_CONSOLE_SERIAL),
	};
	enum capsa_status status;
	int result;

	status = vm_create_irq(vm, arch_gsi_uart(), &vm->uart_irq_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_create_irq(vm, arch_gsi_power_button(),
				       &vm->power_irq_fd, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	host.uart_irq_fd = vm->uart_irq_fd;
	result = arch_platform_create(&vm->platform, &host, &vm->pio,
				      &vm->mmio);
	if (result < 0)
		return error_system(error, -result, "create", "platform");
	return CAPSA_STATUS_OK;
}

static enum capsa_status vm_add_notify(struct vm *vm, uint32_t index,
				       struct capsa_error *error)
{
	struct virtio_mmio *mmio = vm->virtio[index];

	for (uint32_t queue = 0; queue < virtio_mmio_queue_count(mmio);
	     queue++) {
		struct kvm_ioeventfd request = {
			.addr = vm->shape.virtio[index].base +
				VIRTIO_MMIO_NOTIFY,
			.len = sizeof(uint32_t),
			.datamatch = queue,
			.fd = virtio_mmio_notify_fd(mmio, queue),
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (ioctl(vm->fd, KVM_IOEVENTFD, &request) < 0)
			return error_system(error, errno, "KVM_IOEVENTFD",
					    KVM_DEVICE);
	}
	return CAPSA_STATUS_OK;
}

/* Puts a device, owned from here on, into slot index. */
static enum capsa_status vm_add_virtio(struct vm *vm, uint32_t index,
				       struct virtio_device *device,
				       struct loop *loop,
				       struct capsa_error *error)
{
	const struct arch_virtio_slot *slot = &vm->shape.virtio[index];
	enum capsa_status status;
	int result;

	status = vm_create_irq(vm, slot->gsi, &vm->virtio_irq_fds[index],
			       error);
	if (status != CAPSA_STATUS_OK) {
		device->ops->destroy(device);
		return status;
	}
	result = virtio_mmio_create(&vm->virtio[index], device, &vm->memory,
				    loop, vm->virtio_irq_fds[index]);
	if (result == 0)
		result = bus_add(&vm->mmio, slot->base, VIRTIO_MMIO_SIZE,
				 &virtio_mmio_bus_ops, vm->virtio[index]);
	if (result < 0)
		return error_system(error, -result, "create", "virtio device");
	return vm_add_notify(vm, index, error);
}

static enum capsa_status vm_create_devices(struct vm *vm, struct loop *loop,
					   struct capsa_error *error)
{
	struct console_port port = vm_console_port(vm, CAPSA_CONSOLE_VIRTIO);
	struct virtio_device *console = NULL;
	enum capsa_status status = vm_create_platform(vm, error);
	int result;

	if (status != CAPSA_STATUS_OK)
		return status;
	result = virtio_console_create(&console, &port, false);
	if (result < 0)
		return error_system(error, -result, "create", "virtio-console");
	status = vm_add_virtio(vm, VM_VIRTIO_CONSOLE, console, loop, error);
	if (status == CAPSA_STATUS_OK)
		vm->console = console;
	return status;
}

static enum capsa_status vm_create_vcpus(struct vm *vm,
					 struct capsa_error *error)
{
	while (vm->vcpu_count < vm->shape.cpus) {
		struct vcpu *vcpu = &vm->vcpus[vm->vcpu_count];
		enum capsa_status status;

		vcpu->vm = vm;
		vcpu->index = vm->vcpu_count;
		status = kvm_create_vcpu(vm->kvm_fd, vm->fd, vcpu->index,
					 &vcpu->fd, &vcpu->run, &vm->run_size,
					 error);
		if (status != CAPSA_STATUS_OK)
			return status;
		vm->vcpu_count++;
	}
	return CAPSA_STATUS_OK;
}

/* A kill that came meanwhile has decided the exit; this only ends the way. */
static enum capsa_status vm_still_wanted(struct vm *vm,
					 struct capsa_error *error)
{
	if (atomic_load(&vm->command) != VM_STOP)
		return CAPSA_STATUS_OK;
	return error_set(error, CAPSA_STATUS_STATE, 0, "capsa_launch", NULL,
			 NULL, "the machine was killed before it started");
}

enum capsa_status vm_open(struct vm *vm, struct loop *loop,
			  struct capsa_error *error)
{
	enum capsa_status status = vm_still_wanted(vm, error);

	if (status == CAPSA_STATUS_OK)
		status = kvm_open(&vm->kvm_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_create_vm(vm->kvm_fd, &vm->fd, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vm_setup(vm->fd, &vm->shape, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_create_devices(vm, loop, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_create_vcpus(vm, error);
	if (status == CAPSA_STATUS_OK)
		mailbox_post(&vm->machine->box, MAIL_CREATED);
	return status;
}

/* Opens a file to boot from; anything but a plain file could block us. */
static enum capsa_status vm_open_file(const char *path,
				      enum capsa_status unreadable, int *fd,
				      struct capsa_error *error)
{
	struct stat status;
	int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (opened < 0)
		return error_set(error, unreadable, errno, "open", path, NULL,
				 "the file cannot be opened");
	if (fstat(opened, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(opened);
		return error_set(error, unreadable, 0, "fstat", path, NULL,
				 "it is not a regular file");
	}
	*fd = opened;
	return CAPSA_STATUS_OK;
}

static enum capsa_status vm_load_files(struct vm *vm, struct capsa_error *error)
{
	const struct machine_config *config = &vm->machine->config;
	struct arch_boot_files files = {
		.kernel_fd = -1,
		.kernel_path = config->kernel,
		.initrd_fd = -1,
		.initrd_path = config->initrd,
		.cmdline = config->cmdline ? config->cmdline : "",
	};
	enum capsa_status status;

	status = vm_open_file(config->kernel, CAPSA_STATUS_KERNEL_FILE,
			      &files.kernel_fd, error);
	if (status == CAPSA_STATUS_OK && config->initrd)
		status = vm_open_file(config->initrd, CAPSA_STATUS_INITRD_FILE,
				      &files.initrd_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_boot_load(&vm->memory, &vm->shape, &files,
					&vm->entry, error);
	if (files.kernel_fd >= 0)
		close(files.kernel_fd);
	if (files.initrd_fd >= 0)
		close(files.initrd_fd);
	return status;
}

enum capsa_status vm_load(struct vm *vm, struct capsa_error *error)
{
	enum capsa_status status = vm_still_wanted(vm, error);
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	if (status == CAPSA_STATUS_OK)
		status = memory_create(&vm->memory,
				       vm->machine->config.memory_bytes,
				       hole_start, hole_end, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_load_files(vm, error);
	return status;
}

static enum capsa_status vm_setup_vcpus(struct vm *vm,
					struct capsa_error *error)
{
	enum capsa_status status = CAPSA_STATUS_OK;

	for (uint32_t i = 0; status == CAPSA_STATUS_OK && i < vm->vcpu_count;
	     i++) {
		int fd = vm->vcpus[i].fd;

		status = arch_vcpu_setup(vm->kvm_fd, fd, i, &vm->shape,
					 &vm->entry, error);
		if (status == CAPSA_STATUS_OK)
			status = vcpu_allow_kick(fd, error);
	}
	return status;
}

enum capsa_status vm_prepare(struct vm *vm, struct capsa_error *error)
{
	enum capsa_status status = vm_still_wanted(vm, error);

	if (status == CAPSA_STATUS_OK)
		status = kvm_map_memory(vm->fd, &vm->memory, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_setup_vcpus(vm, error);
	if (status == CAPSA_STATUS_OK)
		mailbox_post(&vm->machine->box, MAIL_LOADED);
	return status;
}

static void vm_join(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->thread_count; i++)
		pthread_join(vm->vcpus[i].thread, NULL);
	vm->thread_count = 0;
}

enum capsa_status vm_run(struct vm *vm, struct capsa_error *error)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		int result;

		pthread_mutex_lock(&vm->lock);
		result = vcpu_start(&vm->vcpus[i]);
		if (result == 0)
			vm->thread_count++;
		pthread_mutex_unlock(&vm->lock);
		if (result < 0) {
			vm_command(vm, VM_STOP);
			vm_join(vm);
			return error_system(error, -result, "pthread_create",
					    "vCPU");
		}
	}
	return CAPSA_STATUS_OK;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	vm_join(vm);
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++)
		virtio_mmio_destroy(vm->virtio[i]);
	arch_platform_destroy(vm->platform);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		munmap(vm->vcpus[i].run, vm->run_size);
		close(vm->vcpus[i].fd);
	}
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++) {
		if (vm->virtio_irq_fds[i] >= 0)
			close(vm->virtio_irq_fds[i]);
	}
	if (vm->uart_irq_fd >= 0)
		close(vm->uart_irq_fd);
	if (vm->power_irq_fd >= 0)
		close(vm->power_irq_fd);
	if (vm->fd >= 0)
		close(vm->fd);
	memory_destroy(&vm->memory);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* With the lock held: tells when every vCPU stands still. */
static void vm_report_rest(struct vm *vm)
{
	if (vm->resting == vm->shape.cpus &&
	    atomic_load(&vm->command) == VM_PAUSE)
		mailbox_post(&vm->machine->box, MAIL_PAUSED);
}

void vm_command(struct vm *vm, enum vm_command command)
{
	pthread_mutex_lock(&vm->lock);
	if (atomic_load(&vm->command) != VM_STOP) {
		bool resumed = command == VM_RUN &&
			       atomic_load(&vm->command) == VM_PAUSE;

		atomic_store(&vm->command, command);
		if (command != VM_RUN)
			for (uint32_t i = 0; i < vm->thread_count; i++)
				vcpu_kick(&vm->vcpus[i]);
		pthread_cond_broadcast(&vm->changed);
		/* They may rest still, from a pause that was taken back. */
		vm_report_rest(vm);
		if (resumed)
			mailbox_post(&vm->machine->box, MAIL_RESUMED);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_rest(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->resting++;
	vm_report_rest(vm);
	while (atomic_load(&vm->command) == VM_PAUSE)
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->resting--;
	pthread_mutex_unlock(&vm->lock);
}

void vm_leave(struct vm *vm)
{
	bool last;

	pthread_mutex_lock(&vm->lock);
	vm->left++;
	last = vm->left == vm->shape.cpus;
	pthread_mutex_unlock(&vm->lock);
	if (last)
		machine_ended(vm->machine);
}

void vm_press_power(struct vm *vm)
{
	const uint64_t edge = 1;

	/* Not there yet: nobody could have heard it either. */
	if (vm->power_irq_fd >= 0)
		(void)!write(vm->power_irq_fd, &edge, sizeof(edge));
}

void vm_console_input(struct vm *vm)
{
	if (vm->machine->config.console == CAPSA_CONSOLE_VIRTIO) {
		if (vm->console)
			virtio_console_input(vm->console);
	} else if (vm->platform) {
		arch_platform_input(vm->platform);
	}
}

uint64_t vm_exits(const struct vm *vm)
{
	uint64_t exits = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		exits += atomic_load_explicit(&vm->vcpus[i].exits,
					      memory_order_relaxed);
	return exits;
}
