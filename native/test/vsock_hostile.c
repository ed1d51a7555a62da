/* SPDX-License-Identifier: MIT */
/* Guests that keep no rule, and hosts that have no room. */
#include <sys/resource.h>

#include "fake_vsock.h"
#include "vsock/credit.h"

enum { GUEST = 1234, HOST = 77 };

static uint32_t connections(void)
{
	return vsock_hub_counts(hub).connections;
}

/* Says a header as it is; true if exactly a reset comes back. */
static bool is_reset(const struct virtio_vsock_hdr *header)
{
	say(header, NULL, 0);
	return hear() && heard.header.op == VIRTIO_VSOCK_OP_RST &&
	       heard.header.src_cid == header->dst_cid &&
	       heard.header.src_port == header->dst_port &&
	       heard.header.dst_port == header->src_port && hear_nothing();
}

static void packets_without_a_connection_are_reset(void)
{
	set_up();
	for (uint32_t op = 0; op < 70000; op += op < 20 ? 1 : 997) {
		struct virtio_vsock_hdr header = packet_of((uint16_t)op, HOST,
							   GUEST);

		/* A reset of a reset would never end. */
		if (header.op == VIRTIO_VSOCK_OP_RST) {
			say(&header, NULL, 0);
			CHECK(hear_nothing());
		} else {
			CHECK(is_reset(&header));
		}
	}
	tear_down();
}

