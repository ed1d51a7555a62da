/* SPDX-License-Identifier: MIT */
/* What the guest is told about its physical memory. */
#ifndef CAPSA_X86_MEMORY_MAP_H
#define CAPSA_X86_MEMORY_MAP_H

#include <stdint.h>

#include "memory.h"

/* Numbers of E820, and the same in PVH's memory map. */
enum {
	MEMORY_MAP_RAM = 1,
	MEMORY_MAP_RESERVED = 2,
};

struct memory_map_entry {
	uint64_t address;
	uint64_t size;
	uint32_t type;
};

/* Low memory, the BIOS area, the rest of low memory, high memory. */
enum { MEMORY_MAP_MAX = 4 };

struct memory_map {
	uint32_t count;
	struct memory_map_entry entries[MEMORY_MAP_MAX];
};

/* Describes memory, in ascending order. */
struct memory_map memory_map_make(const struct memory *memory);

#endif
