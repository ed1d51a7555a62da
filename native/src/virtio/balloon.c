/* SPDX-License-Identifier: MIT */
/*
 * Memory is given back on the loop, in bounded turns, not on a thread that may
 * wait: freeing pages waits for no disk. It takes, measured, 0.1 ms for a MiB
 * and 2 us for a page alone, so a turn holds other machines up for 1 to 3 ms,
 * and a reset finds nothing under way elsewhere.
 */
#include "virtio/balloon.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BALLOON_FEATURES                                                       \
	(UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ |                            \
	 UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING)

enum {
	BALLOON_INFLATE,
	BALLOON_DEFLATE,
	BALLOON_STATS,
	BALLOON_QUEUES = 4,
	BALLOON_QUEUE_SIZE = 128,
	/* Of one turn, by what giving it back costs. */
	BALLOON_TURN_BYTES = 8 * 1024 * 1024,
	/*
	 * Giving back less costs as much, even nothing. No host page is
	 * larger, so a request is never cut within one.
	 */
	BALLOON_PIECE_BYTES = 64 * 1024,
	/*
	 * Of one request: drivers send 256. The rest of a longer one stays
	 * backed, which is no harm to the driver.
	 */
	BALLOON_PAGES = 1024,
	/* The same for statistics, of which there are 16. */
	BALLOON_TAGS = 64,
	/* Of configuration: what follows is for features not offered. */
	BALLOON_CONFIG_BYTES = offsetof(struct virtio_balloon_config,
					free_page_hint_cmd_id),
};

#define BALLOON_ASK_NS UINT64_C(1000000000)

struct balloon {
	struct virtio_device device; /* first: found from it */

	/* A report under way: where it goes on. */
	bool report_taken;
	uint16_t report_buffer;
	uint64_t report_offset; /* into the buffer */
	struct virtqueue_chain report;

	/* Kept until the host asks: giving it back is the question. */
	bool stats_taken;
	uint16_t stats_head;

	struct virtqueue_chain chain;
	uint32_t pages[BALLOON_PAGES];
	struct virtio_balloon_stat tags[BALLOON_TAGS];
	uint32_t actual; /* pages, of the configuration */

	/* Shared with virtio_balloon_stats(). */
	atomic_bool asked;
	uint64_t asked_ns; /* only its */
	atomic_uint_fast64_t held;
	atomic_uint_fast64_t reported;
	atomic_uint_fast64_t total;
	atomic_uint_fast64_t free;
	atomic_uint_fast64_t available;
};

static struct balloon *balloon_of(struct virtio_device *device)
{
	return (struct balloon *)device;
}

