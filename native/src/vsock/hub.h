/* SPDX-License-Identifier: MIT */
/*
 * All connections of one machine: what comes from the guest as packets goes to
 * sockets of the host, and the other way round. The device (virtio/vsock.h)
 * has the queues; here is what the packets mean (virtio 1.2, section 5.10.6).
 *
 * Everything a guest can make it keep is bounded: connections, what is kept
 * for each, and answers to packets that belong to none. Nothing waits: what
 * cannot go on stops watching its socket until it can.
 *
 * The caller locks, and bounds its turns.
 */
#ifndef CAPSA_VSOCK_HUB_H
#define CAPSA_VSOCK_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

enum {
	VSOCK_CONNECTIONS_MAX = 2048,
	VSOCK_HOST_CID = 2,
	VSOCK_GUEST_CID_MIN = 3,
};

struct vsock_config {
	const char *path; /* of the host's socket: see vsock/host.h */
	uint64_t guest_cid;
	/*
	 * How long a program of the host may take to say what it wants, and
	 * the guest to answer.
	 */
	uint32_t patience_ms;
};

struct vsock_hub;

/* Listens, and accepts nobody before it is started. 0 or -errno. */
int vsock_hub_create(struct vsock_hub **out, const struct vsock_config *config);

/* Ends it before. */
void vsock_hub_destroy(struct vsock_hub *hub);

/* Accepts programs of the host. May be started already. */
void vsock_hub_start(struct vsock_hub *hub);

/* The guest has forgotten everything: so does the hub. */
void vsock_hub_rest(struct vsock_hub *hub);

/* The guest is no more: rests, and its path goes. May be ended already. */
void vsock_hub_end(struct vsock_hub *hub);

uint64_t vsock_hub_guest_cid(const struct vsock_hub *hub);

/* Readable while there is something to poll for. */
int vsock_hub_fd(const struct vsock_hub *hub);

/* Deals with what has happened to sockets; one bounded turn. */
void vsock_hub_poll(struct vsock_hub *hub);

/* False: first the guest must take answers to what it has sent. */
bool vsock_hub_can_receive(const struct vsock_hub *hub);

/* A packet of the guest. How many bytes of data it brought. */
uint32_t vsock_hub_receive(struct vsock_hub *hub,
			   const struct virtqueue_chain *chain);

/* Whether there is something for the guest. */
bool vsock_hub_has_packet(const struct vsock_hub *hub);

/*
 * Writes a packet: there is one. Its length, or -EPROTO if there is no room
 * even for a header. Connections take turns.
 */
int64_t vsock_hub_send(struct vsock_hub *hub,
		       const struct virtqueue_chain *chain);

struct vsock_counts {
	uint32_t connections; /* now */
	uint64_t to_guest;    /* bytes of data in all */
	uint64_t from_guest;
};

/* Without the lock. */
struct vsock_counts vsock_hub_counts(const struct vsock_hub *hub);

#endif
