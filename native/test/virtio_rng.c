/* SPDX-License-Identifier: MIT */
#include "virtio/rng.h"

#include "fake_driver.h"
#include "stopped_loop.h"
#include "tap.h"

enum {
	SIZE = 64,
	RING = 0x10000, /* addresses in guest memory */
	TABLE = 0x20000,
	DATA = FAKE_HIGH,
	REQUEST_MAX = 64 * 1024, /* bytes */
	TURN_MAX = 256 * 1024,
};

static struct memory memory;
static struct loop *loop;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queue;
static int irq_fd;

static void bring_up(void)
{
	queue = fake_queue(&memory, RING, SIZE);
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, &queue, 1) == 0xf);
}

static void set_up(void)
{
	fake_memory_create(&memory);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_rng_create(&device) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
	bring_up();
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
}

static uint8_t *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

static void notify(void)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static bool await(struct vring_used_elem *element)
{
	return fake_await(mmio, irq_fd, &queue, element);
}

/* How many of the bytes are not zero. */
static uint32_t filled(uint64_t address, uint32_t length)
{
	const uint8_t *bytes = guest(address);
	uint32_t count = 0;

	for (uint32_t i = 0; i < length; i++)
		count += bytes[i] != 0;
	return count;
}

/* A chain of the first count descriptors, each of its own length. */
static void offer_chain(const uint32_t *lengths, uint16_t count)
{
	uint64_t address = DATA;

	for (uint16_t i = 0; i < count; i++) {
		bool last = i == count - 1;

		fake_descriptor(&queue.descriptors[i], address, lengths[i],
				last ? VRING_DESC_F_WRITE
				     : VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
				(uint16_t)(i + 1));
		address += 0x1000;
	}
	fake_offer(&queue, 0);
}

static void it_has_one_queue_and_no_configuration(void)
{
	uint8_t byte = 0x5a;

	set_up();
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 4);
	CHECK(virtio_mmio_queue_count(mmio) == 1);
	virtio_mmio_bus_ops.write(mmio, VIRTIO_MMIO_CONFIG, &byte, 1);
	byte = 0;
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG, &byte, 1);
	CHECK(byte == 0);
	tear_down();
}

static void every_buffer_of_a_request_is_filled(void)
{
	static const uint32_t lengths[] = { 1000, 1, 64, 4096 };
	struct vring_used_elem element;

	set_up();
	offer_chain(lengths, 4);
	notify();
	CHECK(await(&element) && element.id == 0);
	CHECK(element.len == 1000 + 1 + 64 + 4096);
	/* Of random bytes one in 256 is zero. */
	CHECK(filled(DATA, 1000) > 900);
	CHECK(filled(DATA + 0x2000, 64) > 40);
	CHECK(filled(DATA + 0x3000, 4096) > 3900);
	/* And nothing beyond them. */
	CHECK(filled(DATA + 1000, 0x1000 - 1000) == 0);
	CHECK(filled(DATA + 0x2000 + 64, 0x1000 - 64) == 0);
	CHECK(filled(DATA + 0x4000, 0x1000) == 0);
	tear_down();
}

static void two_requests_differ(void)
{
	struct vring_used_elem element;

	set_up();
	for (uint16_t i = 0; i < 2; i++)
		fake_buffer(&queue, i, DATA + i * 32u, 32, VRING_DESC_F_WRITE);
	notify();
	for (uint16_t i = 0; i < 2; i++)
		CHECK(await(&element) && element.id == i && element.len == 32);
	CHECK(memcmp(guest(DATA), guest(DATA + 32), 32) != 0);
	tear_down();
}

static void a_request_without_room_is_given_back(void)
{
	struct vring_used_elem element;

	set_up();
	memset(guest(DATA), 'r', 64);
	fake_buffer(&queue, 0, DATA, 64, 0); /* for reading only */
	fake_buffer(&queue, 1, DATA, 0, VRING_DESC_F_WRITE);
	fake_buffer(&queue, 2, DATA, 0, 0);
	/* What is read before what is written is left alone. */
	fake_descriptor(&queue.descriptors[3], DATA, 64, VRING_DESC_F_NEXT, 4);
	fake_descriptor(&queue.descriptors[4], DATA + 0x1000, 64,
			VRING_DESC_F_WRITE, 0);
	fake_offer(&queue, 3);
	notify();
	for (uint16_t i = 0; i < 3; i++)
		CHECK(await(&element) && element.id == i && element.len == 0);
	CHECK(await(&element) && element.id == 3 && element.len == 64);
	for (uint32_t i = 0; i < 64; i++)
		CHECK(guest(DATA)[i] == 'r');
	CHECK(filled(DATA + 0x1000, 64) > 40);
	tear_down();
}

static void overlapping_buffers_add_up_to_64_kib(void)
{
	struct vring_used_elem element;

	set_up();
	for (uint16_t i = 0; i < SIZE; i++)
		fake_descriptor(&queue.descriptors[i], DATA, 4096,
				i < SIZE - 1
					? VRING_DESC_F_WRITE | VRING_DESC_F_NEXT
					: VRING_DESC_F_WRITE,
				(uint16_t)(i + 1));
	fake_offer(&queue, 0);
	notify();
	CHECK(await(&element) && element.len == REQUEST_MAX);
	CHECK(filled(DATA, 4096) > 3900);
	/* One buffer that alone is too much, cut in the middle. */
	fake_buffer(&queue, 0, DATA, FAKE_RANGE, VRING_DESC_F_WRITE);
	notify();
	CHECK(await(&element) && element.len == REQUEST_MAX);
	CHECK(filled(DATA + REQUEST_MAX, FAKE_RANGE - REQUEST_MAX) == 0);
	tear_down();
}

