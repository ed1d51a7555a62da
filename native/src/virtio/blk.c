/* SPDX-License-Identifier: MIT */
/*
 * Requests are taken and begun on the loop and carried out by an engine
 * (block/engine.h); whoever learns of a result, on whichever thread, answers
 * the driver under the device's lock.
 *
 * What a request needs while it is under way is kept in an array of fixed
 * size: a head is under way once at most, so there are never more requests
 * than the queue has entries.
 */
#include "virtio/blk.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/blk_state.h"

enum {
	/* Buffers of a request, beside its header and its status. */
	BLK_SEGMENTS_MAX = BLK_QUEUE_SIZE - 2,
	BLK_PHYSICAL_EXPONENT = 3, /* pages and clusters have 4 KiB */
	BLK_PHYSICAL_SECTORS = 1 << BLK_PHYSICAL_EXPONENT,
};

static void blk_begin(struct io_client *client)
{
	pthread_mutex_lock(&blk_of_client(client)->device.lock);
}

static void blk_end(struct io_client *client)
{
	struct blk *blk = blk_of_client(client);

	if (blk->device.active)
		virtio_device_interrupt(&blk->device, 0);
	pthread_mutex_unlock(&blk->device.lock);
}

static void blk_notify(struct virtio_device *device, uint32_t index)
{
	struct blk *blk = blk_of(device);
	struct virtqueue *queue = &device->queues[index];
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0; turn--) {
		result = virtqueue_pop(queue, &blk->chain);
		if (result <= 0)
			break;
		blk_handle(blk);
	}
	io_engine_submit(&blk->client);
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

static void blk_nothing(struct virtio_device *device)
{
	(void)device;
}

/* The kernel may be writing to the driver's buffers: that has to end. */
static void blk_drain(struct virtio_device *device)
{
	struct blk *blk = blk_of(device);

	while (blk->free_count < BLK_QUEUE_SIZE)
		pthread_cond_wait(&blk->idle, &device->lock);
}

static void blk_config_read(struct virtio_device *device, uint32_t offset,
			    uint8_t *data, uint32_t length)
{
	memcpy(data, (const uint8_t *)&blk_of(device)->config + offset, length);
}

static void blk_destroy(struct virtio_device *device)
{
	struct blk *blk = blk_of(device);

	image_close(&blk->image);
	munmap(blk->buffers, sizeof(*blk->buffers) * BLK_QUEUE_SIZE);
	pthread_cond_destroy(&blk->idle);
	free(blk);
}

#define BLK_FEATURES                                                           \
	(UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |                                 \
	 UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE |                                \
	 UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY |                                \
	 UINT64_C(1) << VIRTIO_BLK_F_FLUSH)

/* One queue: one thread serves it, however many the driver would fill. */
#define BLK_OPS(offered)                                                       \
	{                                                                      \
		.device_id = VIRTIO_ID_BLOCK,                                  \
		.features = BLK_FEATURES | (offered), .queue_count = 1,        \
		.queue_size_max = BLK_QUEUE_SIZE,                              \
		.config_size = sizeof(struct virtio_blk_config),               \
		.activate = blk_nothing, .notify = blk_notify,                 \
		.drain = blk_drain, .reset = blk_nothing,                      \
		.config_read = blk_config_read, .destroy = blk_destroy,        \
	}

static const struct virtio_device_ops blk_ops = BLK_OPS(
	UINT64_C(1) << VIRTIO_BLK_F_DISCARD |
	UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES);
static const struct virtio_device_ops blk_read_only_ops = BLK_OPS(
	UINT64_C(1) << VIRTIO_BLK_F_RO);

static struct virtio_blk_config blk_config(const struct image *image)
{
	return (struct virtio_blk_config) {
		.capacity = image->size / IMAGE_SECTOR,
		.seg_max = BLK_SEGMENTS_MAX,
		.blk_size = IMAGE_SECTOR,
		.physical_block_exp = BLK_PHYSICAL_EXPONENT,
		.min_io_size = BLK_PHYSICAL_SECTORS,
		.num_queues = 1,
		.max_discard_sectors = BLK_DISCARD_SECTORS_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = BLK_PHYSICAL_SECTORS,
		.max_write_zeroes_sectors = BLK_ZERO_SECTORS_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
}

static void blk_init(struct blk *blk, const char *serial,
		     struct io_engine *engine)
{
	blk->device.ops = blk->image.read_only ? &blk_read_only_ops : &blk_ops;
	blk->config = blk_config(&blk->image);
	if (serial)
		memcpy(blk->serial, serial,
		       strnlen(serial, sizeof(blk->serial)));
	blk->client = (struct io_client) {
		.engine = engine,
		.image = &blk->image,
		.begin = blk_begin,
		.done = blk_done,
		.end = blk_end,
	};
	/* The first are used first, over and over. */
	while (blk->free_count < BLK_QUEUE_SIZE) {
		blk->free[blk->free_count] =
			&blk->requests[BLK_QUEUE_SIZE - 1 - blk->free_count];
		blk->free_count++;
	}
	pthread_cond_init(&blk->idle, NULL);
}

int virtio_blk_create(struct virtio_device **out, struct image *image,
		      const char *serial, struct io_engine *engine)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	void *buffers = mmap(NULL, sizeof(*blk->buffers) * BLK_QUEUE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);

	if (!blk || buffers == MAP_FAILED) {
		if (buffers != MAP_FAILED)
			munmap(buffers, sizeof(*blk->buffers) * BLK_QUEUE_SIZE);
		free(blk);
		image_close(image);
		return -ENOMEM;
	}
	blk->image = *image;
	blk->buffers = buffers;
	blk_init(blk, serial, engine);
	*out = &blk->device;
	return 0;
}

void virtio_blk_count(const struct virtio_device *device, uint64_t *read,
		      uint64_t *written)
{
	const struct blk *blk = (const struct blk *)device;

	*read += __atomic_load_n(&blk->read, __ATOMIC_RELAXED);
	*written += __atomic_load_n(&blk->written, __ATOMIC_RELAXED);
}
