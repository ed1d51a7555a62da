/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "block/engine.h"
#include "error.h"
#include "machine.h"

enum {
	/* Freeing a machine sleeps in the kernel for most of its 6 to 25 ms,
	 * so a few more threads than processors keep up with a burst. */
	CONTEXT_WORKERS = 4,
	/* More than a disk or a folder keeps busy by itself, so that one that
	 * is slow does not hold up the others. */
	CONTEXT_BLOCKING = 8,
};

static uint32_t context_index(uint32_t handle)
{
	return handle & (CAPSA_MACHINES_MAX - 1);
}

static void context_free(struct capsa *capsa)
{
	workers_destroy(capsa->workers);
	workers_destroy(capsa->blocking);
	for (uint32_t i = 0; i < CONTEXT_LOOPS; i++) {
		io_engine_destroy(capsa->engines[i]);
		loop_destroy(capsa->loops[i]);
	}
	if (capsa->wake_fd >= 0)
		close(capsa->wake_fd);
	pthread_mutex_destroy(&capsa->engines_lock);
	pthread_mutex_destroy(&capsa->lock);
	free(capsa);
}

enum capsa_status context_open(struct capsa **out, struct capsa_error *error)
{
	struct capsa *capsa = calloc(1, sizeof(*capsa));
	int result;

	if (!capsa)
		return error_system(error, ENOMEM, "calloc", NULL);
	pthread_mutex_init(&capsa->lock, NULL);
	pthread_mutex_init(&capsa->engines_lock, NULL);
	capsa->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = capsa->wake_fd < 0
			 ? -errno
			 : workers_create(&capsa->workers, "capsa-worker",
					  CONTEXT_WORKERS);
	for (uint32_t i = 0; result == 0 && i < CONTEXT_LOOPS; i++)
		result = loop_create(&capsa->loops[i]);
	if (result < 0) {
		context_free(capsa);
		return error_system(error, -result, "open", "capsa");
	}
	*out = capsa;
	return CAPSA_STATUS_OK;
}

enum capsa_status context_close(struct capsa *capsa)
{
	bool in_use;

	pthread_mutex_lock(&capsa->lock);
	in_use = capsa->used > 0;
	for (uint32_t i = 0; i < CAPSA_NETWORKS_MAX; i++)
		in_use |= capsa->networks[i].network != NULL;
	pthread_mutex_unlock(&capsa->lock);
	if (in_use)
		return CAPSA_STATUS_STATE;
	context_free(capsa);
	return CAPSA_STATUS_OK;
}

enum capsa_status context_add(struct capsa *capsa, struct machine *machine)
{
	enum capsa_status status = CAPSA_STATUS_LIMIT;

	pthread_mutex_lock(&capsa->lock);
	for (uint32_t tried = 0; tried < CAPSA_MACHINES_MAX; tried++) {
		uint32_t index = context_index(capsa->next_slot++);
		struct context_slot *slot = &capsa->slots[index];

		if (slot->machine)
			continue;
		slot->generation++;
		if (slot->generation >> (32 - CONTEXT_INDEX_BITS))
			slot->generation = 1; /* so that no handle is 0 */
		slot->machine = machine;
		machine->handle = slot->generation << CONTEXT_INDEX_BITS |
				  index;
		capsa->used++;
		status = CAPSA_STATUS_OK;
		break;
	}
	pthread_mutex_unlock(&capsa->lock);
	return status;
}

void context_remove(struct capsa *capsa, struct machine *machine)
{
	pthread_mutex_lock(&capsa->lock);
	capsa->slots[context_index(machine->handle)].machine = NULL;
	capsa->used--;
	pthread_mutex_unlock(&capsa->lock);
}

struct machine *context_find(struct capsa *capsa, uint32_t handle)
{
	struct machine *machine;

	pthread_mutex_lock(&capsa->lock);
	machine = capsa->slots[context_index(handle)].machine;
	if (machine && machine->handle == handle)
		machine_hold(machine);
	else
		machine = NULL;
	pthread_mutex_unlock(&capsa->lock);
	return machine;
}

