/* SPDX-License-Identifier: MIT */
#include "arch/arch.h"

/* The barrier keeps the processor from reading it ahead of time. */
uint64_t arch_ticks(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
	return ticks;
}
