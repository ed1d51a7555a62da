/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "error.h"
#include "probe.h"
#include "vm.h"

enum {
	OUTPUT_BYTES_MIN = 4 * 1024,
	OUTPUT_BYTES_MAX = 16 * 1024 * 1024,
	PATH_BYTES_MAX = 4095,
	CMDLINE_BYTES_MAX = 64 * 1024,
};

static uint64_t machine_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A private copy of a slice's text in *out; absent texts stay NULL. */
static enum capsa_status machine_text(char **out,
				      const struct capsa_machine_config *config,
				      struct capsa_slice slice,
				      uint32_t length_max, const char *field,
				      struct capsa_error *error)
{
	const char *start = (const char *)config + slice.offset;

	if (slice.length == 0)
		return CAPSA_STATUS_OK;
	if (slice.offset < config->size || slice.offset > config->total ||
	    slice.length > config->total - slice.offset ||
	    slice.length > length_max)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_launch", "config", field,
				 "the text is too long or outside its buffer");
	if (memchr(start, '\0', slice.length))
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_launch", "config", field,
				 "the text contains a NUL");
	*out = strndup(start, slice.length);
	if (!*out)
		return error_system(error, ENOMEM, "strndup", NULL);
	return CAPSA_STATUS_OK;
}

static enum capsa_status machine_check(
	const struct capsa_machine_config *config, struct capsa_error *error)
{
	const char *field = NULL;

	if (config->size != sizeof(*config) || config->total < config->size)
		field = "size";
	else if (config->cpus < 1 || config->cpus > CAPSA_CPUS_MAX)
		field = "cpus";
	else if (config->discovery != CAPSA_DISCOVERY_FIRMWARE &&
		 config->discovery != CAPSA_DISCOVERY_CMDLINE)
		field = "discovery";
	else if (config->console != CAPSA_CONSOLE_SERIAL &&
		 config->console != CAPSA_CONSOLE_VIRTIO)
		field = "console";
	else if (config->console_bytes < OUTPUT_BYTES_MIN ||
		 config->console_bytes > OUTPUT_BYTES_MAX)
		field = "console_bytes";
	else if (config->kernel.length == 0)
		field = "kernel";
	if (!field)
		return CAPSA_STATUS_OK;
	return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
			 "capsa_launch", "config", field,
			 "the value is outside its range");
}

static enum capsa_status machine_configure(
	struct machine *machine, const struct capsa_machine_config *config,
	struct capsa_error *error)
{
	struct machine_config *own = &machine->config;
	enum capsa_status status = machine_check(config, error);

	own->memory_bytes = config->memory_bytes;
	own->cpus = config->cpus;
	own->discovery = (enum capsa_discovery)config->discovery;
	own->console = (enum capsa_console)config->console;
	if (status == CAPSA_STATUS_OK)
		status = machine_text(&own->kernel, config, config->kernel,
				      PATH_BYTES_MAX, "kernel", error);
	if (status == CAPSA_STATUS_OK)
		status = machine_text(&own->initrd, config, config->initrd,
				      PATH_BYTES_MAX, "initrd", error);
	if (status == CAPSA_STATUS_OK)
		status = machine_text(&own->cmdline, config, config->cmdline,
				      CMDLINE_BYTES_MAX, "cmdline", error);
	if (status == CAPSA_STATUS_OK &&
	    (byte_ring_create(&machine->output, config->console_bytes) < 0 ||
	     byte_ring_create(&machine->input, MACHINE_INPUT_BYTES) < 0))
		status = error_system(error, ENOMEM, "malloc", "console");
	return status;
}

static void machine_free(struct machine *machine)
{
	vm_destroy(machine->vm);
	byte_ring_destroy(&machine->output);
	byte_ring_destroy(&machine->input);
	free(machine->config.kernel);
	free(machine->config.initrd);
	free(machine->config.cmdline);
	pthread_mutex_destroy(&machine->box_lock);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

static struct machine *machine_new(struct capsa *capsa)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	if (!machine)
		return NULL;
	machine->capsa = capsa;
	machine->asked_ns = machine_clock();
	atomic_init(&machine->references, 1);
	pthread_mutex_init(&machine->lock, NULL);
	pthread_mutex_init(&machine->box_lock, NULL);
	return machine;
}

