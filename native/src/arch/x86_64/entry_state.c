/* SPDX-License-Identifier: MIT */
#include "entry_state.h"

#include <errno.h>

#include "layout.h"

/* The selectors that the Linux boot protocol names, and one more. */
enum {
	SELECTOR_CODE = 0x10,
	SELECTOR_DATA = 0x18,
	SELECTOR_TASK = 0x20,
	GDT_ENTRIES = 6, /* a task descriptor takes two in 64-bit mode */
};

enum {
	SEGMENT_CODE = 0xb, /* execute, read, accessed */
	SEGMENT_DATA = 0x3, /* read, write, accessed */
	SEGMENT_TASK = 0xb, /* of the system types: busy */
};

enum {
	PAGE_PRESENT = 1 << 0,
	PAGE_WRITABLE = 1 << 1,
	PAGE_LARGE = 1 << 7,
};
#define PAGE_ENTRIES     512ull
#define PAGE_SIZE        4096ull
#define PAGE_LARGE_SIZE  (2ull << 20)
#define PAGE_DIRECTORIES 4ull /* of 1 GiB each */

enum {
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	RFLAGS_ALWAYS = 1 << 1,
};
#define CR0_PG (1u << 31)

/* A flat segment, which for code is either 64 bits or 32 bits wide. */
static struct kvm_segment entry_state_flat(uint16_t selector, uint8_t type,
					   bool wide)
{
	return (struct kvm_segment) {
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !wide,
		.s = 1,
		.l = wide,
		.g = 1,
	};
}

static struct kvm_segment entry_state_task(void)
{
	return (struct kvm_segment) {
		.limit = 0x67,
		.selector = SELECTOR_TASK,
		.type = SEGMENT_TASK,
		.present = 1,
	};
}

/* The form of a segment in memory; all of ours start at 0. */
static uint64_t entry_state_descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
	uint64_t access = segment->type | (uint64_t)segment->s << 4 |
			  (uint64_t)segment->present << 7;
	uint64_t flags = (uint64_t)segment->l << 1 |
			 (uint64_t)segment->db << 2 | (uint64_t)segment->g << 3;

	return (limit & 0xffff) | access << 40 | (limit >> 16 & 0xf) << 48 |
	       flags << 52;
}

static int entry_state_write_gdt(const struct memory *memory, bool wide)
{
	struct kvm_segment code = entry_state_flat(SELECTOR_CODE, SEGMENT_CODE,
						   wide);
	struct kvm_segment data = entry_state_flat(SELECTOR_DATA, SEGMENT_DATA,
						   false);
	struct kvm_segment task = entry_state_task();
	uint64_t gdt[GDT_ENTRIES] = { 0 };

	gdt[SELECTOR_CODE / sizeof(gdt[0])] = entry_state_descriptor(&code);
	gdt[SELECTOR_DATA / sizeof(gdt[0])] = entry_state_descriptor(&data);
	gdt[SELECTOR_TASK / sizeof(gdt[0])] = entry_state_descriptor(&task);
	return memory_write(memory, X86_GDT_ADDRESS, gdt, sizeof(gdt));
}

static int entry_state_write_pages(const struct memory *memory)
{
	const uint64_t flags = PAGE_PRESENT | PAGE_WRITABLE;
	uint64_t *pml4 = memory_at(memory, X86_PML4_ADDRESS,
				   (2 + PAGE_DIRECTORIES) * PAGE_SIZE);
	uint64_t *pdpt;
	uint64_t *directories;

	if (!pml4)
		return -EFAULT;
	pdpt = pml4 + PAGE_ENTRIES;
	directories = pdpt + PAGE_ENTRIES;
	pml4[0] = (X86_PML4_ADDRESS + PAGE_SIZE) | flags;
	for (uint64_t i = 0; i < PAGE_DIRECTORIES; i++)
		pdpt[i] = (X86_PML4_ADDRESS + (2 + i) * PAGE_SIZE) | flags;
	for (uint64_t i = 0; i < PAGE_DIRECTORIES * PAGE_ENTRIES; i++)
		directories[i] = i * PAGE_LARGE_SIZE | flags | PAGE_LARGE;
	return 0;
}

int entry_state_write(const struct memory *memory, enum arch_protocol protocol)
{
	bool wide = protocol == ARCH_PROTOCOL_LINUX64;
	int error = entry_state_write_gdt(memory, wide);

	if (error == 0 && wide)
		error = entry_state_write_pages(memory);
	return error;
}

void entry_state_system_registers(const struct arch_entry *entry,
				  struct kvm_sregs *sregs)
{
	bool wide = entry->protocol == ARCH_PROTOCOL_LINUX64;
	struct kvm_segment data = entry_state_flat(SELECTOR_DATA, SEGMENT_DATA,
						   false);

	sregs->cs = entry_state_flat(SELECTOR_CODE, SEGMENT_CODE, wide);
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->tr = entry_state_task();
	sregs->gdt.base = X86_GDT_ADDRESS;
	sregs->gdt.limit = GDT_ENTRIES * sizeof(uint64_t) - 1;
	/* No exception can be taken before the kernel has its own table. */
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (wide) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = X86_PML4_ADDRESS;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
}

struct kvm_regs entry_state_registers(const struct arch_entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->address,
		.rflags = RFLAGS_ALWAYS,
		.rsp = X86_BOOT_STACK,
	};

	if (entry->protocol == ARCH_PROTOCOL_PVH)
		regs.rbx = entry->boot_info;
	else
		regs.rsi = entry->boot_info;
	return regs;
}
