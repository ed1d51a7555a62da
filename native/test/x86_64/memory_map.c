/* SPDX-License-Identifier: MIT */
#include "arch/x86_64/memory_map.h"

#include "arch/arch.h"
#include "tap.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct memory_map map_of(uint64_t size)
{
	struct memory memory;
	struct memory_map map;
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	CHECK(memory_create(&memory, size, hole_start, hole_end, NULL) ==
	      CAPSA_STATUS_OK);
	map = memory_map_make(&memory);
	memory_destroy(&memory);
	return map;
}

static void check_entry(const struct memory_map *map, uint32_t index,
			uint64_t start, uint64_t end, uint32_t type)
{
	CHECK(index < map->count);
	CHECK(map->entries[index].address == start);
	CHECK(map->entries[index].address + map->entries[index].size == end);
	CHECK(map->entries[index].type == type);
}

static void check_low(const struct memory_map *map, uint64_t end)
{
	check_entry(map, 0, 0, 0x9fc00, MEMORY_MAP_RAM);
	check_entry(map, 1, 0x9fc00, MIB, MEMORY_MAP_RESERVED);
	check_entry(map, 2, MIB, end, MEMORY_MAP_RAM);
}

static void map_of_512_mib(void)
{
	struct memory_map map = map_of(512 * MIB);

	CHECK(map.count == 3);
	check_low(&map, 512 * MIB);
}

static void map_of_3_gib(void)
{
	struct memory_map map = map_of(3 * GIB);

	CHECK(map.count == 3);
	check_low(&map, 3 * GIB);
}

static void map_of_3_gib_and_1_mib(void)
{
	struct memory_map map = map_of(3 * GIB + MIB);

	CHECK(map.count == 4);
	check_low(&map, 3 * GIB);
	check_entry(&map, 3, 4 * GIB, 4 * GIB + MIB, MEMORY_MAP_RAM);
}

static void map_of_5_gib(void)
{
	struct memory_map map = map_of(5 * GIB);

	CHECK(map.count == 4);
	check_low(&map, 3 * GIB);
	check_entry(&map, 3, 4 * GIB, 6 * GIB, MEMORY_MAP_RAM);
}

int main(void)
{
	TEST(map_of_512_mib);
	TEST(map_of_3_gib);
	TEST(map_of_3_gib_and_1_mib);
	TEST(map_of_5_gib);
	return tap_done();
}
