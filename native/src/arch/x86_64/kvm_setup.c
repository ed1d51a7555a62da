/* SPDX-License-Identifier: MIT */
/* The machine and its vCPUs as KVM is told of them. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "cpuid.h"
#include "entry_state.h"
#include "error.h"
#include "kvm.h"
#include "layout.h"

enum {
	CPUID_ENTRIES_FIRST = 256,
	CPUID_ENTRIES_MAX = 4096,
};

enum {
	MSR_MISC_ENABLE = 0x1a0,
	MISC_ENABLE_FAST_STRING = 1 << 0,
	MISC_ENABLE_NO_BTS = 1 << 11,
	MISC_ENABLE_NO_PEBS = 1 << 12,
	MSR_MTRR_DEFAULT_TYPE = 0x2ff,
	MTRR_WRITE_BACK = 6,
	MTRR_ENABLED = 1 << 11,
};

/* Intel SDM volume 3, "local vector table" */
enum {
	LAPIC_LINT0 = 0x350,
	LAPIC_LINT1 = 0x360,
	LAPIC_MODE_NMI = 4 << 8,
	LAPIC_MODE_EXTINT = 7 << 8,
};

enum {
	FPU_CONTROL = 0x37f,
	FPU_MXCSR = 0x1f80,
};

/* On success *out is the caller's to free, with room for what is added. */
static enum capsa_status kvm_setup_read_cpuid(int kvm_fd,
					      struct kvm_cpuid2 **out,
					      struct capsa_error *error)
{
	for (uint32_t entries = CPUID_ENTRIES_FIRST;
	     entries <= CPUID_ENTRIES_MAX; entries *= 2) {
		struct kvm_cpuid2 *cpuid = calloc(
			1, sizeof(*cpuid) + (entries + CPUID_ADDED_MAX) *
						    sizeof(cpuid->entries[0]));
		int failure;

		if (!cpuid)
			return error_system(error, ENOMEM, "malloc", "cpuid");
		cpuid->nent = entries;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0) {
			*out = cpuid;
			return CAPSA_STATUS_OK;
		}
		failure = errno;
		free(cpuid);
		if (failure != E2BIG)
			return kvm_error(error, failure,
					 "KVM_GET_SUPPORTED_CPUID");
	}
	return kvm_error(error, E2BIG, "KVM_GET_SUPPORTED_CPUID");
}

/* The most that addresses of this width reach around the device hole. */
static uint64_t kvm_setup_memory_max(uint32_t physical_bits)
{
	return (1ull << physical_bits) - (X86_HOLE_END - X86_HOLE_START);
}

enum capsa_status arch_memory_check(int kvm_fd, uint64_t memory_bytes,
				    struct capsa_error *error)
{
	struct kvm_cpuid2 *cpuid = NULL;
	char message[sizeof(error->message)];
	enum capsa_status status;
	uint32_t bits;

	/* Every processor can: the question takes as long as other steps of
	 * creating a machine. */
	if (memory_bytes <= kvm_setup_memory_max(CPUID_PHYSICAL_BITS_MIN))
		return CAPSA_STATUS_OK;
	status = kvm_setup_read_cpuid(kvm_fd, &cpuid, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	bits = cpuid_physical_bits(cpuid);
	free(cpuid);
	if (memory_bytes <= kvm_setup_memory_max(bits))
		return CAPSA_STATUS_OK;
	(void)snprintf(message, sizeof(message),
		       "%llu bytes of memory: the host's processor has %u bits "
		       "of physical address, enough for %llu",
		       (unsigned long long)memory_bytes, bits,
		       (unsigned long long)kvm_setup_memory_max(bits));
	return error_set(error, CAPSA_STATUS_MEMORY_INVALID, 0,
			 "KVM_GET_SUPPORTED_CPUID", "memory", "memory_bytes",
			 message);
}

/*
 * No vCPU gets performance counters. CPUID hides them; this takes their
 * registers away too, before the first vCPU, where KVM can (Linux 5.18).
 */
static enum capsa_status kvm_setup_no_pmu(int vm_fd, struct capsa_error *error)
{
	struct kvm_enable_cap disable = {
		.cap = KVM_CAP_PMU_CAPABILITY,
		.args = { KVM_PMU_CAP_DISABLE },
	};
	int offered = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_PMU_CAPABILITY);

	if (offered < 0 || !(offered & KVM_PMU_CAP_DISABLE))
		return CAPSA_STATUS_OK;
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &disable) < 0)
		return kvm_error(error, errno, "KVM_CAP_PMU_CAPABILITY");
	return CAPSA_STATUS_OK;
}

/*
 * Masks all lines of both 8259s, as firmware leaves them: KVM has them open,
 * and with vectors from 0 until the kernel sets them up, so that a device's
 * interrupt would be taken for a processor's exception.
 */
