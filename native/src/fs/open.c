/* SPDX-License-Identifier: MIT */
/* Opening files and folders, and what ends with them. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/state.h"

/*
 * A file that a guest may write to must not run with its owner's rights on the
 * host. The kernel takes these bits away when somebody writes who may not set
 * them; for root it doesn't. (It takes file capabilities away for everybody.)
 */
static int open_disarm(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!(status.st_mode & (S_ISUID | S_ISGID)))
		return 0;
	return fchmod(fd, fs_mode(S_IFREG, status.st_mode)) < 0 ? -errno : 0;
}

int fs_open_file(const struct fs_server *server, const struct fs_inode *inode,
		 uint32_t flags)
{
	/* O_APPEND and O_SYNC come with each write; O_DIRECT is the guest's. */
	int wanted = (int)flags & (O_ACCMODE | O_TRUNC);
	bool writes = wanted != O_RDONLY;
	int error;
	int fd;

	if (S_ISDIR(inode->key.type))
		return -EISDIR;
	if (S_ISLNK(inode->key.type))
		return -ELOOP;
	if (!S_ISREG(inode->key.type))
		return -EPERM;
	if ((wanted & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (writes && server->read_only)
		return -EROFS;
	fd = fs_host_open(&server->host, inode->fd, wanted);
	error = fd >= 0 && writes ? open_disarm(fd) : 0;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static uint32_t open_cache_flags(const struct fs_server *server)
{
	switch (server->cache) {
	case CAPSA_SHARE_CACHE_NONE:
		return FOPEN_DIRECT_IO;
	case CAPSA_SHARE_CACHE_AUTO:
		return 0;
	default:
		return FOPEN_KEEP_CACHE;
	}
}

uint32_t fs_open_flags(const struct fs_server *server, uint32_t flags)
{
	uint32_t cache = open_cache_flags(server);

	/* The host has nothing to say when a file is closed unwritten. */
	return (flags & O_ACCMODE) == O_RDONLY ? cache | FOPEN_NOFLUSH : cache;
}

static uint32_t open_folder_flags(const struct fs_server *server)
{
	return server->cache == CAPSA_SHARE_CACHE_ALWAYS
		       ? FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR
		       : 0;
}

static int open_inode(struct fs_server *server, const struct fs_inode *inode,
		      const struct fs_call *call, bool folder)
{
	if (!folder)
		return fs_open_file(server, inode, call->body.open.flags);
	if (!S_ISDIR(inode->key.type))
		return -ENOTDIR;
	return fs_host_open(&server->host, inode->fd, O_RDONLY | O_DIRECTORY);
}

static int open_handle(struct fs_server *server, struct fs_call *call,
		       struct fs_inode *inode, bool folder)
{
	struct fuse_open_out out = {
		.open_flags = folder ? open_folder_flags(server)
				     : fs_open_flags(server,
						     call->body.open.flags),
	};
	struct fs_handle *handle;
	int result = fs_handles_add(&server->handles, folder, &handle);

	if (result < 0)
		return result;
	result = open_inode(server, inode, call, folder);
	if (result < 0) {
		fs_handles_close(&server->handles, handle);
	} else {
		out.fh = handle->number;
		fs_handles_open(&server->handles, handle, inode, result);
		result = fs_call_reply(call, &out, sizeof(out));
	}
	fs_handles_put(&server->handles, handle);
	return result;
}

static int open_any(struct fs_server *server, struct fs_call *call, bool folder)
{
	struct fs_inode *inode;
	int error = fs_inodes_get(&server->inodes, call->header.nodeid, &inode);

	if (error < 0)
		return error;
	error = open_handle(server, call, inode, folder);
	fs_inodes_put(&server->inodes, inode);
	return error;
}

int fs_open(struct fs_server *server, struct fs_call *call)
{
	return open_any(server, call, false);
}

int fs_opendir(struct fs_server *server, struct fs_call *call)
{
	return open_any(server, call, true);
}

static int open_release(struct fs_server *server, const struct fs_call *call,
			bool folder)
{
	struct fs_handle *handle;
	int error = fs_handles_get(&server->handles, call->body.release.fh,
				   call->header.nodeid, folder, &handle);

	if (error < 0)
		return error;
	fs_handles_close(&server->handles, handle);
	fs_handles_put(&server->handles, handle);
	return 0;
}

int fs_release(struct fs_server *server, struct fs_call *call)
{
	return open_release(server, call, false);
}

int fs_releasedir(struct fs_server *server, struct fs_call *call)
{
	return open_release(server, call, true);
}

/* A program closed the file: what the host has to say then, it says now. */
int fs_flush(struct fs_server *server, struct fs_call *call)
{
	struct fs_handle *handle;
	int result = fs_handles_get(&server->handles, call->body.flush.fh,
				    call->header.nodeid, false, &handle);
	int copy;

	if (result < 0)
		return result;
	copy = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
	result = copy >= 0 && close(copy) < 0 ? -errno : 0;
	fs_handles_put(&server->handles, handle);
	return result;
}

static int open_sync(struct fs_server *server, const struct fs_call *call,
		     bool folder)
{
	const struct fuse_fsync_in *in = &call->body.fsync;
	struct fs_handle *handle;
	int result = fs_handles_get(&server->handles, in->fh,
				    call->header.nodeid, folder, &handle);

	if (result < 0)
		return result;
	if (in->fsync_flags & FUSE_FSYNC_FDATASYNC)
		result = fdatasync(handle->fd);
	else
		result = fsync(handle->fd);
	if (result < 0)
		result = -errno;
	fs_handles_put(&server->handles, handle);
	return result;
}

int fs_fsync(struct fs_server *server, struct fs_call *call)
{
	return open_sync(server, call, false);
}

int fs_fsyncdir(struct fs_server *server, struct fs_call *call)
{
	return open_sync(server, call, true);
}
