/* SPDX-License-Identifier: MIT */
#include "start.h"

#include <stddef.h>

#include "context.h"
#include "machine.h"
#include "vm.h"

static struct start_part *start_part_of(struct worker_job *job)
{
	return (struct start_part *)((char *)job -
				     offsetof(struct start_part, job));
}

/*
 * Both parts are done: the vCPUs run, or the first failure ends it all. A
 * machine that runs may end and be freed at once, with start.
 */
static void start_finish(struct start *start)
{
	struct machine *machine = start->machine;
	struct vm *vm = start->vm;
	const struct start_part *part = &start->create;
	struct capsa_error error;
	enum capsa_status status;

	if (part->status == CAPSA_STATUS_OK)
		part = &start->load;
	status = part->status;
	error = part->error;
	if (status == CAPSA_STATUS_OK)
		status = vm_prepare(vm, &error);
	if (status == CAPSA_STATUS_OK) {
		machine_loaded(machine);
		status = vm_run(vm, &error);
	}
	if (status != CAPSA_STATUS_OK) {
		machine_stop(machine, CAPSA_EXIT_FAILED, &error);
		machine_ended(machine);
	}
}

/* What the other part wrote is seen by the one that is last. */
static void start_part_done(struct start *start)
{
	if (atomic_fetch_sub_explicit(&start->under_way, 1,
				      memory_order_acq_rel) == 1)
		start_finish(start);
}

static void start_run_create(struct worker_job *job)
{
	struct start_part *part = start_part_of(job);
	struct machine *machine = part->start->machine;

	part->status = vm_open(part->start->vm,
			       context_loop(machine->capsa, machine->handle),
			       &part->error);
	start_part_done(part->start);
}

static void start_run_load(struct worker_job *job)
{
	struct start_part *part = start_part_of(job);

	part->status = vm_load(part->start->vm, &part->error);
	start_part_done(part->start);
}

void start_queue(struct start *start, struct machine *machine, struct vm *vm)
{
	struct workers *workers = machine->capsa->workers;

	start->machine = machine;
	start->vm = vm;
	start->create.start = start;
	start->create.job.run = start_run_create;
	start->load.start = start;
	start->load.job.run = start_run_load;
	atomic_init(&start->under_way, 2);
	workers_queue(workers, &start->create.job);
	workers_queue(workers, &start->load.job);
}
