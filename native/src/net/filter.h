/* SPDX-License-Identifier: MIT */
/*
 * What stands between a guest and its NAT: it sees every Ethernet frame, says
 * whether the frame goes on, and may answer either side itself. The caller
 * calls it from one thread at a time and brings the time along.
 */
#ifndef CAPSA_NET_FILTER_H
#define CAPSA_NET_FILTER_H

#include <stdint.h>

enum net_verdict {
	NET_PASS = 1,
	NET_DROP = 2,
};

enum {
	NET_ETHERNET_HEADER = 14,
	/* An ICMPv6 error quotes up to the smallest MTU (RFC 4443, 2.4). */
	NET_GUEST_ANSWER_MAX = NET_ETHERNET_HEADER + 1280,
	/* A TCP reset over IPv6. */
	NET_NAT_ANSWER_MAX = NET_ETHERNET_HEADER + 40 + 20,
};

/* Frames to hand out after the verdict is carried out; length 0: none. */
struct net_answer {
	uint32_t guest_length;
	uint32_t nat_length;
	uint8_t guest[NET_GUEST_ANSWER_MAX];
	uint8_t nat[NET_NAT_ANSWER_MAX];
};

/* now_ms never goes back. Both fill the lengths of answer in any case. */
struct net_filter {
	enum net_verdict (*from_guest)(struct net_filter *filter,
				       const uint8_t *frame, uint32_t length,
				       uint64_t now_ms,
				       struct net_answer *answer);
	enum net_verdict (*to_guest)(struct net_filter *filter,
				     const uint8_t *frame, uint32_t length,
				     uint64_t now_ms,
				     struct net_answer *answer);
};

#endif
