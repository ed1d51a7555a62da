/* SPDX-License-Identifier: MIT */
/*
 * A network behind the host's own: guests reach what the host reaches, by
 * ordinary sockets of this process, without privileges. libslirp does the
 * work; what a guest could do with it and must not, is kept from it here.
 *
 * One thread at a time. Nothing waits: sockets do not block, and libslirp asks
 * the host's resolver by datagrams like any other. A turn serves 64 sockets at
 * most, of 128 KiB each way.
 */
#ifndef CAPSA_NET_NAT_H
#define CAPSA_NET_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"
#include "machine_config.h"
#include "net/filter.h"
#include "net/nat_guard.h"
#include "net/port.h"

struct nat;

/*
 * Of a network behind it. libslirp has no window scaling, and holds back what
 * is smaller than a segment and than half of the greatest window. Its segments
 * must be so small that a guest's window of 64 KiB takes several: with two,
 * a window that one has left a few bytes short of the other never opens again
 * for Linux, and each further piece waits five seconds for a probe.
 */
#define NAT_MTU 16384

struct nat_config {
	struct nat_site site;
	/* The gateway is the host's loopback, too. */
	bool host_loopback;
	struct net_filter *filter; /* borrowed; NULL: all passes */
	/* Where forwarded ports lead */
	uint32_t guest;
	uint8_t guest_mac[NET_MAC_BYTES];
	uint32_t forward_count;
	const struct forward_config *forwards;
};

/* Whose it is. */
struct nat_client {
	/* A frame for the guests, which is the callee's for this call only. */
	void (*output)(void *owner, const uint8_t *frame, uint32_t length);
	/* Whether more frames are of use: sockets are not read otherwise. */
	bool (*has_room)(void *owner);
	void *owner;
};

/*
 * Forwarded ports are taken before it returns. Status: OK, NETWORK_MISSING,
 * PORT, NO_MEMORY, HOST.
 */
enum capsa_status nat_create(struct nat **out, const struct nat_config *config,
			     const struct nat_client *client,
			     struct capsa_error *error);
/* Closes all connections and ports. NULL is fine. */
void nat_destroy(struct nat *nat);

/* The clock of the times that filters are told. */
uint64_t nat_clock_ms(void);

/* A descriptor that is readable when nat_poll() has something to do. */
int nat_fd(const struct nat *nat);
void nat_poll(struct nat *nat);

/*
 * A whole frame of a guest, which is changed. nat_flush() follows, after the
 * last of several.
 */
void nat_input(struct nat *nat, uint8_t *frame, uint32_t length);
void nat_flush(struct nat *nat);

#endif
