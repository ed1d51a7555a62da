/* SPDX-License-Identifier: MIT */
/* Whether the hypervisor runs guest kernel code, or only interprets it. */
#ifndef CAPSA_PROBE_H
#define CAPSA_PROBE_H

#include <stdint.h>

#include "capsa.h"

/*
 * Creates a virtual machine, runs a counted loop of guest kernel code in it
 * and measures the processor time of that. Blocks for some milliseconds, where
 * code is interpreted for some tens. *picoseconds is what one instruction
 * took. error is filled for CAPSA_VERDICT_UNUSABLE and EMULATED.
 */
enum capsa_verdict probe_run(uint64_t *picoseconds, struct capsa_error *error);

#endif
