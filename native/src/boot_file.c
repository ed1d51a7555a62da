/* SPDX-License-Identifier: MIT */
#include "boot_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* Of one call, so that a machine being killed waits for no more than that. */
#define BOOT_FILE_CHUNK ((uint64_t)16 << 20)

static enum capsa_status boot_file_unreadable(const struct boot_file *file,
					      int system_errno,
					      const char *operation,
					      const char *message)
{
	return error_set(file->error, file->unreadable, system_errno, operation,
			 file->path, NULL, message);
}

enum capsa_status boot_file_open(struct boot_file *file)
{
	struct stat status;

	if (fstat(file->fd, &status) < 0)
		return boot_file_unreadable(file, errno, "fstat",
					    "the file cannot be examined");
	if (!S_ISREG(status.st_mode))
		return boot_file_unreadable(file, 0, "fstat",
					    "not a regular file");
	file->size = (uint64_t)status.st_size;
	file->whole = (uint64_t)status.st_blocks * 512 >= file->size;
	return CAPSA_STATUS_OK;
}

enum capsa_status boot_file_refuse(const struct boot_file *file,
				   const char *field, const char *format, ...)
{
	char message[sizeof(file->error->message)];
	va_list arguments;

	va_start(arguments, format);
	/* clang-tidy 14 is wrong about this when it reads several files. */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return error_set(file->error, file->invalid, 0, "load", file->path,
			 field, message);
}

static enum capsa_status boot_file_fill(const struct boot_file *file,
					uint64_t offset, uint8_t *out,
					uint64_t length)
{
	while (length > 0) {
		size_t chunk = (size_t)(length < BOOT_FILE_CHUNK
						? length
						: BOOT_FILE_CHUNK);
		ssize_t got = pread(file->fd, out, chunk, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return boot_file_unreadable(file, errno, "pread",
						    "reading failed");
		if (got == 0)
			return boot_file_unreadable(
				file, 0, "pread",
				"the file was cut while being read");
		out += got;
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
	return CAPSA_STATUS_OK;
}

static bool boot_file_holds(const struct boot_file *file, uint64_t offset,
			    uint64_t length)
{
	return offset <= file->size && length <= file->size - offset;
}

enum capsa_status boot_file_read(const struct boot_file *file, uint64_t offset,
				 void *out, size_t length, const char *field)
{
	if (!boot_file_holds(file, offset, length))
		return boot_file_refuse(file, field,
					"reaches beyond the file's end");
	return boot_file_fill(file, offset, out, length);
}

/*
 * The next bytes that are not a hole; their start, or end if there are none.
 * Behind the last of them the file may end in a hole or have been cut, which
 * only reading tells apart.
 */
static uint64_t boot_file_data(const struct boot_file *file, uint64_t offset,
			       uint64_t end, uint64_t *data_end)
{
	off_t start;
	off_t stop;

	*data_end = end;
	if (file->whole)
		return offset;
	start = lseek(file->fd, (off_t)offset, SEEK_DATA);
	if (start < 0)
		return offset;
	if ((uint64_t)start >= end)
		return end;
	stop = lseek(file->fd, start, SEEK_HOLE);
	if (stop > start && (uint64_t)stop < end)
		*data_end = (uint64_t)stop;
	return (uint64_t)start;
}

enum capsa_status boot_file_load(const struct boot_file *file, uint64_t offset,
				 const struct memory *memory, uint64_t address,
				 uint64_t length, const char *field)
{
	uint8_t *host = memory_at(memory, address, length);
	uint64_t at = offset;

	if (!boot_file_holds(file, offset, length))
		return boot_file_refuse(file, field,
					"reaches beyond the file's end");
	if (!host)
		return boot_file_refuse(file, field,
					"reaches beyond guest memory");
	/* What is a hole in the file is zero in memory already. */
	while (at < offset + length) {
		uint64_t stop;
		uint64_t start = boot_file_data(file, at, offset + length,
						&stop);
		enum capsa_status status = boot_file_fill(
			file, start, host + (start - offset), stop - start);

		if (status != CAPSA_STATUS_OK)
			return status;
		at = stop;
	}
	return CAPSA_STATUS_OK;
}
