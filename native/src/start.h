/* SPDX-License-Identifier: MIT */
/*
 * From a machine's description to running vCPUs.
 *
 * Two workers at once: creating a VM waits in the host's kernel for longer
 * than most guests take to load. Whoever is done last goes on.
 */
#ifndef CAPSA_START_H
#define CAPSA_START_H

#include <stdatomic.h>

#include "capsa.h"
#include "workers.h"

struct machine;
struct vm;

struct start_part {
	struct worker_job job;
	struct start *start;
	enum capsa_status status;
	struct capsa_error error; /* of a status that is not OK */
};

struct start {
	struct machine *machine;
	struct vm *vm;
	struct start_part create;
	struct start_part load;
	atomic_uint under_way; /* parts */
};

/*
 * Queues both parts. They end in running vCPUs, or in machine_stop() with the
 * error and machine_ended().
 */
void start_queue(struct start *start, struct machine *machine, struct vm *vm);

#endif
