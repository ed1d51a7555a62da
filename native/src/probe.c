/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "error.h"
#include "kvm.h"
#include "memory.h"

enum { PROBE_ROUNDS = 4 };

#define PROBE_MEMORY_BYTES (16ull << 20)

/* Hardware needs well under a nanosecond an instruction, software emulation
 * of a whole processor a few, and KVM's interpreter about 600. */
#define PROBE_EMULATED_PS 200000ull

struct probe {
	int kvm_fd; /* owned, like the rest; -1: none */
	int vm_fd;
	int vcpu_fd;
	struct kvm_run *run;
	size_t run_size;
	struct memory memory;
	uint64_t instructions; /* of one round */
};

static enum capsa_status probe_open(struct probe *probe, uint32_t *gic,
				    struct capsa_error *error)
{
	struct arch_shape shape = {
		.cpus = 1,
		.discovery = CAPSA_DISCOVERY_FIRMWARE,
	};
	struct arch_entry entry;
	enum capsa_status status;
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	status = kvm_open(&probe->kvm_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_create_vm(
			probe->kvm_fd,
			arch_vm_type(probe->kvm_fd, PROBE_MEMORY_BYTES),
			&probe->vm_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = memory_create(&probe->memory, PROBE_MEMORY_BYTES,
				       hole_start, hole_end, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_map_memory(probe->vm_fd, &probe->memory, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vm_setup(probe->vm_fd, &shape, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_create_vcpu(probe->kvm_fd, probe->vm_fd, 0,
					 &probe->vcpu_fd, &probe->run,
					 &probe->run_size, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vm_complete(probe->vm_fd, &shape, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_probe_load(&probe->memory, &entry,
					 &probe->instructions, error);
	if (status == CAPSA_STATUS_OK)
		status = arch_vcpu_setup(probe->kvm_fd, probe->vm_fd,
					 probe->vcpu_fd, 0, &shape, &entry,
					 error);
	*gic = shape.gic;
	return status;
}

static void probe_close(struct probe *probe)
{
	if (probe->run)
		munmap(probe->run, probe->run_size);
	if (probe->vcpu_fd >= 0)
		close(probe->vcpu_fd);
	if (probe->vm_fd >= 0)
		close(probe->vm_fd);
	memory_destroy(&probe->memory);
	if (probe->kvm_fd >= 0)
		close(probe->kvm_fd);
}

/* Processor time of this thread: what other threads do does not count. */
static uint64_t probe_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs the loop once, to the access that ends it. */
static enum capsa_status probe_round(struct probe *probe, uint64_t *picoseconds,
				     struct capsa_error *error)
{
	uint64_t start = probe_clock();
	int result;

	/* A process that is stopped or frozen leaves the guest; go on then. */
	do {
		result = ioctl(probe->vcpu_fd, KVM_RUN, 0);
	} while (result < 0 && errno == EINTR);
	if (result < 0)
		return error_system(error, errno, "KVM_RUN", KVM_DEVICE);
	if (probe->run->exit_reason != KVM_EXIT_IO &&
	    probe->run->exit_reason != KVM_EXIT_MMIO)
		return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0,
				 "KVM_RUN", KVM_DEVICE, "exit_reason",
				 "KVM could not run a few instructions");
	*picoseconds = (probe_clock() - start) * 1000 / probe->instructions;
	return CAPSA_STATUS_OK;
}

static enum capsa_status probe_measure(struct probe *probe,
				       uint64_t *picoseconds,
				       struct capsa_error *error)
{
	*picoseconds = UINT64_MAX;
	/* A round can be slow for what it met first or for a busy host, so the
	 * quickest counts; one that is quick enough ends the doubt. */
	for (int i = 0; i<PROBE_ROUNDS && * picoseconds> PROBE_EMULATED_PS;
	     i++) {
		uint64_t round = 0;
		enum capsa_status status = probe_round(probe, &round, error);

		if (status != CAPSA_STATUS_OK)
			return status;
		if (round < *picoseconds)
			*picoseconds = round;
	}
	return CAPSA_STATUS_OK;
}

enum capsa_verdict probe_run(struct probe_result *result,
			     struct capsa_error *error)
{
	struct probe probe = {
		.kvm_fd = -1,
		.vm_fd = -1,
		.vcpu_fd = -1,
		.memory.fd = -1,
	};
	enum capsa_status status = probe_open(&probe, &result->gic, error);

	if (status == CAPSA_STATUS_OK)
		status = probe_measure(&probe, &result->picoseconds, error);
	probe_close(&probe);
	if (status != CAPSA_STATUS_OK)
		return CAPSA_VERDICT_UNUSABLE;
	if (result->picoseconds <= PROBE_EMULATED_PS)
		return CAPSA_VERDICT_HARDWARE;
	error_set(error, CAPSA_STATUS_EMULATED, 0, "KVM_RUN", KVM_DEVICE, NULL,
		  "KVM interprets guest kernel code on this host");
	return CAPSA_VERDICT_EMULATED;
}
