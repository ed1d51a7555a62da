/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

enum { OUTPUT_BYTES = 8 };

/* A box, how often it announced itself, and what the last drain took. */
struct fixture {
	struct mailbox box;
	uint32_t announced;
	struct capsa_drained drained;
	uint8_t output[64];
};

static void count_announcement(void *owner)
{
	struct fixture *fixture = owner;

	fixture->announced++;
}

static struct fixture *set_up(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		abort();
	mailbox_init(&fixture->box, count_announcement, fixture);
	CHECK(mailbox_add_console(&fixture->box, OUTPUT_BYTES) == 0);
	return fixture;
}

static void tear_down(struct fixture *fixture)
{
	mailbox_destroy(&fixture->box);
	free(fixture);
}

static bool drain(struct fixture *fixture, uint32_t capacity)
{
	memset(&fixture->drained, 0, sizeof(fixture->drained));
	return mailbox_drain(&fixture->box, &fixture->drained, fixture->output,
			     capacity);
}

static void print(struct fixture *fixture, const char *text)
{
	mailbox_output(&fixture->box, (const uint8_t *)text,
		       (uint32_t)strlen(text));
}

static bool took(const struct fixture *fixture, const char *text)
{
	return fixture->drained.console_bytes == strlen(text) &&
	       memcmp(fixture->output, text, strlen(text)) == 0;
}

static void events_come_once_and_in_order(void)
{
	static const uint32_t stages[] = { CAPSA_STAGE_CREATED,
					   CAPSA_STAGE_LOADED,
					   CAPSA_STAGE_STARTED };
	struct fixture *fixture = set_up();
	const struct capsa_drained *drained = &fixture->drained;

	mailbox_post(&fixture->box, MAIL_CREATED);
	mailbox_post(&fixture->box, MAIL_LOADED);
	mailbox_post(&fixture->box, MAIL_STARTED);
	mailbox_post(&fixture->box, MAIL_PAUSED);
	mailbox_post(&fixture->box, MAIL_RESUMED);
	CHECK(!drain(fixture, 0));
	CHECK(drained->event_count == CAPSA_DRAIN_EVENTS_MAX);
	for (uint32_t i = 0; i < 3; i++) {
		const struct capsa_event *event = &drained->events[i];

		CHECK(event->size == sizeof(*event));
		CHECK(event->kind == CAPSA_EVENT_STAGE);
		CHECK(event->code == stages[i]);
		CHECK(i == 0 || event->time_ns >= event[-1].time_ns);
	}
	CHECK(drained->events[3].kind == CAPSA_EVENT_PAUSED);
	CHECK(!drain(fixture, 0));
	CHECK(drained->event_count == 1);
	CHECK(drained->events[0].kind == CAPSA_EVENT_RESUMED);
	CHECK(!drain(fixture, 0));
	CHECK(drained->event_count == 0);
	tear_down(fixture);
}

static void an_event_of_a_kind_replaces_the_last(void)
{
	struct fixture *fixture = set_up();

	for (int i = 0; i < 1000; i++)
		mailbox_post(&fixture->box, MAIL_PAUSED);
	CHECK(!drain(fixture, 0));
	CHECK(fixture->drained.event_count == 1);
	tear_down(fixture);
}

static void it_announces_itself_once_a_drain(void)
{
	struct fixture *fixture = set_up();

	print(fixture, "abc");
	print(fixture, "d");
	mailbox_post(&fixture->box, MAIL_STARTED);
	CHECK(fixture->announced == 1);
	/* Something stays behind, so somebody must come again. */
	CHECK(!drain(fixture, 2));
	CHECK(took(fixture, "ab"));
	CHECK(fixture->announced == 2);
	CHECK(!drain(fixture, sizeof(fixture->output)));
	CHECK(took(fixture, "cd"));
	CHECK(fixture->announced == 2);
	tear_down(fixture);
}

