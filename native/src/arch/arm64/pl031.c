/* SPDX-License-Identifier: MIT */
#include "pl031.h"

#include <string.h>
#include <time.h>

/* Registers, of 32 bits each */
enum {
	PL031_DATA = 0x00,
	PL031_LOAD = 0x08,
	PL031_CONTROL = 0x0c,
	PL031_IDENTITY = 0xfe0, /* eight of them, a byte in each */
};

static const uint8_t pl031_identity[] = { 0x31, 0x10, 0x04, 0x00,
					  0x0d, 0xf0, 0x05, 0xb1 };

static uint32_t pl031_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)now.tv_sec;
}

static uint32_t pl031_register(const struct pl031 *rtc, uint64_t offset)
{
	if (offset >= PL031_IDENTITY)
		return pl031_identity[(offset - PL031_IDENTITY) / 4];
	switch (offset) {
	case PL031_DATA:
		return pl031_now() +
		       __atomic_load_n(&rtc->offset, __ATOMIC_RELAXED);
	case PL031_LOAD:
		return __atomic_load_n(&rtc->load, __ATOMIC_RELAXED);
	case PL031_CONTROL:
		return 1; /* it runs */
	default:
		return 0;
	}
}

static void pl031_set(struct pl031 *rtc, uint32_t seconds)
{
	__atomic_store_n(&rtc->load, seconds, __ATOMIC_RELAXED);
	__atomic_store_n(&rtc->offset, seconds - pl031_now(), __ATOMIC_RELAXED);
}

/* Other accesses than those of whole registers read zero and write nothing. */
static void pl031_read(void *device, uint64_t offset, uint8_t *data,
		       uint32_t length)
{
	uint32_t value;

	if (length != sizeof(value) || offset % sizeof(value) != 0)
		return;
	value = pl031_register(device, offset);
	memcpy(data, &value, sizeof(value));
}

static void pl031_write(void *device, uint64_t offset, const uint8_t *data,
			uint32_t length)
{
	uint32_t value;

	if (length != sizeof(value) || offset != PL031_LOAD)
		return;
	memcpy(&value, data, sizeof(value));
	pl031_set(device, value);
}

const struct bus_ops pl031_bus_ops = {
	.read = pl031_read,
	.write = pl031_write,
};
