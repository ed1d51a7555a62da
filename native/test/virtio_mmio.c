/* SPDX-License-Identifier: MIT */
#include "virtio/mmio.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "fake_driver.h"
#include "tap.h"

enum {
	QUEUES = 2,
	SIZE = 16,
	RING = 0x10000,
	DATA = 0x40000,
	CONFIG_BYTES = 6,
};

static const uint64_t DEVICE_FEATURE = UINT64_C(1) << 5;

/* Gives every buffer back with a length of 1; counters are atomic. */
struct echo {
	struct virtio_device device;
	uint32_t activations;
	uint32_t resets;
	uint32_t notifications[QUEUES];
	uint32_t mistakes; /* called when it should not have been */
	bool *destroyed;
	bool restless; /* keeps kicking itself */
	uint8_t config[CONFIG_BYTES];
};

static void count(uint32_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

static uint32_t counted(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static void echo_activate(struct virtio_device *device)
{
	struct echo *echo = (struct echo *)device;

	count(&echo->activations);
	if (!device->active)
		count(&echo->mistakes);
}

static void echo_notify(struct virtio_device *device, uint32_t index)
{
	struct echo *echo = (struct echo *)device;
	struct virtqueue *queue = &device->queues[index];
	struct virtqueue_chain chain;
	int result = 0;

	count(&echo->notifications[index]);
	if (!device->active)
		count(&echo->mistakes);
	virtqueue_disable_notify(queue);
	for (uint32_t i = 0; i < SIZE; i++) {
		result = virtqueue_pop(queue, &chain);
		if (result <= 0)
			break;
		virtqueue_push(queue, chain.head, 1);
	}
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (virtqueue_enable_notify(queue) || echo->restless)
		virtio_device_kick(device, index);
}

static void echo_reset(struct virtio_device *device)
{
	count(&((struct echo *)device)->resets);
}

static void echo_config_read(struct virtio_device *device, uint32_t offset,
			     uint8_t *data, uint32_t length)
{
	struct echo *echo = (struct echo *)device;

	if (offset >= CONFIG_BYTES || length > CONFIG_BYTES - offset)
		count(&echo->mistakes);
	else
		memcpy(data, echo->config + offset, length);
}

static void echo_config_write(struct virtio_device *device, uint32_t offset,
			      const uint8_t *data, uint32_t length)
{
	struct echo *echo = (struct echo *)device;

	if (offset >= CONFIG_BYTES || length > CONFIG_BYTES - offset)
		count(&echo->mistakes);
	else
		memcpy(echo->config + offset, data, length);
}

static void echo_destroy(struct virtio_device *device)
{
	struct echo *echo = (struct echo *)device;

	*echo->destroyed = true;
	free(echo);
}

static const struct virtio_device_ops echo_ops = {
	.device_id = 42,
	.features = UINT64_C(1) << 5,
	.queue_count = QUEUES,
	.queue_size_max = SIZE,
	.config_size = CONFIG_BYTES,
	.activate = echo_activate,
	.notify = echo_notify,
	.reset = echo_reset,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.destroy = echo_destroy,
};

/* A device in a machine. */
struct bench {
	struct echo *echo;
	struct virtio_mmio *mmio;
	int irq_fd;
	bool destroyed;
	struct fake_queue queues[QUEUES];
};

static struct memory memory;
static struct loop *loop;

static int bench_create(struct bench *bench, uint64_t ring)
{
	struct echo *echo = calloc(1, sizeof(*echo));

	*bench = (struct bench) { .echo = echo };
	bench->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint32_t i = 0; i < QUEUES; i++)
		bench->queues[i] = fake_queue(&memory,
					      ring + i * FAKE_RING_BYTES, SIZE);
	echo->device.ops = &echo_ops;
	echo->destroyed = &bench->destroyed;
	return virtio_mmio_create(&bench->mmio, &echo->device, &memory, loop,
				  bench->irq_fd);
}

static void bench_destroy(struct bench *bench)
{
	CHECK(counted(&bench->echo->mistakes) == 0);
	virtio_mmio_destroy(bench->mmio);
	CHECK(bench->destroyed);
	close(bench->irq_fd);
}

static struct bench bench;

static void set_up(void)
{
	fake_memory_create(&memory);
	CHECK(loop_create(&loop) == 0);
	CHECK(bench_create(&bench, RING) == 0);
}

static void tear_down(void)
{
	bench_destroy(&bench);
	loop_destroy(loop);
	fake_memory_destroy(&memory);
}

static uint32_t get(uint64_t offset)
{
	return fake_read32(bench.mmio, offset);
}

static void set(uint64_t offset, uint32_t value)
{
	fake_write32(bench.mmio, offset, value);
}

static void bring_up(void)
{
	set(VIRTIO_MMIO_STATUS, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		bench.queues[i] = fake_queue(&memory,
					     RING + i * FAKE_RING_BYTES, SIZE);
	CHECK(fake_bring_up(bench.mmio, FAKE_FEATURES, bench.queues, QUEUES) ==
	      0xf);
}

static void it_is_a_virtio_device(void)
{
	set_up();
	CHECK(get(VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976);
	CHECK(get(VIRTIO_MMIO_VERSION) == 2);
	CHECK(get(VIRTIO_MMIO_DEVICE_ID) == 42);
	CHECK(get(VIRTIO_MMIO_VENDOR_ID) != 0);
	CHECK(get(VIRTIO_MMIO_CONFIG_GENERATION) == 0);
	CHECK(get(VIRTIO_MMIO_SHM_LEN_LOW) == UINT32_MAX);
	CHECK(get(VIRTIO_MMIO_SHM_LEN_HIGH) == UINT32_MAX);
	CHECK(virtio_mmio_queue_count(bench.mmio) == QUEUES);
	tear_down();
}

static void buffers_go_round(void)
{
	struct vring_used_elem element;

	set_up();
	bring_up();
	CHECK(bench.echo->activations == 1);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t q = i % QUEUES;

		fake_buffer(&bench.queues[q], (uint16_t)(i % SIZE), DATA, 8,
			    VRING_DESC_F_WRITE);
		/* As a register access, or as KVM does it. */
		if (i % 3)
			set(VIRTIO_MMIO_QUEUE_NOTIFY, q);
		else
			eventfd_write(virtio_mmio_notify_fd(bench.mmio, q), 1);
		CHECK(fake_await(bench.mmio, bench.irq_fd, &bench.queues[q],
				 &element));
		CHECK(element.id == i % SIZE && element.len == 1);
	}
	tear_down();
}

static void features_are_negotiated(void)
{
	const uint64_t version = UINT64_C(1) << VIRTIO_F_VERSION_1;

	set_up();
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) ==
	      (uint32_t)(FAKE_FEATURES | DEVICE_FEATURE));
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) ==
	      (uint32_t)(FAKE_FEATURES >> 32));
	for (uint32_t select = 2; select; select <<= 1) {
		set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, select);
		CHECK(get(VIRTIO_MMIO_DEVICE_FEATURES) == 0);
	}
	CHECK(fake_negotiate(bench.mmio, version) == 0xb);
	CHECK(fake_negotiate(bench.mmio, version | DEVICE_FEATURE) == 0xb);
	CHECK(bench.echo->device.features == (version | DEVICE_FEATURE));
	/* Refused: no version 1, and each bit that is not offered. */
	CHECK(fake_negotiate(bench.mmio, 0) == 3);
	CHECK(fake_negotiate(bench.mmio, DEVICE_FEATURE) == 3);
	for (uint32_t bit = 0; bit < 64; bit++) {
		uint64_t feature = UINT64_C(1) << bit;
		bool offered = (FAKE_FEATURES | DEVICE_FEATURE) & feature;

		CHECK(fake_negotiate(bench.mmio, version | feature) ==
		      (offered ? 0xb : 3));
	}
	/* Neither beyond 64 bits nor after they were accepted. */
	fake_negotiate(bench.mmio, version);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	CHECK(bench.echo->device.features == version);
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, 3);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 33);
	set(VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	set(VIRTIO_MMIO_STATUS, 0xb);
	CHECK(get(VIRTIO_MMIO_STATUS) == 0xb);
	tear_down();
}

