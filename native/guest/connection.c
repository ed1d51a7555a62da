/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "call.h"

/* How a greeting begins, in every version: what a deaf port listens for. */
static const uint8_t greeting[] = {
	FRAME_HELLO, 0xa5, 'c', 'a', 'p', 's', 'a'
};

enum {
	GREETING_OFFSET = FRAME_HEAD_BYTES + 1, /* the array's head */
	AWAY_RETRY_MS = 250,
	GREETING_MS = 1000 * GREETING_SECONDS,
	/* For a host that does not read. */
	LEAVE_SECONDS = 1,
};

void connection_open(struct connection *connection, struct calls *calls, int fd,
		     bool port)
{
	memset(connection, 0, sizeof(*connection));
	connection->calls = calls;
	connection->fd = fd;
	connection->port = port;
	connection->deadline_ms = port ? -1 : poller_now_ms() + GREETING_MS;
}

void connection_close(struct connection *connection)
{
	calls_abandon(connection->calls, connection);
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->state = CONNECTION_CLOSED;
}

void connection_leave(struct connection *connection)
{
	struct linger wait = { .l_onoff = 1, .l_linger = LEAVE_SECONDS };

	/* What is written to a port is with the host. */
	if (connection->port || connection->fd < 0)
		return;
	setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait));
	close(connection->fd);
	connection->fd = -1;
}

/* Says why it hears no more of this host. */
static void give_up(struct connection *connection, const char *code,
		    const char *text)
{
	struct msgpack_writer writer = frame_output_begin(&connection->output);

	msgpack_put_array(&writer, 3);
	msgpack_put_integer(&writer, FRAME_FAULT);
	msgpack_put_str(&writer, code);
	msgpack_put_str(&writer, text);
	frame_output_end(&connection->output, &writer);
	calls_abandon(connection->calls, connection);
	connection->state = connection->port ? CONNECTION_DEAF
					     : CONNECTION_CLOSING;
	connection->deadline_ms = poller_now_ms() + 1000;
}

/* The members of a frame, which was checked. */

static int next_number(struct msgpack_reader *reader, int64_t max,
		       uint32_t *number)
{
	struct msgpack_value value;

	if (msgpack_next(reader, &value) || value.type != MSGPACK_INTEGER ||
	    value.integer < 0 || value.integer > max)
		return -EPROTO;
	*number = (uint32_t)value.integer;
	return 0;
}

static int next_of(struct msgpack_reader *reader, enum msgpack_type type,
		   struct msgpack_value *value)
{
	return msgpack_next(reader, value) || value->type != type ? -EPROTO : 0;
}

static void put_hello(struct connection *connection)
{
	struct msgpack_writer writer = frame_output_begin(&connection->output);

	msgpack_put_array(&writer, 5);
	msgpack_put_integer(&writer, FRAME_HELLO);
	msgpack_put_str(&writer, "capsa");
	msgpack_put_integer(&writer, PROTOCOL_LOWEST);
	msgpack_put_integer(&writer, PROTOCOL_HIGHEST);
	msgpack_put_map(&writer, 2);
	msgpack_put_str(&writer, "agent");
	msgpack_put_str(&writer, AGENT_VERSION);
	msgpack_put_str(&writer, "window");
	msgpack_put_integer(&writer, INPUT_WINDOW);
	frame_output_end(&connection->output, &writer);
}

static void refuse_versions(struct connection *connection, uint32_t lowest,
			    uint32_t highest)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "the host speaks versions %" PRIu32 " to %" PRIu32
		 " of the protocol, the agent %d to %d",
		 lowest, highest, PROTOCOL_LOWEST, PROTOCOL_HIGHEST);
	give_up(connection, "Version", text);
}

/* Its first three members mean the same in all versions, so that both sides can
 * say what does not fit. What a newer host says beyond them is passed over. */
static int on_hello(struct connection *connection,
		    struct msgpack_reader *reader)
{
	struct msgpack_value name;
	struct msgpack_value settings;
	struct msgpack_value window;
	uint32_t lowest;
	uint32_t highest;

	if (next_of(reader, MSGPACK_STR, &name) || name.length != 5 ||
	    memcmp(name.bytes, "capsa", 5) != 0 ||
	    next_number(reader, UINT32_MAX, &lowest) ||
	    next_number(reader, UINT32_MAX, &highest) || lowest > highest)
		return -EPROTO;
	/* Whoever greets again begins anew. */
	calls_abandon(connection->calls, connection);
	put_hello(connection);
	if (lowest > PROTOCOL_HIGHEST || highest < PROTOCOL_LOWEST) {
		refuse_versions(connection, lowest, highest);
		return 0;
	}
	if (next_of(reader, MSGPACK_MAP, &settings) ||
	    msgpack_find(&settings, "window", MSGPACK_INTEGER, &window) ||
	    window.integer < 1 || window.integer > OUTPUT_WINDOW_MAX)
		return -EPROTO;
	connection->window = (uint32_t)window.integer;
	connection->highest_id = 0;
	connection->state = CONNECTION_OPEN;
	connection->deadline_ms = -1;
	return 0;
}

