/* SPDX-License-Identifier: MIT */
/* Finding an inode again whose descriptor was given up. */
#ifndef CAPSA_FS_REOPEN_H
#define CAPSA_FS_REOPEN_H

#include "fs/inode.h"

/*
 * Gives inode, which is in use, its descriptor, by the names below the next
 * of its parents that has one. 0; -ESTALE: what has its name is another file,
 * or it has none; or -errno of the host.
 */
int fs_reopen(struct fs_inodes *inodes, struct fs_inode *inode);

#endif
