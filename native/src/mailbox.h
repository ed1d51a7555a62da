/* SPDX-License-Identifier: MIT */
/*
 * What goes between a machine and its host: events and console output for
 * capsa_drain(), console input for the guest. All of it is bounded: each event
 * is there at most once, output overwrites its oldest bytes, input that does
 * not fit is refused.
 *
 * The functions lock. Any thread, but for init, add_console and destroy.
 */
#ifndef CAPSA_MAILBOX_H
#define CAPSA_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "byte_ring.h"
#include "capsa.h"

enum { MAILBOX_INPUT_BYTES = 16 * 1024 };

/* What can be in it: a kind of event, and each stage by itself. */
enum mail {
	MAIL_CREATED,
	MAIL_LOADED,
	MAIL_STARTED,
	MAIL_PAUSED,
	MAIL_RESUMED,
	MAIL_WRITABLE,
	MAIL_EXIT,
	MAIL_PROBED,
	MAIL_RELEASED,
	MAIL_COUNT,
};

struct mailbox_letter {
	bool waiting;
	uint32_t code;
	uint32_t gic;
	uint64_t time_ns;
	uint64_t value;
};

struct mailbox {
	/* There is something to drain. Called with the lock held. */
	void (*announce)(void *owner);
	void *owner;
	uint64_t start_ns; /* CLOCK_MONOTONIC of time 0 */

	pthread_mutex_t lock;     /* of all below */
	bool announced;           /* since the last drain */
	struct capsa_error error; /* of the exit or the probe */
	struct mailbox_letter letters[MAIL_COUNT];
	struct byte_ring output;
	struct byte_ring input;
	bool input_refused;   /* WRITABLE is owed */
	uint64_t output_lost; /* since the last drain */
	uint64_t output_total;
	uint64_t output_lost_total;
	uint64_t input_total; /* taken by the guest */
};

/* An empty one, without a console; events are timed from now on. */
void mailbox_init(struct mailbox *box, void (*announce)(void *owner),
		  void *owner);
/* Keeps output_bytes of output. 0 or -ENOMEM. */
int mailbox_add_console(struct mailbox *box, uint32_t output_bytes);
void mailbox_destroy(struct mailbox *box);

/* Puts an event in; one that is waiting still is replaced. */
void mailbox_post(struct mailbox *box, enum mail mail);
/* The same for MAIL_EXIT and MAIL_PROBED, which say more. */
void mailbox_post_result(struct mailbox *box, enum mail mail, uint32_t code,
			 uint32_t gic, uint64_t value);
/* What MAIL_EXIT or MAIL_PROBED, to be posted, hands over as its error. */
void mailbox_set_error(struct mailbox *box, const struct capsa_error *error);

/* The guest's end of the console, as struct console_port has it. */
void mailbox_output(void *owner, const uint8_t *data, uint32_t length);
uint32_t mailbox_input(void *owner, uint8_t *data, uint32_t length);

/* The host's end: the bytes of input that fit. */
uint32_t mailbox_write(struct mailbox *box, const uint8_t *input,
		       uint32_t length);
/*
 * Fills all of drained but its size and machine. The exit comes after the last
 * byte of output, RELEASED after the exit: true once it was handed out.
 */
bool mailbox_drain(struct mailbox *box, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity);

/* Fills in the counters of the console. */
void mailbox_count(struct mailbox *box, struct capsa_stats *stats);

#endif
