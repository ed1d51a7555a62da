/* SPDX-License-Identifier: MIT */
/* A driver's access to the registers, as the fuzzers' input has it. */
#ifndef CAPSA_TEST_FUZZ_ACCESS_H
#define CAPSA_TEST_FUZZ_ACCESS_H

#include <stdint.h>

#include "virtio/mmio.h"

/* Of 8 bytes: [1] and [2] say where and how much, [3] which way, then data. */
static inline void fuzz_access(struct virtio_mmio *mmio, const uint8_t *bytes)
{
	uint64_t offset = bytes[1] * 4u + (bytes[2] & 3u);
	uint32_t length = 1 + (bytes[2] >> 2 & 7);
	uint8_t value[8] = { bytes[4], bytes[5], bytes[6], bytes[7] };

	if (bytes[3] & 1)
		virtio_mmio_bus_ops.read(mmio, offset, value, length);
	else
		virtio_mmio_bus_ops.write(mmio, offset, value, length);
}

#endif
