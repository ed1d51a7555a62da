/* SPDX-License-Identifier: MIT */
/* Folders: list, make, remove. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entry.h"
#include "transfer.h"
#include "work.h"

enum {
	/* A name and a target at most, and their keys. */
	ENTRY_BYTES_MAX = PATH_MAX + NAME_MAX + 256,
	/* Each level has a folder open. */
	DEPTH_MAX = 512,
};

static int refuse(struct failure *failure, const char *step, int error,
		  const char *path)
{
	return failure_set(failure, REASON_FILE, step, error, path);
}

static bool is_itself_or_parent(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* A length and a map, like a frame. */
static int send_entry(int folder, const char *name)
{
	uint8_t bytes[4 + ENTRY_BYTES_MAX];
	struct msgpack_writer writer = { bytes + 4, bytes + sizeof(bytes),
					 false };
	struct stat status;
	size_t length;

	/* It went away meanwhile. */
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
		return 0;
	entry_put(&writer, folder, name, name, &status);
	length = (size_t)(writer.at - bytes) - 4;
	bytes[0] = bytes[1] = 0;
	bytes[2] = (uint8_t)(length >> 8);
	bytes[3] = (uint8_t)length;
	return transfer_write(STDOUT_FILENO, bytes, 4 + length);
}

int work_list(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;
	int error = 0;

	if (work_path(params, "path", path, failure))
		return -1;
	folder = opendir(path);
	if (!folder)
		return refuse(failure, "open", errno, path);
	for (errno = 0; !error && (entry = readdir(folder)); errno = 0)
		if (!is_itself_or_parent(entry->d_name))
			error = send_entry(dirfd(folder), entry->d_name);
	if (!error)
		error = -errno;
	closedir(folder);
	if (error)
		return refuse(failure, "read", -error, path);
	msgpack_put_map(result, 0);
	return 0;
}

/* Makes what is missing of the folders that lead to the last one. */
static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int failed;

		*slash = '\0';
		failed = mkdir(path, 0755);
		*slash = '/';
		if (failed && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static bool is_folder(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISDIR(status.st_mode);
}

/* One that is there is as good, if that is wanted, and stays as it is. */
static int make_folder(const char *path, mode_t mode, bool may_exist)
{
	if (mkdir(path, 0755))
		return may_exist && errno == EEXIST && is_folder(path) ? 0
								       : -errno;
	/* Whatever the umask is. */
	return chmod(path, mode) ? -errno : 0;
}

int work_mkdir(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure)
{
	char path[PATH_MAX];
	bool recursive = work_flag(params, "recursive");
	mode_t mode = (mode_t)work_number(params, "mode", 0755) & 07777;
	int error;

	if (work_path(params, "path", path, failure))
		return -1;
	error = recursive ? make_parents(path) : 0;
	if (!error)
		error = make_folder(path, mode, recursive);
	if (error)
		return refuse(failure, "mkdir", -error, path);
	msgpack_put_map(result, 0);
	return 0;
}

static int remove_tree(int parent, const char *name, unsigned int depth);

static int remove_members(DIR *folder, unsigned int depth)
{
	struct dirent *entry;
	int error = 0;

	while (!error && (entry = readdir(folder)))
		if (!is_itself_or_parent(entry->d_name))
			error = remove_tree(dirfd(folder), entry->d_name,
					    depth + 1);
	return error;
}

/* Never through a link: what is removed lies below the folder that was named.
 */
static int remove_tree(int parent, const char *name, unsigned int depth)
{
	DIR *folder;
	int error;
	int fd;

	if (!unlinkat(parent, name, 0))
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ENAMETOOLONG;
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder)
		return -errno;
	error = remove_members(folder, depth);
	closedir(folder);
	if (!error && unlinkat(parent, name, AT_REMOVEDIR))
		return -errno;
	return error;
}

int work_remove(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure)
{
	char path[PATH_MAX];
	int error;

	if (work_path(params, "path", path, failure))
		return -1;
	if (work_flag(params, "recursive"))
		error = remove_tree(AT_FDCWD, path, 0);
	else
		error = unlink(path) && (errno != EISDIR || rmdir(path))
				? -errno
				: 0;
	if (error && !(error == -ENOENT && work_flag(params, "force")))
		return refuse(failure, "remove", -error, path);
	msgpack_put_map(result, 0);
	return 0;
}
