/* SPDX-License-Identifier: MIT */
#include "cpuid.h"

/* Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E */
enum {
	LEAF_BASIC = 0,
	LEAF_FEATURES = 1,
	LEAF_CACHES = 4,
	LEAF_POWER = 6,
	LEAF_EXTENDED_FEATURES = 7,
	LEAF_PMU = 0xa,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSAVE = 0xd,
	LEAF_TOPOLOGY_V2 = 0x1f,
};
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SIZES    0x80000008u
#define LEAF_AMD_SVM      0x8000000au
#define LEAF_AMD_CACHES   0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu
#define LEAF_AMD_PMU      0x80000022u

#define BIT(n) (1u << (n))

/* Leaf 1 */
#define ECX_MONITOR      BIT(3)
#define ECX_VMX          BIT(5)
#define ECX_PERF_CAPS    BIT(15)
#define ECX_TSC_DEADLINE BIT(24)
#define ECX_HYPERVISOR   BIT(31)
#define EDX_MANY_IDS     BIT(28)
/* Leaf 6 */
#define EAX_ALWAYS_RUNNING_TIMER BIT(2)
/* Leaf 7: AMX, whose state only a process with a permit may have */
#define EDX_AMX      (BIT(22) | BIT(24) | BIT(25))
#define EAX_AMX_FP16 BIT(21)
#define EDX_AMX_MORE BIT(8)
#define XCR0_AMX     (BIT(17) | BIT(18))
/* Leaf 0x80000001 */
#define ECX_AMD_MANY_CORES BIT(1)
#define ECX_AMD_SVM        BIT(2)
#define ECX_AMD_PMU        (BIT(23) | BIT(24) | BIT(28))

enum {
	CACHE_TYPE_MASK = 0x1f,
	CACHE_LEVEL_SHARED = 3, /* those below belong to one core */
	TOPOLOGY_LEVEL_THREAD = 1,
	TOPOLOGY_LEVEL_CORE = 2,
};

