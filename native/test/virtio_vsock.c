/* SPDX-License-Identifier: MIT */
/* The vsock device behind its transport: rings, turns, resets. */
#include "virtio/vsock.h"

#include <dirent.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include "fake_driver.h"
#include "fake_programs.h"
#include "tap.h"
#include "vsock/credit.h"

enum {
	RECEIVE,
	TRANSMIT,
	EVENT,
	QUEUES,
	SIZE = 64,
	CID = 3,
	RING = 0x10000, /* addresses in guest memory */
	BUFFERS = FAKE_HIGH,
	BUFFER_BYTES = 4096,
	DATA = FAKE_HIGH + SIZE * BUFFER_BYTES,
	GUEST = 1234,
	HOST = 77,
	ROOM = 256 * 1024, /* of the guest's buffers */
	HEADER = sizeof(struct virtio_vsock_hdr),
};

static struct memory memory;
static struct loop *loop;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];
static int irq_fd;
static uint32_t patience_ms = 60000;

static struct virtio_vsock_hdr heard;
static uint8_t heard_data[BUFFER_BYTES];

static void lay_rings(void)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       SIZE);
}

static void notify(uint32_t queue)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void offer_buffer(uint16_t index)
{
	fake_buffer(&queues[RECEIVE], index,
		    BUFFERS + (uint64_t)index * BUFFER_BYTES, BUFFER_BYTES,
		    VRING_DESC_F_WRITE);
}

static void offer_buffers(uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		offer_buffer(i);
	notify(RECEIVE);
}

static void bring_up(void)
{
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) == 0xf);
}

static void create(void)
{
	const struct vsock_config config = { .path = fake_path,
					     .guest_cid = CID,
					     .patience_ms = patience_ms };

	fake_memory_create(&memory);
	fake_make_path();
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_vsock_create(&device, &config, loop) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
}

static void set_up(void)
{
	create();
	bring_up();
	offer_buffers(SIZE);
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
	fake_remove_path();
}

/* Puts a packet into the ring, whose data lies at DATA. */
static void queue_packet(uint16_t slot, struct virtio_vsock_hdr header)
{
	struct fake_queue *queue = &queues[TRANSMIT];
	uint64_t address = RING + QUEUES * FAKE_RING_BYTES + slot * 64u;
	uint16_t head = (uint16_t)(slot * 2);

	memcpy(memory_at(&memory, address, HEADER), &header, HEADER);
	fake_descriptor(&queue->descriptors[head], address, HEADER,
			header.len > 0 ? VRING_DESC_F_NEXT : 0,
			(uint16_t)(head + 1));
	fake_descriptor(&queue->descriptors[head + 1], DATA, header.len, 0, 0);
	fake_offer(queue, head);
}

static struct virtio_vsock_hdr packet_of(uint16_t op, uint32_t host_port,
					 uint32_t guest_port)
{
	return (struct virtio_vsock_hdr) {
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ROOM,
	};
}

/* Says a packet and waits until the device has taken it. */
static void say(struct virtio_vsock_hdr header)
{
	struct vring_used_elem element;

	queue_packet(0, header);
	notify(TRANSMIT);
	CHECK(fake_await(mmio, irq_fd, &queues[TRANSMIT], &element));
	CHECK(element.id == 0 && element.len == 0);
}

static void say_op(uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	say(packet_of(op, host_port, guest_port));
}

/* Takes the packet of a used buffer, and offers the buffer again. */
static void take(const struct vring_used_elem *element)
{
	uint64_t address = BUFFERS + element->id * BUFFER_BYTES;

	memcpy(&heard, memory_at(&memory, address, HEADER), HEADER);
	CHECK(element->len == HEADER + heard.len);
	CHECK(heard.src_cid == VSOCK_HOST_CID && heard.dst_cid == CID);
	CHECK(heard.len <= BUFFER_BYTES - HEADER);
	memcpy(heard_data, memory_at(&memory, address + HEADER, heard.len),
	       heard.len);
	offer_buffer((uint16_t)element->id);
	notify(RECEIVE);
}

