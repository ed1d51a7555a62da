/* SPDX-License-Identifier: MIT */
#include "arch/x86_64/cpuid.h"

#include <stdlib.h>

#include "tap.h"

enum { HOST_ENTRIES = 20 };

/* As of a host with everything, and with its own topology. */
static const struct kvm_cpuid_entry2 host[HOST_ENTRIES] = {
	{ .function = 0, .eax = 0x1f, .ebx = 0x756e6547 },
	{ .function = 1,
	  .eax = 0x806f8,
	  .ebx = 0x37200800,
	  .ecx = ~0u,
	  .edx = ~0u },
	{ .function = 4, .index = 0, .eax = 0xfc004121 },
	{ .function = 4, .index = 1, .eax = 0xfc01c163 },
	{ .function = 4, .index = 2, .eax = 0 },
	{ .function = 6, .eax = 0x77, .ebx = 2, .ecx = 9, .edx = 1 },
	{ .function = 7, .index = 0, .eax = 1, .ebx = ~0u, .edx = ~0u },
	{ .function = 7, .index = 1, .eax = ~0u, .edx = ~0u },
	{ .function = 0xa, .eax = 0x07300404 },
	{ .function = 0xb, .index = 0, .eax = 1, .ebx = 2, .edx = 99 },
	{ .function = 0xb, .index = 1, .eax = 7, .ebx = 112, .edx = 99 },
	{ .function = 0xd, .index = 0, .eax = 0x602e7 },
	{ .function = 0xd, .index = 17, .eax = 64 },
	{ .function = 0xd, .index = 18, .eax = 8192 },
	{ .function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .edx = 99 },
	{ .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
	{ .function = 0x80000001, .ecx = ~0u },
	{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x703f },
	{ .function = 0x8000001d, .index = 3, .eax = 0x3fc163 },
	{ .function = 0x8000001e, .eax = 99, .ebx = 0x131, .ecx = 0x703 },
};

static struct kvm_cpuid2 *edited(uint32_t index, uint32_t cpus)
{
	const struct cpuid_shape shape = { index, cpus, true };
	struct kvm_cpuid2 *cpuid = calloc(
		1, sizeof(*cpuid) +
			   (HOST_ENTRIES + CPUID_ADDED_MAX) * sizeof(host[0]));

	if (!cpuid)
		abort();
	cpuid->nent = HOST_ENTRIES;
	for (uint32_t i = 0; i < HOST_ENTRIES; i++)
		cpuid->entries[i] = host[i];
	cpuid_edit(cpuid, &shape);
	return cpuid;
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *cpuid,
					   uint32_t function, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function &&
		    cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return &none;
}

static void features_are_what_the_machine_has(void)
{
	struct kvm_cpuid2 *cpuid = edited(3, 4);
	const struct kvm_cpuid_entry2 *entry = leaf(cpuid, 1, 0);

	CHECK(entry->ebx == 0x03040800);
	CHECK(entry->ecx & 1u << 31);   /* hypervisor */
	CHECK(entry->ecx & 1u << 24);   /* TSC deadline */
	CHECK(!(entry->ecx & 1u << 5)); /* VMX */
	CHECK(!(entry->ecx & 1u << 3)); /* MONITOR */
	CHECK(entry->edx & 1u << 28);   /* many ids */
	CHECK(leaf(cpuid, 6, 0)->eax == 4);
	CHECK(leaf(cpuid, 6, 0)->ecx == 0);
	CHECK(leaf(cpuid, 0xa, 0)->eax == 0);
	CHECK(!(leaf(cpuid, 0x80000001, 0)->ecx & 1u << 2)); /* SVM */
	CHECK(leaf(cpuid, 0x40000000, 0)->ebx == 0x4b4d564b);
	free(cpuid);
}

static void one_processor_has_no_siblings(void)
{
	struct kvm_cpuid2 *cpuid = edited(0, 1);

	CHECK(!(leaf(cpuid, 1, 0)->edx & 1u << 28));
	CHECK(leaf(cpuid, 1, 0)->ebx == 0x00010800);
	CHECK(leaf(cpuid, 4, 0)->eax == 0x121);
	CHECK(leaf(cpuid, 4, 1)->eax == 0x163);
	CHECK(leaf(cpuid, 0xb, 1)->eax == 0 && leaf(cpuid, 0xb, 1)->ebx == 1);
	free(cpuid);
}

static void topology_is_one_socket_of_cores(void)
{
	struct kvm_cpuid2 *cpuid = edited(5, 6);

	/* 6 cores take 3 bits of the id, so that 8 could be. */
	CHECK(leaf(cpuid, 4, 0)->eax == ((7u << 26) | 0x121));
	CHECK(leaf(cpuid, 4, 1)->eax == ((7u << 26) | (7u << 14) | 0x163));
	CHECK(leaf(cpuid, 4, 2)->eax == 0);
	CHECK(leaf(cpuid, 0xb, 0)->eax == 0);
	CHECK(leaf(cpuid, 0xb, 0)->ebx == 1);
	CHECK(leaf(cpuid, 0xb, 0)->ecx == 0x100);
	CHECK(leaf(cpuid, 0xb, 0)->edx == 5);
	CHECK(leaf(cpuid, 0xb, 1)->eax == 3);
	CHECK(leaf(cpuid, 0xb, 1)->ebx == 6);
	CHECK(leaf(cpuid, 0xb, 1)->ecx == 0x201);
	CHECK(leaf(cpuid, 0xb, 1)->edx == 5);
	CHECK(leaf(cpuid, 0x1f, 0)->edx == 0);
	CHECK(leaf(cpuid, 0x80000008, 0)->eax == 0x3030);
	CHECK(leaf(cpuid, 0x80000008, 0)->ecx == 0x3005);
	CHECK(leaf(cpuid, 0x8000001d, 3)->eax == ((7u << 14) | 0x163));
	CHECK(leaf(cpuid, 0x8000001e, 0)->eax == 5);
	CHECK(leaf(cpuid, 0x8000001e, 0)->ebx == 5);
	CHECK(leaf(cpuid, 0x8000001e, 0)->ecx == 0);
	free(cpuid);
}

static void amx_is_left_out(void)
{
	struct kvm_cpuid2 *cpuid = edited(0, 1);

	CHECK(leaf(cpuid, 0xd, 0)->eax == 0x2e7);
	CHECK(leaf(cpuid, 0xd, 17)->eax == 0);
	CHECK(leaf(cpuid, 0xd, 18)->eax == 0);
	CHECK(!(leaf(cpuid, 7, 0)->edx & 1u << 24));
	CHECK(leaf(cpuid, 7, 0)->ebx == ~0u);
	free(cpuid);
}

static void an_old_host_gets_no_new_leaf(void)
{
	const struct cpuid_shape shape = { 0, 2, false };
	struct kvm_cpuid2 *cpuid = calloc(
		1, sizeof(*cpuid) + (2 + CPUID_ADDED_MAX) * sizeof(host[0]));

	if (!cpuid)
		abort();
	cpuid->nent = 2;
	cpuid->entries[0] = (struct kvm_cpuid_entry2) { .eax = 4 };
	cpuid->entries[1] = (struct kvm_cpuid_entry2) { .function = 1 };
	cpuid_edit(cpuid, &shape);
	CHECK(cpuid->nent == 2);
	CHECK(!(cpuid->entries[1].ecx & 1u << 24));
	free(cpuid);
}

int main(void)
{
	TEST(features_are_what_the_machine_has);
	TEST(one_processor_has_no_siblings);
	TEST(topology_is_one_socket_of_cores);
	TEST(amx_is_left_out);
	TEST(an_old_host_gets_no_new_leaf);
	return tap_done();
}
