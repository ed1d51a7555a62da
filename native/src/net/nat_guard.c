/* SPDX-License-Identifier: MIT */
#include "net/nat_guard.h"

#include <netinet/in.h>
#include <string.h>

enum {
	TFTP_PORT = 69,
	DHCP_PORT = 67,
	DHCP6_PORT = 547,
	ECHO_REQUEST = 8,
	ECHO_REQUEST6 = 128,
	PREFIX6_BYTES = 8,
	MAPPED_BYTES = 12, /* of ::/96 and ::ffff:0:0/96 */
};

const uint8_t nat_prefix6[16] = { 0xfd };
const uint8_t nat_gateway6[16] = { 0xfd, [15] = 2 };
const uint8_t nat_dns6[16] = { 0xfd, [15] = 3 };

static const uint8_t link_local6[PREFIX6_BYTES] = { 0xfe, 0x80 };

static bool guard_is_service(const struct nat_site *site, uint32_t address)
{
	return address == site->gateway || address == site->dns;
}

/* An address that a machine of the network may have. */
static bool guard_is_guest(const struct nat_site *site, uint32_t address)
{
	return (address & site->mask) == site->network &&
	       (address & ~site->mask) != 0 &&
	       (address & ~site->mask) != ~site->mask &&
	       !guard_is_service(site, address);
}

/* One that the host may be asked to reach: to it, 0.0.0.0 is itself. */
static bool guard_is_remote(const struct nat_site *site, uint32_t address)
{
	uint32_t first = address >> 24;

	if ((address & site->mask) == site->network)
		return guard_is_service(site, address);
	return first != 0 && first != IN_LOOPBACKNET && first < 224;
}

static bool guard_admits_arp(const struct nat_site *site, const uint8_t *frame,
			     const struct frame_view *view)
{
	uint32_t source = frame_read32(view->source);

	return memcmp(view->sender, frame + FRAME_SOURCE, 6) == 0 &&
	       (source == 0 || guard_is_guest(site, source));
}

static bool guard_admits_ipv4(const struct nat_site *site,
			      const struct frame_view *view)
{
	uint32_t destination = frame_read32(view->destination);

	if (view->transport != FRAME_IP + FRAME_IPV4_HEADER ||
	    !guard_is_guest(site, frame_read32(view->source)) ||
	    !guard_is_remote(site, destination))
		return false;
	switch (view->protocol) {
	case IPPROTO_TCP:
		return true;
	case IPPROTO_UDP:
		return !guard_is_service(site, destination) ||
		       (view->destination_port != DHCP_PORT &&
			view->destination_port != TFTP_PORT);
	case IPPROTO_ICMP:
		return view->type == ECHO_REQUEST;
	default:
		return false;
	}
}

static bool guard_is_link_local6(const uint8_t *address)
{
	return memcmp(address, link_local6, sizeof(link_local6)) == 0;
}

bool nat_guard_is_service6(const uint8_t address[16])
{
	bool here = memcmp(address, nat_prefix6, PREFIX6_BYTES) == 0 ||
		    guard_is_link_local6(address);

	return here &&
	       (memcmp(address + PREFIX6_BYTES, nat_gateway6 + PREFIX6_BYTES,
		       sizeof(nat_gateway6) - PREFIX6_BYTES) == 0 ||
		memcmp(address + PREFIX6_BYTES, nat_dns6 + PREFIX6_BYTES,
		       sizeof(nat_dns6) - PREFIX6_BYTES) == 0);
}

static bool guard_is_guest6(const uint8_t *address)
{
	return (memcmp(address, nat_prefix6, PREFIX6_BYTES) == 0 ||
		guard_is_link_local6(address)) &&
	       !nat_guard_is_service6(address);
}

bool nat_guard_is_guest6(const uint8_t address[16])
{
	return guard_is_guest6(address) && !guard_is_link_local6(address);
}

/*
 * One that the host may be asked to reach. An address that has one of IPv4 in
 * it leads to that, loopback included.
 */
static bool guard_is_remote6(const uint8_t *address)
{
	static const uint8_t none[MAPPED_BYTES];
	static const uint8_t mapped[MAPPED_BYTES] = {
		[10] = 0xff, [11] = 0xff
	};

	if (memcmp(address, nat_prefix6, PREFIX6_BYTES) == 0)
		return nat_guard_is_service6(address);
	return memcmp(address, none, sizeof(none)) != 0 &&
	       memcmp(address, mapped, sizeof(mapped)) != 0 &&
	       address[0] != 0xff &&
	       !(address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

/* Neighbours, and an echo of libslirp's own: it knows no other. */
static bool guard_admits_icmp6(const struct frame_view *view)
{
	static const uint8_t unspecified[16];
	bool guest = guard_is_guest6(view->source);

	switch (view->type) {
	case ICMP6_SOLICIT_ROUTER:
	case ICMP6_SOLICIT_NEIGHBOUR:
		return guest || memcmp(view->source, unspecified,
				       sizeof(unspecified)) == 0;
	case ICMP6_ADVERTISE_NEIGHBOUR:
		return guest;
	case ECHO_REQUEST6:
		return guest && nat_guard_is_service6(view->destination);
	default:
		return false;
	}
}

static bool guard_admits_ipv6(const struct frame_view *view)
{
	if (view->protocol == IPPROTO_ICMPV6)
		return guard_admits_icmp6(view);
	if (!guard_is_guest6(view->source) ||
	    !guard_is_remote6(view->destination))
		return false;
	if (view->protocol == IPPROTO_UDP)
		return !nat_guard_is_service6(view->destination) ||
		       (view->destination_port != DHCP6_PORT &&
			view->destination_port != TFTP_PORT);
	return view->protocol == IPPROTO_TCP;
}

bool nat_guard_admits(const struct nat_site *site, const uint8_t *frame,
		      const struct frame_view *view)
{
	if (view->end - FRAME_IP > site->mtu)
		return false;
	switch (view->kind) {
	case FRAME_ARP:
		return guard_admits_arp(site, frame, view);
	case FRAME_IPV4:
		return guard_admits_ipv4(site, view);
	case FRAME_IPV6:
		return guard_admits_ipv6(view);
	default:
		return false;
	}
}

void nat_guard_calm(uint8_t *frame, const struct frame_view *view)
{
	uint8_t *tcp = frame + view->transport;
	uint32_t sum;

	if (view->protocol != IPPROTO_TCP || !(view->flags & TCP_FLAG_URG))
		return;
	/* What is taken away goes from the checksum, too (RFC 1624). */
	sum = (uint16_t)~frame_read16(tcp + 16);
	sum += (uint16_t)~frame_read16(tcp + 12);
	sum += (uint16_t)~frame_read16(tcp + 18);
	tcp[13] &= (uint8_t)~TCP_FLAG_URG;
	sum += frame_read16(tcp + 12);
	frame_write16(tcp + 18, 0);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	frame_write16(tcp + 16, (uint16_t)~sum);
}
