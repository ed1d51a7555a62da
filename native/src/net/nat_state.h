/* SPDX-License-Identifier: MIT */
/*
 * What a NAT is made of. Private to nat.c, which has its turns, and
 * nat_create.c.
 */
#ifndef CAPSA_NET_NAT_STATE_H
#define CAPSA_NET_NAT_STATE_H

#include "net/nat.h"
#include "net/nat_datagrams.h"
#include "net/nat_flows.h"
#include "net/nat_sockets.h"
#include "net/slirp_library.h"

enum {
	NAT_TIMERS = 4, /* libslirp has one, for router advertisements */
	/* Frames of the filter's for the NAT, while libslirp is at work. */
	NAT_WAITING_MAX = 16,
};

struct nat_timer {
	SlirpTimerCb run; /* NULL: free */
	void *opaque;
	uint64_t expires_ms; /* 0: not set */
};

struct nat_waiting {
	uint32_t length;
	uint8_t frame[NET_NAT_ANSWER_MAX];
};

struct nat {
	struct slirp_library library;
	Slirp *slirp;
	struct nat_site site;
	struct net_filter *filter;
	struct nat_client client;
	int timer_fd;      /* owned; in the sockets' set */
	uint64_t armed_ms; /* when it goes off; 0: never */
	uint64_t due_ms;   /* the same as libslirp wants it */
	uint64_t now_ms;   /* of this turn */
	uint64_t active_ms;
	bool turning; /* libslirp knows the time */
	struct nat_timer timers[NAT_TIMERS];
	uint32_t waiting_count;
	struct nat_waiting waiting[NAT_WAITING_MAX];
	struct nat_flows flows;
	struct nat_sockets sockets;
	struct nat_datagrams datagrams;
};

extern const SlirpCb nat_callbacks; /* opaque: struct nat */

/*
 * With the library's lock: asks libslirp which sockets it waits for, and for
 * how long at most.
 */
uint32_t nat_ask(struct nat *nat);

#endif
