/* SPDX-License-Identifier: MIT */
#include "net/packet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "net/filter.h"

enum {
	ARP_BYTES = 28,
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	TCP_BYTES = 20,
	UDP_BYTES = 8,
	ICMP_BYTES = 8,

	ICMP_ECHO_REPLY = 0,
	ICMP_ECHO_REQUEST = 8,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	/* RFC 4861, 4; advertisements of routers are not for hosts to send. */
	ICMPV6_ROUTER_SOLICITATION = 133,
	ICMPV6_NEIGHBOUR_SOLICITATION = 135,
	ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136,
	NEIGHBOUR_HOP_LIMIT = 255, /* it comes from the link (RFC 4861, 7.1) */
};

uint16_t packet_get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t packet_get32(const uint8_t *bytes)
{
	return (uint32_t)packet_get16(bytes) << 16 | packet_get16(bytes + 2);
}

void packet_put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

void packet_put32(uint8_t *bytes, uint32_t value)
{
	packet_put16(bytes, value >> 16);
	packet_put16(bytes + 2, value);
}

/* Frames have at most 64 KiB, so 32 bits of sum cannot overflow. */
static uint32_t packet_sum(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
	uint32_t at = 0;

	for (; at + 1 < length; at += 2)
		sum += packet_get16(bytes + at);
	if (at < length)
		sum += (uint32_t)bytes[at] << 8;
	return sum;
}

static uint16_t packet_sum_end(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t packet_checksum(const uint8_t *bytes, uint32_t length)
{
	return packet_sum_end(packet_sum(0, bytes, length));
}

/* Addresses of IPv4 are followed by zeros, so one length fits both. */
uint16_t packet_transport_checksum(const struct net_address *source,
				   const struct net_address *destination,
				   uint8_t protocol, const uint8_t *bytes,
				   uint32_t length)
{
	uint32_t sum = protocol + length;

	sum = packet_sum(sum, source->bytes, ADDRESS_BYTES_MAX);
	sum = packet_sum(sum, destination->bytes, ADDRESS_BYTES_MAX);
	return packet_sum_end(packet_sum(sum, bytes, length));
}

static int packet_arp(struct net_packet *packet, uint32_t length)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4 }; /* RFC 826 */

	if (length < ARP_BYTES || memcmp(packet->ip, head, sizeof(head)) != 0)
		return -EBADMSG;
	packet->kind = PACKET_ARP;
	packet->source = net_address_of(CAPSA_ADDRESS_IPV4, packet->ip + 14);
	return 0;
}

static int packet_ipv4(struct net_packet *packet, uint32_t length)
{
	const uint8_t *ip = packet->ip;

	/* Version 4 and five words: no options (RFC 791, 3.1). */
	if (length < IPV4_BYTES || ip[0] != 0x45)
		return -EBADMSG;
	packet->ip_length = packet_get16(ip + 2);
	if (packet->ip_length < IPV4_BYTES || packet->ip_length > length)
		return -EBADMSG;
	/* All but "don't fragment" would make it a part of something. */
	if (packet_get16(ip + 6) & ~0x4000)
		return -EBADMSG;
	packet->protocol = ip[9];
	packet->source = net_address_of(CAPSA_ADDRESS_IPV4, ip + 12);
	packet->destination = net_address_of(CAPSA_ADDRESS_IPV4, ip + 16);
	packet->transport = ip + IPV4_BYTES;
	packet->transport_length = packet->ip_length - IPV4_BYTES;
	return 0;
}

/* Extension headers have numbers of their own and are nobody's protocol. */
static int packet_ipv6(struct net_packet *packet, uint32_t length)
{
	const uint8_t *ip = packet->ip;

	if (length < IPV6_BYTES || ip[0] >> 4 != 6)
		return -EBADMSG;
	packet->transport_length = packet_get16(ip + 4);
	if (packet->transport_length > length - IPV6_BYTES)
		return -EBADMSG;
	packet->ip_length = IPV6_BYTES + packet->transport_length;
	packet->protocol = ip[6];
	packet->source = net_address_of(CAPSA_ADDRESS_IPV6, ip + 8);
	packet->destination = net_address_of(CAPSA_ADDRESS_IPV6, ip + 24);
	packet->transport = ip + IPV6_BYTES;
	return 0;
}

