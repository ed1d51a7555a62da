/* SPDX-License-Identifier: MIT */
/* What goes through vsock connections, and how they end. */
#include "fake_vsock.h"
#include "vsock/credit.h"

enum {
	GUEST = 1234,
	TOTAL = 1 << 20, /* bytes of a long talk */
};

static uint8_t data_at(uint32_t position)
{
	return (uint8_t)((position * 2654435761u) >> 24);
}

/* Bytes position to position + length of the one long text. */
static const uint8_t *text_at(uint32_t position)
{
	static uint8_t text[TOTAL + FAKE_PACKET_DATA];

	if (text[1] != data_at(1))
		for (uint32_t i = 0; i < sizeof(text); i++)
			text[i] = data_at(i);
	return text + position;
}

/* Lengths of all kinds, the smallest most often. */
static uint32_t some_length(uint32_t round, uint32_t max)
{
	uint32_t length = 1 + (round * 2654435761u >> (round % 16 + 8)) % max;

	return length;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Guest to host: sent as credit allows, read in other pieces. */
static void data_of_the_guest_is_exact(void)
{
	static uint8_t got[FAKE_PACKET_DATA];
	uint32_t sent = 0;
	uint32_t read_so_far = 0;
	uint32_t forwarded = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	for (uint32_t round = 0; read_so_far < TOTAL; round++) {
		uint32_t room = VSOCK_BUFFER_BYTES - (sent - forwarded);
		uint32_t length = least(least(some_length(round, 60000), room),
					TOTAL - sent);
		ssize_t count;

		if (length > 0)
			say_data(port, GUEST, text_at(sent), length);
		sent += length;
		count = read(fd, got, some_length(round + 7, 50000));
		if (count > 0) {
			CHECK(memcmp(got, text_at(read_so_far),
				     (size_t)count) == 0);
			read_so_far += (uint32_t)count;
		}
		while (hear())
			forwarded = heard.header.fwd_cnt;
	}
	CHECK(host_reads_nothing(fd));
	CHECK(vsock_hub_counts(hub).from_guest == TOTAL);
	close(fd);
	tear_down();
}

/* Host to guest: into buffers of all sizes, of a guest that is slow. */
static void data_of_the_host_is_exact(void)
{
	uint32_t written = 0;
	uint32_t got = 0;
	uint32_t taken = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	for (uint32_t round = 0; got < TOTAL; round++) {
		uint32_t length = least(some_length(round, 90000),
					TOTAL - written);
		ssize_t count = length == 0 ? 0
					    : send(fd, text_at(written), length,
						   MSG_NOSIGNAL);

		written += count > 0 ? (uint32_t)count : 0;
		if (hear_into(some_length(round + 3, 9000))) {
			uint32_t bytes = heard.header.len;

			CHECK(heard.header.op == VIRTIO_VSOCK_OP_RW ||
			      heard.header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			CHECK(memcmp(heard.data, text_at(got), bytes) == 0);
			got += bytes;
		}
		CHECK(got - taken <= FAKE_PEER_ROOM);
		if (round % 64 == 63) {
			taken = got;
			say_credit(FAKE_PEER_ROOM, taken, port, GUEST);
		}
	}
	CHECK(vsock_hub_counts(hub).to_guest == TOTAL);
	close(fd);
	tear_down();
}

static void the_guest_gets_no_more_than_it_has_room_for(void)
{
	uint32_t got = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_credit(1000, 0, port, GUEST);
	CHECK(host_writes(fd, text_at(0), 5000));
	while (hear())
		got += heard.header.len;
	CHECK(got == 1000);
	say_credit(1000, 100, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.len == 100);
	CHECK(memcmp(heard.data, text_at(1000), 100) == 0);
	CHECK(hear_nothing());
	/* It takes back what it promised. */
	say_credit(10, 1000, port, GUEST);
	CHECK(hear_nothing());
	say_credit(10, 1095, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.len == 5);
	say_credit(0, 1105, port, GUEST);
	CHECK(hear_nothing());
	close(fd);
	tear_down();
}

static void what_the_host_does_not_read_is_bounded(void)
{
	uint32_t sent = 0;
	uint32_t forwarded = 0;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	for (;;) {
		uint32_t room = VSOCK_BUFFER_BYTES - (sent - forwarded);

		if (room == 0)
			break;
		say_data(port, GUEST, text_at(sent), least(room, 8192));
		sent += least(room, 8192);
		while (hear())
			forwarded = heard.header.fwd_cnt;
	}
	/* The host's kernel keeps some of it, too. */
	CHECK(sent < TOTAL);
	CHECK(turns() < 10);
	/* One byte more than was allowed ends it. */
	say_data(port, GUEST, "x", 1);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(vsock_hub_counts(hub).connections == 0);
	close(fd);
	tear_down();
}

static void credit_is_told_after_a_quarter(void)
{
	const uint32_t quarter = VSOCK_BUFFER_BYTES / 4;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_data(port, GUEST, text_at(0), quarter - 1);
	CHECK(hear_nothing());
	say_data(port, GUEST, text_at(0), 1);
	CHECK(hear_op(VIRTIO_VSOCK_OP_CREDIT_UPDATE, port, GUEST));
	CHECK(heard.header.fwd_cnt == quarter);
	CHECK(heard.header.buf_alloc == VSOCK_BUFFER_BYTES);
	CHECK(hear_nothing());
	/* Data tells it by the way. */
	say_data(port, GUEST, text_at(0), quarter);
	CHECK(host_says(fd, "x"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.fwd_cnt == 2 * quarter);
	CHECK(hear_nothing());
	say_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_CREDIT_UPDATE, port, GUEST));
	CHECK(hear_nothing());
	close(fd);
	tear_down();
}

static void buffers_without_room_for_data_are_given_back(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	CHECK(host_says(fd, "x"));
	CHECK(hear_into(0));
	CHECK(heard.header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	close(fd);
	tear_down();
}

static void the_guest_sends_no_more(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_data(port, GUEST, "last", 4);
	say_shutdown(VIRTIO_VSOCK_SHUTDOWN_SEND, port, GUEST);
	CHECK(host_reads(fd, "last"));
	CHECK(host_reads_end(fd));
	CHECK(host_says(fd, "answer"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	/* It has said that it won't. */
	say_data(port, GUEST, "more", 4);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	close(fd);
	tear_down();
}

static void the_guest_reads_no_more(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_shutdown(VIRTIO_VSOCK_SHUTDOWN_RCV, port, GUEST);
	CHECK(!host_says(fd, "x") && errno == EPIPE);
	say_data(port, GUEST, "still", 5);
	CHECK(host_reads(fd, "still"));
	CHECK(hear_nothing());
	/* Then the host goes: nothing is left to say either way. */
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == 3);
	say_op(VIRTIO_VSOCK_OP_RST, port, GUEST);
	CHECK(vsock_hub_counts(hub).connections == 0);
	tear_down();
}

static void the_host_sends_no_more(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_credit(4, 0, port, GUEST);
	CHECK(host_says(fd, "lastwords"));
	shutdown(fd, SHUT_WR);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(hear_nothing());
	say_credit(100, 4, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.len == 5);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == VIRTIO_VSOCK_SHUTDOWN_SEND);
	CHECK(hear_nothing());
	say_data(port, GUEST, "answer", 6);
	CHECK(host_reads(fd, "answer"));
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == 3);
	tear_down();
}

static void the_host_reads_no_more(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	shutdown(fd, SHUT_RD);
	say_data(port, GUEST, "x", 1);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == VIRTIO_VSOCK_SHUTDOWN_RCV);
	/* What is on its way is dropped, and makes no noise. */
	say_data(port, GUEST, "y", 1);
	CHECK(hear_nothing());
	CHECK(host_says(fd, "still"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	close(fd);
	tear_down();
}

/* The guest has no room: what the host wrote before it went waits for it. */
static void the_host_goes_and_the_guest_gets_all(void)
{
	struct virtio_vsock_hdr said;
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	said = packet_of(VIRTIO_VSOCK_OP_RW, port, GUEST);
	say_credit(0, 0, port, GUEST);
	CHECK(host_says(fd, "goodbye"));
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == VIRTIO_VSOCK_SHUTDOWN_RCV);
	CHECK(hear_nothing());
	CHECK(turns() == 0);
	said.len = 13;
	said.buf_alloc = 0;
	say(&said, "who is there?", 13);
	CHECK(hear_nothing());
	say_credit(3, 0, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	say_credit(100, 3, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.len == 4 && memcmp(heard.data, "dbye", 4) == 0);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == 3);
	say_op(VIRTIO_VSOCK_OP_RST, port, GUEST);
	CHECK(vsock_hub_counts(hub).connections == 0);
	tear_down();
}

static void the_host_goes_and_the_guest_says_nothing(void)
{
	uint32_t port;
	int fd;

	set_up_patient(200);
	fd = connected(GUEST, &port);
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	CHECK(heard.header.flags == 3);
	while (!hear())
		await_turn();
	CHECK(heard.header.op == VIRTIO_VSOCK_OP_RST);
	CHECK(vsock_hub_counts(hub).connections == 0);
	tear_down();
}

static void both_close_at_once(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, GUEST));
	say_shutdown(3, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(vsock_hub_counts(hub).connections == 0);
	tear_down();
}

