/* SPDX-License-Identifier: MIT */
/*
 * One machine: its description, its life, its mail box. What KVM runs for it
 * is struct vm (vm.h), which only exists between start and release.
 *
 * Threads: the caller's threads ask, a worker starts and frees, the vCPU and
 * I/O threads report. Lock order: lock, then a device's lock, then box_lock,
 * then the instance's: a device may report while a caller waits for it.
 */
#ifndef CAPSA_MACHINE_H
#define CAPSA_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "byte_ring.h"
#include "capsa.h"
#include "start.h"
#include "workers.h"

enum { MACHINE_INPUT_BYTES = 16 * 1024 };

/* What can be in the mail box; each at most once, so it is bounded. */
enum machine_mail {
	MACHINE_MAIL_CREATED,
	MACHINE_MAIL_LOADED,
	MACHINE_MAIL_STARTED,
	MACHINE_MAIL_PAUSED,
	MACHINE_MAIL_RESUMED,
	MACHINE_MAIL_WRITABLE,
	MACHINE_MAIL_EXIT,
	MACHINE_MAIL_PROBED,
	MACHINE_MAIL_RELEASED,
	MACHINE_MAIL_COUNT,
};

struct machine_letter {
	bool waiting;
	uint32_t kind;
	uint32_t code;
	uint64_t time_ns;
	uint64_t value;
};

/* Owned copies of capsa_machine_config's texts; NULL: absent. */
struct machine_config {
	uint64_t memory_bytes;
	uint32_t cpus;
	enum capsa_discovery discovery;
	enum capsa_console console;
	char *kernel;
	char *initrd;
	char *cmdline;
};

struct vm;

struct machine {
	struct capsa *capsa;
	uint32_t handle;
	atomic_uint references;
	struct machine_config config;
	uint64_t asked_ns; /* CLOCK_MONOTONIC at its creation */
	struct start start;
	struct worker_job job;      /* a probe; freeing what there is */
	struct machine *ready_next; /* the instance's queue, by its lock */
	bool ready_queued;

	pthread_mutex_t lock; /* of its life, down to exit */
	struct vm *vm;        /* owned; NULL: a probe, or freed */
	bool loaded;          /* vm is whole: it may be talked to */
	bool stopping;        /* the exit is decided */
	bool ended;           /* nothing runs any more */
	bool release_wanted;
	enum capsa_exit exit;

	pthread_mutex_t box_lock; /* of the mail box: all below */
	bool announced;           /* queued since the last drain */
	struct capsa_error error; /* of the exit or the probe */
	struct machine_letter mail[MACHINE_MAIL_COUNT];
	struct byte_ring output;
	struct byte_ring input;
	bool input_refused;   /* WRITABLE is owed */
	uint64_t output_lost; /* since the last drain */
	uint64_t output_total;
	uint64_t output_lost_total;
	uint64_t input_total;
};

/* Copies and checks config; the machine has one reference and no number. */
enum capsa_status machine_create(struct machine **out, struct capsa *capsa,
				 const struct capsa_machine_config *config,
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
void machine_stats(struct machine *machine, struct capsa_stats *stats);
/* Returns true once RELEASED was handed out: the number must be freed. */
bool machine_drain(struct machine *machine, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity);

/* What the machine's own threads report. */
void machine_post(struct machine *machine, enum machine_mail mail,
		  uint32_t kind, uint32_t code, uint64_t value);
/* Its VM is whole: it may be talked to. */
void machine_loaded(struct machine *machine);
/* Decides the exit, if nobody has, and stops the vCPUs. error may be NULL. */
void machine_stop(struct machine *machine, enum capsa_exit exit,
		  const struct capsa_error *error);
/* Nothing runs any more: the last vCPU has left, or none was ever started. */
void machine_ended(struct machine *machine);
/* The console's two ends, as struct console_port has them. */
void machine_output(void *machine, const uint8_t *data, uint32_t length);
uint32_t machine_input(void *machine, uint8_t *data, uint32_t length);

#endif
