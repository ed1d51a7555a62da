/* SPDX-License-Identifier: MIT */
/*
 * One machine's life. What KVM runs for it is struct vm (vm.h), which only
 * exists between start and release; where another monitor runs the machine, a
 * struct service (service.h) takes its place.
 *
 * Threads: the caller's threads ask, a worker starts and frees, the vCPU and
 * I/O threads report. Lock order: lock, then a device's lock, then the mail
 * box's, then the instance's: a device may report while a caller waits for it.
 */
#ifndef CAPSA_MACHINE_H
#define CAPSA_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"
#include "machine_config.h"
#include "mailbox.h"
#include "start.h"
#include "workers.h"

struct gate;
struct network;
struct service;
struct vm;

struct machine {
	struct capsa *capsa;
	uint32_t handle;
	atomic_uint references;
	struct machine_config config;
	struct network *network; /* that its config names; NULL: none */
	struct gate *gate;       /* of a NAT of its own; NULL: none */
	struct mailbox box;
	struct start start;
	struct worker_job job; /* a probe, a service; freeing what there is */
	struct machine *ready_next; /* the instance's queue, by its lock */
	bool ready_queued;

	pthread_mutex_t lock;    /* of its life, down to exit */
	struct vm *vm;           /* owned; NULL: something else, or freed */
	struct service *service; /* the same */
	bool loaded;             /* it is whole: it may be talked to */
	bool stopping;           /* the exit is decided */
	bool ended;              /* nothing runs any more */
	bool release_wanted;
	enum capsa_exit exit;
};

/* Copies and checks config; the machine has one reference and no number. */
enum capsa_status machine_create(struct machine **out, struct capsa *capsa,
				 const struct capsa_machine_config *config,
				 struct capsa_error *error);
/* The same for a service, whose sockets are at path and a number. */
enum capsa_status machine_create_service(
	struct machine **out, struct capsa *capsa,
	const struct capsa_machine_config *config, const char *path,
	struct capsa_error *error);
/* The same for a probe, which needs no description. */
enum capsa_status machine_create_probe(struct machine **out,
				       struct capsa *capsa,
				       struct capsa_error *error);

void machine_hold(struct machine *machine);
/* Gives a reference back; the last one frees the machine. */
void machine_drop(struct machine *machine);

/* Starts it on workers. */
void machine_start(struct machine *machine);

/* What a caller may ask; all return at once. */
enum capsa_status machine_press_power(struct machine *machine);
enum capsa_status machine_pause(struct machine *machine, bool pause);
void machine_kill(struct machine *machine);
void machine_release(struct machine *machine);
enum capsa_status machine_write(struct machine *machine, const uint8_t *input,
				uint32_t length, uint32_t *accepted);
enum capsa_status machine_replace_policy(struct machine *machine,
					 const struct capsa_policy *policy,
					 struct capsa_error *error);
enum capsa_status machine_explain(struct machine *machine,
				  const struct capsa_flow *flow,
				  const char *name,
				  struct capsa_decision *decision);
enum capsa_status machine_policy_log(struct machine *machine,
				     struct capsa_decision *lines,
				     uint32_t capacity, uint32_t *count);
void machine_stats(struct machine *machine, struct capsa_stats *stats);
/* Returns true once RELEASED was handed out: the number must be freed. */
bool machine_drain(struct machine *machine, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity);

/* What it runs is whole: it may be talked to. */
void machine_loaded(struct machine *machine);
/* Decides the exit, if nobody has, and stops what runs. error may be NULL. */
void machine_stop(struct machine *machine, enum capsa_exit exit,
		  const struct capsa_error *error);
/* Nothing runs any more: the last vCPU has left, or none was ever started. */
void machine_ended(struct machine *machine);

#endif
