/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "folder";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "device";
	}
}

static void put_number(struct msgpack_writer *writer, const char *key,
		       int64_t value)
{
	msgpack_put_str(writer, key);
	msgpack_put_integer(writer, value);
}

void entry_put(struct msgpack_writer *writer, int folder, const char *path,
	       const char *name, const struct stat *status)
{
	char target[PATH_MAX];
	ssize_t length = -1;

	if (S_ISLNK(status->st_mode))
		length = readlinkat(folder, path, target, sizeof(target));
	msgpack_put_map(writer, 7u + (length >= 0));
	/* Names are bytes, and need not be UTF-8. */
	msgpack_put_str(writer, "name");
	msgpack_put_bin(writer, (const uint8_t *)name, (uint32_t)strlen(name));
	msgpack_put_str(writer, "type");
	msgpack_put_str(writer, type_of(status->st_mode));
	put_number(writer, "size", status->st_size);
	put_number(writer, "mode", status->st_mode & 07777);
	put_number(writer, "uid", status->st_uid);
	put_number(writer, "gid", status->st_gid);
	put_number(writer, "modifiedMs",
		   (int64_t)status->st_mtim.tv_sec * 1000 +
			   status->st_mtim.tv_nsec / 1000000);
	if (length >= 0) {
		msgpack_put_str(writer, "target");
		msgpack_put_bin(writer, (const uint8_t *)target,
				(uint32_t)length);
	}
}
