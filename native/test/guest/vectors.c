/* SPDX-License-Identifier: MIT */
/*
 * The messages in vectors.txt, which the host's side is tested with, too: they
 * mean what stands there, and the agent says them so.
 */
#include <stdarg.h>
#include <stdio.h>

#include "fake_host.h"

enum { VECTORS_MAX = 128, BYTES_MAX = 512, MEANING_MAX = 2048 };

struct vector {
	char direction;
	char name[32];
	uint32_t length;
	uint8_t bytes[BYTES_MAX];
	char meaning[MEANING_MAX];
};

static struct vector vectors[VECTORS_MAX];
static unsigned int vector_count;

static uint32_t from_hex(const char *hex, uint8_t *bytes)
{
	uint32_t length = 0;
	unsigned int byte;

	while (length < BYTES_MAX &&
	       sscanf(hex + 2 * length, "%2x", &byte) == 1)
		bytes[length++] = (uint8_t)byte;
	return length;
}

static void load(void)
{
	static char line[4096];
	static char hex[2 * BYTES_MAX + 1];
	FILE *file = fopen(TEST_FOLDER "/vectors.txt", "r");

	while (file && vector_count < VECTORS_MAX &&
	       fgets(line, sizeof(line), file)) {
		struct vector *vector = &vectors[vector_count];

		if (line[0] == '#' || line[0] == '\n')
			continue;
		CHECK(sscanf(line, "%c %31s %1024s %2047[^\n]",
			     &vector->direction, vector->name, hex,
			     vector->meaning) == 4);
		vector->length = from_hex(hex, vector->bytes);
		CHECK(vector->length == strlen(hex) / 2);
		vector_count++;
	}
	if (file)
		fclose(file);
}

static const struct vector *vector_of(char direction, const char *name)
{
	for (unsigned int i = 0; i < vector_count; i++)
		if (vectors[i].direction == direction &&
		    !strcmp(vectors[i].name, name))
			return &vectors[i];
	printf("# there is no %c %s\n", direction, name);
	abort();
}

/* What bytes mean, in the words of vectors.txt. */

struct meaning {
	char text[MEANING_MAX];
	size_t length;
};

static void add(struct meaning *meaning, const char *format, ...)
{
	size_t room = sizeof(meaning->text) - meaning->length;
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vsnprintf(meaning->text + meaning->length, room, format,
			  arguments);
	va_end(arguments);
	if (count < 0 || (size_t)count >= room)
		abort();
	meaning->length += (size_t)count;
}

static void add_value(struct meaning *meaning, struct msgpack_reader *reader);

static void add_members(struct meaning *meaning, struct msgpack_reader *reader,
			const struct msgpack_value *value)
{
	bool map = value->type == MSGPACK_MAP;

	add(meaning, map ? "{" : "[");
	for (uint32_t i = 0; i < value->length; i++) {
		add(meaning, i > 0 ? "," : "");
		if (map) {
			add_value(meaning, reader);
			add(meaning, ":");
		}
		add_value(meaning, reader);
	}
	add(meaning, map ? "}" : "]");
}

static void add_value(struct meaning *meaning, struct msgpack_reader *reader)
{
	struct msgpack_value value;

	CHECK(!msgpack_next(reader, &value));
	switch (value.type) {
	case MSGPACK_NIL:
		add(meaning, "null");
		break;
	case MSGPACK_BOOLEAN:
		add(meaning, value.boolean ? "true" : "false");
		break;
	case MSGPACK_INTEGER:
		add(meaning, "%lld", (long long)value.integer);
		break;
	case MSGPACK_STR:
		add(meaning, "\"%.*s\"", (int)value.length, value.bytes);
		break;
	case MSGPACK_BIN:
		add(meaning, "\"hex:");
		for (uint32_t i = 0; i < value.length; i++)
			add(meaning, "%02x", value.bytes[i]);
		add(meaning, "\"");
		break;
	default:
		add_members(meaning, reader, &value);
	}
}

static void each_means_what_stands_there(void)
{
	CHECK(vector_count > 50);
	for (unsigned int i = 0; i < vector_count; i++) {
		const struct vector *vector = &vectors[i];
		struct msgpack_reader reader = {
			vector->bytes, vector->bytes + vector->length
		};
		struct meaning meaning = { .length = 0 };

		CHECK(!msgpack_check(vector->bytes, vector->length));
		add_value(&meaning, &reader);
		CHECK(reader.at == reader.end);
		CHECK(!strcmp(meaning.text, vector->meaning));
	}
}

/* Reads a value, and writes it. */
static void copy_value(struct msgpack_writer *writer,
		       struct msgpack_reader *reader)
{
	struct msgpack_value value;
	char text[BYTES_MAX];

	CHECK(!msgpack_next(reader, &value));
	switch (value.type) {
	case MSGPACK_NIL:
		msgpack_put_nil(writer);
		return;
	case MSGPACK_BOOLEAN:
		msgpack_put_boolean(writer, value.boolean);
		return;
	case MSGPACK_INTEGER:
		msgpack_put_integer(writer, value.integer);
		return;
	case MSGPACK_STR:
		memcpy(text, value.bytes, value.length);
		text[value.length] = '\0';
		msgpack_put_str(writer, text);
		return;
	case MSGPACK_BIN:
		msgpack_put_bin(writer, value.bytes, value.length);
		return;
	case MSGPACK_ARRAY:
		msgpack_put_array(writer, value.length);
		break;
	case MSGPACK_MAP:
		msgpack_put_map(writer, value.length);
		break;
	}
	for (uint32_t i = 0; i < value.length; i++) {
		if (value.type == MSGPACK_MAP)
			copy_value(writer, reader);
		copy_value(writer, reader);
	}
}

