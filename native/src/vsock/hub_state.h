/* SPDX-License-Identifier: MIT */
/* What the parts of the hub share. */
#ifndef CAPSA_VSOCK_HUB_STATE_H
#define CAPSA_VSOCK_HUB_STATE_H

#include <stdatomic.h>
#include <stddef.h>

#include "capsa.h"
#include "vsock/connection.h"
#include "vsock/hub.h"
#include "vsock/table.h"

enum {
	/*
	 * Answers to packets that belong to no connection. While there is no
	 * room for another one, packets of the guest wait.
	 */
	VSOCK_STRAYS_MAX = 256,
};

/* A packet that belongs to no connection: its sender is owed a reset. */
struct vsock_stray {
	uint64_t host_cid; /* as the guest has it */
	uint32_t host_port;
	uint32_t guest_port;
};

struct vsock_hub {
	char path[CAPSA_VSOCK_PATH_MAX + 1]; /* empty once it is gone */
	uint64_t guest_cid;
	uint64_t patience_ns;

	int epoll_fd; /* of all below and the connections' */
	int listen_fd;
	int timer_fd;
	bool started;
	bool accepting;     /* listen_fd is watched */
	bool short_of;      /* descriptors or memory, at the last accept */
	uint64_t timer_ns;  /* when it rings; 0: it is not set */
	uint32_t next_port; /* of the host, to be tried for a connection */

	atomic_uint count; /* of connections */
	struct vsock_table table;
	struct vsock_link all;
	struct vsock_link ready;   /* who is first has the next turn */
	struct vsock_link waiting; /* by deadline */

	/* Removed while events of theirs may be at hand still. */
	bool polling;
	struct vsock_connection *gone;

	struct vsock_stray strays[VSOCK_STRAYS_MAX]; /* a ring */
	uint32_t stray_first;
	uint32_t stray_count;

	atomic_uint_fast64_t to_guest; /* bytes */
	atomic_uint_fast64_t from_guest;
	struct iovec parts[VIRTQUEUE_SIZE_MAX]; /* of the packet at hand */
};

/* The entry of a list's link. */
#define VSOCK_ENTRY(link, list)                                                \
	((struct vsock_connection *)((char *)(link)-offsetof(                  \
		struct vsock_connection, list)))

/* A new one, whose socket it owns from here on; NULL: no room. */
struct vsock_connection *vsock_hub_add(struct vsock_hub *hub, int fd);

/* Closes and frees it. */
void vsock_hub_remove(struct vsock_hub *hub,
		      struct vsock_connection *connection);

/*
 * After everything that changes a connection: watches for what it needs, and
 * puts it in the line of those with something for the guest.
 */
void vsock_hub_settle(struct vsock_hub *hub,
		      struct vsock_connection *connection);

/* Its end on the host is closed; what was kept for it is lost. */
void vsock_hub_hang_up(struct vsock_hub *hub,
		       struct vsock_connection *connection);

/* Something is not as it must be: both ends are told. error is for a program
 * of the host that waits for an answer. */
void vsock_hub_abort(struct vsock_hub *hub, struct vsock_connection *connection,
		     const char *error);

/* The guest knows that it is over: it goes, or what is kept goes first. */
void vsock_hub_forget(struct vsock_hub *hub,
		      struct vsock_connection *connection);

/* Limits the time of what it waits for. */
void vsock_hub_limit(struct vsock_hub *hub,
		     struct vsock_connection *connection);
void vsock_hub_unlimit(struct vsock_connection *connection);

/* Watches the listening socket, or not. */
void vsock_hub_accept(struct vsock_hub *hub, bool accept);

/* Sets the timer if it would ring later. */
void vsock_hub_ring_at(struct vsock_hub *hub, uint64_t time_ns);
uint64_t vsock_hub_now(void);

/*
 * The part of buffers from byte skip on, of at most limit bytes, in
 * hub->parts. How many parts; *length has their bytes.
 */
uint32_t vsock_hub_cut(struct vsock_hub *hub, const struct iovec *buffers,
		       uint32_t count, size_t skip, size_t limit,
		       size_t *length);

#endif
