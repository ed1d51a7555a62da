/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

struct fixture {
	int near;
	int far;
	struct frame_input input;
	struct frame_output output;
	const uint8_t *body;
	uint32_t length;
};

static struct fixture *set_up(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fds[2];

	if (!fixture ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		abort();
	fixture->near = fds[0];
	fixture->far = fds[1];
	return fixture;
}

static void tear_down(struct fixture *fixture)
{
	close(fixture->near);
	close(fixture->far);
	free(fixture);
}

static ssize_t feed(struct fixture *fixture, const void *bytes, size_t length)
{
	CHECK(write(fixture->far, bytes, length) == (ssize_t)length);
	return frame_input_fill(&fixture->input, fixture->near);
}

static int peek(struct fixture *fixture)
{
	return frame_input_peek(&fixture->input, &fixture->body,
				&fixture->length);
}

static void take(struct fixture *fixture)
{
	frame_input_take(&fixture->input, FRAME_HEAD_BYTES + fixture->length);
}

static void pieces_of_any_size_are_put_together(void)
{
	static const uint8_t bytes[] = {
		0, 0, 0, 1, 'a', 0, 0, 0, 3, 'b', 'c', 'd', 0, 0, 0, 2, 'e', 'f'
	};

	for (size_t size = 1; size <= sizeof(bytes); size++) {
		struct fixture *fixture = set_up();
		char heard[8] = { 0 };
		size_t count = 0;

		for (size_t at = 0; at < sizeof(bytes); at += size) {
			size_t left = sizeof(bytes) - at;
			size_t piece = left < size ? left : size;

			CHECK(feed(fixture, bytes + at, piece) ==
			      (ssize_t)piece);
			while (peek(fixture) == 1) {
				memcpy(heard + count, fixture->body,
				       fixture->length);
				count += fixture->length;
				take(fixture);
			}
		}
		CHECK(count == 6 && !strcmp(heard, "abcdef"));
		CHECK(fixture->input.length == 0);
		tear_down(fixture);
	}
}

static void a_length_of_none_is_no_frame(void)
{
	static const struct {
		uint8_t head[FRAME_HEAD_BYTES];
		int result;
	} all[] = {
		{ { 0, 0, 0, 0 }, -EPROTO },
		{ { 0, 0, 0, 1 }, 0 },
		{ { 0, 1, 0, 0 }, 0 },
		{ { 0, 1, 0, 1 }, -EPROTO },
		{ { 1, 0, 0, 0 }, -EPROTO },
		{ { 0xff, 0xff, 0xff, 0xff }, -EPROTO },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct fixture *fixture = set_up();

		CHECK(peek(fixture) == 0);
		CHECK(feed(fixture, all[i].head, 3) == 3);
		CHECK(peek(fixture) == 0);
		CHECK(feed(fixture, all[i].head + 3, 1) == 1);
		CHECK(peek(fixture) == all[i].result);
		tear_down(fixture);
	}
}

static void the_largest_frame_fits_behind_another(void)
{
	static uint8_t bytes[FRAME_HEAD_BYTES + FRAME_BYTES_MAX] = { 0, 1 };
	struct fixture *fixture = set_up();
	size_t room = sizeof(fixture->input.bytes);

	for (int i = 0; i < 2; i++)
		for (size_t at = 0; at < sizeof(bytes); at += 1025) {
			size_t left = sizeof(bytes) - at;

			CHECK(feed(fixture, bytes + at,
				   left < 1025 ? left : 1025) > 0);
		}
	CHECK(fixture->input.length == room);
	/* What comes now stays where it is. */
	CHECK(feed(fixture, "x", 1) == -EAGAIN);
	CHECK(peek(fixture) == 1 && fixture->length == FRAME_BYTES_MAX);
	take(fixture);
	CHECK(peek(fixture) == 1 && fixture->length == FRAME_BYTES_MAX);
	CHECK(frame_input_fill(&fixture->input, fixture->near) == 1);
	take(fixture);
	CHECK(fixture->input.length == 1);
	tear_down(fixture);
}

static void the_end_and_errors_are_told(void)
{
	struct fixture *fixture = set_up();

	CHECK(frame_input_fill(&fixture->input, fixture->near) == -EAGAIN);
	CHECK(frame_input_fill(&fixture->input, -1) == -EBADF);
	CHECK(feed(fixture, "\0\0\0\2a", 5) == 5);
	shutdown(fixture->far, SHUT_WR);
	CHECK(frame_input_fill(&fixture->input, fixture->near) == 0);
	CHECK(peek(fixture) == 0);
	tear_down(fixture);
}

static void put(struct fixture *fixture, uint8_t byte, size_t length)
{
	struct msgpack_writer writer = frame_output_begin(&fixture->output);

	CHECK((size_t)(writer.end - writer.at) >= length);
	memset(writer.at, byte, length);
	writer.at += length;
	frame_output_end(&fixture->output, &writer);
}

static void replies_have_room_when_data_has_none(void)
{
	struct fixture *fixture = set_up();
	int replies = 0;

	CHECK(frame_output_has_room(&fixture->output));
	CHECK(frame_output_has_data_room(&fixture->output));
	while (frame_output_has_data_room(&fixture->output))
		put(fixture, 'd', FRAME_ROOM_DATA - FRAME_HEAD_BYTES);
	for (; frame_output_has_room(&fixture->output); replies++)
		put(fixture, 'r', FRAME_ROOM_REPLY - FRAME_HEAD_BYTES);
	CHECK(replies >= 4);
	CHECK(fixture->output.length <= sizeof(fixture->output.bytes));
	tear_down(fixture);
}

/* All frames go out whole and in order, however little is written at once. */
static void what_is_put_in_comes_out(void)
{
	static uint8_t chunk[7001];
	struct fixture *fixture = set_up();
	unsigned int put_in = 0;
	unsigned int came_out = 0;
	int small = 4096;

	setsockopt(fixture->near, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (came_out < 500) {
		ssize_t count;
		bool fits;

		while (put_in < 500 &&
		       frame_output_has_room(&fixture->output)) {
			put(fixture, (uint8_t)put_in, 1 + put_in * 16);
			put_in++;
		}
		CHECK(!frame_output_flush(&fixture->output, fixture->near));
		count = read(fixture->far, chunk, sizeof(chunk));
		fits = count > 0 && fixture->input.length + (size_t)count <=
					    sizeof(fixture->input.bytes);
		CHECK(fits);
		if (!fits)
			break;
		memmove(fixture->input.bytes,
			fixture->input.bytes + fixture->input.start,
			fixture->input.length);
		fixture->input.start = 0;
		memcpy(fixture->input.bytes + fixture->input.length, chunk,
		       (size_t)count);
		fixture->input.length += (uint32_t)count;
		for (; peek(fixture) == 1; came_out++) {
			CHECK(fixture->length == 1 + came_out * 16);
			CHECK(fixture->body[0] == (uint8_t)came_out);
			CHECK(fixture->body[fixture->length - 1] ==
			      (uint8_t)came_out);
			take(fixture);
		}
	}
	CHECK(fixture->output.length == 0 && fixture->input.length == 0);
	tear_down(fixture);
}

static void a_reader_that_is_gone_is_told(void)
{
	struct fixture *fixture = set_up();
	int gone[2];

	CHECK(!frame_output_flush(&fixture->output, -1));
	put(fixture, 'x', 10);
	CHECK(frame_output_flush(&fixture->output, -1) == -EBADF);
	CHECK(fixture->output.length == 10 + FRAME_HEAD_BYTES);
	/* One that only does not read is waited for. */
	CHECK(!pipe2(gone, O_NONBLOCK));
	while (write(gone[1], "y", 1) > 0)
		;
	CHECK(!frame_output_flush(&fixture->output, gone[1]));
	CHECK(fixture->output.length == 10 + FRAME_HEAD_BYTES);
	close(gone[0]);
	close(gone[1]);
	tear_down(fixture);
}

int main(void)
{
	TEST(pieces_of_any_size_are_put_together);
	TEST(a_length_of_none_is_no_frame);
	TEST(the_largest_frame_fits_behind_another);
	TEST(the_end_and_errors_are_told);
	TEST(replies_have_room_when_data_has_none);
	TEST(what_is_put_in_comes_out);
	TEST(a_reader_that_is_gone_is_told);
	return tap_done();
}
