/* SPDX-License-Identifier: MIT */
/* A machine's side of a network, and how frames get from one to another. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/network_state.h"

enum { PORT_DHCP_BYTES = 1514 };

static struct network_port *port_of(struct net_port *port)
{
	return (struct network_port *)port;
}

void network_port_signal(struct network_port *port)
{
	if (!port->signalled)
		eventfd_write(port->port.fd, 1);
	port->signalled = true;
}

/* Puts the checksum where the sender has left it to others. */
static void port_complete(uint8_t *bytes, uint32_t length,
			  const struct virtio_net_hdr_v1 *header)
{
	uint32_t start = header->csum_start;
	uint16_t checksum = frame_checksum(
		frame_sum(0, bytes + start, length - start));

	/* Of UDP zero would mean that there is none; to TCP both are zero. */
	frame_write16(bytes + start + header->csum_offset,
		      checksum ? checksum : UINT16_MAX);
}

/* With the lock held. */
static void port_deliver(struct network_port *port, const uint8_t *headers,
			 uint32_t header_bytes, const struct net_frame *frame)
{
	struct virtio_net_hdr_v1 header = {
		.flags = frame->header.flags,
		.csum_start = frame->header.csum_start,
		.csum_offset = frame->header.csum_offset,
	};
	uint8_t *place = port->up ? frame_queue_reserve(&port->queue,
							frame->length)
				  : NULL;

	if (!place)
		return;
	/* The headers are those that were looked at. */
	memcpy(place, headers, header_bytes);
	net_frame_read(frame, header_bytes, place + header_bytes,
		       frame->length - header_bytes);
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !port->completes) {
		port_complete(place, frame->length, &header);
		header = (struct virtio_net_hdr_v1) { 0 };
	}
	frame_queue_commit(&port->queue, &header, frame->length);
	network_port_signal(port);
}

/* libslirp has an address for each of its hosts. */
static bool port_is_way_out(const uint8_t *mac)
{
	return mac[0] == 0x52 && (mac[1] == 0x55 || mac[1] == 0x56);
}

static void network_forward_to_one(struct network *network,
				   const struct network_port *from,
				   const uint8_t *headers,
				   uint32_t header_bytes,
				   const struct net_frame *frame)
{
	for (uint32_t i = 0; i < network->port_count; i++) {
		struct network_port *port = network->ports[i];

		if (memcmp(port->mac, headers, NET_MAC_BYTES) != 0)
			continue;
		if (port != from)
			port_deliver(port, headers, header_bytes, frame);
		return;
	}
	if (network->way_out && network->way_out != from &&
	    port_is_way_out(headers))
		port_deliver(network->way_out, headers, header_bytes, frame);
}

void network_forward(struct network *network, struct network_port *from,
		     const uint8_t *headers, uint32_t header_bytes,
		     const struct net_frame *frame)
{
	if (!(headers[0] & 1)) {
		network_forward_to_one(network, from, headers, header_bytes,
				       frame);
		return;
	}
	/* One machine could keep the network busy with copies for all. */
	if (from->group_bytes > PORT_GROUP_BYTES)
		return;
	from->group_bytes += network->port_count * frame->length;
	for (uint32_t i = 0; i < network->port_count; i++)
		if (network->ports[i] != from)
			port_deliver(network->ports[i], headers, header_bytes,
				     frame);
	if (network->way_out && network->way_out != from)
		port_deliver(network->way_out, headers, header_bytes, frame);
}

/* The DHCP server is the network's; its answer is for this port. */
static void port_ask_dhcp(struct network_port *port,
			  const struct net_frame *frame)
{
	uint8_t request[PORT_DHCP_BYTES];
	uint8_t answer[DHCP_FRAME_MAX];
	struct iovec part = { .iov_base = answer };
	struct net_frame answered = { .parts = &part, .part_count = 1 };
	struct frame_view view;
	uint32_t length = net_frame_read(frame, 0, request, sizeof(request));

	/* Read anew, so looked at anew. */
	if (frame->length > sizeof(request) ||
	    frame_parse(&view, request, length, length) < 0 ||
	    !dhcp_is_request(&view))
		return;
	answered.length = dhcp_answer(&port->network->dhcp, port->address,
				      port->mac, request, &view, answer);
	part.iov_len = answered.length;
	if (answered.length == 0)
		return;
	pthread_mutex_lock(&port->network->lock);
	port_deliver(port, answer, answered.length, &answered);
	pthread_mutex_unlock(&port->network->lock);
}

