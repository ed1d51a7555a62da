/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the only way from a guest physical address to a host pointer.
 *
 * One sealed memfd holds all of it, so that it can be mapped again by another
 * process or privately by a copy, and cannot shrink under us (no SIGBUS).
 * The ranges are fixed once created; nothing here locks.
 */
#ifndef CAPSA_MEMORY_H
#define CAPSA_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa.h"

/* Two of a machine of ours; another monitor may cut it finer. */
enum { MEMORY_RANGES_MAX = 8 };

struct memory_range {
	uint64_t address; /* guest physical */
	uint64_t size;
	uint8_t *host;
};

struct memory {
	int fd; /* owned; -1: not created */
	uint32_t range_count;
	struct memory_range ranges[MEMORY_RANGES_MAX];
	uint8_t *mapping; /* all of it, in the order of the file */
	uint64_t size;
};

/*
 * Allocates size bytes from address 0 up, leaving [hole_start, hole_end) to
 * devices: what does not fit below the hole, if there is room at all, goes
 * above it.
 */
enum capsa_status memory_create(struct memory *memory, uint64_t size,
				uint64_t hole_start, uint64_t hole_end,
				struct capsa_error *error);

/* Safe on a zeroed or failed struct memory whose fd is -1. */
void memory_destroy(struct memory *memory);

/*
 * The host's pointer to [address, address + length), or NULL unless all of it
 * lies in one range. The guest may change what is there at any time: copy
 * first, check then.
 */
void *memory_at(const struct memory *memory, uint64_t address, uint64_t length);

/* Copies; 0 or -EFAULT when memory_at() would give NULL. */
int memory_read(const struct memory *memory, uint64_t address, void *out,
		size_t length);
int memory_write(const struct memory *memory, uint64_t address,
		 const void *data, size_t length);

/*
 * Backs [address, address + length), which will all be used, with huge pages:
 * one fault instead of hundreds. A hint: it reaches out to the next 2 MiB at
 * both ends, stops after 64 MiB, and does nothing at the end of a range that
 * is no multiple of 2 MiB or on hosts before Linux 6.1. Not while the guest
 * runs.
 */
void memory_back(const struct memory *memory, uint64_t address,
		 uint64_t length);

/*
 * Gives the host's pages that lie wholly in [host, host + length), which
 * memory_at() gave, back to the host: they read as zero afterwards. How many
 * bytes that is. Takes 0.1 ms for each MiB that was backed, and waits for no
 * disk. The guest may be using them.
 */
uint64_t memory_discard(const struct memory *memory, void *host,
			uint64_t length);

/* Bytes of it that the host has backed with pages. */
uint64_t memory_resident(const struct memory *memory);

#endif
