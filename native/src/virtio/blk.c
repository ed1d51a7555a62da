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
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	BLK_QUEUE_SIZE = VIRTQUEUE_SIZE_MAX,
	/* Buffers of a request, beside its header and its status. */
	BLK_SEGMENTS_MAX = BLK_QUEUE_SIZE - 2,
	/* Of requests that need no page of their own for them. */
	BLK_SEGMENTS_FEW = 8,
	BLK_PHYSICAL_EXPONENT = 3, /* pages and clusters have 4 KiB */
	BLK_PHYSICAL_SECTORS = 1 << BLK_PHYSICAL_EXPONENT,
	/* Of one request: the host may have to write them. */
	BLK_DISCARD_SECTORS_MAX = 1 << 22,
	BLK_ZERO_SECTORS_MAX = 1 << 19,
};

_Static_assert((int)IMAGE_SECTOR == 1 << 9,
	       "sectors are those of virtio 1.2, section 5.2.4");

/* Where the answer to a request goes. */
struct blk_answer {
	uint16_t head;
	uint8_t *status;        /* in guest memory */
	uint64_t status_offset; /* among the bytes that the driver offers */
};

struct blk_request {
	struct io_request io; /* first: found from it */
	struct blk_answer answer;
	uint64_t bytes; /* to read or write */
	struct iovec few[BLK_SEGMENTS_FEW];
};

struct blk {
	struct virtio_device device; /* first: found from it */
	struct io_client client;
	struct image image;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES]; /* without a NUL if that long */
	uint64_t read;                    /* bytes; atomic, like the next */
	uint64_t written;

	/* By the device's lock */
	struct virtqueue_chain chain; /* the one that is looked at */
	struct blk_request requests[BLK_QUEUE_SIZE];
	struct blk_request *free[BLK_QUEUE_SIZE];
	uint32_t free_count; /* of requests; the others are under way */
	pthread_cond_t idle; /* all are free */
	/*
	 * For each request the buffers that it can have at most; mapped, so
	 * that it costs the pages that were ever needed at once.
	 */
	struct iovec (*buffers)[VIRTQUEUE_SIZE_MAX];
};

/* What is copied of a request, once; the second half of DISCARD and alike. */
struct blk_command {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes segment;
};

_Static_assert(sizeof(struct blk_command) == 32, "as the driver lays it out");

static struct blk *blk_of(struct virtio_device *device)
{
	return (struct blk *)device;
}

static struct blk *blk_of_client(struct io_client *client)
{
	return (struct blk *)((char *)client - offsetof(struct blk, client));
}

/* Of a request that has room for it. */
static struct blk_answer blk_answer_of(const struct virtqueue_chain *chain)
{
	const struct iovec *last =
		&chain->buffers[chain->readable + chain->writable - 1];

	return (struct blk_answer) {
		.head = chain->head,
		.status = (uint8_t *)last->iov_base + last->iov_len - 1,
		.status_offset = chain->writable_bytes - 1,
	};
}

/*
 * The used length counts from the first byte that the driver offered (virtio
 * 1.2, section 2.7.8.2); the status, the last of them, only if all before it
 * is written.
 */
static void blk_give_back(struct blk *blk, const struct blk_answer *answer,
			  uint8_t status, uint64_t written)
{
	__atomic_store_n(answer->status, status, __ATOMIC_RELAXED);
	if (written == answer->status_offset)
		written++;
	virtqueue_push(&blk->device.queues[0], answer->head, (uint32_t)written);
}

/* Answers the request in chain at once. */
static void blk_reply(struct blk *blk, uint8_t status, uint64_t written)
{
	const struct blk_answer answer = blk_answer_of(&blk->chain);

	blk_give_back(blk, &answer, status, written);
}

/* Of the one in chain; it is under way from here on. */
static struct blk_request *blk_new_request(struct blk *blk,
					   enum io_operation operation)
{
	struct blk_request *request = blk->free[--blk->free_count];

	request->io = (struct io_request) {
		.client = &blk->client,
		.operation = operation,
		/* Without flushes every change is one (5.2.6.2). */
		.durable = !(blk->device.features >> VIRTIO_BLK_F_FLUSH & 1),
	};
	request->answer = blk_answer_of(&blk->chain);
	request->bytes = 0;
	return request;
}

/* The engine has done its part. */
static void blk_done(struct io_request *io, int result)
{
	struct blk_request *request = (struct blk_request *)io;
	struct blk *blk = blk_of_client(io->client);
	bool read = io->operation == IO_READ;

	if (result == 0 && request->bytes > 0)
		__atomic_fetch_add(read ? &blk->read : &blk->written,
				   request->bytes, __ATOMIC_RELAXED);
	/* After a failure or a reset the driver's memory is its own. */
	if (blk->device.active)
		blk_give_back(blk, &request->answer,
			      result == 0 ? VIRTIO_BLK_S_OK
					  : VIRTIO_BLK_S_IOERR,
			      result == 0 && read ? request->bytes : 0);
	blk->free[blk->free_count++] = request;
	if (blk->free_count == BLK_QUEUE_SIZE)
		pthread_cond_broadcast(&blk->idle);
}

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

