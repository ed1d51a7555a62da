/* SPDX-License-Identifier: MIT */
/*
 * A host at the other end of a connection, which is driven turn by turn; the
 * children of its calls are the test's (fake_children.h).
 */
#ifndef CAPSA_FAKE_HOST_H
#define CAPSA_FAKE_HOST_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "call.h"
#include "connection.h"
#include "fake_children.h"
#include "tap.h"

struct fake_host {
	int fd;
	struct calls calls;
	struct poller poller;
	struct connection connection;
	struct frame_input heard;
	/* Of the frame that was heard last. */
	const uint8_t *body;
	uint32_t length;
	struct msgpack_reader members;
};

/* One at a time: new memory for each takes a fuzzer longer than all else. */
static struct fake_host *host_open(bool port)
{
	static struct fake_host memory;
	struct fake_host *host = &memory;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		abort();
	memset(host, 0, sizeof(*host));
	host->fd = fds[0];
	calls_open(&host->calls, NULL);
	connection_open(&host->connection, &host->calls, fds[1], port);
	fake_pid_next = FAKE_PID_FIRST;
	return host;
}

/* One turn of the agent, which does not wait. */
static void host_turn(struct fake_host *host)
{
	poller_begin(&host->poller);
	connection_hear(&host->connection);
	calls_watch(&host->calls, &host->poller);
	if (host->connection.state != CONNECTION_CLOSED)
		connection_watch(&host->connection, &host->poller);
	poller_wake_at(&host->poller, poller_now_ms());
	poller_turn(&host->poller);
}

static void host_settle(struct fake_host *host)
{
	for (int i = 0; i < 4; i++)
		host_turn(host);
}

static void host_close(struct fake_host *host)
{
	if (host->connection.state != CONNECTION_CLOSED)
		connection_close(&host->connection);
	for (unsigned int i = 0; i < CALLS_MAX; i++)
		if (host->calls.slots[i].used)
			call_close(&host->calls.slots[i]);
	if (host->fd >= 0)
		close(host->fd);
}

