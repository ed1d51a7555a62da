/* SPDX-License-Identifier: MIT */
#include "virtio/console.h"

#include <linux/virtio_console.h>
#include <pthread.h>
#include <sched.h>

#include "fake_console.h"
#include "fake_driver.h"
#include "stopped_loop.h"
#include "tap.h"

enum {
	RECEIVE,
	TRANSMIT,
	CONTROL_RECEIVE,
	CONTROL_TRANSMIT,
	QUEUES,
	SIZE = 16,
	RING = 0x10000, /* addresses in guest memory */
	CONTROL = 0x30000,
	DATA = FAKE_HIGH,
};

static const uint64_t MULTIPORT = UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT;

static struct memory memory;
static struct loop *loop;
static struct fake_console host;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];
static int irq_fd;

static void lay_rings(void)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       SIZE);
}

static void set_up(uint64_t features)
{
	struct console_port port = fake_console_port(&host);

	fake_memory_create(&memory);
	fake_console_create(&host);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_console_create(&device, &port, true) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
	lay_rings();
	CHECK(fake_bring_up(mmio, features, queues, QUEUES) == 0xf);
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	loop_destroy(loop);
	close(irq_fd);
	fake_console_destroy(&host);
	fake_memory_destroy(&memory);
}

static uint8_t *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

static void notify(uint32_t queue)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static bool await(uint32_t queue, struct vring_used_elem *element)
{
	return fake_await(mmio, irq_fd, &queues[queue], element);
}

static void it_offers_one_port(void)
{
	struct virtio_console_config config = { 0 };

	set_up(FAKE_FEATURES);
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG, (uint8_t *)&config,
				 8);
	CHECK(config.max_nr_ports == 1);
	CHECK(config.cols == 0 && config.rows == 0);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 3);
	CHECK(virtio_mmio_queue_count(mmio) == QUEUES);
	tear_down();
}

/* Chunks of all lengths, in chains of one to four buffers. */
static void output_is_exact(void)
{
	enum { TOTAL = 200000 };
	struct vring_used_elem element;
	uint32_t sent = 0;
	uint32_t round = 0;
	size_t wrong = 0;

	set_up(FAKE_FEATURES);
	while (sent < TOTAL) {
		uint32_t length = 1 + round * round % 977;
		uint32_t parts = 1 + round % 4;
		uint16_t head = (uint16_t)(round % 4 * 4);
		uint32_t done = 0;

		for (uint32_t i = 0; i < length; i++)
			guest(DATA)[i] = (uint8_t)((sent + i) * 31 >> 3);
		for (uint32_t part = 0; part < parts; part++) {
			bool last = part == parts - 1;
			uint32_t bytes = last ? length - done : length / parts;

			fake_descriptor(
				&queues[TRANSMIT].descriptors[head + part],
				DATA + done, bytes,
				last ? 0 : VRING_DESC_F_NEXT,
				(uint16_t)(head + part + 1));
			done += bytes;
		}
		fake_offer(&queues[TRANSMIT], head);
		notify(TRANSMIT);
		CHECK(await(TRANSMIT, &element));
		CHECK(element.id == head && element.len == 0);
		sent += length;
		round++;
	}
	CHECK(host.output_length == sent);
	for (uint32_t i = 0; i < sent; i++)
		wrong += host.output[i] != (uint8_t)(i * 31 >> 3);
	CHECK(wrong == 0);
	tear_down();
}

/* More than one turn of the loop serves, in buffers that overlap. */
static void long_output_is_exact(void)
{
	enum { PARTS = 13, PART = 100003 };
	struct vring_used_elem element;
	size_t wrong = 0;

	set_up(FAKE_FEATURES);
	for (uint32_t i = 0; i < FAKE_RANGE; i++)
		guest(DATA)[i] = (uint8_t)(i * 7 >> 4);
	for (uint16_t i = 0; i < PARTS; i++)
		fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA + i,
				PART, i < PARTS - 1 ? VRING_DESC_F_NEXT : 0,
				(uint16_t)(i + 1));
	fake_offer(&queues[TRANSMIT], 0);
	fake_buffer(&queues[TRANSMIT], PARTS, DATA, 1, 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element) && element.id == 0);
	CHECK(await(TRANSMIT, &element) && element.id == PARTS);
	CHECK(host.output_length == PARTS * PART + 1);
	for (uint32_t i = 0; i < PARTS * PART; i++)
		wrong += host.output[i] !=
			 (uint8_t)((i / PART + i % PART) * 7 >> 4);
	CHECK(wrong == 0);
	tear_down();
}

