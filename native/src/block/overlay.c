/* SPDX-License-Identifier: MIT */
/*
 * Why no request can undo another, completed one:
 *
 * A cluster goes from the image to the overlay once, under the lock: what it
 * is to hold is written first, then its bit is set. So a reader that finds the
 * bit finds the data, and one that does not finds what was there before. What
 * the guest does not write of a cluster is copied from the image; only a
 * cluster without the bit is copied to, and nobody but the holder of the lock
 * writes to such a cluster, so a copy never lands on what a guest has written.
 * Once the bit is set, writes need no lock: they are as independent as they
 * would be on a file.
 */
#include "block/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	OVERLAY_CLUSTER = 4096,
	OVERLAY_WORD = 64, /* clusters with a bit in one word */
	/* Of a range that is looked at without waiting. */
	OVERLAY_DIRECT_MAX = 2 * 1024 * 1024,
};

struct overlay {
	int image_fd; /* borrowed */
	int fd;       /* owned */
	uint64_t size;
	uint64_t *written; /* a bit a cluster, atomic; set under lock */
	size_t written_bytes;
	pthread_mutex_t lock;
};

static bool overlay_has(const struct overlay *overlay, uint64_t cluster)
{
	/* Pairs with overlay_mark(): the data is there to read. */
	uint64_t word = __atomic_load_n(
		&overlay->written[cluster / OVERLAY_WORD], __ATOMIC_ACQUIRE);

	return word >> (cluster % OVERLAY_WORD) & 1;
}

/* Sets the bits of clusters first to last. */
static void overlay_mark(struct overlay *overlay, uint64_t first, uint64_t last)
{
	for (uint64_t at = first; at <= last;) {
		uint64_t end = at - at % OVERLAY_WORD + OVERLAY_WORD;
		uint64_t bits = UINT64_MAX << (at % OVERLAY_WORD);

		if (end > last)
			bits &= UINT64_MAX >>
				(OVERLAY_WORD - 1 - last % OVERLAY_WORD);
		__atomic_fetch_or(&overlay->written[at / OVERLAY_WORD], bits,
				  __ATOMIC_RELEASE);
		at = end;
	}
}

/* The first cluster up to end whose bit is not as that of first. */
static uint64_t overlay_run(const struct overlay *overlay, uint64_t first,
			    uint64_t end)
{
	bool has = overlay_has(overlay, first);
	uint64_t same = has ? UINT64_MAX : 0;
	uint64_t at = first + 1;

	while (at < end) {
		uint64_t word = __atomic_load_n(
			&overlay->written[at / OVERLAY_WORD], __ATOMIC_ACQUIRE);

		if (word == same)
			at += OVERLAY_WORD - at % OVERLAY_WORD;
		else if ((word >> (at % OVERLAY_WORD) & 1) == has)
			at++;
		else
			return at;
	}
	return end;
}

static uint64_t overlay_cluster_end(uint64_t end)
{
	return (end + OVERLAY_CLUSTER - 1) / OVERLAY_CLUSTER;
}

int overlay_direct(struct overlay *overlay, bool write, uint64_t offset,
		   uint64_t length)
{
	uint64_t first = offset / OVERLAY_CLUSTER;
	uint64_t end = overlay_cluster_end(offset + length);
	bool written;

	if (length == 0 || length > OVERLAY_DIRECT_MAX)
		return -1;
	written = overlay_has(overlay, first);
	if ((write && !written) || overlay_run(overlay, first, end) < end)
		return -1;
	return written ? overlay->fd : overlay->image_fd;
}

int overlay_read(struct overlay *overlay, struct file_buffers *buffers,
		 uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;

	while (offset < end) {
		uint64_t first = offset / OVERLAY_CLUSTER;
		int fd = overlay_has(overlay, first) ? overlay->fd
						     : overlay->image_fd;
		uint64_t stop = overlay_run(overlay, first,
					    overlay_cluster_end(end)) *
				OVERLAY_CLUSTER;
		int result;

		if (stop > end)
			stop = end;
		result = file_read(fd, buffers, offset, stop - offset);
		if (result < 0)
			return result;
		offset = stop;
	}
	return 0;
}

/* Copies [start, end), less than a cluster, from the image. */
static int overlay_copy(struct overlay *overlay, uint64_t start, uint64_t end)
{
	uint8_t bytes[OVERLAY_CLUSTER];
	struct iovec buffer = { .iov_base = bytes, .iov_len = end - start };
	struct file_buffers buffers = { .first = &buffer, .count = 1 };
	int result = file_read(overlay->image_fd, &buffers, start, end - start);

	if (result < 0)
		return result;
	buffer = (struct iovec) { .iov_base = bytes, .iov_len = end - start };
	buffers = (struct file_buffers) { .first = &buffer, .count = 1 };
	return file_write(overlay->fd, &buffers, start, end - start, false);
}

/*
 * With the lock held: fills up those clusters at the ends of [offset, end)
 * that the range covers in part and that are not there yet.
 */
static int overlay_copy_ends(struct overlay *overlay, uint64_t offset,
			     uint64_t end)
{
	uint64_t first = offset / OVERLAY_CLUSTER;
	uint64_t last = (end - 1) / OVERLAY_CLUSTER;
	uint64_t last_end = (last + 1) * OVERLAY_CLUSTER;
	int result = 0;

	if (last_end > overlay->size)
		last_end = overlay->size;
	if (offset > first * OVERLAY_CLUSTER && !overlay_has(overlay, first))
		result = overlay_copy(overlay, first * OVERLAY_CLUSTER, offset);
	if (result == 0 && end < last_end && !overlay_has(overlay, last))
		result = overlay_copy(overlay, end, last_end);
	return result;
}

