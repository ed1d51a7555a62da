/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (virtio 1.2, section 2.7).
 *
 * The ring and its descriptors belong to a hostile guest, which may change
 * them at any time. So everything is read once, into private memory, checked
 * there and used from there; indices are accessed atomically; and a rule
 * broken by the driver is -EPROTO, after which the owner calls
 * virtio_device_fail(). No function locks: all are called with the device's
 * lock held.
 */
#ifndef CAPSA_VIRTQUEUE_H
#define CAPSA_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "memory.h"

struct vring_desc;
struct vring_avail;
struct vring_used;
struct vring_used_elem;

/* Entries; QEMU offers a driver so many on virtio-mmio, whatever we say. */
enum { VIRTQUEUE_SIZE_MAX = 1024 };

/* What the driver asked for. Nothing of it is checked yet. */
struct virtqueue_layout {
	uint32_t size;
	uint64_t descriptors; /* guest physical addresses */
	uint64_t available;
	uint64_t used;
};

struct virtqueue {
	const struct memory *memory; /* NULL: not started */
	struct vring_desc *descriptors;
	struct vring_avail *available;
	struct vring_used *used;
	uint16_t size;
	uint16_t next_available;
	uint16_t next_used;
	uint32_t unsignalled; /* pushed since the last interrupt decision */
	bool indirect;        /* negotiated */
	bool event_index;     /* negotiated */
	uint64_t in_flight[VIRTQUEUE_SIZE_MAX / 64]; /* bit a head */
};

/*
 * A request: a private copy of a descriptor chain, translated to host
 * pointers. First come the buffers the device reads, then those it writes.
 * What the buffers hold is shared with the guest all the time.
 */
struct virtqueue_chain {
	uint16_t head;
	uint16_t readable; /* count of buffers */
	uint16_t writable;
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	struct iovec buffers[VIRTQUEUE_SIZE_MAX];
};

/*
 * Checks the layout (size a power of two and at most size_max, alignment, all
 * parts in RAM) and starts from an empty ring. features are those negotiated.
 * 0, or -EINVAL and the queue stays stopped.
 */
int virtqueue_start(struct virtqueue *queue, const struct memory *memory,
		    const struct virtqueue_layout *layout, uint32_t size_max,
		    uint64_t features);

/* Goes on with a ring of which position requests were taken and answered. */
void virtqueue_go_on(struct virtqueue *queue, uint16_t position);

/* Forgets the ring, with all that is in flight. */
void virtqueue_stop(struct virtqueue *queue);

/*
 * Takes the next request. 1: chain is filled, and to be given back by
 * virtqueue_push(); 0: none, or the queue is stopped; -EPROTO.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/*
 * Copies from the start of what the device reads, or to the start of what it
 * writes; for headers and messages. How many bytes it was: less than length
 * where the buffers are shorter.
 */
uint32_t virtqueue_chain_read(const struct virtqueue_chain *chain, void *out,
			      uint32_t length);
uint32_t virtqueue_chain_write(const struct virtqueue_chain *chain,
			       const void *data, uint32_t length);

/*
 * Gives a request back to the driver; written is how many bytes the device
 * wrote from the start of its writable buffers. A head that is not in flight
 * (the queue was restarted since) is left alone.
 */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);

/*
 * The same for several, which hold one message: the driver sees all of them
 * or none. id is the head, len the bytes written.
 */
void virtqueue_push_together(struct virtqueue *queue,
			     const struct vring_used_elem *elements,
			     uint32_t count);

/*
 * Whether the driver wants an interrupt for what was pushed since the last
 * call.
 */
bool virtqueue_needs_interrupt(struct virtqueue *queue);

/* Asks the driver not to notify while the device is busy with the queue. */
void virtqueue_disable_notify(struct virtqueue *queue);

/*
 * Asks for notifications again. True: requests have come meanwhile, for which
 * none may be sent, so look at the queue again.
 */
bool virtqueue_enable_notify(struct virtqueue *queue);

#endif
