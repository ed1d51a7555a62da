/* SPDX-License-Identifier: MIT */
#include "ticks.h"

#include <time.h>

#include "arch/arch.h"

/* Enough that one of the readings is not interrupted. */
enum { TICKS_TRIES = 16 };

static uint64_t ticks_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ticks_read(uint64_t *ticks, uint64_t *time_ns)
{
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < TICKS_TRIES; i++) {
		uint64_t before = ticks_now_ns();
		uint64_t read = arch_ticks();
		uint64_t took = ticks_now_ns() - before;

		if (took >= shortest)
			continue;
		shortest = took;
		*ticks = read;
		*time_ns = before + took / 2;
	}
}