static enum capsa_status kvm_setup_pics(int vm_fd, struct capsa_error *error)
{
	static const uint32_t chips[] = { KVM_IRQCHIP_PIC_MASTER,
					  KVM_IRQCHIP_PIC_SLAVE };

	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++) {
		struct kvm_irqchip chip = { .chip_id = chips[i] };

		if (ioctl(vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
			return kvm_error(error, errno, "KVM_GET_IRQCHIP");
		chip.chip.pic.imr = 0xff;
		if (ioctl(vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			return kvm_error(error, errno, "KVM_SET_IRQCHIP");
	}
	return CAPSA_STATUS_OK;
}

unsigned long arch_vm_type(int kvm_fd, uint64_t memory_bytes)
{
	(void)kvm_fd;
	(void)memory_bytes;
	return 0; /* there is but one */
}

enum capsa_status arch_vm_setup(int vm_fd, struct arch_shape *shape,
				struct capsa_error *error)
{
	uint64_t identity_map = X86_IDENTITY_MAP;
	/* Takes the speaker's port 0x61 too, which old kernels wait on. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	enum capsa_status status;

	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)X86_TSS_ADDRESS) < 0)
		return kvm_error(error, errno, "KVM_SET_TSS_ADDR");
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return kvm_error(error, errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return kvm_error(error, errno, "KVM_CREATE_IRQCHIP");
	status = kvm_setup_pics(vm_fd, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	/* Hardware-reduced ACPI tells kernels that there is no such timer. */
	if (shape->discovery == CAPSA_DISCOVERY_CMDLINE &&
	    ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return kvm_error(error, errno, "KVM_CREATE_PIT2");
	return kvm_setup_no_pmu(vm_fd, error);
}

enum capsa_status arch_vm_complete(int vm_fd, const struct arch_shape *shape,
				   struct capsa_error *error)
{
	(void)vm_fd;
	(void)shape;
	(void)error;
	return CAPSA_STATUS_OK; /* KVM has made the local controllers */
}

static enum capsa_status kvm_setup_cpuid(int kvm_fd, int vcpu_fd,
					 uint32_t index,
					 const struct arch_shape *shape,
					 struct capsa_error *error)
{
	const struct cpuid_shape cpu = {
		.index = index,
		.cpus = shape->cpus,
		.tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION,
				      KVM_CAP_TSC_DEADLINE_TIMER) > 0,
	};
	struct kvm_cpuid2 *cpuid = NULL;
	enum capsa_status status = kvm_setup_read_cpuid(kvm_fd, &cpuid, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	cpuid_edit(cpuid, &cpu);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		status = kvm_error(error, errno, "KVM_SET_CPUID2");
	free(cpuid);
	return status;
}

/* All other registers that kernels rely on are zero after KVM's reset. */
static enum capsa_status kvm_setup_msrs(int vcpu_fd, struct capsa_error *error)
{
	static const struct kvm_msr_entry entries[] = {
		{ .index = MSR_MISC_ENABLE,
		  .data = MISC_ENABLE_FAST_STRING | MISC_ENABLE_NO_BTS |
			  MISC_ENABLE_NO_PEBS },
		{ .index = MSR_MTRR_DEFAULT_TYPE,
		  .data = MTRR_ENABLED | MTRR_WRITE_BACK },
	};
	enum { COUNT = sizeof(entries) / sizeof(entries[0]) };
	struct {
		uint32_t count; /* struct kvm_msrs, of a fixed length */
		uint32_t pad;
		struct kvm_msr_entry entries[COUNT];
	} msrs = { .count = COUNT };
	char field[sizeof(error->field)];
	int set;

	memcpy(msrs.entries, entries, sizeof(entries));
	set = ioctl(vcpu_fd, KVM_SET_MSRS, &msrs);
	if (set < 0)
		return kvm_error(error, errno, "KVM_SET_MSRS");
	if (set == COUNT)
		return CAPSA_STATUS_OK;
	(void)snprintf(field, sizeof(field), "msr 0x%x", entries[set].index);
	return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0, "KVM_SET_MSRS",
			 "/dev/kvm", field,
			 "the hypervisor refuses a model-specific register");
}

static enum capsa_status kvm_setup_lapic(int vcpu_fd, struct capsa_error *error)
{
	const uint32_t lint0 = LAPIC_MODE_EXTINT;
	const uint32_t lint1 = LAPIC_MODE_NMI;
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return kvm_error(error, errno, "KVM_GET_LAPIC");
	memcpy(lapic.regs + LAPIC_LINT0, &lint0, sizeof(lint0));
	memcpy(lapic.regs + LAPIC_LINT1, &lint1, sizeof(lint1));
	if (ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0)
		return kvm_error(error, errno, "KVM_SET_LAPIC");
	return CAPSA_STATUS_OK;
}

static enum capsa_status kvm_setup_entry(int vcpu_fd,
					 const struct arch_entry *entry,
					 struct capsa_error *error)
{
	struct kvm_regs regs = entry_state_registers(entry);
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return kvm_error(error, errno, "KVM_GET_SREGS");
	entry_state_system_registers(entry, &sregs);
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return kvm_error(error, errno, "KVM_SET_SREGS");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return kvm_error(error, errno, "KVM_SET_REGS");
	return CAPSA_STATUS_OK;
}

enum capsa_status arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd,
				  uint32_t index,
				  const struct arch_shape *shape,
				  const struct arch_entry *entry,
				  struct capsa_error *error)
{
	const struct kvm_fpu fpu = { .fcw = FPU_CONTROL, .mxcsr = FPU_MXCSR };
	enum capsa_status status;

	(void)vm_fd;
	/* First, because it decides which other registers exist. */
	status = kvm_setup_cpuid(kvm_fd, vcpu_fd, index, shape, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_setup_msrs(vcpu_fd, error);
	if (status == CAPSA_STATUS_OK)
		status = kvm_setup_lapic(vcpu_fd, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	if (ioctl(vcpu_fd, KVM_SET_FPU, &fpu) < 0)
		return kvm_error(error, errno, "KVM_SET_FPU");
	/* The others wait, uninitialised, for the guest's start-up message. */
	if (index > 0)
		return CAPSA_STATUS_OK;
	return kvm_setup_entry(vcpu_fd, entry, error);
}
