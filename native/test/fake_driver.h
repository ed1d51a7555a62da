/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of virtio, as a test plays it: guest memory with a hole,
 * rings in it that can be filled rightly or wrongly, and the register dance
 * of a virtio-mmio device.
 */
#ifndef CAPSA_FAKE_DRIVER_H
#define CAPSA_FAKE_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus.h"
#include "loop.h"
#include "memory.h"
#include "virtio/mmio.h"
#include "virtio/virtqueue.h"

#define FAKE_FEATURES                                                          \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 |                                   \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |                          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

enum {
	FAKE_RANGE = 1 << 20, /* bytes of each of two ranges */
	FAKE_HIGH = 4 << 20,  /* where the second begins */
	FAKE_GUARD = 64 << 10,
	FAKE_RING_BYTES = 1 << 14, /* room for a queue of 256 */
	FAKE_WAIT_MS = 20000,      /* after which a test has failed */
};

/*
 * What the host gives to the guest: [0, 1 MiB) and [4 MiB, 5 MiB). On the
 * host both lie between pages that nobody may touch.
 */
static inline void fake_memory_create(struct memory *memory)
{
	const size_t size = 2 * FAKE_RANGE + 3 * FAKE_GUARD;
	uint8_t *host = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	if (host == MAP_FAILED)
		exit(2);
	*memory = (struct memory) {
		.fd = -1, .range_count = 2, .mapping = host, .size = size
	};
	memory->ranges[0] = (struct memory_range) { .address = 0,
						    .size = FAKE_RANGE,
						    .host = host + FAKE_GUARD };
	memory->ranges[1] = (struct memory_range) {
		.address = FAKE_HIGH,
		.size = FAKE_RANGE,
		.host = host + FAKE_RANGE + 2 * FAKE_GUARD,
	};
	for (uint32_t i = 0; i < 2; i++)
		if (mprotect(memory->ranges[i].host, FAKE_RANGE,
			     PROT_READ | PROT_WRITE) < 0)
			exit(2);
}

static inline void fake_memory_destroy(struct memory *memory)
{
	munmap(memory->mapping, memory->size);
}

/* Whether all buffers of a chain lie in memory and its sums are right. */
static inline bool fake_chain_is_sound(const struct memory *memory,
				       const struct virtqueue_chain *chain,
				       uint32_t queue_size)
{
	uint32_t count = (uint32_t)chain->readable + chain->writable;
	uint64_t bytes[2] = { 0 };

	if (count > queue_size || chain->head >= queue_size)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *base = chain->buffers[i].iov_base;
		size_t length = chain->buffers[i].iov_len;
		bool inside = false;

		for (uint32_t r = 0; r < memory->range_count; r++) {
			const struct memory_range *range = &memory->ranges[r];

			inside |= base >= range->host &&
				  base < range->host + range->size &&
				  length <= (size_t)(range->host + range->size -
						     base);
		}
		if (!inside || length == 0)
			return false;
		bytes[i >= chain->readable] += length;
	}
	return bytes[0] == chain->readable_bytes &&
	       bytes[1] == chain->writable_bytes;
}

/* A queue as its driver sees it. */
struct fake_queue {
	struct virtqueue_layout layout;
	struct vring_desc *descriptors;
	struct vring_avail *available;
	struct vring_used *used;
	uint16_t offered;   /* the driver's copy of available->idx */
	uint16_t collected; /* used entries taken back */
};

/* Lays an empty ring of size entries at base, 4 KiB-aligned. */
static inline struct fake_queue fake_queue(const struct memory *memory,
					   uint64_t base, uint32_t size)
{
	struct fake_queue queue = {
		.layout = { .size = size,
			    .descriptors = base,
			    .available = base + 0x2000,
			    .used = base + 0x3000 },
	};
	uint8_t *host = memory_at(memory, base, FAKE_RING_BYTES);

	memset(host, 0, FAKE_RING_BYTES);
	queue.descriptors = (void *)host;
	queue.available = (void *)(host + 0x2000);
	queue.used = (void *)(host + 0x3000);
	return queue;
}

static inline void fake_descriptor(struct vring_desc *descriptor,
				   uint64_t address, uint32_t length,
				   uint16_t flags, uint16_t next)
{
	__atomic_store_n(&descriptor->addr, address, __ATOMIC_RELAXED);
	__atomic_store_n(&descriptor->len, length, __ATOMIC_RELAXED);
	__atomic_store_n(&descriptor->flags, flags, __ATOMIC_RELAXED);
	__atomic_store_n(&descriptor->next, next, __ATOMIC_RELAXED);
}

/* Makes the chain that starts at head available. */
static inline void fake_offer(struct fake_queue *queue, uint16_t head)
{
	uint16_t slot = (uint16_t)(queue->offered % queue->layout.size);

	__atomic_store_n(&queue->available->ring[slot], head, __ATOMIC_RELAXED);
	queue->offered++;
	/* An exchange, here and below: see queue_tell() in virtqueue.c. */
	(void)__atomic_exchange_n(&queue->available->idx, queue->offered,
				  __ATOMIC_SEQ_CST);
}

/* Offers one buffer of its own, in descriptor index. */
static inline void fake_buffer(struct fake_queue *queue, uint16_t index,
			       uint64_t address, uint32_t length,
			       uint16_t flags)
{
	fake_descriptor(&queue->descriptors[index], address, length, flags, 0);
	fake_offer(queue, index);
}