static bool port_send(struct net_port *net_port, const struct net_frame *frame)
{
	struct network_port *port = port_of(net_port);
	struct network *network = port->network;
	uint8_t headers[FRAME_HEADERS];
	uint32_t bytes = net_frame_read(frame, 0, headers, sizeof(headers));
	struct frame_view view;
	bool admitted;
	bool dhcp;

	if (frame_parse(&view, headers, bytes, frame->length) < 0)
		return true;
	dhcp = dhcp_is_request(&view);
	pthread_mutex_lock(&network->lock);
	admitted = network_admits(network, port, &frame->header, headers,
				  &view);
	if (admitted && !dhcp)
		network_forward(network, port, headers, bytes, frame);
	pthread_mutex_unlock(&network->lock);
	if (admitted && dhcp)
		port_ask_dhcp(port, frame);
	return true;
}

static void port_flush(struct net_port *net_port)
{
	port_of(net_port)->group_bytes = 0;
}

static void port_start(struct net_port *net_port, uint64_t features)
{
	struct network_port *port = port_of(net_port);

	pthread_mutex_lock(&port->network->lock);
	port->up = true;
	port->completes = features >> VIRTIO_NET_F_GUEST_CSUM & 1;
	pthread_mutex_unlock(&port->network->lock);
}

static void port_rest(struct network_port *port)
{
	eventfd_t count;

	if (port->signalled)
		eventfd_read(port->port.fd, &count);
	port->signalled = false;
}

static void port_stop(struct net_port *net_port)
{
	struct network_port *port = port_of(net_port);

	pthread_mutex_lock(&port->network->lock);
	port->up = false;
	frame_queue_clear(&port->queue);
	port_rest(port);
	pthread_mutex_unlock(&port->network->lock);
}

static void port_poll(struct net_port *net_port)
{
	struct network_port *port = port_of(net_port);

	pthread_mutex_lock(&port->network->lock);
	port_rest(port);
	pthread_mutex_unlock(&port->network->lock);
}

/* Its bytes are not written to until it is dropped, so need no lock. */
static const struct net_frame *port_peek(struct net_port *net_port)
{
	struct network_port *port = port_of(net_port);
	const struct net_frame *frame;

	pthread_mutex_lock(&port->network->lock);
	frame = frame_queue_peek(&port->queue);
	pthread_mutex_unlock(&port->network->lock);
	return frame;
}

static void port_drop(struct net_port *net_port)
{
	struct network_port *port = port_of(net_port);

	pthread_mutex_lock(&port->network->lock);
	frame_queue_drop(&port->queue);
	pthread_mutex_unlock(&port->network->lock);
}

/* Takes a port out of the list; whether it was the last. */
static bool network_leave(struct network *network,
			  const struct network_port *port)
{
	bool last;

	pthread_mutex_lock(&network->lock);
	for (uint32_t i = 0; i < network->port_count; i++) {
		if (network->ports[i] != port)
			continue;
		network->ports[i] = network->ports[--network->port_count];
		leases_leave(&network->leases, port->address);
		break;
	}
	last = network->port_count == 0;
	pthread_mutex_unlock(&network->lock);
	return last;
}

static void port_destroy(struct net_port *net_port)
{
	struct network_port *port = port_of(net_port);
	struct network *network = port->network;

	pthread_mutex_lock(&network->life);
	if (network_leave(network, port)) {
		uplink_destroy(network->uplink);
		network->uplink = NULL;
	}
	pthread_mutex_unlock(&network->life);
	network_port_free(port);
	free(port);
}

static const struct net_port_ops port_ops = {
	.start = port_start,
	.stop = port_stop,
	.poll = port_poll,
	.send = port_send,
	.flush = port_flush,
	.peek = port_peek,
	.drop = port_drop,
	.destroy = port_destroy,
};

int network_port_init(struct network_port *port, struct network *network)
{
	port->network = network;
	port->port = (struct net_port) {
		.ops = &port_ops,
		.features = UINT64_C(1) << VIRTIO_NET_F_CSUM |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM,
		.mtu = network->site.mtu,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (port->port.fd < 0)
		return -errno;
	return frame_queue_create(&port->queue, PORT_QUEUE_BYTES);
}

void network_port_free(struct network_port *port)
{
	frame_queue_destroy(&port->queue);
	if (port->port.fd >= 0)
		close(port->port.fd);
}
