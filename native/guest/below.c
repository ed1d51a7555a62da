/* SPDX-License-Identifier: MIT */
#include "below.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copies the next name of a path, and goes past it. 0 at the end. */
static int next_name(const char **path, char *name)
{
	size_t length;

	do {
		*path += strspn(*path, "/");
		length = strcspn(*path, "/");
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, *path, length);
		name[length] = '\0';
		*path += length;
	} while (!strcmp(name, "."));
	if (!strcmp(name, ".."))
		return -EPERM;
	return length > 0;
}

static int open_folder(int parent, const char *name)
{
	return openat(parent, name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A link and a file are no folders. */
static int enter(int parent, const char *name)
{
	int fd = open_folder(parent, name);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(parent, name, 0755) && errno != EEXIST)
			return -errno;
		fd = open_folder(parent, name);
	}
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -EPERM : -errno;
	return fd;
}

int below_open(int root, const char *path, struct below *below)
{
	char name[NAME_MAX + 1];
	int found;

	if (path[0] == '/')
		return -EPERM;
	found = next_name(&path, below->name);
	if (found <= 0)
		return found < 0 ? found : 1;
	below->folder = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (below->folder < 0)
		return -errno;
	while ((found = next_name(&path, name)) > 0) {
		int inner = enter(below->folder, below->name);

		close(below->folder);
		if (inner < 0)
			return inner;
		below->folder = inner;
		memcpy(below->name, name, sizeof(name));
	}
	if (found < 0)
		close(below->folder);
	return found;
}
