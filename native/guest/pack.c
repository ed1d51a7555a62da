/* SPDX-License-Identifier: MIT */
/* A file or folder as an archive. The root of it is called ".". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar.h"
#include "transfer.h"
#include "work.h"

/* Each level has a folder open. */
enum { DEPTH_MAX = 512 };

struct packing {
	struct tar_entry entry; /* its path is where the walk is */
	int64_t entries;
	int64_t skipped; /* devices, pipes and sockets: no archive keeps them */
	const char *step; /* of what failed */
};

static int pack(struct packing *packing, int parent, const char *name,
		unsigned int depth);

static int failed(struct packing *packing, const char *step)
{
	packing->step = step;
	return -errno;
}

static int send_header(struct packing *packing, enum tar_type type,
		       const struct stat *status)
{
	packing->entry.type = type;
	packing->entry.mode = status->st_mode & 07777;
	packing->entry.size = type == TAR_FILE ? status->st_size : 0;
	packing->entry.seconds = status->st_mtim.tv_sec;
	packing->entries++;
	packing->step = "send";
	return tar_write_entry(STDOUT_FILENO, &packing->entry);
}

/* A file that grows meanwhile is cut off; one that shrinks is an error, since
 * its header is gone already. */
static int send_content(struct packing *packing, int fd, int64_t size)
{
	int64_t count = transfer_copy(STDOUT_FILENO, fd, size);

	packing->step = "read";
	if (count < 0)
		return (int)count;
	if (count < size)
		return -ESTALE;
	return tar_write_padding(STDOUT_FILENO, size);
}

static int pack_file(struct packing *packing, int parent, const char *name)
{
	int fd = openat(parent, name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	int error;

	if (fd < 0 || fstat(fd, &status)) {
		error = failed(packing, "open");
	} else {
		error = send_header(packing, TAR_FILE, &status);
		if (!error)
			error = send_content(packing, fd, status.st_size);
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static int pack_link(struct packing *packing, int parent, const char *name,
		     const struct stat *status)
{
	char *target = packing->entry.target;
	ssize_t length = readlinkat(parent, name, target, PATH_MAX - 1);
	int error;

	if (length < 0)
		return failed(packing, "read");
	target[length] = '\0';
	error = send_header(packing, TAR_LINK, status);
	target[0] = '\0';
	return error;
}

/* The walk goes one level down and comes back. */
static int pack_member(struct packing *packing, int folder, const char *name,
		       unsigned int depth)
{
	char *path = packing->entry.path;
	size_t length = strlen(path);
	int error;

	if (length + 1 + strlen(name) >= PATH_MAX || depth > DEPTH_MAX) {
		errno = ENAMETOOLONG;
		return failed(packing, "open");
	}
	path[length] = '/';
	memcpy(path + length + 1, name, strlen(name) + 1);
	error = pack(packing, folder, name, depth);
	if (!error)
		path[length] = '\0';
	return error;
}

static int pack_folder(struct packing *packing, int parent, const char *name,
		       const struct stat *status, unsigned int depth)
{
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *member;
	int error;

	if (!folder)
		return failed(packing, "open");
	error = send_header(packing, TAR_FOLDER, status);
	while (!error && (errno = 0, member = readdir(folder)))
		if (strcmp(member->d_name, ".") != 0 &&
		    strcmp(member->d_name, "..") != 0)
			error = pack_member(packing, fd, member->d_name,
					    depth + 1);
	if (!error && errno)
		error = failed(packing, "list");
	closedir(folder);
	return error;
}

static int pack(struct packing *packing, int parent, const char *name,
		unsigned int depth)
{
	struct stat status;

	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW))
		return failed(packing, "stat");
	switch (status.st_mode & S_IFMT) {
	case S_IFREG:
		return pack_file(packing, parent, name);
	case S_IFDIR:
		return pack_folder(packing, parent, name, &status, depth);
	case S_IFLNK:
		return pack_link(packing, parent, name, &status);
	default:
		packing->skipped++;
		return 0;
	}
}

int work_pack(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure)
{
	static struct packing packing; /* a child does this once */
	char path[PATH_MAX];
	int error;

	if (work_path(params, "path", path, failure))
		return -1;
	memcpy(packing.entry.path, ".", sizeof("."));
	error = pack(&packing, AT_FDCWD, path, 0);
	if (!error) {
		packing.step = "send";
		error = tar_write_end(STDOUT_FILENO);
	}
	if (error) {
		size_t length = strlen(path);
		size_t rest = strnlen(packing.entry.path + 1,
				      PATH_MAX - 1 - length);

		failure_set(failure, REASON_FILE, packing.step, -error, path);
		memcpy(failure->subject + length, packing.entry.path + 1, rest);
		failure->subject[length + rest] = '\0';
		return -1;
	}
	msgpack_put_map(result, 2);
	msgpack_put_str(result, "entries");
	msgpack_put_integer(result, packing.entries);
	msgpack_put_str(result, "skipped");
	msgpack_put_integer(result, packing.skipped);
	return 0;
}