/* Brings the device to a status, if there is a way to it. */
static bool reach(uint32_t status)
{
	static const uint32_t steps[] = { 1, 3, 0xb, 0xf };

	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	/* A queue that cannot be, so that DRIVER_OK fails. */
	if (status & 0x40)
		set(VIRTIO_MMIO_QUEUE_READY, 1);
	for (int i = 0; i < 4; i++)
		if ((steps[i] & (status | (status & 0x40 ? 4 : 0))) == steps[i])
			set(VIRTIO_MMIO_STATUS, steps[i]);
	if (status & 0x80)
		set(VIRTIO_MMIO_STATUS, (status & 0xf) | 0x80);
	return get(VIRTIO_MMIO_STATUS) == status;
}

/* What a write should make of the status: the steps of section 3.1.1. */
static uint32_t expected_status(uint32_t before, uint32_t value)
{
	static const uint8_t steps[][2] = {
		{ 0x0, 0x1 }, { 0x0, 0x3 }, { 0x1, 0x3 },
		{ 0x3, 0xb }, { 0xb, 0xf },
	};
	uint32_t wanted = value & ~0x40u;

	if (value == 0)
		return 0;
	if (before & 0xc0)
		return before;
	if (wanted == (before | 0x80))
		return wanted;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i][0] == before && steps[i][1] == wanted)
			return wanted;
	return before;
}

