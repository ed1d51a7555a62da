/* SPDX-License-Identifier: MIT */
/*
 * What the guest knows of a share: files, folders and links by number.
 *
 * Each inode has an O_PATH descriptor of the host's file, so that no name is
 * ever looked up twice: what is renamed stays found, what takes a name's place
 * is not mistaken for it. Descriptors are few, so the ones that have not been
 * used for longest are given up. Such an inode is found again below its
 * parent by the name that it was last seen by, and only if it is the same
 * file; else it is gone (-ESTALE), and the guest looks the name up afresh.
 *
 * All functions may be called by several threads. Those that make or use
 * system calls do so without the lock.
 */
#ifndef CAPSA_FS_INODE_H
#define CAPSA_FS_INODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/host.h"

enum {
	/* How far an inode may lie below one that has a descriptor, to be
	 * found again: it bounds what one request costs. */
	FS_DEPTH_MAX = 1024,
};

/*
 * Which file it is. The host may give the number of a file that is gone to a
 * new one, which only the time of its birth tells from the old one. While a
 * descriptor is held that can't happen, so then the time doesn't count: it
 * changes where an overlay copies a file up.
 */
struct fs_key {
	uint64_t device; /* this and what follows never change */
	uint64_t number;
	uint64_t mount;
	uint32_t type;     /* S_IFMT of its mode */
	uint32_t birth_ns; /* may change, by the table's lock */
	int64_t birth;
};

struct fs_inode {
	struct fs_inode *next_by_id; /* of the chains of the hash tables */
	struct fs_inode *next_by_key;
	struct fs_inode *older; /* of a list of idle ones */
	struct fs_inode *newer;
	struct fs_inode *parent; /* NULL: its name isn't known */
	char *name;              /* in parent; owned */
	struct fs_key key;
	uint64_t id;
	uint64_t lookups;  /* how often the guest has been told of it */
	uint32_t users;    /* of its descriptor; 0: it is idle */
	uint32_t children; /* inodes whose parent it is */
	int fd;            /* O_PATH, owned; -1: given up */
};

/* Idle inodes with a descriptor, from the one that has been so for longest. */
struct fs_idle {
	struct fs_inode *oldest;
	struct fs_inode *newest;
};

/* Of two hash tables: the first of each chain. */
struct fs_bucket {
	struct fs_inode *by_id;
	struct fs_inode *by_key;
};

struct fs_inodes {
	const struct fs_host *host;
	/*
	 * Guards that the host's names are those that are remembered: held
	 * for writing by who takes a name away, for reading by who finds or
	 * makes one, across the system call and what is remembered of it.
	 * Taken before lock.
	 */
	pthread_rwlock_t names;

	pthread_mutex_t lock; /* of all that follows */
	struct fs_inode *root;
	uint64_t next_id;
	struct fs_bucket *buckets;
	uint32_t bucket_count; /* a power of two */
	uint32_t count;
	uint32_t count_max;
	uint32_t fds; /* descriptors held */
	uint32_t fds_max;
	struct fs_idle named; /* given up first */
	struct fs_idle nameless;
};

struct fs_key fs_key_of(const struct statx *status);

/*
 * root_fd is an O_PATH descriptor of the share's folder, owned from here on
 * if it succeeds. Descriptors beyond fds_max are held only for inodes in use.
 * 0 or -errno.
 */
int fs_inodes_create(struct fs_inodes *inodes, const struct fs_host *host,
		     int root_fd, uint32_t count_max, uint32_t fds_max);
void fs_inodes_destroy(struct fs_inodes *inodes);

/* Forgets all but the root. No inode may be in use. */
void fs_inodes_clear(struct fs_inodes *inodes);

/*
 * The inode that the guest knows by id, with its descriptor, until it is put
 * back. 0, -ESTALE, or -errno of what it takes to find it again.
 */
int fs_inodes_get(struct fs_inodes *inodes, uint64_t id, struct fs_inode **out);

/* One user more; inode is in use. */
void fs_inodes_hold(struct fs_inodes *inodes, struct fs_inode *inode);
void fs_inodes_put(struct fs_inodes *inodes, struct fs_inode *inode);

/*
 * Counts a lookup of the inode that is called name in parent, which is in use,
 * with names held. fd is its O_PATH descriptor, owned by inodes from here on,
 * or -1. The inode stays in use if out isn't NULL. 0, -ENFILE or -ENOMEM.
 */
int fs_inodes_found(struct fs_inodes *inodes, struct fs_inode *parent,
		    const char *name, int fd, const struct statx *status,
		    uint64_t *id, struct fs_inode **out);

/* Takes back up to count lookups. What the guest doesn't know is ignored. */
void fs_inodes_forget(struct fs_inodes *inodes, uint64_t id, uint64_t count);

/*
 * The inode that is called name in parent if the guest knows it, in use and
 * if possible with its descriptor, else NULL; with names held for writing.
 * 0, or -errno when the host has no such name.
 */
int fs_inodes_known(struct fs_inodes *inodes, struct fs_inode *parent,
		    const char *name, struct fs_inode **out);

/*
 * The inode has been given this name, or lost it; with names held for
 * writing. NULL instead of an inode is fine.
 */
void fs_inodes_named(struct fs_inodes *inodes, struct fs_inode *inode,
		     struct fs_inode *parent, const char *name);
void fs_inodes_unnamed(struct fs_inodes *inodes, struct fs_inode *inode,
		       const struct fs_inode *parent, const char *name);

/* Gives some idle descriptors up, if it has any: fs_host's shed. */
bool fs_inodes_shed(void *inodes);

#endif
