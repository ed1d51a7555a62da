/* SPDX-License-Identifier: MIT */
/*
 * A virtio-rng behind its transport, driven by any accesses and rings: nothing
 * outside of guest memory is touched, and requests and turns stay bounded.
 *
 * The loop's thread is kept busy, so that its work is done here, where the
 * input says. Input: operations of eight bytes.
 */
#include "virtio/rng.h"

#include "fake_driver.h"
#include "fuzz/fuzz_access.h"
#include "stopped_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	RING = 0x10000,
	DATA = 0x30000,
	SIZE = 64,
	REQUEST_MAX = 64 * 1024, /* bytes */
	TURN_MAX = 256 * 1024,
};

static const uint64_t addresses[] = {
	DATA,    DATA + 1,       RING,          RING + 0x3000,
	0x50000, FAKE_RANGE - 8, FAKE_HIGH - 1, UINT64_MAX,
};

static const uint32_t lengths[] = { 1, 64, 16, 0, 4096, 300000, 9, 1024 };

static struct memory memory;
static struct loop *loop;
static int irq_fd;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queue;

static void fuzz_bring_up(uint32_t size)
{
	queue = fake_queue(&memory, RING, size);
	fake_bring_up(mmio, FAKE_FEATURES, &queue, 1);
}

static void fuzz_create(void)
{
	static struct stopped_loop stop;

	if (!loop) {
		fake_memory_create(&memory);
		irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (loop_create(&loop) < 0)
			__builtin_trap();
		stopped_loop_begin(&stop, loop);
	}
	if (virtio_rng_create(&device) < 0 ||
	    virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) < 0)
		__builtin_trap();
	fuzz_bring_up(SIZE);
}

/* The last request of a turn may go over its limit by what it may have. */
static void fuzz_turn(void)
{
	uint16_t before = device->queues[0].next_used;
	uint16_t served;
	uint32_t bytes = 0;

	if (!stopped_loop_turn(mmio, device, 0) || !device->active)
		return;
	served = (uint16_t)(device->queues[0].next_used - before);
	if (served > device->queues[0].size)
		__builtin_trap();
	for (uint16_t i = 0; i < served; i++) {
		const struct vring_used *used = device->queues[0].used;
		uint32_t slot = (uint16_t)(before + i) % device->queues[0].size;

		/* A buffer may lie over the ring: then it says anything. */
		if (used->ring[slot].len <= REQUEST_MAX)
			bytes += used->ring[slot].len;
	}
	if (bytes > TURN_MAX + REQUEST_MAX)
		__builtin_trap();
}

static void fuzz_operation(const uint8_t *bytes)
{
	switch (bytes[0] % 6) {
	case 0:
		fake_descriptor(&queue.descriptors[bytes[1] % SIZE],
				addresses[bytes[2] % 8], lengths[bytes[3] % 8],
				bytes[4] & 7, bytes[5] % (SIZE + 1));
		break;
	case 1:
		fake_offer(&queue, bytes[1] % (SIZE + 1));
		break;
	case 2:
		virtio_device_kick(device, 0);
		break;
	case 3:
		fuzz_turn();
		break;
	case 4:
		fuzz_access(mmio, bytes);
		break;
	default:
		fuzz_bring_up(SIZE >> (bytes[1] & 3));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_create();
	for (size_t i = 0; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	fuzz_turn();
	virtio_mmio_destroy(mmio);
	return 0;
}
