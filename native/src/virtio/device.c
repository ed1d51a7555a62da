/* SPDX-License-Identifier: MIT */
#include "virtio/device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "virtio/mmio_state.h"

#define DEVICE_FEATURES                                                        \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 |                                   \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |                          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* The driver's way up (virtio 1.2, section 3.1.1), as Status reads. */
enum {
	STATUS_NOTICED = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	STATUS_CLAIMED = STATUS_NOTICED | VIRTIO_CONFIG_S_DRIVER,
	STATUS_AGREED = STATUS_CLAIMED | VIRTIO_CONFIG_S_FEATURES_OK,
	STATUS_RUNNING = STATUS_AGREED | VIRTIO_CONFIG_S_DRIVER_OK,
};

uint64_t virtio_mmio_features(const struct virtio_mmio *mmio)
{
	return DEVICE_FEATURES | mmio->device->ops->features;
}

/* The status first, then the edge: the driver's handler reads the status. */
static void device_interrupt(struct virtio_mmio *mmio, uint32_t bit)
{
	__atomic_fetch_or(&mmio->interrupts, bit, __ATOMIC_SEQ_CST);
	eventfd_write(mmio->irq_fd, 1);
}

void virtio_device_interrupt(struct virtio_device *device, uint32_t queue)
{
	if (virtqueue_needs_interrupt(&device->queues[queue]))
		device_interrupt(device->transport, VIRTIO_MMIO_INT_VRING);
}

void virtio_device_kick(struct virtio_device *device, uint32_t queue)
{
	struct virtio_mmio *mmio = device->transport;

	if (mmio)
		eventfd_write(mmio->queues[queue].source.fd, 1);
}

void virtio_device_fail(struct virtio_device *device)
{
	struct virtio_mmio *mmio = device->transport;

	if (mmio->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	device->active = false;
	mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	device_interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_notified(struct loop_source *source)
{
	struct virtio_mmio_queue *queue = (struct virtio_mmio_queue *)source;
	struct virtio_device *device = queue->mmio->device;
	eventfd_t notifications;

	eventfd_read(source->fd, &notifications);
	pthread_mutex_lock(&device->lock);
	if (device->active)
		device->ops->notify(device, queue->index);
	pthread_mutex_unlock(&device->lock);
}

static void device_reset(struct virtio_mmio *mmio)
{
	struct virtio_device *device = mmio->device;

	device->active = false;
	device->ops->reset(device);
	/* Other vCPUs may have reset it and come up while that waited. */
	device->active = false;
	device->features = 0;
	for (uint32_t i = 0; i < device->ops->queue_count; i++) {
		virtqueue_stop(&device->queues[i]);
		mmio->queues[i].ready = false;
		mmio->queues[i].layout = (struct virtqueue_layout) { 0 };
	}
	mmio->status = 0;
	mmio->features_select = 0;
	mmio->driver_features_select = 0;
	mmio->driver_features = 0;
	mmio->queue_select = 0;
	__atomic_store_n(&mmio->interrupts, 0, __ATOMIC_SEQ_CST);
}

/* The queues as they are now are checked and kept until the next reset. */
static bool device_start_queues(struct virtio_mmio *mmio)
{
	struct virtio_device *device = mmio->device;

	for (uint32_t i = 0; i < device->ops->queue_count; i++) {
		if (mmio->queues[i].ready &&
		    virtqueue_start(&device->queues[i], device->memory,
				    &mmio->queues[i].layout,
				    device->ops->queue_size_max,
				    device->features) < 0)
			return false;
	}
	return true;
}

static void device_activate(struct virtio_mmio *mmio)
{
	struct virtio_device *device = mmio->device;

	if (!device_start_queues(mmio)) {
		virtio_device_fail(device);
		return;
	}
	mmio->status = STATUS_RUNNING;
	device->active = true;
	device->ops->activate(device);
	/* Buffers may have been there, and notified, before. */
	for (uint32_t i = 0; i < device->ops->queue_count; i++)
		virtio_device_kick(device, i);
}

static void device_accept_features(struct virtio_mmio *mmio)
{
	uint64_t features = mmio->driver_features;

	if (features & ~virtio_mmio_features(mmio) ||
	    !(features >> VIRTIO_F_VERSION_1 & 1))
		return;
	mmio->device->features = features;
	mmio->status = STATUS_AGREED;
}

/*
 * The driver goes up step by step, may give up anywhere, and starts afresh
 * with 0. A write that is none of this changes nothing.
 */
void virtio_mmio_set_status(struct virtio_mmio *mmio, uint32_t value)
{
	/* The device's own bit; drivers write back what they read. */
	uint32_t wanted = value & ~(uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET;
	uint32_t before = mmio->status;

	if (value == 0) {
		device_reset(mmio);
		return;
	}
	if (before & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED))
		return;
	switch (wanted) {
	case STATUS_NOTICED:
		if (before == 0)
			mmio->status = wanted;
		break;
	case STATUS_CLAIMED:
		if (before == 0 || before == STATUS_NOTICED)
			mmio->status = wanted;
		break;
	case STATUS_AGREED:
		if (before == STATUS_CLAIMED)
			device_accept_features(mmio);
		break;
	case STATUS_RUNNING:
		if (before == STATUS_AGREED)
			device_activate(mmio);
		break;
	default:
		if (wanted == (before | VIRTIO_CONFIG_S_FAILED)) {
			mmio->device->active = false;
			mmio->status = wanted;
		}
		break;
	}
}