static struct machine *machine_of(struct worker_job *job)
{
	return (struct machine *)((char *)job - offsetof(struct machine, job));
}

/* What the exit or the probe says. */
static void machine_set_error(struct machine *machine,
			      const struct capsa_error *error)
{
	pthread_mutex_lock(&machine->box_lock);
	machine->error = *error;
	pthread_mutex_unlock(&machine->box_lock);
}

static void machine_run_probe(struct worker_job *job)
{
	struct machine *machine = machine_of(job);
	struct capsa_error error = { 0 };
	uint64_t picoseconds = 0;
	enum capsa_verdict verdict = probe_run(&picoseconds, &error);

	machine_set_error(machine, &error);
	machine_post(machine, MACHINE_MAIL_PROBED, CAPSA_EVENT_PROBED, verdict,
		     picoseconds);
	machine_ended(machine);
}

/* On a worker: everything the machine holds goes. */
static void machine_run_release(struct worker_job *job)
{
	struct machine *machine = machine_of(job);
	struct vm *vm;

	pthread_mutex_lock(&machine->lock);
	vm = machine->vm;
	machine->vm = NULL;
	pthread_mutex_unlock(&machine->lock);
	vm_destroy(vm);
	machine_post(machine, MACHINE_MAIL_RELEASED, CAPSA_EVENT_RELEASED, 0,
		     0);
}

enum capsa_status machine_create(struct machine **out, struct capsa *capsa,
				 const struct capsa_machine_config *config,
				 struct capsa_error *error)
{
	struct machine *machine = machine_new(capsa);
	enum capsa_status status;

	if (!machine)
		return error_system(error, ENOMEM, "calloc", NULL);
	status = machine_configure(machine, config, error);
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

/* With box_lock held: somebody should drain this machine. */
static void machine_announce(struct machine *machine)
{
	if (machine->announced)
		return;
	machine->announced = true;
	context_ready(machine->capsa, machine);
}

void machine_post(struct machine *machine, enum machine_mail mail,
		  uint32_t kind, uint32_t code, uint64_t value)
{
	pthread_mutex_lock(&machine->box_lock);
	machine->mail[mail] = (struct machine_letter) {
		.waiting = true,
		.kind = kind,
		.code = code,
		.time_ns = machine_clock() - machine->asked_ns,
		.value = value,
	};
	machine_announce(machine);
	pthread_mutex_unlock(&machine->box_lock);
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
			machine_set_error(machine, error);
		if (machine->vm)
			vm_command(machine->vm, VM_STOP);
	}
	pthread_mutex_unlock(&machine->lock);
}

