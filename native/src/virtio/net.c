/* SPDX-License-Identifier: MIT */
/*
 * Frames of the guest are offered to the port where they lie; frames for it
 * are copied from the port's memory into the driver's buffers, when there are
 * some. All work runs on the loop, one bounded turn at a time.
 *
 * A frame may need several buffers, and the driver may run out of them half
 * way. What is kept then is which buffers have been filled; they are given
 * back together when the frame is whole.
 */
#include "virtio/net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	NET_RECEIVE, /* queues, by section 5.1.2; as the driver sees them */
	NET_TRANSMIT,
	NET_QUEUES,
	NET_QUEUE_SIZE = VIRTQUEUE_SIZE_MAX,
	NET_TURN_BYTES = 512 * 1024,
	NET_HEADER = sizeof(struct virtio_net_hdr_v1),
	NET_COUNT = offsetof(struct virtio_net_hdr_v1, num_buffers),
	NET_FRAME_MIN = 14, /* the Ethernet header */
	/* The configuration up to the maximum transmission unit */
	NET_CONFIG = offsetof(struct virtio_net_config, mtu) + sizeof(uint16_t),
};

/* A frame on its way into the driver's buffers, header included. */
struct net_delivery {
	bool taken;     /* chain is the driver's, and nothing is in it yet */
	uint32_t bytes; /* copied; 0: none is on its way */
	uint8_t *count[sizeof(uint16_t)]; /* where its buffers are counted */
	uint32_t used_count;
	struct vring_used_elem used[NET_QUEUE_SIZE]; /* filled */
	struct virtqueue_chain chain;
};

struct net {
	struct virtio_device device;  /* first: found from it */
	struct virtio_device_ops ops; /* with the port's features */
	struct loop_source source;    /* the port's fd */
	struct loop *loop;
	bool watched; /* source is the loop's */
	struct net_port *port;
	struct virtio_net_config config;
	bool sending; /* frame is the guest's, and the port had no room for it
		       */
	struct net_frame frame;
	struct virtqueue_chain chain; /* that has it */
	struct net_delivery delivery;
};

static struct net *net_of(struct virtio_device *device)
{
	return (struct net *)device;
}

static bool net_has(const struct net *net, uint32_t feature)
{
	return net->device.features >> feature & 1;
}

/* Whether the driver may leave that much to the port (section 5.1.6.2). */
static bool net_header_is_sound(const struct net *net,
				const struct virtio_net_hdr_v1 *header,
				uint32_t length)
{
	bool partial = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (partial && (!net_has(net, VIRTIO_NET_F_CSUM) ||
			(uint32_t)header->csum_start + header->csum_offset +
					sizeof(uint16_t) >
				length))
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (!partial || header->gso_size == 0 || header->hdr_len > length)
		return false;
	if (type != header->gso_type && !net_has(net, VIRTIO_NET_F_HOST_ECN))
		return false;
	return (type == VIRTIO_NET_HDR_GSO_TCPV4 &&
		net_has(net, VIRTIO_NET_F_HOST_TSO4)) ||
	       (type == VIRTIO_NET_HDR_GSO_TCPV6 &&
		net_has(net, VIRTIO_NET_F_HOST_TSO6));
}

/* Finds the frame behind the header in the chain; false: it is malformed. */
static bool net_take_frame(struct net *net)
{
	struct virtqueue_chain *chain = &net->chain;
	struct net_frame *frame = &net->frame;
	struct virtio_net_hdr_v1 header;
	size_t skip = sizeof(header);
	uint16_t first = 0;

	if (chain->readable_bytes < NET_HEADER + NET_FRAME_MIN ||
	    chain->readable_bytes > NET_HEADER + NET_FRAME_MAX)
		return false;
	virtqueue_chain_read(chain, &header, sizeof(header));
	while (chain->buffers[first].iov_len <= skip)
		skip -= chain->buffers[first++].iov_len;
	chain->buffers[first].iov_base =
		(uint8_t *)chain->buffers[first].iov_base + skip;
	chain->buffers[first].iov_len -= skip;
	header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	*frame = (struct net_frame) {
		.header = header,
		.parts = &chain->buffers[first],
		.part_count = (uint32_t)chain->readable - first,
		.length = (uint32_t)chain->readable_bytes - NET_HEADER,
	};
	return net_header_is_sound(net, &header, frame->length);
}

static void net_transmit(struct net *net)
{
	struct virtio_device *device = &net->device;
	struct virtqueue *queue = &device->queues[NET_TRANSMIT];
	struct net_port *port = net->port;
	uint32_t bytes = 0;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && bytes < NET_TURN_BYTES;
	     turn--) {
		if (!net->sending) {
			result = virtqueue_pop(queue, &net->chain);
			if (result <= 0)
				break;
			net->sending = net_take_frame(net);
		}
		if (net->sending && !port->ops->send(port, &net->frame))
			break;
		bytes += net->sending ? net->frame.length : 0;
		net->sending = false;
		virtqueue_push(queue, net->chain.head, 0);
	}
	port->ops->flush(port);
	virtio_device_interrupt(device, NET_TRANSMIT);
	if (result < 0)
		virtio_device_fail(device);
	else if (!net->sending && virtqueue_enable_notify(queue))
		virtio_device_kick(device, NET_TRANSMIT);
}

