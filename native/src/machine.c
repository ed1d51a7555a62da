/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "error.h"
#include "net/gate.h"
#include "net/network.h"
#include "net/user.h"
#include "probe.h"
#include "service.h"
#include "vm.h"

/* Its device is gone, or was never made. */
static void machine_leave_network(struct machine *machine)
{
	struct network *network;

	pthread_mutex_lock(&machine->lock);
	network = machine->network;
	machine->network = NULL;
	pthread_mutex_unlock(&machine->lock);
	if (network)
		context_leave_network(machine->capsa,
				      machine->config.nic.network);
}

static void machine_free(struct machine *machine)
{
	vm_destroy(machine->vm);
	service_destroy(machine->service);
	machine_leave_network(machine);
	gate_destroy(machine->gate);
	mailbox_destroy(&machine->box);
	machine_config_free(&machine->config);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

static void machine_announce(void *owner)
{
	struct machine *machine = owner;

	context_ready(machine->capsa, machine);
}

static struct machine *machine_new(struct capsa *capsa)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	if (!machine)
		return NULL;
	machine->capsa = capsa;
	atomic_init(&machine->references, 1);
	pthread_mutex_init(&machine->lock, NULL);
	mailbox_init(&machine->box, machine_announce, machine);
	return machine;
}

static struct machine *machine_of(struct worker_job *job)
{
	return (struct machine *)((char *)job - offsetof(struct machine, job));
}

static void machine_run_probe(struct worker_job *job)
{
	struct machine *machine = machine_of(job);
	struct capsa_error error = { 0 };
	struct probe_result result = { 0 };
	enum capsa_verdict verdict = probe_run(&result, &error);

	mailbox_set_error(&machine->box, &error);
	mailbox_post_result(&machine->box, MAIL_PROBED, verdict, result.gic,
			    result.picoseconds);
	machine_ended(machine);
}

static void machine_run_service(struct worker_job *job)
{
	service_run(machine_of(job)->service);
}

/* On a worker: everything the machine holds goes. */
static void machine_run_release(struct worker_job *job)
{
	struct machine *machine = machine_of(job);
	struct service *service;
	struct vm *vm;

	pthread_mutex_lock(&machine->lock);
	vm = machine->vm;
	machine->vm = NULL;
	service = machine->service;
	machine->service = NULL;
	pthread_mutex_unlock(&machine->lock);
	vm_destroy(vm);
	service_destroy(service);
	machine_leave_network(machine);
	mailbox_post(&machine->box, MAIL_RELEASED);
}

static enum capsa_status machine_create_gate(struct machine *machine,
					     struct capsa_error *error)
{
	const struct nic_config *nic = &machine->config.nic;
	struct net_site site = user_site(nic->mac);

	return gate_create(&machine->gate, &site, nic->policy, error);
}

static enum capsa_status machine_enter_network(struct machine *machine,
					       struct capsa_error *error)
{
	const struct machine_config *config = &machine->config;

	if (config->has_nic && config->nic.mode == CAPSA_NETWORK_USER)
		return machine_create_gate(machine, error);
	if (!config->has_nic || config->nic.mode != CAPSA_NETWORK_SHARED)
		return CAPSA_STATUS_OK;
	machine->network = context_enter_network(machine->capsa,
						 config->nic.network);
	if (machine->network)
		return CAPSA_STATUS_OK;
	return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0, "check",
			 "config", "nics.network",
			 "no network has this number");
}

enum capsa_status machine_create(struct machine **out, struct capsa *capsa,
				 const struct capsa_machine_config *config,
				 struct capsa_error *error)
{
	struct machine *machine = machine_new(capsa);
	enum capsa_status status;

