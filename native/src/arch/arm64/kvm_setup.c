/* SPDX-License-Identifier: MIT */
/* The machine and its vCPUs as KVM is told of them. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "error.h"
#include "gic.h"
#include "kvm.h"
#include "layout.h"

enum {
	IPA_BITS_DEFAULT = 40, /* of a KVM that cannot be asked for others */
	IPA_BITS_MIN = 32,     /* that KVM accepts */
};

/* PSTATE: mode of a kernel with its own stack, all interrupts masked */
#define PSTATE_ENTRY 0x3c5u

#define REGISTER_CORE(field)                                                   \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                 \
	 KVM_REG_ARM_CORE_REG(field))
#define REGISTER_MPIDR    ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REGISTER_FEATURES ARM64_SYS_REG(3, 0, 0, 7, 0) /* ID_AA64MMFR0_EL1 */

/* Affinity fields of MPIDR_EL1 */
#define MPIDR_AFFINITY 0xff00ffffffull

/* What a vCPU has where KVM has it for guests. */
struct optional_feature {
	uint32_t feature;
	int capabilities[2]; /* all that are needed */
};

static const struct optional_feature optional_features[] = {
	{ KVM_ARM_VCPU_SVE, { KVM_CAP_ARM_SVE, KVM_CAP_ARM_SVE } },
	{ KVM_ARM_VCPU_PTRAUTH_ADDRESS,
	  { KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC } },
	{ KVM_ARM_VCPU_PTRAUTH_GENERIC,
	  { KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC } },
};

/* Of guest physical addresses; what KVM makes of the type 0. */
static uint32_t kvm_setup_bits_max(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 ? (uint32_t)bits : IPA_BITS_DEFAULT;
}

static uint64_t kvm_setup_memory_max(uint32_t bits)
{
	return (1ull << bits) - ARM64_MEMORY;
}

enum capsa_status arch_memory_check(int kvm_fd, uint64_t memory_bytes,
				    struct capsa_error *error)
{
	uint32_t bits = kvm_setup_bits_max(kvm_fd);
	char message[sizeof(error->message)];

	if (memory_bytes <= kvm_setup_memory_max(bits))
		return CAPSA_STATUS_OK;
	(void)snprintf(message, sizeof(message),
		       "%llu bytes of memory: addresses of guests have %u "
		       "bits on this host, enough for %llu",
		       (unsigned long long)memory_bytes, bits,
		       (unsigned long long)kvm_setup_memory_max(bits));
	return error_set(error, CAPSA_STATUS_MEMORY_INVALID, 0,
			 "KVM_CAP_ARM_VM_IPA_SIZE", "memory", "memory_bytes",
			 message);
}

/*
 * As few bits as do: the tables that KVM walks for the guest get lower by it,
 * and processors differ in how many they have.
 */
unsigned long arch_vm_type(int kvm_fd, uint64_t memory_bytes)
{
	uint32_t bits = IPA_BITS_MIN;

	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) <= 0)
		return 0;
	while (memory_bytes > kvm_setup_memory_max(bits))
		bits++;
	return KVM_VM_TYPE_ARM_IPA_SIZE(bits);
}

/*
 * Without this, an access to a device by an instruction that KVM cannot read
 * makes KVM_RUN fail with an error that could mean anything.
 */
static void kvm_setup_syndromes(int vm_fd)
{
	struct kvm_enable_cap enable = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	(void)ioctl(vm_fd, KVM_ENABLE_CAP, &enable); /* Linux 5.5 */
}

enum capsa_status arch_vm_setup(int vm_fd, struct arch_shape *shape,
				struct capsa_error *error)
{
	enum capsa_status status = gic_version(vm_fd, &shape->gic, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	if (ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PSCI_0_2) <= 0)
		return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0,
				 "KVM_CHECK_EXTENSION", KVM_DEVICE,
				 "KVM_CAP_ARM_PSCI_0_2",
				 "KVM lacks a needed capability");
	if (shape->gic == 2 && shape->cpus > ARM64_GICV2_CPUS_MAX)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "KVM_CREATE_DEVICE", KVM_DEVICE, "cpus",
				 "the host's interrupt controller (GICv2) "
				 "serves no more than 8 processors");
	kvm_setup_syndromes(vm_fd);
	return CAPSA_STATUS_OK;
}

enum capsa_status arch_vm_complete(int vm_fd, const struct arch_shape *shape,
				   struct capsa_error *error)
{
	return gic_create(vm_fd, shape->gic, error);
}

static enum capsa_status kvm_setup_get(int vcpu_fd, uint64_t id,
				       uint64_t *value,
				       struct capsa_error *error)
{
	const struct kvm_one_reg request = {
		.id = id,
		.addr = (uintptr_t)value,
	};

	if (ioctl(vcpu_fd, KVM_GET_ONE_REG, &request) < 0)
		return kvm_error(error, errno, "KVM_GET_ONE_REG");
	return CAPSA_STATUS_OK;
}

static enum capsa_status kvm_setup_set(int vcpu_fd, uint64_t id, uint64_t value,
				       struct capsa_error *error)
{
	const struct kvm_one_reg request = {
		.id = id,
		.addr = (uintptr_t)&value,
	};