static void a_turn_of_output_is_bounded(void)
{
	struct stopped_loop stop;

	set_up(FAKE_FEATURES);
	for (uint16_t i = 0; i < SIZE; i++)
		fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA,
				FAKE_RANGE,
				i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
				(uint16_t)(i + 1));
	stopped_loop_begin(&stop, loop);
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	for (size_t turn = 1; turn <= 64; turn++) {
		CHECK(stopped_loop_turn(mmio, device, TRANSMIT));
		CHECK(host.output_length == turn * 256 * 1024);
		CHECK(queues[TRANSMIT].used->idx == (turn == 64));
	}
	stopped_loop_end(&stop);
	tear_down();
}

static void output_with_nothing_in_it_is_given_back(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES);
	fake_buffer(&queues[TRANSMIT], 0, DATA, 64, VRING_DESC_F_WRITE);
	fake_buffer(&queues[TRANSMIT], 1, DATA, 0, 0);
	fake_buffer(&queues[TRANSMIT], 2, DATA, 1, 0);
	notify(TRANSMIT);
	for (uint16_t i = 0; i < 3; i++)
		CHECK(await(TRANSMIT, &element) && element.id == i &&
		      element.len == 0);
	CHECK(host.output_length == 1);
	tear_down();
}

/* The guest polls the used ring with interrupts and notifications in use. */
static void ten_thousand_bursts_of_input_arrive(void)
{
	enum { BURSTS = 10000, BUFFER = 32 };
	struct vring_used_elem element;
	uint32_t sent = 0;
	uint32_t received = 0;
	uint32_t wrong = 0;

	set_up(FAKE_FEATURES);
	for (uint16_t i = 0; i < SIZE; i++)
		fake_buffer(&queues[RECEIVE], i, DATA + (uint64_t)i * BUFFER,
			    BUFFER, VRING_DESC_F_WRITE);
	notify(RECEIVE);
	for (uint32_t burst = 0; burst < BURSTS; burst++) {
		uint8_t data[100];
		uint32_t length = 1 + burst * 13 % sizeof(data);

		for (uint32_t i = 0; i < length; i++)
			data[i] = (uint8_t)((sent + i) * 5 >> 2);
		fake_console_type(&host, data, length);
		virtio_console_input(device);
		sent += length;
		while (received < sent) {
			uint64_t buffer;

			if (!await(RECEIVE, &element))
				break;
			buffer = DATA + element.id * BUFFER;
			CHECK(element.len > 0 && element.len <= BUFFER);
			for (uint32_t i = 0; i < element.len; i++)
				wrong += guest(buffer)[i] !=
					 (uint8_t)((received + i) * 5 >> 2);
			received += element.len;
			fake_buffer(&queues[RECEIVE], (uint16_t)element.id,
				    buffer, BUFFER, VRING_DESC_F_WRITE);
			notify(RECEIVE);
		}
		CHECK(received == sent);
	}
	CHECK(wrong == 0);
	CHECK(fake_console_taken(&host) == host.input_length);
	tear_down();
}

static void input_waits_for_buffers(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES);
	fake_console_type(&host, "hello world", 11);
	virtio_console_input(device);
	fake_loop_turn(loop);
	CHECK(fake_console_taken(&host) == 0);
	/* A buffer that takes nothing, one of two parts, one too large. */
	fake_buffer(&queues[RECEIVE], 0, DATA, 5, 0);
	fake_descriptor(&queues[RECEIVE].descriptors[1], DATA, 2,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	fake_descriptor(&queues[RECEIVE].descriptors[2], DATA + 0x10, 3,
			VRING_DESC_F_WRITE, 0);
	fake_offer(&queues[RECEIVE], 1);
	fake_buffer(&queues[RECEIVE], 3, DATA + 0x20, 100, VRING_DESC_F_WRITE);
	notify(RECEIVE);
	CHECK(await(RECEIVE, &element) && element.id == 0 && element.len == 0);
	CHECK(await(RECEIVE, &element) && element.id == 1 && element.len == 5);
	CHECK(!memcmp(guest(DATA), "he\0", 3));
	CHECK(!memcmp(guest(DATA + 0x10), "llo\0", 4));
	CHECK(await(RECEIVE, &element) && element.id == 3 && element.len == 6);
	CHECK(!memcmp(guest(DATA + 0x20), " world\0", 7));
	tear_down();
}

static void typed_before_the_driver_is_delivered(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	fake_console_type(&host, "early", 5);
	virtio_console_input(device);
	fake_loop_turn(loop);
	CHECK(fake_console_taken(&host) == 0);
	lay_rings();
	fake_buffer(&queues[RECEIVE], 0, DATA, 64, VRING_DESC_F_WRITE);
	fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES);
	CHECK(await(RECEIVE, &element) && element.len == 5);
	tear_down();
}