/* False when it cannot be sent at once. */
static bool host_send(struct fake_host *host, const void *bytes, size_t length)
{
	return send(host->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static inline bool host_send_frame(struct fake_host *host, const uint8_t *body,
				   size_t length)
{
	uint8_t head[FRAME_HEAD_BYTES] = { 0, (uint8_t)(length >> 16),
					   (uint8_t)(length >> 8),
					   (uint8_t)length };

	return host_send(host, head, sizeof(head)) &&
	       host_send(host, body, length);
}

/* Sends an array of numbers. */
#define host_say(host, ...)                                                    \
	host_say_numbers(host, (const int64_t[]) { __VA_ARGS__ },              \
			 sizeof((const int64_t[]) { __VA_ARGS__ }) /           \
				 sizeof(int64_t))

static inline void host_say_numbers(struct fake_host *host,
				    const int64_t *numbers, size_t count)
{
	uint8_t body[128];
	struct msgpack_writer writer = { body, body + sizeof(body), false };

	msgpack_put_array(&writer, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		msgpack_put_integer(&writer, numbers[i]);
	CHECK(host_send_frame(host, body, (size_t)(writer.at - body)));
}

static inline void host_greet(struct fake_host *host, uint32_t version,
			      int64_t window)
{
	uint8_t body[64];
	struct msgpack_writer writer = { body, body + sizeof(body), false };

	msgpack_put_array(&writer, 5);
	msgpack_put_integer(&writer, FRAME_HELLO);
	msgpack_put_str(&writer, "capsa");
	msgpack_put_integer(&writer, version);
	msgpack_put_integer(&writer, version);
	msgpack_put_map(&writer, 1);
	msgpack_put_str(&writer, "window");
	msgpack_put_integer(&writer, window);
	CHECK(host_send_frame(host, body, (size_t)(writer.at - body)));
}

/* With standard input. */
static inline void host_ask(struct fake_host *host, uint32_t id,
			    const char *method)
{
	uint8_t body[64];
	struct msgpack_writer writer = { body, body + sizeof(body), false };

	msgpack_put_array(&writer, 4);
	msgpack_put_integer(&writer, FRAME_OPEN);
	msgpack_put_integer(&writer, id);
	msgpack_put_str(&writer, method);
	msgpack_put_map(&writer, 1);
	msgpack_put_str(&writer, "stdin");
	msgpack_put_boolean(&writer, true);
	CHECK(host_send_frame(host, body, (size_t)(writer.at - body)));
}

/* The next frame that the agent has sent: its kind, or -1 when there is none
 * yet, -2 when there will not be one. */
static int host_hear(struct fake_host *host)
{
	struct msgpack_value value;
	ssize_t count = 1;

	if (host->body)
		frame_input_take(&host->heard, FRAME_HEAD_BYTES + host->length);
	host->body = NULL;
	while (!frame_input_peek(&host->heard, &host->body, &host->length)) {
		host->body = NULL;
		count = frame_input_fill(&host->heard, host->fd);
		if (count <= 0)
			return count < 0 ? -1 : -2;
	}
	CHECK(host->body && !msgpack_check(host->body, host->length));
	host->members = (struct msgpack_reader) { host->body,
						  host->body + host->length };
	if (msgpack_next(&host->members, &value) ||
	    value.type != MSGPACK_ARRAY ||
	    msgpack_next(&host->members, &value) ||
	    value.type != MSGPACK_INTEGER)
		return -2;
	return (int)value.integer;
}

/* Whether a frame of this kind is among those that were sent; it becomes the
 * last that was heard. */
static inline bool host_hear_of(struct fake_host *host, enum frame_kind kind)
{
	int heard;

	do
		heard = host_hear(host);
	while (heard >= 0 && heard != (int)kind);
	return heard == (int)kind;
}

/* The next member of the frame that was heard. */
static inline struct msgpack_value host_member(struct fake_host *host)
{
	struct msgpack_value value = { 0 };

	CHECK(!msgpack_next(&host->members, &value));
	return value;
}

static inline int64_t host_number(struct fake_host *host)
{
	struct msgpack_value value = host_member(host);

	CHECK(value.type == MSGPACK_INTEGER);
	return value.integer;
}

static inline bool host_text(struct fake_host *host, const char *text)
{
	struct msgpack_value value = host_member(host);

	return value.type == MSGPACK_STR && value.length == strlen(text) &&
	       !memcmp(value.bytes, text, value.length);
}

/* An open connection. */
static inline struct fake_host *host_meet(int64_t window)
{
	struct fake_host *host = host_open(false);

	host_greet(host, PROTOCOL_HIGHEST, window);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_HELLO);
	return host;
}

/* What a child would have: new pipes, in place of those that it closed. */
struct fake_child {
	struct call *call;
	int input;      /* to read from */
	int outputs[2]; /* to write to */
	int report;
};

static inline int child_pipe(int *agent_end, bool from_child)
{
	int fds[2];

	if (*agent_end < 0)
		return -1;
	if (pipe2(fds, O_NONBLOCK) ||
	    dup2(fds[from_child ? 0 : 1], *agent_end) < 0)
		abort();
	close(fds[from_child ? 0 : 1]);
	return fds[from_child ? 1 : 0];
}

/* Before the agent has noticed that the pipes are closed. */
static inline struct fake_child child_of(struct fake_host *host, uint32_t id)
{
	struct call *call = calls_find(&host->calls, &host->connection, id);
	struct fake_child child = { .call = call };

	if (!call)
		abort();
	child.input = child_pipe(&call->input.fd, false);
	for (int i = 0; i < 2; i++)
		child.outputs[i] = child_pipe(&call->outputs[i].fd, true);
	child.report = child_pipe(&call->report_fd, true);
	return child;
}

static inline void child_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A call whose child lives. Its pipes are replaced in the same turn in which
 * the agent made them, before it looks at them. */
static inline struct fake_child child_start(struct fake_host *host, uint32_t id)
{
	struct fake_child child;

	host_ask(host, id, "spawn");
	host_turn(host);
	connection_hear(&host->connection);
	child = child_of(host, id);
	child_close(&child.report);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_STARTED);
	CHECK(host_number(host) == id);
	return child;
}

/* All but its end, which calls_reaped() tells. */
static inline void child_leave(struct fake_child *child)
{
	child_close(&child->input);
	child_close(&child->outputs[0]);
	child_close(&child->outputs[1]);
	child_close(&child->report);
}

#endif