static void balloon_set(atomic_uint_fast64_t *value, uint64_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

static uint64_t balloon_get(const atomic_uint_fast64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* In whole pieces. */
static uint32_t balloon_cost(uint64_t length)
{
	uint32_t pieces = (uint32_t)(length / BALLOON_PIECE_BYTES) +
			  (length % BALLOON_PIECE_BYTES > 0);

	return (pieces > 0 ? pieces : 1) * BALLOON_PIECE_BYTES;
}

/* Ends a turn; more: there is something left of a request. */
static void balloon_end_turn(struct balloon *balloon, uint32_t index,
			     int result, bool more)
{
	struct virtio_device *device = &balloon->device;

	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (more || virtqueue_enable_notify(&device->queues[index]))
		virtio_device_kick(device, index);
}

/* Gives pages back, runs of them at once; what it cost. */
static uint32_t balloon_hold(struct balloon *balloon)
{
	const struct memory *memory = balloon->device.memory;
	const uint64_t page = UINT64_C(1) << VIRTIO_BALLOON_PFN_SHIFT;
	const uint32_t *pages = balloon->pages;
	uint32_t count = virtqueue_chain_read(&balloon->chain, balloon->pages,
					      sizeof(balloon->pages)) /
			 (uint32_t)sizeof(*pages);
	uint32_t cost = 0;

	for (uint32_t i = 0, next; i < count; i = next) {
		uint64_t length;
		void *host;

		next = i + 1;
		while (next < count && pages[next] == pages[next - 1] + 1)
			next++;
		length = (next - i) * page;
		host = memory_at(memory, pages[i] * page, length);
		if (host)
			memory_discard(memory, host, length);
		cost += balloon_cost(length);
	}
	return cost;
}

/* Of deflating there is nothing to do: pages come back when touched. */
static void balloon_serve_pages(struct balloon *balloon, uint32_t index)
{
	struct virtqueue *queue = &balloon->device.queues[index];
	uint32_t cost = 0;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && cost < BALLOON_TURN_BYTES;
	     turn--) {
		result = virtqueue_pop(queue, &balloon->chain);
		if (result <= 0)
			break;
		if (index == BALLOON_INFLATE)
			cost += balloon_hold(balloon);
		virtqueue_push(queue, balloon->chain.head, 0);
	}
	balloon_end_turn(balloon, index, result, false);
}

/* Gives back what a report names, as far as budget goes; what it cost. */
static uint32_t balloon_give_back(struct balloon *balloon, uint32_t budget)
{
	const struct virtqueue_chain *chain = &balloon->report;
	uint64_t given = 0;
	uint32_t cost = 0;

	while (balloon->report_buffer < chain->writable && cost < budget) {
		const struct iovec *buffer =
			&chain->buffers[chain->readable +
					balloon->report_buffer];
		uint64_t offset = balloon->report_offset;
		uint64_t part = buffer->iov_len - offset;

		balloon->report_offset = 0;
		if (part <= budget - cost) {
			balloon->report_buffer++;
		} else {
			part = budget - cost;
			balloon->report_offset = offset + part;
		}
		given += memory_discard(balloon->device.memory,
					(uint8_t *)buffer->iov_base + offset,
					part);
		cost += balloon_cost(part);
	}
	balloon_set(&balloon->reported,
		    balloon_get(&balloon->reported) + given);
	return cost;
}

static void balloon_serve_reports(struct balloon *balloon, uint32_t index)
{
	struct virtqueue *queue = &balloon->device.queues[index];
	uint32_t budget = BALLOON_TURN_BYTES;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && budget > 0; turn--) {
		if (!balloon->report_taken) {
			result = virtqueue_pop(queue, &balloon->report);
			if (result <= 0)
				break;
			balloon->report_taken = true;
			balloon->report_buffer = 0;
			balloon->report_offset = 0;
		}
		budget -= balloon_give_back(balloon, budget);
		if (balloon->report_buffer == balloon->report.writable) {
			balloon->report_taken = false;
			virtqueue_push(queue, balloon->report.head, 0);
		}
	}
	balloon_end_turn(balloon, index, result, balloon->report_taken);
}

/* What the guest tells; tags that are not known are of no interest. */
static void balloon_hear(struct balloon *balloon)
{
	uint32_t count = virtqueue_chain_read(&balloon->chain, balloon->tags,
					      sizeof(balloon->tags)) /
			 (uint32_t)sizeof(balloon->tags[0]);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = balloon->tags[i].val;

		switch (balloon->tags[i].tag) {
		case VIRTIO_BALLOON_S_MEMTOT:
			balloon_set(&balloon->total, value);
			break;
		case VIRTIO_BALLOON_S_MEMFREE:
			balloon_set(&balloon->free, value);
			break;
		case VIRTIO_BALLOON_S_AVAIL:
			balloon_set(&balloon->available, value);
			break;
		default:
			break;
		}
	}
}

static void balloon_serve_stats(struct balloon *balloon)
{
	struct virtqueue *queue = &balloon->device.queues[BALLOON_STATS];
	int result = 0;

	if (!balloon->stats_taken) {
		result = virtqueue_pop(queue, &balloon->chain);
		balloon->stats_taken = result > 0;
		balloon->stats_head = balloon->chain.head;
		if (balloon->stats_taken)
			balloon_hear(balloon);
	}
	if (balloon->stats_taken && atomic_exchange(&balloon->asked, false)) {
		balloon->stats_taken = false;
		virtqueue_push(queue, balloon->stats_head, 0);
	}
	if (balloon->stats_taken)
		return;
	balloon_end_turn(balloon, BALLOON_STATS, result, false);
}

