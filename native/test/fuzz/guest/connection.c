/* SPDX-License-Identifier: MIT */
/*
 * Whatever a host says, in whichever pieces: what the agent says back are
 * frames, nobody is sent more than he allowed, nothing is held beyond the
 * limits, and the agent comes to rest. No program runs (fake_children.h).
 *
 * Input: a byte of settings, then steps: what to do, a length or a number, and
 * for what the host says, so many bytes.
 */
#include "connection.h"

#include <string.h>

#include "fake_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STEPS_MAX = 64,
	TURNS_MAX = 512,
	PIECE = 4096,
};

/* Of each step the low bits. */
enum step {
	STEP_SAY_FRAME,
	STEP_SAY_FRAME_TOO, /* most of what there is to do */
	STEP_SAY_BYTES,
	STEP_SPAWN,
	STEP_WRITE,
	STEP_READ,
	STEP_END,
	STEP_HEAR,
};

struct run {
	struct fake_host *host;
	const uint8_t *at;
	const uint8_t *end;
	struct fake_child child; /* the last one with pipes of its own */
	uint32_t last_id;
};

static void require(int holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_limits(const struct fake_host *host)
{
	const struct connection *connection = &host->connection;

	require(connection->input.start + connection->input.length <=
		sizeof(connection->input.bytes));
	require(connection->output.start + connection->output.length <=
		sizeof(connection->output.bytes));
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		const struct call *call = &host->calls.slots[i];

		if (!call->used)
			continue;
		require(call->input.length <= INPUT_WINDOW + 1);
		require(call->report_length <= sizeof(call->report));
		require(!call->host || call->host == connection);
	}
}

static void turn(struct run *run)
{
	if (run->host->connection.state == CONNECTION_CLOSED)
		return;
	host_turn(run->host);
	check_limits(run->host);
}

/* All that the agent has to say, which must have an end. */
static void hear(struct run *run)
{
	struct msgpack_value id;
	int idle = 0;
	int turns;

	for (turns = 0; idle < 4 && turns < TURNS_MAX; turns++) {
		int kind = host_hear(run->host);

		require(!tap_bad_checks);
		require(kind <= FRAME_FAULT);
		idle = kind < 0 ? idle + 1 : 0;
		if (kind >= FRAME_DATA && kind <= FRAME_FAILED)
			require(!msgpack_next(&run->host->members, &id) &&
				id.type == MSGPACK_INTEGER && id.integer > 0);
		if (kind < 0)
			turn(run);
	}
	require(turns < TURNS_MAX);
}

static uint8_t take(struct run *run)
{
	return run->at < run->end ? *run->at++ : 0;
}

static void say(struct run *run, bool frame)
{
	size_t length = (size_t)take(run) | (size_t)(take(run) & 3) << 8;

	if (length > (size_t)(run->end - run->at))
		length = (size_t)(run->end - run->at);
	/* What does not fit is lost, and the rest is garbage. */
	if (frame)
		host_send_frame(run->host, run->at, length);
	else
		host_send(run->host, run->at, length);
	run->at += length;
	turn(run);
}

static void leave(struct run *run)
{
	if (run->child.call)
		child_leave(&run->child);
	run->child.call = NULL;
}

/* A call whose child has pipes. */
static void spawn(struct run *run)
{
	struct connection *connection = &run->host->connection;
	uint32_t id = connection->highest_id + 1;
	uint8_t detail = take(run);

	if (connection->state != CONNECTION_OPEN || id == 0)
		return;
	leave(run);
	/* As long as something is before it, it waits. */
	hear(run);
	host_ask(run->host, id, detail & 1 ? "spawn" : "write");
	turn(run);
	if (connection->state == CONNECTION_CLOSED)
		return;
	connection_hear(connection);
	if (!calls_find(&run->host->calls, connection, id))
		return;
	run->last_id = id;
	run->child = child_of(run->host, id);
	if (detail & 2)
		child_close(&run->child.report);
	turn(run);
}

static void child_write(struct run *run)
{
	static const uint8_t bytes[PIECE] = { REPORT_RESULT, 0x80 };
	uint8_t detail = take(run);
	const int fds[] = { run->child.outputs[0], run->child.outputs[1],
			    run->child.report };
	int fd = fds[detail % 3];

	if (run->child.call && fd >= 0)
		(void)!write(fd, bytes, (size_t)detail * 16);
	turn(run);
}

static void child_read(struct run *run)
{
	uint8_t bytes[PIECE];

	if (run->child.call && run->child.input >= 0)
		(void)!read(run->child.input, bytes, sizeof(bytes));
	turn(run);
}

static void child_end(struct run *run)
{
	int *const fds[] = { &run->child.input, &run->child.outputs[0],
			     &run->child.outputs[1], &run->child.report };
	uint8_t detail = take(run);

	if (run->child.call && detail < 128)
		child_close(fds[detail % 4]);
	else
		calls_reaped(&run->host->calls, FAKE_PID_FIRST + detail % 16,
			     detail << 8);
	turn(run);
}

static void step(struct run *run)
{
	switch ((enum step)(take(run) & 7)) {
	case STEP_SAY_FRAME:
	case STEP_SAY_FRAME_TOO:
		say(run, true);
		return;
	case STEP_SAY_BYTES:
		say(run, false);
		return;
	case STEP_SPAWN:
		spawn(run);
		return;
	case STEP_WRITE:
		child_write(run);
		return;
	case STEP_READ:
		child_read(run);
		return;
	case STEP_END:
		child_end(run);
		return;
	case STEP_HEAR:
		hear(run);
	}
}

/* Without a host nothing stays but what is not reaped. */
static void end(struct run *run)
{
	struct calls *calls = &run->host->calls;

	leave(run);
	hear(run);
	if (run->host->connection.state != CONNECTION_CLOSED)
		connection_close(&run->host->connection);
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		require(!calls->slots[i].used || !calls->slots[i].host);
		calls->slots[i].pid = 0;
	}
	for (int i = 0; i < 8; i++) {
		poller_begin(&run->host->poller);
		calls_watch(calls, &run->host->poller);
		poller_wake_at(&run->host->poller, poller_now_ms());
		poller_turn(&run->host->poller);
	}
	for (unsigned int i = 0; i < CALLS_MAX; i++)
		require(!calls->slots[i].used);
	host_close(run->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .at = data, .end = data + size };
	uint8_t settings = take(&run);

	signal(SIGPIPE, SIG_IGN);
	tap_bad_checks = 0;
	run.host = host_open(settings & 1);
	if (settings & 2) {
		host_greet(run.host, PROTOCOL_HIGHEST, 1 + settings);
		turn(&run);
	}
	for (int i = 0; i < STEPS_MAX && run.at < run.end; i++)
		step(&run);
	end(&run);
	return 0;
}
