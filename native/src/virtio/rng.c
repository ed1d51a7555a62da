/* SPDX-License-Identifier: MIT */
#include "virtio/rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	RNG_QUEUE_SIZE = 64,
	/*
	 * Of one request. The buffers of a chain may overlap, so their total
	 * is not bounded by the guest's memory.
	 */
	RNG_REQUEST_BYTES = 64 * 1024,
	RNG_TURN_BYTES = 256 * 1024,
};

struct rng {
	struct virtio_device device; /* first: found from it */
	struct virtqueue_chain chain;
};

/* How many bytes the request got; less than it has room for is fine. */
static uint32_t rng_fill(const struct virtqueue_chain *chain)
{
	uint32_t filled = 0;

	for (uint32_t i = 0; i < chain->writable; i++) {
		const struct iovec *buffer =
			&chain->buffers[chain->readable + i];
		size_t part = RNG_REQUEST_BYTES - filled;
		ssize_t got;

		if (buffer->iov_len < part)
			part = buffer->iov_len;
		if (part == 0)
			break;
		got = getrandom(buffer->iov_base, part, GRND_NONBLOCK);
		if (got < 0)
			break;
		filled += (uint32_t)got;
		if ((size_t)got < part)
			break;
	}
	return filled;
}

static void rng_notify(struct virtio_device *device, uint32_t index)
{
	struct rng *rng = (struct rng *)device;
	struct virtqueue *queue = &device->queues[index];
	uint32_t filled = 0;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && filled < RNG_TURN_BYTES;
	     turn--) {
		uint32_t written;

		result = virtqueue_pop(queue, &rng->chain);
		if (result <= 0)
			break;
		written = rng_fill(&rng->chain);
		virtqueue_push(queue, rng->chain.head, written);
		filled += written;
	}
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

static void rng_nothing(struct virtio_device *device)
{
	(void)device;
}

static void rng_destroy(struct virtio_device *device)
{
	free(device);
}

static const struct virtio_device_ops rng_ops = {
	.device_id = VIRTIO_ID_RNG,
	.queue_count = 1,
	.queue_size_max = RNG_QUEUE_SIZE,
	.activate = rng_nothing,
	.notify = rng_notify,
	.reset = rng_nothing,
	.destroy = rng_destroy,
};

int virtio_rng_create(struct virtio_device **out)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	rng->device.ops = &rng_ops;
	*out = &rng->device;
	return 0;
}
