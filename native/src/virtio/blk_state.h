/* SPDX-License-Identifier: MIT */
/*
 * What a virtio-blk device is made of. Private to blk.c, which runs the
 * device's life, and blk_request.c, which does what the driver asks for.
 */
#ifndef CAPSA_VIRTIO_BLK_STATE_H
#define CAPSA_VIRTIO_BLK_STATE_H

#include <linux/virtio_blk.h>
#include <stddef.h>

#include "block/engine.h"
#include "block/image.h"
#include "virtio/device.h"

enum {
	BLK_QUEUE_SIZE = 256,
	/* Of requests that need no page of their own for their buffers. */
	BLK_SEGMENTS_FEW = 8,
	/* Of one request: the host may have to write them. */
	BLK_DISCARD_SECTORS_MAX = 1 << 22,
	BLK_ZERO_SECTORS_MAX = 1 << 19,
};

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
	struct iovec (*buffers)[BLK_QUEUE_SIZE];
};

static inline struct blk *blk_of(struct virtio_device *device)
{
	return (struct blk *)device;
}

static inline struct blk *blk_of_client(struct io_client *client)
{
	return (struct blk *)((char *)client - offsetof(struct blk, client));
}

/* Does, or begins, what the request in chain asks for. */
void blk_handle(struct blk *blk);

/* The engine has done its part of a request. */
void blk_done(struct io_request *io, int result);

#endif
