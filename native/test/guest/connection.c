/* SPDX-License-Identifier: MIT */
/* What a host may say, and in which order. */
#include "connection.h"

#include "fake_host.h"

enum { WINDOW = 256 * 1024 };

static void expect_fault(struct fake_host *host, const char *code)
{
	CHECK(host_hear(host) == FRAME_FAULT);
	CHECK(host_text(host, code));
}

static void it_greets_and_answers(void)
{
	struct fake_host *host = host_meet(WINDOW);

	CHECK(host_text(host, "capsa"));
	CHECK(host_number(host) == PROTOCOL_LOWEST);
	CHECK(host_number(host) == PROTOCOL_HIGHEST);
	host_say(host, FRAME_PING, 77);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_PONG);
	CHECK(host_number(host) == 77);
	host_close(host);
}

/* What hosts of all ages say first: the bytes of a frame's body. */
static const struct {
	const char *title;
	const char *bytes;
	uint32_t length;
	/* What ends it, or what is agreed on. */
	const char *fault;
	const char *text;
	uint32_t window;
} greetings[] = {
#define BODY(text) text, sizeof(text) - 1
	{ "a host of the same version",
	  BODY("\x95\0\xa5"
	       "capsa\1\1\x81\xa6window\x40"),
	  NULL, NULL, 64 },
	{ "a newer host that still knows this version",
	  BODY("\x95\0\xa5"
	       "capsa\1\x09\x81\xa6window\x40"),
	  NULL, NULL, 64 },
	{ "a host with settings and members that there are not yet",
	  BODY("\x97\0\xa5"
	       "capsa\1\2\x83\xa5"
	       "flags\x92\1\xc0\xa6window\x40\xa4when\x81\xa1x\xc3"
	       "\xa4more\x80"),
	  NULL, NULL, 64 },
	{ "an older host",
	  BODY("\x95\0\xa5"
	       "capsa\0\0\x81\xa6window\x40"),
	  "Version",
	  "the host speaks versions 0 to 0 of the protocol, the agent 1 to 1",
	  0 },
	{ "a newer host",
	  BODY("\x95\0\xa5"
	       "capsa\2\x09\x81\xa6window\x40"),
	  "Version",
	  "the host speaks versions 2 to 9 of the protocol, the agent 1 to 1",
	  0 },
	{ "a newer host whose greeting goes on in another way",
	  BODY("\x94\0\xa5"
	       "capsa\xce\xff\xff\xff\xff\xce\xff\xff\xff\xff"),
	  "Version",
	  "the host speaks versions 4294967295 to 4294967295 of the "
	  "protocol, the agent 1 to 1",
	  0 },
	{ "a host without versions",
	  BODY("\x93\0\xa5"
	       "capsa\x81\xa6window\x40"),
	  "Protocol", NULL, 0 },
	{ "a host whose versions are texts",
	  BODY("\x95\0\xa5"
	       "capsa\xa1"
	       "1\xa1"
	       "1\x81\xa6window\x40"),
	  "Protocol", NULL, 0 },
	{ "a host whose versions go backwards",
	  BODY("\x95\0\xa5"
	       "capsa\1\0\x81\xa6window\x40"),
	  "Protocol", NULL, 0 },
	{ "a host whose versions are below none",
	  BODY("\x95\0\xa5"
	       "capsa\xff\1\x81\xa6window\x40"),
	  "Protocol", NULL, 0 },
	{ "a host without settings",
	  BODY("\x94\0\xa5"
	       "capsa\1\1"),
	  "Protocol", NULL, 0 },
	{ "a host that tells no window",
	  BODY("\x95\0\xa5"
	       "capsa\1\1\x80"),
	  "Protocol", NULL, 0 },
	{ "a host whose window is a text",
	  BODY("\x95\0\xa5"
	       "capsa\1\1\x81\xa6window\xa1"
	       "9"),
	  "Protocol", NULL, 0 },
	{ "something else",
	  BODY("\x95\0\xa5"
	       "kapsa\1\1\x81\xa6window\x40"),
	  "Protocol", NULL, 0 },
#undef BODY
};

