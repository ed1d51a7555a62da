/* SPDX-License-Identifier: MIT */
/*
 * How a share reaches the host's files: through descriptors of what has been
 * looked up, and single names below them. No path is ever walked, and no
 * symbolic link is ever followed but those of /proc/self/fd, which lead from
 * a descriptor of ours to the very file that it stands for.
 *
 * Every descriptor is close-on-exec. Functions return 0, or a descriptor, or
 * -errno; nothing here locks.
 */
#ifndef CAPSA_FS_HOST_H
#define CAPSA_FS_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct fs_host {
	int proc_fd;  /* /proc/self/fd, owned */
	bool resolve; /* the kernel has openat2() */
	/*
	 * Gives descriptors back when there are no more; false: it has none.
	 * Called where those functions are that return one.
	 */
	bool (*shed)(void *owner);
	void *owner;
};

/* Text of a descriptor's number, its name below proc_fd. */
struct fs_fd_name {
	char text[12];
};

/* With nobody to shed descriptors yet. */
int fs_host_init(struct fs_host *host);
void fs_host_destroy(struct fs_host *host);

/*
 * 0 if name can be nothing but an entry of the folder that it is looked up
 * in; -EINVAL or -ENAMETOOLONG.
 */
int fs_name_check(const char *name);

/* What is called name in folder, as an O_PATH descriptor, a link as itself. */
int fs_host_look(const struct fs_host *host, int folder, const char *name);

/*
 * The file or folder of an O_PATH descriptor for real. flags: access mode,
 * O_TRUNC, O_PATH. The caller has made sure that it is a file or a folder: a
 * device could do anything when it is opened.
 */
int fs_host_open(const struct fs_host *host, int fd, int flags);

/* A new file, which nothing may have the name of: -EEXIST. */
int fs_host_create_file(const struct fs_host *host, int folder,
			const char *name, int access_mode, mode_t mode);

/* For what takes a name only: (proc_fd, name) is the file of fd. */
struct fs_fd_name fs_host_name(int fd);

/* Status of fd's file, or of what is called name in folder. */
int fs_host_stat(int fd, struct statx *status);
int fs_host_stat_at(int folder, const char *name, struct statx *status);

/* Changes the mode of an O_PATH descriptor's file, which is no link. */
int fs_host_chmod(const struct fs_host *host, int fd, mode_t mode);

#endif
