/* SPDX-License-Identifier: MIT */
/* Addresses, ranges of them, and those that a machine must not reach unasked.
 */
#ifndef CAPSA_NET_ADDRESS_H
#define CAPSA_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"

enum { ADDRESS_BYTES_MAX = 16 };

/* IPv4 in the first four bytes, the others 0, so that memcmp() compares. */
struct net_address {
	uint8_t family; /* enum capsa_address_family, 0: none */
	uint8_t bytes[ADDRESS_BYTES_MAX];
};

struct net_range {
	struct net_address address;
	uint8_t prefix; /* leading bits that count */
};

/* The NAT's side of a guest, or of many; without IPv6 its family is 0 there. */
struct net_site {
	/* Otherwise a switch has checked who sent it. */
	bool has_guest_mac;
	uint8_t guest_mac[6];
	struct net_range guests4; /* leases */
	/* All of a network but the DNS server leads to the host's loopback. */
	struct net_range network4;
	struct net_address gateway4; /* DHCP server and the host's alias */
	struct net_address dns4;
	struct net_range network6; /* the guest takes any address in it */
	struct net_address gateway6;
	struct net_address dns6;
};

struct closed_range {
	struct net_range range;
	uint8_t kind; /* enum capsa_closed_range */
	/*
	 * Whether a rule for a domain opens it. Whoever answers for a name
	 * chooses its addresses, and must not choose the host or a metadata
	 * service.
	 */
	bool by_name;
};

/* bytes has 4 or 16, by family. */
struct net_address net_address_of(enum capsa_address_family family,
				  const uint8_t *bytes);
bool net_address_is(const struct net_address *a, const struct net_address *b);
/* Whether frames to it go to one receiver only. */
bool net_address_is_unicast(const struct net_address *address);
/* Of IPv6, as neighbours and DHCPv6 use them. */
bool net_address_is_link_local(const struct net_address *address);
/* The IPv4 address that an IPv6 address carries; family 0: none. */
struct net_address net_address_embedded(const struct net_address *address);

bool net_range_holds(const struct net_range *range,
		     const struct net_address *address);
/* Whether all of inner lies in outer. */
bool net_range_within(const struct net_range *inner,
		      const struct net_range *outer);

/* Whether it is there; an address of no family is nowhere. */
bool net_site_has_dns(const struct net_site *site,
		      const struct net_address *address);
bool net_site_has_gateway(const struct net_site *site,
			  const struct net_address *address);

/* The closed range that address is in, judged by what it embeds too. */
bool closed_range_find(const struct net_site *site,
		       const struct net_address *address,
		       struct closed_range *found);

#endif
