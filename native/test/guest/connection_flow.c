/* SPDX-License-Identifier: MIT */
/* How much a host may say and is told. */
#include "connection.h"

#include "fake_host.h"

enum { WINDOW = 256 * 1024 };

/* It answers all, but no faster than it is heard. */
static void a_flood_waits_for_whoever_does_not_read(void)
{
	static const uint8_t ping[] = { 0, 0, 0, 3, 0x92, FRAME_PING, 5 };
	struct fake_host *host = host_meet(WINDOW);
	size_t sent = 0;
	size_t answered = 0;
	int full = 0;
	int kind;

	while (full < 8) {
		ssize_t count = send(host->fd, ping + sent % sizeof(ping),
				     sizeof(ping) - sent % sizeof(ping),
				     MSG_NOSIGNAL);

		if (count > 0)
			sent += (size_t)count;
		full = count > 0 ? 0 : full + 1;
		if (count < 0)
			host_turn(host);
	}
	CHECK(host->connection.state == CONNECTION_OPEN);
	CHECK(!frame_output_has_room(&host->connection.output));
	for (full = 0; full < 8; full++) {
		while ((kind = host_hear(host)) == FRAME_PONG) {
			answered++;
			full = 0;
		}
		CHECK(kind == -1);
		host_turn(host);
	}
	CHECK(answered == sent / sizeof(ping));
	host_close(host);
}

/* Gives the agent all that it takes of a child's output; the size of it. */
static size_t pour(struct fake_host *host, int fd, size_t length)
{
	static const uint8_t bytes[4096];
	size_t poured = 0;

	for (int idle = 0; poured < length && idle < 8; idle++) {
		ssize_t count = write(fd, bytes, sizeof(bytes));

		if (count > 0) {
			poured += (size_t)count;
			idle = 0;
		}
		host_turn(host);
	}
	return poured;
}

/* What the host hears of the outputs of one call, in bytes. */
static int64_t hear_data(struct fake_host *host, uint32_t id)
{
	int64_t sum = 0;
	int kind;

	for (int idle = 0; idle < 8; idle++) {
		while ((kind = host_hear(host)) >= 0) {
			idle = 0;
			if (kind != FRAME_DATA || host_number(host) != id)
				continue;
			host_number(host);
			sum += host_member(host).length;
		}
		host_turn(host);
	}
	return sum;
}

static void no_more_than_the_credit_is_sent(void)
{
	struct fake_host *host = host_meet(1000);
	struct fake_child child = child_start(host, 1);

	pour(host, child.outputs[0], 8192);
	CHECK(hear_data(host, 1) == 1000);
	host_say(host, FRAME_CREDIT, 1, CHANNEL_OUTPUT, 1);
	CHECK(hear_data(host, 1) == 1);
	host_say(host, FRAME_CREDIT, 1, CHANNEL_OUTPUT, 500);
	CHECK(hear_data(host, 1) == 500);
	/* The other output has its own. */
	pour(host, child.outputs[1], 4096);
	CHECK(hear_data(host, 1) == 1000);
	child_leave(&child);
	host_close(host);
}

static void an_output_that_waits_stops_no_other(void)
{
	struct fake_host *host = host_meet(100);
	struct fake_child first = child_start(host, 1);
	struct fake_child second = child_start(host, 2);

	pour(host, first.outputs[0], 1024 * 1024);
	CHECK(hear_data(host, 1) == 100);
	pour(host, second.outputs[0], 4096);
	CHECK(hear_data(host, 2) == 100);
	host_say(host, FRAME_PING, 3);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_PONG);
	child_leave(&first);
	child_leave(&second);
	host_close(host);
}

static bool send_input(struct fake_host *host, uint32_t id, uint32_t length)
{
	static const uint8_t bytes[DATA_BYTES_MAX];
	static uint8_t body[DATA_BYTES_MAX + 32];
	struct msgpack_writer writer = { body, body + sizeof(body), false };

	msgpack_put_array(&writer, 4);
	msgpack_put_integer(&writer, FRAME_DATA);
	msgpack_put_integer(&writer, id);
	msgpack_put_integer(&writer, CHANNEL_INPUT);
	msgpack_put_bin(&writer, bytes, length);
	return host_send_frame(host, body, (size_t)(writer.at - body));
}

static void input_that_nobody_reads_has_its_window(void)
{
	struct fake_host *host = host_meet(WINDOW);
	struct fake_child child = child_start(host, 1);
	uint32_t left = INPUT_WINDOW;
	uint8_t bytes[4096];

	while (left > 0) {
		uint32_t count = left < 16384 ? left : 16384;

		CHECK(send_input(host, 1, count));
		host_settle(host);
		left -= count;
	}
	/* The pipe has taken its part, for which there is new credit. */
	CHECK(host_hear(host) == FRAME_CREDIT);
	while (read(child.input, bytes, sizeof(bytes)) > 0)
		host_turn(host);
	host_settle(host);
	host_say(host, FRAME_PING, 3);
	host_settle(host);
	CHECK(host_hear_of(host, FRAME_PONG));
	for (int i = 0; i < 16; i++) {
		send_input(host, 1, 30000);
		host_settle(host);
	}
	CHECK(host_hear_of(host, FRAME_FAULT));
	child_leave(&child);
	host_close(host);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	TEST(a_flood_waits_for_whoever_does_not_read);
	TEST(no_more_than_the_credit_is_sent);
	TEST(an_output_that_waits_stops_no_other);
	TEST(input_that_nobody_reads_has_its_window);
	return tap_done();
}
