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
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "tap.h"

enum {
	KVM_FD = 1000,
	VM_FD,
	VCPU_FD,
	ATTRIBUTES_MAX = 8,
	REGISTERS_MAX = 8,
	TARGET = 5,
};

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define MPIDR    ARM64_SYS_REG(3, 0, 0, 0, 5)
#define FEATURES ARM64_SYS_REG(3, 0, 0, 7, 0)

#define CORE(field)                                                            \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                 \
	 KVM_REG_ARM_CORE_REG(field))

struct attribute {
	uint32_t group;
	uint64_t attr;
	uint64_t value; /* 0: it has none */
};

static struct {
	int ipa_bits;    /* as KVM_CHECK_EXTENSION answers; 0: not known */
	uint32_t gics;   /* bit 2 or 3: what guests can have */
	int lacks;       /* a capability that is not there */
	int refuses;     /* a device attribute's group that is refused */
	uint32_t device; /* created */
	uint32_t attribute_count;
	struct attribute attributes[ATTRIBUTES_MAX];
	struct kvm_vcpu_init init;
	int finalized;
	uint64_t mpidr;
	uint64_t features;
	uint32_t register_count;
	struct {
		uint64_t id;
		uint64_t value;
	} registers[REGISTERS_MAX];
	int gic_fd;
} kvm;

static int fail(int number)
{
	errno = number;
	return -1;
}

static int fake_extension(long capability)
{
	if (capability == KVM_CAP_ARM_VM_IPA_SIZE)
		return kvm.ipa_bits;
	return capability == kvm.lacks ? 0 : 1;
}

static int fake_create_device(struct kvm_create_device *request)
{
	uint32_t version = request->type == KVM_DEV_TYPE_ARM_VGIC_V3   ? 3
			   : request->type == KVM_DEV_TYPE_ARM_VGIC_V2 ? 2
								       : 0;

	if (!(kvm.gics & 1u << version))
		return fail(ENODEV);
	if (request->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	kvm.device = version;
	/* To be closed by who created it. */
	kvm.gic_fd = dup(STDERR_FILENO);
	request->fd = (uint32_t)kvm.gic_fd;
	return 0;
}

static int fake_attribute(const struct kvm_device_attr *request)
{
	struct attribute *attribute = &kvm.attributes[kvm.attribute_count++];

	if ((int)request->group == kvm.refuses)
		return fail(ENXIO);
	attribute->group = request->group;
	attribute->attr = request->attr;
	if (request->addr)
		memcpy(&attribute->value, (const void *)request->addr,
		       request->group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS
			       ? sizeof(uint32_t)
			       : sizeof(uint64_t));
	return 0;
}

static int fake_register(const struct kvm_one_reg *request, bool set)
{
	uint64_t *value = (uint64_t *)request->addr;

	if (set) {
		kvm.registers[kvm.register_count].id = request->id;
		kvm.registers[kvm.register_count++].value = *value;
		return 0;
	}
	if (request->id != MPIDR && request->id != FEATURES)
		return fail(ENOENT);
	*value = request->id == MPIDR ? kvm.mpidr : kvm.features;
	return 0;
}

static int fake_vcpu(unsigned long request, void *argument)
{
	switch (request) {
	case KVM_ARM_VCPU_INIT:
		kvm.init = *(struct kvm_vcpu_init *)argument;
		return 0;
	case KVM_ARM_VCPU_FINALIZE:
		kvm.finalized = *(int *)argument;
		return 0;
	case KVM_GET_ONE_REG:
		return fake_register(argument, false);
	case KVM_SET_ONE_REG:
		return fake_register(argument, true);
	default:
		return fail(ENOTTY);
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd == VCPU_FD)
		return fake_vcpu(request, argument);
	if (request == KVM_SET_DEVICE_ATTR && fd == kvm.gic_fd)
		return fake_attribute(argument);
	if (fd != KVM_FD && fd != VM_FD)
		return fail(EBADF);
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return fake_extension((long)argument);
	case KVM_CREATE_DEVICE:
		return fake_create_device(argument);
	case KVM_ENABLE_CAP:
		return 0;
	case KVM_ARM_PREFERRED_TARGET:
		((struct kvm_vcpu_init *)argument)->target = TARGET;
		return 0;
	default:
		return fail(ENOTTY);
	}
}

static void forget(void)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.ipa_bits = 48;
	kvm.gics = 1 << 3;
	kvm.refuses = -1;
	kvm.gic_fd = -1;
	kvm.mpidr = 1ull << 31;
	kvm.finalized = -1;
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
	return false;
}

