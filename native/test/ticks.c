/* SPDX-License-Identifier: MIT */
#include "ticks.h"

#include "tap.h"

enum { SPAN_NS = 20 * 1000 * 1000 };

/* Reads until some time has gone by since the reading before. */
static void read_later(const uint64_t before[2], uint64_t now[2])
{
	do {
		ticks_read(&now[0], &now[1]);
	} while (now[1] - before[1] < SPAN_NS);
}

static double speed(const uint64_t from[2], const uint64_t to[2])
{
	return (double)(to[0] - from[0]) / (double)(to[1] - from[1]);
}

static void readings_tell_one_speed(void)
{
	uint64_t first[2];
	uint64_t second[2];
	uint64_t third[2];
	double ratio;

	ticks_read(&first[0], &first[1]);
	read_later(first, second);
	read_later(second, third);
	CHECK(first[0] < second[0] && second[0] < third[0]);
	ratio = speed(first, second) / speed(second, third);
	CHECK(ratio > 0.999 && ratio < 1.001);
}

int main(void)
{
	TEST(readings_tell_one_speed);
	return tap_done();
}