static int on_ping(struct connection *connection, struct msgpack_reader *reader)
{
	struct msgpack_writer writer;
	struct msgpack_value token;

	if (next_of(reader, MSGPACK_INTEGER, &token))
		return -EPROTO;
	writer = frame_output_begin(&connection->output);
	msgpack_put_array(&writer, 2);
	msgpack_put_integer(&writer, FRAME_PONG);
	msgpack_put_integer(&writer, token.integer);
	frame_output_end(&connection->output, &writer);
	return 0;
}

static void refuse(struct connection *connection, uint32_t id,
		   const struct failure *failure)
{
	struct msgpack_writer writer = frame_output_begin(&connection->output);

	msgpack_put_array(&writer, 3);
	msgpack_put_integer(&writer, FRAME_FAILED);
	msgpack_put_integer(&writer, id);
	failure_put(&writer, failure);
	frame_output_end(&connection->output, &writer);
}

static bool is_shutdown(const struct msgpack_value *method)
{
	return method->length == 8 && !memcmp(method->bytes, "shutdown", 8);
}

/* The connection only notes it: ending the machine is another's work. */
static void on_shutdown(struct connection *connection, uint32_t id,
			const struct msgpack_value *params)
{
	struct msgpack_value grace;
	struct msgpack_writer writer = frame_output_begin(&connection->output);

	connection->shutdown_ms = 5000;
	if (!msgpack_find(params, "graceMs", MSGPACK_INTEGER, &grace) &&
	    grace.integer >= 0 && grace.integer <= INT32_MAX)
		connection->shutdown_ms = (uint32_t)grace.integer;
	connection->wants_shutdown = true;
	msgpack_put_array(&writer, 3);
	msgpack_put_integer(&writer, FRAME_RESULT);
	msgpack_put_integer(&writer, id);
	msgpack_put_map(&writer, 0);
	frame_output_end(&connection->output, &writer);
}

static int on_open(struct connection *connection, struct msgpack_reader *reader)
{
	struct failure failure;
	struct msgpack_value method;
	struct msgpack_value params;
	uint32_t id;

	if (next_number(reader, UINT32_MAX, &id) ||
	    id <= connection->highest_id ||
	    next_of(reader, MSGPACK_STR, &method) ||
	    next_of(reader, MSGPACK_MAP, &params))
		return -EPROTO;
	connection->highest_id = id;
	if (is_shutdown(&method))
		on_shutdown(connection, id, &params);
	else if (calls_start(connection->calls, connection, id, &method,
			     &params, &failure))
		refuse(connection, id, &failure);
	return 0;
}

/* Frames that are about a call. What is about one that is over is late, and no
 * fault. */
static int on_call_frame(struct connection *connection, enum frame_kind kind,
			 struct msgpack_reader *reader)
{
	struct calls *calls = connection->calls;
	struct msgpack_value bytes;
	struct call *call;
	uint32_t numbers[2] = { 0 };
	uint32_t id;

	if (next_number(reader, UINT32_MAX, &id) || id > connection->highest_id)
		return -EPROTO;
	if (kind != FRAME_CANCEL &&
	    next_number(reader, UINT16_MAX, &numbers[0]))
		return -EPROTO;
	if ((kind == FRAME_CREDIT || kind == FRAME_SIGNAL ||
	     kind == FRAME_RESIZE) &&
	    next_number(reader, OUTPUT_WINDOW_MAX, &numbers[1]))
		return -EPROTO;
	if (kind == FRAME_DATA && next_of(reader, MSGPACK_BIN, &bytes))
		return -EPROTO;
	call = calls_find(calls, connection, id);
	if (!call)
		return 0;
	switch (kind) {
	case FRAME_DATA:
		return numbers[0] == CHANNEL_INPUT
			       ? call_take_input(call, bytes.bytes,
						 bytes.length)
			       : -EPROTO;
	case FRAME_END:
		call_end_input(call);
		return numbers[0] == CHANNEL_INPUT ? 0 : -EPROTO;
	case FRAME_CREDIT:
		return call_grant(call, (int)numbers[0], numbers[1]);
	case FRAME_DROP:
		return call_drop(call, (int)numbers[0]);
	case FRAME_SIGNAL:
		if (numbers[0] < 1 || numbers[0] > 64 ||
		    numbers[1] > SIGNAL_TREE)
			return -EPROTO;
		call_signal(calls, call, (int)numbers[0],
			    (enum signal_scope)numbers[1]);
		return 0;
	case FRAME_RESIZE:
		call_resize(call, (uint16_t)numbers[0], (uint16_t)numbers[1]);
		return 0;
	default:
		call_cancel(calls, call);
		return 0;
	}
}

