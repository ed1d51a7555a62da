/* SPDX-License-Identifier: MIT */
/*
 * A guest that speaks FUSE to a server on a folder of its own, as a test plays
 * it: one call a request, answered with 0 or -errno.
 */
#ifndef CAPSA_FAKE_FUSE_H
#define CAPSA_FAKE_FUSE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/server.h"

enum {
	FUSE_ROOT = FUSE_ROOT_ID,
	FUSE_TEXT = 8192,
};

/* Everything that a guest's kernel could offer. */
#define FUSE_ALL_FLAGS 0x7fffffffu

struct fake_fuse {
	struct fs_server *server;
	uint64_t unique;
	uint32_t user;
	uint32_t group;
	/* Buffers are cut into pieces of so many bytes; 0: not at all. */
	size_t piece;
	uint32_t replied; /* bytes of the last reply */
	char folder[64];  /* the host's */
	int folder_fd;
};

/* A new folder of the host, to be removed by fake_folder_remove(). */
static inline void fake_folder_create(char *path, size_t size)
{
	const char *parent = getenv("TMPDIR");

	snprintf(path, size, "%s/capsa-fs-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(path))
		exit(2);
}

static inline int fake_folder_remove_one(const char *path,
					 const struct stat *status, int kind,
					 struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static inline void fake_folder_remove(const char *path)
{
	nftw(path, fake_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Cuts length bytes into pieces; how many. */
static inline uint32_t fake_cut(struct iovec *vectors, uint32_t most,
				void *bytes, size_t length, size_t piece)
{
	uint32_t count = 0;
	size_t done = 0;

	if (piece == 0 || length / piece + 1 > most)
		piece = length;
	while (done < length) {
		size_t part = length - done < piece ? length - done : piece;

		vectors[count++] = (struct iovec) {
			.iov_base = (uint8_t *)bytes + done, .iov_len = part
		};
		done += part;
	}
	return count;
}

/* Sends bytes as they are; how many the reply has. */
static inline uint32_t fake_fuse_send(struct fake_fuse *fuse, void *request,
				      size_t length, void *reply, size_t room)
{
	struct iovec in[512];
	struct iovec out[512];
	uint32_t in_count = fake_cut(in, 512, request, length, fuse->piece);
	uint32_t out_count = fake_cut(out, 512, reply, room, fuse->piece);

	return fs_server_serve(fuse->server, in, in_count, out, out_count);
}

/* Parts of a request behind its header. */
struct fake_part {
	const void *bytes;
	size_t length;
};

/*
 * Asks and checks the form of the answer: 0, or its error. reply gets what is
 * behind the answer's header, at most room bytes of it.
 */
static inline int fake_fuse_ask(struct fake_fuse *fuse, uint32_t opcode,
				uint64_t node, const struct fake_part *parts,
				uint32_t count, void *reply, size_t room)
{
	struct fuse_in_header header = {
		.len = sizeof(header),
		.opcode = opcode,
		.unique = ++fuse->unique,
		.nodeid = node,
		.uid = fuse->user,
		.gid = fuse->group,
		.pid = 1,
	};
	struct fuse_out_header answer;
	uint8_t *request;
	uint8_t *out;
	uint32_t written;
	size_t at = sizeof(header);

	for (uint32_t i = 0; i < count; i++)
		header.len += (uint32_t)parts[i].length;
	request = malloc(header.len);
	out = malloc(sizeof(answer) + room);
	memcpy(request, &header, sizeof(header));
	for (uint32_t i = 0; i < count; i++) {
		if (parts[i].length > 0)
			memcpy(request + at, parts[i].bytes, parts[i].length);
		at += parts[i].length;
	}
	written = fake_fuse_send(fuse, request, header.len, out,
				 sizeof(answer) + room);
	if (written < sizeof(answer) || written > sizeof(answer) + room)
		exit(3);
	memcpy(&answer, out, sizeof(answer));
	if (answer.len != written || answer.unique != header.unique ||
	    answer.error > 0 || answer.error <= -512)
		exit(4);
	fuse->replied = written - (uint32_t)sizeof(answer);
	if (answer.error != 0 && fuse->replied != 0)
		exit(5);
	if (reply && fuse->replied > 0)
		memcpy(reply, out + sizeof(answer), fuse->replied);
	free(request);
	free(out);
	return answer.error;
}

/* A request of a body, and of up to two texts, with a reply of a fixed size. */
static inline int fake_fuse_call(struct fake_fuse *fuse, uint32_t opcode,
				 uint64_t node, const void *body, size_t size,
				 const char *first, const char *second,
				 void *reply, size_t room)
{
	const struct fake_part parts[] = {
		{ body, size },
		{ first, first ? strlen(first) + 1 : 0 },
		{ second, second ? strlen(second) + 1 : 0 },
	};

	return fake_fuse_ask(fuse, opcode, node, parts, 3, reply, room);
}

static inline int fake_init(struct fake_fuse *fuse, uint32_t minor,
			    uint32_t flags, struct fuse_init_out *out)
{
	const struct fuse_init_in in = { .major = 7,
					 .minor = minor,
					 .max_readahead = 128 * 1024,
					 .flags = flags };

	return fake_fuse_call(fuse, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL,
			      out, sizeof(*out));
}

/* A share of a new folder, its session begun. */
static inline void fake_fuse_create_as(struct fake_fuse *fuse,
				       const struct share_config *like,
				       uint64_t memory_bytes)
{
	struct share_config share = *like;
	struct fuse_init_out out;

	memset(fuse, 0, sizeof(*fuse));
	fake_folder_create(fuse->folder, sizeof(fuse->folder));
	fuse->folder_fd = open(fuse->folder, O_RDONLY | O_DIRECTORY);
	share.path = fuse->folder;
	if (fs_server_create(&fuse->server, &share, memory_bytes) < 0 ||
	    fake_init(fuse, 38, FUSE_ALL_FLAGS, &out) < 0)
		exit(2);
}

static inline void fake_fuse_create(struct fake_fuse *fuse)
{
	const struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO };

	fake_fuse_create_as(fuse, &share, 256 << 20);
	fuse->user = getuid();
	fuse->group = getgid();
}

static inline void fake_fuse_destroy(struct fake_fuse *fuse)
{
	fs_server_destroy(fuse->server);
	close(fuse->folder_fd);
	fake_folder_remove(fuse->folder);
}

/* What a guest's program does, as its kernel asks for it. */

static inline int fake_lookup(struct fake_fuse *fuse, uint64_t parent,
			      const char *name, struct fuse_entry_out *entry)
{
	return fake_fuse_call(fuse, FUSE_LOOKUP, parent, NULL, 0, name, NULL,
			      entry, sizeof(*entry));
}

/* The node of a name, 0 if there is none. */
static inline uint64_t fake_node(struct fake_fuse *fuse, uint64_t parent,
				 const char *name)
{
	struct fuse_entry_out entry = { 0 };

	return fake_lookup(fuse, parent, name, &entry) == 0 ? entry.nodeid : 0;
}

static inline void fake_forget(struct fake_fuse *fuse, uint64_t node,
			       uint64_t count)
{
	struct {
		struct fuse_in_header header;
		struct fuse_forget_in in;
	} request = {
		.header = { .len = sizeof(request),
			    .opcode = FUSE_FORGET,
			    .nodeid = node },
		.in = { .nlookup = count },
	};

	if (fake_fuse_send(fuse, &request, sizeof(request), NULL, 0) != 0)
		exit(3);
}

static inline int fake_getattr(struct fake_fuse *fuse, uint64_t node,
			       struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	int error = fake_fuse_call(fuse, FUSE_GETATTR, node, &in, sizeof(in),
				   NULL, NULL, &out, sizeof(out));

	if (error == 0)
		*attr = out.attr;
	return error;
}

static inline int fake_setattr(struct fake_fuse *fuse, uint64_t node,
			       const struct fuse_setattr_in *in,
			       struct fuse_attr *attr)
{
	struct fuse_attr_out out;
	int error = fake_fuse_call(fuse, FUSE_SETATTR, node, in, sizeof(*in),
				   NULL, NULL, &out, sizeof(out));

	if (error == 0 && attr)
		*attr = out.attr;
	return error;
}

static inline int fake_open(struct fake_fuse *fuse, uint64_t node,
			    uint32_t flags, struct fuse_open_out *out)
{
	const struct fuse_open_in in = { .flags = flags };

	return fake_fuse_call(fuse, FUSE_OPEN, node, &in, sizeof(in), NULL,
			      NULL, out, sizeof(*out));
}

static inline int fake_opendir(struct fake_fuse *fuse, uint64_t node,
			       struct fuse_open_out *out)
{
	const struct fuse_open_in in = { 0 };

	return fake_fuse_call(fuse, FUSE_OPENDIR, node, &in, sizeof(in), NULL,
			      NULL, out, sizeof(*out));
}

static inline int fake_release(struct fake_fuse *fuse, uint32_t opcode,
			       uint64_t node, uint64_t handle)
{
	const struct fuse_release_in in = { .fh = handle };

	return fake_fuse_call(fuse, opcode, node, &in, sizeof(in), NULL, NULL,
			      NULL, 0);
}

struct fake_created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static inline int fake_create(struct fake_fuse *fuse, uint64_t parent,
			      const char *name, uint32_t flags, uint32_t mode,
			      struct fake_created *out)
{
	const struct fuse_create_in in = { .flags = flags,
					   .mode = S_IFREG | mode };

	return fake_fuse_call(fuse, FUSE_CREATE, parent, &in, sizeof(in), name,
			      NULL, out, sizeof(*out));
}

static inline int fake_mkdir(struct fake_fuse *fuse, uint64_t parent,
			     const char *name, uint32_t mode,
			     struct fuse_entry_out *entry)
{
	const struct fuse_mkdir_in in = { .mode = mode };

	return fake_fuse_call(fuse, FUSE_MKDIR, parent, &in, sizeof(in), name,
			      NULL, entry, sizeof(*entry));
}

static inline int fake_mknod(struct fake_fuse *fuse, uint64_t parent,
			     const char *name, uint32_t mode,
			     struct fuse_entry_out *entry)
{
	const struct fuse_mknod_in in = { .mode = mode };

	return fake_fuse_call(fuse, FUSE_MKNOD, parent, &in, sizeof(in), name,
			      NULL, entry, sizeof(*entry));
}

static inline int fake_symlink(struct fake_fuse *fuse, uint64_t parent,
			       const char *name, const char *target,
			       struct fuse_entry_out *entry)
{
	return fake_fuse_call(fuse, FUSE_SYMLINK, parent, NULL, 0, name, target,
			      entry, sizeof(*entry));
}

static inline int fake_link(struct fake_fuse *fuse, uint64_t node,
			    uint64_t parent, const char *name,
			    struct fuse_entry_out *entry)
{
	const struct fuse_link_in in = { .oldnodeid = node };

	return fake_fuse_call(fuse, FUSE_LINK, parent, &in, sizeof(in), name,
			      NULL, entry, sizeof(*entry));
}

static inline int fake_remove(struct fake_fuse *fuse, uint32_t opcode,
			      uint64_t parent, const char *name)
{
	return fake_fuse_call(fuse, opcode, parent, NULL, 0, name, NULL, NULL,
			      0);
}

static inline int fake_rename(struct fake_fuse *fuse, uint64_t parent,
			      const char *name, uint64_t new_parent,
			      const char *new_name, uint32_t flags)
{
	const struct fuse_rename2_in in = { .newdir = new_parent,
					    .flags = flags };

	return fake_fuse_call(fuse, FUSE_RENAME2, parent, &in, sizeof(in), name,
			      new_name, NULL, 0);
}

/* Bytes read, or -errno. */
static inline int64_t fake_read(struct fake_fuse *fuse, uint64_t node,
				uint64_t handle, uint64_t offset, void *data,
				uint32_t size)
{
	const struct fuse_read_in in = { .fh = handle,
					 .offset = offset,
					 .size = size };
	int error = fake_fuse_call(fuse, FUSE_READ, node, &in, sizeof(in), NULL,
				   NULL, data, size);

	return error < 0 ? error : (int64_t)fuse->replied;
}

/* Bytes written, or -errno. flags are those of the guest's open file. */
static inline int64_t fake_write(struct fake_fuse *fuse, uint64_t node,
				 uint64_t handle, uint64_t offset,
				 const void *data, uint32_t size,
				 uint32_t flags)
{
	const struct fuse_write_in in = {
		.fh = handle, .offset = offset, .size = size, .flags = flags
	};
	const struct fake_part parts[] = { { &in, sizeof(in) },
					   { data, size } };
	struct fuse_write_out out;
	int error = fake_fuse_ask(fuse, FUSE_WRITE, node, parts, 2, &out,
				  sizeof(out));

	return error < 0 ? error : (int64_t)out.size;
}

static inline int fake_setxattr(struct fake_fuse *fuse, uint64_t node,
				const char *name, const void *value,
				uint32_t size, uint32_t flags)
{
	const struct fuse_setxattr_in in = { .size = size, .flags = flags };
	const struct fake_part parts[] = {
		{ &in, FUSE_COMPAT_SETXATTR_IN_SIZE },
		{ name, strlen(name) + 1 },
		{ value, size },
	};

	return fake_fuse_ask(fuse, FUSE_SETXATTR, node, parts, 3, NULL, 0);
}

/* Bytes of the value, or of the list where name is NULL; or -errno. */
static inline int64_t fake_getxattr(struct fake_fuse *fuse, uint64_t node,
				    const char *name, void *value,
				    uint32_t size)
{
	const struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out out;
	int error = fake_fuse_call(fuse, name ? FUSE_GETXATTR : FUSE_LISTXATTR,
				   node, &in, sizeof(in), name, NULL,
				   size ? value : &out,
				   size ? size : sizeof(out));

	if (error < 0)
		return error;
	return size ? (int64_t)fuse->replied : (int64_t)out.size;
}

/*
 * Reads a folder from offset on: calls entry for each of one reply's entries,
 * plus is NULL for FUSE_READDIR. The offset to go on at; 0: it has ended.
 */
static inline uint64_t fake_readdir(
	struct fake_fuse *fuse, uint64_t node, uint64_t handle, uint64_t offset,
	bool with_lookup, uint32_t size,
	void (*each)(void *owner, const struct fuse_dirent *dirent,
		     const struct fuse_entry_out *plus),
	void *owner)
{
	const struct fuse_read_in in = { .fh = handle,
					 .offset = offset,
					 .size = size };
	uint8_t *bytes = malloc(size);
	uint64_t next = 0;
	int error = fake_fuse_call(
		fuse, with_lookup ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in,
		sizeof(in), NULL, NULL, bytes, size);
	uint32_t end = fuse->replied;

	if (error < 0)
		exit(6);
	for (uint32_t at = 0; at < end;) {
		const struct fuse_entry_out *plus = NULL;
		const struct fuse_dirent *dirent;

		if (with_lookup) {
			plus = (const void *)(bytes + at);
			at += (uint32_t)sizeof(*plus);
		}
		dirent = (const void *)(bytes + at);
		at += (uint32_t)FUSE_DIRENT_SIZE(dirent);
		if (at > end)
			exit(6);
		each(owner, dirent, plus);
		next = dirent->off;
	}
	free(bytes);
	return end == 0 ? 0 : next;
}

#endif
