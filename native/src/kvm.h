/* SPDX-License-Identifier: MIT */
/* Opening KVM and what a machine and a probe both ask of it. */
#ifndef CAPSA_KVM_H
#define CAPSA_KVM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa.h"
#include "memory.h"

#define KVM_DEVICE "/dev/kvm"

/*
 * Opens /dev/kvm and checks that it has what every machine needs.
 * Status: OK, DEVICE_MISSING, DEVICE_DENIED, DEVICE_UNUSABLE, HOST.
 */
enum capsa_status kvm_open(int *kvm_fd, struct capsa_error *error);

/* A failed call of KVM: whether the host failed or lacks something. */
enum capsa_status kvm_error(struct capsa_error *error, int system_errno,
			    const char *operation);

/* A new, empty virtual machine of what arch_vm_type() says. */
enum capsa_status kvm_create_vm(int kvm_fd, unsigned long type, int *vm_fd,
				struct capsa_error *error);

/* Shows memory to the guest. */
enum capsa_status kvm_map_memory(int vm_fd, const struct memory *memory,
				 struct capsa_error *error);

/* A new vCPU and the page it shares with us, of *run_size bytes. */
enum capsa_status kvm_create_vcpu(int kvm_fd, int vm_fd, uint32_t index,
				  int *vcpu_fd, struct kvm_run **run,
				  size_t *run_size, struct capsa_error *error);

#endif