/* Gives the device a page for each control message to come. */
static void offer_control_buffers(uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		fake_buffer(&queues[CONTROL_RECEIVE], i, CONTROL + i * 64u, 64,
			    VRING_DESC_F_WRITE);
	notify(CONTROL_RECEIVE);
}

/* In descriptor 0, sent and taken back. */
static void send_control(uint32_t id, unsigned int event, unsigned int value)
{
	const struct virtio_console_control control = {
		.id = id,
		.event = (uint16_t)event,
		.value = (uint16_t)value,
	};
	struct vring_used_elem element;

	memcpy(guest(CONTROL + 0x1000), &control, sizeof(control));
	fake_buffer(&queues[CONTROL_TRANSMIT], 0, CONTROL + 0x1000,
		    sizeof(control), 0);
	notify(CONTROL_TRANSMIT);
	CHECK(await(CONTROL_TRANSMIT, &element) && element.len == 0);
}

/* Whether the next control message is that; text behind it. */
static bool next_control(unsigned int event, const char *text)
{
	struct virtio_console_control control;
	struct vring_used_elem element;
	size_t length = strlen(text);

	if (!await(CONTROL_RECEIVE, &element))
		return false;
	memcpy(&control, guest(CONTROL + element.id * 64), sizeof(control));
	return element.len == sizeof(control) + length && control.id == 0 &&
	       control.event == event && control.value == 1 &&
	       !memcmp(guest(CONTROL + element.id * 64 + sizeof(control)), text,
		       length);
}

static void the_ports_are_told(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES | MULTIPORT);
	offer_control_buffers(SIZE);
	send_control(VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	CHECK(next_control(VIRTIO_CONSOLE_PORT_ADD, ""));
	send_control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK(next_control(VIRTIO_CONSOLE_CONSOLE_PORT, ""));
	CHECK(next_control(VIRTIO_CONSOLE_PORT_NAME, "capsa.console"));
	CHECK(next_control(VIRTIO_CONSOLE_PORT_OPEN, ""));
	CHECK(!fake_collect(&queues[CONTROL_RECEIVE], &element));
	tear_down();
}

static void messages_wait_for_buffers(void)
{
	set_up(FAKE_FEATURES | MULTIPORT);
	send_control(VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	offer_control_buffers(1);
	CHECK(next_control(VIRTIO_CONSOLE_PORT_ADD, ""));
	send_control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	offer_control_buffers(1);
	CHECK(next_control(VIRTIO_CONSOLE_CONSOLE_PORT, ""));
	offer_control_buffers(2);
	CHECK(next_control(VIRTIO_CONSOLE_PORT_NAME, "capsa.console"));
	CHECK(next_control(VIRTIO_CONSOLE_PORT_OPEN, ""));
	tear_down();
}

/* Linux drops what comes in before it has opened the port. */
static void input_waits_for_an_open_port(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES | MULTIPORT);
	fake_buffer(&queues[RECEIVE], 0, DATA, 64, VRING_DESC_F_WRITE);
	notify(RECEIVE);
	fake_console_type(&host, "abc", 3);
	virtio_console_input(device);
	fake_loop_turn(loop);
	CHECK(fake_console_taken(&host) == 0);
	send_control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK(await(RECEIVE, &element) && element.len == 3);
	send_control(0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	fake_buffer(&queues[RECEIVE], 0, DATA, 64, VRING_DESC_F_WRITE);
	notify(RECEIVE);
	fake_console_type(&host, "def", 3);
	virtio_console_input(device);
	fake_loop_turn(loop);
	CHECK(fake_console_taken(&host) == 0);
	send_control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK(await(RECEIVE, &element) && element.len == 3);
	/* Output needs no opening. */
	fake_buffer(&queues[TRANSMIT], 0, DATA, 3, 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element));
	CHECK(host.output_length == 3 && !memcmp(host.output, "def", 3));
	tear_down();
}

