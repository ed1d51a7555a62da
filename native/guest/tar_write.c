/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tar.h"
#include "tar_header.h"
#include "transfer.h"

enum {
	/* Two paths and two numbers, with their keys and lengths. */
	EXTENSION_BYTES_MAX = 2 * PATH_MAX + 256,
};

static const uint8_t zeros[2 * TAR_BLOCK];

/* Digits with a NUL behind them; false if there are too many. */
static bool put_octal(char *field, size_t size, int64_t value)
{
	int64_t most = ((int64_t)1 << 3 * (size - 1)) - 1;

	if (value < 0 || value > most)
		return false;
	(void)snprintf(field, size, "%0*llo", (int)size - 1, (long long)value);
	return true;
}

static int write_header(int fd, char type, const char *path, const char *target,
			uint32_t mode, int64_t size, int64_t seconds)
{
	struct tar_header header = { 0 };

	/* What does not fit stands in the extended header. */
	memcpy(header.name, path, strnlen(path, sizeof(header.name)));
	memcpy(header.link, target, strnlen(target, sizeof(header.link)));
	put_octal(header.mode, sizeof(header.mode), mode);
	put_octal(header.uid, sizeof(header.uid), 0);
	put_octal(header.gid, sizeof(header.gid), 0);
	if (!put_octal(header.size, sizeof(header.size), size))
		put_octal(header.size, sizeof(header.size), 0);
	if (!put_octal(header.seconds, sizeof(header.seconds), seconds))
		put_octal(header.seconds, sizeof(header.seconds), 0);
	header.type = type;
	memcpy(header.magic, "ustar", sizeof(header.magic));
	memcpy(header.version, "00", sizeof(header.version));
	(void)snprintf(header.checksum, sizeof(header.checksum), "%06o",
		       tar_header_sum(&header));
	header.checksum[7] = ' ';
	return transfer_write(fd, &header, sizeof(header));
}

/* "LENGTH KEY=VALUE\n", where the length counts itself. */
static size_t put_record(char *records, size_t used, const char *key,
			 const char *value)
{
	size_t bare = strlen(key) + strlen(value) + 3;
	size_t length = bare + 1;
	char digits[24];

	while (bare + (size_t)snprintf(digits, sizeof(digits), "%zu", length) !=
	       length)
		length++;
	(void)snprintf(records + used, EXTENSION_BYTES_MAX - used,
		       "%zu %s=%s\n", length, key, value);
	return used + length;
}

static size_t put_number_record(char *records, size_t used, const char *key,
				int64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%lld", (long long)value);
	return put_record(records, used, key, digits);
}

int tar_write_padding(int fd, int64_t size)
{
	size_t over = (size_t)(size % TAR_BLOCK);

	return over ? transfer_write(fd, zeros, TAR_BLOCK - over) : 0;
}

int tar_write_entry(int fd, const struct tar_entry *entry)
{
	char records[EXTENSION_BYTES_MAX];
	char probe[sizeof(((struct tar_header *)0)->size)];
	size_t length = 0;
	int error = 0;

	if (strlen(entry->path) > sizeof(((struct tar_header *)0)->name))
		length = put_record(records, length, "path", entry->path);
	if (strlen(entry->target) > sizeof(((struct tar_header *)0)->link))
		length = put_record(records, length, "linkpath", entry->target);
	if (!put_octal(probe, sizeof(probe), entry->size))
		length = put_number_record(records, length, "size",
					   entry->size);
	if (!put_octal(probe, sizeof(probe), entry->seconds))
		length = put_number_record(records, length, "mtime",
					   entry->seconds);
	if (length > 0) {
		error = write_header(fd, TAR_EXTENSION, "extension", "", 0644,
				     (int64_t)length, 0);
		if (!error)
			error = transfer_write(fd, records, length);
		if (!error)
			error = tar_write_padding(fd, (int64_t)length);
	}
	if (error)
		return error;
	return write_header(fd, (char)entry->type, entry->path, entry->target,
			    entry->mode, entry->size, entry->seconds);
}

int tar_write_end(int fd)
{
	return transfer_write(fd, zeros, sizeof(zeros));
}
