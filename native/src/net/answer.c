/* SPDX-License-Identifier: MIT */
#include "net/answer.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

enum {
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	TCP_HEADER = 20,
	UDP_HEADER = 8,
	ICMP_HEADER = 8,
	ANSWER_HOPS = 64,
	ICMPV4_QUOTE_MAX = 576 - IPV4_HEADER -
			   ICMP_HEADER, /* RFC 1812, 4.3.2.3 */
	ICMPV6_QUOTE_MAX = 1280 - IPV6_HEADER - ICMP_HEADER,

	ICMPV4_UNREACHABLE = 3,
	ICMPV4_PROHIBITED = 13, /* RFC 1812, 5.2.7.1 */
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PROHIBITED = 1, /* RFC 4443, 3.1 */

	/* RFC 1035, 4.1.1: an answer, recursion offered, no such name */
	DNS_NO_NAME = 0x8083,
	DNS_KEPT = 0x0110,   /* of the query: RD, and CD (RFC 4035, 3.2.2) */
	DNS_PROHIBITED = 18, /* RFC 8914, 4.19 */
};

/* The ends of a frame to be made. */
struct ends {
	const uint8_t *from_mac;
	const uint8_t *to_mac;
	const struct net_address *from;
	const struct net_address *to;
	uint16_t from_port;
	uint16_t to_port;
};

static struct ends answer_back(const struct net_packet *packet)
{
	return (struct ends) {
		.from_mac = packet->frame,
		.to_mac = packet->frame + ETH_ALEN,
		.from = &packet->destination,
		.to = &packet->source,
		.from_port = packet->destination_port,
		.to_port = packet->source_port,
	};
}

static struct ends answer_on(const struct net_packet *packet)
{
	return (struct ends) {
		.from_mac = packet->frame + ETH_ALEN,
		.to_mac = packet->frame,
		.from = &packet->source,
		.to = &packet->destination,
		.from_port = packet->source_port,
		.to_port = packet->destination_port,
	};
}

static uint32_t answer_headers(const struct ends *ends)
{
	bool is_ipv4 = ends->from->family == CAPSA_ADDRESS_IPV4;

	return NET_ETHERNET_HEADER + (is_ipv4 ? IPV4_HEADER : IPV6_HEADER);
}

/* Ethernet and IP headers around length bytes; returns the frame's length. */
static uint32_t answer_wrap(uint8_t *frame, const struct ends *ends,
			    uint8_t protocol, uint32_t length)
{
	uint8_t *ip = frame + NET_ETHERNET_HEADER;

	memcpy(frame, ends->to_mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, ends->from_mac, ETH_ALEN);
	if (ends->from->family == CAPSA_ADDRESS_IPV4) {
		packet_put16(frame + 12, ETH_P_IP);
		memset(ip, 0, IPV4_HEADER);
		ip[0] = 0x45;
		packet_put16(ip + 2, IPV4_HEADER + length);
		packet_put16(ip + 6, 0x4000); /* atomic (RFC 6864, 4.1) */
		ip[8] = ANSWER_HOPS;
		ip[9] = protocol;
		memcpy(ip + 12, ends->from->bytes, 4);
		memcpy(ip + 16, ends->to->bytes, 4);
		packet_put16(ip + 10, packet_checksum(ip, IPV4_HEADER));
	} else {
		packet_put16(frame + 12, ETH_P_IPV6);
		packet_put32(ip, 0x60000000);
		packet_put16(ip + 4, length);
		ip[6] = protocol;
		ip[7] = ANSWER_HOPS;
		memcpy(ip + 8, ends->from->bytes, 16);
		memcpy(ip + 24, ends->to->bytes, 16);
	}
	return answer_headers(ends) + length;
}

static uint32_t answer_reset(uint8_t *frame, const struct ends *ends,
			     uint32_t sequence, uint32_t acknowledged,
			     uint8_t flags)
{
	uint8_t *tcp = frame + answer_headers(ends);

	memset(tcp, 0, TCP_HEADER);
	packet_put16(tcp, ends->from_port);
	packet_put16(tcp + 2, ends->to_port);
	packet_put32(tcp + 4, sequence);
	packet_put32(tcp + 8, acknowledged);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = flags;
	packet_put16(tcp + 16,
		     packet_transport_checksum(ends->from, ends->to,
					       IPPROTO_TCP, tcp, TCP_HEADER));
	return answer_wrap(frame, ends, IPPROTO_TCP, TCP_HEADER);
}

