/* SPDX-License-Identifier: MIT */
/*
 * The trees of three machines as dtc reads them, beside what they should be;
 * and trees that have no room.
 */
#include "arch/arm64/device_tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "tap.h"

struct machine {
	const char *name; /* of its golden file */
	uint32_t cpus;
	uint32_t virtio_count;
	uint32_t gic;
	uint64_t initrd_size;
	uint64_t memory_bytes;
};

static const struct machine machines[] = {
	{ "least", 1, 0, 3, 0, 16 << 20 },
	{ "usual", 2, 3, 3, 0x123456, 512 << 20 },
	{ "gicv2", 4, 3, 2, 0, 512 << 20 },
	{ "clusters", 18, 1, 3, 0, 64ull << 30 },
};

enum { MACHINES = sizeof(machines) / sizeof(machines[0]) };

static size_t build(const struct machine *machine, uint8_t *out)
{
	const struct memory memory = {
		.range_count = 1,
		.ranges = { { .address = ARM64_MEMORY,
			      .size = machine->memory_bytes } },
	};
	struct arch_shape shape = {
		.cpus = machine->cpus,
		.discovery = CAPSA_DISCOVERY_FIRMWARE,
		.virtio_count = machine->virtio_count,
	};
	struct device_tree tree = {
		.shape = &shape,
		.memory = &memory,
		.cmdline = "console=ttyS0 \"a b\"",
		.initrd = ARM64_MEMORY + (32 << 20),
		.initrd_size = machine->initrd_size,
		.layout_seed = 0x0123456789abcdef,
	};

	for (uint32_t i = 0; i < shape.virtio_count; i++)
		shape.virtio[i] = arch_virtio_slot(i);
	for (uint32_t i = 0; i < sizeof(tree.seed); i++)
		tree.seed[i] = (uint8_t)i;
	return device_tree_build(&tree, machine->gic, out);
}

static void write_file(const char *path, const void *bytes, size_t length)
{
	FILE *file = fopen(path, "we");

	CHECK(file && fwrite(bytes, 1, length, file) == length);
	if (file)
		(void)fclose(file);
}

/* Without warnings, which go to the standard error output. */
static void dtc_reads_what_each_machine_should_have(void)
{
	char folder[] = "/tmp/capsa-tree.XXXXXX";
	uint8_t bytes[DEVICE_TREE_SIZE_MAX];
	char text[1024];

	CHECK(mkdtemp(folder) != NULL);
	for (int i = 0; i < MACHINES; i++) {
		(void)snprintf(text, sizeof(text), "%s/dtb", folder);
		write_file(text, bytes, build(&machines[i], bytes));
		(void)snprintf(text, sizeof(text),
			       "cd %s && dtc -I dtb -O dts -o dts dtb 2>log && "
			       "diff /dev/null log && "
			       "diff -u %s/arm64/device_tree/%s.dts dts",
			       folder, TEST_FOLDER, machines[i].name);
		CHECK(system(text) == 0);
	}
	(void)snprintf(text, sizeof(text), "rm -r %s", folder);
	CHECK(system(text) == 0);
}

/* What does not fit is told, and nothing is written behind the end. */
static void trees_keep_within_their_room(void)
{
	static const uint32_t cells[] = { 1, 2, 3 };
	uint8_t bytes[512];
	size_t whole = 0;

	for (size_t size = 0; size <= sizeof(bytes); size++) {
		struct fdt fdt;
		size_t length;

		memset(bytes, 0xee, sizeof(bytes));
		fdt_begin(&fdt, bytes, size);
		fdt_text(&fdt, "a", "text");
		fdt_node(&fdt, "node@1");
		fdt_cells(&fdt, "b", cells, 3);
		fdt_flag(&fdt, "c");
		fdt_cell(&fdt, "a", 7);
		fdt_end_node(&fdt);
		length = fdt_finish(&fdt);
		CHECK(length <= size);
		if (length > 0 && whole == 0)
			whole = size;
		CHECK(length == whole);
		for (size_t i = size; i < sizeof(bytes); i++)
			CHECK(bytes[i] == 0xee);
	}
	CHECK(whole > 0);
}

static void names_have_their_limit(void)
{
	static uint8_t bytes[128 * 1024];
	struct fdt fdt;
	char name[32];

	fdt_begin(&fdt, bytes, sizeof(bytes));
	for (int i = 0; i < FDT_NAMES_MAX / 8; i++) {
		(void)snprintf(name, sizeof(name), "name%03d", i);
		fdt_flag(&fdt, name);
		fdt_flag(&fdt, name);
	}
	CHECK(!fdt.full);
	fdt_flag(&fdt, "one more");
	CHECK(fdt_finish(&fdt) == 0);
}

int main(void)
{
	if (system("command -v dtc >/dev/null") == 0)
		TEST(dtc_reads_what_each_machine_should_have);
	else
		TEST_SKIP(dtc_reads_what_each_machine_should_have,
			  "dtc (device-tree-compiler) is not installed");
	TEST(trees_keep_within_their_room);
	TEST(names_have_their_limit);
	return tap_done();
}
