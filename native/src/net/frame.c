/* SPDX-License-Identifier: MIT */
#include "net/frame.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_IPV6 = 0x86dd,
	ARP_BYTES = 28,
	IPV4_MORE_OR_OFFSET = 0x3fff,
	LISTENER_QUERY = 130,
	LISTENER_DONE = 132,
	LISTENER_REPORT_V2 = 143,
	HOP_BY_HOP_BYTES = 8,
};

uint16_t frame_read16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t frame_read32(const uint8_t *bytes)
{
	return (uint32_t)frame_read16(bytes) << 16 | frame_read16(bytes + 2);
}

void frame_write16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

void frame_write32(uint8_t *bytes, uint32_t value)
{
	frame_write16(bytes, (uint16_t)(value >> 16));
	frame_write16(bytes + 2, (uint16_t)value);
}

uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
	uint64_t wide = sum;
	uint32_t i = 0;

	/* The sum is the same in any order of bytes (2.B): ours is quickest. */
	for (; i + sizeof(uint32_t) <= length; i += sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, bytes + i, sizeof(word));
		wide += word;
	}
	for (; i < length; i++)
		wide += (uint32_t)bytes[i] << (i % 2 * 8);
	wide = (wide & UINT32_MAX) + (wide >> 32);
	return (uint32_t)((wide & UINT32_MAX) + (wide >> 32));
}

uint16_t frame_checksum(uint32_t sum)
{
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	/* From our order of bytes, which is little-endian, to the network's. */
	return (uint16_t)(~sum << 8 | (~sum >> 8 & 0xff));
}

static int frame_parse_arp(struct frame_view *view, const uint8_t *arp,
			   uint32_t left)
{
	static const uint8_t ethernet_and_ipv4[] = { 0, 1, 8, 0, 6, 4 };

	if (left < ARP_BYTES ||
	    memcmp(arp, ethernet_and_ipv4, sizeof(ethernet_and_ipv4)) != 0)
		return -EBADMSG;
	view->kind = FRAME_ARP;
	view->address_bytes = 4;
	view->sender = arp + 8;
	view->source = arp + 14;
	view->destination = arp + 24;
	view->end = FRAME_IP + ARP_BYTES;
	return 0;
}

/* Whether bytes of the transport's header are in the packet and at hand. */
static bool frame_has(const struct frame_view *view, uint32_t available,
		      uint32_t bytes)
{
	return view->end - view->transport >= bytes &&
	       available >= view->transport &&
	       available - view->transport >= bytes;
}

static int frame_parse_tcp(struct frame_view *view, const uint8_t *tcp)
{
	uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;

	if (header < FRAME_TCP_HEADER || header > view->end - view->transport)
		return -EBADMSG;
	view->source_port = frame_read16(tcp);
	view->destination_port = frame_read16(tcp + 2);
	view->sequence = frame_read32(tcp + 4);
	view->acknowledged = frame_read32(tcp + 8);
	view->flags = tcp[13];
	view->payload = view->end - view->transport - header;
	return 0;
}

static int frame_parse_udp(struct frame_view *view, const uint8_t *udp)
{
	uint16_t length = frame_read16(udp + 4);

	if (length < FRAME_UDP_HEADER || length > view->end - view->transport)
		return -EBADMSG;
	view->source_port = frame_read16(udp);
	view->destination_port = frame_read16(udp + 2);
	view->payload = length - FRAME_UDP_HEADER;
	return 0;
}

static int frame_parse_transport(struct frame_view *view, const uint8_t *bytes,
				 uint32_t available)
{
	const uint8_t *header = bytes + view->transport;

	switch (view->protocol) {
	case IPPROTO_TCP:
		return frame_has(view, available, FRAME_TCP_HEADER)
			       ? frame_parse_tcp(view, header)
			       : -EBADMSG;
	case IPPROTO_UDP:
		return frame_has(view, available, FRAME_UDP_HEADER)
			       ? frame_parse_udp(view, header)
			       : -EBADMSG;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (!frame_has(view, available, FRAME_ICMP_HEADER))
			return -EBADMSG;
		view->type = header[0];
		return 0;
	default:
		return 0;
	}
}

