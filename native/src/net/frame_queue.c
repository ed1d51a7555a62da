/* SPDX-License-Identifier: MIT */
#include "net/frame_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_ALIGNMENT = 16 };

#define QUEUE_GAP UINT32_MAX /* length of what fills up the end */

/* What stands before a frame's bytes. */
struct queue_record {
	uint32_t length; /* of the frame, or QUEUE_GAP */
	struct virtio_net_hdr_v1 header;
};

_Static_assert(sizeof(struct queue_record) == QUEUE_ALIGNMENT,
	       "a record can begin wherever one ends");

int frame_queue_create(struct frame_queue *queue, uint32_t capacity)
{
	*queue = (struct frame_queue) {
		.bytes = aligned_alloc(QUEUE_ALIGNMENT, capacity),
		.capacity = capacity,
	};
	return queue->bytes ? 0 : -ENOMEM;
}

void frame_queue_destroy(struct frame_queue *queue)
{
	free(queue->bytes);
	*queue = (struct frame_queue) { 0 };
}

static struct queue_record *queue_record(const struct frame_queue *queue,
					 uint32_t offset)
{
	return (struct queue_record *)(void *)(queue->bytes + offset);
}

static uint32_t queue_size(uint32_t length)
{
	uint32_t whole = (uint32_t)sizeof(struct queue_record) + length;

	return (whole + QUEUE_ALIGNMENT - 1) & ~(uint32_t)(QUEUE_ALIGNMENT - 1);
}

uint8_t *frame_queue_reserve(struct frame_queue *queue, uint32_t length)
{
	uint32_t size = queue_size(length);
	uint32_t to_end = queue->capacity - queue->next;
	uint32_t gap = size > to_end ? to_end : 0;

	/* What is in use is in one piece, or the free part is. */
	if (size + gap > queue->capacity - queue->used)
		return NULL;
	if (gap > 0) {
		queue_record(queue, queue->next)->length = QUEUE_GAP;
		queue->next = 0;
		queue->used += gap;
	}
	return queue->bytes + queue->next + sizeof(struct queue_record);
}

void frame_queue_commit(struct frame_queue *queue,
			const struct virtio_net_hdr_v1 *header, uint32_t length)
{
	uint32_t size = queue_size(length);

	*queue_record(queue, queue->next) = (struct queue_record) {
		.length = length,
		.header = *header,
	};
	queue->next = (queue->next + size) % queue->capacity;
	queue->used += size;
}

const struct net_frame *frame_queue_peek(struct frame_queue *queue)
{
	const struct queue_record *record;

	if (queue->used == 0)
		return NULL;
	record = queue_record(queue, queue->first);
	if (record->length == QUEUE_GAP) {
		queue->used -= queue->capacity - queue->first;
		queue->first = 0;
		record = queue_record(queue, 0);
	}
	queue->part = (struct iovec) {
		.iov_base = queue->bytes + queue->first + sizeof(*record),
		.iov_len = record->length,
	};
	queue->oldest = (struct net_frame) {
		.header = record->header,
		.parts = &queue->part,
		.part_count = 1,
		.length = record->length,
	};
	return &queue->oldest;
}

void frame_queue_drop(struct frame_queue *queue)
{
	uint32_t size = queue_size(queue->oldest.length);

	queue->first = (queue->first + size) % queue->capacity;
	queue->used -= size;
	/* The same memory again, which is in the processor's cache. */
	if (queue->used == 0)
		frame_queue_clear(queue);
}

void frame_queue_clear(struct frame_queue *queue)
{
	queue->first = 0;
	queue->next = 0;
	queue->used = 0;
}
