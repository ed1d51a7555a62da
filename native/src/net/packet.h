/* SPDX-License-Identifier: MIT */
/* An Ethernet frame, taken apart as far as a policy needs it. */
#ifndef CAPSA_NET_PACKET_H
#define CAPSA_NET_PACKET_H

#include "net/address.h"

enum packet_kind {
	PACKET_ARP = 1,
	PACKET_TCP,
	PACKET_UDP,
	PACKET_ECHO_REQUEST,
	PACKET_ECHO_REPLY,
	PACKET_NEIGHBOUR, /* what hosts say in neighbour discovery */
	PACKET_OTHER,     /* well-formed, and of no interest */
};

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
};

/* Points into the frame, which must stay. */
struct net_packet {
	const uint8_t *frame;
	const uint8_t *ip;        /* its header */
	const uint8_t *transport; /* header and payload */
	uint32_t ip_length;       /* header and all, without padding */
	uint32_t transport_length;
	enum packet_kind kind;
	uint8_t protocol;          /* as IP has it */
	struct net_address source; /* ARP: of the sender */
	struct net_address destination;
	uint16_t source_port; /* echo: identifier */
	uint16_t destination_port;
	const uint8_t *payload; /* TCP and UDP */
	uint32_t payload_length;
	uint32_t sequence; /* TCP */
	uint32_t acknowledged;
	uint8_t tcp_flags;
};

/*
 * 0, or -EBADMSG for what is malformed, a fragment, or has IP options or
 * extension headers. Checksums are left to packet_is_sound().
 */
int packet_parse(struct net_packet *packet, const uint8_t *frame,
		 uint32_t length);
bool packet_is_sound(const struct net_packet *packet);

/* Of a header and bytes of it, as IP counts (RFC 1071). */
uint16_t packet_checksum(const uint8_t *bytes, uint32_t length);
/* Of TCP, UDP or ICMPv6 between two addresses, with their pseudo-header. */
uint16_t packet_transport_checksum(const struct net_address *source,
				   const struct net_address *destination,
				   uint8_t protocol, const uint8_t *bytes,
				   uint32_t length);

uint16_t packet_get16(const uint8_t *bytes);
uint32_t packet_get32(const uint8_t *bytes);
void packet_put16(uint8_t *bytes, uint32_t value);
void packet_put32(uint8_t *bytes, uint32_t value);

#endif
