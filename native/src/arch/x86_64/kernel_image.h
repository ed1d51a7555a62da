/* SPDX-License-Identifier: MIT */
/*
 * Kernel files of x86_64: bzImage (Documentation/arch/x86/boot.rst of Linux)
 * and ELF vmlinux, with or without PVH entry.
 */
#ifndef CAPSA_X86_KERNEL_IMAGE_H
#define CAPSA_X86_KERNEL_IMAGE_H

#include <asm/bootparam.h>
#include <stdint.h>

#include "arch/arch.h"
#include "boot_file.h"
#include "memory.h"

/* Longest command line, without NUL, of a Linux that does not tell. */
enum { KERNEL_CMDLINE_DEFAULT = 2047 };

/* A kernel in guest memory. */
struct kernel_image {
	enum arch_protocol protocol;
	uint64_t entry;
	uint64_t end;               /* the kernel uses memory below this */
	uint64_t initrd_end_max;    /* an initrd ends here or below */
	uint32_t cmdline_max;       /* bytes, without NUL */
	struct setup_header header; /* for boot_params; LINUX64 only */
};

/* Memory below the device hole, which starts at 0: all that kernels are
 * loaded to. */
uint64_t kernel_image_low_memory(const struct memory *memory);

/*
 * Recognises the kind of file, checks it and loads it. Every field of image
 * is set on success only; guest memory may hold parts of it on failure.
 */
enum capsa_status kernel_image_load(const struct boot_file *file,
				    const struct memory *memory,
				    struct kernel_image *image);

/* The two kinds; file is known to start as one. */
enum capsa_status bzimage_load(const struct boot_file *file,
			       const struct memory *memory,
			       struct kernel_image *image);
enum capsa_status elf_load(const struct boot_file *file,
			   const struct memory *memory,
			   struct kernel_image *image);

#endif
