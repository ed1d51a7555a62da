/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include <errno.h>
#include <time.h>

/* The events as the host sees them; results have codes of their own. */
static const struct {
	uint32_t kind;
	uint32_t code;
} mailbox_events[MAIL_COUNT] = {
	[MAIL_CREATED] = { CAPSA_EVENT_STAGE, CAPSA_STAGE_CREATED },
	[MAIL_LOADED] = { CAPSA_EVENT_STAGE, CAPSA_STAGE_LOADED },
	[MAIL_STARTED] = { CAPSA_EVENT_STAGE, CAPSA_STAGE_STARTED },
	[MAIL_PAUSED] = { CAPSA_EVENT_PAUSED, 0 },
	[MAIL_RESUMED] = { CAPSA_EVENT_RESUMED, 0 },
	[MAIL_WRITABLE] = { CAPSA_EVENT_WRITABLE, 0 },
	[MAIL_EXIT] = { CAPSA_EVENT_EXIT, 0 },
	[MAIL_PROBED] = { CAPSA_EVENT_PROBED, 0 },
	[MAIL_RELEASED] = { CAPSA_EVENT_RELEASED, 0 },
};

static uint64_t mailbox_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void mailbox_init(struct mailbox *box, void (*announce)(void *owner),
		  void *owner)
{
	*box = (struct mailbox) {
		.announce = announce,
		.owner = owner,
		.start_ns = mailbox_clock(),
	};
	pthread_mutex_init(&box->lock, NULL);
}

int mailbox_add_console(struct mailbox *box, uint32_t output_bytes)
{
	int result = byte_ring_create(&box->output, output_bytes);

	if (result == 0)
		result = byte_ring_create(&box->input, MAILBOX_INPUT_BYTES);
	return result;
}

void mailbox_destroy(struct mailbox *box)
{
	byte_ring_destroy(&box->output);
	byte_ring_destroy(&box->input);
	pthread_mutex_destroy(&box->lock);
}

/* With the lock held. */
static void mailbox_announce(struct mailbox *box)
{
	if (box->announced)
		return;
	box->announced = true;
	box->announce(box->owner);
}

void mailbox_post_result(struct mailbox *box, enum mail mail, uint32_t code,
			 uint32_t gic, uint64_t value)
{
	pthread_mutex_lock(&box->lock);
	box->letters[mail] = (struct mailbox_letter) {
		.waiting = true,
		.code = code,
		.gic = gic,
		.time_ns = mailbox_clock() - box->start_ns,
		.value = value,
	};
	mailbox_announce(box);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_post(struct mailbox *box, enum mail mail)
{
	mailbox_post_result(box, mail, mailbox_events[mail].code, 0, 0);
}

void mailbox_set_error(struct mailbox *box, const struct capsa_error *error)
{
	pthread_mutex_lock(&box->lock);
	box->error = *error;
	pthread_mutex_unlock(&box->lock);
}

void mailbox_output(void *owner, const uint8_t *data, uint32_t length)
{
	struct mailbox *box = owner;
	uint32_t lost;

	pthread_mutex_lock(&box->lock);
	lost = byte_ring_overwrite(&box->output, data, length);
	box->output_lost += lost;
	box->output_lost_total += lost;
	box->output_total += length;
	mailbox_announce(box);
	pthread_mutex_unlock(&box->lock);
}

uint32_t mailbox_input(void *owner, uint8_t *data, uint32_t length)
{
	struct mailbox *box = owner;
	bool writable;
	uint32_t taken;

	pthread_mutex_lock(&box->lock);
	taken = byte_ring_take(&box->input, data, length);
	box->input_total += taken;
	writable = box->input_refused && taken > 0;
	if (writable)
		box->input_refused = false;
	pthread_mutex_unlock(&box->lock);
	if (writable)
		mailbox_post(box, MAIL_WRITABLE);
	return taken;
}

uint32_t mailbox_write(struct mailbox *box, const uint8_t *input,
		       uint32_t length)
{
	uint32_t accepted;

	pthread_mutex_lock(&box->lock);
	accepted = byte_ring_push(&box->input, input, length);
	box->input_refused |= accepted < length;
	pthread_mutex_unlock(&box->lock);
	return accepted;
}

/*
 * With the lock held: the oldest letter that may be handed out, or MAIL_COUNT.
 * RELEASED, which is posted last, comes after the exit by its age.
 */
static enum mail mailbox_next(const struct mailbox *box)
{
	enum mail oldest = MAIL_COUNT;

	for (enum mail mail = 0; mail < MAIL_COUNT; mail++) {
		if (box->letters[mail].waiting &&
		    (oldest == MAIL_COUNT ||
		     box->letters[mail].time_ns < box->letters[oldest].time_ns))
			oldest = mail;
	}
	if (box->output.length > 0 &&
	    (oldest == MAIL_EXIT || oldest == MAIL_RELEASED))
		return MAIL_COUNT;
	return oldest;
}

/* With the lock held: takes a letter out. */
static struct capsa_event mailbox_take(struct mailbox *box, enum mail mail)
{
	struct mailbox_letter *letter = &box->letters[mail];
	struct capsa_event event = {
		.size = sizeof(event),
		.kind = mailbox_events[mail].kind,
		.code = letter->code,
		.gic = letter->gic,
		.time_ns = letter->time_ns,
		.value = letter->value,
	};

	if (mail == MAIL_EXIT || mail == MAIL_PROBED)
		event.error = box->error;
	letter->waiting = false;
	return event;
}

bool mailbox_drain(struct mailbox *box, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity)
{
	bool released = false;
	enum mail mail;

	pthread_mutex_lock(&box->lock);
	box->announced = false;
	drained->console_lost = box->output_lost;
	box->output_lost = 0;
	drained->console_bytes = byte_ring_take(&box->output, output, capacity);
	while (drained->event_count < CAPSA_DRAIN_EVENTS_MAX &&
	       (mail = mailbox_next(box)) != MAIL_COUNT) {
		drained->events[drained->event_count++] = mailbox_take(box,
								       mail);
		released |= mail == MAIL_RELEASED;
	}
	if (!released &&
	    (box->output.length > 0 || mailbox_next(box) != MAIL_COUNT))
		mailbox_announce(box);
	pthread_mutex_unlock(&box->lock);
	return released;
}

void mailbox_count(struct mailbox *box, struct capsa_stats *stats)
{
	pthread_mutex_lock(&box->lock);
	stats->console_output = box->output_total;
	stats->console_input = box->input_total;
	stats->console_lost = box->output_lost_total;
	pthread_mutex_unlock(&box->lock);
}
