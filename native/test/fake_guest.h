/* SPDX-License-Identifier: MIT */
/*
 * A guest's network stack, as a test plays it on a port: frames with right
 * checksums, answers to ARP and neighbour solicitation, a TCP that never loses
 * anything.
 */
#ifndef CAPSA_FAKE_GUEST_H
#define CAPSA_FAKE_GUEST_H

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "net/port.h"

enum {
	GUEST_WAIT_MS = 20000, /* after which a test has failed */
	GUEST_WINDOW = 65535,
	GUEST_HEADERS6 = FRAME_IP + FRAME_IPV6_HEADER,
	GUEST_HEADERS4 = FRAME_IP + FRAME_IPV4_HEADER,
};

static const uint8_t guest_mac[NET_MAC_BYTES] = { 2, 0xca, 0x95, 0xa0, 0, 1 };

/* The last frame that came for the guest. */
struct guest {
	struct net_port *port;
	uint32_t length;
	struct frame_view view;
	uint8_t frame[NET_FRAME_MAX];
};

static inline struct guest guest_create(struct net_port *port,
					uint64_t features)
{
	port->ops->start(port, features);
	return (struct guest) { .port = port };
}

static inline void guest_destroy(struct guest *guest)
{
	guest->port->ops->stop(guest->port);
	guest->port->ops->destroy(guest->port);
}

static inline void guest_send(struct guest *guest, const uint8_t *frame,
			      uint32_t length)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)frame,
			      .iov_len = length };
	const struct net_frame sent = { .parts = &part,
					.part_count = 1,
					.length = length };

	while (!guest->port->ops->send(guest->port, &sent)) {
		struct pollfd poll_fd = { .fd = guest->port->fd,
					  .events = POLLIN };

		if (poll(&poll_fd, 1, GUEST_WAIT_MS) != 1)
			return;
		guest->port->ops->poll(guest->port);
	}
	guest->port->ops->flush(guest->port);
}

/* Takes the oldest frame, if there is one. */
static inline bool guest_take(struct guest *guest)
{
	const struct net_frame *frame = guest->port->ops->peek(guest->port);

	if (!frame)
		return false;
	guest->length = net_frame_read(frame, 0, guest->frame, frame->length);
	guest->port->ops->drop(guest->port);
	frame_parse(&guest->view, guest->frame, guest->length, guest->length);
	return true;
}

/* Lets the port work once, if it has something to do within wait_ms. */
static inline bool guest_wait(struct guest *guest, int wait_ms)
{
	struct pollfd poll_fd = { .fd = guest->port->fd, .events = POLLIN };

	if (poll(&poll_fd, 1, wait_ms) != 1)
		return false;
	guest->port->ops->poll(guest->port);
	return true;
}

/* The Ethernet header and the one of IPv4. */
static inline void guest_ipv4(uint8_t *frame, uint32_t source,
			      uint32_t destination, uint8_t protocol,
			      uint32_t payload)
{
	uint8_t *ip = frame + FRAME_IP;

	memset(frame, 0, GUEST_HEADERS4);
	memcpy(frame, (const uint8_t[]) { 0x52, 0x55, 10, 0, 2, 2 }, 6);
	memcpy(frame + FRAME_SOURCE, guest_mac, sizeof(guest_mac));
	frame_write16(frame + 12, 0x0800);
	ip[0] = 0x45;
	frame_write16(ip + 2, (uint16_t)(FRAME_IPV4_HEADER + payload));
	ip[8] = 64;
	ip[9] = protocol;
	frame_write32(ip + 12, source);
	frame_write32(ip + 16, destination);
	frame_write16(ip + 10,
		      frame_checksum(frame_sum(0, ip, FRAME_IPV4_HEADER)));
}