/* Takes a used element back, if there is one. */
static inline bool fake_collect(struct fake_queue *queue,
				struct vring_used_elem *element)
{
	uint16_t index = __atomic_load_n(&queue->used->idx, __ATOMIC_SEQ_CST);
	struct vring_used_elem *shared =
		&queue->used->ring[queue->collected % queue->layout.size];

	*element = (struct vring_used_elem) { 0 };
	if (index == queue->collected)
		return false;
	element->id = __atomic_load_n(&shared->id, __ATOMIC_RELAXED);
	element->len = __atomic_load_n(&shared->len, __ATOMIC_RELAXED);
	queue->collected++;
	return true;
}

/* Asks for an interrupt as soon as the used index passes index. */
static inline void fake_want_interrupt(struct fake_queue *queue, uint16_t index)
{
	(void)__atomic_exchange_n(&queue->available->ring[queue->layout.size],
				  index, __ATOMIC_SEQ_CST);
}

/* Where the device says from which index on it wants to be notified. */
static inline uint16_t fake_avail_event(const struct fake_queue *queue)
{
	const uint16_t *event = (const void *)&queue->used->ring[0];

	return __atomic_load_n(event + 4 * queue->layout.size,
			       __ATOMIC_SEQ_CST);
}

/*
 * Whether the device wants to know of what was offered since the index was
 * before (sections 2.7.10.1 and 2.7.6.1).
 */
static inline bool fake_must_notify(const struct fake_queue *queue,
				    bool event_index, uint16_t before)
{
	if (!event_index)
		return !(
			__atomic_load_n(&queue->used->flags, __ATOMIC_SEQ_CST) &
			VRING_USED_F_NO_NOTIFY);
	return vring_need_event(fake_avail_event(queue), queue->offered,
				before);
}

static inline void fake_write32(struct virtio_mmio *mmio, uint64_t offset,
				uint32_t value)
{
	uint8_t data[sizeof(value)];

	memcpy(data, &value, sizeof(value));
	virtio_mmio_bus_ops.write(mmio, offset, data, sizeof(value));
}

static inline uint32_t fake_read32(struct virtio_mmio *mmio, uint64_t offset)
{
	uint8_t data[sizeof(uint32_t)] = { 0 };
	uint32_t value;

	virtio_mmio_bus_ops.read(mmio, offset, data, sizeof(data));
	memcpy(&value, data, sizeof(value));
	return value;
}

static inline void fake_set_queue(struct virtio_mmio *mmio, uint32_t index,
				  const struct virtqueue_layout *layout)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_SEL, index);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NUM, layout->size);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW,
		     (uint32_t)layout->descriptors);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_DESC_HIGH,
		     (uint32_t)(layout->descriptors >> 32));
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		     (uint32_t)layout->available);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		     (uint32_t)(layout->available >> 32));
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)layout->used);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_USED_HIGH,
		     (uint32_t)(layout->used >> 32));
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* From any state to FEATURES_OK; the status read back. */
static inline uint32_t fake_negotiate(struct virtio_mmio *mmio,
				      uint64_t features)
{
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 3);
	fake_write32(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	fake_write32(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	fake_write32(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	fake_write32(mmio, VIRTIO_MMIO_DRIVER_FEATURES,
		     (uint32_t)(features >> 32));
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0xb);
	return fake_read32(mmio, VIRTIO_MMIO_STATUS);
}

/* Brings the device up with count queues; the status read back. */
static inline uint32_t fake_bring_up(struct virtio_mmio *mmio,
				     uint64_t features,
				     const struct fake_queue *queues,
				     uint32_t count)
{
	fake_negotiate(mmio, features);
	for (uint32_t i = 0; i < count; i++)
		fake_set_queue(mmio, i, &queues[i].layout);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0xf);
	return fake_read32(mmio, VIRTIO_MMIO_STATUS);
}

/* Waits for an interrupt and acknowledges it; false: none has come. */
static inline bool fake_interrupt(struct virtio_mmio *mmio, int irq_fd)
{
	struct pollfd poll_fd = { .fd = irq_fd, .events = POLLIN };
	eventfd_t count;

	if (poll(&poll_fd, 1, FAKE_WAIT_MS) != 1)
		return false;
	eventfd_read(irq_fd, &count);
	fake_write32(mmio, VIRTIO_MMIO_INTERRUPT_ACK,
		     fake_read32(mmio, VIRTIO_MMIO_INTERRUPT_STATUS));
	return true;
}

/* The next used element, waiting for interrupts as long as needed. */
static inline bool fake_await(struct virtio_mmio *mmio, int irq_fd,
			      struct fake_queue *queue,
			      struct vring_used_elem *element)
{
	fake_want_interrupt(queue, queue->collected);
	while (!fake_collect(queue, element))
		if (!fake_interrupt(mmio, irq_fd))
			return false;
	return true;
}

struct fake_turn {
	struct loop_source source;
	int done_fd;
};

static inline void fake_turn_ready(struct loop_source *source)
{
	struct fake_turn *turn = (struct fake_turn *)source;
	eventfd_t count;

	eventfd_read(source->fd, &count);
	eventfd_write(turn->done_fd, 1);
}

/* Returns after all that was ready on the loop before has had its turn. */
static inline void fake_loop_turn(struct loop *loop)
{
	struct fake_turn turn = {
		.source = { .fd = eventfd(1, EFD_CLOEXEC),
			    .ready = fake_turn_ready },
		.done_fd = eventfd(0, EFD_CLOEXEC),
	};
	eventfd_t count;

	loop_add(loop, &turn.source);
	eventfd_read(turn.done_fd, &count);
	loop_remove(loop, &turn.source);
	close(turn.source.fd);
	close(turn.done_fd);
}

#endif
