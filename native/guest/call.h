/* SPDX-License-Identifier: MIT */
/*
 * Calls of hosts. Each is a child of the agent: a program, or the agent's own
 * code at work on files, so that no slow disk and no odd file stands in the
 * agent's way. The agent moves bytes between the child's pipes and frames, and
 * never waits for either.
 */
#ifndef CAPSA_GUEST_CALL_H
#define CAPSA_GUEST_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "msgpack.h"
#include "poller.h"
#include "protocol.h"
#include "report.h"
#include "tree.h"

struct connection;

/* To the child. */
struct call_input {
	int fd;
	bool ended; /* the host sends no more */
	bool gone;  /* nobody reads any more */
	bool gone_told;
	uint32_t granted;  /* bytes that the host may still send */
	uint32_t consumed; /* bytes to grant anew */
	uint32_t start;
	uint32_t length;
	uint8_t *bytes; /* INPUT_BYTES while there are some */
};

/* From the child. */
struct call_output {
	int fd;
	bool dropped; /* the host wants no more */
	bool end_told;
	uint64_t credit; /* bytes that the host takes */
	uint64_t sent;
};

struct call {
	bool used;
	bool program; /* not the agent's own code */
	bool main;    /* the machine ends with it */
	bool terminal;
	bool started_told;
	bool end_told;           /* its exit, result or failure */
	struct connection *host; /* NULL: gone, or not interested any more */
	uint32_t id;
	pid_t pid; /* 0: reaped */
	pid_t leader;
	int status;
	uint64_t tree;
	int report_fd; /* -1: it has said what it had to say */
	uint32_t report_length;
	uint8_t report[REPORT_BYTES_MAX];
	struct call_input input;
	struct call_output outputs[2];
};

struct calls {
	struct call slots[CALLS_MAX];
	struct trees trees;
	const char *console; /* for the main process; NULL: the agent's own */
	unsigned int first;  /* whose turn it is to be first */
	bool guest;          /* the agent may change the machine itself */
	bool has_main;
	bool main_ended;
};

/* `trees` is a folder for control groups below a cgroup v2 mount, or NULL. */
void calls_open(struct calls *calls, const char *trees);

/* Starts one. `params` is a checked map. 0, or -1 with the failure. */
int calls_start(struct calls *calls, struct connection *host, uint32_t id,
		const struct msgpack_value *method,
		const struct msgpack_value *params, struct failure *failure);

struct call *calls_find(struct calls *calls, const struct connection *host,
			uint32_t id);

/* Whether a process that has ended was one of them. */
bool calls_reaped(struct calls *calls, pid_t pid, int status);

/* The host is gone: so is all that it started and that has not ended, but for
 * the main process. */
void calls_abandon(struct calls *calls, const struct connection *host);

/* Sends what there is to say, frees what is over, and lists what may happen. */
void calls_watch(struct calls *calls, struct poller *poller);

/* For the end of the machine. */
void calls_signal_all(struct calls *calls, int number);
bool calls_any_alive(const struct calls *calls);

/* What hosts ask of one; -EPROTO for what they may not. */
int call_take_input(struct call *call, const uint8_t *bytes, uint32_t length);
void call_end_input(struct call *call);
int call_grant(struct call *call, int channel, uint32_t count);
int call_drop(struct call *call, int channel);
void call_signal(struct calls *calls, struct call *call, int number,
		 enum signal_scope scope);
void call_resize(struct call *call, uint16_t columns, uint16_t rows);
void call_cancel(struct calls *calls, struct call *call);

/* Among the parts of this module. */
struct call *calls_free_slot(struct calls *calls);
void call_speak(struct call *call);
void call_watch(struct call *call, struct poller *poller);
bool call_is_over(const struct call *call);
void call_close(struct call *call);

#endif
