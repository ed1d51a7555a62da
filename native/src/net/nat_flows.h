/* SPDX-License-Identifier: MIT */
/*
 * The flows of a NAT, watched from outside of libslirp, which has no bounds of
 * its own: it opens a socket for each flow and keeps every segment that
 * arrives before its turn, however little it brings. So the number of flows
 * is bounded here, and so is that of segments that libslirp has been given and
 * has not acknowledged.
 *
 * Pure: headers and time in, verdict out.
 */
#ifndef CAPSA_NET_NAT_FLOWS_H
#define CAPSA_NET_NAT_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/frame.h"

enum {
	/* More than there can be sockets: some have been closed of late. */
	NAT_FLOWS_MAX = 1024,
	/* Of all flows together. A window holds 45 full ones of 1460 bytes. */
	NAT_SEGMENTS_MAX = 1024,
	/* Longer than libslirp waits for an answer to a datagram. */
	NAT_UDP_MS = 250 * 1000,
	/* The same for DNS, which it takes for answered by one. */
	NAT_DNS_MS = 15 * 1000,
	NAT_RESET_MAX = FRAME_IP + FRAME_IPV6_HEADER + FRAME_TCP_HEADER,
	NAT_HASHES = 512,
};

/* Between the guest and somebody else; of UDP the guest's side only. */
struct nat_flow_key {
	uint8_t guest[16]; /* IPv4: in the first four bytes */
	uint8_t remote[16];
	uint16_t guest_port;
	uint16_t remote_port;
	uint16_t address_bytes; /* 4 or 16 */
};

struct nat_flow {
	struct nat_flow_key key;
	uint16_t chain; /* next of the same hash; indices, 0: none */
	uint16_t older; /* by last use */
	uint16_t younger;
	/* UDP */
	uint64_t expires_ms;
	/* TCP; sequence numbers are the guest's */
	bool opened;       /* first is known, and */
	bool acknowledged; /* next is */
	bool closed;       /* the NAT has let it go */
	uint32_t first;    /* of its SYN */
	uint32_t next;     /* that the NAT expects, as it said last */
	uint32_t highest;  /* behind all that it was given */
	uint32_t segments; /* given, and not all acknowledged */
};

struct nat_flow_table {
	uint16_t used;   /* of flows; the first is none */
	uint16_t oldest; /* by last use */
	uint16_t youngest;
	uint16_t heads[NAT_HASHES];
	struct nat_flow flows[1 + NAT_FLOWS_MAX];
};

struct nat_flows {
	uint32_t segments; /* of all flows */
	struct nat_flow_table tcp;
	struct nat_flow_table udp;
};

/*
 * A frame to be given to the NAT before the one that is looked at: it ends a
 * connection whose place a new one takes.
 */
struct nat_reset {
	uint32_t length; /* 0: none */
	uint8_t frame[NAT_RESET_MAX];
};

/* Whether the NAT may be given a frame of the guest, TCP or UDP. */
bool nat_flows_from_guest(struct nat_flows *flows,
			  const struct frame_view *view, uint64_t now_ms,
			  struct nat_reset *reset);

/* Notes what the NAT says to the guest. */
void nat_flows_to_guest(struct nat_flows *flows, const struct frame_view *view,
			uint64_t now_ms, struct nat_reset *reset);

#endif
