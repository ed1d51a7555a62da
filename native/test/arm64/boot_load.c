/* SPDX-License-Identifier: MIT */
#include <endian.h>

#include "arch/arm64/layout.h"
#include "load.h"

#define GIB (1024 * MIB)

/* The value of a property, found by its name in a tree; NULL: there is none. */
static const uint8_t *property(const uint8_t *tree, const char *name,
			       uint32_t *length)
{
	uint32_t head[10];
	const char *names;
	uint32_t at;

	memcpy(head, tree, sizeof(head));
	names = (const char *)tree + be32toh(head[3]);
	for (at = be32toh(head[2]); at + 12 <= be32toh(head[3]); at += 4) {
		uint32_t words[3];

		memcpy(words, tree + at, sizeof(words));
		if (be32toh(words[0]) != 3 ||
		    be32toh(words[2]) >= be32toh(head[8]) ||
		    strcmp(names + be32toh(words[2]), name) != 0)
			continue;
		*length = be32toh(words[1]);
		return tree + at + sizeof(words);
	}
	return NULL;
}

static const uint8_t *tree_of(const struct load *load, uint32_t gic)
{
	return memory_at(&load->memory, load->entry.boot_info + ARM64_TREE(gic),
			 1);
}

static uint64_t wide(const struct load *load, const char *name)
{
	uint32_t length = 0;
	const uint8_t *value = property(tree_of(load, 3), name, &length);
	uint64_t number = 0;

	CHECK(value && length == sizeof(number));
	if (value)
		memcpy(&number, value, sizeof(number));
	return be64toh(number);
}

static void run(struct load *load)
{
	const struct kernel_file kernel = kernel_file_image();

	load_run(load, &kernel);
}

static void there_is_a_tree_for_each_interrupt_controller(void)
{
	struct load load = load_new(MEMORY_SIZE);

	run(&load);
	CHECK(load.entry.boot_info == ARM64_MEMORY + MEMORY_SIZE - 2 * MIB);
	for (uint32_t gic = 2; gic <= 3; gic++) {
		const uint8_t *tree = tree_of(&load, gic);
		uint32_t length;
		const uint8_t *cmdline = property(tree, "bootargs", &length);

		CHECK(memcmp(tree, "\xd0\x0d\xfe\xed", 4) == 0);
		CHECK(cmdline && length == sizeof("console=ttyS0") &&
		      memcmp(cmdline, "console=ttyS0", length) == 0);
	}
	load_free(&load);
}

static void trees_lie_where_old_kernels_look(void)
{
	static const uint64_t sizes[] = { 16, 17, 511, 512, 513, 514, 4096 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct load load = load_new(sizes[i] * MIB);
		uint64_t block;

		run(&load);
		CHECK(load.status == CAPSA_STATUS_OK);
		block = load.entry.boot_info;
		CHECK(block % (2 * MIB) == 0);
		CHECK(block + 2 * MIB <= ARM64_MEMORY + 512 * MIB);
		CHECK(memory_at(&load.memory, block, 2 * MIB));
		load_free(&load);
	}
}

static void no_two_trees_share_a_seed(void)
{
	struct load load = load_new(MEMORY_SIZE);
	uint8_t seeds[4][64];
	int count = 0;

	for (int round = 0; round < 2; round++) {
		run(&load);
		for (uint32_t gic = 2; gic <= 3; gic++) {
			uint32_t length = 0;
			const uint8_t *seed = property(tree_of(&load, gic),
						       "rng-seed", &length);

			CHECK(seed && length == sizeof(seeds[0]));
			if (seed)
				memcpy(seeds[count++], seed, sizeof(seeds[0]));
		}
	}
	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			CHECK(memcmp(seeds[i], seeds[j], sizeof(seeds[0])));
	load_free(&load);
}

static void an_initrd_lies_between_kernel_and_trees(void)
{
	struct load load = load_new(MEMORY_SIZE);
	uint64_t start;

	load.initrd_size = 3 * MIB + 5;
	run(&load);
	CHECK(load.status == CAPSA_STATUS_OK);
	start = wide(&load, "linux,initrd-start");
	CHECK(start == ((load.entry.boot_info - load.initrd_size) & -65536ull));
	CHECK(wide(&load, "linux,initrd-end") == start + load.initrd_size);
	CHECK(memcmp(memory_at(&load.memory, start, 8), "initrd\0", 8) == 0);
	load_free(&load);
}

