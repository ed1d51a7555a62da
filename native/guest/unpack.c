/* SPDX-License-Identifier: MIT */
/* An archive as a file or folder, which is named by the caller alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "below.h"
#include "tar.h"
#include "transfer.h"
#include "work.h"

enum { PIECE_BYTES = 64 * 1024 };

/* A folder gets its mode and time when all is in it. */
struct finish {
	struct finish *next;
	uint32_t mode;
	int64_t seconds;
	char path[];
};

struct unpacking {
	struct tar_reader reader;
	struct tar_entry entry;
	const char *path; /* of the root */
	int root;         /* -1 until its entry came, or one that is below */
	bool done;        /* the root was no folder: there can be no more */
	int64_t entries;
	struct finish *folders;
	const char *step;
	const char *reason;
};

static int failed(struct unpacking *unpacking, const char *step)
{
	unpacking->step = step;
	return -errno;
}

static int unsafe(struct unpacking *unpacking, const char *step)
{
	unpacking->step = step;
	unpacking->reason = REASON_UNSAFE;
	return -EPERM;
}

static struct timespec time_of(int64_t seconds)
{
	return (struct timespec) { .tv_sec = (time_t)seconds };
}

/* Nothing but a folder may stand in the way. */
static int make_way(const struct below *at)
{
	return unlinkat(at->folder, at->name, 0) && errno != ENOENT ? -errno
								    : 0;
}

static int receive_content(struct unpacking *unpacking, int fd)
{
	static uint8_t piece[PIECE_BYTES];
	ssize_t count;

	while ((count = tar_read_content(&unpacking->reader, piece,
					 sizeof(piece))) > 0) {
		int error = transfer_write(fd, piece, (size_t)count);

		if (error) {
			unpacking->step = "write";
			return error;
		}
	}
	if (count < 0)
		unpacking->step = "read the archive";
	return (int)count;
}

