/* SPDX-License-Identifier: MIT */
/* Every exported function: checks its arguments and forwards. */
#include <stddef.h>
#include <string.h>

#include "capsa.h"
#include "context.h"
#include "error.h"
#include "machine.h"
#include "net/network.h"
#include "ticks.h"

uint32_t capsa_abi_version(void)
{
	return CAPSA_ABI_VERSION;
}

uint32_t capsa_read_ticks(uint64_t *ticks, uint64_t *time_ns)
{
	if (!ticks || !time_ns)
		return CAPSA_STATUS_INVALID_ARGUMENT;
	ticks_read(ticks, time_ns);
	return CAPSA_STATUS_OK;
}

uint32_t capsa_open(struct capsa **out, struct capsa_error *error)
{
	if (!out)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_open", "out", NULL, "it is NULL");
	return context_open(out, error);
}

uint32_t capsa_close(struct capsa *capsa)
{
	return capsa ? context_close(capsa) : CAPSA_STATUS_INVALID_ARGUMENT;
}

int32_t capsa_wake_fd(const struct capsa *capsa)
{
	return capsa ? capsa->wake_fd : -1;
}

/* Gives a new machine its number and starts it; it is dropped on failure. */
static enum capsa_status api_begin(struct capsa *capsa, struct machine *machine,
				   uint32_t *handle, struct capsa_error *error)
{
	enum capsa_status status = context_add(capsa, machine);

	if (status != CAPSA_STATUS_OK) {
		machine_drop(machine);
		return error_set(error, status, 0, "add", "machines", NULL,
				 "4096 machines exist already");
	}
	*handle = machine->handle;
	machine_start(machine);
	return CAPSA_STATUS_OK;
}

uint32_t capsa_probe(struct capsa *capsa, uint32_t *machine,
		     struct capsa_error *error)
{
	struct machine *created = NULL;
	enum capsa_status status;

	if (!capsa || !machine)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_probe", NULL, NULL,
				 "an argument is NULL");
	status = machine_create_probe(&created, capsa, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	return api_begin(capsa, created, machine, error);
}

uint32_t capsa_launch(struct capsa *capsa,
		      const struct capsa_machine_config *config,
		      uint32_t *machine, struct capsa_error *error)
{
	struct machine *created = NULL;
	enum capsa_status status;

	if (!capsa || !config || !machine)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_launch", NULL, NULL,
				 "an argument is NULL");
	status = machine_create(&created, capsa, config, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	return api_begin(capsa, created, machine, error);
}

uint32_t capsa_serve(struct capsa *capsa,
		     const struct capsa_machine_config *config,
		     const char *path, uint32_t *machine,
		     struct capsa_error *error)
{
	struct machine *created = NULL;
	enum capsa_status status;

	if (!capsa || !config || !path || !machine)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_serve", NULL, NULL,
				 "an argument is NULL");
	status = machine_create_service(&created, capsa, config, path, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	return api_begin(capsa, created, machine, error);
}

uint32_t capsa_network_open(struct capsa *capsa,
			    const struct capsa_network_config *config,
			    const struct capsa_policy *policy,
			    uint32_t *network, struct capsa_error *error)
{
	struct network *created = NULL;
	enum capsa_status status;

	if (!capsa || !config || !network)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_network_open", NULL, NULL,
				 "an argument is NULL");
	status = network_create(&created, config, policy, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	status = context_add_network(capsa, created, network);
	if (status != CAPSA_STATUS_OK) {
		network_destroy(created);
		return error_set(error, status, 0, "capsa_network_open",
				 "networks", NULL, "64 networks exist already");
	}
	return status;
}

uint32_t capsa_network_close(struct capsa *capsa, uint32_t network)
{
	struct network *taken = NULL;
	enum capsa_status status = capsa ? context_take_network(capsa, network,
								&taken)
					 : CAPSA_STATUS_STALE_HANDLE;

	if (status == CAPSA_STATUS_OK)
		network_destroy(taken);
	return status;
}

uint32_t capsa_policy_replace(struct capsa *capsa, uint32_t machine,
			      const struct capsa_policy *policy,
			      struct capsa_error *error)
{
	struct machine *found;
	enum capsa_status status;

