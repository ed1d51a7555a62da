/* SPDX-License-Identifier: MIT */
/*
 * Who answers an access to a port or to device memory.
 *
 * Regions are added before the first vCPU runs and stay, so look-ups take no
 * lock. Devices are called on vCPU threads, several at once.
 */
#ifndef CAPSA_BUS_H
#define CAPSA_BUS_H

#include <stdint.h>

enum {
	BUS_REGIONS_MAX = 64,
	BUS_ACCESS_MAX = 8, /* bytes of one access */
};

struct bus_ops {
	/* data is zeroed before; length is 1 to BUS_ACCESS_MAX */
	void (*read)(void *device, uint64_t offset, uint8_t *data,
		     uint32_t length);
	void (*write)(void *device, uint64_t offset, const uint8_t *data,
		      uint32_t length);
};

struct bus_region {
	uint64_t base;
	uint64_t size;
	const struct bus_ops *ops;
	void *device;
};

struct bus {
	uint32_t count;
	struct bus_region regions[BUS_REGIONS_MAX];
};

/* 0, -EINVAL (empty, wraps), -EEXIST (overlaps), -ENOSPC. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size,
	    const struct bus_ops *ops, void *device);

/*
 * An access that nobody answers, or that reaches over a region's end, reads
 * as all ones and writes nothing.
 */
void bus_read(const struct bus *bus, uint64_t address, uint8_t *data,
	      uint32_t length);
void bus_write(const struct bus *bus, uint64_t address, const uint8_t *data,
	       uint32_t length);

#endif
