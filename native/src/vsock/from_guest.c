/* SPDX-License-Identifier: MIT */
/*
 * What the guest says. A packet that breaks a rule ends its connection, or is
 * answered by a reset if it has none.
 */
#include <linux/virtio_vsock.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock/hub_state.h"

#define GUEST_PORT_ANY UINT32_MAX /* no port: VMADDR_PORT_ANY */

/* A packet, in a private copy, and the buffers that it came in. */
struct guest_packet {
	struct virtio_vsock_hdr header;
	const struct virtqueue_chain *chain;
};

/* There is room: see vsock_hub_can_receive(). */
static void guest_stray(struct vsock_hub *hub,
			const struct virtio_vsock_hdr *header)
{
	uint32_t index = (hub->stray_first + hub->stray_count) %
			 VSOCK_STRAYS_MAX;

	/* The end of a talk needs no answer. */
	if (header->op == VIRTIO_VSOCK_OP_RST)
		return;
	hub->strays[index] = (struct vsock_stray) {
		.host_cid = header->dst_cid,
		.host_port = header->dst_port,
		.guest_port = header->src_port,
	};
	hub->stray_count++;
}

/* The guest wants to connect to whoever listens for this port. */
static void guest_connect(struct vsock_hub *hub,
			  const struct virtio_vsock_hdr *header)
{
	struct vsock_connection *connection = NULL;
	int fd = -1;

	if (header->dst_port != GUEST_PORT_ANY &&
	    header->src_port != GUEST_PORT_ANY &&
	    hub->count < VSOCK_CONNECTIONS_MAX)
		fd = vsock_host_connect(hub->path, header->dst_port);
	if (fd >= 0)
		connection = vsock_hub_add(hub, fd);
	if (!connection) {
		if (fd >= 0)
			close(fd);
		guest_stray(hub, header);
		return;
	}
	connection->state = VSOCK_OPEN;
	connection->host_port = header->dst_port;
	connection->guest_port = header->src_port;
	connection->due = VSOCK_DUE_RESPONSE;
	vsock_table_add(&hub->table, connection);
	/* Nothing was sent, so this cannot be wrong unless the guest is. */
	if (vsock_credit_hear(&connection->credit, header->buf_alloc,
			      header->fwd_cnt) < 0)
		vsock_hub_abort(hub, connection, "EPROTO");
	else
		vsock_hub_settle(hub, connection);
}

/* 0, or -1: the connection is to be aborted. */
static int guest_data(struct vsock_hub *hub,
		      struct vsock_connection *connection,
		      const struct guest_packet *packet)
{
	const struct virtqueue_chain *chain = packet->chain;
	uint32_t length = packet->header.len;
	uint32_t count;
	size_t bytes;

	if (connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    vsock_credit_receive(&connection->credit, length) < 0)
		return -1;
	count = vsock_hub_cut(hub, chain->buffers, chain->readable,
			      sizeof(packet->header), length, &bytes);
	if (bytes < length)
		return -1;
	atomic_fetch_add_explicit(&hub->from_guest, length,
				  memory_order_relaxed);
	return length == 0
		       ? 0
		       : vsock_connection_take(connection, hub->parts, count);
}

static void guest_shutdown(struct vsock_connection *connection, uint32_t flags)
{
	connection->guest_shut |= (uint8_t)(flags & VSOCK_SHUT_BOTH);
	if (connection->guest_shut == VSOCK_SHUT_BOTH) {
		/* It has closed: it waits for a reset, and need not wait
		 * until a slow reader has all. */
		connection->state = VSOCK_CLOSED;
		connection->due = VSOCK_DUE_RESET;
	} else if (connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		/* So that the host's writes fail. */
		shutdown(connection->fd, SHUT_RD);
	}
}

/* The answer to a program of the host. As guest_data(). */
static int guest_response(struct vsock_connection *connection)
{
	if (vsock_host_accepted(connection->fd, connection->host_port) < 0)
		return -1;
	connection->state = VSOCK_OPEN;
	vsock_hub_unlimit(connection);
	return 0;
}

/* As guest_data(). */
static int guest_speak(struct vsock_hub *hub,
		       struct vsock_connection *connection,
		       const struct guest_packet *packet)
{
	const struct virtio_vsock_hdr *header = &packet->header;
	bool open = connection->state == VSOCK_OPEN;

	switch (header->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		return connection->state == VSOCK_ASKING &&
				       !(connection->due & VSOCK_DUE_REQUEST)
			       ? guest_response(connection)
			       : -1;
	case VIRTIO_VSOCK_OP_RW:
		return open ? guest_data(hub, connection, packet) : -1;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		if (open)
			guest_shutdown(connection, header->flags);
		return open ? 0 : -1;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		connection->due |= VSOCK_DUE_CREDIT;
		return 0;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0;
	default:
		return -1;
	}
}

/* The guest has ended it. */
static void guest_reset(struct vsock_hub *hub,
			struct vsock_connection *connection)
{
	if (connection->state == VSOCK_ASKING)
		vsock_host_refused(connection->fd, "ECONNREFUSED");
	if (connection->state == VSOCK_CLOSED)
		vsock_hub_forget(hub, connection);
	else
		vsock_hub_remove(hub, connection);
}

static void guest_heard(struct vsock_hub *hub,
			struct vsock_connection *connection,
			const struct guest_packet *packet)
{
	const struct virtio_vsock_hdr *header = &packet->header;
	bool stream = header->type == VIRTIO_VSOCK_TYPE_STREAM;

	if (header->op == VIRTIO_VSOCK_OP_RST) {
		guest_reset(hub, connection);
		return;
	}
	if (connection->state == VSOCK_CLOSED) {
		/* It may not know yet. If it has closed too, it waits. */
		if (header->op == VIRTIO_VSOCK_OP_SHUTDOWN &&
		    header->flags == VSOCK_SHUT_BOTH)
			connection->due |= VSOCK_DUE_RESET;
		vsock_hub_settle(hub, connection);
		return;
	}
	if (!stream ||
	    vsock_credit_hear(&connection->credit, header->buf_alloc,
			      header->fwd_cnt) < 0 ||
	    guest_speak(hub, connection, packet) < 0)
		vsock_hub_abort(hub, connection, "EPROTO");
	else
		vsock_hub_settle(hub, connection);
}

bool vsock_hub_can_receive(const struct vsock_hub *hub)
{
	return hub->stray_count < VSOCK_STRAYS_MAX;
}

uint32_t vsock_hub_receive(struct vsock_hub *hub,
			   const struct virtqueue_chain *chain)
{
	struct guest_packet packet = { .chain = chain };
	const struct virtio_vsock_hdr *header = &packet.header;
	struct vsock_connection *connection = NULL;
	uint64_t before = hub->from_guest;

	if (virtqueue_chain_read(chain, &packet.header, sizeof(*header)) <
	    sizeof(*header))
		return 0;
	/* Somebody else's name: an answer would reach nobody. */
	if (header->src_cid != hub->guest_cid)
		return 0;
	if (header->dst_cid == VSOCK_HOST_CID)
		connection = vsock_table_find(&hub->table, header->dst_port,
					      header->src_port);
	if (connection)
		guest_heard(hub, connection, &packet);
	else if (header->dst_cid == VSOCK_HOST_CID &&
		 header->type == VIRTIO_VSOCK_TYPE_STREAM &&
		 header->op == VIRTIO_VSOCK_OP_REQUEST)
		guest_connect(hub, header);
	else
		guest_stray(hub, header);
	return (uint32_t)(hub->from_guest - before);
}
