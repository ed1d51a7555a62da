/* SPDX-License-Identifier: MIT */
#include "fs/inode.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/reopen.h"
#include "fs/table.h"

enum {
	INODES_BUCKETS = 1024, /* to begin with */
	INODES_SHED = 64,
};

struct fs_key fs_key_of(const struct statx *status)
{
	return (struct fs_key) {
		.device = makedev(status->stx_dev_major, status->stx_dev_minor),
		.number = status->stx_ino,
		.mount = status->stx_mask & STATX_MNT_ID ? status->stx_mnt_id
							 : 0,
		.type = status->stx_mode & S_IFMT,
		.birth = status->stx_mask & STATX_BTIME
				 ? status->stx_btime.tv_sec
				 : 0,
		.birth_ns = status->stx_mask & STATX_BTIME
				    ? status->stx_btime.tv_nsec
				    : 0,
	};
}

static int inodes_add_root(struct fs_inodes *inodes, int root_fd)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;
	struct statx status;
	struct fs_key key;
	int error = fs_host_stat(root_fd, &status);

	if (error < 0)
		return error;
	key = fs_key_of(&status);
	error = fs_table_add(inodes, &key, &inodes->root);
	if (error < 0)
		return error;
	inodes->root->lookups = 1;
	fs_table_give(inodes, inodes->root, root_fd, &garbage);
	return 0;
}

int fs_inodes_create(struct fs_inodes *inodes, const struct fs_host *host,
		     int root_fd, uint32_t count_max, uint32_t fds_max)
{
	int error;

	*inodes = (struct fs_inodes) {
		.host = host,
		.next_id = FUSE_ROOT_ID,
		.count_max = count_max,
		.fds_max = fds_max,
	};
	pthread_rwlock_init(&inodes->names, NULL);
	pthread_mutex_init(&inodes->lock, NULL);
	error = fs_table_resize(inodes, INODES_BUCKETS);
	if (error == 0)
		error = inodes_add_root(inodes, root_fd);
	if (error < 0)
		fs_inodes_destroy(inodes);
	return error;
}

void fs_inodes_destroy(struct fs_inodes *inodes)
{
	if (inodes->root) {
		fs_table_clear(inodes);
		if (inodes->root->fd >= 0)
			close(inodes->root->fd);
		free(inodes->root);
	}
	free(inodes->buckets);
	pthread_mutex_destroy(&inodes->lock);
	pthread_rwlock_destroy(&inodes->names);
}

void fs_inodes_clear(struct fs_inodes *inodes)
{
	pthread_mutex_lock(&inodes->lock);
	fs_table_clear(inodes);
	pthread_mutex_unlock(&inodes->lock);
}

int fs_inodes_get(struct fs_inodes *inodes, uint64_t id, struct fs_inode **out)
{
	struct fs_inode *inode;
	bool given_up = false;
	int error;

	pthread_mutex_lock(&inodes->lock);
	inode = fs_table_by_id(inodes, id);
	if (inode && inode->lookups > 0) {
		fs_table_use(inodes, inode);
		given_up = inode->fd < 0;
	} else {
		inode = NULL;
	}
	pthread_mutex_unlock(&inodes->lock);
	if (!inode)
		return -ESTALE;
	error = given_up ? fs_reopen(inodes, inode) : 0;
	if (error < 0) {
		fs_inodes_put(inodes, inode);
		return error;
	}
	*out = inode;
	return 0;
}

void fs_inodes_hold(struct fs_inodes *inodes, struct fs_inode *inode)
{
	pthread_mutex_lock(&inodes->lock);
	fs_table_use(inodes, inode);
	pthread_mutex_unlock(&inodes->lock);
}

void fs_inodes_put(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;

	pthread_mutex_lock(&inodes->lock);
	fs_table_unuse(inodes, inode, &garbage);
	fs_table_unlock(inodes, &garbage);
}

/* With the lock held: the inode of a file, in use, new if it must be. */
static int inodes_intern(struct fs_inodes *inodes, const struct fs_key *key,
			 struct fs_inode **out)
{
	*out = fs_table_by_key(inodes, key);
	if (!*out)
		return fs_table_add(inodes, key, out);
	fs_table_use(inodes, *out);
	return 0;
}

