/* SPDX-License-Identifier: MIT */
#include "virtio/mmio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/mmio_state.h"

#define MMIO_MAGIC   0x74726976u /* "virt" */
#define MMIO_VERSION 2u
#define MMIO_VENDOR  0x53504143u /* "CAPS" */

/* The selected queue, or NULL. */
static struct virtio_mmio_queue *mmio_queue(struct virtio_mmio *mmio)
{
	return mmio->queue_select < mmio->device->ops->queue_count
		       ? &mmio->queues[mmio->queue_select]
		       : NULL;
}

static void mmio_set_half(uint64_t *whole, uint32_t value, bool high)
{
	if (high)
		*whole = (*whole & UINT32_MAX) | (uint64_t)value << 32;
	else
		*whole = (*whole & ~(uint64_t)UINT32_MAX) | value;
}

static void mmio_set_driver_features(struct virtio_mmio *mmio, uint32_t value)
{
	if (mmio->driver_features_select <= 1 &&
	    !(mmio->status & VIRTIO_CONFIG_S_FEATURES_OK))
		mmio_set_half(&mmio->driver_features, value,
			      mmio->driver_features_select == 1);
}

/* Registers of the selected queue; frozen once it is ready or serving. */
static void mmio_set_queue(struct virtio_mmio *mmio, uint64_t offset,
			   uint32_t value)
{
	struct virtio_mmio_queue *queue = mmio_queue(mmio);

	if (!queue || mmio->status & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		if (value <= 1)
			queue->ready = value;
		return;
	}
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		queue->layout.size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		mmio_set_half(&queue->layout.descriptors, value,
			      offset == VIRTIO_MMIO_QUEUE_DESC_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		mmio_set_half(&queue->layout.available, value,
			      offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		mmio_set_half(&queue->layout.used, value,
			      offset == VIRTIO_MMIO_QUEUE_USED_HIGH);
		break;
	default:
		break;
	}
}

static void mmio_set_register(struct virtio_mmio *mmio, uint64_t offset,
			      uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		mmio->features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		mmio_set_driver_features(mmio, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		mmio->driver_features_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		mmio->queue_select = value;
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_mmio_set_status(mmio, value);
		break;
	default:
		mmio_set_queue(mmio, offset, value);
		break;
	}
}

static uint32_t mmio_register(struct virtio_mmio *mmio, uint64_t offset)
{
	const struct virtio_mmio_queue *queue = mmio_queue(mmio);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return mmio->device->ops->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return mmio->features_select > 1
			       ? 0
			       : (uint32_t)(virtio_mmio_features(mmio) >>
					    (mmio->features_select * 32));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue ? mmio->device->ops->queue_size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue ? queue->ready : 0;
	case VIRTIO_MMIO_STATUS:
		return mmio->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no such region */
	default:
		/* ConfigGeneration too: no configuration changes by itself */
		return 0;
	}
}

/* How much of an access to the configuration lies within it. */
static uint32_t mmio_config_part(const struct virtio_mmio *mmio,
				 uint64_t offset, uint32_t length)
{
	uint32_t size = mmio->device->ops->config_size;
	uint64_t left = offset < size ? size - offset : 0;

	return left < length ? (uint32_t)left : length;
}

static void mmio_read_config(struct virtio_mmio *mmio, uint64_t offset,
			     uint8_t *data, uint32_t length)
{
	struct virtio_device *device = mmio->device;
	uint32_t part = mmio_config_part(mmio, offset, length);

	if (part == 0 || !device->ops->config_read)
		return;
	pthread_mutex_lock(&device->lock);
	device->ops->config_read(device, (uint32_t)offset, data, part);
	pthread_mutex_unlock(&device->lock);
}

static void mmio_write_config(struct virtio_mmio *mmio, uint64_t offset,
			      const uint8_t *data, uint32_t length)
{
	struct virtio_device *device = mmio->device;
	uint32_t part = mmio_config_part(mmio, offset, length);

	if (part == 0 || !device->ops->config_write)
		return;
	pthread_mutex_lock(&device->lock);
	device->ops->config_write(device, (uint32_t)offset, data, part);
	pthread_mutex_unlock(&device->lock);
}