static void memory_ends_where_addresses_end(void)
{
	forget();
	for (int bits = 36; bits <= 52; bits++) {
		kvm.ipa_bits = bits;
		CHECK(memory_fits((1ull << bits) - ARM64_MEMORY));
		CHECK(!memory_fits((1ull << bits) - ARM64_MEMORY + MIB));
		CHECK(!memory_fits(UINT64_MAX));
	}
	kvm.ipa_bits = 0;
	CHECK(memory_fits(1023 * GIB));
	CHECK(!memory_fits(1023 * GIB + MIB));
}

/* As few bits of address as the memory needs, but no fewer than KVM takes. */
static void addresses_are_as_short_as_they_can_be(void)
{
	forget();
	CHECK(arch_vm_type(KVM_FD, 16 * MIB) == 32);
	CHECK(arch_vm_type(KVM_FD, 3 * GIB) == 32);
	CHECK(arch_vm_type(KVM_FD, 3 * GIB + MIB) == 33);
	CHECK(arch_vm_type(KVM_FD, (1ull << 44) - GIB) == 44);
	kvm.ipa_bits = 0;
	CHECK(arch_vm_type(KVM_FD, 3 * GIB) == 0);
}

static enum capsa_status set_up(uint32_t cpus, struct arch_shape *shape,
				struct capsa_error *error)
{
	*shape = (struct arch_shape) {
		.cpus = cpus,
		.discovery = CAPSA_DISCOVERY_FIRMWARE,
	};
	*error = (struct capsa_error) { 0 };
	return arch_vm_setup(VM_FD, shape, error);
}