static void addresses_that_are_not_ours_reach_nobody(void)
{
	static const uint64_t strangers[] = {
		0, 1, 2, 4, UINT32_MAX, UINT64_MAX, 3ull << 32 | 3
	};
	struct virtio_vsock_hdr header;
	int listener;

	set_up();
	listener = host_listen(HOST);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		header = packet_of(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
		header.src_cid = strangers[i];
		say(&header, NULL, 0);
		CHECK(hear_nothing());
		header = packet_of(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
		header.dst_cid = strangers[i];
		if (strangers[i] != VSOCK_HOST_CID)
			CHECK(is_reset(&header));
	}
	header = packet_of(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	header.dst_cid = FAKE_CID;
	CHECK(is_reset(&header));
	CHECK(host_accept(listener) < 0);
	CHECK(connections() == 0);
	host_unlisten(listener, HOST);
	tear_down();
}

static void only_streams_are_served(void)
{
	struct virtio_vsock_hdr header;
	uint32_t port;
	int listener;
	int fd;

	set_up();
	listener = host_listen(HOST);
	for (uint32_t type = 0; type < 66000; type += type < 10 ? 1 : 991) {
		if (type == VIRTIO_VSOCK_TYPE_STREAM)
			continue;
		header = packet_of(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
		header.type = (uint16_t)type;
		CHECK(is_reset(&header));
	}
	fd = connected(GUEST, &port);
	header = packet_of(VIRTIO_VSOCK_OP_RW, port, GUEST);
	header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	CHECK(is_reset(&header));
	CHECK(host_reads_end(fd));
	close(fd);
	host_unlisten(listener, HOST);
	tear_down();
}

static void ports_at_the_ends_are_ports_or_none(void)
{
	struct virtio_vsock_hdr header;
	int listener;
	int any;

	set_up();
	listener = host_listen(0);
	any = host_listen(UINT32_MAX);
	say_op(VIRTIO_VSOCK_OP_REQUEST, 0, 0);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, 0, 0));
	header = packet_of(VIRTIO_VSOCK_OP_REQUEST, UINT32_MAX, GUEST);
	CHECK(is_reset(&header));
	header = packet_of(VIRTIO_VSOCK_OP_REQUEST, 0, UINT32_MAX);
	CHECK(is_reset(&header));
	CHECK(host_accept(any) < 0);
	host_unlisten(listener, 0);
	host_unlisten(any, UINT32_MAX);
	tear_down();
}

/* Says one packet in a connection that is open; true if that ends it. */
static bool ends(const struct virtio_vsock_hdr *template, size_t length)
{
	static const uint8_t data[2 * VSOCK_BUFFER_BYTES];
	struct virtio_vsock_hdr header = *template;
	uint32_t port;
	bool reset;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	header.dst_port = port;
	say(&header, data, length);
	reset = hear() && heard.header.op == VIRTIO_VSOCK_OP_RST &&
		heard.header.src_port == port &&
		heard.header.dst_port == GUEST && hear_nothing() &&
		host_reads_end(fd) && connections() == 0;
	close(fd);
	tear_down();
	return reset;
}

static void rules_that_are_broken_end_the_connection(void)
{
	const struct virtio_vsock_hdr data = packet_of(VIRTIO_VSOCK_OP_RW, 0,
						       GUEST);
	struct virtio_vsock_hdr header;

	header = data;
	header.len = 100;
	CHECK(ends(&header, 99)); /* less than it says */
	CHECK(ends(&header, 0));
	header.len = UINT32_MAX;
	CHECK(ends(&header, 100));
	header.len = VSOCK_BUFFER_BYTES + 1; /* more than it may */
	CHECK(ends(&header, VSOCK_BUFFER_BYTES + 1));
	header = data;
	header.fwd_cnt = 1; /* more than it got */
	CHECK(ends(&header, 0));
	header.fwd_cnt = INT32_MAX;
	CHECK(ends(&header, 0));
	for (uint32_t op = 0; op < 66000; op += op < 20 ? 1 : 991) {
		header = data;
		header.op = (uint16_t)op;
		if (op == 0 || op == VIRTIO_VSOCK_OP_REQUEST ||
		    op == VIRTIO_VSOCK_OP_RESPONSE || op > 7)
			CHECK(ends(&header, 0));
	}
}

static void more_data_than_said_is_left_out(void)
{
	struct virtio_vsock_hdr header;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	header = packet_of(VIRTIO_VSOCK_OP_RW, port, GUEST);
	header.len = 3;
	say(&header, "abcdef", 6);
	CHECK(host_reads(fd, "abc"));
	header.len = 0;
	say(&header, "abcdef", 6);
	CHECK(host_reads_nothing(fd));
	CHECK(hear_nothing());
	close(fd);
	tear_down();
}

static void headers_that_are_cut_are_dropped(void)
{
	static uint8_t bytes[sizeof(struct virtio_vsock_hdr)];
	struct virtio_vsock_hdr header = packet_of(VIRTIO_VSOCK_OP_RW, HOST,
						   GUEST);
	struct virtqueue_chain chain = { .readable = 1 };

	set_up();
	memcpy(bytes, &header, sizeof(header));
	for (size_t length = 1; length < sizeof(bytes); length++) {
		chain.buffers[0] = (struct iovec) { .iov_base = bytes,
						    .iov_len = length };
		chain.readable_bytes = length;
		vsock_hub_receive(hub, &chain);
		CHECK(hear_nothing());
	}
	/* And none at all. */
	chain.readable = 0;
	vsock_hub_receive(hub, &chain);
	CHECK(hear_nothing());
	tear_down();
}

static void a_header_in_many_pieces_is_one(void)
{
	struct virtio_vsock_hdr header;
	struct virtqueue_chain chain = { 0 };
	uint32_t port;
	uint8_t bytes[sizeof(header) + 5];
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	header = packet_of(VIRTIO_VSOCK_OP_RW, port, GUEST);
	header.len = 5;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), "hello", 5);
	chain.readable = sizeof(bytes);
	chain.readable_bytes = sizeof(bytes);
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		chain.buffers[i] = (struct iovec) { .iov_base = bytes + i,
						    .iov_len = 1 };
	vsock_hub_receive(hub, &chain);
	CHECK(host_reads(fd, "hello"));
	close(fd);
	tear_down();
}

static void buffers_without_room_for_a_header_are_an_error(void)
{
	uint8_t bytes[sizeof(struct virtio_vsock_hdr) - 1];
	const struct virtqueue_chain chain = {
		.writable = 1,
		.writable_bytes = sizeof(bytes),
		.buffers = { { .iov_base = bytes, .iov_len = sizeof(bytes) } },
	};

	set_up();
	say_op(VIRTIO_VSOCK_OP_RW, HOST, GUEST);
	CHECK(vsock_hub_has_packet(hub));
	CHECK(vsock_hub_send(hub, &chain) == -EPROTO);
	tear_down();
}

