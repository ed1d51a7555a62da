/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection.h"

enum {
	/* The end of input of a terminal is a byte of its own. */
	INPUT_BYTES = INPUT_WINDOW + 1,
	GRANT_BYTES_MIN = INPUT_WINDOW / 4,
	DISCARD_BYTES = 16 * 1024,
	END_OF_TRANSMISSION = 4,
};

static void close_descriptor(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct call *calls_find(struct calls *calls, const struct connection *host,
			uint32_t id)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		struct call *call = &calls->slots[i];

		if (call->used && call->host == host && call->id == id)
			return call;
	}
	return NULL;
}

/* What goes to the child. */

static void input_stop(struct call_input *input)
{
	close_descriptor(&input->fd);
	free(input->bytes);
	input->bytes = NULL;
	input->length = 0;
	input->gone = true;
}

static uint8_t *input_at(struct call_input *input, uint32_t offset,
			 uint32_t *until_edge)
{
	uint32_t position = (input->start + offset) % INPUT_BYTES;

	*until_edge = INPUT_BYTES - position;
	return input->bytes + position;
}

static void input_append(struct call_input *input, const uint8_t *bytes,
			 uint32_t length)
{
	while (length > 0) {
		uint32_t room;
		uint8_t *tail = input_at(input, input->length, &room);
		uint32_t count = length < room ? length : room;

		memcpy(tail, bytes, count);
		input->length += count;
		bytes += count;
		length -= count;
	}
}

/* Gives the child as much as it takes. */
static void input_pour(struct call_input *input)
{
	while (input->length > 0) {
		uint32_t room;
		const uint8_t *head = input_at(input, 0, &room);
		uint32_t count = input->length < room ? input->length : room;
		ssize_t written = write(input->fd, head, count);

		if (written < 0) {
			if (errno != EAGAIN && errno != EINTR)
				input_stop(input);
			return;
		}
		input->start = (input->start + (uint32_t)written) % INPUT_BYTES;
		input->length -= (uint32_t)written;
		input->consumed += (uint32_t)written;
	}
	free(input->bytes);
	input->bytes = NULL;
}

static void input_ready(void *owner, short events, int detail)
{
	struct call_input *input = owner;

	(void)detail;
	if (input->fd < 0)
		return;
	if (events & POLLOUT)
		input_pour(input);
	else if (events & (POLLERR | POLLHUP))
		input_stop(input);
	if (input->fd >= 0 && input->ended && input->length == 0)
		input_stop(input);
}

int call_take_input(struct call *call, const uint8_t *bytes, uint32_t length)
{
	struct call_input *input = &call->input;

	if (length > input->granted || input->ended)
		return -EPROTO;
	input->granted -= length;
	if (input->gone)
		return 0;
	if (!input->bytes) {
		input->bytes = malloc(INPUT_BYTES);
		input->start = 0;
	}
	if (!input->bytes) {
		input_stop(input);
		return 0;
	}
	input_append(input, bytes, length);
	input_pour(input);
	return 0;
}

void call_end_input(struct call *call)
{
	static const uint8_t end[] = { END_OF_TRANSMISSION };
	struct call_input *input = &call->input;

	if (input->ended)
		return;
	if (call->terminal) {
		input->granted += sizeof(end);
		call_take_input(call, end, sizeof(end));
		input->ended = true;
		return;
	}
	input->ended = true;
	if (input->length == 0)
		input_stop(input);
}

/* What comes from the child. */

int call_grant(struct call *call, int channel, uint32_t count)
{
	struct call_output *output;

	if (channel != CHANNEL_OUTPUT && channel != CHANNEL_ERROR)
		return -EPROTO;
	output = &call->outputs[channel - CHANNEL_OUTPUT];
	output->credit += count;
	return output->credit > OUTPUT_WINDOW_MAX ? -EPROTO : 0;
}

/*
 * A child that still writes gets what a pipe without a reader gives. What its
 * own children write after its end goes nowhere instead, so that they live on;
 * and a terminal is not torn from whoever sits at it.
 */
int call_drop(struct call *call, int channel)
{
	struct call_output *output;

	if (channel != CHANNEL_OUTPUT && channel != CHANNEL_ERROR)
		return -EPROTO;
	output = &call->outputs[channel - CHANNEL_OUTPUT];
	output->dropped = true;
	if (call->pid != 0 && !call->terminal)
		close_descriptor(&output->fd);
	return 0;
}