static int unpack_file(struct unpacking *unpacking, const struct below *at)
{
	struct timespec times[2] = { time_of(unpacking->entry.seconds),
				     time_of(unpacking->entry.seconds) };
	int error = make_way(at);
	int fd;

	unpacking->step = "create";
	if (error)
		return error;
	fd = openat(at->folder, at->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = receive_content(unpacking, fd);
	if (!error && fchmod(fd, (mode_t)unpacking->entry.mode))
		error = failed(unpacking, "mode");
	if (!error && futimens(fd, times))
		error = failed(unpacking, "time");
	if (close(fd) && !error)
		error = failed(unpacking, "write");
	return error;
}

static int unpack_link(struct unpacking *unpacking, const struct below *at)
{
	struct timespec times[2] = { time_of(unpacking->entry.seconds),
				     time_of(unpacking->entry.seconds) };
	int error = make_way(at);

	unpacking->step = "link";
	if (error)
		return error;
	/* Where it leads does not matter: nothing here goes through links. */
	if (symlinkat(unpacking->entry.target, at->folder, at->name) ||
	    utimensat(at->folder, at->name, times, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return 0;
}

/* The other name must be one of this archive's files. */
static int unpack_hard_link(struct unpacking *unpacking, const struct below *at)
{
	struct below other;
	struct stat status;
	int error = below_open(unpacking->root, unpacking->entry.target,
			       &other);

	if (error > 0 || error == -EPERM)
		return unsafe(unpacking, "hard link");
	unpacking->step = "link";
	if (error)
		return error;
	if (fstatat(other.folder, other.name, &status, AT_SYMLINK_NOFOLLOW))
		error = -errno;
	else if (!S_ISREG(status.st_mode))
		error = unsafe(unpacking, "hard link");
	if (!error)
		error = make_way(at);
	if (!error && linkat(other.folder, other.name, at->folder, at->name, 0))
		error = -errno;
	close(other.folder);
	return error;
}

static int finish_later(struct unpacking *unpacking)
{
	const struct tar_entry *entry = &unpacking->entry;
	size_t length = strlen(entry->path) + 1;
	struct finish *finish = malloc(sizeof(*finish) + length);

	if (!finish)
		return -ENOMEM;
	memcpy(finish->path, entry->path, length);
	finish->mode = entry->mode;
	finish->seconds = entry->seconds;
	finish->next = unpacking->folders;
	unpacking->folders = finish;
	return 0;
}

static int unpack_folder(struct unpacking *unpacking, const struct below *at)
{
	struct stat status;

	unpacking->step = "mkdir";
	if (mkdirat(at->folder, at->name, 0700)) {
		if (errno != EEXIST)
			return -errno;
		if (fstatat(at->folder, at->name, &status, AT_SYMLINK_NOFOLLOW))
			return -errno;
		if (!S_ISDIR(status.st_mode))
			return unsafe(unpacking, "folder");
	}
	return finish_later(unpacking);
}

static int unpack_at(struct unpacking *unpacking, const struct below *at)
{
	switch (unpacking->entry.type) {
	case TAR_FILE:
		return unpack_file(unpacking, at);
	case TAR_LINK:
		return unpack_link(unpacking, at);
	case TAR_HARD_LINK:
		return unpack_hard_link(unpacking, at);
	case TAR_FOLDER:
		return unpack_folder(unpacking, at);
	default:
		return unsafe(unpacking, "device");
	}
}

/* The caller's own path may lead through links. */
static int open_root(struct unpacking *unpacking)
{
	const char *path = unpacking->path;

	if (unpacking->root >= 0)
		return 0;
	if (mkdir(path, 0755) && errno != EEXIST)
		return failed(unpacking, "mkdir");
	unpacking->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return unpacking->root < 0 ? failed(unpacking, "open") : 0;
}

/* What the caller's path names, as a name in its folder. */
static int unpack_root(struct unpacking *unpacking)
{
	struct below at;
	char folder[PATH_MAX];
	const char *slash = strrchr(unpacking->path, '/');
	const char *name = slash ? slash + 1 : unpacking->path;
	int error;

	if (unpacking->entry.type == TAR_FOLDER) {
		error = open_root(unpacking);
		return error ? error : finish_later(unpacking);
	}
	if (unpacking->entries > 1)
		return unsafe(unpacking, "root");
	snprintf(folder, sizeof(folder), "%.*s",
		 slash ? (int)(slash - unpacking->path) + 1 : 1,
		 slash ? unpacking->path : ".");
	snprintf(at.name, sizeof(at.name), "%s", name);
	at.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at.folder < 0)
		return failed(unpacking, "open");
	unpacking->done = true;
	error = unpack_at(unpacking, &at);
	close(at.folder);
	return error;
}

static int unpack_entry(struct unpacking *unpacking)
{
	struct below at;
	int error;

	unpacking->entries++;
	if (unpacking->done)
		return unsafe(unpacking, "root");
	if (!strcmp(unpacking->entry.path, ".") ||
	    !strcmp(unpacking->entry.path, "./"))
		return unpack_root(unpacking);
	error = open_root(unpacking);
	if (error)
		return error;
	unpacking->step = "open";
	error = below_open(unpacking->root, unpacking->entry.path, &at);
	if (error > 0 || error == -EPERM)
		return unsafe(unpacking, "path");
	if (error)
		return error;
	error = unpack_at(unpacking, &at);
	close(at.folder);
	return error;
}

/* From the last one on: what is inside comes before what it is in. */
static int finish_folders(struct unpacking *unpacking)
{
	for (struct finish *at = unpacking->folders; at; at = at->next) {
		struct timespec times[2] = { time_of(at->seconds),
					     time_of(at->seconds) };
		struct below below = { .folder = -1 };
		int root = below_open(unpacking->root, at->path, &below);
		int fd = root < 0 ? -1
			 : root   ? fcntl(unpacking->root, F_DUPFD_CLOEXEC, 0)
				  : openat(below.folder, below.name,
					   O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						   O_CLOEXEC);

		if (below.folder >= 0)
			close(below.folder);
		memcpy(unpacking->entry.path, at->path, strlen(at->path) + 1);
		if (fd < 0 || fchmod(fd, (mode_t)at->mode) ||
		    futimens(fd, times))
			return failed(unpacking, "mode");
		close(fd);
	}
	return 0;
}

static ssize_t read_input(void *from, void *bytes, size_t length)
{
	ssize_t count;

	(void)from;
	do
		count = read(STDIN_FILENO, bytes, length);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : count;
}

static int unpack_all(struct unpacking *unpacking)
{
	uint8_t rest[TAR_BLOCK];
	int error;

	for (;;) {
		unpacking->step = "read the archive";
		error = tar_read_entry(&unpacking->reader, &unpacking->entry);
		if (error <= 0)
			break;
		error = unpack_entry(unpacking);
		if (error)
			return error;
	}
	/* Whoever sends it may send more zeros. */
	while (!error && read_input(NULL, rest, sizeof(rest)) > 0)
		;
	return error ? error : finish_folders(unpacking);
}

int work_unpack(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure)
{
	static struct unpacking unpacking; /* a child does this once */
	char path[PATH_MAX];
	int error;

	if (work_path(params, "path", path, failure))
		return -1;
	for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
		path[end - 1] = '\0';
	unpacking.path = path;
	unpacking.root = -1;
	unpacking.reason = REASON_FILE;
	unpacking.reader.read = read_input;
	error = unpack_all(&unpacking);
	if (error)
		return failure_set(failure, unpacking.reason, unpacking.step,
				   -error, unpacking.entry.path);
	msgpack_put_map(result, 1);
	msgpack_put_str(result, "entries");
	msgpack_put_integer(result, unpacking.entries);
	return 0;
}