static void a_large_initrd_lies_above_the_trees(void)
{
	struct load load = load_new(2 * GIB);

	load.initrd_size = 600 * MIB;
	run(&load);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(wide(&load, "linux,initrd-end") == ARM64_MEMORY + 2 * GIB);
	load_free(&load);
}

static void all_that_is_free_can_be_an_initrds(void)
{
	struct load load = load_new(MEMORY_SIZE);

	load.initrd_size = MEMORY_SIZE - TEST_IMAGE_ROOM - ARM64_TREE_BLOCK;
	run(&load);
	CHECK(load.status == CAPSA_STATUS_OK);
	load.initrd_size++;
	run(&load);
	CHECK(is_refused(&load, CAPSA_STATUS_INITRD_INVALID, "size"));
	load.initrd_size = 1ull << 40;
	run(&load);
	CHECK(is_refused(&load, CAPSA_STATUS_INITRD_INVALID, "size"));
	load_free(&load);
}

static void without_an_initrd_none_is_told(void)
{
	struct load load = load_new(MEMORY_SIZE);
	uint32_t length;

	run(&load);
	CHECK(!property(tree_of(&load, 3), "linux,initrd-start", &length));
	load_free(&load);
}

static void a_command_line_has_a_longest(void)
{
	struct load load = load_new(MEMORY_SIZE);
	char text[2049];

	memset(text, 'x', sizeof(text));
	text[2048] = '\0';
	load.cmdline = text;
	run(&load);
	CHECK(is_refused(&load, CAPSA_STATUS_CMDLINE_INVALID, "cmdline"));
	text[2047] = '\0';
	run(&load);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_free(&load);
}

/* The largest machine that there is. */
static void trees_hold_all_processors_and_devices(void)
{
	struct load load = load_new(MEMORY_SIZE);
	char text[2048];

	memset(text, 'x', sizeof(text));
	text[2047] = '\0';
	load.cmdline = text;
	load.shape.cpus = CAPSA_CPUS_MAX;
	load.shape.virtio_count = ARCH_VIRTIO_MAX;
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++)
		load.shape.virtio[i] = arch_virtio_slot(i);
	load.initrd_size = 4096;
	run(&load);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_free(&load);
}

static void devices_on_the_command_line_are_refused(void)
{
	struct load load = load_new(MEMORY_SIZE);

	load.shape.discovery = CAPSA_DISCOVERY_CMDLINE;
	run(&load);
	CHECK(load.status == CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(strcmp(load.error.field, "discovery") == 0);
	load_free(&load);
}

static void devices_lie_in_the_hole_and_share_no_interrupt(void)
{
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	CHECK(hole_start == 0 && hole_end == ARM64_MEMORY);
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++) {
		struct arch_virtio_slot slot = arch_virtio_slot(i);

		CHECK(slot.base >= ARM64_PVPANIC + ARM64_PVPANIC_SIZE);
		CHECK(slot.base + ARM64_VIRTIO_SIZE <= hole_end);
		CHECK(slot.gsi != arch_gsi_uart());
		CHECK(ARM64_SPI_FIRST + slot.gsi < ARM64_INTERRUPTS);
		CHECK(slot.gsi == arch_virtio_slot(0).gsi + i);
	}
	CHECK(arch_gsi_power_button() == ARCH_GSI_NONE);
}

int main(void)
{
	TEST(there_is_a_tree_for_each_interrupt_controller);
	TEST(trees_lie_where_old_kernels_look);
	TEST(no_two_trees_share_a_seed);
	TEST(an_initrd_lies_between_kernel_and_trees);
	TEST(a_large_initrd_lies_above_the_trees);
	TEST(all_that_is_free_can_be_an_initrds);
	TEST(without_an_initrd_none_is_told);
	TEST(a_command_line_has_a_longest);
	TEST(trees_hold_all_processors_and_devices);
	TEST(devices_on_the_command_line_are_refused);
	TEST(devices_lie_in_the_hole_and_share_no_interrupt);
	return tap_done();
}
