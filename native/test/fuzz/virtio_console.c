/* SPDX-License-Identifier: MIT */
/*
 * A virtio-console behind its transport, driven by any accesses, rings and
 * messages: nothing outside of guest memory is touched, turns stay bounded,
 * and the host gets its input delivered once.
 *
 * The loop's thread is kept busy, so that its work is done here, where the
 * input says. Input: a byte of options (bit 0: bring the device up first, bit
 * 1: with the multiport protocol), then operations of eight bytes.
 */
#include <linux/virtio_console.h>

#include "fake_driver.h"
#include "fuzz/fuzz_access.h"
#include "stopped_loop.h"
#include "virtio/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	QUEUES = 4,
	RING = 0x10000,
	MESSAGES = 0x30000,
	SIZE = 32,
};

static const uint64_t addresses[] = {
	MESSAGES, MESSAGES + 8,   MESSAGES + 16, RING,       FAKE_HIGH,
	0x50000,  FAKE_RANGE - 8, FAKE_HIGH - 1, UINT64_MAX, RING + 0x3000,
};

static const uint32_t lengths[] = { 1, 8, 7, 64, 0, 4096, 300000, 16, 9, 32 };

struct fuzz_host {
	uint64_t output;
	uint32_t pending;
	uint8_t sink;
};

static struct memory memory;
static struct loop *loop;
static int irq_fd;
static struct fuzz_host host;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];

static void fuzz_output(void *owner, const uint8_t *bytes, uint32_t length)
{
	struct fuzz_host *to = owner;

	for (uint32_t i = 0; i < length; i += 64)
		to->sink ^= bytes[i];
	to->sink ^= bytes[length - 1];
	to->output += length;
}

static uint32_t fuzz_input(void *owner, uint8_t *bytes, uint32_t length)
{
	struct fuzz_host *from = owner;

	if (length > from->pending)
		length = from->pending;
	memset(bytes, 'i', length);
	from->pending -= length;
	return length;
}

static void fuzz_lay_rings(uint32_t size)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       size);
}

static void fuzz_create(void)
{
	static struct stopped_loop stop;
	const struct console_port port = {
		.output = fuzz_output,
		.input = fuzz_input,
		.owner = &host,
	};

	if (!loop) {
		fake_memory_create(&memory);
		irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (loop_create(&loop) < 0)
			__builtin_trap();
		stopped_loop_begin(&stop, loop);
	}
	host = (struct fuzz_host) { 0 };
	memset(memory_at(&memory, MESSAGES, 64), 0, 64);
	fuzz_lay_rings(SIZE);
	if (virtio_console_create(&device, &port, true) < 0 ||
	    virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) < 0)
		__builtin_trap();
}

/* What the loop would do for the queues that were kicked; one turn. */
static void fuzz_turn(void)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		uint64_t before = host.output;

		stopped_loop_turn(mmio, device, i);
		if (host.output - before > 256 * 1024)
			__builtin_trap();
	}
}

static void fuzz_message(const uint8_t *bytes)
{
	const struct virtio_console_control control = {
		.id = bytes[2] < 0xf0 ? 0 : bytes[2] * 0x01010101u,
		.event = bytes[3] & 15,
		.value = bytes[4] & 3,
	};

	memcpy(memory_at(&memory, addresses[bytes[1] % 3], sizeof(control)),
	       &control, sizeof(control));
}

static void fuzz_operation(const uint8_t *bytes)
{
	struct fake_queue *queue = &queues[bytes[1] % QUEUES];
	uint16_t index = bytes[2] % SIZE;

	switch (bytes[0] % 9) {
	case 0:
		fake_descriptor(&queue->descriptors[index],
				addresses[bytes[3] % 10],
				lengths[bytes[4] % 10], bytes[5] & 7,
				bytes[6] % (SIZE + 1));
		break;
	case 1:
		fake_offer(queue, bytes[2] % (SIZE + 1));
		break;
	case 2:
		fuzz_message(bytes);
		break;
	case 3:
		fuzz_access(mmio, bytes);
		break;
	case 4:
		fake_write32(mmio, bytes[1] % 64 * 4u,
			     bytes[2] | (uint32_t)bytes[3] << 8 |
				     (uint32_t)bytes[4] << 16 |
				     (uint32_t)bytes[5] << 24);
		break;
	case 5:
		host.pending += bytes[1];
		virtio_console_input(device);
		break;
	case 6:
		virtio_device_kick(device, bytes[1] % QUEUES);
		break;
	case 7:
		fuzz_turn();
		break;
	default:
		fuzz_lay_rings(SIZE >> (bytes[1] & 3));
		fake_bring_up(mmio,
			      FAKE_FEATURES |
				      (uint64_t)(bytes[2] & 1)
					      << VIRTIO_CONSOLE_F_MULTIPORT,
			      queues, QUEUES);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t bring_up[OPERATION_BYTES] = { 8, 0,
						    size > 0 ? data[0] >> 1
							     : 0 };

	if (size == 0)
		return 0;
	fuzz_create();
	if (data[0] & 1)
		fuzz_operation(bring_up);
	for (size_t i = 1; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	fuzz_turn();
	virtio_mmio_destroy(mmio);
	return 0;
}