static inline void guest_ipv6(uint8_t *frame, const uint8_t source[16],
			      const uint8_t destination[16], uint8_t protocol,
			      uint32_t payload)
{
	uint8_t *ip = frame + FRAME_IP;

	memset(frame, 0, GUEST_HEADERS6);
	memcpy(frame, (const uint8_t[]) { 0x52, 0x56, 0, 0, 0, 2 }, 6);
	memcpy(frame + FRAME_SOURCE, guest_mac, sizeof(guest_mac));
	frame_write16(frame + 12, 0x86dd);
	ip[0] = 0x60;
	frame_write16(ip + 4, (uint16_t)payload);
	ip[6] = protocol;
	ip[7] = 255;
	memcpy(ip + 8, source, 16);
	memcpy(ip + 24, destination, 16);
}

/* Of a transport's header and payload, with what IP's header says of them. */
static inline uint16_t guest_checksum(const uint8_t *addresses,
				      uint32_t address_bytes, uint8_t protocol,
				      const uint8_t *transport, uint32_t length)
{
	uint8_t pseudo[8] = { 0 };
	uint32_t sum = frame_sum(0, addresses, 2 * address_bytes);

	frame_write32(pseudo, length);
	pseudo[7] = protocol;
	sum = frame_sum(sum, pseudo, sizeof(pseudo));
	return frame_checksum(frame_sum(sum, transport, length));
}

static inline void guest_arp(uint8_t *frame, uint16_t operation,
			     uint32_t sender, const uint8_t *target_mac,
			     uint32_t target)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4 };

	memset(frame, 0, 42);
	memset(frame, 0xff, 6);
	memcpy(frame + FRAME_SOURCE, guest_mac, sizeof(guest_mac));
	frame_write16(frame + 12, 0x0806);
	memcpy(frame + 14, head, sizeof(head));
	frame_write16(frame + 20, operation);
	memcpy(frame + 22, guest_mac, sizeof(guest_mac));
	frame_write32(frame + 28, sender);
	if (target_mac)
		memcpy(frame + 32, target_mac, 6);
	frame_write32(frame + 38, target);
}

/* Who the guest is: what it answers for. */
struct guest_address {
	uint32_t ipv4;
	uint8_t ipv6[16];
};

/* Answers the frame at hand if it asks for the guest's hardware address. */
static inline bool guest_answers(struct guest *guest,
				 const struct guest_address *own)
{
	const struct frame_view *view = &guest->view;
	uint8_t frame[128];

	if (view->kind == FRAME_ARP && guest->frame[21] == 1 &&
	    frame_read32(view->destination) == own->ipv4) {
		guest_arp(frame, 2, own->ipv4, view->sender,
			  frame_read32(view->source));
		guest_send(guest, frame, 42);
		return true;
	}
	if (view->kind == FRAME_IPV6 && view->protocol == IPPROTO_ICMPV6 &&
	    view->type == ICMP6_SOLICIT_NEIGHBOUR &&
	    memcmp(guest->frame + view->transport + 8, own->ipv6, 16) == 0) {
		uint8_t *icmp = frame + GUEST_HEADERS6;

		guest_ipv6(frame, own->ipv6, view->source, IPPROTO_ICMPV6, 32);
		memset(icmp, 0, 32);
		icmp[0] = ICMP6_ADVERTISE_NEIGHBOUR;
		icmp[4] = 0x60; /* solicited, overrides */
		memcpy(icmp + 8, own->ipv6, 16);
		icmp[24] = 2;
		icmp[25] = 1;
		memcpy(icmp + 26, guest_mac, 6);
		frame_write16(icmp + 2,
			      guest_checksum(frame + FRAME_IP + 8, 16,
					     IPPROTO_ICMPV6, icmp, 32));
		guest_send(guest, frame, GUEST_HEADERS6 + 32);
		return true;
	}
	return false;
}

/* The next frame of a protocol of IP, with all else answered or left. */
static inline bool guest_await(struct guest *guest,
			       const struct guest_address *own,
			       uint8_t protocol)
{
	for (;;) {
		while (guest_take(guest)) {
			if (guest_answers(guest, own))
				continue;
			if ((guest->view.kind == FRAME_IPV4 ||
			     guest->view.kind == FRAME_IPV6) &&
			    guest->view.protocol == protocol)
				return true;
		}
		if (!guest_wait(guest, GUEST_WAIT_MS))
			return false;
	}
}

static inline const uint8_t *guest_payload(const struct guest *guest)
{
	const struct frame_view *view = &guest->view;

	return guest->frame + view->end - view->payload;
}