	if (!machine)
		return error_system(error, ENOMEM, "calloc", NULL);
	status = machine_config_copy(&machine->config, MACHINE_GUEST, config,
				     error);
	if (status == CAPSA_STATUS_OK)
		status = machine_enter_network(machine, error);
	if (status == CAPSA_STATUS_OK &&
	    mailbox_add_console(&machine->box, config->console_bytes) < 0)
		status = error_system(error, ENOMEM, "malloc", "console");
	if (status == CAPSA_STATUS_OK) {
		machine->vm = vm_create(machine);
		if (!machine->vm)
			status = error_system(error, ENOMEM, "calloc", NULL);
	}
	if (status != CAPSA_STATUS_OK) {
		machine_free(machine);
		return status;
	}
	*out = machine;
	return CAPSA_STATUS_OK;
}

enum capsa_status machine_create_service(
	struct machine **out, struct capsa *capsa,
	const struct capsa_machine_config *config, const char *path,
	struct capsa_error *error)
{
	struct machine *machine = machine_new(capsa);
	enum capsa_status status;

	if (!machine)
		return error_system(error, ENOMEM, "calloc", NULL);
	machine->job.run = machine_run_service;
	status = machine_config_copy(&machine->config, MACHINE_SERVICE, config,
				     error);
	if (status == CAPSA_STATUS_OK)
		status = machine_enter_network(machine, error);
	if (status == CAPSA_STATUS_OK)
		status = service_create(&machine->service, machine, path,
					error);
	if (status != CAPSA_STATUS_OK) {
		machine_free(machine);
		return status;
	}
	*out = machine;
	return CAPSA_STATUS_OK;
}

enum capsa_status machine_create_probe(struct machine **out,
				       struct capsa *capsa,
				       struct capsa_error *error)
{
	struct machine *machine = machine_new(capsa);

	if (!machine)
		return error_system(error, ENOMEM, "calloc", NULL);
	machine->job.run = machine_run_probe;
	*out = machine;
	return CAPSA_STATUS_OK;
}

void machine_hold(struct machine *machine)
{
	atomic_fetch_add_explicit(&machine->references, 1,
				  memory_order_relaxed);
}

void machine_drop(struct machine *machine)
{
	/* Acquire pairs with the release of every other drop, so that what
	 * they did to the machine is done before it is freed. */
	if (atomic_fetch_sub_explicit(&machine->references, 1,
				      memory_order_acq_rel) == 1)
		machine_free(machine);
}

void machine_start(struct machine *machine)
{
	if (machine->vm)
		start_queue(&machine->start, machine, machine->vm);
	else
		workers_queue(machine->capsa->workers, &machine->job);
}

void machine_loaded(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->loaded = true;
	pthread_mutex_unlock(&machine->lock);
}

void machine_stop(struct machine *machine, enum capsa_exit exit,
		  const struct capsa_error *error)
{
	pthread_mutex_lock(&machine->lock);
	if (!machine->stopping) {
		machine->stopping = true;
		machine->exit = exit;
		if (error)
			mailbox_set_error(&machine->box, error);
		if (machine->vm)
			vm_command(machine->vm, VM_STOP);
		if (machine->service)
			service_stop(machine->service);
	}
	pthread_mutex_unlock(&machine->lock);
}

void machine_ended(struct machine *machine)
{
	bool probe;
	bool release;

	/* Before it may be freed. */
	if (machine->vm)
		board_end(&machine->vm->board);
	if (machine->service)
		service_end(machine->service);
	pthread_mutex_lock(&machine->lock);
	probe = !machine->vm && !machine->service;
	machine->ended = true;
	machine->job.run = machine_run_release;
	release = machine->release_wanted;
	pthread_mutex_unlock(&machine->lock);
	if (!probe)
		mailbox_post_result(&machine->box, MAIL_EXIT, machine->exit, 0,
				    0);
	if (release)
		workers_queue(machine->capsa->workers, &machine->job);
}

void machine_kill(struct machine *machine)
{
	machine_stop(machine, CAPSA_EXIT_KILLED, NULL);
}

void machine_release(struct machine *machine)
{
	bool first;
	bool ended;

	machine_kill(machine);
	pthread_mutex_lock(&machine->lock);
	first = !machine->release_wanted;
	machine->release_wanted = true;
	ended = machine->ended;
	pthread_mutex_unlock(&machine->lock);
	if (first && ended)
		workers_queue(machine->capsa->workers, &machine->job);
}

