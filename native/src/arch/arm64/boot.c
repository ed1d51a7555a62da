/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "arch/arch.h"
#include "device_tree.h"
#include "error.h"
#include "kernel_image.h"
#include "layout.h"

enum {
	BOOT_PAGE = 65536,       /* the largest of a guest */
	BOOT_CMDLINE_MAX = 2047, /* COMMAND_LINE_SIZE of Linux, without NUL */
};

/* An initrd lies with the kernel in a window of this size. */
#define BOOT_WINDOW (32ull << 30)

_Static_assert(ARM64_SPI_FIRST + ARM64_GSI_VIRTIO + ARCH_VIRTIO_MAX <=
		       ARM64_INTERRUPTS,
	       "the interrupt controller has one for each device");
_Static_assert(ARM64_GIC_REDISTRIBUTORS +
			       CAPSA_CPUS_MAX * ARM64_GIC_REDISTRIBUTOR_SIZE <=
		       ARM64_UART,
	       "there is room for the redistributor of each vCPU");

void arch_device_hole(uint64_t *start, uint64_t *end)
{
	*start = 0;
	*end = ARM64_MEMORY;
}

struct arch_virtio_slot arch_virtio_slot(uint32_t index)
{
	return (struct arch_virtio_slot) {
		.base = ARM64_VIRTIO_ADDRESS +
			(uint64_t)index * ARM64_VIRTIO_SIZE,
		.gsi = ARM64_GSI_VIRTIO + index,
	};
}

uint32_t arch_gsi_uart(void)
{
	return ARM64_GSI_UART;
}

uint32_t arch_gsi_power_button(void)
{
	return ARCH_GSI_NONE;
}

/* The block for device trees: as high as old kernels allow. */
static uint64_t boot_tree_block(const struct memory *memory)
{
	uint64_t size = memory->size < ARM64_TREE_REACH ? memory->size
							: ARM64_TREE_REACH;

	return (ARM64_MEMORY + size - ARM64_TREE_BLOCK) & -ARM64_TREE_BLOCK;
}

/* The highest place for length bytes in [start, end), or 0. */
static uint64_t boot_highest(uint64_t start, uint64_t end, uint64_t length)
{
	uint64_t place;

	if (end < start || length > end - start)
		return 0;
	place = (end - length) & -(uint64_t)BOOT_PAGE;
	return place >= start ? place : 0;
}

/* Above the block for device trees if it fits, else between it and kernel. */
static uint64_t boot_initrd_place(const struct memory *memory,
				  uint64_t kernel_end, uint64_t length)
{
	uint64_t block = boot_tree_block(memory);
	uint64_t size = memory->size < BOOT_WINDOW ? memory->size : BOOT_WINDOW;
	uint64_t place = boot_highest(block + ARM64_TREE_BLOCK,
				      ARM64_MEMORY + size, length);

	return place ? place : boot_highest(kernel_end, block, length);
}

static enum capsa_status boot_load_initrd(const struct memory *memory,
					  const struct arch_boot_files *files,
					  uint64_t kernel_end,
					  struct device_tree *tree,
					  struct capsa_error *error)
{
	struct boot_file file = {
		.fd = files->initrd_fd,
		.path = files->initrd_path,
		.unreadable = CAPSA_STATUS_INITRD_FILE,
		.invalid = CAPSA_STATUS_INITRD_INVALID,
		.error = error,
	};
	enum capsa_status status = boot_file_open(&file);

	if (status != CAPSA_STATUS_OK)
		return status;
	if (file.size == 0)
		return boot_file_refuse(&file, "size", "the file is empty");
	tree->initrd = boot_initrd_place(memory, kernel_end, file.size);
	tree->initrd_size = file.size;
	if (tree->initrd == 0)
		return boot_file_refuse(
			&file, "size",
			"%llu bytes do not fit beside the kernel's, which end "
			"at 0x%llx",
			(unsigned long long)file.size,
			(unsigned long long)kernel_end);
	memory_back(memory, tree->initrd, file.size);
	return boot_file_load(&file, 0, memory, tree->initrd, file.size,
			      "size");
}

static enum capsa_status boot_check_texts(const struct arch_shape *shape,
					  const struct arch_boot_files *files,
					  struct capsa_error *error)
{
	size_t length = strlen(files->cmdline);
	char message[sizeof(error->message)];

	if (shape->discovery != CAPSA_DISCOVERY_FIRMWARE)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "load", NULL, "discovery",
				 "kernels for arm64 need a device tree");
	if (length <= BOOT_CMDLINE_MAX)
		return CAPSA_STATUS_OK;
	(void)snprintf(message, sizeof(message),
		       "%zu bytes, but kernels take at most %d", length,
		       BOOT_CMDLINE_MAX);
	return error_set(error, CAPSA_STATUS_CMDLINE_INVALID, 0, "load",
			 files->kernel_path, "cmdline", message);
}

/*
 * One tree for each interrupt controller: which of them the machine has is
 * being found out elsewhere. No two trees share a seed, since the guest knows
 * of one of them only.
 */
static int boot_write_trees(const struct memory *memory,
			    struct device_tree *tree, uint64_t block)
{
	uint8_t bytes[DEVICE_TREE_SIZE_MAX];

	for (uint32_t gic = 2; gic <= 3; gic++) {
		size_t length;
		int error;

		if (getrandom(tree->seed, sizeof(tree->seed), 0) < 0 ||
		    getrandom(&tree->layout_seed, sizeof(tree->layout_seed),
			      0) < 0)
			return -errno;
		length = device_tree_build(tree, gic, bytes);
		if (length == 0)
			return -ENOSPC;
		error = memory_write(memory, block + ARM64_TREE(gic), bytes,
				     length);
		if (error < 0)
			return error;
	}
	return 0;
}

enum capsa_status arch_boot_load(const struct memory *memory,
				 const struct arch_shape *shape,
				 const struct arch_boot_files *files,
				 struct arch_entry *entry,
				 struct capsa_error *error)
{
	struct boot_file kernel = {
		.fd = files->kernel_fd,
		.path = files->kernel_path,
		.unreadable = CAPSA_STATUS_KERNEL_FILE,
		.invalid = CAPSA_STATUS_KERNEL_INVALID,
		.error = error,
	};
	struct device_tree tree = {
		.shape = shape,
		.memory = memory,
		.cmdline = files->cmdline,
	};
	const uint64_t block = boot_tree_block(memory);
	struct kernel_image image;
	enum capsa_status status;
	int failure;

	status = boot_check_texts(shape, files, error);
	if (status == CAPSA_STATUS_OK)
		status = boot_file_open(&kernel);
	if (status == CAPSA_STATUS_OK)
		status = kernel_image_load(&kernel, memory, block, &image);
	if (status == CAPSA_STATUS_OK && files->initrd_fd >= 0)
		status = boot_load_initrd(memory, files, image.end, &tree,
					  error);
	if (status != CAPSA_STATUS_OK)
		return status;
	failure = boot_write_trees(memory, &tree, block);
	if (failure < 0)
		return error_system(error, -failure, "write device tree",
				    "memory");
	*entry = (struct arch_entry) {
		.protocol = ARCH_PROTOCOL_IMAGE,
		.address = image.entry,
		.boot_info = block,
		.page_bytes = image.page_bytes,
	};
	return CAPSA_STATUS_OK;
}
