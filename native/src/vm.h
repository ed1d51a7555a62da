/* SPDX-License-Identifier: MIT */
/*
 * What KVM runs: memory, vCPUs and board of one machine.
 *
 * Made and freed on a worker thread; run by its vCPU threads.
 */
#ifndef CAPSA_VM_H
#define CAPSA_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "board.h"
#include "capsa.h"
#include "loop.h"
#include "machine.h"
#include "memory.h"

enum vm_command {
	VM_RUN,
	VM_PAUSE,
	VM_STOP,
};

struct vcpu {
	struct vm *vm;
	uint32_t index;
	int fd;              /* owned */
	struct kvm_run *run; /* mapped, run_size bytes */
	pthread_t thread;
	atomic_uint_fast64_t exits;
};

struct vm {
	struct machine *machine;
	int kvm_fd; /* owned, like every descriptor here; -1: none */
	int fd;
	struct memory memory;
	struct arch_shape shape;
	struct arch_entry entry;
	struct board board;

	struct vcpu vcpus[CAPSA_CPUS_MAX];
	uint32_t vcpu_count; /* created */
	size_t run_size;

	_Atomic enum vm_command command;
	pthread_mutex_t lock; /* of what follows; taken inside machine->lock */
	pthread_cond_t changed;
	uint32_t thread_count; /* started */
	uint32_t resting;      /* vCPUs that stand still for VM_PAUSE */
	uint32_t left;         /* vCPU threads that have left for VM_STOP */
};

/* Allocates it, with nothing of KVM yet; NULL: no memory. */
struct vm *vm_create(struct machine *machine);

/* Creates all of it but its memory. Reports CREATED. */
enum capsa_status vm_open(struct vm *vm, struct loop *loop,
			  struct capsa_error *error);

/* Creates its memory and loads the guest; may run beside vm_open(). */
enum capsa_status vm_load(struct vm *vm, struct capsa_error *error);

/* After both: joins what they made, up to the first instruction. Reports
 * LOADED. */
enum capsa_status vm_prepare(struct vm *vm, struct capsa_error *error);

/*
 * Starts the vCPU threads; the last of them to leave calls machine_ended().
 * On failure none runs.
 */
enum capsa_status vm_run(struct vm *vm, struct capsa_error *error);

/* Frees it; its vCPU threads have left or are about to. NULL is fine. */
void vm_destroy(struct vm *vm);

/* Changes what the vCPUs do. STOP is final. */
void vm_command(struct vm *vm, enum vm_command command);

/* A vCPU thread stands still while the command is VM_PAUSE. */
void vm_rest(struct vm *vm);

/* A vCPU thread leaves for good; the last one ends the machine. */
void vm_leave(struct vm *vm);

/* Returns of KVM_RUN so far, of all vCPUs. */
uint64_t vm_exits(const struct vm *vm);

#endif
