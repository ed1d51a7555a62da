/* SPDX-License-Identifier: MIT */
/*
 * A few threads for what takes long: creating, loading and freeing machines,
 * and the system calls of devices that may wait for the host's disks.
 */
#ifndef CAPSA_WORKERS_H
#define CAPSA_WORKERS_H

#include <stdint.h>

enum { WORKERS_MAX = 8 };

struct workers;

/* Embedded in its owner; queued at most once at a time. */
struct worker_job {
	void (*run)(struct worker_job *job);
	struct worker_job *next; /* the queue's */
};

/*
 * Starts count threads, at most WORKERS_MAX, with all signals blocked. name
 * has at most 15 characters. 0 or -errno.
 */
int workers_create(struct workers **out, const char *name, uint32_t count);

/* Joins the threads; the queue must be empty. NULL is fine. */
void workers_destroy(struct workers *workers);

/* Runs job on some worker, in order of arrival. Never fails. */
void workers_queue(struct workers *workers, struct worker_job *job);

#endif