/* It sends, and takes no answer: then it has to wait. */
static void answers_are_bounded(void)
{
	uint32_t said = 0;

	set_up();
	while (said < 100000 && vsock_hub_can_receive(hub)) {
		say_op(VIRTIO_VSOCK_OP_RW, said, GUEST);
		said++;
	}
	CHECK(said == 256);
	for (uint32_t i = 0; i < said; i++)
		CHECK(hear_op(VIRTIO_VSOCK_OP_RST, i, GUEST));
	CHECK(hear_nothing() && vsock_hub_can_receive(hub));
	tear_down();
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool few_descriptors(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       limit.rlim_max < 2 * VSOCK_CONNECTIONS_MAX + 100;
}

/* A hundred thousand requests, to somebody who never accepts. */
static void a_flood_of_requests_is_bounded(void)
{
	enum { REQUESTS = 100000 };
	uint32_t accepted = 0;
	uint32_t refused = 0;
	int listener;

	set_up();
	listener = host_listen(HOST);
	for (uint32_t i = 0; i < REQUESTS; i++) {
		say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, i);
		if (!hear())
			CHECK(false);
		accepted += heard.header.op == VIRTIO_VSOCK_OP_RESPONSE;
		refused += heard.header.op == VIRTIO_VSOCK_OP_RST;
	}
	CHECK(accepted == VSOCK_CONNECTIONS_MAX);
	CHECK(accepted + refused == REQUESTS);
	CHECK(connections() == VSOCK_CONNECTIONS_MAX);
	/* One goes: there is room for one. */
	say_op(VIRTIO_VSOCK_OP_RST, HOST, 0);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, REQUESTS);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, HOST, REQUESTS));
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, REQUESTS + 1);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, HOST, REQUESTS + 1));
	host_unlisten(listener, HOST);
	tear_down();
}

/* While the table is full programs of the host wait to be accepted. */
static void a_full_table_lets_programs_wait(void)
{
	int listener;
	int fd;

	set_up();
	listener = host_listen(HOST);
	for (uint32_t i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, i);
		CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, HOST, i));
	}
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(hear_nothing());
	CHECK(turns() == 0);
	CHECK(connections() == VSOCK_CONNECTIONS_MAX);
	say_op(VIRTIO_VSOCK_OP_RST, HOST, 9);
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	host_unlisten(listener, HOST);
	tear_down();
}

/* One that the hub cannot accept must not wake it for ever. */
static void a_lack_of_descriptors_passes(void)
{
	struct rlimit before;
	struct rlimit none;
	uint32_t port;
	int fd;

	set_up();
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 1; /* poll() takes no more than that */
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	turns();
	CHECK(connections() == 0);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, HOST, GUEST));
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	await_turn();
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	port = heard.header.src_port;
	say_op(VIRTIO_VSOCK_OP_RESPONSE, port, GUEST);
	close(fd);
	tear_down();
}

static uint64_t resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		exit(2);
	(void)fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* A thousand readers that stand still, of a guest that sends all it may. */
static void slow_readers_cost_what_was_promised(void)
{
	enum { READERS = 1000 };
	static const uint8_t data[4096];
	uint64_t before = resident_kib();
	uint64_t kept;
	int listener;

	set_up();
	listener = host_listen(HOST);
	for (uint32_t i = 0; i < READERS; i++) {
		uint32_t sent = 0;
		uint32_t taken = 0;

		say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, i);
		CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, HOST, i));
		while (sent - taken + sizeof(data) <= VSOCK_BUFFER_BYTES) {
			say_data(HOST, i, data, sizeof(data));
			sent += sizeof(data);
			while (hear())
				taken = heard.header.fwd_cnt;
		}
	}
	kept = resident_kib() - before;
	CHECK(turns() == 0);
	printf("# %u slow readers: %llu KiB\n", READERS,
	       (unsigned long long)kept);
	/* Sanitizers keep books about every byte. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	CHECK(kept < READERS * (VSOCK_BUFFER_BYTES / 1024 + 4));
#endif
	host_unlisten(listener, HOST);
	tear_down();
}

int main(void)
{
	raise_descriptors();
	TEST(packets_without_a_connection_are_reset);
	TEST(addresses_that_are_not_ours_reach_nobody);
	TEST(only_streams_are_served);
	TEST(ports_at_the_ends_are_ports_or_none);
	TEST(rules_that_are_broken_end_the_connection);
	TEST(more_data_than_said_is_left_out);
	TEST(headers_that_are_cut_are_dropped);
	TEST(a_header_in_many_pieces_is_one);
	TEST(buffers_without_room_for_a_header_are_an_error);
	TEST(answers_are_bounded);
	if (few_descriptors()) {
		TEST_SKIP(a_flood_of_requests_is_bounded,
			  "the limit of descriptors is too low");
		TEST_SKIP(a_full_table_lets_programs_wait,
			  "the limit of descriptors is too low");
	} else {
		TEST(a_flood_of_requests_is_bounded);
		TEST(a_full_table_lets_programs_wait);
	}
	TEST(a_lack_of_descriptors_passes);
	TEST(slow_readers_cost_what_was_promised);
	return tap_done();
}