static void the_newest_interrupt_controller_is_taken(void)
{
	struct arch_shape shape;
	struct capsa_error error;

	forget();
	kvm.gics = 1 << 3 | 1 << 2;
	CHECK(set_up(64, &shape, &error) == CAPSA_STATUS_OK);
	CHECK(shape.gic == 3);
	kvm.gics = 1 << 2;
	CHECK(set_up(8, &shape, &error) == CAPSA_STATUS_OK);
	CHECK(shape.gic == 2);
	CHECK(set_up(9, &shape, &error) == CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(strcmp(error.field, "cpus") == 0);
	kvm.gics = 0;
	CHECK(set_up(1, &shape, &error) == CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(shape.gic == 0);
}

static void a_kvm_without_psci_is_unusable(void)
{
	struct arch_shape shape;
	struct capsa_error error;

	forget();
	kvm.lacks = KVM_CAP_ARM_PSCI_0_2;
	CHECK(set_up(1, &shape, &error) == CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(strcmp(error.field, "KVM_CAP_ARM_PSCI_0_2") == 0);
}

static void check_gic(uint32_t version, uint64_t second_type,
		      uint64_t second_address)
{
	const struct arch_shape shape = { .cpus = 4, .gic = version };
	const struct attribute expected[] = {
		{ KVM_DEV_ARM_VGIC_GRP_ADDR,
		  version == 3 ? KVM_VGIC_V3_ADDR_TYPE_DIST
			       : KVM_VGIC_V2_ADDR_TYPE_DIST,
		  ARM64_GIC_DISTRIBUTOR },
		{ KVM_DEV_ARM_VGIC_GRP_ADDR, second_type, second_address },
		{ KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, ARM64_INTERRUPTS },
		{ KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
	};

	forget();
	kvm.gics = 1u << version;
	CHECK(arch_vm_complete(VM_FD, &shape, NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.device == version);
	CHECK(kvm.attribute_count == 4);
	CHECK(memcmp(kvm.attributes, expected, sizeof(expected)) == 0);
	/* It is KVM's now. */
	CHECK(close(kvm.gic_fd) < 0);
}

static void interrupt_controllers_are_placed_then_started(void)
{
	check_gic(3, KVM_VGIC_V3_ADDR_TYPE_REDIST, ARM64_GIC_REDISTRIBUTORS);
	check_gic(2, KVM_VGIC_V2_ADDR_TYPE_CPU, ARM64_GICV2_CPU_INTERFACE);
}

static void a_refused_controller_is_an_error_and_closed(void)
{
	const struct arch_shape shape = { .cpus = 4, .gic = 3 };
	struct capsa_error error = { 0 };

	forget();
	kvm.refuses = KVM_DEV_ARM_VGIC_GRP_NR_IRQS;
	CHECK(arch_vm_complete(VM_FD, &shape, &error) ==
	      CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(strcmp(error.operation, "KVM_SET_DEVICE_ATTR") == 0);
	CHECK(close(kvm.gic_fd) < 0);
}

static enum capsa_status set_up_vcpu(uint32_t index, uint32_t gic,
				     uint32_t page_bytes,
				     struct capsa_error *error)
{
	const struct arch_shape shape = { .cpus = 20, .gic = gic };
	const struct arch_entry entry = {
		.protocol = ARCH_PROTOCOL_IMAGE,
		.address = 0x40080000,
		.boot_info = 0x5fe00000,
		.page_bytes = page_bytes,
	};

	return arch_vcpu_setup(KVM_FD, VM_FD, VCPU_FD, index, &shape, &entry,
			       error);
}

static void the_first_vcpu_enters_the_kernel(void)
{
	for (uint32_t gic = 2; gic <= 3; gic++) {
		forget();
		CHECK(set_up_vcpu(0, gic, 0, NULL) == CAPSA_STATUS_OK);
		CHECK(kvm.init.target == TARGET);
		CHECK(!(kvm.init.features[0] & 1u << KVM_ARM_VCPU_POWER_OFF));
		CHECK(kvm.register_count == 3);
		CHECK(kvm.registers[0].id == CORE(regs.pstate));
		CHECK(kvm.registers[0].value == 0x3c5);
		CHECK(kvm.registers[1].id == CORE(regs.pc));
		CHECK(kvm.registers[1].value == 0x40080000);
		CHECK(kvm.registers[2].id == CORE(regs.regs[0]));
		CHECK(kvm.registers[2].value ==
		      0x5fe00000 + (gic == 3 ? MIB : 0));
	}
}

static void the_others_are_off(void)
{
	forget();
	kvm.mpidr |= 0x103;
	CHECK(set_up_vcpu(19, 3, 0, NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.init.features[0] & 1u << KVM_ARM_VCPU_POWER_OFF);
	CHECK(kvm.init.features[0] & 1u << KVM_ARM_VCPU_PSCI_0_2);
	CHECK(kvm.register_count == 0);
}

static void a_vcpu_has_what_the_host_has(void)
{
	const uint32_t pauth = 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
			       1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;

	forget();
	CHECK(set_up_vcpu(0, 3, 0, NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.init.features[0] ==
	      (1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_SVE | pauth));
	CHECK(kvm.finalized == KVM_ARM_VCPU_SVE);
	forget();
	kvm.lacks = KVM_CAP_ARM_SVE;
	CHECK(set_up_vcpu(0, 3, 0, NULL) == CAPSA_STATUS_OK);
	CHECK(kvm.init.features[0] == (1u << KVM_ARM_VCPU_PSCI_0_2 | pauth));
	CHECK(kvm.finalized == -1);
	/* KVM takes both kinds of pointer authentication or neither. */
	forget();
	kvm.lacks = KVM_CAP_ARM_PTRAUTH_GENERIC;
	CHECK(set_up_vcpu(0, 3, 0, NULL) == CAPSA_STATUS_OK);
	CHECK(!(kvm.init.features[0] & pauth));
}

static void an_unknown_name_of_a_vcpu_is_refused(void)
{
	struct capsa_error error = { 0 };

	forget();
	kvm.mpidr |= 1;
	CHECK(set_up_vcpu(0, 3, 0, &error) == CAPSA_STATUS_DEVICE_UNUSABLE);
	CHECK(strcmp(error.field, "MPIDR_EL1") == 0);
}

static void a_kernel_of_missing_pages_is_refused(void)
{
	static const struct {
		uint64_t features;
		uint32_t page_bytes;
		bool fits;
	} cases[] = {
		{ 0, 4096, true },
		{ 0xfull << 28, 4096, false },
		{ 0, 16384, false },
		{ 1ull << 20, 16384, true },
		{ 2ull << 20, 16384, true },
		{ 0, 65536, true },
		{ 0xfull << 24, 65536, false },
		{ 0xfffull << 20, 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct capsa_error error = { 0 };
		enum capsa_status status;

		forget();
		kvm.features = cases[i].features;
		status = set_up_vcpu(0, 3, cases[i].page_bytes, &error);
		CHECK((status == CAPSA_STATUS_OK) == cases[i].fits);
		if (cases[i].fits)
			continue;
		CHECK(status == CAPSA_STATUS_KERNEL_INVALID);
		CHECK(strcmp(error.field, "image_header.flags") == 0);
	}
}

int main(void)
{
	TEST(memory_ends_where_addresses_end);
	TEST(addresses_are_as_short_as_they_can_be);
	TEST(the_newest_interrupt_controller_is_taken);
	TEST(a_kvm_without_psci_is_unusable);
	TEST(interrupt_controllers_are_placed_then_started);
	TEST(a_refused_controller_is_an_error_and_closed);
	TEST(the_first_vcpu_enters_the_kernel);
	TEST(the_others_are_off);
	TEST(a_vcpu_has_what_the_host_has);
	TEST(an_unknown_name_of_a_vcpu_is_refused);
	TEST(a_kernel_of_missing_pages_is_refused);
	return tap_done();
}