static void output_discard(struct call_output *output)
{
	uint8_t bytes[DISCARD_BYTES];
	ssize_t count = read(output->fd, bytes, sizeof(bytes));

	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
		close_descriptor(&output->fd);
}

/* Reads straight into a frame: its head has the same size for any length. */
static void output_send(struct call *call, int channel)
{
	struct call_output *output = &call->outputs[channel - CHANNEL_OUTPUT];
	struct frame_output *frames = &call->host->output;
	size_t most = output->credit < DATA_BYTES_MAX ? output->credit
						      : DATA_BYTES_MAX;
	struct msgpack_writer writer;
	ssize_t count;

	if (most == 0 || !frame_output_has_data_room(frames))
		return;
	writer = frame_output_begin(frames);
	msgpack_put_array(&writer, 4);
	msgpack_put_integer(&writer, FRAME_DATA);
	msgpack_put_integer(&writer, call->id);
	msgpack_put_integer(&writer, channel);
	count = read(output->fd, writer.at + 3, most);
	if (count > 0) {
		writer.at[0] = 0xc5;
		writer.at[1] = (uint8_t)(count >> 8);
		writer.at[2] = (uint8_t)count;
		writer.at += 3 + count;
		frame_output_end(frames, &writer);
		output->credit -= (uint64_t)count;
		output->sent += (uint64_t)count;
	} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
		/* A terminal that nobody has open any more gives EIO. */
		close_descriptor(&output->fd);
	}
}

static void output_ready(void *owner, short events, int channel)
{
	struct call *call = owner;
	struct call_output *output = &call->outputs[channel - CHANNEL_OUTPUT];

	(void)events;
	if (output->fd < 0)
		return;
	if (output->dropped || !call->host)
		output_discard(output);
	else
		output_send(call, channel);
}

/* What it says of itself. */

static void report_ready(void *owner, short events, int detail)
{
	struct call *call = owner;
	size_t room = sizeof(call->report) - call->report_length;
	ssize_t count;

	(void)events;
	(void)detail;
	count = read(call->report_fd, call->report + call->report_length, room);
	if (count > 0)
		call->report_length += (uint32_t)count;
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		close_descriptor(&call->report_fd);
}

static bool report_is_sound(const struct call *call)
{
	const uint8_t *map = call->report + 1;

	return call->report_length > 1 &&
	       (call->report[0] == REPORT_RESULT ||
		call->report[0] == REPORT_FAILURE) &&
	       (map[0] & 0xf0) == 0x80 &&
	       !msgpack_check(map, call->report_length - 1);
}

static void say_report(struct call *call)
{
	struct failure died = { .reason = REASON_DIED };
	struct frame_output *frames = &call->host->output;
	struct msgpack_writer writer = frame_output_begin(frames);
	bool sound = report_is_sound(call);
	bool result = sound && call->report[0] == REPORT_RESULT;

	msgpack_put_array(&writer, 3);
	msgpack_put_integer(&writer, result ? FRAME_RESULT : FRAME_FAILED);
	msgpack_put_integer(&writer, call->id);
	if (sound)
		msgpack_put_raw(&writer, call->report + 1,
				call->report_length - 1);
	else
		failure_put(&writer, &died);
	frame_output_end(frames, &writer);
}

/* How much the program had written when it ended: what comes after that is not
 * its own. Of a terminal that is not known; it ends with its program. */
static void put_written(struct msgpack_writer *writer, const struct call *call,
			const struct call_output *output)
{
	int waiting = 0;

	if (call->terminal) {
		msgpack_put_nil(writer);
		return;
	}
	if (output->fd >= 0)
		ioctl(output->fd, FIONREAD, &waiting);
	msgpack_put_integer(writer, (int64_t)output->sent + waiting);
}

static void say_exit(struct call *call)
{
	struct frame_output *frames = &call->host->output;
	struct msgpack_writer writer = frame_output_begin(frames);

	msgpack_put_array(&writer, 6);
	msgpack_put_integer(&writer, FRAME_EXIT);
	msgpack_put_integer(&writer, call->id);
	if (WIFSIGNALED(call->status)) {
		msgpack_put_nil(&writer);
		msgpack_put_integer(&writer, WTERMSIG(call->status));
	} else {
		msgpack_put_integer(&writer, WEXITSTATUS(call->status));
		msgpack_put_nil(&writer);
	}
	put_written(&writer, call, &call->outputs[0]);
	put_written(&writer, call, &call->outputs[1]);
	frame_output_end(frames, &writer);
}

