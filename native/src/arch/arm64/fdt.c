/* SPDX-License-Identifier: MIT */
#include "fdt.h"

#include <endian.h>
#include <string.h>

#define FDT_MAGIC 0xd00dfeedu

enum {
	FDT_VERSION = 17,
	FDT_COMPATIBLE_VERSION = 16,
};

/* Tokens of the structure block */
enum {
	FDT_BEGIN_NODE = 1,
	FDT_END_NODE = 2,
	FDT_PROPERTY = 3,
	FDT_END = 9,
};

/* Everything is big-endian. */
struct fdt_header {
	uint32_t magic;
	uint32_t size;
	uint32_t structure;
	uint32_t names;
	uint32_t reservations;
	uint32_t version;
	uint32_t compatible_version;
	uint32_t boot_cpu;
	uint32_t names_size;
	uint32_t structure_size;
};

/* The list of reserved memory: only the entry that ends it. */
struct fdt_reservations {
	uint64_t address;
	uint64_t size;
};

enum {
	FDT_RESERVATIONS = sizeof(struct fdt_header),
	FDT_STRUCTURE = FDT_RESERVATIONS + sizeof(struct fdt_reservations),
};

/* Appends, padded with zeros to whole cells. */
static void fdt_append(struct fdt *fdt, const void *data, size_t length)
{
	size_t padded = (length + 3) & ~(size_t)3;

	if (fdt->full || padded < length || padded > fdt->size - fdt->used) {
		fdt->full = true;
		return;
	}
	if (length > 0)
		memcpy(fdt->bytes + fdt->used, data, length);
	memset(fdt->bytes + fdt->used + length, 0, padded - length);
	fdt->used += padded;
}

static void fdt_append_cell(struct fdt *fdt, uint32_t cell)
{
	const uint32_t stored = htobe32(cell);

	fdt_append(fdt, &stored, sizeof(stored));
}

/* Where a property's name is among the names, which it is added to. */
static uint32_t fdt_name(struct fdt *fdt, const char *name)
{
	size_t length = strlen(name) + 1;
	size_t at = 0;

	while (at < fdt->names_used && strcmp(fdt->names + at, name) != 0)
		at += strlen(fdt->names + at) + 1;
	if (at < fdt->names_used)
		return (uint32_t)at;
	if (length > sizeof(fdt->names) - at) {
		fdt->full = true;
		return 0;
	}
	memcpy(fdt->names + at, name, length);
	fdt->names_used += length;
	return (uint32_t)at;
}

void fdt_begin(struct fdt *fdt, void *bytes, size_t size)
{
	*fdt = (struct fdt) {
		.bytes = bytes,
		.size = size,
		.used = FDT_STRUCTURE,
		.full = size < FDT_STRUCTURE,
	};
	fdt_node(fdt, "");
}

void fdt_node(struct fdt *fdt, const char *name)
{
	fdt_append_cell(fdt, FDT_BEGIN_NODE);
	fdt_append(fdt, name, strlen(name) + 1);
}

void fdt_end_node(struct fdt *fdt)
{
	fdt_append_cell(fdt, FDT_END_NODE);
}

void fdt_bytes(struct fdt *fdt, const char *name, const void *value,
	       size_t length)
{
	fdt_append_cell(fdt, FDT_PROPERTY);
	fdt_append_cell(fdt, (uint32_t)length);
	fdt_append_cell(fdt, fdt_name(fdt, name));
	fdt_append(fdt, value, length);
}

void fdt_flag(struct fdt *fdt, const char *name)
{
	fdt_bytes(fdt, name, NULL, 0);
}

void fdt_text(struct fdt *fdt, const char *name, const char *value)
{
	fdt_bytes(fdt, name, value, strlen(value) + 1);
}

void fdt_cells(struct fdt *fdt, const char *name, const uint32_t *cells,
	       size_t count)
{
	fdt_append_cell(fdt, FDT_PROPERTY);
	fdt_append_cell(fdt, (uint32_t)(count * sizeof(*cells)));
	fdt_append_cell(fdt, fdt_name(fdt, name));
	for (size_t i = 0; i < count; i++)
		fdt_append_cell(fdt, cells[i]);
}

void fdt_cell(struct fdt *fdt, const char *name, uint32_t cell)
{
	fdt_cells(fdt, name, &cell, 1);
}

void fdt_wide(struct fdt *fdt, const char *name, const uint64_t *numbers,
	      size_t count)
{
	fdt_append_cell(fdt, FDT_PROPERTY);
	fdt_append_cell(fdt, (uint32_t)(count * sizeof(*numbers)));
	fdt_append_cell(fdt, fdt_name(fdt, name));
	for (size_t i = 0; i < count; i++) {
		fdt_append_cell(fdt, (uint32_t)(numbers[i] >> 32));
		fdt_append_cell(fdt, (uint32_t)numbers[i]);
	}
}

size_t fdt_finish(struct fdt *fdt)
{
	const struct fdt_reservations none = { 0 };
	struct fdt_header header = { 0 };
	size_t structure_end;

	fdt_end_node(fdt);
	fdt_append_cell(fdt, FDT_END);
	structure_end = fdt->used;
	fdt_append(fdt, fdt->names, fdt->names_used);
	if (fdt->full)
		return 0;
	header = (struct fdt_header) {
		.magic = htobe32(FDT_MAGIC),
		.size = htobe32((uint32_t)fdt->used),
		.structure = htobe32(FDT_STRUCTURE),
		.names = htobe32((uint32_t)structure_end),
		.reservations = htobe32(FDT_RESERVATIONS),
		.version = htobe32(FDT_VERSION),
		.compatible_version = htobe32(FDT_COMPATIBLE_VERSION),
		.names_size = htobe32((uint32_t)fdt->names_used),
		.structure_size = htobe32(
			(uint32_t)(structure_end - FDT_STRUCTURE)),
	};
	memcpy(fdt->bytes, &header, sizeof(header));
	memcpy(fdt->bytes + FDT_RESERVATIONS, &none, sizeof(none));
	return fdt->used;
}
