/* SPDX-License-Identifier: MIT */
/*
 * What a processor architecture gives to the machine. One implementation
 * each in arch/x86_64 (and its siblings); nothing else knows the difference.
 */
#ifndef CAPSA_ARCH_H
#define CAPSA_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "capsa.h"
#include "device/console_port.h"
#include "memory.h"

/* Console, entropy, in some machines the power button, and those that it may
 * have. */
enum { ARCH_VIRTIO_MAX = 3 + CAPSA_DEVICES_MAX };

#define ARCH_GSI_NONE UINT32_MAX

/* Where a virtio-mmio device sits. */
struct arch_virtio_slot {
	uint64_t base;
	uint32_t gsi;
};

/* The machine as its firmware tables describe it. */
struct arch_shape {
	uint32_t cpus;
	enum capsa_discovery discovery;
	/* arm64: version of the interrupt controller, by arch_vm_setup() */
	uint32_t gic;
	uint32_t virtio_count;
	struct arch_virtio_slot virtio[ARCH_VIRTIO_MAX];
};

/* Open files and texts of a boot; all borrowed. */
struct arch_boot_files {
	int kernel_fd;
	const char *kernel_path; /* for errors */
	int initrd_fd;           /* -1: none */
	const char *initrd_path;
	const char *cmdline; /* NUL-terminated */
};

/* How the first vCPU enters the guest. */
enum arch_protocol {
	ARCH_PROTOCOL_LINUX64, /* x86: 64-bit entry, boot_params */
	ARCH_PROTOCOL_PVH,     /* x86: 32-bit entry, hvm_start_info */
	ARCH_PROTOCOL_IMAGE,   /* arm64: device tree */
};

struct arch_entry {
	enum arch_protocol protocol;
	uint64_t address;    /* of the first instruction */
	uint64_t boot_info;  /* guest physical, handed over in a register */
	uint32_t page_bytes; /* arm64: of the kernel's pages; 0: any */
};

/* The counter that software takes for its clock, as capsa_read_ticks() says. */
uint64_t arch_ticks(void);

/* The addresses that belong to devices: memory leaves them free. */
void arch_device_hole(uint64_t *start, uint64_t *end);

/* Base and interrupt of the index-th virtio device; index < ARCH_VIRTIO_MAX. */
struct arch_virtio_slot arch_virtio_slot(uint32_t index);

/*
 * Refuses, as MEMORY_INVALID, more guest memory than the host's processor can
 * address. memory_bytes need not be checked in any other way yet.
 */
enum capsa_status arch_memory_check(int kvm_fd, uint64_t memory_bytes,
				    struct capsa_error *error);

/* What KVM_CREATE_VM is given for memory that arch_memory_check() allows. */
unsigned long arch_vm_type(int kvm_fd, uint64_t memory_bytes);

/*
 * Interrupt chip, timer and what else must exist before the first vCPU, and
 * what can exist only after the last one. No eventfd can be connected before
 * the second.
 */
enum capsa_status arch_vm_setup(int vm_fd, struct arch_shape *shape,
				struct capsa_error *error);
enum capsa_status arch_vm_complete(int vm_fd, const struct arch_shape *shape,
				   struct capsa_error *error);

/*
 * Puts kernel, initrd, command line, firmware tables and start-up page tables
 * into memory and tells how to enter. May run beside arch_vm_setup().
 */
enum capsa_status arch_boot_load(const struct memory *memory,
				 const struct arch_shape *shape,
				 const struct arch_boot_files *files,
				 struct arch_entry *entry,
				 struct capsa_error *error);

/*
 * Sets features, registers and interrupt controller of a vCPU; vCPU 0 also gets
 * the registers of entry.
 */
enum capsa_status arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd,
				  uint32_t index,
				  const struct arch_shape *shape,
				  const struct arch_entry *entry,
				  struct capsa_error *error);

/*
 * Puts a loop of guest kernel code into memory that ends each of its rounds
 * with an access no device answers; *instructions is the length of a round.
 */
enum capsa_status arch_probe_load(const struct memory *memory,
				  struct arch_entry *entry,
				  uint64_t *instructions,
				  struct capsa_error *error);

/* What the fixed devices of a platform tell the machine. Any thread. */
struct arch_platform_host {
	void (*exit)(void *owner, enum capsa_exit reason);
	void *owner;
	struct console_port console; /* of the UART */
	int uart_irq_fd;             /* eventfd, borrowed */
};

/* The fixed devices: UART, power and reset registers, panic notifier. */
struct arch_platform;

/*
 * Creates them and adds them to the buses (pio is unused where the
 * architecture has no ports). 0 or -errno.
 */
int arch_platform_create(struct arch_platform **out,
			 const struct arch_platform_host *host, struct bus *pio,
			 struct bus *mmio);
void arch_platform_destroy(struct arch_platform *platform);

/* Input has come for the UART: take it from its console port. Any thread. */
void arch_platform_input(struct arch_platform *platform);

/*
 * Interrupt numbers (GSI) of the fixed devices. ARCH_GSI_NONE: the power button
 * is a virtio device.
 */
uint32_t arch_gsi_uart(void);
uint32_t arch_gsi_power_button(void);

#endif
