/* SPDX-License-Identifier: MIT */
/*
 * The table of inodes itself. Private to inode.c and reopen.c; all functions
 * are called with the table's lock held, but for fs_table_unlock(), which
 * gives it back.
 */
#ifndef CAPSA_FS_TABLE_H
#define CAPSA_FS_TABLE_H

#include "fs/inode.h"

/* What is given up under the lock and freed without it: it takes long. */
struct fs_garbage {
	struct fs_inode *inodes; /* by next_by_id */
	int fd;                  /* -1: none */
};

#define FS_GARBAGE_NONE                                                        \
	{                                                                      \
		.inodes = NULL, .fd = -1                                       \
	}

/* Unlocks, closes and frees. */
void fs_table_unlock(struct fs_inodes *inodes, struct fs_garbage *garbage);

/* Gives it count buckets, a power of two. 0 or -ENOMEM: it stays as it is. */
int fs_table_resize(struct fs_inodes *inodes, uint32_t count);

/* NULL: none. An inode that only serves as a parent is found too. */
struct fs_inode *fs_table_by_id(const struct fs_inodes *inodes, uint64_t id);
/* The one of this very file; takes note of its present time of birth. */
struct fs_inode *fs_table_by_key(struct fs_inodes *inodes,
				 const struct fs_key *key);
bool fs_table_same(const struct fs_key *one, const struct fs_key *other);

/* A new inode in use, without descriptor and name. -ENFILE, -ENOMEM. */
int fs_table_add(struct fs_inodes *inodes, const struct fs_key *key,
		 struct fs_inode **out);

/*
 * While it is in use its descriptor stays. When it no more is, one that is too
 * many is given up, unless garbage holds one.
 */
void fs_table_use(struct fs_inodes *inodes, struct fs_inode *inode);
void fs_table_unuse(struct fs_inodes *inodes, struct fs_inode *inode,
		    struct fs_garbage *garbage);

/*
 * Gives an inode that is in use its descriptor, unless it has one: then
 * garbage, which holds none, gets it.
 */
void fs_table_give(struct fs_inodes *inodes, struct fs_inode *inode, int fd,
		   struct fs_garbage *garbage);

/*
 * Where an inode in use is found again; parent may be NULL. What would make it
 * its own ancestor isn't remembered.
 */
void fs_table_name(struct fs_inodes *inodes, struct fs_inode *inode,
		   struct fs_inode *parent, const char *name,
		   struct fs_garbage *garbage);

/* The descriptor of the idle inode that needs it least; -1: none is idle. */
int fs_table_evict(struct fs_inodes *inodes);

/* Frees all but the root. */
void fs_table_clear(struct fs_inodes *inodes);

#endif
