/* SPDX-License-Identifier: MIT */
/*
 * Sockets have an epoll set of their own, which is one source of the loop
 * while the driver is ready: so connections may come and go in the loop's own
 * thread, by the thousand, and before the driver is there they wait in the
 * host's kernel.
 */
#include "virtio/vsock.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	VSOCK_RECEIVE, /* queues, by section 5.10.2; as the driver sees them */
	VSOCK_TRANSMIT,
	VSOCK_EVENT, /* for migration: nothing is ever sent */
	VSOCK_QUEUES,
	VSOCK_QUEUE_SIZE = 128,
	VSOCK_TURN_BYTES = 256 * 1024,
};

struct vsock {
	struct virtio_device device; /* first: found from it */
	struct loop_source source;
	struct loop *loop;
	bool watched;  /* source is the loop's */
	bool removing; /* by a thread that has given the lock back */
	pthread_cond_t removed;
	bool stalled; /* packets of the driver wait for room for answers */
	struct vsock_hub *hub;
	struct virtqueue_chain chain;
};

static struct vsock *vsock_of(struct virtio_device *device)
{
	return (struct vsock *)device;
}

/* Fills buffers of the driver, as far as there are some. As virtqueue_pop(). */
static int vsock_fill(struct vsock *vsock, struct virtqueue *queue)
{
	int64_t bytes = 0;
	int result = 1;

	for (uint32_t turn = queue->size;
	     turn > 0 && bytes < VSOCK_TURN_BYTES &&
	     vsock_hub_has_packet(vsock->hub);
	     turn--) {
		int64_t written;

		result = virtqueue_pop(queue, &vsock->chain);
		if (result <= 0)
			return result;
		written = vsock_hub_send(vsock->hub, &vsock->chain);
		if (written < 0)
			return (int)written;
		virtqueue_push(queue, vsock->chain.head, (uint32_t)written);
		bytes += written;
	}
	return result;
}

/*
 * What is for the driver. Of buffers that it adds it need tell only while they
 * are waited for.
 */
static void vsock_send(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue *queue = &device->queues[VSOCK_RECEIVE];
	int result;

	virtqueue_disable_notify(queue);
	result = vsock_fill(vsock, queue);
	virtio_device_interrupt(device, VSOCK_RECEIVE);
	if (result < 0)
		virtio_device_fail(device);
	else if (vsock_hub_has_packet(vsock->hub) &&
		 (result > 0 || virtqueue_enable_notify(queue)))
		virtio_device_kick(device, VSOCK_RECEIVE);
	if (vsock->stalled && vsock_hub_can_receive(vsock->hub)) {
		vsock->stalled = false;
		virtio_device_kick(device, VSOCK_TRANSMIT);
	}
}

static void vsock_receive(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue *queue = &device->queues[VSOCK_TRANSMIT];
	uint32_t bytes = 0;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && bytes < VSOCK_TURN_BYTES;
	     turn--) {
		vsock->stalled = !vsock_hub_can_receive(vsock->hub);
		if (vsock->stalled)
			break;
		result = virtqueue_pop(queue, &vsock->chain);
		if (result <= 0)
			break;
		bytes += vsock_hub_receive(vsock->hub, &vsock->chain);
		virtqueue_push(queue, vsock->chain.head, 0);
	}
	virtio_device_interrupt(device, VSOCK_TRANSMIT);
	if (result < 0)
		virtio_device_fail(device);
	else if (!vsock->stalled && virtqueue_enable_notify(queue))
		virtio_device_kick(device, VSOCK_TRANSMIT);
}

static void vsock_notify(struct virtio_device *device, uint32_t queue)
{
	struct vsock *vsock = vsock_of(device);

	if (queue == VSOCK_TRANSMIT)
		vsock_receive(vsock);
	if (device->active && queue != VSOCK_EVENT)
		vsock_send(vsock);
	if (!device->active)
		vsock_hub_rest(vsock->hub);
}

static void vsock_ready(struct loop_source *source)
{
	struct vsock *vsock = (struct vsock *)((char *)source -
					       offsetof(struct vsock, source));
	struct virtio_device *device = &vsock->device;

	pthread_mutex_lock(&device->lock);
	if (device->active) {
		vsock_hub_poll(vsock->hub);
		vsock_send(vsock);
	}
	/* It serves no more: its sockets must not wake the loop for ever. */
	if (!device->active)
		vsock_hub_rest(vsock->hub);
	pthread_mutex_unlock(&device->lock);
}

static void vsock_activate(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	if (!vsock->watched && loop_add(vsock->loop, &vsock->source) < 0) {
		virtio_device_fail(device);
		return;
	}
	vsock->watched = true;
	vsock_hub_start(vsock->hub);
}

/*
 * Another processor of the guest may reset the device meanwhile. It waits: else
 * it could be through, and activate the device, before the source is removed,
 * which then would be the loop's and not known to be.
 */
static void vsock_drain(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	while (vsock->removing)
		pthread_cond_wait(&vsock->removed, &device->lock);
	if (!vsock->watched)
		return;
	vsock->removing = true;
	pthread_mutex_unlock(&device->lock);
	loop_remove(vsock->loop, &vsock->source);
	pthread_mutex_lock(&device->lock);
	vsock->removing = false;
	vsock->watched = false;
	pthread_cond_broadcast(&vsock->removed);
}

static void vsock_reset(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	vsock_hub_rest(vsock->hub);
	vsock->stalled = false;
}

static void vsock_config_read(struct virtio_device *device, uint32_t offset,
			      uint8_t *data, uint32_t length)
{
	const struct virtio_vsock_config config = {
		.guest_cid = vsock_hub_guest_cid(vsock_of(device)->hub),
	};

	memcpy(data, (const uint8_t *)&config + offset, length);
}

static void vsock_destroy(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	vsock_hub_destroy(vsock->hub);
	pthread_cond_destroy(&vsock->removed);
	free(vsock);
}

static const struct virtio_device_ops vsock_ops = {
	.device_id = VIRTIO_ID_VSOCK,
	.queue_count = VSOCK_QUEUES,
	.queue_size_max = VSOCK_QUEUE_SIZE,
	.config_size = sizeof(struct virtio_vsock_config),
	.activate = vsock_activate,
	.notify = vsock_notify,
	.drain = vsock_drain,
	.reset = vsock_reset,
	.config_read = vsock_config_read,
	.destroy = vsock_destroy,
};

int virtio_vsock_create(struct virtio_device **out,
			const struct vsock_config *config, struct loop *loop)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));
	int result;

	if (!vsock)
		return -ENOMEM;
	result = vsock_hub_create(&vsock->hub, config);
	if (result < 0) {
		free(vsock);
		return result;
	}
	pthread_cond_init(&vsock->removed, NULL);
	vsock->device.ops = &vsock_ops;
	vsock->loop = loop;
	vsock->source = (struct loop_source) {
		.fd = vsock_hub_fd(vsock->hub),
		.ready = vsock_ready,
	};
	*out = &vsock->device;
	return 0;
}

void virtio_vsock_end(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	vsock_hub_end(vsock_of(device)->hub);
	pthread_mutex_unlock(&device->lock);
}

struct vsock_counts virtio_vsock_counts(struct virtio_device *device)
{
	return vsock_hub_counts(vsock_of(device)->hub);
}