static void status_moves_only_forward(void)
{
	uint32_t reached = 0;

	set_up();
	for (uint32_t from = 0; from < 256; from++) {
		if (!reach(from))
			continue;
		reached++;
		for (uint32_t value = 0; value < 256; value++) {
			uint32_t after;

			reach(from);
			set(VIRTIO_MMIO_STATUS, value);
			after = get(VIRTIO_MMIO_STATUS);
			/* The broken queue is found at DRIVER_OK. */
			CHECK(after == expected_status(from, value));
			CHECK(bench.echo->device.active == (after == 0xf));
		}
		reach(from);
		set(VIRTIO_MMIO_STATUS, from | 0x100);
		set(VIRTIO_MMIO_STATUS, from | 0x80000000);
		CHECK(get(VIRTIO_MMIO_STATUS) == from);
	}
	/* 0 1 3 b f, each also failed, and b that needs a reset */
	CHECK(reached == 11);
	tear_down();
}

static void every_access_has_a_defined_answer(void)
{
	static const uint16_t readable[] = {
		0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x044,
		0x060, 0x070, 0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0fc,
	};

	set_up();
	memcpy(bench.echo->config, "\1\2\3\4\5\6", CONFIG_BYTES);
	for (uint32_t offset = 0; offset < VIRTIO_MMIO_SIZE; offset++) {
		bool is_register = false;

		for (size_t i = 0; i < sizeof(readable) / 2; i++)
			is_register |= readable[i] == offset;
		for (uint32_t length = 1; length <= 8; length++) {
			uint8_t data[8] = { 0 };
			const uint8_t zeros[8] = { 0 };

			if (offset + length > VIRTIO_MMIO_SIZE)
				continue;
			virtio_mmio_bus_ops.read(bench.mmio, offset, data,
						 length);
			for (uint32_t i = 0; i < length && offset >= 0x100; i++)
				CHECK(data[i] ==
				      (offset + i < 0x106
					       ? offset + i - 0x100 + 1
					       : 0));
			if (offset < 0x100 && (length != 4 || !is_register))
				CHECK(!memcmp(data, zeros, 8));
		}
	}
	/* The same with writes: nothing but whole registers has effect. */
	for (uint32_t offset = 0; offset < VIRTIO_MMIO_SIZE; offset++) {
		for (uint32_t length = 1; length <= 8; length++) {
			const uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff,
						  0xff, 0xff, 0xff, 0xff };

			if (offset + length <= VIRTIO_MMIO_SIZE)
				virtio_mmio_bus_ops.write(bench.mmio, offset,
							  ones, length);
		}
	}
	CHECK(get(VIRTIO_MMIO_STATUS) == 0);
	CHECK(!memcmp(bench.echo->config, "\xff\xff\xff\xff\xff\xff", 6));
	bring_up();
	tear_down();
}

