/* SPDX-License-Identifier: MIT */
/*
 * What the kernel is handed in a register: boot_params ("zero page") of the
 * Linux boot protocol, or hvm_start_info of PVH. Both go to fixed addresses
 * of layout.h, in memory that is still zero.
 */
#ifndef CAPSA_X86_BOOT_INFO_H
#define CAPSA_X86_BOOT_INFO_H

#include <stdint.h>

#include "kernel_image.h"
#include "memory.h"

struct boot_info {
	uint64_t initrd;      /* guest physical */
	uint64_t initrd_size; /* 0: none */
	uint64_t rsdp;        /* 0: no ACPI tables */
};

/*
 * Writes what image's protocol asks for, with the memory map of memory and
 * the command line at X86_CMDLINE_ADDRESS, and tells where. 0 or -EFAULT.
 */
int boot_info_write(const struct memory *memory,
		    const struct kernel_image *image,
		    const struct boot_info *info, uint64_t *address);

#endif
