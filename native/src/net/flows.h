/* SPDX-License-Identifier: MIT */
/*
 * Connections that were allowed: they live on whatever becomes of the rules.
 * The table has a fixed size. What was idle for its time goes first; when the
 * table is full, so does what is closing or would soon go, the least recently
 * used first; then there is no room for new ones.
 */
#ifndef CAPSA_NET_FLOWS_H
#define CAPSA_NET_FLOWS_H

#include "net/domain.h"
#include "net/hash.h"
#include "net/packet.h"
#include "net/stream.h"

enum {
	FLOWS_MAX = 16 * 1024,
	FLOWS_PLACES = 16 * 1024,
};

enum flow_class {
	FLOW_OPENING = 0, /* or what TLS asks for is not complete */
	FLOW_ESTABLISHED,
	FLOW_CLOSING,
	FLOW_UDP,
	FLOW_ICMP,
	FLOW_CLASSES,
};

struct flow_key {
	uint8_t family;
	uint8_t protocol; /* enum capsa_protocol */
	uint16_t guest_port;
	uint16_t remote_port;
	uint8_t guest[ADDRESS_BYTES_MAX];
	uint8_t remote[ADDRESS_BYTES_MAX];
};
_Static_assert(sizeof(struct flow_key) == 38, "padding would be hashed");

/* Links are index + 1, and 0 is none, so that zeroed memory is empty. */
struct flow {
	struct flow_key key;
	uint16_t next;  /* in the same place, or free */
	uint16_t older; /* in the same class */
	uint16_t newer;
	uint16_t stream;     /* number of it, 0: none */
	uint8_t class;       /* enum flow_class */
	uint8_t server_name; /* enum capsa_server_name; 0: none to check */
	bool inbound;        /* it came through a port forward */
	bool answered;       /* TCP: by a segment with SYN and ACK */
	bool guest_fin;
	bool nat_fin;
	uint32_t base; /* TCP: number of the guest's first byte */
	uint64_t used_ms;
	struct domain name; /* of the other side, empty: not known */
};

struct flow_list {
	uint16_t oldest;
	uint16_t newest;
};

/* Zeroed but for the key, it is empty. */
struct flows {
	struct hash_key key;
	uint32_t used; /* flows behind it were never taken */
	uint16_t first_free;
	uint16_t places[FLOWS_PLACES];
	struct flow_list classes[FLOW_CLASSES];
	struct flow list[FLOWS_MAX];
	struct streams streams;
};

/* Of a packet by the guest, or of one for it. */
struct flow_key flow_key_of(const struct net_packet *packet, bool from_guest);

/* The flow unless its time is over, or NULL. */
struct flow *flows_find(struct flows *flows, const struct flow_key *key,
			uint64_t now_ms);
/* A flow that is not there yet, or NULL if there is no room. */
struct flow *flows_add(struct flows *flows, const struct flow_key *key,
		       enum flow_class class, uint64_t now_ms);
void flows_remove(struct flows *flows, struct flow *flow);
/* It was used; class is what it is now. */
void flows_touch(struct flows *flows, struct flow *flow, enum flow_class class,
		 uint64_t now_ms);
/* The next one in no special order, from *at = 0; NULL: no more. */
struct flow *flows_next(struct flows *flows, uint32_t *at);

#endif
