/* SPDX-License-Identifier: MIT */
/*
 * What stands in the headers of an Ethernet frame. Pure: bytes in, fields out,
 * and whatever is malformed refused.
 */
#ifndef CAPSA_NET_FRAME_H
#define CAPSA_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FRAME_SOURCE = 6, /* offset of the sender's address */
	FRAME_IP = 14,    /* offset of what the Ethernet header leads to */
	/* Of any frame: holds all headers that are looked at. */
	FRAME_HEADERS = 128,
	FRAME_IPV4_HEADER = 20,
	FRAME_IPV6_HEADER = 40,
	FRAME_UDP_HEADER = 8,
	FRAME_TCP_HEADER = 20,
	FRAME_ICMP_HEADER = 8,
};

enum frame_kind {
	FRAME_ARP = 1,
	FRAME_IPV4, /* both: one whole packet */
	FRAME_IPV6,
	/* A part of an IPv4 packet; its protocol, but no transport header */
	FRAME_FRAGMENT,
	/* A multicast listener's report, behind its hop-by-hop option */
	FRAME_LISTENER,
};

enum {
	TCP_FLAG_FIN = 0x01,
	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_RST = 0x04,
	TCP_FLAG_ACK = 0x10,
	TCP_FLAG_URG = 0x20,
};

enum {
	ICMP6_SOLICIT_ROUTER = 133,
	ICMP6_ADVERTISE_ROUTER,
	ICMP6_SOLICIT_NEIGHBOUR,
	ICMP6_ADVERTISE_NEIGHBOUR,
	ICMP6_REDIRECT,
};

struct frame_view {
	enum frame_kind kind;
	uint8_t protocol;       /* IPPROTO_*, of IP */
	uint32_t address_bytes; /* 4 or 16 */
	/* Of the frame's bytes; with ARP the protocol addresses */
	const uint8_t *source;
	const uint8_t *destination;
	const uint8_t *sender; /* ARP: hardware address in the message */
	uint32_t transport;    /* offsets; of the first byte behind IP */
	uint32_t end;          /* of what follows the IP packet: padding */
	/* TCP and UDP */
	uint16_t source_port;
	uint16_t destination_port;
	/* TCP */
	uint8_t flags;
	uint32_t sequence;
	uint32_t acknowledged;
	uint32_t payload; /* bytes */
	/* ICMP of either version */
	uint8_t type;
};

/*
 * Takes apart a frame of length bytes, of which the first available, all or at
 * least FRAME_HEADERS, are at bytes. What follows Ethernet must be ARP of IPv4
 * or IP; TCP, UDP and ICMP must have whole headers; with IPv6 no extension
 * header may come before them. 0 or -EBADMSG.
 */
int frame_parse(struct frame_view *view, const uint8_t *bytes,
		uint32_t available, uint32_t length);

uint16_t frame_read16(const uint8_t *bytes);
uint32_t frame_read32(const uint8_t *bytes);
void frame_write16(uint8_t *bytes, uint16_t value);
void frame_write32(uint8_t *bytes, uint32_t value);

/* The Internet checksum (RFC 1071) of bytes after what has sum already. */
uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, uint32_t length);
uint16_t frame_checksum(uint32_t sum);

#endif