static bool hear(void)
{
	struct vring_used_elem element;

	if (!fake_await(mmio, irq_fd, &queues[RECEIVE], &element))
		return false;
	take(&element);
	return true;
}

static bool hear_op(uint16_t op)
{
	return hear() && heard.op == op;
}

/* Whether the host's end becomes readable; false: not in time. */
static bool await_input(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, FAKE_WAIT_MS) == 1;
}

static bool host_reads(int fd, const char *text)
{
	char got[64] = { 0 };

	return await_input(fd) && read(fd, got, sizeof(got) - 1) > 0 &&
	       strcmp(got, text) == 0;
}

static bool host_reads_end(int fd)
{
	char byte;

	return await_input(fd) && read(fd, &byte, 1) <= 0;
}

static int connected(uint32_t *host_port)
{
	char answer[32];
	int fd = host_connect();

	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_REQUEST));
	CHECK(heard.dst_port == GUEST);
	*host_port = heard.src_port;
	say_op(VIRTIO_VSOCK_OP_RESPONSE, *host_port, GUEST);
	(void)snprintf(answer, sizeof(answer), "OK %u\n", *host_port);
	CHECK(host_reads(fd, answer));
	return fd;
}

/* The loop's thread as the kernel sees it: 'S' while it sleeps. */
static char loop_state(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	char state = '?';

	while ((task = readdir(tasks))) {
		char path[300];
		char name[32] = "";
		char found = '?';
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/stat",
			       task->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%*d (%31[^)]) %c", name, &found) == 2 &&
		    strcmp(name, "capsa-io") == 0)
			state = found;
		(void)fclose(file);
	}
	closedir(tasks);
	return state;
}

/* One that is woken all the time is never seen asleep. */
static bool loop_falls_asleep(void)
{
	uint32_t asleep = 0;

	for (uint32_t looks = 0; looks < 20000 && asleep < 100; looks++) {
		asleep = loop_state() == 'S' ? asleep + 1 : 0;
		sched_yield();
	}
	return asleep == 100;
}

static void it_tells_the_guest_its_address(void)
{
	uint64_t cid = 0;

	set_up();
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG, (uint8_t *)&cid, 8);
	CHECK(cid == CID);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 19);
	CHECK(virtio_mmio_queue_count(mmio) == QUEUES);
	tear_down();
}

static void both_sides_connect_and_talk(void)
{
	uint32_t port;
	int listener;
	int ours;
	int theirs;

	set_up();
	ours = connected(&port);
	listener = host_listen(HOST);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE));
	CHECK(heard.src_port == HOST && heard.dst_port == GUEST);
	theirs = host_accept(listener);
	CHECK(host_says(theirs, "from the listener"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW) && heard.src_port == HOST);
	CHECK(host_says(ours, "from the other"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW) && heard.src_port == port);
	CHECK(memcmp(heard_data, "from the other", heard.len) == 0);
	close(ours);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN) && heard.flags == 3);
	say_op(VIRTIO_VSOCK_OP_RST, port, GUEST);
	say_op(VIRTIO_VSOCK_OP_RST, HOST, GUEST);
	CHECK(host_reads_end(theirs));
	close(theirs);
	host_unlisten(listener, HOST);
	CHECK(virtio_vsock_counts(device).connections == 0);
	tear_down();
}

static void programs_that_come_before_the_driver_wait(void)
{
	int fds[20];

	create();
	for (int i = 0; i < 20; i++) {
		fds[i] = host_connect();
		CHECK(host_says(fds[i], "CONNECT 1234\n"));
	}
	CHECK(loop_falls_asleep());
	bring_up();
	offer_buffers(SIZE);
	for (int i = 0; i < 20; i++) {
		CHECK(hear_op(VIRTIO_VSOCK_OP_REQUEST));
		say_op(VIRTIO_VSOCK_OP_RESPONSE, heard.src_port, GUEST);
	}
	for (int i = 0; i < 20; i++) {
		CHECK(await_input(fds[i]));
		close(fds[i]);
	}
	tear_down();
}

static uint8_t data_at(uint32_t position)
{
	return (uint8_t)((position * 2654435761u) >> 24);
}

