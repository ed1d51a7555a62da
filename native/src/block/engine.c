/* SPDX-License-Identifier: MIT */
#include "block/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "block/image.h"
#include "block/ring.h"

enum {
	/* Operations handed to the kernel at once: one turn of a device. */
	ENGINE_RING_SIZE = 256,
	/* Operations under way; only disks that all hang get there. */
	ENGINE_RING_RESULTS = 4096,
	/*
	 * What is in the page cache is copied inside the system call. More
	 * than this of it in one turn is left to the kernel's own threads, or
	 * a guest could hold up the loop with a ring of large requests.
	 */
	ENGINE_INLINE_BYTES = 2 * 1024 * 1024,
	/*
	 * Threads that may wait for one client: fewer than there are, so that
	 * a disk that is slow does not hold up the others.
	 */
	ENGINE_CLIENT_THREADS = 4,
};

struct io_engine {
	struct loop_source source; /* first: found from it; fd -1: no ring */
	struct loop *loop;
	struct workers *blocking;
	pthread_mutex_t lock; /* of what clients have of threads */

	/* The loop's own */
	struct ring ring;
	uint64_t inline_bytes;    /* queued since the last turn */
	struct io_request *first; /* for which the ring has no room yet */
	struct io_request *last;
};

static void list_add(struct io_request **first, struct io_request **last,
		     struct io_request *request)
{
	request->next = NULL;
	if (*first)
		(*last)->next = request;
	else
		*first = request;
	*last = request;
}

/* Waits for the host's disks. */
static int engine_carry_out(struct io_request *request)
{
	const struct image *image = request->client->image;

	switch (request->operation) {
	case IO_READ:
		return image_read(image, &request->buffers, request->offset,
				  request->length);
	case IO_WRITE:
		return image_write(image, &request->buffers, request->offset,
				   request->length, request->durable);
	case IO_FLUSH:
		return image_flush(image);
	case IO_DISCARD:
		return image_discard(image, request->offset, request->length,
				     request->durable);
	case IO_ZERO:
		return image_zero(image, request->offset, request->length,
				  request->unmap, request->durable);
	}
	return -EINVAL;
}

/* A thread of a client has become free: for its next request, if any. */
static void engine_next(struct io_engine *engine, struct io_client *client)
{
	struct io_request *next;

	pthread_mutex_lock(&engine->lock);
	next = client->first;
	if (next)
		client->first = next->next;
	else
		client->waiting_threads--;
	pthread_mutex_unlock(&engine->lock);
	/* Behind the requests of others. */
	if (next)
		workers_queue(engine->blocking, &next->job);
}

static void engine_run(struct worker_job *job)
{
	struct io_request *request =
		(struct io_request *)((char *)job -
				      offsetof(struct io_request, job));
	struct io_client *client = request->client;
	int result = engine_carry_out(request);

	/* First: with its last request done the client may go away. */
	engine_next(client->engine, client);
	client->begin(client);
	client->done(request, result);
	client->end(client);
}

static void engine_wait_for(struct io_request *request)
{
	struct io_client *client = request->client;
	struct io_engine *engine = client->engine;
	bool begin;

	request->job.run = engine_run;
	pthread_mutex_lock(&engine->lock);
	begin = client->waiting_threads < ENGINE_CLIENT_THREADS;
	if (begin)
		client->waiting_threads++;
	else
		list_add(&client->first, &client->last, request);
	pthread_mutex_unlock(&engine->lock);
	if (begin)
		workers_queue(engine->blocking, &request->job);
}

/* False: the ring cannot do it. */
static bool engine_translate(const struct io_request *request,
			     struct ring_operation *operation)
{
	const struct image *image = request->client->image;

	*operation = (struct ring_operation) {
		.buffers = request->buffers.first,
		.buffer_count = request->buffers.count,
		.offset = request->offset,
		.durable = request->durable,
		.owner = (void *)request,
	};
	switch (request->operation) {
	case IO_READ:
		operation->kind = RING_READ;
		operation->fd = image_direct_read(image, request->offset,
						  request->length);
		return operation->fd >= 0;
	case IO_WRITE:
		operation->kind = RING_WRITE;
		operation->fd = image_direct_write(image, request->offset,
						   request->length);
		return operation->fd >= 0;
	case IO_FLUSH:
		operation->kind = RING_FLUSH;
		operation->fd = image->fd;
		return image_needs_flush(image);
	default:
		return false;
	}
}

/* What the kernel will not take now, threads do: nothing may be left lying. */
static void engine_enter(struct io_engine *engine)
{
	struct io_request *request;

	if (ring_enter(&engine->ring) < 0)
		while ((request = ring_take_back(&engine->ring)))
			engine_wait_for(request);
	engine->inline_bytes = 0;
}

