/* SPDX-License-Identifier: MIT */
/* The state in which the first vCPU enters the kernel. */
#ifndef CAPSA_X86_ENTRY_STATE_H
#define CAPSA_X86_ENTRY_STATE_H

#include <linux/kvm.h>

#include "arch/arch.h"
#include "memory.h"

/*
 * Writes the descriptor table and, for a 64-bit entry, page tables that map
 * the first 4 GiB to themselves. 0 or -EFAULT.
 */
int entry_state_write(const struct memory *memory, enum arch_protocol protocol);

/*
 * Changes what a vCPU has after reset to what the entry asks for, with the
 * tables that entry_state_write() wrote.
 */
void entry_state_system_registers(const struct arch_entry *entry,
				  struct kvm_sregs *sregs);
struct kvm_regs entry_state_registers(const struct arch_entry *entry);

#endif