/* More buffers than the queue has entries, which is against the rules. */
static void a_chain_of_255_buffers_breaks_the_device(void)
{
	enum { COUNT = 255 };
	struct vring_desc *table;

	set_up();
	table = (void *)guest(TABLE);
	for (uint16_t i = 0; i < COUNT; i++)
		fake_descriptor(&table[i], DATA, FAKE_RANGE,
				i < COUNT - 1
					? VRING_DESC_F_WRITE | VRING_DESC_F_NEXT
					: VRING_DESC_F_WRITE,
				(uint16_t)(i + 1));
	fake_buffer(&queue, 0, TABLE, COUNT * sizeof(*table),
		    VRING_DESC_F_INDIRECT);
	notify();
	fake_loop_turn(loop);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
	CHECK(filled(DATA, FAKE_RANGE) == 0);
	tear_down();
}

static void a_turn_is_bounded_and_the_rest_served_later(void)
{
	struct stopped_loop stop;
	struct vring_used_elem element;
	uint32_t turns = 0;
	uint32_t served = 0;

	set_up();
	stopped_loop_begin(&stop, loop);
	stopped_loop_turn(mmio, device, 0); /* the one of becoming active */
	for (uint16_t i = 0; i < SIZE; i++)
		fake_buffer(&queue, i, DATA, FAKE_RANGE, VRING_DESC_F_WRITE);
	notify();
	while (stopped_loop_turn(mmio, device, 0)) {
		uint32_t bytes = 0;

		while (fake_collect(&queue, &element)) {
			CHECK(element.len == REQUEST_MAX);
			bytes += element.len;
			served++;
		}
		CHECK(bytes == TURN_MAX);
		turns++;
	}
	CHECK(turns == SIZE * (uint64_t)REQUEST_MAX / TURN_MAX);
	CHECK(served == SIZE);
	stopped_loop_end(&stop);
	tear_down();
}

/* Empty requests cost no bytes, so their number is bounded too. */
static void a_turn_takes_no_more_than_a_ring(void)
{
	struct stopped_loop stop;
	uint16_t before;

	set_up();
	stopped_loop_begin(&stop, loop);
	stopped_loop_turn(mmio, device, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		fake_buffer(&queue, i, DATA, 64, 0);
	notify();
	CHECK(stopped_loop_turn(mmio, device, 0));
	CHECK(queue.used->idx == SIZE);
	CHECK(!stopped_loop_turn(mmio, device, 0));
	/* It wants to be told of the next one. */
	before = queue.offered;
	fake_buffer(&queue, 0, DATA, 64, 0);
	CHECK(fake_must_notify(&queue, true, before));
	stopped_loop_end(&stop);
	tear_down();
}

static void loop_back(void)
{
	fake_descriptor(&queue.descriptors[0], DATA, 64,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queue.descriptors[1], DATA, 64,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	fake_offer(&queue, 0);
}

static void leave_memory(void)
{
	fake_buffer(&queue, 0, FAKE_RANGE - 1, 2, VRING_DESC_F_WRITE);
}

static void offer_no_descriptor(void)
{
	fake_offer(&queue, SIZE);
}

static void jump_ahead(void)
{
	queue.offered = (uint16_t)(queue.offered + SIZE);
	fake_offer(&queue, 0);
}

static void broken_rings_break_only_the_device(void)
{
	static void (*const breaks[])(void) = {
		loop_back,
		leave_memory,
		offer_no_descriptor,
		jump_ahead,
	};
	struct vring_used_elem element;

	set_up();
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		breaks[i]();
		notify();
		fake_loop_turn(loop);
		CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
		CHECK(!fake_collect(&queue, &element));
		CHECK(filled(DATA, 64) == 0);
		bring_up();
	}
	fake_buffer(&queue, 0, DATA, 64, VRING_DESC_F_WRITE);
	notify();
	CHECK(await(&element) && element.len == 64);
	tear_down();
}

/* What came before the broken request is given back all the same. */
static void good_requests_before_a_broken_one_are_served(void)
{
	struct vring_used_elem element;

	set_up();
	fake_buffer(&queue, 0, DATA, 64, VRING_DESC_F_WRITE);
	fake_buffer(&queue, 1, UINT64_MAX, 64, VRING_DESC_F_WRITE);
	notify();
	CHECK(await(&element) && element.id == 0 && element.len == 64);
	fake_loop_turn(loop);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
	tear_down();
}

int main(void)
{
	TEST(it_has_one_queue_and_no_configuration);
	TEST(every_buffer_of_a_request_is_filled);
	TEST(two_requests_differ);
	TEST(a_request_without_room_is_given_back);
	TEST(overlapping_buffers_add_up_to_64_kib);
	TEST(a_chain_of_255_buffers_breaks_the_device);
	TEST(a_turn_is_bounded_and_the_rest_served_later);
	TEST(a_turn_takes_no_more_than_a_ring);
	TEST(broken_rings_break_only_the_device);
	TEST(good_requests_before_a_broken_one_are_served);
	return tap_done();
}