/* Bits of an APIC id that tell the cores of a socket apart. */
static uint32_t cpuid_core_bits(uint32_t cpus)
{
	uint32_t bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static void cpuid_edit_features(struct kvm_cpuid_entry2 *entry,
				const struct cpuid_shape *shape)
{
	entry->ebx = (entry->ebx & 0x0000ffff) | shape->cpus << 16 |
		     shape->index << 24;
	entry->ecx &= ~(ECX_MONITOR | ECX_VMX | ECX_PERF_CAPS);
	entry->ecx |= ECX_HYPERVISOR;
	if (shape->tsc_deadline)
		entry->ecx |= ECX_TSC_DEADLINE;
	if (shape->cpus > 1)
		entry->edx |= EDX_MANY_IDS;
	else
		entry->edx &= ~EDX_MANY_IDS;
}

/* Leaf 4 and AMD's like of it: who shares a cache, how many cores there are. */
static void cpuid_edit_cache(struct kvm_cpuid_entry2 *entry, uint32_t cpus)
{
	uint32_t cores_less_1 = BIT(cpuid_core_bits(cpus)) - 1;
	uint32_t level = entry->eax >> 5 & 7;

	if ((entry->eax & CACHE_TYPE_MASK) == 0)
		return;
	entry->eax &= 0x00003fff;
	if (level >= CACHE_LEVEL_SHARED)
		entry->eax |= cores_less_1 << 14;
	if (entry->function == LEAF_CACHES)
		entry->eax |= cores_less_1 << 26;
}

static void cpuid_edit_extended(struct kvm_cpuid_entry2 *entry)
{
	if (entry->index == 0)
		entry->edx &= ~EDX_AMX;
	if (entry->index == 1) {
		entry->eax &= ~EAX_AMX_FP16;
		entry->edx &= ~EDX_AMX_MORE;
	}
}

static void cpuid_edit_amd_features(struct kvm_cpuid_entry2 *entry,
				    uint32_t cpus)
{
	entry->ecx &= ~(ECX_AMD_SVM | ECX_AMD_PMU | ECX_AMD_MANY_CORES);
	if (cpus > 1)
		entry->ecx |= ECX_AMD_MANY_CORES;
}

static void cpuid_clear(struct kvm_cpuid_entry2 *entry)
{
	entry->eax = 0;
	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
}

static void cpuid_edit_entry(struct kvm_cpuid_entry2 *entry,
			     const struct cpuid_shape *shape)
{
	switch (entry->function) {
	case LEAF_FEATURES:
		cpuid_edit_features(entry, shape);
		break;
	case LEAF_CACHES:
	case LEAF_AMD_CACHES:
		cpuid_edit_cache(entry, shape->cpus);
		break;
	case LEAF_POWER:
		entry->eax &= EAX_ALWAYS_RUNNING_TIMER;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx = 0;
		break;
	case LEAF_EXTENDED_FEATURES:
		cpuid_edit_extended(entry);
		break;
	case LEAF_XSAVE:
		if (entry->index == 0)
			entry->eax &= ~XCR0_AMX;
		break;
	case LEAF_PMU:
	case LEAF_AMD_PMU:
	case LEAF_AMD_SVM:
		cpuid_clear(entry);
		break;
	case LEAF_AMD_FEATURES:
		cpuid_edit_amd_features(entry, shape->cpus);
		break;
	case LEAF_AMD_SIZES:
		entry->ecx = (shape->cpus - 1) | cpuid_core_bits(shape->cpus)
							 << 12;
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = shape->index;
		entry->ebx = shape->index; /* core; one thread in each */
		entry->ecx = 0;            /* one node */
		break;
	default:
		break;
	}
}

/*
 * Dropped are leaves of the host's topology, which newer hosts leave empty
 * and others fill in wrongly, and the components of AMX.
 */
static bool cpuid_is_dropped(const struct kvm_cpuid_entry2 *entry)
{
	return entry->function == LEAF_TOPOLOGY ||
	       entry->function == LEAF_TOPOLOGY_V2 ||
	       (entry->function == LEAF_XSAVE &&
		(entry->index == 17 || entry->index == 18));
}

static void cpuid_add_topology(struct kvm_cpuid2 *cpuid, uint32_t level,
			       uint32_t bits, uint32_t cpus, uint32_t index)
{
	uint32_t type = level < 2 ? level + TOPOLOGY_LEVEL_THREAD : 0;

	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2) {
		.function = LEAF_TOPOLOGY,
		.index = level,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = bits,
		.ebx = cpus,
		.ecx = type << 8 | level,
		.edx = index,
	};
}

void cpuid_edit(struct kvm_cpuid2 *cpuid, const struct cpuid_shape *shape)
{
	bool topology = false;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 entry = cpuid->entries[i];

		if (entry.function == LEAF_BASIC)
			topology = entry.eax >= LEAF_TOPOLOGY;
		if (cpuid_is_dropped(&entry))
			continue;
		cpuid_edit_entry(&entry, shape);
		cpuid->entries[kept++] = entry;
	}
	cpuid->nent = kept;
	if (!topology)
		return;
	cpuid_add_topology(cpuid, 0, 0, 1, shape->index);
	cpuid_add_topology(cpuid, 1, cpuid_core_bits(shape->cpus), shape->cpus,
			   shape->index);
	cpuid_add_topology(cpuid, 2, 0, 0, shape->index);
}

uint32_t cpuid_physical_bits(const struct kvm_cpuid2 *cpuid)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == LEAF_AMD_SIZES)
			bits = cpuid->entries[i].eax & 0xff;
	}
	/* Processors without the leaf have the fewest. */
	if (bits < CPUID_PHYSICAL_BITS_MIN)
		return CPUID_PHYSICAL_BITS_MIN;
	return bits < CPUID_PHYSICAL_BITS_MAX ? bits : CPUID_PHYSICAL_BITS_MAX;
}
