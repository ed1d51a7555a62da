/* SPDX-License-Identifier: MIT */
/*
 * Frames that wait for their receiver, in one piece of memory of fixed size.
 * The caller locks, but for what frame_queue_peek() gives.
 */
#ifndef CAPSA_NET_FRAME_QUEUE_H
#define CAPSA_NET_FRAME_QUEUE_H

#include "net/port.h"

struct frame_queue {
	uint8_t *bytes; /* owned */
	uint32_t capacity;
	uint32_t first; /* offset of the oldest frame */
	uint32_t next;  /* offset of the one to come */
	uint32_t used;  /* bytes from first to next */
	struct net_frame oldest;
	struct iovec part;
};

/* capacity is a multiple of 16. Memory is taken as it is used. 0 or -ENOMEM. */
int frame_queue_create(struct frame_queue *queue, uint32_t capacity);
/* Safe on a zeroed one. */
void frame_queue_destroy(struct frame_queue *queue);

/*
 * Where to put the bytes of a frame, which frame_queue_commit() then makes the
 * youngest. NULL: it does not fit.
 */
uint8_t *frame_queue_reserve(struct frame_queue *queue, uint32_t length);
void frame_queue_commit(struct frame_queue *queue,
			const struct virtio_net_hdr_v1 *header,
			uint32_t length);

/* The oldest frame, or NULL. It stays as it is until it is dropped. */
const struct net_frame *frame_queue_peek(struct frame_queue *queue);
void frame_queue_drop(struct frame_queue *queue);
void frame_queue_clear(struct frame_queue *queue);

#endif
