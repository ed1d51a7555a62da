/* SPDX-License-Identifier: MIT */
/* What a vCPU answers to the CPUID instruction. */
#ifndef CAPSA_X86_CPUID_H
#define CAPSA_X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* Entries that cpuid_edit() may add. */
enum { CPUID_ADDED_MAX = 3 };

/* Of physical addresses, by the architecture. */
enum {
	CPUID_PHYSICAL_BITS_MIN = 36,
	CPUID_PHYSICAL_BITS_MAX = 52,
};

/* The vCPU and the machine it is in: one socket, one thread a core. */
struct cpuid_shape {
	uint32_t index; /* also its APIC id */
	uint32_t cpus;
	bool tsc_deadline; /* KVM emulates that timer mode */
};

/*
 * Changes what KVM supports to what this vCPU has. The array has room for
 * CPUID_ADDED_MAX entries more than it holds.
 */
void cpuid_edit(struct kvm_cpuid2 *cpuid, const struct cpuid_shape *shape);

/* Width of the physical addresses that KVM supports. */
uint32_t cpuid_physical_bits(const struct kvm_cpuid2 *cpuid);

#endif
