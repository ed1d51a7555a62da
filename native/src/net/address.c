/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include <string.h>

#define IPV4(...)                                                              \
	{                                                                      \
		.family = CAPSA_ADDRESS_IPV4, .bytes = { __VA_ARGS__ }         \
	}
#define IPV6(...)                                                              \
	{                                                                      \
		.family = CAPSA_ADDRESS_IPV6, .bytes = { __VA_ARGS__ }         \
	}
#define CLOSED(net_address, length, range_kind, named)                         \
	{                                                                      \
		.range = { .address = net_address, .prefix = (length) },       \
		.kind = CAPSA_CLOSED_##range_kind, .by_name = (named)          \
	}

/* RFC 6890 and its registries, unless another source is named. */
static const struct closed_range closed_ranges[] = {
	/* Metadata of clouds, each within another range or in public space */
	CLOSED(IPV4(100, 100, 100, 200), 32, LINK_LOCAL, false),  /* Alibaba */
	CLOSED(IPV4(168, 63, 129, 16), 32, LINK_LOCAL, false),    /* Azure */
	CLOSED(IPV6(0xfd, 0, 0x0e, 0xc2), 32, LINK_LOCAL, false), /* AWS */
	CLOSED(IPV4(0), 8, HOST, false), /* Linux connects to itself */
	CLOSED(IPV4(10), 8, PRIVATE, true),
	CLOSED(IPV4(100, 64), 10, SHARED, true),
	CLOSED(IPV4(127), 8, HOST, false),
	CLOSED(IPV4(169, 254), 16, LINK_LOCAL, false),
	CLOSED(IPV4(172, 16), 12, PRIVATE, true),
	CLOSED(IPV4(192, 0, 0), 24, LINK_LOCAL, false), /* of protocols */
	CLOSED(IPV4(192, 168), 16, PRIVATE, true),
	CLOSED(IPV4(224), 4, MULTICAST, false),
	CLOSED(IPV4(240), 4, MULTICAST, false), /* reserved, broadcast */
	CLOSED(IPV6(0), 127, HOST, false),      /* :: and ::1 */
	/* Where an IPv4 address lies in it is up to its user (RFC 8215). */
	CLOSED(IPV6(0, 0x64, 0xff, 0x9b, 0, 1), 48, PRIVATE, false),
	CLOSED(IPV6(0xfc), 7, PRIVATE, true),
	CLOSED(IPV6(0xfe, 0x80), 10, LINK_LOCAL, false),
	CLOSED(IPV6(0xfe, 0xc0), 10, PRIVATE, true), /* site-local, RFC 3879 */
	CLOSED(IPV6(0xff), 8, MULTICAST, false),
};

struct embedding {
	struct net_range range;
	uint8_t offset;
	uint8_t mask; /* over each byte of the IPv4 address */
};

static const struct embedding embeddings[] = {
	/* IPv4-compatible and IPv4-mapped (RFC 4291, 2.5.5) */
	{ { IPV6(0), 96 }, 12, 0 },
	{ { IPV6(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 96 }, 12, 0 },
	/* IPv4-translated (RFC 2765, 2.1) */
	{ { IPV6(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 96 }, 12, 0 },
	/* NAT64 (RFC 6052, 2.1) */
	{ { IPV6(0, 0x64, 0xff, 0x9b), 96 }, 12, 0 },
	/* 6to4 (RFC 3056, 2) */
	{ { IPV6(0x20, 0x02), 16 }, 2, 0 },
	/* Teredo: the client's address, inverted (RFC 4380, 4) */
	{ { IPV6(0x20, 0x01), 32 }, 12, 0xff },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct net_address net_address_of(enum capsa_address_family family,
				  const uint8_t *bytes)
{
	struct net_address address = { .family = (uint8_t)family };

	memcpy(address.bytes, bytes, family == CAPSA_ADDRESS_IPV4 ? 4 : 16);
	return address;
}

bool net_address_is(const struct net_address *a, const struct net_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool net_address_is_unicast(const struct net_address *address)
{
	if (address->family == CAPSA_ADDRESS_IPV4)
		return address->bytes[0] < 224;
	return address->bytes[0] != 0xff;
}

bool net_address_is_link_local(const struct net_address *address)
{
	static const struct net_range range = { IPV6(0xfe, 0x80), 10 };

	return net_range_holds(&range, address);
}

struct net_address net_address_embedded(const struct net_address *address)
{
	struct net_address embedded = { 0 };

	for (uint32_t i = 0; i < COUNT(embeddings); i++) {
		const struct embedding *embedding = &embeddings[i];

		if (!net_range_holds(&embedding->range, address))
			continue;
		embedded.family = CAPSA_ADDRESS_IPV4;
		for (uint32_t byte = 0; byte < 4; byte++)
			embedded.bytes[byte] =
				address->bytes[embedding->offset + byte] ^
				embedding->mask;
		break;
	}
	return embedded;
}

bool net_range_holds(const struct net_range *range,
		     const struct net_address *address)
{
	uint32_t whole = range->prefix / 8;
	uint32_t rest = range->prefix % 8;
	uint8_t difference;

	if (range->address.family == 0 ||
	    range->address.family != address->family ||
	    memcmp(range->address.bytes, address->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	difference = range->address.bytes[whole] ^ address->bytes[whole];
	return difference >> (8 - rest) == 0;
}

bool net_range_within(const struct net_range *inner,
		      const struct net_range *outer)
{
	return inner->prefix >= outer->prefix &&
	       net_range_holds(outer, &inner->address);
}

bool net_site_has_dns(const struct net_site *site,
		      const struct net_address *address)
{
	return address->family != 0 && (net_address_is(address, &site->dns4) ||
					net_address_is(address, &site->dns6));
}

bool net_site_has_gateway(const struct net_site *site,
			  const struct net_address *address)
{
	return address->family != 0 &&
	       (net_address_is(address, &site->gateway4) ||
		net_address_is(address, &site->gateway6));
}

static bool closed_range_listed(const struct net_site *site,
				const struct net_address *address,
				struct closed_range *found)
{
	const struct net_range *own = NULL;

	/* First, since it may lie in a private range. */
	if (net_range_holds(&site->network4, address))
		own = &site->network4;
	else if (net_range_holds(&site->network6, address))
		own = &site->network6;
	if (own) {
		*found = (struct closed_range) {
			.range = *own,
			.kind = CAPSA_CLOSED_HOST,
		};
		return true;
	}
	for (uint32_t i = 0; i < COUNT(closed_ranges); i++) {
		if (net_range_holds(&closed_ranges[i].range, address)) {
			*found = closed_ranges[i];
			return true;
		}
	}
	return false;
}

bool closed_range_find(const struct net_site *site,
		       const struct net_address *address,
		       struct closed_range *found)
{
	struct net_address embedded = net_address_embedded(address);

	return closed_range_listed(site, address, found) ||
	       closed_range_listed(site, &embedded, found);
}
