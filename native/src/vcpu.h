/* SPDX-License-Identifier: MIT */
/* A virtual processor: the thread that runs the guest and answers its exits. */
#ifndef CAPSA_VCPU_H
#define CAPSA_VCPU_H

#include "vm.h"

/* The signal mask under which KVM_RUN can be kicked. */
enum capsa_status vcpu_allow_kick(int vcpu_fd, struct capsa_error *error);

/* Starts the thread. 0 or -errno. */
int vcpu_start(struct vcpu *vcpu);

/*
 * Makes the vCPU look at vm->command soon: it leaves the guest at once, or
 * does not enter it. Only after vcpu_start() and before its thread is joined.
 */
void vcpu_kick(struct vcpu *vcpu);

#endif