static void senseless_messages_are_ignored(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES | MULTIPORT);
	offer_control_buffers(SIZE);
	for (uint32_t event = 0; event < 0x10000; event += event < 16 ? 1 : 997)
		for (uint32_t id = 1; id; id <<= 4)
			if (event != VIRTIO_CONSOLE_DEVICE_READY)
				send_control(id, event, 1);
	send_control(0, VIRTIO_CONSOLE_PORT_READY, 0);
	send_control(0, VIRTIO_CONSOLE_PORT_READY, 2);
	send_control(0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	send_control(0, VIRTIO_CONSOLE_DEVICE_READY, 0xffff);
	send_control(0, VIRTIO_CONSOLE_RESIZE, 1);
	send_control(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	/* Too short, empty, and the wrong way round. */
	fake_buffer(&queues[CONTROL_TRANSMIT], 1, CONTROL + 0x1000, 7, 0);
	fake_buffer(&queues[CONTROL_TRANSMIT], 2, CONTROL + 0x1000, 0, 0);
	fake_buffer(&queues[CONTROL_TRANSMIT], 3, CONTROL + 0x1000, 8,
		    VRING_DESC_F_WRITE);
	notify(CONTROL_TRANSMIT);
	for (int i = 0; i < 3; i++)
		CHECK(await(CONTROL_TRANSMIT, &element));
	CHECK(!fake_collect(&queues[CONTROL_RECEIVE], &element));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0xf);
	tear_down();
}

/* Thousands of answers asked for, no buffer to put them in: nothing grows. */
static void a_flood_of_messages_owes_three_answers(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES | MULTIPORT);
	for (int i = 0; i < 1000; i++) {
		send_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		send_control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	offer_control_buffers(SIZE);
	CHECK(next_control(VIRTIO_CONSOLE_CONSOLE_PORT, ""));
	CHECK(next_control(VIRTIO_CONSOLE_PORT_NAME, "capsa.console"));
	CHECK(next_control(VIRTIO_CONSOLE_PORT_OPEN, ""));
	fake_loop_turn(loop);
	CHECK(!fake_collect(&queues[CONTROL_RECEIVE], &element));
	tear_down();
}

static void a_message_that_does_not_fit_breaks_the_device(void)
{
	set_up(FAKE_FEATURES | MULTIPORT);
	fake_buffer(&queues[CONTROL_RECEIVE], 0, CONTROL, 7,
		    VRING_DESC_F_WRITE);
	notify(CONTROL_RECEIVE);
	send_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	fake_loop_turn(loop);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
	tear_down();
}

static void broken_rings_break_only_the_device(void)
{
	for (uint32_t queue = 0; queue < QUEUES; queue++) {
		struct vring_used_elem element;

		set_up(FAKE_FEATURES | MULTIPORT);
		send_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		send_control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
		fake_loop_turn(loop);
		CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0xf);
		/* An invalid head; the message due finds it, or the input. */
		fake_offer(&queues[queue], SIZE);
		notify(queue);
		fake_loop_turn(loop);
		CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
		lay_rings();
		CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) ==
		      0xf);
		fake_buffer(&queues[TRANSMIT], 0, DATA, 1, 0);
		notify(TRANSMIT);
		CHECK(await(TRANSMIT, &element));
		tear_down();
	}
}

/* A reset in the middle of a long output, and of a waiting input. */
static void a_reset_forgets_what_was_under_way(void)
{
	struct vring_used_elem element;

	set_up(FAKE_FEATURES);
	for (int round = 0; round < 50; round++) {
		for (uint16_t i = 0; i < SIZE; i++)
			fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA,
					FAKE_RANGE,
					i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
					(uint16_t)(i + 1));
		fake_offer(&queues[TRANSMIT], 0);
		fake_buffer(&queues[RECEIVE], 0, DATA, 64, VRING_DESC_F_WRITE);
		notify(RECEIVE);
		notify(TRANSMIT);
		fake_loop_turn(loop);
		fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
		lay_rings();
		host.output_length = 0;
		CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) ==
		      0xf);
		guest(DATA)[0] = '*';
		fake_buffer(&queues[TRANSMIT], 5, DATA, 1, 0);
		notify(TRANSMIT);
		CHECK(await(TRANSMIT, &element) && element.id == 5);
		CHECK(host.output_length == 1 && host.output[0] == '*');
	}
	tear_down();
}

struct typist {
	uint32_t bursts;
};

static void *typist_thread(void *argument)
{
	const struct typist *typist = argument;

	for (uint32_t i = 0; i < typist->bursts; i++) {
		fake_console_type(&host, "0123456789", 10);
		virtio_console_input(device);
	}
	return NULL;
}

