/* SPDX-License-Identifier: MIT */
/*
 * io_uring by its system calls: a queue of operations to the kernel and one of
 * their results, in memory that both see.
 *
 * Belongs to one thread: the kernel cancels what a thread has begun when that
 * thread ends. Its descriptor is readable while there are results.
 */
#ifndef CAPSA_BLOCK_RING_H
#define CAPSA_BLOCK_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct io_uring_sqe;
struct io_uring_cqe;

struct ring {
	int fd; /* owned */
	uint8_t *queues;
	size_t queues_bytes;
	struct io_uring_sqe *entries; /* operations */
	size_t entries_bytes;
	uint32_t size;        /* of entries, a power of two */
	uint32_t *taken;      /* the kernel's, atomic: the next to take */
	uint32_t *filled;     /* ours, atomic: the next to fill */
	uint32_t tail;        /* our copy of filled */
	uint32_t under_way;   /* operations without a result */
	uint32_t results_max; /* of under_way: more than fits is lost */
	struct io_uring_cqe *results;
	uint32_t results_mask;
	uint32_t *read;    /* ours, atomic: the next to read */
	uint32_t *written; /* the kernel's, atomic: the next to write */
};

enum ring_kind { RING_READ, RING_WRITE, RING_FLUSH };

struct ring_operation {
	enum ring_kind kind;
	int fd;
	const struct iovec *buffers; /* of RING_READ and RING_WRITE */
	uint32_t buffer_count;
	uint64_t offset;
	bool durable;   /* RING_WRITE: on stable storage when done */
	bool elsewhere; /* not on this thread, even where nothing waits */
	void *owner;    /* comes back with the result */
};

/*
 * For up to size operations at a time, fewer where the host gives no memory
 * for so many, and results_max without a result. 0 or -errno, among others
 * where io_uring is missing, forbidden or too old.
 */
int ring_create(struct ring *ring, uint32_t size, uint32_t results_max);
/* Nothing may be under way. */
void ring_destroy(struct ring *ring);

/* False: there are as many operations as fit. */
bool ring_fill(struct ring *ring, const struct ring_operation *operation);

/* Hands what is filled to the kernel. 0, or -errno and some of it is left. */
int ring_enter(struct ring *ring);

/* Takes the newest of what is left back; NULL: nothing is. */
void *ring_take_back(struct ring *ring);

/* The owner of the oldest result; NULL: there is none. */
void *ring_peek(struct ring *ring, int32_t *result);
/* The oldest result is dealt with. */
void ring_next(struct ring *ring);

#endif
