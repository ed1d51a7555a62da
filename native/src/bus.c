/* SPDX-License-Identifier: MIT */
#include "bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The last byte of a region: its end may be 2^64, which no number holds. */
static uint64_t bus_last(const struct bus_region *region)
{
	return region->base + (region->size - 1);
}

int bus_add(struct bus *bus, uint64_t base, uint64_t size,
	    const struct bus_ops *ops, void *device)
{
	const struct bus_region region = {
		.base = base, .size = size, .ops = ops, .device = device
	};

	if (size == 0 || bus_last(&region) < base)
		return -EINVAL;
	for (uint32_t i = 0; i < bus->count; i++) {
		const struct bus_region *other = &bus->regions[i];

		if (base <= bus_last(other) && other->base <= bus_last(&region))
			return -EEXIST;
	}
	if (bus->count == BUS_REGIONS_MAX)
		return -ENOSPC;
	bus->regions[bus->count++] = region;
	return 0;
}

/* The region that holds all of an access, or NULL. */
static const struct bus_region *bus_find(const struct bus *bus,
					 uint64_t address, uint32_t length)
{
	if (length == 0 || length > BUS_ACCESS_MAX)
		return NULL;
	for (uint32_t i = 0; i < bus->count; i++) {
		const struct bus_region *region = &bus->regions[i];

		if (address < region->base || address > bus_last(region))
			continue;
		return bus_last(region) - address >= length - 1 ? region : NULL;
	}
	return NULL;
}

void bus_read(const struct bus *bus, uint64_t address, uint8_t *data,
	      uint32_t length)
{
	const struct bus_region *region = bus_find(bus, address, length);

	memset(data, region ? 0 : 0xff, length);
	if (region)
		region->ops->read(region->device, address - region->base, data,
				  length);
}

void bus_write(const struct bus *bus, uint64_t address, const uint8_t *data,
	       uint32_t length)
{
	const struct bus_region *region = bus_find(bus, address, length);

	if (region)
		region->ops->write(region->device, address - region->base, data,
				   length);
}
