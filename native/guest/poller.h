/* SPDX-License-Identifier: MIT */
/*
 * One turn of the agent: all that may happen is listed, poll(2) waits, and what
 * happened is told. The list is made anew for each turn, so nothing has to be
 * kept in step with it.
 */
#ifndef CAPSA_GUEST_POLLER_H
#define CAPSA_GUEST_POLLER_H

#include <poll.h>
#include <stdint.h>

#include "protocol.h"

enum { POLLER_WATCHES_MAX = 4 * CALLS_MAX + CONNECTIONS_MAX + 32 };

typedef void (*poller_ready)(void *owner, short events, int detail);

struct poller_watch {
	poller_ready ready;
	void *owner;
	int detail;
};

struct poller {
	struct pollfd fds[POLLER_WATCHES_MAX];
	struct poller_watch watches[POLLER_WATCHES_MAX];
	unsigned int count;
	int64_t deadline_ms; /* monotonic; -1: none */
};

int64_t poller_now_ms(void);

void poller_begin(struct poller *poller);

/* `owner` must live until the end of the turn. */
void poller_add(struct poller *poller, int fd, short events, poller_ready ready,
		void *owner, int detail);

/* The turn ends at this time at the latest. */
void poller_wake_at(struct poller *poller, int64_t deadline_ms);

/* Waits, and calls whom it concerns. */
void poller_turn(struct poller *poller);

#endif
