/* SPDX-License-Identifier: MIT */
/* Messages of DHCP (RFC 2131), from bytes and to bytes. */
#ifndef CAPSA_GUEST_DHCP_PACKET_H
#define CAPSA_GUEST_DHCP_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum {
	DHCP_PACKET_BYTES = 576,
	DHCP_MAC_BYTES = 6,
	DHCP_NAMESERVERS_MAX = 3,
	DHCP_SEARCH_BYTES = 512,
};

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER = 2,
	DHCP_REQUEST = 3,
	DHCP_ACK = 5,
	DHCP_NAK = 6,
};

/* Addresses are as on the wire; what was not told is 0. */
struct dhcp_lease {
	uint32_t address;
	uint32_t netmask;
	uint32_t router;
	uint32_t server;
	uint32_t nameservers[DHCP_NAMESERVERS_MAX];
	uint32_t seconds;
	uint16_t mtu;
	/* Domains in which names are looked up, with spaces between. */
	char search[DHCP_SEARCH_BYTES];
};

struct dhcp_client {
	uint32_t transaction;
	uint8_t mac[DHCP_MAC_BYTES];
};

/*
 * A request for an address asks for that of the lease; one that renews says
 * that it has it. Gives the length.
 */
size_t dhcp_encode(const struct dhcp_client *client, enum dhcp_type type,
		   const struct dhcp_lease *lease, int renews,
		   uint8_t packet[DHCP_PACKET_BYTES]);

/* The type of an answer to this client, or -EPROTO. */
int dhcp_decode(const struct dhcp_client *client, const uint8_t *packet,
		size_t length, struct dhcp_lease *lease);

#endif
