/* SPDX-License-Identifier: MIT */
/*
 * One host: its frames in and out. A connection that is at fault says so and
 * is closed; a virtio port cannot be closed, and is deaf until a host greets
 * anew.
 */
#ifndef CAPSA_GUEST_CONNECTION_H
#define CAPSA_GUEST_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "poller.h"

struct calls;

enum connection_state {
	CONNECTION_GREETING, /* it has said nothing yet */
	CONNECTION_OPEN,
	CONNECTION_CLOSING, /* the last words go out */
	CONNECTION_DEAF,
	CONNECTION_CLOSED,
};

struct connection {
	struct calls *calls;
	enum connection_state state;
	int fd;
	bool port;
	bool away; /* nobody has the other end of the port open */
	bool wants_shutdown;
	uint32_t shutdown_ms;
	uint32_t highest_id;
	uint32_t window; /* the host's, for each output */
	int64_t deadline_ms;
	struct frame_input input;
	struct frame_output output;
};

/* Takes over the descriptor, which does not block. */
void connection_open(struct connection *connection, struct calls *calls, int fd,
		     bool port);

/* Answers what has come. */
void connection_hear(struct connection *connection);

/* Sends what there is to send, and lists what may happen. */
void connection_watch(struct connection *connection, struct poller *poller);

/* Closes its descriptor for good, once the host has all that was said: the end
 * of the machine would take along what the kernel still holds. */
void connection_leave(struct connection *connection);

/* Ends its calls and closes its descriptor. */
void connection_close(struct connection *connection);

#endif
