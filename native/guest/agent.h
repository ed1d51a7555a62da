/* SPDX-License-Identifier: MIT */
/*
 * The agent: serves hosts until it is told to stop. One thread, one loop; it is
 * the first process of a guest, or, for tests, an ordinary one.
 */
#ifndef CAPSA_GUEST_AGENT_H
#define CAPSA_GUEST_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "connection.h"
#include "poller.h"

struct guest;

enum agent_stage {
	AGENT_SERVES,
	AGENT_ASKS,   /* processes to end */
	AGENT_KILLS,  /* those that did not */
	AGENT_LEAVES, /* the last words go out */
};

struct agent {
	struct guest *guest; /* NULL for an ordinary process */
	enum agent_stage stage;
	int64_t deadline_ms;
	int signals;
	int listener;
	struct connection *connections[CONNECTIONS_MAX];
	struct calls calls;
	struct poller poller;
};

/* Blocks the signals that the loop reads. 0 or -errno. */
int agent_open(struct agent *agent);

/* Takes over a descriptor that does not block. False if there is no room. */
bool agent_connect(struct agent *agent, int fd, bool port);

/* Serves until all is over: what is left is to end the machine or the
 * process. */
void agent_run(struct agent *agent);

/* Begins to end: processes have so long to do so themselves. */
void agent_stop(struct agent *agent, uint32_t grace_ms);

#endif