void context_ready(struct capsa *capsa, struct machine *machine)
{
	const uint64_t one = 1;
	bool first = false;

	pthread_mutex_lock(&capsa->lock);
	if (!machine->ready_queued) {
		machine->ready_queued = true;
		machine->ready_next = NULL;
		machine_hold(machine);
		first = !capsa->ready_first;
		if (first)
			capsa->ready_first = machine;
		else
			capsa->ready_last->ready_next = machine;
		capsa->ready_last = machine;
	}
	pthread_mutex_unlock(&capsa->lock);
	/* Whoever drains goes on until the queue is empty, so only its first
	 * entry needs a wake-up. A full counter is readable already. */
	if (first)
		(void)!write(capsa->wake_fd, &one, sizeof(one));
}

struct machine *context_next(struct capsa *capsa)
{
	struct machine *machine;

	pthread_mutex_lock(&capsa->lock);
	machine = capsa->ready_first;
	if (machine) {
		capsa->ready_first = machine->ready_next;
		machine->ready_queued = false;
	}
	pthread_mutex_unlock(&capsa->lock);
	return machine;
}

struct loop *context_loop(const struct capsa *capsa, uint32_t handle)
{
	return capsa->loops[handle % CONTEXT_LOOPS];
}

int context_blocking(struct capsa *capsa, struct workers **out)
{
	int result = 0;

	pthread_mutex_lock(&capsa->lock);
	if (!capsa->blocking)
		result = workers_create(&capsa->blocking, "capsa-blocking",
					CONTEXT_BLOCKING);
	*out = capsa->blocking;
	pthread_mutex_unlock(&capsa->lock);
	return result;
}

int context_engine(struct capsa *capsa, uint32_t handle, struct io_engine **out)
{
	uint32_t index = handle % CONTEXT_LOOPS;
	struct workers *blocking;
	int result = context_blocking(capsa, &blocking);

	pthread_mutex_lock(&capsa->engines_lock);
	if (result == 0 && !capsa->engines[index])
		result = io_engine_create(&capsa->engines[index],
					  IO_ENGINE_BEST, capsa->loops[index],
					  blocking);
	*out = capsa->engines[index];
	pthread_mutex_unlock(&capsa->engines_lock);
	return result;
}

/* The entry of a network that has this number; with the lock held. */
static struct context_network *context_network(struct capsa *capsa,
					       uint32_t handle)
{
	struct context_network *entry =
		&capsa->networks[handle % CAPSA_NETWORKS_MAX];

	return entry->network &&
			       entry->generation == handle / CAPSA_NETWORKS_MAX
		       ? entry
		       : NULL;
}

enum capsa_status context_add_network(struct capsa *capsa,
				      struct network *network, uint32_t *handle)
{
	enum capsa_status status = CAPSA_STATUS_LIMIT;

	pthread_mutex_lock(&capsa->lock);
	for (uint32_t i = 0; i < CAPSA_NETWORKS_MAX; i++) {
		struct context_network *entry = &capsa->networks[i];

		if (entry->network)
			continue;
		/* From 1 on, so that no handle is 0. */
		entry->generation = entry->generation %
					    (UINT32_MAX / CAPSA_NETWORKS_MAX) +
				    1;
		entry->network = network;
		*handle = entry->generation * CAPSA_NETWORKS_MAX + i;
		status = CAPSA_STATUS_OK;
		break;
	}
	pthread_mutex_unlock(&capsa->lock);
	return status;
}

enum capsa_status context_take_network(struct capsa *capsa, uint32_t handle,
				       struct network **network)
{
	enum capsa_status status = CAPSA_STATUS_STALE_HANDLE;
	struct context_network *entry;

	pthread_mutex_lock(&capsa->lock);
	entry = context_network(capsa, handle);
	if (entry)
		status = entry->machines > 0 ? CAPSA_STATUS_STATE
					     : CAPSA_STATUS_OK;
	if (status == CAPSA_STATUS_OK) {
		*network = entry->network;
		entry->network = NULL;
	}
	pthread_mutex_unlock(&capsa->lock);
	return status;
}

struct network *context_enter_network(struct capsa *capsa, uint32_t handle)
{
	struct context_network *entry;
	struct network *network = NULL;

	pthread_mutex_lock(&capsa->lock);
	entry = context_network(capsa, handle);
	if (entry) {
		entry->machines++;
		network = entry->network;
	}
	pthread_mutex_unlock(&capsa->lock);
	return network;
}

void context_leave_network(struct capsa *capsa, uint32_t handle)
{
	pthread_mutex_lock(&capsa->lock);
	context_network(capsa, handle)->machines--;
	pthread_mutex_unlock(&capsa->lock);
}