/* The host's program was killed, say: it has not read what was there. */
static void a_host_that_breaks_off_resets(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_data(port, GUEST, "unread", 6);
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(hear_nothing());
	CHECK(vsock_hub_counts(hub).connections == 0);
	tear_down();
}

static void a_guest_that_breaks_off_ends_it(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	say_data(port, GUEST, "half a sen", 10);
	say_op(VIRTIO_VSOCK_OP_RST, port, GUEST);
	CHECK(host_reads(fd, "half a sen"));
	CHECK(host_reads_end(fd));
	CHECK(!host_says(fd, "x"));
	CHECK(hear_nothing());
	CHECK(vsock_hub_counts(hub).connections == 0);
	close(fd);
	tear_down();
}

/* Fills what lies between a guest and a host that does not read. */
static uint32_t stuff(uint32_t port)
{
	uint32_t sent = 0;
	uint32_t forwarded = 0;

	while (sent - forwarded < VSOCK_BUFFER_BYTES) {
		uint32_t room = VSOCK_BUFFER_BYTES - (sent - forwarded);

		say_data(port, GUEST, text_at(sent), least(room, 4096));
		sent += least(room, 4096);
		while (hear())
			forwarded = heard.header.fwd_cnt;
	}
	return sent;
}

/* The guest need not wait for a slow reader, who gets all the same. */
static void what_the_guest_said_before_it_closed_is_read(void)
{
	static uint8_t got[TOTAL];
	uint32_t length = 0;
	uint32_t sent;
	uint32_t port;
	ssize_t count;
	int again;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	sent = stuff(port);
	say_shutdown(3, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(hear_nothing());
	/* Its ports are free for another one. */
	again = host_listen(port);
	say_op(VIRTIO_VSOCK_OP_REQUEST, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, port, GUEST));
	host_unlisten(again, port);
	while ((count = read(fd, got + length, sizeof(got) - length)) > 0) {
		length += (uint32_t)count;
		turns();
	}
	CHECK(count == 0 && length == sent);
	CHECK(memcmp(got, text_at(0), sent) == 0);
	close(fd);
	tear_down();
}