static void hosts_of_all_versions_are_answered(void)
{
	for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
		struct fake_host *host = host_open(false);
		const char *fault = greetings[i].fault;
		bool tells = !fault || !strcmp(fault, "Version");

		printf("# %s\n", greetings[i].title);
		CHECK(host_send_frame(host, (const uint8_t *)greetings[i].bytes,
				      greetings[i].length));
		host_settle(host);
		/* Who cannot speak with it learns what it speaks. */
		if (host_hear(host) == FRAME_HELLO) {
			CHECK(host_text(host, "capsa"));
			CHECK(host_number(host) == PROTOCOL_LOWEST);
			CHECK(host_number(host) == PROTOCOL_HIGHEST);
			host_hear(host);
		} else {
			CHECK(!tells);
		}
		if (!fault) {
			CHECK(host->connection.state == CONNECTION_OPEN);
			CHECK(host->connection.window == greetings[i].window);
		} else {
			CHECK(host_text(host, fault));
			if (greetings[i].text)
				CHECK(host_text(host, greetings[i].text));
			CHECK(host_hear(host) == -2);
		}
		host_close(host);
	}
}

static void who_was_refused_hangs_up(void)
{
	struct fake_host *host = host_open(false);

	host_greet(host, PROTOCOL_HIGHEST + 1, WINDOW);
	host_settle(host);
	close(host->fd);
	host->fd = -1;
	host_settle(host);
	CHECK(host->connection.state == CONNECTION_CLOSED);
	host_close(host);
}

static void what_comes_before_a_greeting_ends_it(void)
{
	struct fake_host *host = host_open(false);

	host_say(host, FRAME_PING, 1);
	host_settle(host);
	expect_fault(host, "Protocol");
	CHECK(host_hear(host) == -2);
	host_close(host);
}

/* Of each, only a fault is heard. */
static void garbage_ends_it(void)
{
	static const struct {
		uint32_t length;
		uint8_t bytes[16];
	} all[] = {
		{ 4, { 0, 0, 0, 0 } },
		{ 4, { 0, 1, 0, 1 } },
		{ 4, { 0xff, 0xff, 0xff, 0xff } },
		{ 5, { 0, 0, 0, 1, 0xc1 } },
		{ 5, { 0, 0, 0, 1, 0xc0 } },
		{ 5, { 0, 0, 0, 1, 0x90 } },
		{ 6, { 0, 0, 0, 2, 0x91, 16 } },
		{ 6, { 0, 0, 0, 2, 0x91, FRAME_PING } },
		{ 6, { 0, 0, 0, 2, 0x91, FRAME_STARTED } },
		{ 6, { 0, 0, 0, 2, 0x91, FRAME_OPEN } },
		/* About a call that there was not. */
		{ 7, { 0, 0, 0, 3, 0x92, FRAME_CANCEL, 1 } },
		{ 7, { 0, 0, 0, 3, 0x92, FRAME_CANCEL, 0xff } },
		{ 9, { 0, 0, 0, 5, 0x94, FRAME_DATA, 0, CHANNEL_INPUT, 0xa0 } },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct fake_host *host = host_meet(WINDOW);

		CHECK(host_send(host, all[i].bytes, all[i].length));
		host_settle(host);
		expect_fault(host, "Protocol");
		CHECK(host_hear(host) == -2);
		host_close(host);
	}
}

