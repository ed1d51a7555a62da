/* SPDX-License-Identifier: MIT */
/*
 * A few threads for what takes long: creating, loading and freeing machines.
 */
#ifndef CAPSA_WORKERS_H
#define CAPSA_WORKERS_H

struct workers;

/* Embedded in its owner; queued at most once at a time. */
struct worker_job {
	void (*run)(struct worker_job *job);
	struct worker_job *next; /* the queue's */
};

/* Starts the threads, with all signals blocked. 0 or -errno. */
int workers_create(struct workers **out);

/* Joins the threads; the queue must be empty. NULL is fine. */
void workers_destroy(struct workers *workers);

/* Runs job on some worker, in order of arrival. Never fails. */
void workers_queue(struct workers *workers, struct worker_job *job);

#endif
