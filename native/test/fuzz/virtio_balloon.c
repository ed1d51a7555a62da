/* SPDX-License-Identifier: MIT */
/*
 * A virtio-balloon behind its transport, driven by any accesses, rings, lists
 * of pages and statistics: nothing outside of guest memory is touched or given
 * away, and turns stay bounded.
 *
 * The loop's thread is kept busy, so that its work is done here, where the
 * input says. Input: operations of eight bytes.
 */
#include "virtio/balloon.h"

#include <linux/virtio_balloon.h>

#include "fake_driver.h"
#include "fuzz/fuzz_access.h"
#include "stopped_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	QUEUES = 4,
	RING = 0x10000,
	LIST = 0x30000,
	SIZE = 32,
	PAGE = 4096,
	TURN_MAX = 8 << 20, /* bytes */
};

static const uint64_t addresses[] = {
	LIST,    LIST + 1,       RING,          RING + 0x3000,
	0x50000, FAKE_RANGE - 8, FAKE_HIGH - 1, FAKE_HIGH,
};

static const uint32_t lengths[] = { 4, 64, 10, 0, PAGE, 300000, 640, 8 * PAGE };

static struct memory memory;
static struct loop *loop;
static int irq_fd;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];

static void fuzz_bring_up(uint32_t size, uint64_t features)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       size);
	fake_bring_up(mmio, FAKE_FEATURES | features, queues, QUEUES);
}

/* The first byte of a page beside guest memory, backed so that its loss shows.
 */
static uint8_t *fuzz_neighbour(uint32_t index)
{
	const uint32_t guard = index / (FAKE_GUARD / PAGE);
	const uint32_t page = index % (FAKE_GUARD / PAGE);

	return memory.mapping + guard * (size_t)(FAKE_GUARD + FAKE_RANGE) +
	       page * (size_t)PAGE;
}

enum { NEIGHBOURS = 3 * FAKE_GUARD / PAGE };

static void fuzz_create_host(void)
{
	static struct stopped_loop stop;

	fake_memory_create(&memory);
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		if (mprotect(fuzz_neighbour(i), PAGE, PROT_READ | PROT_WRITE) <
		    0)
			__builtin_trap();
		*fuzz_neighbour(i) = 'n';
	}
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop_create(&loop) < 0)
		__builtin_trap();
	stopped_loop_begin(&stop, loop);
}

static void fuzz_create(void)
{
	if (!loop)
		fuzz_create_host();
	if (virtio_balloon_create(&device) < 0 ||
	    virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) < 0)
		__builtin_trap();
	fuzz_bring_up(SIZE, UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ |
				    UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING);
}

static void fuzz_turn(void)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		struct virtio_balloon_stats before;
		struct virtio_balloon_stats after;

		virtio_balloon_stats(device, &before);
		stopped_loop_turn(mmio, device, i);
		virtio_balloon_stats(device, &after);
		if (after.reported - before.reported > TURN_MAX)
			__builtin_trap();
	}
}

/* Pages near both ends of both ranges, and anywhere. */
static void fuzz_list(const uint8_t *bytes)
{
	static const uint32_t near[] = { 0, FAKE_RANGE / PAGE, FAKE_HIGH / PAGE,
					 (FAKE_HIGH + FAKE_RANGE) / PAGE };
	uint32_t page = near[bytes[2] & 3] + bytes[3] - 128;

	if (bytes[2] & 4)
		memcpy(&page, bytes + 4, sizeof(page));
	memcpy(memory_at(&memory, LIST + bytes[1] * sizeof(page), sizeof(page)),
	       &page, sizeof(page));
}

static void fuzz_stat(const uint8_t *bytes)
{
	const struct virtio_balloon_stat stat = {
		.tag = bytes[2] & 15,
		.val = bytes[3] * UINT64_C(0x0101010101010101),
	};

	memcpy(memory_at(&memory, LIST + bytes[1] * sizeof(stat), sizeof(stat)),
	       &stat, sizeof(stat));
}

static void fuzz_operation(const uint8_t *bytes)
{
	struct fake_queue *queue = &queues[bytes[1] % QUEUES];

	switch (bytes[0] % 8) {
	case 0:
		fake_descriptor(&queue->descriptors[bytes[2] % SIZE],
				addresses[bytes[3] % 8], lengths[bytes[4] % 8],
				bytes[5] & 7, bytes[6] % (SIZE + 1));
		break;
	case 1:
		fake_offer(queue, bytes[2] % (SIZE + 1));
		break;
	case 2:
		fuzz_list(bytes);
		break;
	case 3:
		fuzz_stat(bytes);
		break;
	case 4:
		fuzz_access(mmio, bytes);
		break;
	case 5:
		virtio_device_kick(device, bytes[1] % QUEUES);
		break;
	case 6:
		fuzz_turn();
		break;
	default:
		fuzz_bring_up(SIZE >> (bytes[1] & 3), bytes[2] & 0x22);
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
	for (uint32_t i = 0; i < NEIGHBOURS; i++)
		if (*fuzz_neighbour(i) != 'n')
			__builtin_trap();
	return 0;
}