/* Remembers where the two bytes of the header's count lie in the buffers. */
static void net_note_count(struct net_delivery *delivery, uint8_t *to,
			   uint32_t offset, uint32_t length)
{
	for (uint32_t i = 0; i < sizeof(uint16_t); i++)
		if (offset <= NET_COUNT + i && NET_COUNT + i < offset + length)
			delivery->count[i] = to + (NET_COUNT + i - offset);
}

/* Copies what comes next of header and frame to one place; how much it was. */
static uint32_t net_copy(struct net_delivery *delivery,
			 const struct net_frame *frame, uint8_t *to,
			 size_t room)
{
	uint32_t offset = delivery->bytes;
	uint32_t length = room < NET_HEADER - offset ? (uint32_t)room
						     : NET_HEADER - offset;
	struct virtio_net_hdr_v1 header = frame->header;

	if (offset >= NET_HEADER)
		return net_frame_read(frame, offset - NET_HEADER, to,
				      room < frame->length ? (uint32_t)room
							   : frame->length);
	header.num_buffers = 1;
	memcpy(to, (const uint8_t *)&header + offset, length);
	net_note_count(delivery, to, offset, length);
	return length;
}

/* Fills the chain in hand with what comes next; how many bytes that were. */
static uint32_t net_fill(struct net_delivery *delivery,
			 const struct net_frame *frame)
{
	const struct virtqueue_chain *chain = &delivery->chain;
	uint32_t total = NET_HEADER + frame->length;
	uint32_t before = delivery->bytes;

	for (uint32_t i = 0; i < chain->writable; i++) {
		const struct iovec *buffer =
			&chain->buffers[chain->readable + i];
		size_t filled = 0;

		while (filled < buffer->iov_len && delivery->bytes < total) {
			uint32_t part = net_copy(delivery, frame,
						 (uint8_t *)buffer->iov_base +
							 filled,
						 buffer->iov_len - filled);

			filled += part;
			delivery->bytes += part;
		}
	}
	return delivery->bytes - before;
}

/* Gives the buffers of a whole frame to the driver. */
static void net_finish(struct virtqueue *queue, struct net_delivery *delivery)
{
	uint16_t count = (uint16_t)delivery->used_count;

	for (uint32_t i = 0; count > 1 && i < sizeof(count); i++)
		__atomic_store_n(delivery->count[i],
				 ((const uint8_t *)&count)[i],
				 __ATOMIC_RELAXED);
	virtqueue_push_together(queue, delivery->used, count);
	delivery->used_count = 0;
	delivery->bytes = 0;
}

/* Gives buffers of no frame back, empty. */
static void net_give_up(struct virtqueue *queue, struct net_delivery *delivery)
{
	for (uint32_t i = 0; i < delivery->used_count; i++)
		delivery->used[i].len = 0;
	virtqueue_push_together(queue, delivery->used, delivery->used_count);
	delivery->used_count = 0;
	delivery->bytes = 0;
}

/* Into one buffer, which waits for a frame that fits it. */
static int net_deliver_whole(struct virtqueue *queue,
			     struct net_delivery *delivery,
			     const struct net_frame *frame)
{
	if (delivery->chain.writable_bytes < NET_HEADER + frame->length)
		return 1;
	delivery->taken = false;
	delivery->used[delivery->used_count++] = (struct vring_used_elem) {
		.id = delivery->chain.head,
		.len = net_fill(delivery, frame),
	};
	net_finish(queue, delivery);
	return 1;
}

/* The next buffer of a frame. 1: it is done with; 0: it needs more. */
static int net_deliver_part(struct virtqueue *queue,
			    struct net_delivery *delivery,
			    const struct net_frame *frame)
{
	delivery->taken = false;
	delivery->used[delivery->used_count++] = (struct vring_used_elem) {
		.id = delivery->chain.head,
		.len = net_fill(delivery, frame),
	};
	if (delivery->bytes == NET_HEADER + frame->length) {
		net_finish(queue, delivery);
		return 1;
	}
	if (delivery->used_count < queue->size)
		return 0;
	/* All that the driver can have are not enough for it. */
	net_give_up(queue, delivery);
	return 1;
}

/*
 * Puts a frame into the driver's buffers. 1: it is done with, or was dropped;
 * 0: there are too few buffers for now; -EPROTO.
 */
static int net_deliver(struct net *net, const struct net_frame *frame)
{
	struct virtqueue *queue = &net->device.queues[NET_RECEIVE];
	struct net_delivery *delivery = &net->delivery;
	bool mergeable = net_has(net, VIRTIO_NET_F_MRG_RXBUF);
	int result;

	do {
		if (!delivery->taken) {
			result = virtqueue_pop(queue, &delivery->chain);
			if (result <= 0)
				return result;
			delivery->taken = true;
		}
		/* The first has room for the header at least (5.1.6.3.1). */
		if (delivery->bytes == 0 &&
		    delivery->chain.writable_bytes < NET_HEADER)
			return -EPROTO;
		result = mergeable ? net_deliver_part(queue, delivery, frame)
				   : net_deliver_whole(queue, delivery, frame);
	} while (result == 0);
	return result;
}

