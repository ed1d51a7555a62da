/* SPDX-License-Identifier: MIT */
/*
 * What KVM is asked for, with a KVM of our own: this program's ioctl() is
 * linked instead of the C library's.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "tap.h"

enum { KVM_FD = 1000, VM_FD };

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct {
	uint32_t physical_bits; /* 0: the leaf is missing */
	int cpuid_error;
	uint32_t cpuid_reads;
	int pmu_capability; /* as KVM_CHECK_EXTENSION answers */
	int pmu_error;      /* of KVM_ENABLE_CAP */
	struct kvm_enable_cap enabled;
	struct kvm_pic_state pics[2];
} kvm;

static int fake_supported_cpuid(struct kvm_cpuid2 *cpuid)
{
	kvm.cpuid_reads++;
	if (kvm.cpuid_error) {
		errno = kvm.cpuid_error;
		return -1;
	}
	cpuid->nent = 2;
	cpuid->entries[0] = (struct kvm_cpuid_entry2) { .function = 1 };
	cpuid->entries[1] = (struct kvm_cpuid_entry2) {
		.function = kvm.physical_bits ? 0x80000008 : 0x80000007,
		.eax = 0x3900 | kvm.physical_bits,
	};
	return 0;
}

static int fake_irqchip(struct kvm_irqchip *irqchip, bool set)
{
	if (irqchip->chip_id > KVM_IRQCHIP_PIC_SLAVE) {
		errno = EINVAL;
		return -1;
	}
	if (set)
		kvm.pics[irqchip->chip_id] = irqchip->chip.pic;
	else
		irqchip->chip.pic = kvm.pics[irqchip->chip_id];
	return 0;
}

static int fake_vm(unsigned long request, void *argument)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)argument == KVM_CAP_PMU_CAPABILITY
			       ? kvm.pmu_capability
			       : 0;
	case KVM_GET_IRQCHIP:
		return fake_irqchip(argument, false);
	case KVM_SET_IRQCHIP:
		return fake_irqchip(argument, true);
	case KVM_ENABLE_CAP:
		kvm.enabled = *(struct kvm_enable_cap *)argument;
		errno = kvm.pmu_error;
		return kvm.pmu_error ? -1 : 0;
	default:
		return 0;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd == KVM_FD && request == KVM_GET_SUPPORTED_CPUID)
		return fake_supported_cpuid(argument);
	if (fd == VM_FD)
		return fake_vm(request, argument);
	errno = EBADF;
	return -1;
}

static bool memory_fits(uint64_t bytes)
{
	struct capsa_error error = { 0 };
	enum capsa_status status = arch_memory_check(KVM_FD, bytes, &error);

	CHECK(status == error.status);
	if (status == CAPSA_STATUS_OK)
		return true;
	CHECK(status == CAPSA_STATUS_MEMORY_INVALID);
	CHECK(strcmp(error.field, "memory_bytes") == 0);
	CHECK(error.message[0] != '\0');
	return false;
}

static void memory_ends_where_addresses_end(void)
{
	memset(&kvm, 0, sizeof(kvm));
	for (uint32_t bits = 36; bits <= 52; bits++) {
		/* All that the hole leaves. */
		uint64_t most = (1ull << bits) - GIB;

		kvm.physical_bits = bits;
		CHECK(memory_fits(most));
		CHECK(!memory_fits(most + MIB));
		CHECK(!memory_fits(UINT64_MAX));
	}
}

static void a_host_that_does_not_tell_has_36_bits(void)
{
	memset(&kvm, 0, sizeof(kvm));
	CHECK(memory_fits(63 * GIB));
	CHECK(!memory_fits(63 * GIB + MIB));
}

static void what_fits_everywhere_is_not_asked_for(void)
{
	memset(&kvm, 0, sizeof(kvm));
	CHECK(memory_fits(0));
	CHECK(memory_fits(63 * GIB));
	CHECK(kvm.cpuid_reads == 0);
}

static void a_host_that_refuses_to_tell_is_unusable(void)
{
	struct capsa_error error = { 0 };

	memset(&kvm, 0, sizeof(kvm));
	kvm.cpuid_error = EINVAL;
	CHECK(arch_memory_check(KVM_FD, 64 * GIB, &error) ==
	      CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(strcmp(error.operation, "KVM_GET_SUPPORTED_CPUID") == 0);
}

static enum capsa_status set_up_vm(struct capsa_error *error)
{
	struct arch_shape shape = {
		.cpus = 1,
		.discovery = CAPSA_DISCOVERY_FIRMWARE,
	};

	return arch_vm_setup(VM_FD, &shape, error);
}

static void both_pics_start_masked(void)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.pics[0].elcr_mask = 0xf8;
	kvm.pics[1].elcr_mask = 0xde;
	CHECK(set_up_vm(NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.pics[0].imr == 0xff && kvm.pics[0].elcr_mask == 0xf8);
	CHECK(kvm.pics[1].imr == 0xff && kvm.pics[1].elcr_mask == 0xde);
}

static void the_pmu_is_switched_off(void)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.pmu_capability = KVM_PMU_CAP_DISABLE | 1 << 5;
	CHECK(set_up_vm(NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.enabled.cap == KVM_CAP_PMU_CAPABILITY);
	CHECK(kvm.enabled.args[0] == KVM_PMU_CAP_DISABLE);
	CHECK(kvm.enabled.flags == 0);
}

static void a_host_that_cannot_switch_the_pmu_off_serves(void)
{
	memset(&kvm, 0, sizeof(kvm));
	for (int i = 0; i < 2; i++) {
		/* None; or of what a later kernel may offer, not this. */
		kvm.pmu_capability = i << 1;
		CHECK(set_up_vm(NULL) == CAPSA_STATUS_OK);
		CHECK(kvm.enabled.cap == 0);
	}
}

static void a_pmu_that_stays_on_is_an_error(void)
{
	struct capsa_error error = { 0 };

	memset(&kvm, 0, sizeof(kvm));
	kvm.pmu_capability = KVM_PMU_CAP_DISABLE;
	kvm.pmu_error = EINVAL;
	CHECK(set_up_vm(&error) == CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(strcmp(error.operation, "KVM_CAP_PMU_CAPABILITY") == 0);
}

int main(void)
{
	TEST(memory_ends_where_addresses_end);
	TEST(a_host_that_does_not_tell_has_36_bits);
	TEST(what_fits_everywhere_is_not_asked_for);
	TEST(a_host_that_refuses_to_tell_is_unusable);
	TEST(both_pics_start_masked);
	TEST(the_pmu_is_switched_off);
	TEST(a_host_that_cannot_switch_the_pmu_off_serves);
	TEST(a_pmu_that_stays_on_is_an_error);
	return tap_done();
}
