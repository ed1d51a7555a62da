/* SPDX-License-Identifier: MIT */
/* The device tree of an arm64 machine: all that a kernel is told of it. */
#ifndef CAPSA_ARM64_DEVICE_TREE_H
#define CAPSA_ARM64_DEVICE_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "memory.h"

enum {
	DEVICE_TREE_SIZE_MAX = 32 * 1024,
	DEVICE_TREE_SEED_BYTES = 64,
};

struct device_tree {
	const struct arch_shape *shape; /* gic of it is not looked at */
	const struct memory *memory;
	const char *cmdline;
	uint64_t initrd;      /* guest physical */
	uint64_t initrd_size; /* 0: none */
	uint64_t layout_seed; /* for the place of the kernel in its memory */
	uint8_t seed[DEVICE_TREE_SEED_BYTES]; /* for the guest's generator */
};

/*
 * Writes the tree of a machine with this version of the interrupt controller.
 * Its bytes; 0: it does not fit, which means that the command line is longer
 * than any kernel takes.
 */
size_t device_tree_build(const struct device_tree *tree, uint32_t gic,
			 uint8_t out[DEVICE_TREE_SIZE_MAX]);

#endif
