/* SPDX-License-Identifier: MIT */
/*
 * Reading folders. Offsets are the host's own, so they stay good while entries
 * come and go. Of the host's records only as many are read as surely fit into
 * the reply: then nothing must be kept, and a folder that is read from one end
 * to the other is never sought in, which not every file system does well.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/state.h"

enum {
	FOLDER_REPLY_MAX = 64 * 1024,
	/* struct dirent64 with a name of one to four bytes, and of most. */
	FOLDER_RECORD_MIN = 24,
	FOLDER_RECORD_MAX = 280,
	/* What becomes of the smallest; larger ones grow by less. */
	FOLDER_ENTRY_MAX = 32,
	FOLDER_ENTRY_PLUS_MAX = 160,
};

/* A reply that is being made. */
struct folder_reply {
	struct fs_server *server;
	struct fs_handle *handle;
	bool plus;
	uint32_t size;
	uint32_t length;
	uint8_t *bytes;
};

/* How many bytes of records fit into what is left of the reply. */
static uint32_t folder_room(const struct folder_reply *reply)
{
	uint32_t left = reply->size - reply->length;
	uint32_t entry = reply->plus ? FOLDER_ENTRY_PLUS_MAX : FOLDER_ENTRY_MAX;

	return (uint32_t)((uint64_t)left * FOLDER_RECORD_MIN / entry);
}

static bool folder_is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * Counts a lookup of the entry. It gets a descriptor when the guest uses it,
 * which it does for few of those that it lists. Where that fails the guest
 * looks the name up itself, and is told why.
 */
static void folder_look(const struct folder_reply *reply, const char *name,
			struct fuse_entry_out *entry)
{
	struct fs_server *server = reply->server;
	struct fs_inode *folder = reply->handle->inode;
	struct statx status;
	uint64_t id;
	int error;

	pthread_rwlock_rdlock(&server->inodes.names);
	error = fs_host_stat_at(folder->fd, name, &status);
	if (error == 0)
		error = fs_inodes_found(&server->inodes, folder, name, -1,
					&status, &id, NULL);
	pthread_rwlock_unlock(&server->inodes.names);
	if (error == 0)
		*entry = fs_entry(server, id, &status);
}

static uint64_t folder_number(const struct folder_reply *reply,
			      const struct dirent64 *record)
{
	const struct fs_inode *folder = reply->handle->inode;
	uint64_t number = record->d_ino;

	/* What lies above the root is none of the guest's business. */
	if (folder == reply->server->inodes.root &&
	    folder_is_dots(record->d_name))
		number = folder->key.number;
	return fs_number(reply->server, folder->key.device, number);
}

static void folder_put(struct folder_reply *reply, const void *data,
		       size_t length)
{
	memcpy(reply->bytes + reply->length, data, length);
	reply->length += (uint32_t)length;
}

static void folder_add(struct folder_reply *reply,
		       const struct dirent64 *record, size_t name_length)
{
	static const uint8_t padding[sizeof(uint64_t)];
	struct fuse_entry_out entry = { 0 };
	const struct fuse_dirent dirent = {
		.ino = folder_number(reply, record),
		.off = (uint64_t)record->d_off,
		.namelen = (uint32_t)name_length,
		.type = record->d_type,
	};

	if (reply->plus) {
		if (!folder_is_dots(record->d_name))
			folder_look(reply, record->d_name, &entry);
		folder_put(reply, &entry, sizeof(entry));
	}
	folder_put(reply, &dirent, sizeof(dirent));
	folder_put(reply, record->d_name, name_length);
	folder_put(reply, padding,
		   FUSE_REC_ALIGN(reply->length) - reply->length);
}

/* Adds the host's records, of bytes in all. */
static void folder_add_all(struct folder_reply *reply, const uint8_t *records,
			   size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		const struct dirent64 *record = (const void *)(records + at);
		size_t length = strlen(record->d_name);

		/* No name that a guest could say. */
		if (length <= NAME_MAX)
			folder_add(reply, record, length);
		reply->handle->position = (uint64_t)record->d_off;
		at += record->d_reclen;
	}
}

/* With the handle's lock held. */
static int folder_seek(struct fs_handle *handle, uint64_t offset)
{
	if (handle->position == offset)
		return 0;
	/* Also where it is negative: some file systems hash names into it. */
	if (lseek(handle->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	handle->position = offset;
	return 0;
}

/* With the handle's lock held: until the reply is full or the folder ends. */
static int folder_read(struct folder_reply *reply, uint8_t *records)
{
	uint32_t room = folder_room(reply);

	do {
		ssize_t got = getdents64(reply->handle->fd, records, room);

		if (got < 0)
			return reply->length > 0 ? 0 : -errno;
		if (got == 0)
			return 0;
		folder_add_all(reply, records, (size_t)got);
		room = folder_room(reply);
	} while (room >= FOLDER_RECORD_MAX);
	return 0;
}

static int folder_fill(struct folder_reply *reply, uint64_t offset,
		       uint8_t *records)
{
	int error;

	pthread_mutex_lock(&reply->handle->lock);
	error = folder_seek(reply->handle, offset);
	if (error == 0)
		error = folder_read(reply, records);
	pthread_mutex_unlock(&reply->handle->lock);
	return error;
}

static int folder_answer(struct fs_server *server, struct fs_call *call,
			 struct fs_handle *handle, bool plus)
{
	const struct fuse_read_in *in = &call->body.read;
	struct folder_reply reply = {
		.server = server,
		.handle = handle,
		.plus = plus,
		.size = in->size < FOLDER_REPLY_MAX ? in->size
						    : FOLDER_REPLY_MAX,
	};
	/* Records, and behind them the reply. */
	uint8_t *buffer = malloc(2 * (size_t)reply.size);
	int error;

	if (!buffer)
		return -ENOMEM;
	reply.bytes = buffer + reply.size;
	error = folder_fill(&reply, in->offset, buffer);
	if (error == 0)
		error = fs_call_reply(call, reply.bytes, reply.length);
	free(buffer);
	return error;
}

static int folder_serve(struct fs_server *server, struct fs_call *call,
			bool plus)
{
	const struct fuse_read_in *in = &call->body.read;
	struct fs_handle *handle;
	int error;

	if (in->size == 0 || in->size > call->out.left)
		return -EINVAL;
	error = fs_handles_get(&server->handles, in->fh, call->header.nodeid,
			       true, &handle);
	if (error < 0)
		return error;
	error = folder_answer(server, call, handle, plus);
	fs_handles_put(&server->handles, handle);
	return error;
}

int fs_readdir(struct fs_server *server, struct fs_call *call)
{
	return folder_serve(server, call, false);
}

int fs_readdirplus(struct fs_server *server, struct fs_call *call)
{
	return folder_serve(server, call, true);
}
