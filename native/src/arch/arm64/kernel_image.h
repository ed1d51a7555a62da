/* SPDX-License-Identifier: MIT */
/*
 * The kernel file of arm64: an Image (Documentation/arch/arm64/booting.rst of
 * Linux), not compressed.
 */
#ifndef CAPSA_ARM64_KERNEL_IMAGE_H
#define CAPSA_ARM64_KERNEL_IMAGE_H

#include <stdint.h>

#include "boot_file.h"
#include "memory.h"

/* A kernel in guest memory. */
struct kernel_image {
	uint64_t entry;
	uint64_t end;        /* the kernel uses memory below this */
	uint32_t page_bytes; /* of its pages; 0: it doesn't say */
};

/*
 * Checks the file and loads it, to end at limit at most. Every field of image
 * is set on success only; guest memory may hold parts of it on failure.
 */
enum capsa_status kernel_image_load(const struct boot_file *file,
				    const struct memory *memory, uint64_t limit,
				    struct kernel_image *image);

#endif
