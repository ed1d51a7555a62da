/* SPDX-License-Identifier: MIT */
#include "net/nat_datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int datagram_bind(const struct forward_config *forward, int family)
{
	union nat_endpoint host = { 0 };
	const int on = 1;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	host.any.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		inet_pton(AF_INET6, forward->address, &host.ipv6.sin6_addr);
		host.ipv6.sin6_port = htons(forward->host_port);
	} else {
		/* For "::" it stays 0.0.0.0. */
		inet_pton(AF_INET, forward->address, &host.ipv4.sin_addr);
		host.ipv4.sin_port = htons(forward->host_port);
	}
	if (bind(fd, &host.any,
		 family == AF_INET6 ? sizeof(host.ipv6) : sizeof(host.ipv4)) ==
	    0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int nat_datagrams_open(struct nat_datagrams *datagrams,
		       const struct forward_config *forward, int family)
{
	struct nat_datagram_port *port = calloc(1, sizeof(*port));
	int fd;

	if (!port)
		return -ENOMEM;
	fd = datagram_bind(forward, family);
	if (fd < 0) {
		free(port);
		return fd;
	}
	port->fd = fd;
	port->guest_port = forward->guest_port;
	port->address_bytes = family == AF_INET6 ? 16 : 4;
	datagrams->ports[datagrams->count++] = port;
	return 0;
}

void nat_datagrams_close(struct nat_datagrams *datagrams)
{
	for (uint32_t i = 0; i < datagrams->count; i++) {
		close(datagrams->ports[i]->fd);
		free(datagrams->ports[i]);
	}
	datagrams->count = 0;
}

/*
 * The address by which the guest knows a peer: those that mean nothing in its
 * network are the gateway's.
 */
static void datagram_show(const struct nat_site *site,
			  const union nat_endpoint *peer, uint8_t shown[16])
{
	uint32_t address;

	memset(shown, 0, 16);
	if (peer->any.sa_family == AF_INET6) {
		bool own = IN6_IS_ADDR_LOOPBACK(&peer->ipv6.sin6_addr) ||
			   IN6_IS_ADDR_LINKLOCAL(&peer->ipv6.sin6_addr);

		memcpy(shown, own ? nat_gateway6 : peer->ipv6.sin6_addr.s6_addr,
		       16);
		return;
	}
	address = ntohl(peer->ipv4.sin_addr.s_addr);
	if (address >> 24 == IN_LOOPBACKNET)
		address = site->gateway;
	frame_write32(shown, address);
}

static uint16_t datagram_port(const union nat_endpoint *peer)
{
	return ntohs(peer->any.sa_family == AF_INET6 ? peer->ipv6.sin6_port
						     : peer->ipv4.sin_port);
}

static struct nat_peer *datagram_find(struct nat_datagram_port *port,
				      const uint8_t *shown, uint16_t number)
{
	for (uint32_t i = 0; i < NAT_PEERS_MAX; i++) {
		struct nat_peer *peer = &port->peers[i];

		if (peer->used > 0 && peer->port == number &&
		    memcmp(peer->shown, shown, port->address_bytes) == 0)
			return peer;
	}
	return NULL;
}

/* A place for a new peer: a free one, or that of who was silent longest. */
static struct nat_peer *datagram_place(struct nat_datagram_port *port)
{
	struct nat_peer *place = &port->peers[0];

	for (uint32_t i = 1; i < NAT_PEERS_MAX && place->used > 0; i++)
		if (port->uses - port->peers[i].used >
			    port->uses - place->used ||
		    port->peers[i].used == 0)
			place = &port->peers[i];
	return place;
}

static void datagram_use(struct nat_datagram_port *port, struct nat_peer *peer)
{
	port->uses++;
	if (port->uses == 0)
		port->uses = 1;
	peer->used = port->uses;
}

static const struct nat_peer *datagram_note(struct nat_datagram_port *port,
					    const struct nat_site *site,
					    const union nat_endpoint *endpoint)
{
	uint8_t shown[16];
	struct nat_peer *peer;

	datagram_show(site, endpoint, shown);
	peer = datagram_find(port, shown, datagram_port(endpoint));
	if (!peer)
		peer = datagram_place(port);
	memcpy(peer->shown, shown, sizeof(shown));
	peer->port = datagram_port(endpoint);
	peer->endpoint = *endpoint;
	datagram_use(port, peer);
	return peer;
}

/* IP's header in the frame; where the next begins. */
static uint32_t datagram_write_ip(struct nat_datagrams *datagrams,
				  const struct nat_datagram_port *port,
				  const struct nat_peer *peer, uint32_t bytes)
{
	uint8_t *frame = datagrams->frame;
	uint8_t *ip = frame + FRAME_IP;
	bool ipv6 = port->address_bytes == 16;
	uint32_t header = ipv6 ? FRAME_IPV6_HEADER : FRAME_IPV4_HEADER;

	memset(frame, 0, FRAME_IP + header);
	memcpy(frame, datagrams->guest_mac, NET_MAC_BYTES);
	/* The gateway's, as libslirp has it */
	frame[FRAME_SOURCE] = 0x52;
	frame[FRAME_SOURCE + 1] = ipv6 ? 0x56 : 0x55;
	if (ipv6)
		memcpy(frame + FRAME_SOURCE + 2, nat_gateway6 + 12, 4);
	else
		frame_write32(frame + FRAME_SOURCE + 2,
			      datagrams->site.gateway);
	if (ipv6) {
		frame_write16(frame + FRAME_IP - 2, 0x86dd);
		ip[0] = 0x60;
		frame_write16(ip + 4, (uint16_t)bytes);
		ip[6] = IPPROTO_UDP;
		ip[7] = 64;
		memcpy(ip + 8, peer->shown, 16);
		memcpy(ip + 24, datagrams->guest6, 16);
		return FRAME_IP + header;
	}
	frame_write16(frame + FRAME_IP - 2, 0x0800);
	ip[0] = 0x45;
	frame_write16(ip + 2, (uint16_t)(header + bytes));
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, peer->shown, 4);
	memcpy(ip + 16, datagrams->guest, 4);
	frame_write16(ip + 10, frame_checksum(frame_sum(0, ip, header)));
	return FRAME_IP + header;
}