/* As one who knows no such connection does (RFC 9293, 3.10.7.1). */
uint32_t answer_reset_sender(uint8_t frame[NET_NAT_ANSWER_MAX],
			     const struct net_packet *packet)
{
	struct ends ends = answer_back(packet);
	uint32_t length = packet->payload_length;

	if (packet->tcp_flags & TCP_ACK)
		return answer_reset(frame, &ends, packet->acknowledged, 0,
				    TCP_RST);
	if (packet->tcp_flags & TCP_SYN)
		length++;
	if (packet->tcp_flags & TCP_FIN)
		length++;
	return answer_reset(frame, &ends, 0, packet->sequence + length,
			    TCP_RST | TCP_ACK);
}

/* As if the sender had given up instead of sending this segment. */
uint32_t answer_reset_receiver(uint8_t frame[NET_NAT_ANSWER_MAX],
			       const struct net_packet *packet)
{
	struct ends ends = answer_on(packet);

	return answer_reset(frame, &ends, packet->sequence,
			    packet->acknowledged,
			    TCP_RST | (packet->tcp_flags & TCP_ACK));
}

uint32_t answer_prohibited(uint8_t frame[NET_GUEST_ANSWER_MAX],
			   const struct net_packet *packet,
			   const struct net_site *site)
{
	bool is_ipv4 = packet->source.family == CAPSA_ADDRESS_IPV4;
	struct ends ends = answer_back(packet);
	uint32_t quote = packet->ip_length;
	uint8_t *icmp = frame + answer_headers(&ends);

	ends.from = is_ipv4 ? &site->gateway4 : &site->gateway6;
	if (quote > (is_ipv4 ? ICMPV4_QUOTE_MAX : ICMPV6_QUOTE_MAX))
		quote = is_ipv4 ? ICMPV4_QUOTE_MAX : ICMPV6_QUOTE_MAX;
	memset(icmp, 0, ICMP_HEADER);
	memcpy(icmp + ICMP_HEADER, packet->ip, quote);
	quote += ICMP_HEADER;
	if (is_ipv4) {
		icmp[0] = ICMPV4_UNREACHABLE;
		icmp[1] = ICMPV4_PROHIBITED;
		packet_put16(icmp + 2, packet_checksum(icmp, quote));
		return answer_wrap(frame, &ends, IPPROTO_ICMP, quote);
	}
	icmp[0] = ICMPV6_UNREACHABLE;
	icmp[1] = ICMPV6_PROHIBITED;
	packet_put16(icmp + 2,
		     packet_transport_checksum(ends.from, ends.to,
					       IPPROTO_ICMPV6, icmp, quote));
	return answer_wrap(frame, &ends, IPPROTO_ICMPV6, quote);
}

/* An OPT record with an extended error (RFC 6891, 6.1.2; RFC 8914, 2). */
static uint32_t answer_extended_error(uint8_t *record)
{
	static const uint8_t opt[] = {
		0,    0,
		41,         /* the root's OPT */
		0x04, 0xd0, /* we take 1232 bytes */
		0,    0,
		0,    0, /* no flags */
		0,    6, /* length of all options */
		0,    15,
		0,    2, /* extended error, two bytes */
		0,    DNS_PROHIBITED,
	};

	memcpy(record, opt, sizeof(opt));
	return sizeof(opt);
}

uint32_t answer_no_name(uint8_t frame[NET_GUEST_ANSWER_MAX],
			const struct net_packet *packet,
			const struct dns_question *question)
{
	struct ends ends = answer_back(packet);
	uint8_t *udp = frame + answer_headers(&ends);
	uint8_t *message = udp + UDP_HEADER;
	uint16_t flags = packet_get16(packet->payload + 2) & DNS_KEPT;
	uint32_t length = question->end;
	uint16_t sum;

	memcpy(message, packet->payload, length);
	packet_put16(message + 2, flags | DNS_NO_NAME);
	packet_put16(message + 10, question->is_extended);
	if (question->is_extended)
		length += answer_extended_error(message + length);
	length += UDP_HEADER;
	packet_put16(udp, ends.from_port);
	packet_put16(udp + 2, ends.to_port);
	packet_put16(udp + 4, length);
	packet_put16(udp + 6, 0);
	sum = packet_transport_checksum(ends.from, ends.to, IPPROTO_UDP, udp,
					length);
	packet_put16(udp + 6, sum ? sum : 0xffff); /* RFC 768 */
	return answer_wrap(frame, &ends, IPPROTO_UDP, length);
}
