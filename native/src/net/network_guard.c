/* SPDX-License-Identifier: MIT */
/*
 * Which frames a port may send: those that say truly whose they are, and none
 * that only a router or a DHCP server sends.
 */
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "net/network_state.h"

enum {
	DHCP_SERVER_PORT = 67,
	DHCP6_SERVER_PORT = 547,
	UDP_CHECKSUM = 6, /* its offset; TCP's comes later */
	/* Of neighbour discovery (RFC 4861, section 4) */
	SOLICIT_ROUTER_BYTES = 8,
	NEIGHBOUR_BYTES = 24,
	NEIGHBOUR_TARGET = 8,
	OPTION_UNIT = 8, /* bytes that an option's length counts */
	OPTION_SOURCE = 1,
	OPTION_TARGET = 2,
};

static const uint8_t unspecified6[16];

static bool guard_is_own6(struct network_port *port, const uint8_t *address)
{
	for (uint32_t i = 0; i < PORT_ADDRESSES6_MAX; i++) {
		struct port_address6 *own = &port->addresses6[i];

		if (own->used == 0 || memcmp(own->bytes, address, 16) != 0)
			continue;
		own->used = ++port->uses;
		return true;
	}
	return false;
}

/* Whether the address is made of a hardware address (RFC 4291, appendix A). */
static bool guard_is_made_of(const uint8_t *address,
			     const uint8_t mac[NET_MAC_BYTES])
{
	const uint8_t identifier[] = { (uint8_t)(mac[0] ^ 2),
				       mac[1],
				       mac[2],
				       0xff,
				       0xfe,
				       mac[3],
				       mac[4],
				       mac[5] };

	return memcmp(address + 8, identifier, sizeof(identifier)) == 0;
}

static bool guard_is_others6(const struct network *network,
			     const struct network_port *port,
			     const uint8_t *address)
{
	for (uint32_t i = 0; i < network->port_count; i++) {
		const struct network_port *other = network->ports[i];

		if (other == port)
			continue;
		if (guard_is_made_of(address, other->mac))
			return true;
		for (uint32_t j = 0; j < PORT_ADDRESSES6_MAX; j++)
			if (other->addresses6[j].used > 0 &&
			    memcmp(other->addresses6[j].bytes, address, 16) ==
				    0)
				return true;
	}
	return false;
}

/* Hosts choose their addresses: who comes first has one while it is used. */
static bool guard_claims6(struct network *network, struct network_port *port,
			  const uint8_t *address)
{
	struct port_address6 *place = &port->addresses6[0];

	if (guard_is_own6(port, address))
		return true;
	if (address[0] == 0xff || nat_guard_is_service6(address) ||
	    guard_is_others6(network, port, address))
		return false;
	for (uint32_t i = 1; i < PORT_ADDRESSES6_MAX; i++)
		if (port->addresses6[i].used < place->used)
			place = &port->addresses6[i];
	memcpy(place->bytes, address, sizeof(place->bytes));
	place->used = ++port->uses;
	return true;
}

/*
 * Whether all hardware addresses in a neighbour's message, behind its first
 * fixed bytes, are the sender's own. All of it must be at hand.
 */
static bool guard_options_are_own(const struct network_port *port,
				  const uint8_t *headers,
				  const struct frame_view *view, uint32_t fixed)
{
	uint32_t at = view->transport + fixed;

	if (view->end > FRAME_HEADERS || at > view->end)
		return false;
	while (view->end - at >= OPTION_UNIT) {
		const uint8_t *option = headers + at;
		uint32_t bytes = OPTION_UNIT * (uint32_t)option[1];

		if (bytes == 0 || bytes > view->end - at)
			return false;
		if ((option[0] == OPTION_SOURCE ||
		     option[0] == OPTION_TARGET) &&
		    memcmp(option + 2, port->mac, NET_MAC_BYTES) != 0)
			return false;
		at += bytes;
	}
	return true;
}

static bool guard_admits_icmp6(struct network *network,
			       struct network_port *port,
			       const uint8_t *headers,
			       const struct frame_view *view)
{
	const uint8_t *target = headers + view->transport + NEIGHBOUR_TARGET;

	switch (view->type) {
	case ICMP6_SOLICIT_ROUTER:
		return guard_options_are_own(port, headers, view,
					     SOLICIT_ROUTER_BYTES);
	case ICMP6_SOLICIT_NEIGHBOUR:
		return guard_options_are_own(port, headers, view,
					     NEIGHBOUR_BYTES);
	case ICMP6_ADVERTISE_NEIGHBOUR:
		return guard_options_are_own(port, headers, view,
					     NEIGHBOUR_BYTES) &&
		       guard_claims6(network, port, target);
	case ICMP6_ADVERTISE_ROUTER:
	case ICMP6_REDIRECT:
		return false;
	default:
		return true;
	}
}

/* One without an address yet may ask whether it can have one. */
static bool guard_admits_unspecified6(const struct frame_view *view)
{
	return view->kind == FRAME_LISTENER ||
	       (view->protocol == IPPROTO_ICMPV6 &&
		(view->type == ICMP6_SOLICIT_ROUTER ||
		 view->type == ICMP6_SOLICIT_NEIGHBOUR));
}

static bool guard_admits_ipv6(struct network *network,
			      struct network_port *port, const uint8_t *headers,
			      const struct frame_view *view)
{
	bool unspecified = memcmp(view->source, unspecified6, 16) == 0;

	if (view->protocol == IPPROTO_UDP &&
	    view->source_port == DHCP6_SERVER_PORT)
		return false;
	if (unspecified ? !guard_admits_unspecified6(view)
			: !guard_claims6(network, port, view->source))
		return false;
	return view->kind == FRAME_LISTENER ||
	       view->protocol != IPPROTO_ICMPV6 ||
	       guard_admits_icmp6(network, port, headers, view);
}

static bool guard_admits_ipv4(const struct network_port *port,
			      const struct frame_view *view)
{
	uint32_t source = frame_read32(view->source);

	if (view->kind == FRAME_IPV4 && view->protocol == IPPROTO_UDP &&
	    view->source_port == DHCP_SERVER_PORT)
		return false;
	return source == port->address ||
	       (source == 0 && dhcp_is_request(view));
}

/*
 * A checksum that is left to others is written behind the ports of TCP and
 * UDP, perhaps far behind in a tunnel, and never into what is looked at here.
 */
static bool guard_admits_checksum(const struct virtio_net_hdr_v1 *header,
				  const struct frame_view *view)
{
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	return (view->kind == FRAME_IPV4 || view->kind == FRAME_IPV6) &&
	       view->protocol != IPPROTO_ICMP &&
	       view->protocol != IPPROTO_ICMPV6 &&
	       header->csum_start >= view->transport &&
	       (uint32_t)header->csum_start + header->csum_offset >=
		       view->transport + UDP_CHECKSUM;
}

bool network_admits(struct network *network, struct network_port *port,
		    const struct virtio_net_hdr_v1 *header,
		    const uint8_t *headers, const struct frame_view *view)
{
	if (memcmp(headers + FRAME_SOURCE, port->mac, NET_MAC_BYTES) != 0 ||
	    !guard_admits_checksum(header, view))
		return false;
	switch (view->kind) {
	case FRAME_ARP:
		return memcmp(view->sender, port->mac, NET_MAC_BYTES) == 0 &&
		       (frame_read32(view->source) == port->address ||
			frame_read32(view->source) == 0);
	case FRAME_IPV4:
	case FRAME_FRAGMENT:
		return guard_admits_ipv4(port, view);
	default:
		return guard_admits_ipv6(network, port, headers, view);
	}
}
