/* SPDX-License-Identifier: MIT */
#include <x86intrin.h>

#include "arch/arch.h"

uint64_t arch_ticks(void)
{
	return __rdtsc();
}
