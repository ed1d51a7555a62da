/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a kernel file for arm64: it is loaded or refused, and either way
 * nothing outside of guest memory is written (its neighbours are not mapped).
 * The loader knows nothing of the processor that it runs on, so this runs
 * anywhere.
 *
 * Input: one byte (bit 0: a good kernel to lay the rest over), two bytes of
 * memory in MiB, then the file.
 */
#define kernel_image_load arm64_image_load
#define kernel_image      arm64_image
#include "../../src/arch/arm64/kernel_image.c"

#include <stdlib.h>
#include <unistd.h>

#include "../arm64/kernel_files.h"
#include "guarded_memory.h"

#define MIB (1ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_file(const uint8_t *data, size_t size, bool over_a_good_one)
{
	struct kernel_file kernel = kernel_file_image();
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	for (size_t i = 0; i < size && i < kernel.size; i++)
		kernel.bytes[i] ^= data[i];
	if (over_a_good_one) {
		data = kernel.bytes;
		size = kernel.size;
	}
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capsa_error error = { 0 };
	struct boot_file file = {
		.path = "kernel",
		.unreadable = CAPSA_STATUS_KERNEL_FILE,
		.invalid = CAPSA_STATUS_KERNEL_INVALID,
		.error = &error,
	};
	struct arm64_image image;
	struct memory memory;
	enum capsa_status status;
	uint64_t bytes;

	if (size < 3)
		return 0;
	bytes = (16 + (data[1] | (data[2] & 3u) << 8)) * MIB;
	memory = guarded_memory_around(bytes, 0, ARM64_MEMORY);
	file.fd = fuzz_file(data + 3, size - 3, data[0] & 1);
	status = boot_file_open(&file);
	if (status == CAPSA_STATUS_OK)
		status = arm64_image_load(
			&file, &memory, ARM64_MEMORY + bytes - ARM64_TREE_BLOCK,
			&image);
	if (status == CAPSA_STATUS_OK) {
		if (!memory_at(&memory, image.entry, image.end - image.entry) ||
		    image.end > ARM64_MEMORY + bytes - ARM64_TREE_BLOCK)
			abort();
	} else if (error.status != status || error.subject[0] == '\0' ||
		   error.field[0] == '\0' || error.message[0] == '\0') {
		abort();
	}
	close(file.fd);
	guarded_memory_destroy(&memory);
	return 0;
}
