/* SPDX-License-Identifier: MIT */
/*
 * Who has which address of a network. One that was left is given to somebody
 * else last of all, since others still take it for its former owner's; who
 * comes back gets it again. The caller locks.
 */
#ifndef CAPSA_NET_LEASES_H
#define CAPSA_NET_LEASES_H

#include <stdbool.h>
#include <stdint.h>

#include "net/port.h"

enum {
	LEASES_MAX = 256,
	LEASES_RESERVED = 2, /* the gateway and the DNS server come first */
};

struct lease {
	uint32_t address; /* 10.0.3.5 is 0x0a000305 */
	uint8_t mac[NET_MAC_BYTES];
	bool used;
	uint32_t left; /* when, as the network counts */
};

struct leases {
	uint32_t network;
	uint32_t mask;
	uint32_t fresh; /* numbers of hosts below were given, but for some */
	uint32_t departures;
	uint32_t count;
	struct lease leases[LEASES_MAX];
};

void leases_init(struct leases *leases, uint32_t network, uint32_t mask);

/*
 * Gives mac the address *address, or with 0 any, which is put there. 0,
 * -EADDRNOTAVAIL: it is none for a machine of this network; -EADDRINUSE:
 * somebody has it; -ENOSPC: all are in use.
 */
int leases_take(struct leases *leases, const uint8_t mac[NET_MAC_BYTES],
		uint32_t *address);
void leases_leave(struct leases *leases, uint32_t address);

#endif
