/* SPDX-License-Identifier: MIT */
#include "block/ring.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RING_SIZE_MIN = 8 };

/*
 * Linux 5.6: reads and writes of one buffer, results that are kept when the
 * queue of them is full, buffers' descriptions free once handed over.
 */
#define RING_FEATURES                                                          \
	(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |                        \
	 IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS)

static int ring_setup(uint32_t size, uint32_t results_max,
		      struct io_uring_params *params)
{
	int fd;

	*params = (struct io_uring_params) {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = results_max,
	};
	fd = (int)syscall(__NR_io_uring_setup, size, params);
	return fd < 0 ? -errno : fd;
}

/* The largest that the host has memory for, up to size. */
static int ring_setup_largest(uint32_t size, uint32_t results_max,
			      struct io_uring_params *params)
{
	for (;;) {
		int fd = ring_setup(size, results_max, params);

		if (fd != -ENOMEM || size <= RING_SIZE_MIN)
			return fd;
		size /= 2;
		results_max /= 2;
	}
}

static void *ring_map(int fd, size_t bytes, off_t what)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, what);
}

static uint32_t *ring_word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->queues + offset);
}

static void ring_lay_out(struct ring *ring,
			 const struct io_uring_params *params)
{
	uint32_t *order = ring_word(ring, params->sq_off.array);

	ring->size = params->sq_entries;
	ring->taken = ring_word(ring, params->sq_off.head);
	ring->filled = ring_word(ring, params->sq_off.tail);
	ring->results_max = params->cq_entries;
	ring->results_mask = params->cq_entries - 1;
	ring->results = (void *)(ring->queues + params->cq_off.cqes);
	ring->read = ring_word(ring, params->cq_off.head);
	ring->written = ring_word(ring, params->cq_off.tail);
	for (uint32_t i = 0; i < ring->size; i++)
		order[i] = i;
}

static int ring_map_all(struct ring *ring, const struct io_uring_params *params)
{
	size_t operations = params->sq_off.array +
			    params->sq_entries * sizeof(uint32_t);
	size_t results = params->cq_off.cqes +
			 params->cq_entries * sizeof(struct io_uring_cqe);

	ring->queues_bytes = operations > results ? operations : results;
	ring->entries_bytes = params->sq_entries * sizeof(*ring->entries);
	ring->queues = ring_map(ring->fd, ring->queues_bytes,
				IORING_OFF_SQ_RING);
	if (ring->queues == MAP_FAILED)
		return -errno;
	ring->entries = ring_map(ring->fd, ring->entries_bytes,
				 IORING_OFF_SQES);
	if (ring->entries == MAP_FAILED) {
		int error = -errno;

		munmap(ring->queues, ring->queues_bytes);
		return error;
	}
	return 0;
}

int ring_create(struct ring *ring, uint32_t size, uint32_t results_max)
{
	struct io_uring_params params;
	int result;

	*ring = (struct ring) { 0 };
	ring->fd = ring_setup_largest(size, results_max, &params);
	if (ring->fd < 0)
		return ring->fd;
	result = (params.features & RING_FEATURES) == RING_FEATURES
			 ? ring_map_all(ring, &params)
			 : -ENOSYS;
	if (result < 0) {
		close(ring->fd);
		return result;
	}
	ring_lay_out(ring, &params);
	return 0;
}

void ring_destroy(struct ring *ring)
{
	munmap(ring->entries, ring->entries_bytes);
	munmap(ring->queues, ring->queues_bytes);
	close(ring->fd);
}

/* Pairs with the kernel's release: it has read the entries before. */
static uint32_t ring_left(const struct ring *ring)
{
	return ring->tail - __atomic_load_n(ring->taken, __ATOMIC_ACQUIRE);
}

static void ring_describe(struct io_uring_sqe *entry,
			  const struct ring_operation *operation)
{
	bool write = operation->kind == RING_WRITE;
	bool single = operation->buffer_count == 1;
	const struct iovec *buffers = operation->buffers;

	*entry = (struct io_uring_sqe) {
		.fd = operation->fd,
		.flags = operation->elsewhere ? IOSQE_ASYNC : 0,
		.user_data = (uintptr_t)operation->owner,
	};
	if (operation->kind == RING_FLUSH) {
		entry->opcode = IORING_OP_FSYNC;
		entry->fsync_flags = IORING_FSYNC_DATASYNC;
		return;
	}
	entry->off = operation->offset;
	entry->rw_flags = write && operation->durable ? RWF_DSYNC : 0;
	if (single && buffers->iov_len <= INT32_MAX) {
		entry->opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
		entry->addr = (uintptr_t)buffers->iov_base;
		entry->len = (uint32_t)buffers->iov_len;
	} else {
		entry->opcode = write ? IORING_OP_WRITEV : IORING_OP_READV;
		entry->addr = (uintptr_t)buffers;
		entry->len = operation->buffer_count;
	}
}

bool ring_fill(struct ring *ring, const struct ring_operation *operation)
{
	if (ring->under_way == ring->results_max ||
	    ring_left(ring) == ring->size)
		return false;
	ring_describe(&ring->entries[ring->tail & (ring->size - 1)], operation);
	ring->tail++;
	ring->under_way++;
	/* As a release: the kernel reads the entry after this. */
	__atomic_store_n(ring->filled, ring->tail, __ATOMIC_RELEASE);
	return true;
}

/* As the address that it was when it went to the kernel. */
static void *ring_owner(uint64_t user_data)
{
	uintptr_t address = (uintptr_t)user_data;
	void *owner;

	memcpy(&owner, &address, sizeof(owner));
	return owner;
}

int ring_enter(struct ring *ring)
{
	uint32_t left;

	while ((left = ring_left(ring)) > 0) {
		long done = syscall(__NR_io_uring_enter, ring->fd, left, 0, 0,
				    NULL, 0);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done == 0)
			return -EAGAIN;
	}
	return 0;
}

void *ring_take_back(struct ring *ring)
{
	const struct io_uring_sqe *entry;

	if (ring_left(ring) == 0)
		return NULL;
	ring->tail--;
	ring->under_way--;
	entry = &ring->entries[ring->tail & (ring->size - 1)];
	__atomic_store_n(ring->filled, ring->tail, __ATOMIC_RELEASE);
	return ring_owner(entry->user_data);
}

void *ring_peek(struct ring *ring, int32_t *result)
{
	const struct io_uring_cqe *entry;
	uint32_t at = *ring->read; /* nobody else writes it */

	/* Pairs with the kernel's release: the entry is there to read. */
	if (__atomic_load_n(ring->written, __ATOMIC_ACQUIRE) == at)
		return NULL;
	entry = &ring->results[at & ring->results_mask];
	*result = entry->res;
	return ring_owner(entry->user_data);
}

void ring_next(struct ring *ring)
{
	ring->under_way--;
	/* As a release: the entry has been read. */
	__atomic_store_n(ring->read, *ring->read + 1, __ATOMIC_RELEASE);
}