void machine_ended(struct machine *machine)
{
	bool probe = !machine->config.kernel;
	bool release;

	pthread_mutex_lock(&machine->lock);
	machine->ended = true;
	machine->job.run = machine_run_release;
	release = machine->release_wanted;
	pthread_mutex_unlock(&machine->lock);
	if (!probe)
		machine_post(machine, MACHINE_MAIL_EXIT, CAPSA_EVENT_EXIT,
			     machine->exit, 0);
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

/* With the lock held: the VM to talk to, or NULL. */
static struct vm *machine_running(struct machine *machine)
{
	return machine->loaded && !machine->stopping ? machine->vm : NULL;
}

enum capsa_status machine_press_power(struct machine *machine)
{
	struct vm *vm;

	pthread_mutex_lock(&machine->lock);
	vm = machine_running(machine);
	if (vm)
		vm_press_power(vm);
	pthread_mutex_unlock(&machine->lock);
	return vm ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

enum capsa_status machine_pause(struct machine *machine, bool pause)
{
	struct vm *vm;

	pthread_mutex_lock(&machine->lock);
	vm = machine_running(machine);
	if (vm)
		vm_command(vm, pause ? VM_PAUSE : VM_RUN);
	pthread_mutex_unlock(&machine->lock);
	return vm ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

enum capsa_status machine_write(struct machine *machine, const uint8_t *input,
				uint32_t length, uint32_t *accepted)
{
	struct vm *vm;

	*accepted = 0;
	pthread_mutex_lock(&machine->lock);
	vm = machine_running(machine);
	if (vm) {
		pthread_mutex_lock(&machine->box_lock);
		*accepted = byte_ring_push(&machine->input, input, length);
		machine->input_refused |= *accepted < length;
		pthread_mutex_unlock(&machine->box_lock);
		if (*accepted > 0)
			vm_console_input(vm);
	}
	pthread_mutex_unlock(&machine->lock);
	return vm ? CAPSA_STATUS_OK : CAPSA_STATUS_STATE;
}

void machine_stats(struct machine *machine, struct capsa_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	pthread_mutex_lock(&machine->lock);
	stats->cpus = machine->config.cpus;
	stats->memory_bytes = machine->config.memory_bytes;
	pthread_mutex_lock(&machine->box_lock);
	stats->console_output = machine->output_total;
	stats->console_input = machine->input_total;
	stats->console_lost = machine->output_lost_total;
	pthread_mutex_unlock(&machine->box_lock);
	if (machine->vm && machine->loaded) {
		stats->exits = vm_exits(machine->vm);
		stats->resident_bytes = memory_resident(&machine->vm->memory);
	}
	pthread_mutex_unlock(&machine->lock);
}

void machine_output(void *owner, const uint8_t *data, uint32_t length)
{
	struct machine *machine = owner;
	uint32_t lost;

	pthread_mutex_lock(&machine->box_lock);
	lost = byte_ring_overwrite(&machine->output, data, length);
	machine->output_lost += lost;
	machine->output_lost_total += lost;
	machine->output_total += length;
	machine_announce(machine);
	pthread_mutex_unlock(&machine->box_lock);
}

uint32_t machine_input(void *owner, uint8_t *data, uint32_t length)
{
	struct machine *machine = owner;
	bool writable;
	uint32_t taken;

	pthread_mutex_lock(&machine->box_lock);
	taken = byte_ring_take(&machine->input, data, length);
	machine->input_total += taken;
	writable = machine->input_refused && taken > 0;
	if (writable)
		machine->input_refused = false;
	pthread_mutex_unlock(&machine->box_lock);
	if (writable)
		machine_post(machine, MACHINE_MAIL_WRITABLE,
			     CAPSA_EVENT_WRITABLE, 0, 0);
	return taken;
}

/*
 * With box_lock held: the oldest letter that may be handed out, or NULL. The
 * end comes after the last byte of output, and RELEASED, which is posted last,
 * after the end.
 */
static struct machine_letter *machine_next_letter(struct machine *machine)
{
	struct machine_letter *oldest = NULL;

	for (uint32_t i = 0; i < MACHINE_MAIL_COUNT; i++) {
		struct machine_letter *letter = &machine->mail[i];

		if (letter->waiting &&
		    (!oldest || letter->time_ns < oldest->time_ns))
			oldest = letter;
	}
	if (oldest && machine->output.length > 0 &&
	    (oldest->kind == CAPSA_EVENT_EXIT ||
	     oldest->kind == CAPSA_EVENT_RELEASED))
		return NULL;
	return oldest;
}

bool machine_drain(struct machine *machine, struct capsa_drained *drained,
		   uint8_t *output, uint32_t capacity)
{
	struct machine_letter *letter = NULL;
	bool released = false;

	pthread_mutex_lock(&machine->box_lock);
	machine->announced = false;
	drained->machine = machine->handle;
	drained->console_lost = machine->output_lost;
	machine->output_lost = 0;
	drained->console_bytes = byte_ring_take(&machine->output, output,
						capacity);
	while (drained->event_count < CAPSA_DRAIN_EVENTS_MAX &&
	       (letter = machine_next_letter(machine))) {
		struct capsa_event *event =
			&drained->events[drained->event_count++];

		letter->waiting = false;
		event->size = sizeof(*event);
		event->kind = letter->kind;
		event->code = letter->code;
		event->time_ns = letter->time_ns;
		event->value = letter->value;
		if (letter->kind == CAPSA_EVENT_EXIT ||
		    letter->kind == CAPSA_EVENT_PROBED)
			event->error = machine->error;
		released |= letter->kind == CAPSA_EVENT_RELEASED;
	}
	if (!released &&
	    (machine->output.length > 0 || machine_next_letter(machine)))
		machine_announce(machine);
	pthread_mutex_unlock(&machine->box_lock);
	return released;
}