static void nobody_reads_what_the_guest_said_before_it_closed(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	stuff(port);
	say_shutdown(3, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(vsock_hub_counts(hub).connections == 1);
	CHECK(turns() == 0);
	close(fd);
	turns();
	CHECK(vsock_hub_counts(hub).connections == 0);
	CHECK(hear_nothing());
	tear_down();
}

static void the_end_waits_for_what_is_kept(void)
{
	static uint8_t got[TOTAL];
	uint32_t length = 0;
	uint32_t sent;
	uint32_t port;
	ssize_t count;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	sent = stuff(port);
	say_shutdown(VIRTIO_VSOCK_SHUTDOWN_SEND, port, GUEST);
	while ((count = read(fd, got + length, 1000)) > 0) {
		length += (uint32_t)count;
		turns();
	}
	CHECK(count == 0 && length == sent);
	CHECK(memcmp(got, text_at(0), sent) == 0);
	CHECK(host_says(fd, "thanks"));
	while (hear() && heard.header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
		;
	CHECK(heard.header.op == VIRTIO_VSOCK_OP_RW);
	close(fd);
	tear_down();
}

/* A host that writes all the time leaves the others their turns. */
static void connections_take_turns(void)
{
	enum { OTHERS = 8 };
	uint32_t ports[OTHERS + 1];
	int fds[OTHERS + 1];
	uint32_t between = 0;
	uint32_t longest = 0;

	set_up();
	for (uint32_t i = 0; i <= OTHERS; i++)
		fds[i] = connected(GUEST + i, &ports[i]);
	CHECK(host_writes(fds[0], text_at(0), 150000));
	CHECK(hear_into(1000));
	for (uint32_t i = 1; i <= OTHERS; i++)
		CHECK(host_says(fds[i], "me too"));
	for (uint32_t i = 0; i < 40; i++) {
		CHECK(hear_into(1000));
		between = heard.header.src_port == ports[0] ? between + 1 : 0;
		longest = between > longest && i < OTHERS ? between : longest;
	}
	CHECK(longest <= 1);
	for (uint32_t i = 0; i <= OTHERS; i++)
		close(fds[i]);
	tear_down();
}

int main(void)
{
	TEST(data_of_the_guest_is_exact);
	TEST(data_of_the_host_is_exact);
	TEST(the_guest_gets_no_more_than_it_has_room_for);
	TEST(what_the_host_does_not_read_is_bounded);
	TEST(credit_is_told_after_a_quarter);
	TEST(buffers_without_room_for_data_are_given_back);
	TEST(the_guest_sends_no_more);
	TEST(the_guest_reads_no_more);
	TEST(the_host_sends_no_more);
	TEST(the_host_reads_no_more);
	TEST(the_host_goes_and_the_guest_gets_all);
	TEST(the_host_goes_and_the_guest_says_nothing);
	TEST(both_close_at_once);
	TEST(a_host_that_breaks_off_resets);
	TEST(a_guest_that_breaks_off_ends_it);
	TEST(what_the_guest_said_before_it_closed_is_read);
	TEST(nobody_reads_what_the_guest_said_before_it_closed);
	TEST(the_end_waits_for_what_is_kept);
	TEST(connections_take_turns);
	return tap_done();
}
