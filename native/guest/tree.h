/* SPDX-License-Identifier: MIT */
/*
 * All that a process started, whatever it does to get away: a control group of
 * its own, where there are control groups, else its process group.
 */
#ifndef CAPSA_GUEST_TREE_H
#define CAPSA_GUEST_TREE_H

#include <stdint.h>
#include <sys/types.h>

struct trees {
	int folder; /* of control groups; -1: there are none */
	uint64_t last;
	uint64_t left[64]; /* dropped while somebody was in them */
	unsigned int left_count;
};

/* Uses a folder below a cgroup v2 mount, which is created. */
void trees_open(struct trees *trees, const char *path);

/* A new one. Gives its number, or 0 when there are no control groups. */
uint64_t tree_make(struct trees *trees);

/* fork(), with the child in it; for a process of one thread. */
pid_t tree_fork(const struct trees *trees, uint64_t tree);

/* Kills all of it; `group` leads its process group, or is 0 when that is
 * gone. */
void tree_kill(const struct trees *trees, uint64_t tree, pid_t group);

/* Done with it; it goes as soon as nobody is in it any more. */
void tree_drop(struct trees *trees, uint64_t tree);

#endif
