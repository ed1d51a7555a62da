/* SPDX-License-Identifier: MIT */
#include "virtio/device.h"

#include <sys/eventfd.h>
#include <unistd.h>

void virtio_device_kick(struct virtio_device *device, uint32_t queue)
{
	struct virtio_transport *transport = device->transport;

	if (transport)
		transport->kick(transport, queue);
}

void virtio_device_interrupt(struct virtio_device *device, uint32_t queue)
{
	struct virtio_transport *transport = device->transport;

	if (virtqueue_needs_interrupt(&device->queues[queue]))
		transport->interrupt(transport, queue);
}

void virtio_device_fail(struct virtio_device *device)
{
	struct virtio_transport *transport = device->transport;

	device->active = false;
	transport->fail(transport);
}

static void notifier_ready(struct loop_source *source)
{
	const struct virtio_notifier *notifier =
		(struct virtio_notifier *)source;
	struct virtio_device *device = notifier->device;
	eventfd_t notifications;

	eventfd_read(source->fd, &notifications);
	pthread_mutex_lock(&device->lock);
	if (device->active)
		device->ops->notify(device, notifier->queue);
	pthread_mutex_unlock(&device->lock);
}

int virtio_notifier_start(struct virtio_notifier *notifier, struct loop *loop,
			  struct virtio_device *device, uint32_t queue, int fd)
{
	int error;

	*notifier = (struct virtio_notifier) {
		.source = { .fd = fd, .ready = notifier_ready },
		.device = device,
		.queue = queue,
	};
	error = loop_add(loop, &notifier->source);
	if (error < 0) {
		close(fd);
		notifier->source.fd = -1;
	}
	return error;
}

void virtio_notifier_stop(struct virtio_notifier *notifier, struct loop *loop)
{
	if (notifier->source.fd < 0)
		return;
	loop_remove(loop, &notifier->source);
	close(notifier->source.fd);
	notifier->source.fd = -1;
}

void virtio_device_stop(struct virtio_device *device)
{
	device->active = false;
	if (device->ops->drain)
		device->ops->drain(device);
	/* Other vCPUs may have reset it and come up while that waited. */
	device->active = false;
	for (uint32_t i = 0; i < device->ops->queue_count; i++)
		virtqueue_stop(&device->queues[i]);
}