static void mmio_read(void *bus_device, uint64_t offset, uint8_t *data,
		      uint32_t length)
{
	struct virtio_mmio *mmio = bus_device;
	uint32_t value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		mmio_read_config(mmio, offset - VIRTIO_MMIO_CONFIG, data,
				 length);
		return;
	}
	if (length != sizeof(value) || offset % sizeof(value) != 0)
		return;
	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		/* In every interrupt, so not behind the loop's work. */
		value = __atomic_load_n(&mmio->interrupts, __ATOMIC_SEQ_CST);
	} else {
		pthread_mutex_lock(&mmio->device->lock);
		value = mmio_register(mmio, offset);
		pthread_mutex_unlock(&mmio->device->lock);
	}
	memcpy(data, &value, sizeof(value));
}

static void mmio_write(void *bus_device, uint64_t offset, const uint8_t *data,
		       uint32_t length)
{
	struct virtio_mmio *mmio = bus_device;
	uint32_t value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		mmio_write_config(mmio, offset - VIRTIO_MMIO_CONFIG, data,
				  length);
		return;
	}
	if (length != sizeof(value) || offset % sizeof(value) != 0)
		return;
	memcpy(&value, data, sizeof(value));
	if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
		__atomic_fetch_and(&mmio->interrupts, ~value, __ATOMIC_SEQ_CST);
	} else if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		if (value < mmio->device->ops->queue_count)
			virtio_device_kick(mmio->device, value);
	} else {
		pthread_mutex_lock(&mmio->device->lock);
		mmio_set_register(mmio, offset, value);
		pthread_mutex_unlock(&mmio->device->lock);
	}
}

const struct bus_ops virtio_mmio_bus_ops = {
	.read = mmio_read,
	.write = mmio_write,
};

static void mmio_kick(struct virtio_transport *transport, uint32_t queue)
{
	const struct virtio_mmio *mmio = (struct virtio_mmio *)transport;

	eventfd_write(mmio->queues[queue].notifier.source.fd, 1);
}

/* The status first, then the edge: the driver's handler reads the status. */
static void mmio_raise(struct virtio_mmio *mmio, uint32_t bit)
{
	__atomic_fetch_or(&mmio->interrupts, bit, __ATOMIC_SEQ_CST);
	eventfd_write(mmio->irq_fd, 1);
}

static void mmio_interrupt(struct virtio_transport *transport, uint32_t queue)
{
	(void)queue;
	mmio_raise((struct virtio_mmio *)transport, VIRTIO_MMIO_INT_VRING);
}

static void mmio_fail(struct virtio_transport *transport)
{
	struct virtio_mmio *mmio = (struct virtio_mmio *)transport;

	if (mmio->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	mmio_raise(mmio, VIRTIO_MMIO_INT_CONFIG);
}

static int mmio_watch_queue(struct virtio_mmio *mmio, uint32_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	return virtio_notifier_start(&mmio->queues[index].notifier, mmio->loop,
				     mmio->device, index, fd);
}

int virtio_mmio_create(struct virtio_mmio **out, struct virtio_device *device,
		       const struct memory *memory, struct loop *loop,
		       int irq_fd)
{
	struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
	int error = 0;

	if (!mmio) {
		device->ops->destroy(device);
		return -ENOMEM;
	}
	mmio->device = device;
	mmio->loop = loop;
	mmio->irq_fd = irq_fd;
	mmio->transport = (struct virtio_transport) {
		.kick = mmio_kick,
		.interrupt = mmio_interrupt,
		.fail = mmio_fail,
	};
	for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++)
		mmio->queues[i].notifier.source.fd = -1;
	device->memory = memory;
	device->transport = &mmio->transport;
	pthread_mutex_init(&device->lock, NULL);
	for (uint32_t i = 0; i < device->ops->queue_count && error == 0; i++)
		error = mmio_watch_queue(mmio, i);
	if (error < 0) {
		virtio_mmio_destroy(mmio);
		return error;
	}
	*out = mmio;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *mmio)
{
	if (!mmio)
		return;
	/* A device that still serves may kick a notifier, so it stops first. */
	pthread_mutex_lock(&mmio->device->lock);
	virtio_device_stop(mmio->device);
	pthread_mutex_unlock(&mmio->device->lock);
	/* Not under the lock: it waits for work that takes the lock. */
	for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++)
		virtio_notifier_stop(&mmio->queues[i].notifier, mmio->loop);
	pthread_mutex_destroy(&mmio->device->lock);
	mmio->device->ops->destroy(mmio->device);
	free(mmio);
}

int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, uint32_t queue)
{
	return mmio->queues[queue].notifier.source.fd;
}

uint32_t virtio_mmio_queue_count(const struct virtio_mmio *mmio)
{
	return mmio->device->ops->queue_count;
}