static void queues_that_are_not_there_do_nothing(void)
{
	static const uint32_t selections[] = { QUEUES, 8, 0xffff, 0x80000000,
					       UINT32_MAX };

	set_up();
	set(VIRTIO_MMIO_QUEUE_SEL, 1);
	CHECK(get(VIRTIO_MMIO_QUEUE_NUM_MAX) == SIZE);
	for (size_t i = 0; i < sizeof(selections) / 4; i++) {
		set(VIRTIO_MMIO_QUEUE_SEL, selections[i]);
		CHECK(get(VIRTIO_MMIO_QUEUE_NUM_MAX) == 0);
		for (uint64_t offset = VIRTIO_MMIO_QUEUE_NUM; offset < 0xac;
		     offset += 4)
			if (offset != VIRTIO_MMIO_STATUS)
				set(offset, 1);
		CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 0);
	}
	bring_up();
	for (size_t i = 0; i < sizeof(selections) / 4; i++)
		set(VIRTIO_MMIO_QUEUE_NOTIFY, selections[i]);
	tear_down();
}

static void bad_queues_keep_the_device_from_starting(void)
{
	static const struct virtqueue_layout layouts[] = {
		{ 0, RING, RING + 0x2000, RING + 0x3000 },
		{ 3, RING, RING + 0x2000, RING + 0x3000 },
		{ SIZE * 2, RING, RING + 0x2000, RING + 0x3000 },
		{ 0x10000 + SIZE, RING, RING + 0x2000, RING + 0x3000 },
		{ SIZE, RING + 1, RING + 0x2000, RING + 0x3000 },
		{ SIZE, FAKE_RANGE, RING + 0x2000, RING + 0x3000 },
		{ SIZE, RING, UINT64_MAX - 1, RING + 0x3000 },
		{ SIZE, RING, RING + 0x2000, (uint64_t)RING << 32 },
		{ 0, 0, 0, 0 },
	};

	set_up();
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		bench.queues[1].layout = layouts[i];
		CHECK(fake_bring_up(bench.mmio, FAKE_FEATURES, bench.queues,
				    QUEUES) == 0x4b);
		CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) ==
		      VIRTIO_MMIO_INT_CONFIG);
		CHECK(fake_interrupt(bench.mmio, bench.irq_fd));
		CHECK(!bench.echo->device.active);
		set(VIRTIO_MMIO_STATUS, 0xf);
		CHECK(get(VIRTIO_MMIO_STATUS) == 0x4b);
	}
	CHECK(bench.echo->activations == 0);
	/* A queue that is not ready is none. */
	fake_negotiate(bench.mmio, FAKE_FEATURES);
	fake_set_queue(bench.mmio, 1, &layouts[0]);
	set(VIRTIO_MMIO_QUEUE_READY, 2);
	CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 1);
	set(VIRTIO_MMIO_QUEUE_READY, 0);
	set(VIRTIO_MMIO_STATUS, 0xf);
	CHECK(get(VIRTIO_MMIO_STATUS) == 0xf);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	fake_loop_turn(loop);
	bring_up();
	tear_down();
}

/* CVE-2026-5747 and its kin: the ring a device uses may not be moved. */
static void a_queue_in_use_cannot_be_changed(void)
{
	struct vring_used_elem element;

	set_up();
	bring_up();
	for (uint32_t i = 0; i < QUEUES; i++) {
		const struct virtqueue_layout wild = { 0x8000, UINT64_MAX - 15,
						       UINT64_MAX - 15,
						       UINT64_MAX - 15 };
		struct virtqueue before = bench.echo->device.queues[i];

		fake_set_queue(bench.mmio, i, &wild);
		set(VIRTIO_MMIO_QUEUE_READY, 0);
		CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 1);
		fake_set_queue(bench.mmio, i, &wild);
		CHECK(!memcmp(&before, &bench.echo->device.queues[i],
			      sizeof(before)));
	}
	fake_buffer(&bench.queues[0], 3, DATA, 8, VRING_DESC_F_WRITE);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK(fake_await(bench.mmio, bench.irq_fd, &bench.queues[0], &element));
	CHECK(element.id == 3);
	tear_down();
}

