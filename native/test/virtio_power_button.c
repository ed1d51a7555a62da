/* SPDX-License-Identifier: MIT */
#include "virtio/power_button.h"

#include <linux/input-event-codes.h>
#include <linux/virtio_input.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_driver.h"
#include "tap.h"

enum {
	EVENTS,
	STATUS,
	QUEUES,
	SIZE = 16,
	RING = 0x10000,
	DATA = 0x40000,
	EVENT_BYTES = sizeof(struct virtio_input_event),
};

static struct memory memory;
static struct loop *loop;
static struct virtio_device *button;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];
static int irq_fd;

static void create(void)
{
	fake_memory_create(&memory);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_power_button_create(&button) == 0);
	CHECK(virtio_mmio_create(&mmio, button, &memory, loop, irq_fd) == 0);
}

static void bring_up(void)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * 0x8000, SIZE);
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) == 0xf);
}

static void set_up(void)
{
	create();
	bring_up();
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
}

static uint64_t place(uint16_t index)
{
	return DATA + (uint64_t)index * 64;
}

/* Buffers for events, each cut into parts of so many bytes. */
static void offer(uint16_t first, uint16_t count, uint32_t bytes)
{
	for (uint16_t i = first; i < first + count; i++)
		fake_buffer(&queues[EVENTS], i, place(i), bytes,
			    VRING_DESC_F_WRITE);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, EVENTS);
}

/* Whether the next buffer is this one with this event in it. */
static bool comes(uint16_t index, uint16_t type, uint16_t code, uint32_t value)
{
	const struct virtio_input_event expected = { type, code, value };
	struct vring_used_elem element;

	return fake_await(mmio, irq_fd, &queues[EVENTS], &element) &&
	       element.id == index && element.len == EVENT_BYTES &&
	       memcmp(memory_at(&memory, place(index), EVENT_BYTES), &expected,
		      EVENT_BYTES) == 0;
}

static bool a_press_comes(uint16_t first)
{
	return comes(first, EV_KEY, KEY_POWER, 1) &&
	       comes((uint16_t)(first + 1), EV_SYN, SYN_REPORT, 0) &&
	       comes((uint16_t)(first + 2), EV_KEY, KEY_POWER, 0) &&
	       comes((uint16_t)(first + 3), EV_SYN, SYN_REPORT, 0);
}

/* The configuration for a selection; its size. */
static uint8_t ask(uint8_t select, uint8_t subselect, uint8_t *value)
{
	uint8_t size = 0;

	virtio_mmio_bus_ops.write(mmio, VIRTIO_MMIO_CONFIG, &select, 1);
	virtio_mmio_bus_ops.write(mmio, VIRTIO_MMIO_CONFIG + 1, &subselect, 1);
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + 2, &size, 1);
	for (uint32_t i = 0; i < 128; i++)
		virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + 8 + i,
					 value + i, 1);
	return size;
}

static void it_is_a_keyboard_with_one_key(void)
{
	uint8_t value[128];

	set_up();
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 18);
	CHECK(virtio_mmio_queue_count(mmio) == QUEUES);
	CHECK(ask(VIRTIO_INPUT_CFG_ID_NAME, 0, value) == 18);
	CHECK(memcmp(value, "capsa power button", 19) == 0);
	CHECK(ask(VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, value) == 15);
	for (uint32_t key = 0; key < 1024; key++)
		CHECK((value[key / 8] >> key % 8 & 1) == (key == KEY_POWER));
	tear_down();
}

static void it_says_no_to_all_else(void)
{
	uint8_t value[128];

	set_up();
	for (uint32_t select = 0; select < 256; select++) {
		for (uint32_t sub = 0; sub < 256; sub++) {
			bool known = (select == VIRTIO_INPUT_CFG_ID_NAME &&
				      sub == 0) ||
				     (select == VIRTIO_INPUT_CFG_EV_BITS &&
				      sub == EV_KEY);

			if (known)
				continue;
			CHECK(ask((uint8_t)select, (uint8_t)sub, value) == 0);
			CHECK(value[0] == 0 && value[14] == 0);
		}
	}
	tear_down();
}

/* Any part of it at a time, and over its end. */
static void its_configuration_has_an_end(void)
{
	uint8_t whole[136];
	uint8_t value[128];

	set_up();
	ask(VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, value);
	for (uint32_t i = 0; i < sizeof(whole); i++) {
		whole[i] = 0;
		virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + i,
					 whole + i, 1);
	}
	for (uint32_t offset = 0; offset < sizeof(whole) + 16; offset++) {
		uint8_t data[8] = { 0 };
		const uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff };

		virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + offset,
					 data, sizeof(data));
		for (uint32_t i = 0; i < sizeof(data); i++)
			CHECK(data[i] == (offset + i < sizeof(whole)
						  ? whole[offset + i]
						  : 0));
		/* Only what selects can be written. */
		if (offset >= 2)
			virtio_mmio_bus_ops.write(mmio,
						  VIRTIO_MMIO_CONFIG + offset,
						  ones, sizeof(ones));
	}
	tear_down();
}