/* A frame about a call of its own that breaks a rule. */
static void rules_of_calls_are_kept(void)
{
	static const int64_t all[][4] = {
		{ FRAME_END, 1, CHANNEL_OUTPUT, 0 },
		{ FRAME_CREDIT, 1, CHANNEL_INPUT, 1 },
		{ FRAME_CREDIT, 1, CHANNEL_ERROR + 1, 1 },
		{ FRAME_CREDIT, 1, CHANNEL_OUTPUT, OUTPUT_WINDOW_MAX },
		{ FRAME_CREDIT, 1, CHANNEL_OUTPUT, -1 },
		{ FRAME_DROP, 1, CHANNEL_INPUT, 0 },
		{ FRAME_SIGNAL, 1, 0, SIGNAL_PROCESS },
		{ FRAME_SIGNAL, 1, 65, SIGNAL_PROCESS },
		{ FRAME_SIGNAL, 1, 15, SIGNAL_TREE + 1 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct fake_host *host = host_meet(WINDOW);
		struct fake_child child = child_start(host, 1);

		host_say_numbers(host, all[i], 4);
		host_settle(host);
		expect_fault(host, "Protocol");
		/* What it had started ends with it. */
		CHECK(fake_kill.pid == FAKE_PID_FIRST &&
		      fake_kill.number == SIGKILL);
		child_leave(&child);
		host_close(host);
	}
}

static void identifiers_only_rise(void)
{
	struct fake_host *host = host_meet(WINDOW);

	host_ask(host, 7, "none");
	host_ask(host, 8, "none");
	host_ask(host, 8, "none");
	host_settle(host);
	CHECK(host_hear(host) == FRAME_FAILED);
	CHECK(host_hear(host) == FRAME_FAILED);
	expect_fault(host, "Protocol");
	host_close(host);
}

static void a_port_stays_deaf_until_a_greeting(void)
{
	static const uint8_t none[] = { 0,    0,   0,   0,   0x95, 0,
					0xa5, 'c', 'a', 'p', 's',  'a' };
	struct fake_host *host = host_open(true);

	/* A length of none before what looks like a greeting. */
	CHECK(host_send(host, none, sizeof(none)));
	host_settle(host);
	expect_fault(host, "Protocol");
	/* A greeting that is at fault is not heard for ever. */
	host_greet(host, PROTOCOL_HIGHEST, 0);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_HELLO);
	expect_fault(host, "Protocol");
	host_settle(host);
	CHECK(host_hear(host) == -1);
	host_say(host, FRAME_PING, 1);
	host_settle(host);
	CHECK(host_hear(host) == -1);
	host_greet(host, PROTOCOL_HIGHEST, WINDOW);
	host_say(host, FRAME_PING, 2);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_HELLO);
	CHECK(host_hear(host) == FRAME_PONG);
	CHECK(host_number(host) == 2);
	host_close(host);
}

static void who_greets_again_begins_anew(void)
{
	struct fake_host *host = host_meet(WINDOW);
	struct fake_child child = child_start(host, 9);

	host_greet(host, PROTOCOL_HIGHEST, WINDOW);
	host_settle(host);
	CHECK(host_hear(host) == FRAME_HELLO);
	CHECK(fake_kill.pid == FAKE_PID_FIRST && fake_kill.number == SIGKILL);
	CHECK(!calls_find(&host->calls, &host->connection, 9));
	child_leave(&child);
	child = child_start(host, 1);
	child_leave(&child);
	host_close(host);
}

static void a_half_open_host_is_gone(void)
{
	struct fake_host *host = host_meet(WINDOW);
	struct fake_child child = child_start(host, 1);

	shutdown(host->fd, SHUT_WR);
	host_settle(host);
	CHECK(host->connection.state == CONNECTION_CLOSED);
	CHECK(fake_kill.pid == FAKE_PID_FIRST && fake_kill.number == SIGKILL);
	child_leave(&child);
	host_close(host);
}

static void one_call_too_many_is_refused(void)
{
	struct fake_host *host = host_meet(WINDOW);
	uint32_t last = CALLS_MAX + 1;
	struct msgpack_value failure;
	struct msgpack_value reason;

	for (uint32_t id = 1; id <= last; id++) {
		host_ask(host, id, "spawn");
		host_settle(host);
		CHECK(host_hear_of(host,
				   id < last ? FRAME_STARTED : FRAME_FAILED));
	}
	CHECK(host_number(host) == last);
	failure = host_member(host);
	CHECK(!msgpack_find(&failure, "reason", MSGPACK_STR, &reason));
	CHECK(reason.length == 4 && !memcmp(reason.bytes, "Busy", 4));
	/* The first one ends, and there is room again. */
	CHECK(calls_reaped(&host->calls, FAKE_PID_FIRST, 0));
	host_settle(host);
	host_ask(host, last + 1, "spawn");
	host_settle(host);
	CHECK(calls_find(&host->calls, &host->connection, last + 1));
	host_close(host);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	TEST(it_greets_and_answers);
	TEST(hosts_of_all_versions_are_answered);
	TEST(who_was_refused_hangs_up);
	TEST(what_comes_before_a_greeting_ends_it);
	TEST(garbage_ends_it);
	TEST(rules_of_calls_are_kept);
	TEST(identifiers_only_rise);
	TEST(a_port_stays_deaf_until_a_greeting);
	TEST(who_greets_again_begins_anew);
	TEST(a_half_open_host_is_gone);
	TEST(one_call_too_many_is_refused);
	return tap_done();
}
