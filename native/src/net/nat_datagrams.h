/* SPDX-License-Identifier: MIT */
/*
 * Forwarded ports of UDP. libslirp has them too, but a machine whose host's
 * loopback is closed could not answer what comes from there, and a socket that
 * fails before the guest has said anything ends the process.
 *
 * A guest may answer whoever has talked to it, and nobody else. One thread at a
 * time.
 */
#ifndef CAPSA_NET_NAT_DATAGRAMS_H
#define CAPSA_NET_NAT_DATAGRAMS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"
#include "machine_config.h"
#include "net/frame.h"
#include "net/nat_guard.h"
#include "net/port.h"

enum {
	/* Both families for each */
	NAT_DATAGRAM_PORTS_MAX = 2 * CAPSA_FORWARDS_MAX,
	NAT_PEERS_MAX = 256, /* of a port, those that talked last */
};

union nat_endpoint {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

/* Somebody who has talked to a port. */
struct nat_peer {
	uint8_t shown[16]; /* the address that the guest knows it by */
	uint16_t port;
	uint32_t used; /* when, as the port counts; 0: nobody */
	union nat_endpoint endpoint;
};

struct nat_datagram_port {
	int fd; /* owned */
	uint16_t guest_port;
	uint8_t address_bytes; /* 4 or 16 */
	uint32_t uses;
	struct nat_peer peers[NAT_PEERS_MAX];
};

struct nat_datagrams {
	struct nat_site site;
	uint8_t guest_mac[NET_MAC_BYTES];
	uint8_t guest[16];  /* in its first four bytes */
	uint8_t guest6[16]; /* zero: not known yet */
	uint32_t count;
	struct nat_datagram_port *ports[NAT_DATAGRAM_PORTS_MAX]; /* owned */
	uint8_t frame[NET_FRAME_MAX];
};

/* Takes a port of the host. 0 or -errno. */
int nat_datagrams_open(struct nat_datagrams *datagrams,
		       const struct forward_config *forward, int family);
/* Safe on a zeroed one. */
void nat_datagrams_close(struct nat_datagrams *datagrams);

/*
 * The next datagram for a port, as a frame in datagrams->frame; its length. 0:
 * there is none, or none that the guest could be given; -EAGAIN: there are no
 * more.
 */
int32_t nat_datagrams_receive(struct nat_datagrams *datagrams, uint32_t index);

/*
 * Whether the guest's frame, of UDP and whole, is from a forwarded port to one
 * who has talked to it. Then it has been sent.
 */
bool nat_datagrams_send(struct nat_datagrams *datagrams, const uint8_t *frame,
			const struct frame_view *view);

#endif
