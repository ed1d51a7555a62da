/* SPDX-License-Identifier: MIT */
/*
 * Taking names away. What the guest knows by a name is found before the name
 * goes, and what is remembered of names changes with them: all of it with
 * names held for writing, so that nobody looks for an inode in between.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/state.h"

static int rename_remove(struct fs_server *server, struct fs_inode *parent,
			 const char *name, int flags)
{
	struct fs_inodes *inodes = &server->inodes;
	struct fs_inode *known;
	int error;

	pthread_rwlock_wrlock(&inodes->names);
	error = fs_inodes_known(inodes, parent, name, &known);
	if (error == 0 && unlinkat(parent->fd, name, flags) < 0)
		error = -errno;
	if (error == 0)
		fs_inodes_unnamed(inodes, known, parent, name);
	pthread_rwlock_unlock(&inodes->names);
	if (known)
		fs_inodes_put(inodes, known);
	return error;
}

static int rename_remove_any(struct fs_server *server, struct fs_call *call,
			     int flags)
{
	struct fs_inode *parent;
	int error = fs_call_name(call);

	if (error == 0)
		error = fs_inodes_get(&server->inodes, call->header.nodeid,
				      &parent);
	if (error != 0)
		return error;
	error = rename_remove(server, parent, call->names[0], flags);
	fs_inodes_put(&server->inodes, parent);
	return error;
}

int fs_unlink(struct fs_server *server, struct fs_call *call)
{
	return rename_remove_any(server, call, 0);
}

int fs_rmdir(struct fs_server *server, struct fs_call *call)
{
	return rename_remove_any(server, call, AT_REMOVEDIR);
}

/* A name, and what the guest knows by it. */
struct rename_end {
	struct fs_inode *parent;
	const char *name;
	struct fs_inode *known; /* NULL: nothing */
};

/* With names held for writing, and both ends known. */
static int rename_move(struct fs_inodes *inodes, const struct rename_end *from,
		       const struct rename_end *to, uint32_t flags)
{
	if (renameat2(from->parent->fd, from->name, to->parent->fd, to->name,
		      flags) < 0)
		return -errno;
	/* Two names of one file: nothing has happened. */
	if (from->known && from->known == to->known)
		return 0;
	fs_inodes_unnamed(inodes, to->known, to->parent, to->name);
	fs_inodes_unnamed(inodes, from->known, from->parent, from->name);
	fs_inodes_named(inodes, from->known, to->parent, to->name);
	if (flags & RENAME_EXCHANGE)
		fs_inodes_named(inodes, to->known, from->parent, from->name);
	return 0;
}

static int rename_ends(struct fs_inodes *inodes, struct rename_end *from,
		       struct rename_end *to, uint32_t flags)
{
	int error;

	pthread_rwlock_wrlock(&inodes->names);
	error = fs_inodes_known(inodes, from->parent, from->name, &from->known);
	if (error == 0) {
		error = fs_inodes_known(inodes, to->parent, to->name,
					&to->known);
		/* It may be free. */
		if (error == -ENOENT && !(flags & RENAME_EXCHANGE))
			error = 0;
	}
	if (error == 0)
		error = rename_move(inodes, from, to, flags);
	pthread_rwlock_unlock(&inodes->names);
	if (from->known)
		fs_inodes_put(inodes, from->known);
	if (to->known)
		fs_inodes_put(inodes, to->known);
	return error;
}

static int rename_any(struct fs_server *server, struct fs_call *call,
		      uint64_t new_parent, uint32_t flags)
{
	struct rename_end from = { .known = NULL };
	struct rename_end to = { .known = NULL };
	int error = fs_call_texts(call, 2);

	for (uint32_t i = 0; error == 0 && i < 2; i++)
		error = fs_name_check(call->names[i]);
	/* A whiteout would be a device node. */
	if (error == 0 &&
	    flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		error = -EINVAL;
	if (error == 0)
		error = fs_inodes_get(&server->inodes, call->header.nodeid,
				      &from.parent);
	if (error != 0)
		return error;
	error = fs_inodes_get(&server->inodes, new_parent, &to.parent);
	if (error == 0) {
		from.name = call->names[0];
		to.name = call->names[1];
		error = rename_ends(&server->inodes, &from, &to, flags);
		fs_inodes_put(&server->inodes, to.parent);
	}
	fs_inodes_put(&server->inodes, from.parent);
	return error;
}

int fs_rename(struct fs_server *server, struct fs_call *call)
{
	return rename_any(server, call, call->body.rename.newdir, 0);
}

int fs_rename2(struct fs_server *server, struct fs_call *call)
{
	return rename_any(server, call, call->body.rename2.newdir,
			  call->body.rename2.flags);
}