/* Somebody to talk to: an IPv4 address, or one of IPv6. */
struct guest_peer {
	uint32_t ipv4;
	const uint8_t *ipv6; /* or NULL */
	uint16_t port;
};

/* Puts IP's header before a transport of bytes; where that begins. */
static inline uint8_t *guest_wrap(uint8_t *frame,
				  const struct guest_address *own,
				  const struct guest_peer *peer,
				  uint8_t protocol, uint32_t bytes)
{
	if (peer->ipv6)
		guest_ipv6(frame, own->ipv6, peer->ipv6, protocol, bytes);
	else
		guest_ipv4(frame, own->ipv4, peer->ipv4, protocol, bytes);
	return frame + (peer->ipv6 ? GUEST_HEADERS6 : GUEST_HEADERS4);
}

static inline const uint8_t *guest_addresses(const uint8_t *frame,
					     const struct guest_peer *peer)
{
	return frame + FRAME_IP + (peer->ipv6 ? 8 : 12);
}

static inline void guest_send_from(struct guest *guest,
				   const uint8_t mac[NET_MAC_BYTES],
				   const struct guest_address *own,
				   const struct guest_peer *peer, uint16_t port,
				   const void *data, uint32_t length)
{
	static uint8_t frame[NET_FRAME_MAX];
	uint32_t bytes = FRAME_UDP_HEADER + length;
	uint8_t *udp = guest_wrap(frame, own, peer, IPPROTO_UDP, bytes);

	frame_write16(udp, port);
	frame_write16(udp + 2, peer->port);
	frame_write16(udp + 4, (uint16_t)bytes);
	frame_write16(udp + 6, 0);
	memcpy(udp + 8, data, length);
	frame_write16(udp + 6, guest_checksum(guest_addresses(frame, peer),
					      peer->ipv6 ? 16 : 4, IPPROTO_UDP,
					      udp, bytes));
	memcpy(frame + FRAME_SOURCE, mac, NET_MAC_BYTES);
	guest_send(guest, frame, (uint32_t)(udp - frame) + bytes);
}

static inline void guest_udp(struct guest *guest,
			     const struct guest_address *own,
			     const struct guest_peer *peer, uint16_t port,
			     const void *data, uint32_t length)
{
	guest_send_from(guest, guest_mac, own, peer, port, data, length);
}

/* A connection of the guest's. */
struct guest_tcp {
	struct guest *guest;
	const struct guest_address *own;
	struct guest_peer peer;
	uint16_t port;
	uint32_t next;     /* to send */
	uint32_t expected; /* to come */
	uint16_t urgent;
	bool reset;
	bool closed; /* by the other side */
};

static inline void guest_tcp_send(struct guest_tcp *tcp, uint32_t sequence,
				  uint8_t flags, const void *data,
				  uint32_t length)
{
	static uint8_t frame[NET_FRAME_MAX];
	uint32_t bytes = FRAME_TCP_HEADER + length;
	uint8_t *to = guest_wrap(frame, tcp->own, &tcp->peer, IPPROTO_TCP,
				 bytes);

	memset(to, 0, FRAME_TCP_HEADER);
	frame_write16(to, tcp->port);
	frame_write16(to + 2, tcp->peer.port);
	frame_write32(to + 4, sequence);
	frame_write32(to + 8, tcp->expected);
	to[12] = FRAME_TCP_HEADER / 4 << 4;
	to[13] = flags;
	frame_write16(to + 14, GUEST_WINDOW);
	frame_write16(to + 18, tcp->urgent);
	if (length > 0)
		memcpy(to + FRAME_TCP_HEADER, data, length);
	frame_write16(to + 16,
		      guest_checksum(guest_addresses(frame, &tcp->peer),
				     tcp->peer.ipv6 ? 16 : 4, IPPROTO_TCP, to,
				     bytes));
	guest_send(tcp->guest, frame, (uint32_t)(to - frame) + bytes);
}