static void data_of_the_host_is_exact(void)
{
	enum { TOTAL = 1 << 20 };
	static uint8_t text[TOTAL];
	uint32_t written = 0;
	uint32_t got = 0;
	uint32_t told = 0;
	size_t wrong = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	for (uint32_t i = 0; i < TOTAL; i++)
		text[i] = data_at(i);
	while (got < TOTAL) {
		ssize_t count = written == TOTAL
					? 0
					: send(fd, text + written,
					       TOTAL - written, MSG_NOSIGNAL);

		written += count > 0 ? (uint32_t)count : 0;
		CHECK(hear());
		for (uint32_t i = 0; i < heard.len; i++)
			wrong += heard_data[i] != data_at(got + i);
		got += heard.len;
		if (got - told >= ROOM / 4) {
			struct virtio_vsock_hdr update = packet_of(
				VIRTIO_VSOCK_OP_CREDIT_UPDATE, port, GUEST);

			told = got;
			update.fwd_cnt = got;
			say(update);
		}
	}
	CHECK(wrong == 0 && got == TOTAL);
	close(fd);
	tear_down();
}

static void data_of_the_guest_is_exact(void)
{
	enum { TOTAL = 1 << 20, PART = 16 * 1024 };
	uint8_t got[8192];
	uint32_t sent = 0;
	uint32_t read_so_far = 0;
	uint32_t forwarded = 0;
	size_t wrong = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	while (read_so_far < TOTAL) {
		ssize_t count;

		if (sent < TOTAL &&
		    VSOCK_BUFFER_BYTES - (sent - forwarded) >= PART) {
			struct virtio_vsock_hdr header = packet_of(
				VIRTIO_VSOCK_OP_RW, port, GUEST);
			uint8_t *data = memory_at(&memory, DATA, PART);

			for (uint32_t i = 0; i < PART; i++)
				data[i] = data_at(sent + i);
			header.len = PART;
			say(header);
			sent += PART;
		}
		count = read(fd, got, sizeof(got));
		for (ssize_t i = 0; i < count; i++)
			wrong += got[i] != data_at(read_so_far + (uint32_t)i);
		read_so_far += count > 0 ? (uint32_t)count : 0;
		for (struct vring_used_elem used;
		     fake_collect(&queues[RECEIVE], &used);) {
			take(&used);
			forwarded = heard.fwd_cnt;
		}
	}
	CHECK(wrong == 0);
	close(fd);
	tear_down();
}

static void without_buffers_of_the_guest_the_loop_sleeps(void)
{
	static uint8_t much[1 << 20];
	uint32_t port;
	int fds[3];

	create();
	bring_up();
	offer_buffers(1); /* which connected() offers again and again */
	fds[0] = connected(&port);
	/* The one buffer is filled, and more is to come. */
	CHECK(send(fds[0], much, sizeof(much), MSG_NOSIGNAL) > 0);
	fds[1] = host_connect();
	CHECK(host_says(fds[1], "CONNECT 1234\n"));
	fds[2] = host_connect();
	CHECK(loop_falls_asleep());
	close(fds[2]);
	close(fds[0]);
	CHECK(loop_falls_asleep());
	/* It goes on where it stood. */
	for (uint32_t requests = 0; requests == 0;) {
		CHECK(hear());
		requests += heard.op == VIRTIO_VSOCK_OP_REQUEST;
	}
	close(fds[1]);
	tear_down();
}

static void a_host_that_does_not_read_lets_the_loop_sleep(void)
{
	uint32_t sent = 0;
	uint32_t forwarded = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	while (sent - forwarded + 4096 <= VSOCK_BUFFER_BYTES) {
		struct virtio_vsock_hdr header = packet_of(VIRTIO_VSOCK_OP_RW,
							   port, GUEST);
		struct vring_used_elem element;

		header.len = 4096;
		say(header);
		sent += 4096;
		fake_loop_turn(loop);
		while (fake_collect(&queues[RECEIVE], &element)) {
			take(&element);
			forwarded = heard.fwd_cnt;
		}
	}
	CHECK(loop_falls_asleep());
	close(fd);
	tear_down();
}

