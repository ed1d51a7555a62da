/* SPDX-License-Identifier: MIT */
#include "bus.h"

#include <errno.h>
#include <string.h>

#include "tap.h"

/* Remembers the last access and answers with its name. */
struct probe {
	uint8_t name;
	uint64_t offset;
	uint32_t length;
	int accesses;
};

static void probe_read(void *device, uint64_t offset, uint8_t *data,
		       uint32_t length)
{
	struct probe *probe = device;

	CHECK(data[0] == 0);
	probe->offset = offset;
	probe->length = length;
	probe->accesses++;
	memset(data, probe->name, length);
}

static void probe_write(void *device, uint64_t offset, const uint8_t *data,
			uint32_t length)
{
	struct probe *probe = device;

	probe->offset = offset;
	probe->length = length;
	probe->name = data[0];
	probe->accesses++;
}

static const struct bus_ops probe_ops = { .read = probe_read,
					  .write = probe_write };

static uint64_t read_number(const struct bus *bus, uint64_t address,
			    uint32_t length)
{
	uint64_t number = 0;

	bus_read(bus, address, (uint8_t *)&number, length);
	return number;
}

static void regions_are_checked(void)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };

	CHECK(bus_add(&bus, 100, 0, &probe_ops, &probe) == -EINVAL);
	CHECK(bus_add(&bus, UINT64_MAX, 2, &probe_ops, &probe) == -EINVAL);
	CHECK(bus_add(&bus, 100, 10, &probe_ops, &probe) == 0);
	CHECK(bus_add(&bus, 109, 1, &probe_ops, &probe) == -EEXIST);
	CHECK(bus_add(&bus, 90, 11, &probe_ops, &probe) == -EEXIST);
	CHECK(bus_add(&bus, 90, 100, &probe_ops, &probe) == -EEXIST);
	CHECK(bus_add(&bus, 102, 3, &probe_ops, &probe) == -EEXIST);
	CHECK(bus_add(&bus, 110, 1, &probe_ops, &probe) == 0);
	CHECK(bus_add(&bus, 90, 10, &probe_ops, &probe) == 0);
	CHECK(bus_add(&bus, UINT64_MAX, 1, &probe_ops, &probe) == 0);
	CHECK(bus.count == 4);
}

static void one_region_too_many_is_refused(void)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };

	for (uint64_t i = 0; i < BUS_REGIONS_MAX; i++)
		CHECK(bus_add(&bus, i * 16, 16, &probe_ops, &probe) == 0);
	CHECK(bus_add(&bus, 0x10000, 1, &probe_ops, &probe) == -ENOSPC);
}

static void accesses_reach_their_device(void)
{
	struct bus bus = { 0 };
	struct probe low = { .name = 0x11 };
	struct probe high = { .name = 0x22 };

	bus_add(&bus, 0x1000, 0x10, &probe_ops, &low);
	bus_add(&bus, UINT64_MAX - 7, 8, &probe_ops, &high);
	CHECK(read_number(&bus, 0x1000, 1) == 0x11);
	CHECK(low.offset == 0 && low.length == 1);
	CHECK(read_number(&bus, 0x1008, 8) == 0x1111111111111111);
	CHECK(low.offset == 8 && low.length == 8);
	CHECK(read_number(&bus, UINT64_MAX - 7, 8) == 0x2222222222222222);
	bus_write(&bus, UINT64_MAX, (const uint8_t *)"\x33", 1);
	CHECK(high.name == 0x33 && high.offset == 7);
}

static void what_nobody_answers_reads_as_ones(void)
{
	struct bus bus = { 0 };
	struct probe probe = { .name = 0x11 };
	const uint8_t data[16] = { 0x44 };
	uint8_t wide[16] = { 0 };

	bus_add(&bus, 0x1000, 0x10, &probe_ops, &probe);
	CHECK(read_number(&bus, 0xfff, 1) == 0xff);
	CHECK(read_number(&bus, 0x1010, 4) == 0xffffffff);
	CHECK(read_number(&bus, 0xfff, 2) == 0xffff);
	CHECK(read_number(&bus, 0x100f, 2) == 0xffff);
	CHECK(read_number(&bus, UINT64_MAX, 8) == UINT64_MAX);
	CHECK(read_number(&bus, 0x1000, 0) == 0);
	bus_read(&bus, 0x1000, wide, sizeof(wide));
	CHECK(wide[0] == 0xff && wide[15] == 0xff);
	bus_write(&bus, 0x100f, data, 2);
	bus_write(&bus, 0xfff, data, 2);
	bus_write(&bus, 0x1000, data, 16);
	bus_write(&bus, 0x1000, data, 0);
	CHECK(probe.accesses == 0 && probe.name == 0x11);
}

int main(void)
{
	TEST(regions_are_checked);
	TEST(one_region_too_many_is_refused);
	TEST(accesses_reach_their_device);
	TEST(what_nobody_answers_reads_as_ones);
	return tap_done();
}