static bool overlay_has_all(const struct overlay *overlay, uint64_t offset,
			    uint64_t length)
{
	uint64_t first = offset / OVERLAY_CLUSTER;
	uint64_t end = overlay_cluster_end(offset + length);

	return overlay_has(overlay, first) &&
	       overlay_run(overlay, first, end) == end;
}

int overlay_write(struct overlay *overlay, struct file_buffers *buffers,
		  uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	int result;

	if (length == 0)
		return 0;
	if (overlay_has_all(overlay, offset, length))
		return file_write(overlay->fd, buffers, offset, length, false);
	pthread_mutex_lock(&overlay->lock);
	result = overlay_copy_ends(overlay, offset, end);
	if (result == 0)
		result = file_write(overlay->fd, buffers, offset, length,
				    false);
	if (result == 0)
		overlay_mark(overlay, offset / OVERLAY_CLUSTER,
			     (end - 1) / OVERLAY_CLUSTER);
	pthread_mutex_unlock(&overlay->lock);
	return result;
}

/* Whole clusters, or up to the end of the disk: a hole reads as zeroes. */
static int overlay_zero_clusters(struct overlay *overlay, uint64_t offset,
				 uint64_t end)
{
	int result;

	if (offset >= end)
		return 0;
	pthread_mutex_lock(&overlay->lock);
	result = file_zero(overlay->fd, false, offset, end - offset, true);
	if (result == 0)
		overlay_mark(overlay, offset / OVERLAY_CLUSTER,
			     (end - 1) / OVERLAY_CLUSTER);
	pthread_mutex_unlock(&overlay->lock);
	return result;
}

/* Less than a cluster. */
static int overlay_write_zeroes(struct overlay *overlay, uint64_t offset,
				uint64_t end)
{
	static const uint8_t zeroes[OVERLAY_CLUSTER];
	struct iovec buffer = { .iov_base = (void *)zeroes,
				.iov_len = end - offset };
	struct file_buffers buffers = { .first = &buffer, .count = 1 };

	return overlay_write(overlay, &buffers, offset, end - offset);
}

/* The whole clusters of [offset, end), as bytes; none: *start >= *stop. */
static void overlay_whole(const struct overlay *overlay, uint64_t offset,
			  uint64_t end, uint64_t *start, uint64_t *stop)
{
	*start = overlay_cluster_end(offset) * OVERLAY_CLUSTER;
	*stop = end == overlay->size ? end : end - end % OVERLAY_CLUSTER;
}

int overlay_discard(struct overlay *overlay, uint64_t offset, uint64_t length)
{
	uint64_t start;
	uint64_t stop;

	overlay_whole(overlay, offset, offset + length, &start, &stop);
	return overlay_zero_clusters(overlay, start, stop);
}

int overlay_zero(struct overlay *overlay, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	uint64_t start;
	uint64_t stop;
	int result = 0;

	overlay_whole(overlay, offset, end, &start, &stop);
	if (start >= stop) {
		/* Less than a cluster on each side of a boundary, or one. */
		start = start < end ? start : end;
		stop = start;
	}
	if (offset < start)
		result = overlay_write_zeroes(overlay, offset, start);
	if (result == 0)
		result = overlay_zero_clusters(overlay, start, stop);
	if (result == 0 && stop < end)
		result = overlay_write_zeroes(overlay, stop, end);
	return result;
}

/* A file that nobody else can open, gone with its descriptor. */
static int overlay_open_file(const char *folder)
{
	char *path;
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* Kernels without it see an attempt to write to a folder. */
	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	if (asprintf(&path, "%s/capsa-overlay-XXXXXX", folder) < 0)
		return -ENOMEM;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		unlink(path);
	free(path);
	return fd;
}

int overlay_create(struct overlay **out, const char *folder, int image_fd,
		   uint64_t size)
{
	uint64_t words = (overlay_cluster_end(size) + OVERLAY_WORD - 1) /
			 OVERLAY_WORD;
	struct overlay *overlay = calloc(1, sizeof(*overlay));
	int result;

	if (!overlay)
		return -ENOMEM;
	overlay->image_fd = image_fd;
	overlay->size = size;
	overlay->written_bytes = words * sizeof(*overlay->written);
	pthread_mutex_init(&overlay->lock, NULL);
	overlay->fd = overlay_open_file(folder);
	/* Pages of it appear as clusters are written. */
	overlay->written = mmap(
		NULL, overlay->written_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (overlay->fd < 0)
		result = overlay->fd;
	else if (overlay->written == MAP_FAILED ||
		 ftruncate(overlay->fd, (off_t)size) < 0)
		result = -errno;
	else
		result = 0;
	if (result < 0) {
		overlay_destroy(overlay);
		return result;
	}
	*out = overlay;
	return 0;
}

void overlay_destroy(struct overlay *overlay)
{
	if (!overlay)
		return;
	if (overlay->written != MAP_FAILED)
		munmap(overlay->written, overlay->written_bytes);
	if (overlay->fd >= 0)
		close(overlay->fd);
	pthread_mutex_destroy(&overlay->lock);
	free(overlay);
}