static bool blk_is_within(const struct blk *blk, uint64_t sector,
			  uint64_t count)
{
	uint64_t capacity = blk->image.size / IMAGE_SECTOR;

	return sector <= capacity && count <= capacity - sector;
}

/* The data of the request in chain: all but the header and the status. */
static struct file_buffers blk_data(struct blk *blk,
				    struct blk_request *request, bool read)
{
	const struct virtqueue_chain *chain = &blk->chain;
	uint32_t count = read ? chain->writable : chain->readable;
	struct file_buffers data = {
		.first = count <= BLK_SEGMENTS_FEW
				 ? request->few
				 : blk->buffers[request - blk->requests],
		.count = count,
	};

	memcpy(data.first, &chain->buffers[read ? chain->readable : 0],
	       count * sizeof(*data.first));
	if (!read)
		file_buffers_skip(&data, sizeof(struct virtio_blk_outhdr));
	else if (--data.first[count - 1].iov_len == 0)
		data.count--;
	return data;
}

static void blk_transfer(struct blk *blk, uint64_t sector, bool read)
{
	const struct virtqueue_chain *chain = &blk->chain;
	uint64_t bytes = read ? chain->writable_bytes - 1
			      : chain->readable_bytes -
					 sizeof(struct virtio_blk_outhdr);
	struct blk_request *request;

	if ((!read && blk->image.read_only) || bytes % IMAGE_SECTOR != 0 ||
	    !blk_is_within(blk, sector, bytes / IMAGE_SECTOR)) {
		blk_reply(blk, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	if (bytes == 0) {
		blk_reply(blk, VIRTIO_BLK_S_OK, 0);
		return;
	}
	request = blk_new_request(blk, read ? IO_READ : IO_WRITE);
	request->bytes = bytes;
	request->io.offset = sector * IMAGE_SECTOR;
	request->io.length = bytes;
	request->io.buffers = blk_data(blk, request, read);
	io_engine_queue(&request->io);
}

static void blk_flush(struct blk *blk)
{
	if (image_needs_flush(&blk->image))
		io_engine_queue(&blk_new_request(blk, IO_FLUSH)->io);
	else
		blk_reply(blk, VIRTIO_BLK_S_OK, 0);
}

/* DISCARD and WRITE_ZEROES, with exactly one segment. */
static uint8_t blk_check_segment(const struct blk *blk,
				 const struct blk_command *command,
				 bool discard)
{
	const struct virtio_blk_discard_write_zeroes *segment =
		&command->segment;
	uint32_t max = discard ? BLK_DISCARD_SECTORS_MAX : BLK_ZERO_SECTORS_MAX;
	uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (blk->image.read_only ||
	    blk->chain.readable_bytes != sizeof(*command))
		return VIRTIO_BLK_S_IOERR;
	if (segment->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	return segment->num_sectors <= max &&
			       blk_is_within(blk, segment->sector,
					     segment->num_sectors)
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

static void blk_clear(struct blk *blk, const struct blk_command *command,
		      bool discard)
{
	const struct virtio_blk_discard_write_zeroes *segment =
		&command->segment;
	uint8_t status = blk_check_segment(blk, command, discard);
	struct io_request *io;

	if (status != VIRTIO_BLK_S_OK || segment->num_sectors == 0) {
		blk_reply(blk, status, 0);
		return;
	}
	io = &blk_new_request(blk, discard ? IO_DISCARD : IO_ZERO)->io;
	io->unmap = segment->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	io->offset = segment->sector * IMAGE_SECTOR;
	io->length = (uint64_t)segment->num_sectors * IMAGE_SECTOR;
	io_engine_queue(io);
}

static void blk_identify(struct blk *blk)
{
	uint64_t room = blk->chain.writable_bytes - 1;
	uint32_t length = room < sizeof(blk->serial)
				  ? (uint32_t)room
				  : (uint32_t)sizeof(blk->serial);

	virtqueue_chain_write(&blk->chain, blk->serial, length);
	blk_reply(blk, VIRTIO_BLK_S_OK, length);
}

/* The request in chain. */
static void blk_handle(struct blk *blk)
{
	struct blk_command command = { 0 };
	uint32_t length = virtqueue_chain_read(&blk->chain, &command,
					       sizeof(command));

	/* Nowhere to put a status: all that can be given is the buffers. */
	if (blk->chain.writable_bytes == 0) {
		virtqueue_push(&blk->device.queues[0], blk->chain.head, 0);
		return;
	}
	if (length < sizeof(command.header)) {
		blk_reply(blk, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	switch (command.header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		blk_transfer(blk, command.header.sector,
			     command.header.type == VIRTIO_BLK_T_IN);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(blk);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_identify(blk);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_clear(blk, &command,
			  command.header.type == VIRTIO_BLK_T_DISCARD);
		break;
	default:
		blk_reply(blk, VIRTIO_BLK_S_UNSUPP, 0);
		break;
	}
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

static void blk_activate(struct virtio_device *device)
{
	(void)device;
}

/* The kernel may be writing to the driver's buffers: that has to end. */
static void blk_reset(struct virtio_device *device)
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
		.activate = blk_activate, .notify = blk_notify,                \
		.reset = blk_reset, .config_read = blk_config_read,            \
		.destroy = blk_destroy,                                        \
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
