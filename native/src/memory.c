/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* Host pages are at most 64 KiB, so a multiple of this can be mapped. */
#define MEMORY_UNIT (1ull << 20)

#define MEMORY_HUGE_PAGE (2ull << 20)

/* Of one request: a file could claim to need all memory. */
#define MEMORY_BACK_MAX (64ull << 20)

/*
 * Smaller machines hold no kernel: Linux for x86_64 is linked to run from
 * 16 MiB up, and unpacks to more than that elsewhere; for arm64 it is as large.
 */
#define MEMORY_SIZE_MIN (16ull << 20)

static int memory_open(uint64_t size)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("capsa-memory", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("capsa-memory", flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/*
 * Maps the file to an address that a huge page may start at, which the kernel
 * does by itself only where huge pages are forced, and asks for huge pages:
 * where the host gives them (shmem_enabled: advise), the guest faults far
 * less while it starts.
 */
static void *memory_map(int fd, uint64_t size)
{
	uint64_t reserved = size + MEMORY_HUGE_PAGE;
	uint8_t *start = mmap(NULL, reserved, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
	uint64_t head;
	void *mapping;

	if (start == MAP_FAILED)
		return MAP_FAILED;
	head = -(uintptr_t)start % MEMORY_HUGE_PAGE;
	mapping = mmap(start + head, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (mapping == MAP_FAILED) {
		int failure = errno;

		munmap(start, reserved);
		errno = failure;
		return MAP_FAILED;
	}
	if (head > 0)
		munmap(start, head);
	munmap(start + head + size, MEMORY_HUGE_PAGE - head);
	/* Kernels without huge pages refuse, and lose nothing by it. */
	(void)madvise(mapping, size, MADV_HUGEPAGE);
	return mapping;
}

static enum capsa_status memory_refuse(struct capsa_error *error, uint64_t size,
				       const char *why)
{
	char message[sizeof(error->message)];

	(void)snprintf(message, sizeof(message), "%llu bytes of memory: %s",
		       (unsigned long long)size, why);
	return error_set(error, CAPSA_STATUS_MEMORY_INVALID, 0, "create memory",
			 "memory", "memory_bytes", message);
}

static void memory_add(struct memory *memory, uint64_t address, uint64_t size,
		       uint64_t offset)
{
	memory->ranges[memory->range_count++] = (struct memory_range) {
		.address = address,
		.size = size,
		.host = memory->mapping + offset,
	};
}

enum capsa_status memory_create(struct memory *memory, uint64_t size,
				uint64_t hole_start, uint64_t hole_end,
				struct capsa_error *error)
{
	uint64_t low = size < hole_start ? size : hole_start;
	void *mapping;

	*memory = (struct memory) { .fd = -1 };
	if (size % MEMORY_UNIT != 0)
		return memory_refuse(error, size, "not a multiple of 1 MiB");
	if (size < MEMORY_SIZE_MIN)
		return memory_refuse(error, size, "less than 16 MiB");
	if (size > INT64_MAX - hole_end)
		return memory_refuse(error, size, "no host can address that");

	memory->fd = memory_open(size);
	if (memory->fd < 0) {
		int failure = -memory->fd;

		memory->fd = -1;
		return error_system(error, failure, "memfd_create", "memory");
	}
	mapping = memory_map(memory->fd, size);
	if (mapping == MAP_FAILED) {
		int failure = errno;

		memory_destroy(memory);
		return error_system(error, failure, "mmap", "memory");
	}
	memory->mapping = mapping;
	memory->size = size;
	if (low > 0)
		memory_add(memory, 0, low, 0);
	if (size > low)
		memory_add(memory, hole_end, size - low, low);
	return CAPSA_STATUS_OK;
}

void memory_destroy(struct memory *memory)
{
	if (memory->mapping)
		munmap(memory->mapping, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	*memory = (struct memory) { .fd = -1 };
}

void *memory_at(const struct memory *memory, uint64_t address, uint64_t length)
{
	for (uint32_t i = 0; i < memory->range_count; i++) {
		const struct memory_range *range = &memory->ranges[i];
		uint64_t offset = address - range->address;

		/* An address below the range wraps to a large offset. */
		if (offset < range->size && length <= range->size - offset)
			return range->host + offset;
	}
	return NULL;
}

int memory_read(const struct memory *memory, uint64_t address, void *out,
		size_t length)
{
	const void *host = memory_at(memory, address, length);

	if (!host)
		return -EFAULT;
	memcpy(out, host, length);
	return 0;
}

int memory_write(const struct memory *memory, uint64_t address,
		 const void *data, size_t length)
{
	void *host = memory_at(memory, address, length);

	if (!host)
		return -EFAULT;
	memcpy(host, data, length);
	return 0;
}

void memory_back(const struct memory *memory, uint64_t address, uint64_t length)
{
	uint64_t start = address & -MEMORY_HUGE_PAGE;
	uint64_t end = address + length;
	volatile uint8_t *host;

	if (end - start > MEMORY_BACK_MAX)
		end = start + MEMORY_BACK_MAX;
	end = (end + MEMORY_HUGE_PAGE - 1) & -MEMORY_HUGE_PAGE;
	host = memory_at(memory, start, end - start);
	if (!host)
		return;
	/* The kernel does not join pages where there is none. */
	for (uint64_t at = 0; at < end - start; at += MEMORY_HUGE_PAGE)
		host[at] = host[at];
	/* One call for all: each makes every processor flush its caches of
	 * pages. */
	(void)madvise((void *)host, end - start, MADV_COLLAPSE);
}

uint64_t memory_discard(const struct memory *memory, void *host,
			uint64_t length)
{
	uint8_t *bytes = host;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t head = -(uintptr_t)bytes % page;
	uint64_t whole = length < head ? 0 : (length - head) & -page;
	int result;

	if (whole == 0)
		return 0;
	if (memory->fd >= 0)
		result = fallocate(
			memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			bytes + head - memory->mapping, (off_t)whole);
	else
		result = madvise(bytes + head, whole, MADV_DONTNEED);
	return result == 0 ? whole : 0;
}

uint64_t memory_resident(const struct memory *memory)
{
	struct stat file;

	if (memory->fd < 0 || fstat(memory->fd, &file) < 0)
		return 0;
	return (uint64_t)file.st_blocks * 512;
}