static inline struct guest_tcp guest_tcp(struct guest *guest,
					 const struct guest_address *own,
					 struct guest_peer peer, uint16_t port)
{
	struct guest_tcp tcp = { .guest = guest,
				 .own = own,
				 .peer = peer,
				 .port = port,
				 .next = 0xfffffff0u }; /* it wraps soon */

	guest_tcp_send(&tcp, tcp.next++, TCP_FLAG_SYN, NULL, 0);
	return tcp;
}

/* The next segment of the connection, which others may come before. */
static inline bool guest_tcp_await(struct guest_tcp *tcp)
{
	struct guest *guest = tcp->guest;

	while (guest_await(guest, tcp->own, IPPROTO_TCP)) {
		if (guest->view.destination_port != tcp->port)
			continue;
		if (guest->view.flags & TCP_FLAG_RST)
			tcp->reset = true;
		return true;
	}
	return false;
}

/* Whether the connection came about. */
static inline bool guest_tcp_connect(struct guest_tcp *tcp)
{
	if (!guest_tcp_await(tcp) || tcp->reset ||
	    !(tcp->guest->view.flags & TCP_FLAG_SYN))
		return false;
	tcp->expected = tcp->guest->view.sequence + 1;
	guest_tcp_send(tcp, tcp->next, TCP_FLAG_ACK, NULL, 0);
	return true;
}

/* Up to length bytes; 0: the other side has closed, or a test has failed. */
static inline uint32_t guest_tcp_read(struct guest_tcp *tcp, void *out,
				      uint32_t length)
{
	uint32_t done = 0;

	while (done < length && !tcp->closed && !tcp->reset &&
	       guest_tcp_await(tcp)) {
		const struct frame_view *view = &tcp->guest->view;
		uint32_t bytes = view->payload;

		/* What was sent twice is not taken twice. */
		if (view->sequence != tcp->expected)
			continue;
		if (bytes > length - done)
			bytes = length - done;
		memcpy((uint8_t *)out + done, guest_payload(tcp->guest), bytes);
		done += bytes;
		tcp->expected += bytes;
		if (view->flags & TCP_FLAG_FIN) {
			tcp->closed = true;
			tcp->expected++;
		}
		if (bytes > 0 || tcp->closed)
			guest_tcp_send(tcp, tcp->next, TCP_FLAG_ACK, NULL, 0);
	}
	return done;
}

/* Sends all of it, each segment when the one before is acknowledged. */
static inline bool guest_tcp_write(struct guest_tcp *tcp, const void *data,
				   uint32_t length, uint32_t segment)
{
	uint32_t done = 0;

	while (done < length) {
		uint32_t bytes = length - done < segment ? length - done
							 : segment;

		guest_tcp_send(tcp, tcp->next, TCP_FLAG_ACK,
			       (const uint8_t *)data + done, bytes);
		tcp->next += bytes;
		done += bytes;
		do {
			if (!guest_tcp_await(tcp) || tcp->reset)
				return false;
		} while (tcp->guest->view.acknowledged != tcp->next);
	}
	return true;
}

static inline void guest_tcp_close(struct guest_tcp *tcp)
{
	guest_tcp_send(tcp, tcp->next++, TCP_FLAG_ACK | TCP_FLAG_FIN, NULL, 0);
}

static inline void guest_ping(struct guest *guest,
			      const struct guest_address *own,
			      const struct guest_peer *peer,
			      uint16_t identifier, uint32_t payload)
{
	static uint8_t frame[NET_FRAME_MAX];
	uint8_t protocol = peer->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint32_t bytes = FRAME_ICMP_HEADER + payload;
	uint8_t *icmp = guest_wrap(frame, own, peer, protocol, bytes);

	memset(icmp, 0, bytes);
	icmp[0] = peer->ipv6 ? 128 : 8;
	frame_write16(icmp + 4, identifier);
	if (peer->ipv6)
		frame_write16(icmp + 2,
			      guest_checksum(guest_addresses(frame, peer), 16,
					     IPPROTO_ICMPV6, icmp, bytes));
	else
		frame_write16(icmp + 2,
			      frame_checksum(frame_sum(0, icmp, bytes)));
	guest_send(guest, frame, (uint32_t)(icmp - frame) + bytes);
}

#endif
