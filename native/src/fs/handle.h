/* SPDX-License-Identifier: MIT */
/*
 * Files and folders that the guest has open, by number. A number is an index
 * and how often it has been given out before, so that one of a handle that is
 * closed, or made up, is none (-EBADF).
 *
 * All functions may be called by several threads.
 */
#ifndef CAPSA_FS_HANDLE_H
#define CAPSA_FS_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/inode.h"

struct fs_handle {
	uint64_t number;
	uint32_t users;         /* the table is one */
	struct fs_inode *inode; /* in use; NULL: not open yet */
	int fd;                 /* owned */
	bool folder;
	pthread_mutex_t lock; /* of a folder's position */
	uint64_t position;    /* where the folder is read on */
};

struct fs_handle_slot {
	struct fs_handle *handle; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct fs_handles {
	struct fs_inodes *inodes;
	pthread_mutex_t lock;
	struct fs_handle_slot *slots;
	uint32_t slot_count;
	uint32_t slot_max;
	uint32_t first_free; /* slot_count: none */
};

void fs_handles_create(struct fs_handles *handles, struct fs_inodes *inodes,
		       uint32_t slot_max);
/* No handle may be in use, here and in clear. */
void fs_handles_destroy(struct fs_handles *handles);

/* Closes all. */
void fs_handles_clear(struct fs_handles *handles);

/*
 * A new handle that isn't open yet: so that nothing is created, or truncated,
 * that there is no room for. In use until it is put back. 0, -ENFILE or
 * -ENOMEM.
 */
int fs_handles_add(struct fs_handles *handles, bool folder,
		   struct fs_handle **out);

/* Opens it: of inode, which is in use, by fd, owned from here on. */
void fs_handles_open(struct fs_handles *handles, struct fs_handle *handle,
		     struct fs_inode *inode, int fd);

/* The open handle of that number, inode and kind, in use. 0 or -EBADF. */
int fs_handles_get(struct fs_handles *handles, uint64_t number, uint64_t id,
		   bool folder, struct fs_handle **out);
void fs_handles_put(struct fs_handles *handles, struct fs_handle *handle);

/* Its number is none any more; it closes when nobody uses it. */
void fs_handles_close(struct fs_handles *handles, struct fs_handle *handle);

#endif
