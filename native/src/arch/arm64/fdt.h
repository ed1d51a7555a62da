/* SPDX-License-Identifier: MIT */
/*
 * Writes a flattened device tree (Devicetree Specification 0.4, chapter 5):
 * nodes and properties in the order in which they are given.
 *
 * What does not fit makes fdt_finish() say so, so that callers check once.
 */
#ifndef CAPSA_ARM64_FDT_H
#define CAPSA_ARM64_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FDT_NAMES_MAX = 1024 }; /* bytes of all names of properties */

struct fdt {
	uint8_t *bytes; /* borrowed */
	size_t size;
	size_t used;
	bool full;
	char names[FDT_NAMES_MAX]; /* one after the other, each with its NUL */
	size_t names_used;
};

/* Begins a tree, which is written to size bytes; the root is open. */
void fdt_begin(struct fdt *fdt, void *bytes, size_t size);

/* Opens a node in the one that is open, and closes it. */
void fdt_node(struct fdt *fdt, const char *name);
void fdt_end_node(struct fdt *fdt);

/* Properties of the open node; in front of the nodes in it. */
void fdt_flag(struct fdt *fdt, const char *name);
void fdt_bytes(struct fdt *fdt, const char *name, const void *value,
	       size_t length);
void fdt_text(struct fdt *fdt, const char *name, const char *value);
void fdt_cells(struct fdt *fdt, const char *name, const uint32_t *cells,
	       size_t count);
void fdt_cell(struct fdt *fdt, const char *name, uint32_t cell);
/* Numbers of two cells each. */
void fdt_wide(struct fdt *fdt, const char *name, const uint64_t *numbers,
	      size_t count);

/* Closes the root. Bytes of the whole tree; 0: it did not fit. */
size_t fdt_finish(struct fdt *fdt);

#endif