static void say(struct call *call, enum frame_kind kind, uint32_t members,
		int64_t first, int64_t second)
{
	struct frame_output *frames = &call->host->output;
	struct msgpack_writer writer = frame_output_begin(frames);

	msgpack_put_array(&writer, 2 + members);
	msgpack_put_integer(&writer, kind);
	msgpack_put_integer(&writer, call->id);
	if (members > 0)
		msgpack_put_integer(&writer, first);
	if (members > 1)
		msgpack_put_integer(&writer, second);
	frame_output_end(frames, &writer);
}

static void speak_of_input(struct call *call)
{
	struct call_input *input = &call->input;

	if (input->gone) {
		if (!input->gone_told && !input->ended)
			say(call, FRAME_DROP, 1, CHANNEL_INPUT, 0);
		input->gone_told = true;
	} else if (input->consumed >= GRANT_BYTES_MIN && !input->ended) {
		say(call, FRAME_CREDIT, 2, CHANNEL_INPUT, input->consumed);
		input->granted += input->consumed;
		input->consumed = 0;
	}
}

static void speak_of_outputs(struct call *call)
{
	for (int i = 0; i < 2; i++) {
		struct call_output *output = &call->outputs[i];

		if (output->fd >= 0 || output->dropped || output->end_told)
			continue;
		say(call, FRAME_END, 1, CHANNEL_OUTPUT + i, 0);
		output->end_told = true;
	}
}

static void speak_of_end(struct call *call)
{
	bool failed = call->report_length > 0 ? call->report[0] != REPORT_RESULT
					      : !call->program;

	if (call->program && !failed)
		say_exit(call);
	else
		say_report(call);
	call->end_told = true;
	if (failed)
		call->host = NULL;
}

/* All that a call has to say at a time fits in two replies: the head of a frame
 * and few numbers each, but for a report. */
void call_speak(struct call *call)
{
	bool reported = call->report_fd < 0;

	if (!call->host || !frame_output_has_room(&call->host->output))
		return;
	if (call->program && !call->started_told) {
		if (reported && call->report_length == 0) {
			say(call, FRAME_STARTED, 1, call->leader, 0);
			call->started_told = true;
		}
	} else {
		speak_of_outputs(call);
	}
	speak_of_input(call);
	if (!frame_output_has_room(&call->host->output))
		return;
	if (reported && call->pid == 0 && !call->end_told)
		speak_of_end(call);
	/* The host has forgotten it, too. */
	if (call->end_told &&
	    (call->outputs[0].dropped || call->outputs[0].end_told) &&
	    (call->outputs[1].dropped || call->outputs[1].end_told))
		call->host = NULL;
}

void call_watch(struct call *call, struct poller *poller)
{
	/* Output that comes before the news of a start would confuse. */
	bool open = !call->program || call->started_told || !call->host;

	if (call->report_fd >= 0)
		poller_add(poller, call->report_fd, POLLIN, report_ready, call,
			   0);
	if (call->input.fd >= 0)
		poller_add(poller, call->input.fd,
			   call->input.length > 0 ? POLLOUT : 0, input_ready,
			   &call->input, 0);
	for (int i = 0; open && i < 2; i++) {
		struct call_output *output = &call->outputs[i];
		bool discards = output->dropped || !call->host;

		/* An end is seen without being asked for: no watch without
		 * room for what it would lead to. */
		if (output->fd >= 0 &&
		    (discards ||
		     (output->credit > 0 &&
		      frame_output_has_data_room(&call->host->output))))
			poller_add(poller, output->fd, POLLIN, output_ready,
				   call, CHANNEL_OUTPUT + i);
	}
}

bool call_is_over(const struct call *call)
{
	return !call->host && call->pid == 0 && call->report_fd < 0 &&
	       call->outputs[0].fd < 0 && call->outputs[1].fd < 0;
}

void call_close(struct call *call)
{
	input_stop(&call->input);
	close_descriptor(&call->report_fd);
	close_descriptor(&call->outputs[0].fd);
	close_descriptor(&call->outputs[1].fd);
}
