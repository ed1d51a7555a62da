/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024 };

int transfer_write(int fd, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t count = write(fd, at, length);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0) {
			at += count;
			length -= (size_t)count;
		}
	}
	return 0;
}

int64_t transfer_copy(int to, int from, int64_t most)
{
	uint8_t bytes[PIECE_BYTES];
	int64_t total = 0;

	while (total < most) {
		int64_t left = most - total;
		ssize_t count = read(from, bytes,
				     left < PIECE_BYTES ? (size_t)left
							: PIECE_BYTES);
		int error;

		if (count == 0)
			break;
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		error = transfer_write(to, bytes, (size_t)count);
		if (error)
			return error;
		total += count;
	}
	return total;
}
