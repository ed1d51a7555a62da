/* SPDX-License-Identifier: MIT */
/* Learning of files by name, and forgetting them. */
#include <errno.h>
#include <unistd.h>

#include "fs/state.h"

/* Finds what is called name in parent and counts it. */
static int lookup_entry(struct fs_server *server, struct fs_inode *parent,
			const char *name, struct fuse_entry_out *entry)
{
	struct statx status;
	uint64_t id;
	int fd;
	int error;

	pthread_rwlock_rdlock(&server->inodes.names);
	fd = fs_host_look(&server->host, parent->fd, name);
	error = fd < 0 ? fd : fs_host_stat(fd, &status);
	if (error == 0)
		error = fs_inodes_found(&server->inodes, parent, name, fd,
					&status, &id, NULL);
	else if (fd >= 0)
		close(fd);
	pthread_rwlock_unlock(&server->inodes.names);
	if (error == 0)
		*entry = fs_entry(server, id, &status);
	return error;
}

/* That there is nothing can be trusted as long as what there is. */
static bool lookup_keeps_nothing(const struct fs_server *server)
{
	return server->cache == CAPSA_SHARE_CACHE_ALWAYS;
}

int fs_lookup(struct fs_server *server, struct fs_call *call)
{
	struct fuse_entry_out entry;
	struct fs_inode *parent;
	int error = fs_call_name(call);

	if (error == 0)
		error = fs_inodes_get(&server->inodes, call->header.nodeid,
				      &parent);
	if (error != 0)
		return error;
	error = lookup_entry(server, parent, call->names[0], &entry);
	fs_inodes_put(&server->inodes, parent);
	if (error == -ENOENT && lookup_keeps_nothing(server)) {
		entry = (struct fuse_entry_out) {
			.entry_valid = fs_valid(server),
		};
		error = 0;
	}
	return error < 0 ? error : fs_call_reply(call, &entry, sizeof(entry));
}

int fs_forget(struct fs_server *server, struct fs_call *call)
{
	fs_inodes_forget(&server->inodes, call->header.nodeid,
			 call->body.forget.nlookup);
	return 0;
}

int fs_batch_forget(struct fs_server *server, struct fs_call *call)
{
	/* As many as it says, or as the request holds. */
	for (uint32_t i = 0; i < call->body.batch_forget.count; i++) {
		struct fuse_forget_one one;

		if (fs_call_take(call, &one, sizeof(one)) < 0)
			return -EINVAL;
		fs_inodes_forget(&server->inodes, one.nodeid, one.nlookup);
	}
	return 0;
}