static int on_frame(struct connection *connection, const uint8_t *body,
		    uint32_t length)
{
	struct msgpack_reader reader = { body, body + length };
	struct msgpack_value head;
	uint32_t kind;

	if (msgpack_check(body, length) ||
	    next_of(&reader, MSGPACK_ARRAY, &head) ||
	    next_number(&reader, FRAME_FAULT, &kind))
		return -EPROTO;
	if (kind == FRAME_HELLO)
		return on_hello(connection, &reader);
	if (connection->state != CONNECTION_OPEN)
		return -EPROTO;
	switch (kind) {
	case FRAME_PING:
		return on_ping(connection, &reader);
	case FRAME_PONG:
		return 0;
	case FRAME_OPEN:
		return on_open(connection, &reader);
	case FRAME_DATA:
	case FRAME_END:
	case FRAME_CREDIT:
	case FRAME_DROP:
	case FRAME_SIGNAL:
	case FRAME_RESIZE:
	case FRAME_CANCEL:
		return on_call_frame(connection, (enum frame_kind)kind,
				     &reader);
	default:
		return -EPROTO;
	}
}

static bool listens(const struct connection *connection)
{
	return connection->state == CONNECTION_GREETING ||
	       connection->state == CONNECTION_OPEN;
}

/* A whole frame that may be answered: a host that does not read what it is told
 * is not heard either. 1, 0 or -EPROTO. */
static int next_frame(const struct connection *connection, const uint8_t **body,
		      uint32_t *length)
{
	if (!listens(connection) || !frame_output_has_room(&connection->output))
		return 0;
	return frame_input_peek(&connection->input, body, length);
}

static void handle_frames(struct connection *connection)
{
	const uint8_t *body;
	uint32_t length;
	int whole;

	while ((whole = next_frame(connection, &body, &length)) != 0) {
		/* First of all: a deaf port must not find it again. Its bytes
		 * stay where they are until more is read. */
		frame_input_take(&connection->input,
				 FRAME_HEAD_BYTES + (whole > 0 ? length : 0));
		if (whole < 0 || on_frame(connection, body, length)) {
			give_up(connection, "Protocol",
				"the agent does not understand the host");
			return;
		}
	}
}

/* Throws away all that comes before a greeting. */
static void listen_for_greeting(struct connection *connection)
{
	struct frame_input *input = &connection->input;
	const uint8_t *bytes = input->bytes + input->start;
	uint32_t needed = GREETING_OFFSET + sizeof(greeting);
	uint32_t at = 0;

	while (at + needed <= input->length &&
	       (bytes[at] != 0 || bytes[at + 1] != 0 ||
		memcmp(bytes + at + GREETING_OFFSET, greeting,
		       sizeof(greeting)) != 0))
		at++;
	if (at + needed <= input->length)
		connection->state = CONNECTION_GREETING;
	frame_input_take(input, at);
}

/* The host hung up. A port stays, for another. */
static void port_left(struct connection *connection)
{
	calls_abandon(connection->calls, connection);
	frame_input_take(&connection->input, connection->input.length);
	connection->output.length = 0;
	connection->state = CONNECTION_GREETING;
	connection->away = true;
	connection->deadline_ms = poller_now_ms() + AWAY_RETRY_MS;
}

static void read_more(struct connection *connection)
{
	ssize_t count = frame_input_fill(&connection->input, connection->fd);

	if (count == 0 && connection->port)
		port_left(connection);
	else if (count == 0 || (count < 0 && count != -EAGAIN))
		connection_close(connection);
	else if (connection->state == CONNECTION_CLOSING)
		frame_input_take(&connection->input, connection->input.length);
}

static void connection_ready(void *owner, short events, int detail)
{
	struct connection *connection = owner;

	(void)detail;
	if (events & (POLLIN | POLLHUP | POLLERR))
		read_more(connection);
}

/* Its time is up: the host has said nothing, or does not hang up; or it is time
 * to look whether somebody is at the port again. */
static void on_deadline(struct connection *connection)
{
	connection->deadline_ms = -1;
	if (connection->away)
		connection->away = false;
	else if (!connection->port)
		connection_close(connection);
}

void connection_hear(struct connection *connection)
{
	if (connection->deadline_ms >= 0 &&
	    connection->deadline_ms <= poller_now_ms())
		on_deadline(connection);
	if (connection->state == CONNECTION_DEAF)
		listen_for_greeting(connection);
	handle_frames(connection);
}

static short events_of(const struct connection *connection)
{
	bool reads = !listens(connection) ||
		     frame_output_has_room(&connection->output);

	return (short)((reads ? POLLIN : 0) |
		       (connection->output.length > 0 ? POLLOUT : 0));
}

void connection_watch(struct connection *connection, struct poller *poller)
{
	bool was_full = !frame_output_has_data_room(&connection->output);
	const uint8_t *body;
	uint32_t length;

	if (connection->fd < 0 || connection->away)
		goto wake;
	if (frame_output_flush(&connection->output, connection->fd)) {
		connection_close(connection);
		return;
	}
	if (connection->state == CONNECTION_CLOSING &&
	    connection->output.length == 0)
		shutdown(connection->fd, SHUT_WR);
	poller_add(poller, connection->fd, events_of(connection),
		   connection_ready, connection, 0);
	/* What went out may have made room, for which somebody waits. */
	if (next_frame(connection, &body, &length) ||
	    (was_full && frame_output_has_data_room(&connection->output)))
		poller_wake_at(poller, poller_now_ms());
wake:
	if (connection->deadline_ms >= 0)
		poller_wake_at(poller, connection->deadline_ms);
}
