/* SPDX-License-Identifier: MIT */
/* A folder of a test's own, and images of disks in it. */
#ifndef CAPSA_TEST_SCRATCH_H
#define CAPSA_TEST_SCRATCH_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
	char folder[64];
	char file[80]; /* in it */
};

static inline void scratch_create(struct scratch *scratch)
{
	snprintf(scratch->folder, sizeof(scratch->folder),
		 "/var/tmp/capsa-test-XXXXXX");
	if (!mkdtemp(scratch->folder))
		exit(2);
	snprintf(scratch->file, sizeof(scratch->file), "%s/image",
		 scratch->folder);
}

static inline void scratch_destroy(struct scratch *scratch)
{
	unlink(scratch->file);
	if (rmdir(scratch->folder) < 0)
		exit(2);
}

/* What an untouched image holds at an offset. */
static inline uint8_t scratch_byte(uint64_t offset)
{
	return (uint8_t)(offset * 37 + (offset >> 9) * 101 + 11);
}

static inline void scratch_fill(uint8_t *bytes, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = scratch_byte(offset + i);
}

/* Makes the file anew, with size such bytes. */
static inline void scratch_write(const struct scratch *scratch, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	int fd = open(scratch->file, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC,
		      0600);

	if (fd < 0 || !bytes)
		exit(2);
	scratch_fill(bytes, 0, size);
	if (write(fd, bytes, size) != (ssize_t)size)
		exit(2);
	close(fd);
	free(bytes);
}

/* Reads the file's bytes from the host's side. */
static inline void scratch_read(const struct scratch *scratch, uint8_t *bytes,
				uint64_t offset, size_t length)
{
	int fd = open(scratch->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, bytes, length, (off_t)offset) < 0)
		exit(2);
	close(fd);
}

/* Whether [offset, offset + length) of the file is as it was made. */
static inline int scratch_is_untouched(const struct scratch *scratch,
				       uint64_t offset, size_t length)
{
	uint8_t *is = calloc(1, length);
	uint8_t *was = malloc(length);
	int same;

	if (!is || !was)
		exit(2);
	scratch_read(scratch, is, offset, length);
	scratch_fill(was, offset, length);
	same = memcmp(is, was, length) == 0;
	free(is);
	free(was);
	return same;
}

/* Reproducible random numbers. */
static inline uint32_t scratch_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

#endif