/* Answers have to be taken before more is listened to; none is lost. */
static void a_guest_that_takes_no_answers_waits(void)
{
	enum { PACKETS = 600 };
	uint32_t offered = 0;
	uint32_t answers = 0;
	uint32_t taken = 0;
	struct vring_used_elem element;

	create();
	bring_up();
	while (answers < PACKETS) {
		while (offered < PACKETS && offered - taken < SIZE / 2) {
			queue_packet(
				(uint16_t)(offered % (SIZE / 2)),
				packet_of(VIRTIO_VSOCK_OP_RW, offered, GUEST));
			offered++;
		}
		notify(TRANSMIT);
		fake_loop_turn(loop);
		fake_loop_turn(loop);
		while (fake_collect(&queues[TRANSMIT], &element))
			taken++;
		CHECK(taken <= answers + 256);
		if (taken < answers + 256 && taken < PACKETS)
			continue;
		CHECK(loop_falls_asleep());
		if (answers == 0)
			offer_buffers(SIZE);
		for (uint32_t i = 0; i < SIZE && answers < PACKETS; i++) {
			CHECK(hear_op(VIRTIO_VSOCK_OP_RST));
			CHECK(heard.src_port == answers);
			answers++;
		}
	}
	tear_down();
}

static void a_reset_ends_all_connections(void)
{
	uint32_t port;
	int waiting;
	int open;

	set_up();
	open = connected(&port);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	CHECK(host_reads_end(open));
	CHECK(virtio_vsock_counts(device).connections == 0);
	close(open);
	/* Who comes now waits for the next driver. */
	waiting = host_connect();
	CHECK(host_says(waiting, "CONNECT 1234\n"));
	bring_up();
	offer_buffers(SIZE);
	CHECK(hear_op(VIRTIO_VSOCK_OP_REQUEST));
	close(waiting);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST));
	close(connected(&port));
	tear_down();
}

static void a_driver_that_gives_up_ends_all_connections(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0x8f);
	/* Nobody looks until something happens. */
	CHECK(host_says(fd, "anybody?"));
	CHECK(host_reads_end(fd));
	CHECK(loop_falls_asleep());
	close(fd);
	tear_down();
}

static void a_broken_ring_ends_all_connections(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	fake_descriptor(&queues[TRANSMIT].descriptors[0], UINT64_MAX, 100, 0,
			0);
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	CHECK(host_reads_end(fd));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	      VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK(loop_falls_asleep());
	close(fd);
	bring_up();
	offer_buffers(SIZE);
	close(connected(&port));
	tear_down();
}

static void a_buffer_too_short_for_a_header_breaks_the_device(void)
{
	int fd;

	create();
	bring_up();
	fake_buffer(&queues[RECEIVE], 0, BUFFERS, HEADER - 1,
		    VRING_DESC_F_WRITE);
	notify(RECEIVE);
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(host_reads(fd, "ERR ECONNRESET\n"));
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	      VIRTIO_CONFIG_S_NEEDS_RESET);
	close(fd);
	tear_down();
}

static void the_end_of_the_guest_ends_all(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(&port);
	virtio_vsock_end(device);
	CHECK(host_reads_end(fd));
	CHECK(access(fake_path, F_OK) != 0);
	CHECK(loop_falls_asleep());
	close(fd);
	tear_down();
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void a_thousand_connections_talk(void)
{
	enum { CONNECTIONS = 1000, PORTS = 10 };
	static int fds[CONNECTIONS];
	static uint32_t ports[CONNECTIONS];
	uint32_t wrong = 0;
	int listeners[PORTS];

	set_up();
	for (uint32_t i = 0; i < PORTS; i++)
		listeners[i] = host_listen(HOST + i);
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		if (i % 2 == 0) {
			fds[i] = connected(&ports[i]);
			continue;
		}
		ports[i] = HOST + i % PORTS;
		say_op(VIRTIO_VSOCK_OP_REQUEST, ports[i], 10000 + i);
		CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE));
		fds[i] = host_accept(listeners[i % PORTS]);
	}
	CHECK(virtio_vsock_counts(device).connections == CONNECTIONS);
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		wrong += !host_writes(fds[i], &i, sizeof(i));
	/* Each says its number; the guest says it back to the same one. */
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct virtio_vsock_hdr answer;
		uint32_t number;

		CHECK(hear_op(VIRTIO_VSOCK_OP_RW));
		memcpy(&number, heard_data, sizeof(number));
		wrong += number >= CONNECTIONS ||
			 ports[number] != heard.src_port;
		memcpy(memory_at(&memory, DATA, 4), heard_data, 4);
		answer = packet_of(VIRTIO_VSOCK_OP_RW, heard.src_port,
				   heard.dst_port);
		answer.len = sizeof(number);
		say(answer);
	}
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		uint32_t number = UINT32_MAX;

		wrong += read(fds[i], &number, sizeof(number)) !=
				 sizeof(number) ||
			 number != i;
		close(fds[i]);
	}
	CHECK(wrong == 0);
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN));
	for (uint32_t i = 0; i < PORTS; i++)
		host_unlisten(listeners[i], HOST + i);
	tear_down();
}