/* The headers around a payload that lies behind them; the frame's length. */
static uint32_t datagram_wrap(struct nat_datagrams *datagrams,
			      const struct nat_datagram_port *port,
			      const struct nat_peer *peer, uint32_t payload)
{
	uint32_t bytes = FRAME_UDP_HEADER + payload;
	uint32_t at = datagram_write_ip(datagrams, port, peer, bytes);
	uint8_t *udp = datagrams->frame + at;
	uint32_t addresses = 2u * port->address_bytes;
	uint16_t checksum;
	uint32_t sum;

	frame_write16(udp, peer->port);
	frame_write16(udp + 2, port->guest_port);
	frame_write16(udp + 4, (uint16_t)bytes);
	frame_write16(udp + 6, 0);
	sum = frame_sum(0, udp - addresses, addresses);
	sum = frame_sum(sum, (const uint8_t[]) { 0, IPPROTO_UDP }, 2);
	sum = frame_sum(sum, udp + 4, 2);
	checksum = frame_checksum(frame_sum(sum, udp, bytes));
	/* Zero would mean that there is none. */
	frame_write16(udp + 6, checksum ? checksum : UINT16_MAX);
	return at + bytes;
}

int32_t nat_datagrams_receive(struct nat_datagrams *datagrams, uint32_t index)
{
	static const uint8_t unknown[16];
	struct nat_datagram_port *port = datagrams->ports[index];
	bool ipv6 = port->address_bytes == 16;
	uint32_t headers = FRAME_IP + FRAME_UDP_HEADER +
			   (ipv6 ? FRAME_IPV6_HEADER : FRAME_IPV4_HEADER);
	uint32_t room = FRAME_IP + datagrams->site.mtu - headers;
	union nat_endpoint endpoint = { 0 };
	socklen_t length = sizeof(endpoint);
	ssize_t bytes = recvfrom(port->fd, datagrams->frame + headers, room,
				 MSG_TRUNC, &endpoint.any, &length);

	/* Of what was sent before, the host may say that it did not arrive. */
	if (bytes < 0)
		return errno == EAGAIN ? -EAGAIN : 0;
	if (bytes > room ||
	    (ipv6 && memcmp(datagrams->guest6, unknown, 16) == 0))
		return 0;
	return (int32_t)datagram_wrap(
		datagrams, port,
		datagram_note(port, &datagrams->site, &endpoint),
		(uint32_t)bytes);
}

bool nat_datagrams_send(struct nat_datagrams *datagrams, const uint8_t *frame,
			const struct frame_view *view)
{
	for (uint32_t i = 0; i < datagrams->count; i++) {
		struct nat_datagram_port *port = datagrams->ports[i];
		struct nat_peer *peer;

		if (port->guest_port != view->source_port ||
		    port->address_bytes != view->address_bytes)
			continue;
		peer = datagram_find(port, view->destination,
				     view->destination_port);
		if (!peer)
			continue;
		datagram_use(port, peer);
		/* What the host cannot send now is lost on the wire. */
		(void)!sendto(port->fd,
			      frame + view->transport + FRAME_UDP_HEADER,
			      view->payload, 0, &peer->endpoint.any,
			      port->address_bytes == 16
				      ? sizeof(peer->endpoint.ipv6)
				      : sizeof(peer->endpoint.ipv4));
		return true;
	}
	return false;
}
