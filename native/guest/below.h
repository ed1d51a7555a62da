/* SPDX-License-Identifier: MIT */
/*
 * Paths below a folder that lead nowhere else: names of an archive are not
 * believed. Each is walked from the folder on, one open folder after the other,
 * through no link.
 */
#ifndef CAPSA_GUEST_BELOW_H
#define CAPSA_GUEST_BELOW_H

#include <limits.h>

/* Where something is to be: a name in an open folder. */
struct below {
	int folder; /* to be closed */
	char name[NAME_MAX + 1];
};

/*
 * Opens the folder that a path's last name is in, and makes what is missing on
 * the way. 0; 1 when the path is the root itself, and nothing is opened;
 * -EPERM when the path leads out or through a link, else -errno.
 */
int below_open(int root, const char *path, struct below *below);

#endif