/* Queues are counted without those that were not agreed on. */
static void balloon_notify(struct virtio_device *device, uint32_t queue)
{
	struct balloon *balloon = balloon_of(device);
	bool stats = device->features >> VIRTIO_BALLOON_F_STATS_VQ & 1;
	bool reports = device->features >> VIRTIO_BALLOON_F_REPORTING & 1;

	if (queue <= BALLOON_DEFLATE)
		balloon_serve_pages(balloon, queue);
	else if (stats && queue == BALLOON_STATS)
		balloon_serve_stats(balloon);
	else if (reports && queue == BALLOON_STATS + (uint32_t)stats)
		balloon_serve_reports(balloon, queue);
}

static void balloon_activate(struct virtio_device *device)
{
	(void)device;
}

static void balloon_reset(struct virtio_device *device)
{
	struct balloon *balloon = balloon_of(device);

	balloon->report_taken = false;
	balloon->stats_taken = false;
	balloon->actual = 0;
	balloon_set(&balloon->held, 0);
	balloon_set(&balloon->total, 0);
	balloon_set(&balloon->free, 0);
	balloon_set(&balloon->available, 0);
}

static void balloon_config_read(struct virtio_device *device, uint32_t offset,
				uint8_t *data, uint32_t length)
{
	const struct virtio_balloon_config config = {
		.actual = balloon_of(device)->actual,
	};

	memcpy(data, (const uint8_t *)&config + offset, length);
}

static void balloon_config_write(struct virtio_device *device, uint32_t offset,
				 const uint8_t *data, uint32_t length)
{
	struct balloon *balloon = balloon_of(device);
	struct virtio_balloon_config config = { .actual = balloon->actual };

	memcpy((uint8_t *)&config + offset, data, length);
	balloon->actual = config.actual;
	balloon_set(&balloon->held,
		    (uint64_t)config.actual << VIRTIO_BALLOON_PFN_SHIFT);
}

static void balloon_destroy(struct virtio_device *device)
{
	free(balloon_of(device));
}

static const struct virtio_device_ops balloon_ops = {
	.device_id = VIRTIO_ID_BALLOON,
	.features = BALLOON_FEATURES,
	.queue_count = BALLOON_QUEUES,
	.queue_size_max = BALLOON_QUEUE_SIZE,
	.config_size = BALLOON_CONFIG_BYTES,
	.activate = balloon_activate,
	.notify = balloon_notify,
	.reset = balloon_reset,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.destroy = balloon_destroy,
};

int virtio_balloon_create(struct virtio_device **out)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return -ENOMEM;
	balloon->device.ops = &balloon_ops;
	*out = &balloon->device;
	return 0;
}

/* Asking when somebody wants to know takes no timer of an idle machine. */
static void balloon_ask(struct balloon *balloon)
{
	struct timespec time;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &time);
	now = (uint64_t)time.tv_sec * BALLOON_ASK_NS + (uint64_t)time.tv_nsec;
	if (now - balloon->asked_ns < BALLOON_ASK_NS)
		return;
	balloon->asked_ns = now;
	atomic_store(&balloon->asked, true);
	virtio_device_kick(&balloon->device, BALLOON_STATS);
}

void virtio_balloon_stats(struct virtio_device *device,
			  struct virtio_balloon_stats *stats)
{
	struct balloon *balloon = balloon_of(device);

	stats->held = balloon_get(&balloon->held);
	stats->reported = balloon_get(&balloon->reported);
	stats->total = balloon_get(&balloon->total);
	stats->free = balloon_get(&balloon->free);
	stats->available = balloon_get(&balloon->available);
	balloon_ask(balloon);
}
