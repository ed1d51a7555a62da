/* SPDX-License-Identifier: MIT */
#include "fs/host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Descriptors that are given up may be taken by others before us. */
enum { HOST_TRIES = 3 };

static int host_result(int result)
{
	return result < 0 ? -errno : result;
}

/* Whether a call that ran out of descriptors is worth another try. */
static bool host_again(const struct fs_host *host, int result)
{
	return (result == -EMFILE || result == -ENFILE) && host->shed &&
	       host->shed(host->owner);
}

/* -ENOSYS where the kernel or a filter of system calls lacks it. */
static int host_openat2(int folder, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_SYMLINKS,
	};

	return host_result(
		(int)syscall(SYS_openat2, folder, name, &how, sizeof(how)));
}

int fs_host_init(struct fs_host *host)
{
	struct statfs status;
	int probe;

	host->shed = NULL;
	host->proc_fd = open("/proc/self/fd",
			     O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (host->proc_fd < 0)
		return -errno;
	if (fstatfs(host->proc_fd, &status) < 0 ||
	    status.f_type != PROC_SUPER_MAGIC) {
		fs_host_destroy(host);
		return -ENOSYS;
	}
	probe = host_openat2(host->proc_fd, ".");
	host->resolve = probe >= 0;
	if (probe >= 0)
		close(probe);
	return 0;
}

void fs_host_destroy(struct fs_host *host)
{
	close(host->proc_fd);
	host->proc_fd = -1;
}

int fs_name_check(const char *name)
{
	if (strnlen(name, NAME_MAX + 1) > NAME_MAX)
		return -ENAMETOOLONG;
	if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

static int host_look(const struct fs_host *host, int folder, const char *name)
{
	if (host->resolve)
		return host_openat2(folder, name);
	/* The same for a single name. */
	return host_result(
		openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

int fs_host_look(const struct fs_host *host, int folder, const char *name)
{
	int fd = host_look(host, folder, name);

	for (int i = 1; i < HOST_TRIES && host_again(host, fd); i++)
		fd = host_look(host, folder, name);
	return fd;
}

struct fs_fd_name fs_host_name(int fd)
{
	struct fs_fd_name name;

	(void)snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

static int host_open(const struct fs_host *host, const char *name, int flags)
{
	/* O_NONBLOCK: nobody's lease on a file may hold up the thread. */
	return host_result(openat(host->proc_fd, name,
				  flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
}

int fs_host_open(const struct fs_host *host, int fd, int flags)
{
	struct fs_fd_name name = fs_host_name(fd);
	int opened = host_open(host, name.text, flags);

	for (int i = 1; i < HOST_TRIES && host_again(host, opened); i++)
		opened = host_open(host, name.text, flags);
	return opened;
}

static int host_create_file(int folder, const char *name, int access_mode,
			    mode_t mode)
{
	return host_result(openat(folder, name,
				  access_mode | O_CREAT | O_EXCL | O_NOFOLLOW |
					  O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
				  mode));
}

int fs_host_create_file(const struct fs_host *host, int folder,
			const char *name, int access_mode, mode_t mode)
{
	int fd = host_create_file(folder, name, access_mode, mode);

	for (int i = 1; i < HOST_TRIES && host_again(host, fd); i++)
		fd = host_create_file(folder, name, access_mode, mode);
	return fd;
}

static int host_statx(int folder, const char *name, int flags,
		      struct statx *status)
{
	if (statx(folder, name, flags | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, status) < 0)
		return -errno;
	return (status->stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS
		       ? 0
		       : -EIO;
}

int fs_host_stat(int fd, struct statx *status)
{
	return host_statx(fd, "", AT_EMPTY_PATH, status);
}

int fs_host_stat_at(int folder, const char *name, struct statx *status)
{
	return host_statx(folder, name, AT_SYMLINK_NOFOLLOW, status);
}

int fs_host_chmod(const struct fs_host *host, int fd, mode_t mode)
{
	struct fs_fd_name name = fs_host_name(fd);

	return host_result(fchmodat(host->proc_fd, name.text, mode, 0));
}
