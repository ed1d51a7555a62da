/* SPDX-License-Identifier: MIT */
/*
 * What a child of the agent says of itself, through a pipe of its own: the
 * result of its work, or why it failed. A program that could be started says
 * nothing.
 */
#ifndef CAPSA_GUEST_REPORT_H
#define CAPSA_GUEST_REPORT_H

#include <limits.h>

#include "msgpack.h"
#include "protocol.h"

/* Why a call failed, in the words that the host knows. */
#define REASON_INVALID     "Invalid"     /* what was asked for makes no sense */
#define REASON_BUSY        "Busy"        /* one call too many */
#define REASON_UNSTARTABLE "Unstartable" /* a program */
#define REASON_FILE        "File"
#define REASON_UNSAFE      "Unsafe" /* an archive that leads elsewhere */
#define REASON_START       "Start"  /* a step of bringing the guest up */
#define REASON_DIED        "Died"   /* the child, before it had reported */

struct failure {
	const char *reason;
	const char *step;
	int error;
	char subject[PATH_MAX];
};

/* `step` and `subject` may be NULL, `error` 0. Gives -1, for the caller to
 * return. */
int failure_set(struct failure *failure, const char *reason, const char *step,
		int error, const char *subject);

/* As a map. */
void failure_put(struct msgpack_writer *writer, const struct failure *failure);

/* The first byte of a report; a map follows. */
enum { REPORT_RESULT = 'R', REPORT_FAILURE = 'F' };

/* Starts a report of REPORT_BYTES_MAX bytes. */
struct msgpack_writer report_begin(uint8_t *report, uint8_t kind);

/* Sends it, in less than what a pipe takes at once. The agent notices a report
 * that is cut short, or not there. */
void report_send(int fd, const uint8_t *report,
		 const struct msgpack_writer *writer);

#endif
