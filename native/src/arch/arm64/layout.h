/* SPDX-License-Identifier: MIT */
/*
 * Addresses and interrupts of the arm64 machine, in one place. Whatever KVM
 * itself serves lies at a multiple of 64 KiB, the largest page of a host.
 */
#ifndef CAPSA_ARM64_LAYOUT_H
#define CAPSA_ARM64_LAYOUT_H

/* Interrupt controller */
#define ARM64_GIC_DISTRIBUTOR          0x08000000u
#define ARM64_GIC_DISTRIBUTOR_SIZE     0x10000u /* GICv2: the first 4 KiB */
#define ARM64_GICV2_CPU_INTERFACE      0x08010000u
#define ARM64_GICV2_CPU_INTERFACE_SIZE 0x2000u
#define ARM64_GICV2_CPUS_MAX           8u
#define ARM64_GIC_REDISTRIBUTORS       0x08100000u
#define ARM64_GIC_REDISTRIBUTOR_SIZE   0x20000u /* of each vCPU */

/* Devices of ours */
#define ARM64_UART           0x09000000u
#define ARM64_RTC            0x09010000u
#define ARM64_PVPANIC        0x09020000u
#define ARM64_PVPANIC_SIZE   0x2u
#define ARM64_VIRTIO_ADDRESS 0x0a000000u
#define ARM64_VIRTIO_SIZE    0x1000u /* of each */

/* Memory, from here to its end */
#define ARM64_MEMORY 0x40000000ull

/* Shared peripheral interrupts, which KVM counts from 0, a GIC from 32 */
#define ARM64_SPI_FIRST  32u
#define ARM64_GSI_UART   1u
#define ARM64_GSI_VIRTIO 2u  /* and up: one a device */
#define ARM64_INTERRUPTS 64u /* those of the vCPUs included */

/* Private peripheral interrupts, which a GIC counts from 16, of the timers */
#define ARM64_PPI_SECURE_TIMER     13u
#define ARM64_PPI_PHYSICAL_TIMER   14u
#define ARM64_PPI_VIRTUAL_TIMER    11u
#define ARM64_PPI_HYPERVISOR_TIMER 10u

/* Kernels of Linux before 4.2 want their device tree within so much of the
 * start, in a block of this size with nothing else in it. */
#define ARM64_TREE_REACH (512ull << 20)
#define ARM64_TREE_BLOCK (2ull << 20)

/* Where in the block the tree for a version of the interrupt controller is. */
#define ARM64_TREE(gic) (((gic)-2ull) << 20)

/* The affinity by which KVM names a vCPU: 16 to a cluster. */
#define ARM64_AFFINITY(index)                                                  \
	(((index)&0xfu) | ((index) >> 4 & 0xffu) << 8 | (index) >> 12 << 16)

#endif
