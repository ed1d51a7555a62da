/* SPDX-License-Identifier: MIT */
/*
 * Loads a kernel file, of the architecture's kernel_files.h, into guest memory
 * and keeps what came of it.
 */
#ifndef CAPSA_TEST_LOAD_H
#define CAPSA_TEST_LOAD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/arch.h"
#include "guarded_memory.h"
#include "kernel_files.h"
#include "tap.h"

#define MIB         (1ull << 20)
#define MEMORY_SIZE (64 * MIB)

/* One load: what goes in and what comes out. */
struct load {
	struct memory memory;
	struct arch_shape shape;
	const char *cmdline;
	uint64_t initrd_size; /* 0: none */
	struct arch_entry entry;
	struct capsa_error error;
	enum capsa_status status;
};

static inline struct load load_new(uint64_t memory_size)
{
	return (struct load) {
		.memory = guarded_memory_create(memory_size),
		.shape = { .cpus = 1, .discovery = CAPSA_DISCOVERY_FIRMWARE },
		.cmdline = "console=ttyS0",
	};
}

static inline int file_of(const void *bytes, size_t stored, uint64_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    pwrite(fd, bytes, stored, 0) != (ssize_t)stored)
		abort();
	return fd;
}

static inline void load_run(struct load *load, const struct kernel_file *kernel)
{
	struct arch_boot_files files = {
		.kernel_fd = file_of(kernel->bytes, kernel->size, kernel->size),
		.kernel_path = "/boot/kernel",
		.initrd_fd = -1,
		.initrd_path = "/boot/initrd",
		.cmdline = load->cmdline,
	};

	if (load->initrd_size > 0)
		files.initrd_fd = file_of("initrd", 6, load->initrd_size);
	load->error = (struct capsa_error) { 0 };
	load->entry = (struct arch_entry) { 0 };
	guarded_memory_clear(&load->memory);
	load->status = arch_boot_load(&load->memory, &load->shape, &files,
				      &load->entry, &load->error);
	close(files.kernel_fd);
	if (files.initrd_fd >= 0)
		close(files.initrd_fd);
}

static inline void load_free(struct load *load)
{
	guarded_memory_destroy(&load->memory);
}

static inline uint64_t guest_number(const struct load *load, uint64_t address,
				    size_t size)
{
	uint64_t value = 0;

	CHECK(memory_read(&load->memory, address, &value, size) == 0);
	return value;
}

/* Printed where it differs, so that a table's row can be found. */
static inline bool is_refused(const struct load *load, enum capsa_status status,
			      const char *field)
{
	bool right = load->status == status && load->error.status == status &&
		     strcmp(load->error.field, field) == 0 &&
		     strcmp(load->error.subject,
			    status == CAPSA_STATUS_INITRD_INVALID
				    ? "/boot/initrd"
				    : "/boot/kernel") == 0 &&
		     load->error.message[0] != '\0';

	if (!right)
		printf("# status %d field \"%s\" \"%s\", not %d \"%s\"\n",
		       (int)load->status, load->error.field,
		       load->error.message, (int)status, field);
	return right;
}

#endif
