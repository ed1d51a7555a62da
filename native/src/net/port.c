/* SPDX-License-Identifier: MIT */
#include "net/port.h"

#include <string.h>

uint32_t net_frame_read(const struct net_frame *frame, uint32_t offset,
			void *out, uint32_t length)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < frame->part_count && done < length; i++) {
		const struct iovec *part = &frame->parts[i];
		size_t bytes = length - done;

		if (offset >= part->iov_len) {
			offset -= (uint32_t)part->iov_len;
			continue;
		}
		if (part->iov_len - offset < bytes)
			bytes = part->iov_len - offset;
		memcpy((uint8_t *)out + done,
		       (const uint8_t *)part->iov_base + offset, bytes);
		done += (uint32_t)bytes;
		offset = 0;
	}
	return done;
}
