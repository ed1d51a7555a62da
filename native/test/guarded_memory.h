/* SPDX-License-Identifier: MIT */
/*
 * Guest memory with unmapped pages on both sides, so that a loader that writes
 * outside of it fails at once.
 */
#ifndef CAPSA_TEST_GUARDED_MEMORY_H
#define CAPSA_TEST_GUARDED_MEMORY_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "memory.h"

#define GUARD_SIZE ((size_t)64 << 10)

static inline struct memory guarded_memory_around(uint64_t size,
						  uint64_t hole_start,
						  uint64_t hole_end)
{
	struct memory memory;
	uint8_t *guarded;
	void *moved;

	if (memory_create(&memory, size, hole_start, hole_end, NULL) !=
	    CAPSA_STATUS_OK)
		abort();
	guarded = mmap(NULL, size + 2 * GUARD_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (guarded == MAP_FAILED)
		abort();
	moved = mremap(memory.mapping, size, size,
		       MREMAP_MAYMOVE | MREMAP_FIXED, guarded + GUARD_SIZE);
	if (moved == MAP_FAILED)
		abort();
	for (uint32_t i = 0; i < memory.range_count; i++)
		memory.ranges[i].host = (uint8_t *)moved +
					(memory.ranges[i].host -
					 memory.mapping);
	memory.mapping = moved;
	return memory;
}

/* As a machine of this architecture has it. */
static inline struct memory guarded_memory_create(uint64_t size)
{
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	return guarded_memory_around(size, hole_start, hole_end);
}

/* Back to all zeroes, with no page backed. */
static inline void guarded_memory_clear(struct memory *memory)
{
	if (fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)memory->size) < 0)
		abort();
}

static inline void guarded_memory_destroy(struct memory *memory)
{
	uint8_t *mapping = memory->mapping;
	uint64_t size = memory->size;

	memory_destroy(memory);
	munmap(mapping - GUARD_SIZE, GUARD_SIZE);
	munmap(mapping + size, GUARD_SIZE);
}

#endif
