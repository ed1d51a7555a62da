/* SPDX-License-Identifier: MIT */
/*
 * An I/O thread: one epoll set, shared by the devices of many machines.
 */
#ifndef CAPSA_LOOP_H
#define CAPSA_LOOP_H

#include <stdint.h>

struct loop;

/* Embedded in its owner; the descriptor stays the owner's. */
struct loop_source {
	int fd;
	/*
	 * Called on the loop's thread while fd is ready (level-triggered).
	 * After an error or hang-up of fd it is called once and not again.
	 */
	void (*ready)(struct loop_source *source);
	uint64_t id; /* set by loop_add() */
};

/* Starts the thread, with all signals blocked. 0 or -errno. */
int loop_create(struct loop **out);

/* Joins the thread. Every source must have been removed. NULL is fine. */
void loop_destroy(struct loop *loop);

/* Watches source->fd for input. 0 or -errno. Any thread. */
int loop_add(struct loop *loop, struct loop_source *source);

/*
 * Stops watching. On return source->ready is not running and will not be
 * called again, so its owner may be freed. Any thread but the loop's own.
 */
void loop_remove(struct loop *loop, struct loop_source *source);

#endif