/*
 * What is for the driver. Of buffers that it adds it need tell only while they
 * are waited for.
 */
static void net_receive(struct net *net)
{
	struct virtio_device *device = &net->device;
	struct virtqueue *queue = &device->queues[NET_RECEIVE];
	struct net_port *port = net->port;
	const struct net_frame *frame = NULL;
	uint32_t bytes = 0;
	int result = 1;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && bytes < NET_TURN_BYTES;
	     turn--) {
		frame = port->ops->peek(port);
		result = frame ? net_deliver(net, frame) : 1;
		if (!frame || result <= 0)
			break;
		bytes += frame->length;
		port->ops->drop(port);
	}
	virtio_device_interrupt(device, NET_RECEIVE);
	if (result < 0)
		virtio_device_fail(device);
	else if (frame && (result > 0 || virtqueue_enable_notify(queue)))
		virtio_device_kick(device, NET_RECEIVE);
}

static void net_notify(struct virtio_device *device, uint32_t queue)
{
	struct net *net = net_of(device);

	if (queue == NET_TRANSMIT && !net->sending)
		net_transmit(net);
	if (device->active)
		net_receive(net);
}

static void net_ready(struct loop_source *source)
{
	struct net *net = (struct net *)((char *)source -
					 offsetof(struct net, source));
	struct virtio_device *device = &net->device;

	pthread_mutex_lock(&device->lock);
	if (device->active) {
		net->port->ops->poll(net->port);
		if (net->sending)
			net_transmit(net);
		if (device->active)
			net_receive(net);
	}
	/* It serves no more: its port must not wake the loop for ever. */
	if (!device->active)
		net->port->ops->stop(net->port);
	pthread_mutex_unlock(&device->lock);
}

static void net_activate(struct virtio_device *device)
{
	struct net *net = net_of(device);

	if (!net->watched && loop_add(net->loop, &net->source) < 0) {
		virtio_device_fail(device);
		return;
	}
	net->watched = true;
	net->port->ops->start(net->port, device->features);
}

/*
 * Another processor of a guest that resets a device twice at once may come in
 * between: removing a source is done once, whoever does it waits.
 */
static void net_drain(struct virtio_device *device)
{
	struct net *net = net_of(device);
	struct net_delivery *delivery = &net->delivery;

	if (net->watched) {
		pthread_mutex_unlock(&device->lock);
		loop_remove(net->loop, &net->source);
		pthread_mutex_lock(&device->lock);
		net->watched = false;
	}
	net->port->ops->stop(net->port);
	/* Whoever goes on with the rings finds all that was taken answered. */
	net_give_up(&device->queues[NET_RECEIVE], delivery);
	if (delivery->taken)
		virtqueue_push(&device->queues[NET_RECEIVE],
			       delivery->chain.head, 0);
	delivery->taken = false;
	if (net->sending)
		virtqueue_push(&device->queues[NET_TRANSMIT], net->chain.head,
			       0);
	net->sending = false;
}

static void net_reset(struct virtio_device *device)
{
	(void)device; /* it was drained */
}

static void net_config_read(struct virtio_device *device, uint32_t offset,
			    uint8_t *data, uint32_t length)
{
	memcpy(data, (const uint8_t *)&net_of(device)->config + offset, length);
}

static void net_destroy(struct virtio_device *device)
{
	struct net *net = net_of(device);

	net->port->ops->destroy(net->port);
	free(net);
}

static const struct virtio_device_ops net_ops = {
	.device_id = VIRTIO_ID_NET,
	.features = UINT64_C(1) << VIRTIO_NET_F_MAC |
		    UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF,
	.queue_count = NET_QUEUES,
	.queue_size_max = NET_QUEUE_SIZE,
	.config_size = NET_CONFIG,
	.activate = net_activate,
	.notify = net_notify,
	.drain = net_drain,
	.reset = net_reset,
	.config_read = net_config_read,
	.destroy = net_destroy,
};

int virtio_net_create(struct virtio_device **out, struct net_port *port,
		      const uint8_t mac[NET_MAC_BYTES], struct loop *loop)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net) {
		port->ops->destroy(port);
		return -ENOMEM;
	}
	net->ops = net_ops;
	net->ops.features |= port->features;
	if (port->mtu > 0)
		net->ops.features |= UINT64_C(1) << VIRTIO_NET_F_MTU;
	net->device.ops = &net->ops;
	net->loop = loop;
	net->port = port;
	net->config.mtu = port->mtu;
	memcpy(net->config.mac, mac, NET_MAC_BYTES);
	net->source = (struct loop_source) {
		.fd = port->fd,
		.ready = net_ready,
	};
	*out = &net->device;
	return 0;
}

uint16_t virtio_net_mtu(const struct virtio_device *device)
{
	return ((const struct net *)device)->config.mtu;
}
