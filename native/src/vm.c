/* SPDX-License-Identifier: MIT */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "kvm.h"
#include "vcpu.h"

struct vm *vm_create(struct machine *machine)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->machine = machine;
	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->memory.fd = -1;
	vm->shape = board_shape(&machine->config);
	board_init(&vm->board, machine, &vm->shape, &vm->memory);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	return vm;
}

static enum capsa_status vm_create_vcpus(struct vm *vm,
					 struct capsa_error *error)
{
	while (vm->vcpu_count < vm->shape.cpus) {
		struct vcpu *vcpu = &vm->vcpus[vm->vcpu_count];
		enum capsa_status status;

		vcpu->vm = vm;
		vcpu->index = vm->vcpu_count;
		status = kvm_create_vcpu(vm->kvm_fd, vm->fd, vcpu->index,
					 &vcpu->fd, &vcpu->run, &vm->run_size,
					 error);
		if (status != CAPSA_STATUS_OK)
			return status;
		vm->vcpu_count++;
	}
	return CAPSA_STATUS_OK;
}

/* A kill that came meanwhile has decided the exit; this only ends the way. */
static enum capsa_status vm_still_wanted(struct vm *vm,
					 struct capsa_error *error)
{
	if (atomic_load(&vm->command) != VM_STOP)
		return CAPSA_STATUS_OK;
	return error_set(error, CAPSA_STATUS_STATE, 0, "capsa_launch", NULL,
			 NULL, "the machine was killed before it started");
}

enum capsa_status vm_open(struct vm *vm, struct loop *loop,
			  struct capsa_error *error)
{
	uint64_t memory_bytes = vm->machine->config.memory_bytes;
	enum capsa_status status = vm_still_wanted(vm, error);