	if (ioctl(vcpu_fd, KVM_SET_ONE_REG, &request) < 0)
		return kvm_error(error, errno, "KVM_SET_ONE_REG");
	return CAPSA_STATUS_OK;
}

/* A vCPU that the guest finds off, but for the first, without counters. */
static struct kvm_vcpu_init kvm_setup_features(int vm_fd, uint32_t index)
{
	struct kvm_vcpu_init init = {
		.features = { 1u << KVM_ARM_VCPU_PSCI_0_2 },
	};

	if (index > 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	for (size_t i = 0;
	     i < sizeof(optional_features) / sizeof(optional_features[0]);
	     i++) {
		const struct optional_feature *optional = &optional_features[i];

		if (ioctl(vm_fd, KVM_CHECK_EXTENSION,
			  optional->capabilities[0]) > 0 &&
		    ioctl(vm_fd, KVM_CHECK_EXTENSION,
			  optional->capabilities[1]) > 0)
			init.features[0] |= 1u << optional->feature;
	}
	return init;
}

static enum capsa_status kvm_setup_create(int vm_fd, int vcpu_fd,
					  uint32_t index,
					  struct capsa_error *error)
{
	struct kvm_vcpu_init init = kvm_setup_features(vm_fd, index);
	struct kvm_vcpu_init preferred;
	int sve = KVM_ARM_VCPU_SVE;

	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &preferred) < 0)
		return kvm_error(error, errno, "KVM_ARM_PREFERRED_TARGET");
	init.target = preferred.target;
	if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return kvm_error(error, errno, "KVM_ARM_VCPU_INIT");
	if (init.features[0] & 1u << KVM_ARM_VCPU_SVE &&
	    ioctl(vcpu_fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0)
		return kvm_error(error, errno, "KVM_ARM_VCPU_FINALIZE");
	return CAPSA_STATUS_OK;
}

/* The device tree names vCPUs as KVM has always done. */
static enum capsa_status kvm_setup_check_name(int vcpu_fd, uint32_t index,
					      struct capsa_error *error)
{
	uint64_t mpidr = 0;
	enum capsa_status status = kvm_setup_get(vcpu_fd, REGISTER_MPIDR,
						 &mpidr, error);

	if (status != CAPSA_STATUS_OK ||
	    (mpidr & MPIDR_AFFINITY) == ARM64_AFFINITY(index))
		return status;
	return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0,
			 "KVM_ARM_VCPU_INIT", KVM_DEVICE, "MPIDR_EL1",
			 "KVM numbers its processors in an unknown way");
}

/* ID_AA64MMFR0_EL1, Arm Architecture Reference Manual D19.2: granules */
static bool kvm_setup_has_pages(uint64_t features, uint32_t page_bytes)
{
	switch (page_bytes) {
	case 4096:
		return (features >> 28 & 0xf) != 0xf;
	case 16384:
		return (features >> 20 & 0xf) != 0;
	case 65536:
		return (features >> 24 & 0xf) != 0xf;
	default:
		return true;
	}
}

/* A kernel that finds its pages missing stands still without a word. */
static enum capsa_status kvm_setup_check_pages(int vcpu_fd, uint32_t page_bytes,
					       struct capsa_error *error)
{
	char message[sizeof(error->message)];
	uint64_t features = 0;
	enum capsa_status status = kvm_setup_get(vcpu_fd, REGISTER_FEATURES,
						 &features, error);

	if (status != CAPSA_STATUS_OK ||
	    kvm_setup_has_pages(features, page_bytes))
		return status;
	(void)snprintf(message, sizeof(message),
		       "a kernel with pages of %u KiB, which this processor "
		       "does not have",
		       page_bytes / 1024);
	return error_set(error, CAPSA_STATUS_KERNEL_INVALID, 0, "load", NULL,
			 "image_header.flags", message);
}

static enum capsa_status kvm_setup_entry(int vcpu_fd, uint32_t gic,
					 const struct arch_entry *entry,
					 struct capsa_error *error)
{
	const struct {
		uint64_t id;
		uint64_t value;
	} registers[] = {
		{ REGISTER_CORE(regs.pstate), PSTATE_ENTRY },
		{ REGISTER_CORE(regs.pc), entry->address },
		{ REGISTER_CORE(regs.regs[0]),
		  entry->boot_info + ARM64_TREE(gic) },
	};
	enum capsa_status status = kvm_setup_check_pages(
		vcpu_fd, entry->page_bytes, error);

	for (size_t i = 0; status == CAPSA_STATUS_OK &&
			   i < sizeof(registers) / sizeof(registers[0]);
	     i++)
		status = kvm_setup_set(vcpu_fd, registers[i].id,
				       registers[i].value, error);
	return status;
}

enum capsa_status arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd,
				  uint32_t index,
				  const struct arch_shape *shape,
				  const struct arch_entry *entry,
				  struct capsa_error *error)
{
	enum capsa_status status = kvm_setup_create(vm_fd, vcpu_fd, index,
						    error);

	(void)kvm_fd;
	if (status == CAPSA_STATUS_OK)
		status = kvm_setup_check_name(vcpu_fd, index, error);
	/* The others wait, switched off, for the guest's call. */
	if (status != CAPSA_STATUS_OK || index > 0)
		return status;
	return kvm_setup_entry(vcpu_fd, shape->gic, entry, error);
}