/* Host, guest and loop all work at once; every byte arrives. */
static void both_ways_at_once(void)
{
	enum { BURSTS = 3000 };
	struct typist typist = { .bursts = BURSTS };
	struct vring_used_elem element;
	pthread_t thread;
	uint32_t received = 0;
	uint32_t wrong = 0;

	set_up(FAKE_FEATURES);
	for (uint16_t i = 0; i < SIZE; i++)
		fake_buffer(&queues[RECEIVE], i, DATA + i * 64u, 7,
			    VRING_DESC_F_WRITE);
	notify(RECEIVE);
	pthread_create(&thread, NULL, typist_thread, &typist);
	while (received < BURSTS * 10 && await(RECEIVE, &element)) {
		uint64_t buffer = DATA + element.id * 64;

		for (uint32_t i = 0; i < element.len; i++)
			wrong += guest(buffer)[i] != '0' + (received + i) % 10;
		received += element.len;
		fake_buffer(&queues[TRANSMIT], 0, buffer, element.len, 0);
		notify(TRANSMIT);
		CHECK(await(TRANSMIT, &element));
		fake_buffer(&queues[RECEIVE], (uint16_t)((buffer - DATA) / 64),
			    buffer, 7, VRING_DESC_F_WRITE);
		notify(RECEIVE);
	}
	pthread_join(thread, NULL);
	CHECK(received == BURSTS * 10);
	CHECK(host.output_length == received && wrong == 0);
	tear_down();
}

static uint32_t scribbles; /* atomic */

/* A guest that changes rings and control messages under the device. */
static void *scribbler_thread(void *argument)
{
	const bool *stop = argument;
	uint32_t random = 7;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		struct fake_queue *queue;
		uint16_t index;

		random = random * 1664525 + 1013904223;
		queue = &queues[random >> 8 & 3];
		index = random >> 10 & (SIZE - 1);
		fake_descriptor(&queue->descriptors[index],
				CONTROL + (random >> 14 & 63),
				random >> 20 & 31, random >> 25 & 7,
				(uint16_t)(random >> 28));
		__atomic_store_n(&queue->available->ring[index],
				 random >> 17 & 15, __ATOMIC_RELAXED);
		__atomic_store_n(&queue->available->idx,
				 (uint16_t)(__atomic_load_n(&queue->used->idx,
							    __ATOMIC_RELAXED) +
					    (random >> 29)),
				 __ATOMIC_RELAXED);
		__atomic_store_n(guest(CONTROL + (random >> 22 & 127)),
				 (uint8_t)(random >> 8 & 7), __ATOMIC_RELAXED);
		__atomic_fetch_add(&scribbles, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_scribbling_guest_harms_nobody(void)
{
	bool stop = false;
	struct vring_used_elem element;
	pthread_t thread;
	uint32_t resets = 0;

	set_up(FAKE_FEATURES | MULTIPORT);
	pthread_create(&thread, NULL, scribbler_thread, &stop);
	for (uint32_t round = 0; round < 100000; round++) {
		uint32_t seen = __atomic_load_n(&scribbles, __ATOMIC_RELAXED);

		notify(round % QUEUES);
		if (round % 8 == 0) {
			fake_console_type(&host, "x", 1);
			virtio_console_input(device);
		}
		if (fake_read32(mmio, VIRTIO_MMIO_STATUS) & 0x40) {
			resets++;
			fake_bring_up(mmio, FAKE_FEATURES | MULTIPORT, queues,
				      QUEUES);
			for (uint32_t i = 0; i < QUEUES; i++)
				__atomic_store_n(&queues[i].used->idx, 0,
						 __ATOMIC_RELAXED);
		}
		while (__atomic_load_n(&scribbles, __ATOMIC_RELAXED) == seen)
			sched_yield();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %u resets, %zu bytes of output\n", resets,
	       host.output_length);
	CHECK(resets > 0);
	/* And it still works. */
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) == 0xf);
	fake_buffer(&queues[TRANSMIT], 5, DATA, 1, 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element) && element.id == 5);
	tear_down();
}

int main(void)
{
	TEST(it_offers_one_port);
	TEST(output_is_exact);
	TEST(long_output_is_exact);
	TEST(a_turn_of_output_is_bounded);
	TEST(output_with_nothing_in_it_is_given_back);
	TEST(ten_thousand_bursts_of_input_arrive);
	TEST(input_waits_for_buffers);
	TEST(typed_before_the_driver_is_delivered);
	TEST(the_ports_are_told);
	TEST(messages_wait_for_buffers);
	TEST(input_waits_for_an_open_port);
	TEST(senseless_messages_are_ignored);
	TEST(a_flood_of_messages_owes_three_answers);
	TEST(a_message_that_does_not_fit_breaks_the_device);
	TEST(broken_rings_break_only_the_device);
	TEST(a_reset_forgets_what_was_under_way);
	TEST(both_ways_at_once);
	TEST(a_scribbling_guest_harms_nobody);
	return tap_done();
}
