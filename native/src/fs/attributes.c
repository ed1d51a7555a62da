/* SPDX-License-Identifier: MIT */
/* What a file is like: reading and changing it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/state.h"

/* As the guest's kernel writes device numbers (new_encode_dev). */
static uint32_t attributes_device(const struct statx *status)
{
	return (status->stx_rdev_minor & 0xff) | status->stx_rdev_major << 8 |
	       (status->stx_rdev_minor & ~0xffu) << 12;
}

struct fuse_attr fs_attributes(const struct fs_server *server,
			       const struct statx *status)
{
	const struct fs_key key = fs_key_of(status);

	return (struct fuse_attr) {
		.ino = fs_number(server, key.device, key.number),
		.size = status->stx_size,
		.blocks = status->stx_blocks,
		.atime = (uint64_t)status->stx_atime.tv_sec,
		.mtime = (uint64_t)status->stx_mtime.tv_sec,
		.ctime = (uint64_t)status->stx_ctime.tv_sec,
		.atimensec = status->stx_atime.tv_nsec,
		.mtimensec = status->stx_mtime.tv_nsec,
		.ctimensec = status->stx_ctime.tv_nsec,
		.mode = status->stx_mode,
		.nlink = status->stx_nlink,
		.uid = server->has_owner ? server->owner : status->stx_uid,
		.gid = server->has_owner ? server->owner : status->stx_gid,
		.rdev = attributes_device(status),
		.blksize = status->stx_blksize,
	};
}

struct fuse_entry_out fs_entry(const struct fs_server *server, uint64_t id,
			       const struct statx *status)
{
	return (struct fuse_entry_out) {
		.nodeid = id,
		.entry_valid = fs_valid(server),
		.attr_valid = fs_valid(server),
		.attr = fs_attributes(server, status),
	};
}

/* The reply of both operations below. */
static int attributes_reply(const struct fs_server *server,
			    struct fs_call *call, const struct fs_inode *inode)
{
	struct fuse_attr_out out = { .attr_valid = fs_valid(server) };
	struct statx status;
	int error = fs_host_stat(inode->fd, &status);

	if (error < 0)
		return error;
	out.attr = fs_attributes(server, &status);
	return fs_call_reply(call, &out, sizeof(out));
}

int fs_getattr(struct fs_server *server, struct fs_call *call)
{
	struct fs_inode *inode;
	int error = fs_inodes_get(&server->inodes, call->header.nodeid, &inode);

	if (error < 0)
		return error;
	error = attributes_reply(server, call, inode);
	fs_inodes_put(&server->inodes, inode);
	return error;
}

static int attributes_truncate(int fd, uint64_t size)
{
	if (size > INT64_MAX)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int attributes_set_size(struct fs_server *server,
			       const struct fs_inode *inode,
			       const struct fuse_setattr_in *in)
{
	struct fs_handle *handle;
	int result;
	int fd;

	if (in->valid & FATTR_FH) {
		/* It may be written to even where the file no longer may. */
		result = fs_handles_get(&server->handles, in->fh, inode->id,
					false, &handle);
		if (result < 0)
			return result;
		result = attributes_truncate(handle->fd, in->size);
		fs_handles_put(&server->handles, handle);
		return result;
	}
	fd = fs_open_file(server, inode, O_WRONLY);
	if (fd < 0)
		return fd;
	result = attributes_truncate(fd, in->size);
	close(fd);
	return result;
}

static int attributes_set_owner(const struct fs_server *server,
				const struct fs_inode *inode,
				const struct fuse_setattr_in *in)
{
	uid_t user = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t group = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	if (server->has_owner)
		return (in->valid & FATTR_UID && user != server->owner) ||
				       (in->valid & FATTR_GID &&
					group != server->owner)
			       ? -EPERM
			       : 0;
	return fchownat(inode->fd, "", user, group, AT_EMPTY_PATH) < 0 ? -errno
								       : 0;
}

static struct timespec attributes_time(uint32_t valid, uint32_t set,
				       uint32_t now, uint64_t seconds,
				       uint32_t nanoseconds)
{
	struct timespec time = { .tv_nsec = UTIME_OMIT };

	if (valid & now)
		time.tv_nsec = UTIME_NOW;
	else if (valid & set)
		time = (struct timespec) { .tv_sec = (time_t)seconds,
					   .tv_nsec = nanoseconds };
	return time;
}

static int attributes_set_times(const struct fs_server *server,
				const struct fs_inode *inode,
				const struct fuse_setattr_in *in)
{
	struct fs_fd_name name = fs_host_name(inode->fd);
	const struct timespec times[] = {
		attributes_time(in->valid, FATTR_ATIME, FATTR_ATIME_NOW,
				in->atime, in->atimensec),
		attributes_time(in->valid, FATTR_MTIME, FATTR_MTIME_NOW,
				in->mtime, in->mtimensec),
	};

	/* UTIME_NOW and UTIME_OMIT lie beyond, and the kernel refuses more. */
	if (in->atimensec >= 1000000000 || in->mtimensec >= 1000000000)
		return -EINVAL;
	return utimensat(server->host.proc_fd, name.text, times, 0) < 0 ? -errno
									: 0;
}

mode_t fs_mode(uint32_t type, uint32_t mode)
{
	mode &= S_ISDIR(type) ? 0777 | S_ISVTX | S_ISGID : 0777 | S_ISVTX;
	return (mode_t)mode;
}

/*
 * The size first, while the old mode may still allow it; the mode after the
 * owner, who may take bits of it away; times last, which the others change.
 */
static int attributes_set(struct fs_server *server,
			  const struct fs_inode *inode,
			  const struct fuse_setattr_in *in)
{
	const uint32_t times = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME |
			       FATTR_MTIME_NOW;
	int error = 0;

	if (in->valid & FATTR_SIZE)
		error = attributes_set_size(server, inode, in);
	if (error == 0 && in->valid & (FATTR_UID | FATTR_GID))
		error = attributes_set_owner(server, inode, in);
	if (error == 0 && in->valid & FATTR_MODE)
		error = S_ISLNK(inode->key.type)
				? -EOPNOTSUPP
				: fs_host_chmod(
					  &server->host, inode->fd,
					  fs_mode(inode->key.type, in->mode));
	if (error == 0 && in->valid & times)
		error = attributes_set_times(server, inode, in);
	return error;
}

int fs_setattr(struct fs_server *server, struct fs_call *call)
{
	struct fs_inode *inode;
	int error = fs_inodes_get(&server->inodes, call->header.nodeid, &inode);

	if (error < 0)
		return error;
	error = attributes_set(server, inode, &call->body.setattr);
	if (error == 0)
		error = attributes_reply(server, call, inode);
	fs_inodes_put(&server->inodes, inode);
	return error;
}

int fs_readlink(struct fs_server *server, struct fs_call *call)
{
	char target[PATH_MAX];
	struct fs_inode *inode;
	ssize_t length;
	int error = fs_inodes_get(&server->inodes, call->header.nodeid, &inode);

	if (error < 0)
		return error;
	length = S_ISLNK(inode->key.type)
			 ? readlinkat(inode->fd, "", target, sizeof(target))
			 : -1;
	if (length >= 0)
		error = fs_call_reply(call, target, (size_t)length);
	else
		error = S_ISLNK(inode->key.type) ? -errno : -EINVAL;
	fs_inodes_put(&server->inodes, inode);
	return error;
}