int fs_inodes_found(struct fs_inodes *inodes, struct fs_inode *parent,
		    const char *name, int fd, const struct statx *status,
		    uint64_t *id, struct fs_inode **out)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;
	struct fs_key key = fs_key_of(status);
	struct fs_inode *inode;
	int error;

	pthread_mutex_lock(&inodes->lock);
	error = inodes_intern(inodes, &key, &inode);
	if (error < 0) {
		pthread_mutex_unlock(&inodes->lock);
		if (fd >= 0)
			close(fd);
		return error;
	}
	inode->lookups++;
	*id = inode->id;
	fs_table_name(inodes, inode, parent, name, &garbage);
	if (fd >= 0)
		fs_table_give(inodes, inode, fd, &garbage);
	if (out)
		*out = inode;
	else
		fs_table_unuse(inodes, inode, &garbage);
	fs_table_unlock(inodes, &garbage);
	return 0;
}

void fs_inodes_forget(struct fs_inodes *inodes, uint64_t id, uint64_t count)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;
	struct fs_inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = fs_table_by_id(inodes, id);
	if (inode && inode != inodes->root) {
		fs_table_use(inodes, inode);
		inode->lookups -= count < inode->lookups ? count
							 : inode->lookups;
		fs_table_unuse(inodes, inode, &garbage);
	}
	fs_table_unlock(inodes, &garbage);
}

/*
 * While its name is still there: an inode that loses it without a descriptor
 * could not be found again.
 */
static void inodes_keep(struct fs_inodes *inodes, struct fs_inode *inode,
			const struct fs_inode *parent, const char *name)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;
	struct statx status;
	struct fs_key key;
	int fd = fs_host_look(inodes->host, parent->fd, name);
	int error = fd < 0 ? fd : fs_host_stat(fd, &status);

	if (fd < 0)
		return;
	garbage.fd = fd;
	pthread_mutex_lock(&inodes->lock);
	if (error == 0) {
		key = fs_key_of(&status);
		if (fs_table_same(&key, &inode->key)) {
			garbage.fd = -1;
			fs_table_give(inodes, inode, fd, &garbage);
		}
	}
	fs_table_unlock(inodes, &garbage);
}

int fs_inodes_known(struct fs_inodes *inodes, struct fs_inode *parent,
		    const char *name, struct fs_inode **out)
{
	struct statx status;
	struct fs_inode *inode;
	struct fs_key key;
	bool given_up = false;
	int error;

	*out = NULL;
	error = fs_host_stat_at(parent->fd, name, &status);
	if (error < 0)
		return error;
	key = fs_key_of(&status);
	pthread_mutex_lock(&inodes->lock);
	inode = fs_table_by_key(inodes, &key);
	if (inode) {
		fs_table_use(inodes, inode);
		given_up = inode->fd < 0;
	}
	pthread_mutex_unlock(&inodes->lock);
	if (given_up)
		inodes_keep(inodes, inode, parent, name);
	*out = inode;
	return 0;
}

void fs_inodes_named(struct fs_inodes *inodes, struct fs_inode *inode,
		     struct fs_inode *parent, const char *name)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;

	if (!inode)
		return;
	pthread_mutex_lock(&inodes->lock);
	fs_table_name(inodes, inode, parent, name, &garbage);
	fs_table_unlock(inodes, &garbage);
}

void fs_inodes_unnamed(struct fs_inodes *inodes, struct fs_inode *inode,
		       const struct fs_inode *parent, const char *name)
{
	struct fs_garbage garbage = FS_GARBAGE_NONE;

	if (!inode)
		return;
	pthread_mutex_lock(&inodes->lock);
	if (inode->parent == parent && strcmp(inode->name, name) == 0)
		fs_table_name(inodes, inode, NULL, NULL, &garbage);
	fs_table_unlock(inodes, &garbage);
}

bool fs_inodes_shed(void *owner)
{
	struct fs_inodes *inodes = owner;
	bool any = false;

	for (uint32_t i = 0; i < INODES_SHED; i++) {
		int fd;

		pthread_mutex_lock(&inodes->lock);
		fd = fs_table_evict(inodes);
		pthread_mutex_unlock(&inodes->lock);
		if (fd < 0)
			break;
		close(fd);
		any = true;
	}
	return any;
}