static void a_press_is_told_once(void)
{
	struct vring_used_elem element;

	set_up();
	offer(0, 8, EVENT_BYTES);
	virtio_power_button_press(button);
	CHECK(a_press_comes(0));
	fake_loop_turn(loop);
	CHECK(!fake_collect(&queues[EVENTS], &element));
	virtio_power_button_press(button);
	CHECK(a_press_comes(4));
	tear_down();
}

static void a_press_waits_for_buffers(void)
{
	set_up();
	virtio_power_button_press(button);
	virtio_power_button_press(button);
	fake_loop_turn(loop);
	offer(0, 1, EVENT_BYTES);
	CHECK(comes(0, EV_KEY, KEY_POWER, 1));
	offer(1, 3, EVENT_BYTES);
	CHECK(comes(1, EV_SYN, SYN_REPORT, 0));
	CHECK(comes(2, EV_KEY, KEY_POWER, 0));
	CHECK(comes(3, EV_SYN, SYN_REPORT, 0));
	tear_down();
}

static void a_press_waits_for_a_driver(void)
{
	create();
	virtio_power_button_press(button);
	bring_up();
	offer(0, 4, EVENT_BYTES);
	CHECK(a_press_comes(0));
	/* One that a driver has begun to take is gone with that driver. */
	virtio_power_button_press(button);
	offer(4, 1, EVENT_BYTES);
	CHECK(comes(4, EV_KEY, KEY_POWER, 1));
	/* The device may still look at its rings. */
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	bring_up();
	virtio_power_button_press(button);
	offer(0, 4, EVENT_BYTES);
	CHECK(a_press_comes(0));
	tear_down();
}

static void events_may_be_split(void)
{
	struct fake_queue *queue = &queues[EVENTS];
	struct vring_used_elem element;

	set_up();
	fake_descriptor(&queue->descriptors[0], place(0), 3,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queue->descriptors[1], place(0) + 3, 100,
			VRING_DESC_F_WRITE, 0);
	fake_offer(queue, 0);
	virtio_power_button_press(button);
	CHECK(comes(0, EV_KEY, KEY_POWER, 1));
	CHECK(!fake_collect(queue, &element));
	tear_down();
}

static void too_small_a_buffer_stops_it(void)
{
	set_up();
	offer(0, 1, EVENT_BYTES - 1);
	virtio_power_button_press(button);
	CHECK(fake_interrupt(mmio, irq_fd));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	      VIRTIO_CONFIG_S_NEEDS_RESET);
	/* A reset makes it whole. */
	bring_up();
	virtio_power_button_press(button);
	offer(0, 4, EVENT_BYTES);
	CHECK(a_press_comes(0));
	tear_down();
}

static void a_readable_buffer_stops_it(void)
{
	set_up();
	fake_buffer(&queues[EVENTS], 0, place(0), EVENT_BYTES, 0);
	virtio_power_button_press(button);
	CHECK(fake_interrupt(mmio, irq_fd));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	      VIRTIO_CONFIG_S_NEEDS_RESET);
	tear_down();
}

static void a_loop_of_descriptors_stops_it(void)
{
	struct fake_queue *queue = &queues[EVENTS];

	set_up();
	fake_descriptor(&queue->descriptors[0], place(0), EVENT_BYTES,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	fake_offer(queue, 0);
	virtio_power_button_press(button);
	CHECK(fake_interrupt(mmio, irq_fd));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	      VIRTIO_CONFIG_S_NEEDS_RESET);
	tear_down();
}

/* A driver that sets lamps gets its buffers back, any number of them. */
static void lamps_are_taken_and_ignored(void)
{
	struct fake_queue *queue = &queues[STATUS];
	struct vring_used_elem element;

	set_up();
	for (uint16_t round = 0; round < 100; round++) {
		uint16_t index = round % SIZE;

		fake_buffer(queue, index, place(index), EVENT_BYTES, 0);
		fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, STATUS);
		CHECK(fake_await(mmio, irq_fd, queue, &element));
		CHECK(element.id == index && element.len == 0);
	}
	tear_down();
}

int main(void)
{
	TEST(it_is_a_keyboard_with_one_key);
	TEST(it_says_no_to_all_else);
	TEST(its_configuration_has_an_end);
	TEST(a_press_is_told_once);
	TEST(a_press_waits_for_buffers);
	TEST(a_press_waits_for_a_driver);
	TEST(events_may_be_split);
	TEST(too_small_a_buffer_stops_it);
	TEST(a_readable_buffer_stops_it);
	TEST(a_loop_of_descriptors_stops_it);
	TEST(lamps_are_taken_and_ignored);
	return tap_done();
}
