/* SPDX-License-Identifier: MIT */
/*
 * The machine described in ACPI tables (ACPI 6.4), hardware-reduced: no
 * legacy timer, interrupt controller or event registers are promised.
 */
#ifndef CAPSA_X86_ACPI_H
#define CAPSA_X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"

/* Room for the tables of the largest shape. */
enum { ACPI_SIZE_MAX = 8192 };

/*
 * Writes RSDP, then DSDT, FADT, MADT and XSDT as they are to be found at
 * address, to bytes. Returns their length, 0 if they need more than
 * ACPI_SIZE_MAX.
 */
size_t acpi_build(const struct arch_shape *shape, uint64_t address,
		  uint8_t bytes[static ACPI_SIZE_MAX]);

#endif