static void a_broken_ring_needs_a_reset(void)
{
	uint32_t notified;

	set_up();
	bring_up();
	fake_loop_turn(loop);
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
	__atomic_store_n(&bench.queues[0].available->idx, SIZE + 1,
			 __ATOMIC_SEQ_CST);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK(fake_interrupt(bench.mmio, bench.irq_fd));
	CHECK(get(VIRTIO_MMIO_STATUS) == 0x4f);
	notified = counted(&bench.echo->notifications[1]);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	fake_loop_turn(loop);
	CHECK(counted(&bench.echo->notifications[1]) == notified);
	bring_up();
	CHECK(get(VIRTIO_MMIO_STATUS) == 0xf);
	tear_down();
}

static void kicks_before_activation_are_swallowed(void)
{
	struct vring_used_elem element;

	set_up();
	fake_buffer(&bench.queues[0], 0, DATA, 8, VRING_DESC_F_WRITE);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	virtio_device_kick(&bench.echo->device, 1);
	fake_loop_turn(loop);
	for (uint32_t i = 0; i < QUEUES; i++) {
		struct pollfd poll_fd = {
			.fd = virtio_mmio_notify_fd(bench.mmio, i),
			.events = POLLIN,
		};

		CHECK(poll(&poll_fd, 1, 0) == 0); /* or the loop would spin */
		CHECK(counted(&bench.echo->notifications[i]) == 0);
	}
	/* The buffers that were there are found all the same. */
	CHECK(fake_bring_up(bench.mmio, FAKE_FEATURES, bench.queues, QUEUES) ==
	      0xf);
	CHECK(fake_await(bench.mmio, bench.irq_fd, &bench.queues[0], &element));
	CHECK(element.id == 0);
	tear_down();
}

static void interrupts_stay_until_acknowledged(void)
{
	struct vring_used_elem element;

	set_up();
	bring_up();
	fake_buffer(&bench.queues[0], 0, DATA, 8, VRING_DESC_F_WRITE);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	while (!fake_collect(&bench.queues[0], &element))
		fake_loop_turn(loop);
	fake_loop_turn(loop);
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == VIRTIO_MMIO_INT_VRING);
	set(VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	CHECK(get(VIRTIO_MMIO_INTERRUPT_STATUS) == 0);
	tear_down();
}

/*
 * A driver that notifies only when asked to, and sleeps until interrupted:
 * one lost wake-up and it waits for ever.
 */
static void trust_the_device(uint64_t features, bool event_index)
{
	enum { BUFFERS = 50000 };
	struct fake_queue *queue = &bench.queues[0];
	struct vring_used_elem element;
	uint32_t returned = 0;

	set(VIRTIO_MMIO_STATUS, 0);
	bench.queues[0] = fake_queue(&memory, RING, SIZE);
	CHECK(fake_bring_up(bench.mmio, features, bench.queues, 1) == 0xf);
	srand(3);
	while (returned < BUFFERS) {
		uint16_t before = queue->offered;
		uint32_t batch = 1 + (uint32_t)rand() % SIZE;

		for (uint32_t i = 0; i < batch; i++)
			fake_buffer(queue, queue->offered % SIZE, DATA, 8,
				    VRING_DESC_F_WRITE);
		if (fake_must_notify(queue, event_index, before))
			set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		for (uint32_t i = 0; i < batch; i++) {
			if (!fake_await(bench.mmio, bench.irq_fd, queue,
					&element)) {
				CHECK(false);
				return;
			}
			returned++;
		}
	}
}

static void no_wake_up_is_lost(void)
{
	set_up();
	trust_the_device(FAKE_FEATURES, true);
	trust_the_device(UINT64_C(1) << VIRTIO_F_VERSION_1, false);
	tear_down();
}

struct storm {
	struct virtio_mmio *mmio;
	bool stop; /* atomic */
};