static int frame_parse_ipv4(struct frame_view *view, const uint8_t *bytes,
			    uint32_t available, uint32_t length)
{
	const uint8_t *ip = bytes + FRAME_IP;
	uint32_t header;
	uint32_t total;

	if (length - FRAME_IP < FRAME_IPV4_HEADER || ip[0] >> 4 != 4)
		return -EBADMSG;
	header = (uint32_t)(ip[0] & 15) * 4;
	total = frame_read16(ip + 2);
	if (header < FRAME_IPV4_HEADER || total < header ||
	    total > length - FRAME_IP)
		return -EBADMSG;
	view->kind = frame_read16(ip + 6) & IPV4_MORE_OR_OFFSET ? FRAME_FRAGMENT
								: FRAME_IPV4;
	view->address_bytes = 4;
	view->protocol = ip[9];
	view->source = ip + 12;
	view->destination = ip + 16;
	view->transport = FRAME_IP + header;
	view->end = FRAME_IP + total;
	return view->kind == FRAME_FRAGMENT
		       ? 0
		       : frame_parse_transport(view, bytes, available);
}

/* The one that reports of multicast listeners must have (RFC 3810, 5). */
static int frame_parse_hop_by_hop(struct frame_view *view, const uint8_t *bytes,
				  uint32_t available)
{
	const uint8_t *header = bytes + view->transport;
	uint8_t type;

	if (!frame_has(view, available, HOP_BY_HOP_BYTES + 1) ||
	    header[0] != IPPROTO_ICMPV6 || header[1] != 0)
		return -EBADMSG;
	type = header[HOP_BY_HOP_BYTES];
	if ((type < LISTENER_QUERY || type > LISTENER_DONE) &&
	    type != LISTENER_REPORT_V2)
		return -EBADMSG;
	view->kind = FRAME_LISTENER;
	view->type = type;
	return 0;
}

static int frame_parse_ipv6(struct frame_view *view, const uint8_t *bytes,
			    uint32_t available, uint32_t length)
{
	const uint8_t *ip = bytes + FRAME_IP;
	uint32_t payload;

	if (length - FRAME_IP < FRAME_IPV6_HEADER || ip[0] >> 4 != 6)
		return -EBADMSG;
	payload = frame_read16(ip + 4);
	if (payload > length - FRAME_IP - FRAME_IPV6_HEADER)
		return -EBADMSG;
	view->kind = FRAME_IPV6;
	view->address_bytes = 16;
	view->protocol = ip[6];
	view->source = ip + 8;
	view->destination = ip + 24;
	view->transport = FRAME_IP + FRAME_IPV6_HEADER;
	view->end = view->transport + payload;
	switch (view->protocol) {
	case IPPROTO_HOPOPTS:
		return frame_parse_hop_by_hop(view, bytes, available);
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
	case IPPROTO_MH:
		return -EBADMSG;
	default:
		return frame_parse_transport(view, bytes, available);
	}
}

int frame_parse(struct frame_view *view, const uint8_t *bytes,
		uint32_t available, uint32_t length)
{
	*view = (struct frame_view) { 0 };
	if (length <= FRAME_IP ||
	    (available < length && available < FRAME_HEADERS))
		return -EBADMSG;
	switch (frame_read16(bytes + FRAME_IP - 2)) {
	case ETHERTYPE_ARP:
		return frame_parse_arp(view, bytes + FRAME_IP,
				       length - FRAME_IP);
	case ETHERTYPE_IPV4:
		return frame_parse_ipv4(view, bytes, available, length);
	case ETHERTYPE_IPV6:
		return frame_parse_ipv6(view, bytes, available, length);
	default:
		return -EBADMSG;
	}
}
