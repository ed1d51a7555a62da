/* SPDX-License-Identifier: MIT */
/* A machine's description: the caller's, checked for form and copied. */
#ifndef CAPSA_MACHINE_CONFIG_H
#define CAPSA_MACHINE_CONFIG_H

#include <stdint.h>

#include "capsa.h"

/* The texts are owned; NULL: absent. */
struct machine_config {
	uint64_t memory_bytes;
	uint32_t cpus;
	enum capsa_discovery discovery;
	enum capsa_console console;
	char *kernel;
	char *initrd;
	char *cmdline;
};

/*
 * Status: OK, INVALID_ARGUMENT (error names the field), NO_MEMORY. To be freed
 * in any case.
 */
enum capsa_status machine_config_copy(struct machine_config *copy,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error);
/* Safe on a zeroed one. */
void machine_config_free(struct machine_config *config);

#endif