/* With the lock held. */
static bool machine_is_running(const struct machine *machine)
{
	return machine->loaded && !machine->stopping;
}

/* With the lock held: the VM to talk to, or NULL. */
static struct vm *machine_running(struct machine *machine)
{
	return machine_is_running(machine) ? machine->vm : NULL;
}

enum capsa_status machine_press_power(struct machine *machine)
{
	struct vm *vm;

	pthread_mutex_lock(&machine->lock);
	vm = machine_running(machine);
	if (vm)
		board_press_power(&vm->board);
	pthread_mutex_unlock(&machine->lock);
	return vm ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

enum capsa_status machine_pause(struct machine *machine, bool pause)
{
	bool running;

	pthread_mutex_lock(&machine->lock);
	running = machine_is_running(machine);
	if (running && machine->vm)
		vm_command(machine->vm, pause ? VM_PAUSE : VM_RUN);
	if (running && machine->service)
		service_hold(machine->service, pause);
	pthread_mutex_unlock(&machine->lock);
	return running ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

enum capsa_status machine_write(struct machine *machine, const uint8_t *input,
				uint32_t length, uint32_t *accepted)
{
	bool running;

	*accepted = 0;
	pthread_mutex_lock(&machine->lock);
	running = machine_is_running(machine);
	if (running && machine->vm) {
		*accepted = mailbox_write(&machine->box, input, length);
		if (*accepted > 0)
			board_console_input(&machine->vm->board);
	}
	pthread_mutex_unlock(&machine->lock);
	return running ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

void machine_stats(struct machine *machine, struct capsa_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	pthread_mutex_lock(&machine->lock);
	stats->cpus = machine->config.cpus;
	stats->memory_bytes = machine->config.memory_bytes;
	mailbox_count(&machine->box, stats);
	if (machine->vm && machine->loaded) {
		stats->exits = vm_exits(machine->vm);
		stats->resident_bytes = memory_resident(&machine->vm->memory);
		board_stats(&machine->vm->board, stats);
	}
	if (machine->service && machine->loaded)
		service_stats(machine->service, stats);
	pthread_mutex_unlock(&machine->lock);
}

/* With the lock held: what guards the machine's way out, or NULL. */
static struct gate *machine_gate(const struct machine *machine)
{
	return machine->network ? network_gate(machine->network)
				: machine->gate;
}

enum capsa_status machine_replace_policy(struct machine *machine,
					 const struct capsa_policy *policy,
					 struct capsa_error *error)
{
	enum capsa_status status = CAPSA_STATUS_STATE;
	struct gate *gate;

	pthread_mutex_lock(&machine->lock);
	gate = machine_gate(machine);
	if (gate)
		status = gate_replace(gate, policy, error);
	pthread_mutex_unlock(&machine->lock);
	return status;
}

enum capsa_status machine_explain(struct machine *machine,
				  const struct capsa_flow *flow,
				  const char *name,
				  struct capsa_decision *decision)
{
	enum capsa_status status = CAPSA_STATUS_STATE;
	struct gate *gate;

	pthread_mutex_lock(&machine->lock);
	gate = machine_gate(machine);
	if (gate)
		status = gate_explain(gate, flow, name, decision);
	pthread_mutex_unlock(&machine->lock);
	return status;
}

enum capsa_status machine_policy_log(struct machine *machine,
				     struct capsa_decision *lines,
				     uint32_t capacity, uint32_t *count)
{
	struct gate *gate;

	pthread_mutex_lock(&machine->lock);
	gate = machine_gate(machine);
	*count = gate ? gate_take_log(gate, lines, capacity) : 0;
	pthread_mutex_unlock(&machine->lock);
	return gate ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

bool machine_drain(struct machine *machine, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity)
{
	drained->machine = machine->handle;
	return mailbox_drain(&machine->box, drained, output, capacity);
}