/* False: there is no room. */
static bool engine_fill(struct io_engine *engine,
			struct ring_operation *operation, uint64_t length)
{
	engine->inline_bytes += length;
	operation->elsewhere = engine->inline_bytes > ENGINE_INLINE_BYTES;
	if (ring_fill(&engine->ring, operation))
		return true;
	engine_enter(engine);
	return ring_fill(&engine->ring, operation);
}

void io_engine_queue(struct io_request *request)
{
	struct io_engine *engine = request->client->engine;
	struct ring_operation operation;

	if (engine->source.fd < 0 || !engine_translate(request, &operation))
		engine_wait_for(request);
	else if (engine->first ||
		 !engine_fill(engine, &operation, request->length))
		list_add(&engine->first, &engine->last, request);
}

/* Fills what has waited for room, and begins it. */
static void engine_catch_up(struct io_engine *engine)
{
	while (engine->first) {
		struct io_request *request = engine->first;
		struct io_request *next = request->next;
		struct ring_operation operation;

		if (!engine_translate(request, &operation))
			engine_wait_for(request);
		else if (!engine_fill(engine, &operation, request->length))
			break;
		engine->first = next;
	}
	engine_enter(engine);
}

/*
 * With the client's lock held: a result. What is left to do, threads do: the
 * rest of a request that was cut short, and what the kernel has given up.
 */
static void engine_finish(struct io_request *request, int32_t result)
{
	bool moves = request->operation == IO_READ ||
		     request->operation == IO_WRITE;

	if (result == -EAGAIN || result == -EINTR || result == -ECANCELED) {
		engine_wait_for(request);
	} else if (!moves || result < 0) {
		request->client->done(request, result < 0 ? result : 0);
	} else if ((uint64_t)result == request->length) {
		request->client->done(request, 0);
	} else {
		file_buffers_skip(&request->buffers, (uint64_t)result);
		request->offset += (uint64_t)result;
		request->length -= (uint64_t)result;
		engine_wait_for(request);
	}
}

/*
 * With the client's lock held: takes its results up to the first of somebody
 * else's, for whom another lock has to be taken.
 */
static void engine_take(struct io_engine *engine,
			const struct io_client *client)
{
	struct io_request *request;
	int32_t result;

	while ((request = ring_peek(&engine->ring, &result)) &&
	       request->client == client) {
		ring_next(&engine->ring);
		engine_finish(request, result);
	}
}

void io_engine_submit(struct io_client *client)
{
	struct io_engine *engine = client->engine;

	if (engine->source.fd < 0)
		return;
	engine_enter(engine);
	engine_take(engine, client);
	/* There may be no other result, and so no other time, to do it. */
	if (engine->first)
		engine_catch_up(engine);
}

/* There are results. */
static void engine_ready(struct loop_source *source)
{
	struct io_engine *engine = (struct io_engine *)source;
	struct io_request *request;
	int32_t result;

	while ((request = ring_peek(&engine->ring, &result))) {
		struct io_client *client = request->client;

		client->begin(client);
		engine_take(engine, client);
		client->end(client);
	}
	if (engine->first)
		engine_catch_up(engine);
}

/* Without a ring, or with one whose results the loop takes. */
static int engine_add_ring(struct io_engine *engine)
{
	int result = ring_create(&engine->ring, ENGINE_RING_SIZE,
				 ENGINE_RING_RESULTS);

	if (result < 0)
		return result;
	engine->source.fd = engine->ring.fd;
	engine->source.ready = engine_ready;
	result = loop_add(engine->loop, &engine->source);
	if (result < 0) {
		ring_destroy(&engine->ring);
		engine->source.fd = -1;
	}
	return result;
}

int io_engine_create(struct io_engine **out, enum io_engine_kind kind,
		     struct loop *loop, struct workers *blocking)
{
	struct io_engine *engine = calloc(1, sizeof(*engine));
	int result = 0;

	if (!engine)
		return -ENOMEM;
	engine->loop = loop;
	engine->blocking = blocking;
	engine->source.fd = -1;
	if (kind != IO_ENGINE_THREADS)
		result = engine_add_ring(engine);
	if (result < 0 && kind == IO_ENGINE_RING) {
		free(engine);
		return result;
	}
	pthread_mutex_init(&engine->lock, NULL);
	*out = engine;
	return 0;
}

void io_engine_destroy(struct io_engine *engine)
{
	if (!engine)
		return;
	if (engine->source.fd >= 0) {
		loop_remove(engine->loop, &engine->source);
		ring_destroy(&engine->ring);
	}
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}
