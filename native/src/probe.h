/* SPDX-License-Identifier: MIT */
/* Whether the hypervisor runs guest kernel code, or only interprets it. */
#ifndef CAPSA_PROBE_H
#define CAPSA_PROBE_H

#include <stdint.h>

#include "capsa.h"

struct probe_result {
	uint64_t picoseconds; /* that one instruction took */
	uint32_t gic; /* arm64: version of a guest's interrupt controller */
};

/*
 * Creates a virtual machine, runs a counted loop of guest kernel code in it
 * and measures the processor time of that. Blocks for some milliseconds, where
 * code is interpreted for some tens. error is filled for
 * CAPSA_VERDICT_UNUSABLE and EMULATED.
 */
enum capsa_verdict probe_run(struct probe_result *result,
			     struct capsa_error *error);

#endif