	if (!capsa || !policy)
		return CAPSA_STATUS_INVALID_ARGUMENT;
	found = context_find(capsa, machine);
	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_replace_policy(found, policy, error);
	machine_drop(found);
	return status;
}

uint32_t capsa_policy_explain(struct capsa *capsa, uint32_t machine,
			      const struct capsa_flow *flow, const char *name,
			      struct capsa_decision *decision)
{
	struct machine *found;
	enum capsa_status status;

	if (!capsa || !flow || !decision || decision->size != sizeof(*decision))
		return CAPSA_STATUS_INVALID_ARGUMENT;
	found = context_find(capsa, machine);
	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_explain(found, flow, name, decision);
	machine_drop(found);
	return status;
}

uint32_t capsa_policy_log(struct capsa *capsa, uint32_t machine,
			  struct capsa_decision *lines, uint32_t capacity,
			  uint32_t *count)
{
	struct machine *found;
	enum capsa_status status;

	if (!capsa || (!lines && capacity > 0) || !count)
		return CAPSA_STATUS_INVALID_ARGUMENT;
	found = context_find(capsa, machine);
	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_policy_log(found, lines, capacity, count);
	machine_drop(found);
	return status;
}

uint32_t capsa_power_button(struct capsa *capsa, uint32_t machine)
{
	struct machine *found = capsa ? context_find(capsa, machine) : NULL;
	enum capsa_status status;

	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_press_power(found);
	machine_drop(found);
	return status;
}

static enum capsa_status api_pause(struct capsa *capsa, uint32_t machine,
				   bool pause)
{
	struct machine *found = capsa ? context_find(capsa, machine) : NULL;
	enum capsa_status status;

	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_pause(found, pause);
	machine_drop(found);
	return status;
}

uint32_t capsa_pause(struct capsa *capsa, uint32_t machine)
{
	return api_pause(capsa, machine, true);
}

uint32_t capsa_resume(struct capsa *capsa, uint32_t machine)
{
	return api_pause(capsa, machine, false);
}

uint32_t capsa_kill(struct capsa *capsa, uint32_t machine)
{
	struct machine *found = capsa ? context_find(capsa, machine) : NULL;

	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	machine_kill(found);
	machine_drop(found);
	return CAPSA_STATUS_OK;
}

uint32_t capsa_release(struct capsa *capsa, uint32_t machine)
{
	struct machine *found = capsa ? context_find(capsa, machine) : NULL;

	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	machine_release(found);
	machine_drop(found);
	return CAPSA_STATUS_OK;
}

uint32_t capsa_drain(struct capsa *capsa, struct capsa_drained *drained,
		     uint8_t *output, uint32_t capacity)
{
	struct machine *next;

	if (!capsa || !drained || drained->size != sizeof(*drained) ||
	    (!output && capacity > 0))
		return CAPSA_STATUS_INVALID_ARGUMENT;
	memset(drained, 0, sizeof(*drained));
	drained->size = sizeof(*drained);
	next = context_next(capsa);
	if (!next)
		return CAPSA_STATUS_OK;
	if (machine_drain(next, drained, output, capacity)) {
		context_remove(capsa, next);
		machine_drop(next);
	}
	machine_drop(next);
	return CAPSA_STATUS_OK;
}

uint32_t capsa_console_write(struct capsa *capsa, uint32_t machine,
			     const uint8_t *input, uint32_t length,
			     uint32_t *accepted)
{
	struct machine *found;
	enum capsa_status status;

	if (!capsa || (!input && length > 0) || !accepted)
		return CAPSA_STATUS_INVALID_ARGUMENT;
	found = context_find(capsa, machine);
	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	status = machine_write(found, input, length, accepted);
	machine_drop(found);
	return status;
}

uint32_t capsa_stats(struct capsa *capsa, uint32_t machine,
		     struct capsa_stats *stats)
{
	struct machine *found;

	if (!capsa || !stats || stats->size != sizeof(*stats))
		return CAPSA_STATUS_INVALID_ARGUMENT;
	found = context_find(capsa, machine);
	if (!found)
		return CAPSA_STATUS_STALE_HANDLE;
	machine_stats(found, stats);
	machine_drop(found);
	return CAPSA_STATUS_OK;
}
