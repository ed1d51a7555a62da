/* SPDX-License-Identifier: MIT */
/*
 * Processors and interrupts for kernels without ACPI (Intel MultiProcessor
 * Specification 1.4).
 */
#ifndef CAPSA_X86_MPTABLE_H
#define CAPSA_X86_MPTABLE_H

#include <stddef.h>
#include <stdint.h>

/* Room for CAPSA_CPUS_MAX processors. */
enum { MPTABLE_SIZE_MAX = 2048 };

/*
 * Writes the floating pointer and, behind it, the table as they are to be
 * found at address, a multiple of 16. Returns their length; cpus is at most
 * CAPSA_CPUS_MAX.
 */
size_t mptable_build(uint32_t cpus, uint32_t address,
		     uint8_t bytes[static MPTABLE_SIZE_MAX]);

#endif
