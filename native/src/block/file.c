/* SPDX-License-Identifier: MIT */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	FILE_ZERO_PAGE = 4096,
	FILE_ZERO_PAGES = 64, /* written at a time */
};

typedef ssize_t file_transfer_call(int fd, const struct iovec *buffers,
				   int count, off_t offset, int flags);

void file_buffers_skip(struct file_buffers *buffers, uint64_t length)
{
	while (buffers->count > 0 && length >= buffers->first->iov_len) {
		length -= buffers->first->iov_len;
		buffers->first++;
		buffers->count--;
	}
	if (buffers->count > 0) {
		struct iovec *first = buffers->first;

		first->iov_base = (uint8_t *)first->iov_base + length;
		first->iov_len -= (size_t)length;
	}
}

/* How many entries hold the first length bytes, the last of them cut to fit. */
static uint32_t file_buffers_cut(const struct file_buffers *buffers,
				 uint64_t length, size_t *cut)
{
	uint32_t count = 0;

	*cut = 0;
	while (count < buffers->count && length > 0) {
		struct iovec *buffer = &buffers->first[count++];

		if (buffer->iov_len > length) {
			*cut = buffer->iov_len - (size_t)length;
			buffer->iov_len = (size_t)length;
		}
		length -= buffer->iov_len;
	}
	return count;
}

static int file_transfer(file_transfer_call *call, int fd,
			 struct file_buffers *buffers, uint64_t offset,
			 uint64_t length, int flags)
{
	while (length > 0) {
		size_t cut;
		uint32_t count = file_buffers_cut(buffers, length, &cut);
		ssize_t moved = call(fd, buffers->first, (int)count,
				     (off_t)offset, flags);

		if (count > 0)
			buffers->first[count - 1].iov_len += cut;
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return moved < 0 ? -errno : -EIO;
		file_buffers_skip(buffers, (uint64_t)moved);
		offset += (uint64_t)moved;
		length -= (uint64_t)moved;
	}
	return 0;
}

int file_read(int fd, struct file_buffers *buffers, uint64_t offset,
	      uint64_t length)
{
	return file_transfer(preadv2, fd, buffers, offset, length, 0);
}

int file_write(int fd, struct file_buffers *buffers, uint64_t offset,
	       uint64_t length, bool durable)
{
	return file_transfer(pwritev2, fd, buffers, offset, length,
			     durable ? RWF_DSYNC : 0);
}

int file_flush(int fd)
{
	while (fdatasync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int file_allocate(int fd, int mode, uint64_t offset, uint64_t length)
{
	while (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int file_range_ioctl(int fd, unsigned long request, uint64_t offset,
			    uint64_t length)
{
	uint64_t range[2] = { offset, length };

	if (ioctl(fd, request, range) == 0)
		return 0;
	/* A device with larger sectors takes only its own whole ones. */
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

int file_discard(int fd, bool device, uint64_t offset, uint64_t length)
{
	int result = device ? file_range_ioctl(fd, BLKDISCARD, offset, length)
			    : file_allocate(fd, FALLOC_FL_PUNCH_HOLE, offset,
					    length);

	/* It is a hint: one that cannot be taken is no failure. */
	return result == -EOPNOTSUPP ? 0 : result;
}

static int file_write_zeroes(int fd, uint64_t offset, uint64_t length)
{
	static const uint8_t zeroes[FILE_ZERO_PAGE];

	while (length > 0) {
		struct iovec pages[FILE_ZERO_PAGES];
		struct file_buffers buffers = { .first = pages };
		uint64_t part = 0;
		int result;

		while (part < length && buffers.count < FILE_ZERO_PAGES) {
			uint64_t left = length - part;
			size_t size = left < FILE_ZERO_PAGE ? (size_t)left
							    : FILE_ZERO_PAGE;

			pages[buffers.count++] = (struct iovec) {
				.iov_base = (void *)zeroes,
				.iov_len = size,
			};
			part += size;
		}
		result = file_write(fd, &buffers, offset, part, false);
		if (result < 0)
			return result;
		offset += part;
		length -= part;
	}
	return 0;
}

int file_zero(int fd, bool device, uint64_t offset, uint64_t length, bool unmap)
{
	int first = unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	int second = unmap ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	int result;

	if (device) {
		result = file_range_ioctl(fd, BLKZEROOUT, offset, length);
	} else {
		result = file_allocate(fd, first, offset, length);
		if (result == -EOPNOTSUPP)
			result = file_allocate(fd, second, offset, length);
	}
	return result == -EOPNOTSUPP ? file_write_zeroes(fd, offset, length)
				     : result;
}