	if (status == CAPSA_STATUS_OK)
		status = kvm_open(&vm->kvm_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_memory_check(vm->kvm_fd, memory_bytes, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_create_vm(vm->kvm_fd,
				       arch_vm_type(vm->kvm_fd, memory_bytes),
				       &vm->fd, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vm_setup(vm->fd, &vm->shape, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_create_vcpus(vm, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vm_complete(vm->fd, &vm->shape, error);
	if (status == CAPSA_STATUS_OK)
		status = board_create(&vm->board, vm->fd, loop, error);
	if (status == CAPSA_STATUS_OK)
		mailbox_post(&vm->machine->box, MAIL_CREATED);
	return status;
}

/* Opens a file to boot from, which may be a pipe that nobody writes to. */
static enum capsa_status vm_open_file(const char *path,
				      enum capsa_status unreadable, int *fd,
				      struct capsa_error *error)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return error_set(error, unreadable, errno, "open", path, NULL,
				 "the file cannot be opened");
	return CAPSA_STATUS_OK;
}

static enum capsa_status vm_load_files(struct vm *vm, struct capsa_error *error)
{
	const struct machine_config *config = &vm->machine->config;
	struct arch_boot_files files = {
		.kernel_fd = -1,
		.kernel_path = config->kernel,
		.initrd_fd = -1,
		.initrd_path = config->initrd,
		.cmdline = config->cmdline ? config->cmdline : "",
	};
	enum capsa_status status;

	status = vm_open_file(config->kernel, CAPSA_STATUS_KERNEL_FILE,
			      &files.kernel_fd, error);
	if (status == CAPSA_STATUS_OK && config->initrd)
		status = vm_open_file(config->initrd, CAPSA_STATUS_INITRD_FILE,
				      &files.initrd_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_boot_load(&vm->memory, &vm->shape, &files,
					&vm->entry, error);
	if (files.kernel_fd >= 0)
		close(files.kernel_fd);
	if (files.initrd_fd >= 0)
		close(files.initrd_fd);
	return status;
}

enum capsa_status vm_load(struct vm *vm, struct capsa_error *error)
{
	enum capsa_status status = vm_still_wanted(vm, error);
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	if (status == CAPSA_STATUS_OK)
		status = memory_create(&vm->memory,
				       vm->machine->config.memory_bytes,
				       hole_start, hole_end, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_load_files(vm, error);
	return status;
}

static enum capsa_status vm_setup_vcpus(struct vm *vm,
					struct capsa_error *error)
{
	enum capsa_status status = CAPSA_STATUS_OK;

	for (uint32_t i = 0; status == CAPSA_STATUS_OK && i < vm->vcpu_count;
	     i++) {
		int fd = vm->vcpus[i].fd;

		status = arch_vcpu_setup(vm->kvm_fd, vm->fd, fd, i, &vm->shape,
					 &vm->entry, error);
		if (status == CAPSA_STATUS_OK)
			status = vcpu_allow_kick(fd, error);
	}
	return status;
}

enum capsa_status vm_prepare(struct vm *vm, struct capsa_error *error)
{
	enum capsa_status status = vm_still_wanted(vm, error);

	if (status == CAPSA_STATUS_OK)
		status = kvm_map_memory(vm->fd, &vm->memory, error);
	if (status == CAPSA_STATUS_OK)
		status = vm_setup_vcpus(vm, error);
	if (status == CAPSA_STATUS_OK)
		mailbox_post(&vm->machine->box, MAIL_LOADED);
	return status;
}

static void vm_join(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->thread_count; i++)
		pthread_join(vm->vcpus[i].thread, NULL);
	vm->thread_count = 0;
}

enum capsa_status vm_run(struct vm *vm, struct capsa_error *error)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		int result;

		pthread_mutex_lock(&vm->lock);
		result = vcpu_start(&vm->vcpus[i]);
		if (result == 0)
			vm->thread_count++;
		pthread_mutex_unlock(&vm->lock);
		if (result < 0) {
			vm_command(vm, VM_STOP);
			vm_join(vm);
			return error_system(error, -result, "pthread_create",
					    "vCPU");
		}
	}
	return CAPSA_STATUS_OK;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	vm_join(vm);
	board_destroy(&vm->board);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		munmap(vm->vcpus[i].run, vm->run_size);
		close(vm->vcpus[i].fd);
	}
	if (vm->fd >= 0)
		close(vm->fd);
	memory_destroy(&vm->memory);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* With the lock held: tells when every vCPU stands still. */
static void vm_report_rest(struct vm *vm)
{
	if (vm->resting == vm->shape.cpus &&
	    atomic_load(&vm->command) == VM_PAUSE)
		mailbox_post(&vm->machine->box, MAIL_PAUSED);
}

void vm_command(struct vm *vm, enum vm_command command)
{
	pthread_mutex_lock(&vm->lock);
	if (atomic_load(&vm->command) != VM_STOP) {
		bool resumed = command == VM_RUN &&
			       atomic_load(&vm->command) == VM_PAUSE;

		atomic_store(&vm->command, command);
		if (command != VM_RUN)
			for (uint32_t i = 0; i < vm->thread_count; i++)
				vcpu_kick(&vm->vcpus[i]);
		pthread_cond_broadcast(&vm->changed);
		/* They may rest still, from a pause that was taken back. */
		vm_report_rest(vm);
		if (resumed)
			mailbox_post(&vm->machine->box, MAIL_RESUMED);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_rest(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->resting++;
	vm_report_rest(vm);
	while (atomic_load(&vm->command) == VM_PAUSE)
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->resting--;
	pthread_mutex_unlock(&vm->lock);
}

void vm_leave(struct vm *vm)
{
	bool last;

	pthread_mutex_lock(&vm->lock);
	vm->left++;
	last = vm->left == vm->shape.cpus;
	pthread_mutex_unlock(&vm->lock);
	if (last)
		machine_ended(vm->machine);
}

uint64_t vm_exits(const struct vm *vm)
{
	uint64_t exits = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		exits += atomic_load_explicit(&vm->vcpus[i].exits,
					      memory_order_relaxed);
	return exits;
}
