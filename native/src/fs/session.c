/* SPDX-License-Identifier: MIT */
/* Beginning and end of a session, and what is about the file system whole. */
#include <errno.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fs/server.h"
#include "fs/state.h"

enum {
	SESSION_MINOR_MIN = 31, /* of Linux 5.4, the first with virtio-fs */
	SESSION_MINOR = 38,     /* the newest whose messages are known here */
	SESSION_PAGE = 4096,
	SESSION_BACKGROUND = 64, /* requests nobody waits for */
	SESSION_CONGESTED = 48,
	SESSION_NAME_MAX = 255,
};

_Static_assert(FUSE_KERNEL_MINOR_VERSION >= SESSION_MINOR_MIN,
	       "linux/fuse.h describes the messages of a session");

/*
 * What is asked of the guest if it can do it. Not FUSE_WRITEBACK_CACHE: what a
 * guest's program has written is on the host when write() returns, and it is
 * told of a full disk there. Not FUSE_POSIX_LOCKS: locks are the guest's own.
 * FUSE_HANDLE_KILLPRIV_V2 is kept by more than it asks for: no file that is
 * open for writing has bits to lose (open.c), and the guest need not look for
 * them before it writes.
 */
#define SESSION_FLAGS                                                          \
	((uint32_t)(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |  \
		    FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |              \
		    FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |   \
		    FUSE_HANDLE_KILLPRIV_V2))

static uint32_t session_flags(const struct fs_server *server)
{
	/* Cached pages live as long as the file looks the same. */
	if (server->cache != CAPSA_SHARE_CACHE_ALWAYS)
		return SESSION_FLAGS | FUSE_AUTO_INVAL_DATA;
	return SESSION_FLAGS | FUSE_CACHE_SYMLINKS;
}

int fs_init(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_init_in *in = &call->body.init;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = SESSION_MINOR,
		.max_readahead = in->max_readahead,
		.flags = in->flags & session_flags(server),
		.max_background = SESSION_BACKGROUND,
		.congestion_threshold = SESSION_CONGESTED,
		.max_write = FS_IO_MAX,
		.time_gran = 1,
		.max_pages = FS_IO_MAX / SESSION_PAGE,
	};

	if (server->started)
		return -EINVAL;
	/* A newer guest asks again, in our version. */
	if (in->major > FUSE_KERNEL_VERSION)
		return fs_call_reply(call, &out, sizeof(out));
	if (in->major < FUSE_KERNEL_VERSION || in->minor < SESSION_MINOR_MIN)
		return -EPROTO;
	if (in->minor < out.minor)
		out.minor = in->minor;
	if (out.max_readahead > FS_IO_MAX)
		out.max_readahead = FS_IO_MAX;
	server->started = true;
	return fs_call_reply(call, &out, sizeof(out));
}

int fs_destroy(struct fs_server *server, struct fs_call *call)
{
	(void)call;
	fs_server_reset(server);
	return 0;
}

/* Requests are soon done, or can't be interrupted in the host either. */
int fs_interrupt(struct fs_server *server, struct fs_call *call)
{
	(void)server;
	(void)call;
	return 0;
}

int fs_syncfs(struct fs_server *server, struct fs_call *call)
{
	int fd = fs_host_open(&server->host, server->inodes.root->fd,
			      O_RDONLY | O_DIRECTORY);
	int result;

	(void)call;
	if (fd < 0)
		return fd;
	result = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return result;
}

int fs_statfs(struct fs_server *server, struct fs_call *call)
{
	struct fuse_statfs_out out = { 0 };
	struct fs_inode *inode;
	struct statfs status;
	int error = fs_inodes_get(&server->inodes, call->header.nodeid, &inode);

	if (error < 0)
		return error;
	error = fstatfs(inode->fd, &status) < 0 ? -errno : 0;
	fs_inodes_put(&server->inodes, inode);
	if (error < 0)
		return error;
	out.st = (struct fuse_kstatfs) {
		.blocks = status.f_blocks,
		.bfree = status.f_bfree,
		.bavail = status.f_bavail,
		.files = status.f_files,
		.ffree = status.f_ffree,
		.bsize = (uint32_t)status.f_bsize,
		.namelen = SESSION_NAME_MAX,
		.frsize = (uint32_t)status.f_frsize,
	};
	return fs_call_reply(call, &out, sizeof(out));
}
