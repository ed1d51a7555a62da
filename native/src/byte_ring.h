/* SPDX-License-Identifier: MIT */
/*
 * A bounded ring of bytes, of two manners: the console's output overwrites
 * its oldest bytes and counts them as lost; all others refuse what does not
 * fit. The caller locks.
 */
#ifndef CAPSA_BYTE_RING_H
#define CAPSA_BYTE_RING_H

#include <stdint.h>
#include <sys/uio.h>

struct byte_ring {
	uint8_t *bytes; /* owned */
	uint32_t capacity;
	uint32_t start; /* index of the oldest byte */
	uint32_t length;
};

/* 0 or -ENOMEM; capacity > 0. */
int byte_ring_create(struct byte_ring *ring, uint32_t capacity);
void byte_ring_destroy(struct byte_ring *ring);

/* Appends all of it; returns how many older (or own first) bytes were lost. */
uint32_t byte_ring_overwrite(struct byte_ring *ring, const uint8_t *data,
			     uint32_t length);
/* Appends what fits; returns how many bytes that was. */
uint32_t byte_ring_push(struct byte_ring *ring, const uint8_t *data,
			uint32_t length);
/* Takes up to length of the oldest bytes; returns how many. */
uint32_t byte_ring_take(struct byte_ring *ring, uint8_t *out, uint32_t length);

/* Where the bytes lie, from the oldest on; how many parts. */
uint32_t byte_ring_oldest(const struct byte_ring *ring, struct iovec parts[2]);
/* Forgets the oldest bytes; there are as many. */
void byte_ring_drop(struct byte_ring *ring, uint32_t length);

#endif