static void the_end_comes_after_the_last_output(void)
{
	const struct capsa_error error = { .size = sizeof(error),
					   .status = CAPSA_STATUS_GUEST_FAULT };
	struct fixture *fixture = set_up();
	const struct capsa_drained *drained = &fixture->drained;

	print(fixture, "last");
	mailbox_set_error(&fixture->box, &error);
	mailbox_post_result(&fixture->box, MAIL_EXIT, CAPSA_EXIT_FAILED, 0, 0);
	mailbox_post(&fixture->box, MAIL_RELEASED);
	CHECK(!drain(fixture, 3));
	CHECK(took(fixture, "las"));
	CHECK(drained->event_count == 0);
	CHECK(drain(fixture, 3));
	CHECK(took(fixture, "t"));
	CHECK(drained->event_count == 2);
	CHECK(drained->events[0].kind == CAPSA_EVENT_EXIT);
	CHECK(drained->events[0].code == CAPSA_EXIT_FAILED);
	CHECK(drained->events[0].error.status == CAPSA_STATUS_GUEST_FAULT);
	CHECK(drained->events[1].kind == CAPSA_EVENT_RELEASED);
	CHECK(drained->events[1].error.status == CAPSA_STATUS_OK);
	tear_down(fixture);
}

static void what_nobody_takes_is_counted_as_lost(void)
{
	struct capsa_stats stats = { 0 };
	struct fixture *fixture = set_up();

	print(fixture, "0123456789");
	print(fixture, "ab");
	CHECK(!drain(fixture, sizeof(fixture->output)));
	CHECK(took(fixture, "456789ab"));
	CHECK(fixture->drained.console_lost == 4);
	print(fixture, "012345678");
	CHECK(!drain(fixture, sizeof(fixture->output)));
	CHECK(fixture->drained.console_lost == 1);
	mailbox_count(&fixture->box, &stats);
	CHECK(stats.console_output == 21);
	CHECK(stats.console_lost == 5);
	tear_down(fixture);
}

static void refused_input_is_told_when_there_is_room(void)
{
	static const uint8_t input[MAILBOX_INPUT_BYTES + 1] = "typed";
	struct capsa_stats stats = { 0 };
	struct fixture *fixture = set_up();
	uint8_t taken[5];

	CHECK(mailbox_write(&fixture->box, input, 5) == 5);
	CHECK(mailbox_input(&fixture->box, taken, sizeof(taken)) == 5);
	CHECK(memcmp(taken, "typed", 5) == 0);
	/* None was refused, so nobody waits. */
	CHECK(fixture->announced == 0);
	CHECK(mailbox_write(&fixture->box, input, sizeof(input)) ==
	      MAILBOX_INPUT_BYTES);
	CHECK(fixture->announced == 0);
	CHECK(mailbox_input(&fixture->box, taken, 1) == 1);
	CHECK(mailbox_input(&fixture->box, taken, 1) == 1);
	CHECK(!drain(fixture, 0));
	CHECK(fixture->drained.event_count == 1);
	CHECK(fixture->drained.events[0].kind == CAPSA_EVENT_WRITABLE);
	mailbox_count(&fixture->box, &stats);
	CHECK(stats.console_input == 7);
	tear_down(fixture);
}

static void a_probe_needs_no_console(void)
{
	const struct capsa_error error = { .status = CAPSA_STATUS_EMULATED };
	struct fixture fixture = { 0 };

	mailbox_init(&fixture.box, count_announcement, &fixture);
	mailbox_set_error(&fixture.box, &error);
	mailbox_post_result(&fixture.box, MAIL_PROBED, CAPSA_VERDICT_EMULATED,
			    3, 600000);
	CHECK(!drain(&fixture, sizeof(fixture.output)));
	CHECK(took(&fixture, ""));
	CHECK(fixture.drained.event_count == 1);
	CHECK(fixture.drained.events[0].kind == CAPSA_EVENT_PROBED);
	CHECK(fixture.drained.events[0].code == CAPSA_VERDICT_EMULATED);
	CHECK(fixture.drained.events[0].gic == 3);
	CHECK(fixture.drained.events[0].value == 600000);
	CHECK(fixture.drained.events[0].error.status == CAPSA_STATUS_EMULATED);
	mailbox_destroy(&fixture.box);
}

int main(void)
{
	TEST(events_come_once_and_in_order);
	TEST(an_event_of_a_kind_replaces_the_last);
	TEST(it_announces_itself_once_a_drain);
	TEST(the_end_comes_after_the_last_output);
	TEST(what_nobody_takes_is_counted_as_lost);
	TEST(refused_input_is_told_when_there_is_room);
	TEST(a_probe_needs_no_console);
	return tap_done();
}