/* Until a time that is later than any before that is as long. */
static void pass(uint32_t milliseconds)
{
	const struct itimerspec span = {
		.it_value = { .tv_nsec = milliseconds * 1000000L },
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t rung;

	CHECK(timerfd_settime(fd, 0, &span, NULL) == 0);
	CHECK(read(fd, &rung, sizeof(rung)) == sizeof(rung));
	close(fd);
}

static void time_that_is_up_for_nobody_lets_the_loop_sleep(void)
{
	uint32_t port;
	int fd;

	patience_ms = 100;
	set_up();
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_REQUEST));
	/* Its driver gives up, which the end of the time shows to the loop. */
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0x8f);
	pass(patience_ms);
	CHECK(host_reads(fd, "ERR ECONNRESET\n"));
	close(fd);
	CHECK(loop_falls_asleep());
	patience_ms = 60000;
	bring_up();
	offer_buffers(SIZE);
	close(connected(&port));
	tear_down();
}

static void *reset_thread(void *argument)
{
	(void)argument;
	for (uint32_t i = 0; i < 300; i++) {
		fake_negotiate(mmio, FAKE_FEATURES);
		for (uint32_t queue = 0; queue < QUEUES; queue++)
			fake_set_queue(mmio, queue, &queues[queue].layout);
		fake_write32(mmio, VIRTIO_MMIO_STATUS, 0xf);
	}
	return NULL;
}

/* Two processors reset the device at once, while programs come and go. */
static void resets_at_once_are_harmless(void)
{
	pthread_t threads[2];
	uint32_t port;

	set_up();
	for (uint32_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, reset_thread, NULL);
	for (uint32_t i = 0; i < 100; i++) {
		int fd = host_connect();

		/* A reset may have closed it already. */
		(void)host_says(fd, "CONNECT 1234\n");
		close(fd);
	}
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	bring_up();
	offer_buffers(SIZE);
	CHECK(loop_falls_asleep());
	for (struct vring_used_elem element;
	     fake_collect(&queues[RECEIVE], &element);)
		take(&element);
	close(connected(&port));
	tear_down();
}

int main(void)
{
	raise_descriptors();
	TEST(it_tells_the_guest_its_address);
	TEST(both_sides_connect_and_talk);
	TEST(programs_that_come_before_the_driver_wait);
	TEST(data_of_the_host_is_exact);
	TEST(data_of_the_guest_is_exact);
	TEST(without_buffers_of_the_guest_the_loop_sleeps);
	TEST(a_host_that_does_not_read_lets_the_loop_sleep);
	TEST(a_guest_that_takes_no_answers_waits);
	TEST(a_reset_ends_all_connections);
	TEST(a_driver_that_gives_up_ends_all_connections);
	TEST(a_broken_ring_ends_all_connections);
	TEST(a_buffer_too_short_for_a_header_breaks_the_device);
	TEST(the_end_of_the_guest_ends_all);
	TEST(a_thousand_connections_talk);
	TEST(time_that_is_up_for_nobody_lets_the_loop_sleep);
	TEST(resets_at_once_are_harmless);
	return tap_done();
}
