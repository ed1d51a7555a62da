/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI tables and of the AML in them (ACPI 6.4, chapters 5, 6 and
 * 20), as much as our own tables need.
 */
#ifndef CAPSA_X86_AML_H
#define CAPSA_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes being written. What does not fit sets full, and is left out. */
struct aml {
	uint8_t *bytes; /* borrowed */
	size_t capacity;
	size_t length;
	bool full;
};

void aml_bytes(struct aml *aml, const void *bytes, size_t length);
/* The low size bytes of value, little-endian. */
void aml_number(struct aml *aml, uint64_t value, size_t size);

/*
 * Things that hold others begin with an aml_begin_*() and end with aml_end()
 * of what that gave. Names are four characters, or "\\_SB_".
 */
size_t aml_begin_scope(struct aml *aml, const char *name);
size_t aml_begin_device(struct aml *aml, const char *name);
size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments);
size_t aml_begin_package(struct aml *aml, uint8_t count);
void aml_end(struct aml *aml, size_t begin);

void aml_name(struct aml *aml, const char *name); /* its value follows */
void aml_integer(struct aml *aml, uint32_t value);
void aml_string(struct aml *aml, const char *text);
void aml_notify(struct aml *aml, const char *name, uint8_t value);

/* The resources of a device, between aml_begin_resources() and its end. */
size_t aml_begin_resources(struct aml *aml);
void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count);
void aml_resource_memory(struct aml *aml, uint32_t base, uint32_t size);
/* Edge-triggered, active high, not shared. */
void aml_resource_interrupt(struct aml *aml, uint32_t gsi);
void aml_end_resources(struct aml *aml, size_t begin);

#endif