static int packet_tcp(struct net_packet *packet)
{
	const uint8_t *tcp = packet->transport;
	uint32_t header;

	if (packet->transport_length < TCP_BYTES)
		return -EBADMSG;
	header = (uint32_t)(tcp[12] >> 4) * 4;
	if (header < TCP_BYTES || header > packet->transport_length)
		return -EBADMSG;
	packet->kind = PACKET_TCP;
	packet->source_port = packet_get16(tcp);
	packet->destination_port = packet_get16(tcp + 2);
	packet->sequence = packet_get32(tcp + 4);
	packet->acknowledged = packet_get32(tcp + 8);
	packet->tcp_flags = tcp[13];
	packet->payload = tcp + header;
	packet->payload_length = packet->transport_length - header;
	return 0;
}

static int packet_udp(struct net_packet *packet)
{
	const uint8_t *udp = packet->transport;

	if (packet->transport_length < UDP_BYTES ||
	    packet_get16(udp + 4) != packet->transport_length)
		return -EBADMSG;
	packet->kind = PACKET_UDP;
	packet->source_port = packet_get16(udp);
	packet->destination_port = packet_get16(udp + 2);
	packet->payload = udp + UDP_BYTES;
	packet->payload_length = packet->transport_length - UDP_BYTES;
	return 0;
}

static enum packet_kind packet_icmp_kind(const struct net_packet *packet)
{
	uint8_t type = packet->transport[0];

	if (packet->transport[1] != 0)
		return PACKET_OTHER;
	if (packet->protocol == IPPROTO_ICMP) {
		if (type == ICMP_ECHO_REQUEST)
			return PACKET_ECHO_REQUEST;
		return type == ICMP_ECHO_REPLY ? PACKET_ECHO_REPLY
					       : PACKET_OTHER;
	}
	switch (type) {
	case ICMPV6_ECHO_REQUEST:
		return PACKET_ECHO_REQUEST;
	case ICMPV6_ECHO_REPLY:
		return PACKET_ECHO_REPLY;
	case ICMPV6_ROUTER_SOLICITATION:
	case ICMPV6_NEIGHBOUR_SOLICITATION:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		return packet->ip[7] == NEIGHBOUR_HOP_LIMIT ? PACKET_NEIGHBOUR
							    : PACKET_OTHER;
	default:
		return PACKET_OTHER;
	}
}

static int packet_icmp(struct net_packet *packet)
{
	if (packet->transport_length < ICMP_BYTES)
		return -EBADMSG;
	packet->kind = packet_icmp_kind(packet);
	if (packet->kind == PACKET_ECHO_REQUEST ||
	    packet->kind == PACKET_ECHO_REPLY)
		packet->source_port = packet_get16(packet->transport + 4);
	return 0;
}

static int packet_transport(struct net_packet *packet)
{
	bool is_ipv4 = packet->source.family == CAPSA_ADDRESS_IPV4;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		return packet_tcp(packet);
	case IPPROTO_UDP:
		return packet_udp(packet);
	case IPPROTO_ICMP:
		return is_ipv4 ? packet_icmp(packet) : -EBADMSG;
	case IPPROTO_ICMPV6:
		return is_ipv4 ? -EBADMSG : packet_icmp(packet);
	default:
		return -EBADMSG;
	}
}

int packet_parse(struct net_packet *packet, const uint8_t *frame,
		 uint32_t length)
{
	int result;

	*packet = (struct net_packet) { .frame = frame };
	if (length < NET_ETHERNET_HEADER)
		return -EBADMSG;
	packet->ip = frame + NET_ETHERNET_HEADER;
	length -= NET_ETHERNET_HEADER;
	switch (packet_get16(frame + 12)) {
	case ETH_P_ARP:
		return packet_arp(packet, length);
	case ETH_P_IP:
		result = packet_ipv4(packet, length);
		break;
	case ETH_P_IPV6:
		result = packet_ipv6(packet, length);
		break;
	default:
		return -EBADMSG;
	}
	return result < 0 ? result : packet_transport(packet);
}

bool packet_is_sound(const struct net_packet *packet)
{
	bool is_ipv4 = packet->source.family == CAPSA_ADDRESS_IPV4;

	if (packet->kind == PACKET_ARP)
		return true;
	if (is_ipv4 && packet_checksum(packet->ip, IPV4_BYTES) != 0)
		return false;
	if (packet->protocol == IPPROTO_ICMP)
		return packet_checksum(packet->transport,
				       packet->transport_length) == 0;
	/* UDP may go without, except over IPv6 (RFC 8200, 8.1). */
	if (packet->protocol == IPPROTO_UDP &&
	    packet_get16(packet->transport + 6) == 0)
		return is_ipv4;
	return packet_transport_checksum(&packet->source, &packet->destination,
					 packet->protocol, packet->transport,
					 packet->transport_length) == 0;
}
