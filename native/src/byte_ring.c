/* SPDX-License-Identifier: MIT */
#include "byte_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t ring_min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

int byte_ring_create(struct byte_ring *ring, uint32_t capacity)
{
	*ring = (struct byte_ring) { .bytes = malloc(capacity),
				     .capacity = capacity };
	return ring->bytes ? 0 : -ENOMEM;
}

void byte_ring_destroy(struct byte_ring *ring)
{
	free(ring->bytes);
	*ring = (struct byte_ring) { 0 };
}

void byte_ring_drop(struct byte_ring *ring, uint32_t length)
{
	/* In 64 bits: both are below capacity, their sum may not fit 32. */
	ring->start = (uint32_t)(((uint64_t)ring->start + length) %
				 ring->capacity);
	ring->length -= length;
}

uint32_t byte_ring_push(struct byte_ring *ring, const uint8_t *data,
			uint32_t length)
{
	uint32_t room = ring->capacity - ring->length;
	uint32_t count = ring_min(length, room);
	uint32_t end = (uint32_t)(((uint64_t)ring->start + ring->length) %
				  ring->capacity);
	uint32_t first = ring_min(count, ring->capacity - end);

	if (count == 0)
		return 0;
	memcpy(ring->bytes + end, data, first);
	memcpy(ring->bytes, data + first, count - first);
	ring->length += count;
	return count;
}

uint32_t byte_ring_overwrite(struct byte_ring *ring, const uint8_t *data,
			     uint32_t length)
{
	uint32_t kept = ring_min(length, ring->capacity);
	uint32_t room = ring->capacity - ring->length;
	uint32_t pushed_out = kept > room ? kept - room : 0;

	if (pushed_out > 0)
		byte_ring_drop(ring, pushed_out);
	byte_ring_push(ring, data + (length - kept), kept);
	return pushed_out + (length - kept);
}

uint32_t byte_ring_take(struct byte_ring *ring, uint8_t *out, uint32_t length)
{
	uint32_t count = ring_min(length, ring->length);
	uint32_t first = ring_min(count, ring->capacity - ring->start);

	if (count == 0)
		return 0;
	memcpy(out, ring->bytes + ring->start, first);
	memcpy(out + first, ring->bytes, count - first);
	byte_ring_drop(ring, count);
	return count;
}

uint32_t byte_ring_oldest(const struct byte_ring *ring, struct iovec parts[2])
{
	uint32_t first = ring_min(ring->length, ring->capacity - ring->start);

	parts[0] = (struct iovec) { .iov_base = ring->bytes + ring->start,
				    .iov_len = first };
	parts[1] = (struct iovec) { .iov_base = ring->bytes,
				    .iov_len = ring->length - first };
	return parts[1].iov_len > 0 ? 2 : 1;
}
