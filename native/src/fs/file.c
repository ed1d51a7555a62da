/* SPDX-License-Identifier: MIT */
/* Contents of files, by handle. */
#include <errno.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "fs/state.h"

/* Of one request, so that none holds a thread for long. */
#define FILE_COPY_MAX ((size_t)64 << 20)

static int file_get(struct fs_server *server, const struct fs_call *call,
		    uint64_t number, struct fs_handle **handle)
{
	return fs_handles_get(&server->handles, number, call->header.nodeid,
			      false, handle);
}

/* Whether [offset, offset + length) has only numbers that off_t has. */
static bool file_is_range(uint64_t offset, uint64_t length)
{
	return offset <= INT64_MAX && length <= INT64_MAX - offset;
}

/* Drops done bytes from the front of vectors; how many vectors are left. */
static int file_advance(struct iovec **vectors, int count, size_t done)
{
	while (count > 0 && done >= (*vectors)->iov_len) {
		done -= (*vectors)->iov_len;
		(*vectors)++;
		count--;
	}
	if (count > 0) {
		(*vectors)->iov_base = (uint8_t *)(*vectors)->iov_base + done;
		(*vectors)->iov_len -= done;
	}
	return count;
}

/*
 * Reads until the vectors are full or the file ends: the guest takes a reply
 * that is shorter than its request for the file's end.
 */
static int64_t file_read_all(int fd, struct iovec *vectors, int count,
			     uint64_t offset)
{
	int64_t total = 0;

	while (count > 0) {
		ssize_t got = preadv(fd, vectors, count, (off_t)offset + total);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		total += got;
		count = file_advance(&vectors, count, (size_t)got);
	}
	return total;
}

int fs_read(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_read_in *in = &call->body.read;
	struct iovec vectors[FS_IO_BUFFERS];
	struct fs_cursor room = call->out;
	struct fs_handle *handle;
	int64_t got;
	int count = fs_cursor_vectors(&room, vectors, in->size);
	int error;

	if (count < 0 || in->size > FS_IO_MAX ||
	    !file_is_range(in->offset, in->size))
		return -EINVAL;
	error = file_get(server, call, in->fh, &handle);
	if (error < 0)
		return error;
	got = file_read_all(handle->fd, vectors, count, in->offset);
	fs_handles_put(&server->handles, handle);
	if (got < 0)
		return (int)got;
	/* It is there already; only the reply's end moves. */
	call->out.left -= (uint64_t)got;
	return 0;
}

static int file_write_flags(const struct fuse_write_in *in)
{
	int flags = 0;

	/* Pages of a mapping have their place, whoever's handle they come
	 * by; what a program appends goes to what is the end by now. */
	if (in->flags & O_APPEND && !(in->write_flags & FUSE_WRITE_CACHE))
		flags |= RWF_APPEND;
	if (in->flags & O_DSYNC)
		flags |= RWF_DSYNC;
	if ((in->flags & O_SYNC) == O_SYNC)
		flags |= RWF_SYNC;
	return flags;
}

int fs_write(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_write_in *in = &call->body.write;
	struct iovec vectors[FS_IO_BUFFERS];
	struct fuse_write_out out = { 0 };
	struct fs_handle *handle;
	ssize_t written;
	int count = fs_cursor_vectors(&call->in, vectors, in->size);
	int error;

	if (count < 0 || call->in.left > 0 || in->size > FS_IO_MAX)
		return -EINVAL;
	if (!file_is_range(in->offset, in->size))
		return -EFBIG;
	error = file_get(server, call, in->fh, &handle);
	if (error < 0)
		return error;
	written = pwritev2(handle->fd, vectors, count, (off_t)in->offset,
			   file_write_flags(in));
	error = written < 0 ? -errno : 0;
	fs_handles_put(&server->handles, handle);
	if (error < 0)
		return error;
	out.size = (uint32_t)written;
	return fs_call_reply(call, &out, sizeof(out));
}

int fs_lseek(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_lseek_in *in = &call->body.lseek;
	struct fuse_lseek_out out;
	struct fs_handle *handle;
	off_t place;
	int error;

	/* All others need no help of the host's. */
	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) ||
	    in->offset > INT64_MAX)
		return -EINVAL;
	error = file_get(server, call, in->fh, &handle);
	if (error < 0)
		return error;
	place = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
	error = place < 0 ? -errno : 0;
	fs_handles_put(&server->handles, handle);
	if (error < 0)
		return error;
	out.offset = (uint64_t)place;
	return fs_call_reply(call, &out, sizeof(out));
}

int fs_fallocate(struct fs_server *server, struct fs_call *call)
{
	const uint32_t known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
			       FALLOC_FL_ZERO_RANGE;
	const struct fuse_fallocate_in *in = &call->body.fallocate;
	struct fs_handle *handle;
	int error;

	if (in->mode & ~known)
		return -EOPNOTSUPP;
	if (!file_is_range(in->offset, in->length))
		return -EFBIG;
	error = file_get(server, call, in->fh, &handle);
	if (error < 0)
		return error;
	error = fallocate(handle->fd, (int)in->mode, (off_t)in->offset,
			  (off_t)in->length) < 0
			? -errno
			: 0;
	fs_handles_put(&server->handles, handle);
	return error;
}

static int file_copy(const struct fs_handle *from, const struct fs_handle *to,
		     const struct fuse_copy_file_range_in *in)
{
	off_t offset_in = (off_t)in->off_in;
	off_t offset_out = (off_t)in->off_out;
	size_t length = in->len < FILE_COPY_MAX ? in->len : FILE_COPY_MAX;
	ssize_t copied;

	if (!file_is_range(in->off_in, length) ||
	    !file_is_range(in->off_out, length))
		return -EINVAL;
	copied = copy_file_range(from->fd, &offset_in, to->fd, &offset_out,
				 length, 0);
	return copied < 0 ? -errno : (int)copied;
}

int fs_copy_file_range(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_copy_file_range_in *in = &call->body.copy;
	struct fuse_write_out out = { 0 };
	struct fs_handle *from;
	struct fs_handle *to;
	int result;

	if (in->flags != 0)
		return -EINVAL;
	result = file_get(server, call, in->fh_in, &from);
	if (result < 0)
		return result;
	result = fs_handles_get(&server->handles, in->fh_out, in->nodeid_out,
				false, &to);
	if (result == 0) {
		result = file_copy(from, to, in);
		fs_handles_put(&server->handles, to);
	}
	fs_handles_put(&server->handles, from);
	if (result < 0)
		return result;
	out.size = (uint32_t)result;
	return fs_call_reply(call, &out, sizeof(out));
}
