/* SPDX-License-Identifier: MIT */
/* Single files: read, write, look at, rename. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entry.h"
#include "transfer.h"
#include "work.h"

static int refuse(struct failure *failure, const char *step, int error,
		  const char *path)
{
	return failure_set(failure, REASON_FILE, step, error, path);
}

static void put_size(struct msgpack_writer *result, int64_t size)
{
	msgpack_put_map(result, 1);
	msgpack_put_str(result, "size");
	msgpack_put_integer(result, size);
}

int work_read(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure)
{
	char path[PATH_MAX];
	int64_t offset = work_number(params, "offset", 0);
	int64_t count;
	int fd;

	if (work_path(params, "path", path, failure))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return refuse(failure, "open", errno, path);
	/* What cannot be sought is read from where it stands. */
	if (offset > 0 && lseek(fd, offset, SEEK_SET) < 0)
		return refuse(failure, "seek", errno, path);
	count = transfer_copy(STDOUT_FILENO, fd,
			      work_number(params, "length", INT64_MAX));
	if (count < 0)
		return refuse(failure, "read", (int)-count, path);
	put_size(result, count);
	return 0;
}

int work_write(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure)
{
	char path[PATH_MAX];
	int64_t mode = work_number(params, "mode", -1);
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
	int64_t count;
	int fd;

	if (work_path(params, "path", path, failure))
		return -1;
	flags |= work_flag(params, "append") ? O_APPEND : O_TRUNC;
	fd = open(path, flags, 0644);
	if (fd < 0)
		return refuse(failure, "open", errno, path);
	/* Of a file that was there before, too, and whatever the umask is. */
	if (mode >= 0 && fchmod(fd, (mode_t)mode & 07777))
		return refuse(failure, "mode", errno, path);
	count = transfer_copy(fd, STDIN_FILENO, INT64_MAX);
	if (count < 0)
		return refuse(failure, "write", (int)-count, path);
	if (close(fd))
		return refuse(failure, "write", errno, path);
	put_size(result, count);
	return 0;
}

int work_stat(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure)
{
	char path[PATH_MAX];
	struct stat status;
	int flags = work_flag(params, "follow") ? 0 : AT_SYMLINK_NOFOLLOW;

	if (work_path(params, "path", path, failure))
		return -1;
	if (fstatat(AT_FDCWD, path, &status, flags))
		return refuse(failure, "stat", errno, path);
	entry_put(result, AT_FDCWD, path, path, &status);
	return 0;
}

int work_rename(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure)
{
	char from[PATH_MAX];
	char to[PATH_MAX];

	if (work_path(params, "from", from, failure) ||
	    work_path(params, "to", to, failure))
		return -1;
	if (rename(from, to))
		return refuse(failure, "rename", errno, from);
	msgpack_put_map(result, 0);
	return 0;
}
