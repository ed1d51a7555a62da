/* SPDX-License-Identifier: MIT */
/*
 * How a machine's description is read. Private to machine_config.c and the
 * files that read parts of it.
 */
#ifndef CAPSA_MACHINE_CONFIG_PARTS_H
#define CAPSA_MACHINE_CONFIG_PARTS_H

#include <stddef.h>

#include "machine_config.h"

/* INVALID_ARGUMENT. */
enum capsa_status config_refuse(struct capsa_error *error, const char *field,
				const char *message);

/* The start of what a slice names, or NULL if it leaves the buffer. */
const void *config_part(const struct capsa_machine_config *config,
			struct capsa_slice slice);

/* A private copy of a slice's text in *out; absent texts stay NULL. */
enum capsa_status config_text(char **out,
			      const struct capsa_machine_config *config,
			      struct capsa_slice slice, uint32_t length_max,
			      const char *field, struct capsa_error *error);

/*
 * Checks an array of structs that each begin with their size, and sets *start
 * and *count; it may be absent. The structs may lie at any address, so each
 * has to be copied before it is read.
 */
enum capsa_status config_array(const struct capsa_machine_config *config,
			       struct capsa_slice slice, size_t size,
			       uint32_t count_max, const char *field,
			       const uint8_t **start, uint32_t *count,
			       struct capsa_error *error);

/* The network device, if there is one. */
enum capsa_status config_nics(struct machine_config *copy,
			      const struct capsa_machine_config *config,
			      struct capsa_error *error);
void config_free_nic(struct nic_config *nic);

#endif
