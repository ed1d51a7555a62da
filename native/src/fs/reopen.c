/* SPDX-License-Identifier: MIT */
#include "fs/reopen.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "fs/table.h"

enum { REOPEN_TRIES = 8 };

/* Inodes in use, each the parent of the one before. */
struct reopen_path {
	uint32_t count;
	struct fs_inode *inodes[FS_DEPTH_MAX];
};

/* From inode up to the first that has a descriptor; -ESTALE: none is near. */
static int reopen_collect(struct fs_inodes *inodes, struct fs_inode *inode,
			  struct reopen_path *path)
{
	int result = -ESTALE;

	path->count = 0;
	pthread_mutex_lock(&inodes->lock);
	while (inode && result < 0 && path->count < FS_DEPTH_MAX) {
		fs_table_use(inodes, inode);
		path->inodes[path->count++] = inode;
		if (inode->fd >= 0)
			result = 0;
		inode = inode->parent;
	}
	pthread_mutex_unlock(&inodes->lock);
	return result;
}

/* What has the name is not, or no more, what is looked for. */
static int reopen_stale(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP
		       ? -ESTALE
		       : error;
}

static int reopen_verify(int fd, const struct fs_key *key)
{
	struct statx status;
	struct fs_key found;
	int error = fs_host_stat(fd, &status);

	if (error < 0)
		return error;
	found = fs_key_of(&status);
	return fs_table_same(&found, key) ? 0 : -ESTALE;
}

/* What to look for. 1: nothing, it has a descriptor; 0; -EAGAIN: it moved. */
static int reopen_target(struct fs_inodes *inodes, const struct fs_inode *inode,
			 const struct fs_inode *parent, struct fs_key *key,
			 char *name)
{
	int result = -EAGAIN;

	pthread_mutex_lock(&inodes->lock);
	if (inode->fd >= 0) {
		result = 1;
	} else if (inode->parent == parent) {
		*key = inode->key;
		memcpy(name, inode->name, strlen(inode->name) + 1);
		result = 0;
	}
	pthread_mutex_unlock(&inodes->lock);
	return result;
}

/*
 * Gives one inode its descriptor by way of its parent, which has one and is
 * in use. Names are held, so no name goes away; but another thread may find
 * it by another one.
 */
static int reopen_step(struct fs_inodes *inodes, struct fs_inode *inode,
		       const struct fs_inode *parent)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;
	char name[NAME_MAX + 1];
	struct fs_key key;
	int fd;
	int error = reopen_target(inodes, inode, parent, &key, name);

	if (error != 0)
		return error < 0 ? error : 0;
	fd = fs_host_look(inodes->host, parent->fd, name);
	if (fd < 0)
		return reopen_stale(fd);
	error = reopen_verify(fd, &key);
	if (error < 0) {
		close(fd);
		return error;
	}
	pthread_mutex_lock(&inodes->lock);
	fs_table_give(inodes, inode, fd, &garbage);
	fs_table_unlock(inodes, &garbage);
	return 0;
}

/*
 * Each is put back as soon as the next one has its descriptor, so that a deep
 * tree needs no more of them than a flat one.
 */
static int reopen_walk(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct reopen_path path;
	int error = reopen_collect(inodes, inode, &path);

	while (path.count > 0) {
		uint32_t last = --path.count;

		if (error == 0 && last > 0)
			error = reopen_step(inodes, path.inodes[last - 1],
					    path.inodes[last]);
		fs_inodes_put(inodes, path.inodes[last]);
	}
	return error;
}

int fs_reopen(struct fs_inodes *inodes, struct fs_inode *inode)
{
	int error = -EAGAIN;

	pthread_rwlock_rdlock(&inodes->names);
	for (uint32_t i = 0; error == -EAGAIN && i < REOPEN_TRIES; i++)
		error = reopen_walk(inodes, inode);
	pthread_rwlock_unlock(&inodes->names);
	return error == -EAGAIN ? -ESTALE : error;
}
