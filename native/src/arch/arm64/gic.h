/* SPDX-License-Identifier: MIT */
/* The guest's interrupt controller, which KVM serves. */
#ifndef CAPSA_ARM64_GIC_H
#define CAPSA_ARM64_GIC_H

#include <stdint.h>

#include "capsa.h"

/*
 * The version that this host has for guests: 3, or 2 where its own hardware is
 * of that version. Status: OK, DEVICE_UNUSABLE.
 */
enum capsa_status gic_version(int vm_fd, uint32_t *version,
			      struct capsa_error *error);

/* Creates one for a virtual machine that has all of its vCPUs. */
enum capsa_status gic_create(int vm_fd, uint32_t version,
			     struct capsa_error *error);

#endif
