/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a kernel file: it is loaded or refused, and either way nothing
 * outside of guest memory is written (its neighbours are not mapped), and a
 * refused kernel has not touched the tables below 1 MiB.
 *
 * Input: options (one byte: bit 0 no ACPI, bit 1 an initrd, bits 2-3 kind of
 * kernel to lay the rest over, bits 4-7 kilobytes of command line), two bytes
 * of initrd size in 4 KiB, then the file.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "guarded_memory.h"
#include "kernel_files.h"

#define FUZZ_MEMORY     (32ull << 20)
#define FUZZ_LOW_TABLES (1ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static void fuzz_fill(int fd, const uint8_t *data, size_t size, uint64_t length)
{
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)length) < 0 ||
	    pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
}

/* A good kernel with differences from the input, or the input as it is. */
static void fuzz_kernel(int fd, uint32_t kind, const uint8_t *data, size_t size)
{
	struct kernel_file kernel = kind == 1 ? kernel_file_bzimage()
					      : kernel_file_elf();

	if (kind != 1 && kind != 2) {
		fuzz_fill(fd, data, size, size);
		return;
	}
	for (size_t i = 0; i < size && i < kernel.size; i++)
		kernel.bytes[i] ^= data[i];
	fuzz_fill(fd, kernel.bytes, kernel.size, kernel.size);
}

static void fuzz_check(const struct memory *memory, enum capsa_status status,
		       const struct arch_entry *entry,
		       const struct capsa_error *error)
{
	const uint8_t *low = memory_at(memory, 0, FUZZ_LOW_TABLES);

	if (status == CAPSA_STATUS_OK) {
		if (!memory_at(memory, entry->address, 1))
			abort();
		return;
	}
	if (error->status != status || error->subject[0] == '\0' ||
	    error->field[0] == '\0')
		abort();
	/* The command line comes after the kernel is found to be good. */
	if (status != CAPSA_STATUS_KERNEL_INVALID)
		return;
	for (uint64_t i = 0; i < FUZZ_LOW_TABLES; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, low + i, sizeof(word));
		if (word != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory memory = { .fd = -1 };
	static int kernel_fd;
	static int initrd_fd;
	static char cmdline[16 * 1024];
	struct arch_shape shape = { .cpus = 1,
				    .discovery = CAPSA_DISCOVERY_FIRMWARE };
	struct arch_boot_files files = { .kernel_path = "kernel",
					 .initrd_path = "initrd",
					 .cmdline = cmdline };
	struct arch_entry entry = { 0 };
	struct capsa_error error = { 0 };
	enum capsa_status status;
	uint32_t options;
	size_t cmdline_length;

	if (size < 3)
		return 0;
	if (memory.fd < 0) {
		memory = guarded_memory_create(FUZZ_MEMORY);
		kernel_fd = fuzz_file();
		initrd_fd = fuzz_file();
	}
	options = data[0];
	cmdline_length = (options >> 4) * 1024u;
	memset(cmdline, 'x', cmdline_length);
	cmdline[cmdline_length] = '\0';
	if (options & 1) {
		shape.discovery = CAPSA_DISCOVERY_CMDLINE;
		shape.virtio_count = ARCH_VIRTIO_MAX;
		for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++)
			shape.virtio[i] = arch_virtio_slot(i);
	}
	files.kernel_fd = kernel_fd;
	files.initrd_fd = options & 2 ? initrd_fd : -1;
	fuzz_fill(initrd_fd, data, 1,
		  (data[1] | (uint64_t)data[2] << 8) * 4096 + 1);
	fuzz_kernel(kernel_fd, options >> 2 & 3, data + 3, size - 3);

	status = arch_boot_load(&memory, &shape, &files, &entry, &error);
	fuzz_check(&memory, status, &entry, &error);
	guarded_memory_clear(&memory);
	return 0;
}