static void values_are_written_so(void)
{
	for (unsigned int i = 0; i < vector_count; i++) {
		const struct vector *vector = &vectors[i];
		struct msgpack_reader reader = {
			vector->bytes, vector->bytes + vector->length
		};
		uint8_t bytes[BYTES_MAX];
		struct msgpack_writer writer = { bytes, bytes + sizeof(bytes),
						 false };

		if (vector->direction != '=')
			continue;
		copy_value(&writer, &reader);
		CHECK(!writer.overflow);
		CHECK(writer.at - bytes == vector->length &&
		      !memcmp(bytes, vector->bytes, vector->length));
	}
}

static void say(struct fake_host *host, const char *name)
{
	const struct vector *vector = vector_of('>', name);

	CHECK(host_send_frame(host, vector->bytes, vector->length));
	/* Read at the end of the first turn. */
	host_turn(host);
	connection_hear(&host->connection);
}

static void check_body(const struct fake_host *host,
		       const struct vector *vector)
{
	CHECK(host->length == vector->length &&
	      !memcmp(host->body, vector->bytes, vector->length));
}

static void expect(struct fake_host *host, const char *name)
{
	const struct vector *vector = vector_of('<', name);

	host_settle(host);
	CHECK(host_hear(host) == vector->bytes[1]);
	check_body(host, vector);
}

static struct fake_host *greet(void)
{
	struct fake_host *host = host_open(false);

	say(host, "hello");
	expect(host, "hello");
	return host;
}

/* A program whose child lives. */
static struct fake_child spawn(struct fake_host *host)
{
	struct fake_child child;

	say(host, "open-spawn");
	child = child_of(host, 1);
	child_close(&child.report);
	expect(host, "started");
	return child;
}

static void the_talk_about_a_program(void)
{
	static const uint8_t input[INPUT_WINDOW / 4];
	struct fake_host *host = greet();
	struct fake_child child;
	char bytes[64 * 1024] = { 0 };

	say(host, "ping");
	expect(host, "pong");
	child = spawn(host);
	CHECK(write(child.outputs[0], "output", 6) == 6);
	expect(host, "data");
	CHECK(write(child.outputs[1], "error", 5) == 5);
	expect(host, "data-error");
	say(host, "data");
	CHECK(read(child.input, bytes, sizeof(bytes)) == 5);
	CHECK(!strcmp(bytes, "input"));
	/* The window is given back once a quarter of it was read. */
	CHECK(!call_take_input(child.call, input, sizeof(input) - 5));
	expect(host, "credit");
	CHECK(child.call->outputs[1].credit == 256 * 1024 - 5);
	say(host, "credit");
	CHECK(child.call->outputs[1].credit == (256 + 64) * 1024 - 5);
	say(host, "resize");
	say(host, "signal");
	CHECK(fake_kill.pid == -FAKE_PID_FIRST && fake_kill.number == 15);
	child_close(&child.outputs[0]);
	expect(host, "end");
	say(host, "drop");
	CHECK(child.call->outputs[1].dropped);
	child_leave(&child);
	expect(host, "drop");
	CHECK(calls_reaped(&host->calls, FAKE_PID_FIRST, 3 << 8));
	expect(host, "exit");
	CHECK(host_hear(host) == -1);
	host_close(host);
}

static void the_end_of_a_program(void)
{
	struct fake_host *host = greet();
	struct fake_child child = spawn(host);

	say(host, "end");
	CHECK(child.call->input.ended);
	say(host, "cancel");
	CHECK(fake_kill.pid == FAKE_PID_FIRST && fake_kill.number == SIGKILL);
	CHECK(calls_reaped(&host->calls, FAKE_PID_FIRST, SIGKILL));
	expect(host, "exit-by-signal");
	child_leave(&child);
	host_close(host);
}

/* The child's report, which the agent passes on. */
static void report(struct fake_host *host, uint32_t id, uint8_t kind,
		   const char *name)
{
	const struct vector *vector = vector_of('<', name);
	struct fake_child child = child_of(host, id);

	/* An array of three, the kind, the identifier: then the map. */
	CHECK(write(child.report, &kind, 1) == 1);
	CHECK(write(child.report, vector->bytes + 3, vector->length - 3) > 0);
	CHECK(calls_reaped(&host->calls, child.call->pid, 0));
	child_leave(&child);
	host_settle(host);
	/* Before that comes the end of its output. */
	CHECK(host_hear_of(host, (enum frame_kind)vector->bytes[1]));
	check_body(host, vector);
}

static void the_talk_about_work(void)
{
	struct fake_host *host = greet();

	say(host, "open-stat");
	report(host, 2, REPORT_RESULT, "result");
	say(host, "open-read");
	report(host, 3, REPORT_FAILURE, "failed");
	say(host, "open-none");
	expect(host, "failed-none");
	say(host, "open-shutdown");
	expect(host, "result-shutdown");
	CHECK(host->connection.wants_shutdown);
	CHECK(host->connection.shutdown_ms == 2500);
	CHECK(host_send_frame(host, (const uint8_t *)"\xc1", 1));
	host_turn(host);
	expect(host, "fault");
	host_close(host);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	load();
	TEST(each_means_what_stands_there);
	TEST(values_are_written_so);
	TEST(the_talk_about_a_program);
	TEST(the_end_of_a_program);
	TEST(the_talk_about_work);
	return tap_done();
}
