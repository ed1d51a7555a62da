/* SPDX-License-Identifier: MIT */
#include "memory_map.h"

#include "layout.h"

static void memory_map_add(struct memory_map *map, uint64_t start, uint64_t end,
			   uint32_t type)
{
	map->entries[map->count++] = (struct memory_map_entry) {
		.address = start,
		.size = end - start,
		.type = type,
	};
}

struct memory_map memory_map_make(const struct memory *memory)
{
	const struct memory_range *low = &memory->ranges[0];
	struct memory_map map = { 0 };

	memory_map_add(&map, 0, X86_BIOS_AREA, MEMORY_MAP_RAM);
	memory_map_add(&map, X86_BIOS_AREA, X86_KERNEL_ADDRESS,
		       MEMORY_MAP_RESERVED);
	memory_map_add(&map, X86_KERNEL_ADDRESS, low->size, MEMORY_MAP_RAM);
	if (memory->range_count > 1) {
		const struct memory_range *high = &memory->ranges[1];

		memory_map_add(&map, high->address, high->address + high->size,
			       MEMORY_MAP_RAM);
	}
	return map;
}
