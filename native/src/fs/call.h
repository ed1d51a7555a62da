/* SPDX-License-Identifier: MIT */
/*
 * One request of the guest: what it says, copied once, and room for the reply.
 *
 * The buffers stay shared with the guest. What decides anything is taken from
 * them once, into this struct; only the contents of files go straight between
 * them and the host's kernel.
 */
#ifndef CAPSA_FS_CALL_H
#define CAPSA_FS_CALL_H

#include <limits.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	FS_IO_MAX = 1 << 20,  /* bytes of one read or write */
	FS_IO_BUFFERS = 1024, /* the host's IOV_MAX */
	FS_TEXT_MAX = NAME_MAX + 1 + PATH_MAX,
	FS_NAMES_MAX = 2,
};

/* A place in a list of buffers. */
struct fs_cursor {
	const struct iovec *buffers;
	uint32_t count;
	size_t offset; /* into the first of them */
	uint64_t left; /* bytes, in all of them */
};

struct fs_call {
	struct fuse_in_header header;
	union {
		struct fuse_init_in init;
		struct fuse_forget_in forget;
		struct fuse_batch_forget_in batch_forget;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename_in rename;
		struct fuse_rename2_in rename2;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_release_in release;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_flush_in flush;
		struct fuse_fsync_in fsync;
		struct fuse_setxattr_in setxattr;
		struct fuse_getxattr_in getxattr;
		struct fuse_fallocate_in fallocate;
		struct fuse_lseek_in lseek;
		struct fuse_copy_file_range_in copy;
	} body;
	struct fs_cursor in;  /* what is not taken yet */
	struct fs_cursor out; /* room behind the reply's header */
	uint64_t start_room;  /* the same, at the start */
	struct fs_cursor header_out;
	const char *names[FS_NAMES_MAX]; /* in text */
	char text[FS_TEXT_MAX + 1];
};

/*
 * Takes the header; its length must be that of the request. 0; -EINVAL when
 * it isn't; -EPROTO when there is no header.
 */
int fs_call_begin(struct fs_call *call, const struct iovec *in,
		  uint32_t in_count, const struct iovec *out,
		  uint32_t out_count);

/* Whether there is room for a reply's header, and so for an error. */
bool fs_call_is_answerable(const struct fs_call *call);

/* Takes length bytes of the request. 0 or -EINVAL: there are fewer. */
int fs_call_take(struct fs_call *call, void *out, size_t length);

/*
 * Takes the rest of the request: count texts, each with its NUL and none with
 * another. -EINVAL or -ENAMETOOLONG. fs_call_name() takes one that must name
 * an entry of a folder.
 */
int fs_call_texts(struct fs_call *call, uint32_t count);
int fs_call_name(struct fs_call *call);

/*
 * Fills vectors with length bytes from where in or out is, and goes on behind
 * them. How many vectors; -EINVAL: there are fewer bytes, or more vectors than
 * FS_IO_BUFFERS.
 */
int fs_cursor_vectors(struct fs_cursor *cursor, struct iovec *vectors,
		      size_t length);

/* Adds to the reply. 0, or -ERANGE: it has no room for it. */
int fs_call_reply(struct fs_call *call, const void *data, size_t length);

/*
 * Ends the reply: what was added to it, or error. How many bytes it has, from
 * the first.
 */
uint32_t fs_call_end(struct fs_call *call, int error);

#endif
