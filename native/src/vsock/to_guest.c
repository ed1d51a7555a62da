/* SPDX-License-Identifier: MIT */
/* What the guest is told. */
#include <errno.h>
#include <linux/virtio_vsock.h>

#include "vsock/hub_state.h"

enum {
	GUEST_HEADER = sizeof(struct virtio_vsock_hdr),
	GUEST_DATA_MAX = 64 * 1024, /* of one packet */
};

bool vsock_hub_has_packet(const struct vsock_hub *hub)
{
	return hub->stray_count > 0 || vsock_list_first(&hub->ready);
}

static uint32_t guest_write(const struct virtqueue_chain *chain,
			    const struct virtio_vsock_hdr *header)
{
	return virtqueue_chain_write(chain, header, GUEST_HEADER) + header->len;
}

static uint32_t guest_send_stray(struct vsock_hub *hub,
				 const struct virtqueue_chain *chain)
{
	const struct vsock_stray *stray = &hub->strays[hub->stray_first];
	const struct virtio_vsock_hdr header = {
		.src_cid = stray->host_cid,
		.dst_cid = hub->guest_cid,
		.src_port = stray->host_port,
		.dst_port = stray->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = VIRTIO_VSOCK_OP_RST,
	};

	hub->stray_first = (hub->stray_first + 1) % VSOCK_STRAYS_MAX;
	hub->stray_count--;
	return guest_write(chain, &header);
}

/*
 * Reads straight into the guest's buffers, behind the header that follows.
 * Whatever comes of it makes a packet, so that none is taken for nothing.
 */
static void guest_fill(struct vsock_hub *hub,
		       struct vsock_connection *connection,
		       const struct virtqueue_chain *chain,
		       struct virtio_vsock_hdr *header)
{
	uint32_t limit = vsock_credit_left(&connection->credit);
	size_t length;
	uint32_t count = vsock_hub_cut(
		hub, chain->buffers + chain->readable, chain->writable,
		GUEST_HEADER, limit < GUEST_DATA_MAX ? limit : GUEST_DATA_MAX,
		&length);
	int64_t got = -EAGAIN;

	if (length > 0)
		got = vsock_connection_read(connection, hub->parts, count,
					    length);
	if (got > 0) {
		header->op = VIRTIO_VSOCK_OP_RW;
		header->len = (uint32_t)got;
		atomic_fetch_add_explicit(&hub->to_guest, (uint64_t)got,
					  memory_order_relaxed);
	} else if (got == 0) {
		connection->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		header->op = VIRTIO_VSOCK_OP_SHUTDOWN;
	} else if (got == -EAGAIN) {
		header->op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	} else {
		header->op = VIRTIO_VSOCK_OP_RST;
	}
}

/* The packet whose turn it is. */
static void guest_choose(struct vsock_hub *hub,
			 struct vsock_connection *connection,
			 const struct virtqueue_chain *chain,
			 struct virtio_vsock_hdr *header)
{
	uint8_t due = connection->due;

	if (due & VSOCK_DUE_RESET)
		header->op = VIRTIO_VSOCK_OP_RST;
	else if (due & VSOCK_DUE_REQUEST)
		header->op = VIRTIO_VSOCK_OP_REQUEST;
	else if (due & VSOCK_DUE_RESPONSE)
		header->op = VIRTIO_VSOCK_OP_RESPONSE;
	else if (vsock_connection_can_read(connection) &&
		 (connection->hung || !(due & VSOCK_DUE_SHUTDOWN)))
		guest_fill(hub, connection, chain, header);
	else if (due & VSOCK_DUE_SHUTDOWN)
		header->op = VIRTIO_VSOCK_OP_SHUTDOWN;
	else
		header->op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	if (header->op == VIRTIO_VSOCK_OP_SHUTDOWN)
		header->flags = connection->host_shut;
}

/* The bits that a packet does away with; all tell of credit. */
static uint8_t guest_paid(uint16_t op)
{
	switch (op) {
	case VIRTIO_VSOCK_OP_REQUEST:
		return VSOCK_DUE_REQUEST | VSOCK_DUE_CREDIT;
	case VIRTIO_VSOCK_OP_RESPONSE:
		return VSOCK_DUE_RESPONSE | VSOCK_DUE_CREDIT;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		return VSOCK_DUE_SHUTDOWN | VSOCK_DUE_CREDIT;
	default:
		return VSOCK_DUE_CREDIT;
	}
}

static void guest_told(struct vsock_hub *hub,
		       struct vsock_connection *connection,
		       const struct virtio_vsock_hdr *header)
{
	if (header->op == VIRTIO_VSOCK_OP_RST) {
		vsock_hub_forget(hub, connection);
		return;
	}
	connection->credit.told = header->fwd_cnt;
	connection->due &= (uint8_t)~guest_paid(header->op);
	if (header->op == VIRTIO_VSOCK_OP_SHUTDOWN &&
	    header->flags == VSOCK_SHUT_BOTH) {
		/* The guest says when it has come to the end. */
		vsock_hub_hang_up(hub, connection);
		vsock_hub_limit(hub, connection);
	}
	vsock_hub_settle(hub, connection);
}

int64_t vsock_hub_send(struct vsock_hub *hub,
		       const struct virtqueue_chain *chain)
{
	struct vsock_link *first = vsock_list_first(&hub->ready);
	struct vsock_connection *connection;
	struct virtio_vsock_hdr header;

	if (chain->writable_bytes < GUEST_HEADER)
		return -EPROTO;
	if (hub->stray_count > 0)
		return guest_send_stray(hub, chain);
	/* To the end of the line, if there will be more. */
	vsock_link_remove(first);
	connection = VSOCK_ENTRY(first, ready);
	header = (struct virtio_vsock_hdr) {
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = hub->guest_cid,
		.src_port = connection->host_port,
		.dst_port = connection->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.buf_alloc = VSOCK_BUFFER_BYTES,
		.fwd_cnt = connection->credit.taken,
	};
	guest_choose(hub, connection, chain, &header);
	guest_told(hub, connection, &header);
	return guest_write(chain, &header);
}
