/* SPDX-License-Identifier: MIT */
/*
 * A kernel or initrd file on its way into guest memory.
 *
 * The file may be malformed, and may change while it is read: what is to be
 * checked is copied once, what is large goes straight into guest memory.
 */
#ifndef CAPSA_BOOT_FILE_H
#define CAPSA_BOOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa.h"
#include "memory.h"

struct boot_file {
	int fd;           /* borrowed */
	const char *path; /* borrowed; the subject of errors */
	uint64_t size;    /* when it was opened */
	bool whole; /* no part is a hole; looking for them takes its time */
	enum capsa_status unreadable; /* KERNEL_FILE or INITRD_FILE */
	enum capsa_status invalid;    /* KERNEL_INVALID or INITRD_INVALID */
	struct capsa_error *error;    /* borrowed; may be NULL */
};

/*
 * Learns size and holes of file->fd; all other fields are set by the caller.
 * Anything but a regular file is unreadable: reading it might never end.
 */
enum capsa_status boot_file_open(struct boot_file *file);

/*
 * Fills the error: field of the file is wrong, for the reason that format
 * prints. Returns file->invalid.
 */
__attribute__((format(printf, 3, 4))) enum capsa_status boot_file_refuse(
	const struct boot_file *file, const char *field, const char *format,
	...);

/*
 * Copies length bytes at offset of the file; field is to blame when the file
 * ends before.
 */
enum capsa_status boot_file_read(const struct boot_file *file, uint64_t offset,
				 void *out, size_t length, const char *field);

/*
 * The same into guest memory that is still zero; field is also to blame when
 * there is none at address. Moves the file's position.
 */
enum capsa_status boot_file_load(const struct boot_file *file, uint64_t offset,
				 const struct memory *memory, uint64_t address,
				 uint64_t length, const char *field);

#endif
