/* SPDX-License-Identifier: MIT */
/*
 * Addresses, ports and interrupts of the x86_64 machine, in one place. Low
 * memory follows the boot checklists of Linux (Documentation/arch/x86/boot)
 * and PVH (xen/include/public/arch-x86/hvm/start_info.h).
 */
#ifndef CAPSA_X86_LAYOUT_H
#define CAPSA_X86_LAYOUT_H

/* Guest physical memory below 1 MiB */
#define X86_GDT_ADDRESS     0x500u
#define X86_START_INFO      0x6000u /* one page */
#define X86_BOOT_PARAMS     0x7000u /* one page */
#define X86_BOOT_STACK      0x8ff0u
#define X86_PML4_ADDRESS    0x9000u /* then PDPT and 4 page directories */
#define X86_SETUP_DATA      0xf000u /* a seed for the guest's generator */
#define X86_CMDLINE_ADDRESS 0x20000u
#define X86_CMDLINE_MAX     0x10000u
#define X86_BIOS_AREA       0x9fc00u /* reserved from here up to 1 MiB */
#define X86_MPTABLE_ADDRESS 0x9fc00u /* kernels look for it here early on */
#define X86_ACPI_ADDRESS    0xe0000u /* RSDP, then the tables */
#define X86_ACPI_END        0xf0000u
#define X86_RESET_VECTOR    0xffff0u  /* of a BIOS, in real mode */
#define X86_KERNEL_ADDRESS  0x100000u /* at least */

/* Guest physical memory of devices */
#define X86_HOLE_START     0xc0000000u
#define X86_HOLE_END       0x100000000ull
#define X86_VIRTIO_ADDRESS 0xd0000000u
#define X86_VIRTIO_SIZE    0x1000u /* of each */
#define X86_IOAPIC_ADDRESS 0xfec00000u
#define X86_LAPIC_ADDRESS  0xfee00000u
#define X86_IDENTITY_MAP   0xfffbc000u /* used by KVM on Intel */
#define X86_TSS_ADDRESS    0xfffbd000u /* three pages, used by KVM */

/* Ports */
#define X86_PORT_I8042_DATA     0x60u
#define X86_PORT_SYSTEM_CONTROL 0x61u
#define X86_PORT_I8042_COMMAND  0x64u
#define X86_PORT_UART           0x3f8u
#define X86_PORT_PVPANIC        0x505u
#define X86_PORT_SLEEP_CONTROL  0x600u
#define X86_PORT_SLEEP_STATUS   0x601u
#define X86_PORT_RESET          0x602u

/* Values the firmware tables name and the ports understand */
#define X86_SLEEP_TYPE_S5 5u
#define X86_RESET_VALUE   1u

/* Global system interrupts */
#define X86_GSI_UART         4u
#define X86_GSI_POWER_BUTTON 5u
#define X86_GSI_VIRTIO       6u /* and up: one a device, below 24 */

#endif
