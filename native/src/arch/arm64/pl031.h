/* SPDX-License-Identifier: MIT */
/*
 * A real-time clock (Arm PrimeCell PL031) that shows the host's time, in
 * seconds. The guest may set it. It has no alarm.
 */
#ifndef CAPSA_ARM64_PL031_H
#define CAPSA_ARM64_PL031_H

#include "bus.h"

enum { PL031_SIZE = 0x1000 };

/* Zeroed at first. */
struct pl031 {
	uint32_t offset; /* to the host's time; atomic, like the other */
	uint32_t load;   /* what it was set to last */
};

extern const struct bus_ops pl031_bus_ops; /* device: struct pl031 */

#endif
