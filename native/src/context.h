/* SPDX-License-Identifier: MIT */
/*
 * An instance of the library: its machines by number, who has something to
 * say, and the threads they share.
 *
 * Lock order: a machine's lock, then the instance's.
 */
#ifndef CAPSA_CONTEXT_H
#define CAPSA_CONTEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"
#include "loop.h"
#include "workers.h"

enum {
	CONTEXT_LOOPS = 2,
	CONTEXT_INDEX_BITS = 12, /* of a handle; the rest is its generation */
};

_Static_assert(CAPSA_MACHINES_MAX == 1u << CONTEXT_INDEX_BITS,
	       "a handle's index names every slot");

struct io_engine;
struct machine;
struct network;

struct context_slot {
	struct machine *machine; /* NULL: free */
	uint32_t generation;
};

/* A network, and what is on it. */
struct context_network {
	struct network *network; /* NULL: free */
	uint32_t generation;
	uint32_t machines;
};

struct capsa {
	pthread_mutex_t lock;
	struct context_slot slots[CAPSA_MACHINES_MAX];
	struct context_network networks[CAPSA_NETWORKS_MAX];
	uint32_t used;      /* slots with a machine */
	uint32_t next_slot; /* where to look for a free one first */
	struct machine *ready_first;
	struct machine *ready_last;
	int wake_fd;              /* owned */
	struct workers *workers;  /* of machines */
	struct workers *blocking; /* of devices; by lock, NULL: not yet */
	struct loop *loops[CONTEXT_LOOPS];
	pthread_mutex_t engines_lock;             /* held while one is made */
	struct io_engine *engines[CONTEXT_LOOPS]; /* NULL: not yet */
};

enum capsa_status context_open(struct capsa **out, struct capsa_error *error);
enum capsa_status context_close(struct capsa *capsa);

/* Gives machine a number. CAPSA_STATUS_LIMIT when all are taken. */
enum capsa_status context_add(struct capsa *capsa, struct machine *machine);

/* Frees the machine's number; its reference passes to the caller. */
void context_remove(struct capsa *capsa, struct machine *machine);

/* A new reference, or NULL when no machine has this number any more. */
struct machine *context_find(struct capsa *capsa, uint32_t handle);

/* Queues machine for capsa_drain() and signals the wake descriptor. */
void context_ready(struct capsa *capsa, struct machine *machine);

/* Takes the first of the queue, with a new reference; NULL: it is empty. */
struct machine *context_next(struct capsa *capsa);

/*
 * The threads for those system calls of devices that may wait for the host's
 * disks, started for the first device that needs them. 0 or -errno.
 */
int context_blocking(struct capsa *capsa, struct workers **out);

/* Gives network a number. CAPSA_STATUS_LIMIT when all are taken. */
enum capsa_status context_add_network(struct capsa *capsa,
				      struct network *network,
				      uint32_t *handle);
/*
 * Takes the network of this number, for the caller to destroy. STALE_HANDLE, or
 * STATE while machines are on it.
 */
enum capsa_status context_take_network(struct capsa *capsa, uint32_t handle,
				       struct network **network);
/*
 * The network of this number, for one more machine, or NULL. It stays until
 * context_leave_network().
 */
struct network *context_enter_network(struct capsa *capsa, uint32_t handle);
void context_leave_network(struct capsa *capsa, uint32_t handle);

/* The I/O thread for the devices of machine number handle. */
struct loop *context_loop(const struct capsa *capsa, uint32_t handle);

/*
 * What carries out the requests of disks on that thread, made for the first
 * of them. 0 or -errno.
 */
int context_engine(struct capsa *capsa, uint32_t handle,
		   struct io_engine **out);

#endif