static void *storm_thread(void *argument)
{
	struct storm *storm = argument;

	while (!__atomic_load_n(&storm->stop, __ATOMIC_SEQ_CST))
		fake_write32(storm->mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	return NULL;
}

/* One device is kicked without end and has work without end. */
static void a_storm_does_not_starve_the_neighbour(void)
{
	struct bench neighbour;
	struct vring_used_elem element;
	struct storm storm;
	pthread_t thread;

	set_up();
	bench.echo->restless = true;
	bring_up();
	CHECK(bench_create(&neighbour, FAKE_HIGH) == 0);
	CHECK(fake_bring_up(neighbour.mmio, FAKE_FEATURES, neighbour.queues,
			    QUEUES) == 0xf);
	storm = (struct storm) { .mmio = bench.mmio };
	pthread_create(&thread, NULL, storm_thread, &storm);
	for (uint16_t i = 0; i < 1000; i++) {
		fake_buffer(&neighbour.queues[0], i % SIZE, DATA, 8,
			    VRING_DESC_F_WRITE);
		fake_write32(neighbour.mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		CHECK(fake_await(neighbour.mmio, neighbour.irq_fd,
				 &neighbour.queues[0], &element));
	}
	__atomic_store_n(&storm.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	CHECK(counted(&bench.echo->notifications[0]) > 1000);
	bench_destroy(&neighbour);
	tear_down();
}

/* Also: what the loop does after a reset never touches a stopped queue. */
static void resets_under_load_leave_nothing_running(void)
{
	struct storm storm;
	pthread_t thread;

	set_up();
	storm = (struct storm) { .mmio = bench.mmio };
	pthread_create(&thread, NULL, storm_thread, &storm);
	for (uint32_t i = 0; i < 10000; i++) {
		struct fake_queue *queue = &bench.queues[0];

		if (i % 64 == 0)
			*queue = fake_queue(&memory, RING, SIZE);
		queue->offered = 0;
		queue->collected = 0;
		__atomic_store_n(&queue->available->idx, 0, __ATOMIC_SEQ_CST);
		CHECK(fake_bring_up(bench.mmio, FAKE_FEATURES, bench.queues,
				    QUEUES) == 0xf);
		for (uint16_t head = 0; head < SIZE; head++)
			fake_buffer(queue, head, DATA, 8, VRING_DESC_F_WRITE);
		if (i % 16 == 0)
			sched_yield();
		set(VIRTIO_MMIO_STATUS, 0);
		CHECK(get(VIRTIO_MMIO_STATUS) == 0);
		CHECK(get(VIRTIO_MMIO_QUEUE_READY) == 0);
	}
	__atomic_store_n(&storm.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	tear_down();
}

/* A device whose transport cannot be made is freed all the same. */
static void a_failed_creation_frees_the_device(void)
{
	struct rlimit limit;
	struct rlimit tight;
	struct bench failing;
	int fds[64];
	int count_fds = 0;

	set_up();
	getrlimit(RLIMIT_NOFILE, &limit);
	tight = limit;
	tight.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &tight);
	while (count_fds < 64) {
		int fd = dup(bench.irq_fd);

		if (fd < 0)
			break;
		fds[count_fds++] = fd;
	}
	/* Room for the interrupt and the first queue's descriptor only. */
	close(fds[--count_fds]);
	close(fds[--count_fds]);
	CHECK(bench_create(&failing, FAKE_HIGH) == -EMFILE);
	CHECK(failing.destroyed);
	close(failing.irq_fd);
	while (count_fds > 0)
		close(fds[--count_fds]);
	setrlimit(RLIMIT_NOFILE, &limit);
	virtio_mmio_destroy(NULL);
	tear_down();
}

int main(void)
{
	TEST(it_is_a_virtio_device);
	TEST(buffers_go_round);
	TEST(features_are_negotiated);
	TEST(status_moves_only_forward);
	TEST(every_access_has_a_defined_answer);
	TEST(queues_that_are_not_there_do_nothing);
	TEST(bad_queues_keep_the_device_from_starting);
	TEST(a_queue_in_use_cannot_be_changed);
	TEST(a_broken_ring_needs_a_reset);
	TEST(kicks_before_activation_are_swallowed);
	TEST(interrupts_stay_until_acknowledged);
	TEST(no_wake_up_is_lost);
	TEST(a_storm_does_not_starve_the_neighbour);
	TEST(resets_under_load_leave_nothing_running);
	TEST(a_failed_creation_frees_the_device);
	return tap_done();
}
