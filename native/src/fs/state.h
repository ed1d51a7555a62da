/* SPDX-License-Identifier: MIT */
/*
 * What the operations of a server share. Each takes what it needs of the
 * request from call, adds its reply there, and returns 0 or -errno.
 */
#ifndef CAPSA_FS_STATE_H
#define CAPSA_FS_STATE_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "capsa.h"
#include "fs/call.h"
#include "fs/handle.h"
#include "fs/host.h"
#include "fs/inode.h"

struct fs_server {
	struct fs_host host;
	struct fs_inodes inodes;
	struct fs_handles handles;
	enum capsa_share_cache cache;
	bool read_only;
	bool has_owner;
	uint32_t owner;
	uint64_t device; /* of the root */
	/*
	 * Held for reading by every request, for writing by those that begin
	 * and end a session, so that these find nothing under way. Taken
	 * before the locks of inodes and handles.
	 */
	pthread_rwlock_t session;
	bool started;
	atomic_uint_fast64_t requests;
};

typedef int fs_operation(struct fs_server *server, struct fs_call *call);

/* session.c */
fs_operation fs_init;
fs_operation fs_destroy;
fs_operation fs_interrupt;
fs_operation fs_syncfs;
fs_operation fs_statfs;

/* lookup.c */
fs_operation fs_lookup;
fs_operation fs_forget;
fs_operation fs_batch_forget;

/* attributes.c */
fs_operation fs_getattr;
fs_operation fs_setattr;
fs_operation fs_readlink;

/* create.c */
fs_operation fs_create;
fs_operation fs_mknod;
fs_operation fs_mkdir;
fs_operation fs_symlink;
fs_operation fs_link;

/* rename.c */
fs_operation fs_unlink;
fs_operation fs_rmdir;
fs_operation fs_rename;
fs_operation fs_rename2;

/* open.c */
fs_operation fs_open;
fs_operation fs_opendir;
fs_operation fs_release;
fs_operation fs_releasedir;
fs_operation fs_flush;
fs_operation fs_fsync;
fs_operation fs_fsyncdir;

/* file.c */
fs_operation fs_read;
fs_operation fs_write;
fs_operation fs_lseek;
fs_operation fs_fallocate;
fs_operation fs_copy_file_range;

/* folder.c */
fs_operation fs_readdir;
fs_operation fs_readdirplus;

/* xattr.c */
fs_operation fs_setxattr;
fs_operation fs_getxattr;
fs_operation fs_listxattr;
fs_operation fs_removexattr;

/* How long the guest may trust what it is told, in seconds. */
uint64_t fs_valid(const struct fs_server *server);

/* The inode's number as the guest sees it. */
uint64_t fs_number(const struct fs_server *server, uint64_t device,
		   uint64_t number);

/* attributes.c: what the guest sees of a status. */
struct fuse_attr fs_attributes(const struct fs_server *server,
			       const struct statx *status);
struct fuse_entry_out fs_entry(const struct fs_server *server, uint64_t id,
			       const struct statx *status);

/*
 * attributes.c: the bits of mode that a file or folder may have. Nothing that
 * a guest has written runs with anybody's rights on the host.
 */
mode_t fs_mode(uint32_t type, uint32_t mode);

/* open.c: opens the file of an inode in use; refuses all but files. */
int fs_open_file(const struct fs_server *server, const struct fs_inode *inode,
		 uint32_t flags);
/* open.c: FOPEN_* for a file that is opened with flags. */
uint32_t fs_open_flags(const struct fs_server *server, uint32_t flags);

#endif
