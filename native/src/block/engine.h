/* SPDX-License-Identifier: MIT */
/*
 * Requests on images, carried out while their owner goes on: by io_uring,
 * where there is one, or by threads that wait in system calls.
 *
 * One engine serves all devices of one I/O thread. On that thread its owner
 * queues requests and then submits them, so that all of a turn cost one system
 * call; results come back on that thread or on one of those that wait.
 */
#ifndef CAPSA_BLOCK_ENGINE_H
#define CAPSA_BLOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/file.h"
#include "loop.h"
#include "workers.h"

struct image;
struct io_client;
struct io_engine;

enum io_operation { IO_READ, IO_WRITE, IO_FLUSH, IO_DISCARD, IO_ZERO };

/* Embedded in its owner, which leaves it alone until it is done. */
struct io_request {
	struct io_client *client;
	enum io_operation operation;
	bool durable; /* what it changes is on stable storage when it is done */
	bool unmap;   /* IO_ZERO: the space should be given back */
	uint64_t offset; /* within the image, with length; not of IO_FLUSH */
	uint64_t length; /* more than 0 */
	struct file_buffers buffers; /* of IO_READ and IO_WRITE; of length */
	/* The engine's */
	struct worker_job job;
	struct io_request *next;
};

/*
 * Whose requests they are; embedded in its owner. Results come as begin(),
 * done() for one or more requests, end(), on any thread: begin takes the
 * owner's lock and end gives it back. After end the client and its requests
 * are not touched any more unless others of them are under way.
 */
struct io_client {
	struct io_engine *engine;
	const struct image *image;
	void (*begin)(struct io_client *client);
	/* 0 or -errno. */
	void (*done)(struct io_request *request, int result);
	void (*end)(struct io_client *client);
	/* The engine's */
	uint32_t waiting_threads; /* at work for it */
	struct io_request *first; /* for which there is none yet */
	struct io_request *last;
};

enum io_engine_kind {
	IO_ENGINE_BEST, /* the first of the following that can be had */
	IO_ENGINE_RING, /* io_uring */
	IO_ENGINE_THREADS,
};

/*
 * For devices on loop; blocking are threads that may wait. Both are borrowed.
 * 0 or -errno.
 */
int io_engine_create(struct io_engine **out, enum io_engine_kind kind,
		     struct loop *loop, struct workers *blocking);
/* Nothing may be under way. NULL is fine. */
void io_engine_destroy(struct io_engine *engine);

/*
 * Takes a request on, with its client's lock held, on the engine's loop. It
 * may not begin before io_engine_submit(), and may be done at once.
 */
void io_engine_queue(struct io_request *request);

/*
 * Begins what was queued, and calls done(), under the client's lock that is
 * held anyway, for those of its requests that needed no waiting. On the
 * engine's loop.
 */
void io_engine_submit(struct io_client *client);

#endif
