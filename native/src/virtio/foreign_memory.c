/* SPDX-License-Identifier: MIT */
#include "virtio/foreign_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Static_assert((int)VHOST_USER_REGIONS_MAX <= (int)MEMORY_RANGES_MAX,
	       "every region is a range");

static bool foreign_overlaps(const struct memory *memory, uint64_t address,
			     uint64_t size)
{
	for (uint32_t i = 0; i < memory->range_count; i++) {
		const struct memory_range *range = &memory->ranges[i];

		if (address < range->address + range->size &&
		    range->address < address + size)
			return true;
	}
	return false;
}

/* The file must hold the region for good. */
static int foreign_check_file(const struct vhost_user_region *region, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0)
		return -EPROTO;
	if (region->offset > (uint64_t)status.st_size ||
	    region->size > (uint64_t)status.st_size - region->offset)
		return -EPROTO;
	return 0;
}

static int foreign_map_region(struct foreign_memory *memory,
			      const struct vhost_user_region *region, int fd)
{
	uint32_t index = memory->memory.range_count;
	uint64_t end;
	void *start;

	if (region->size == 0 ||
	    __builtin_add_overflow(region->address, region->size, &end) ||
	    __builtin_add_overflow(region->user, region->size, &end) ||
	    foreign_overlaps(&memory->memory, region->address, region->size) ||
	    foreign_check_file(region, fd) < 0)
		return -EPROTO;
	/* An offset that is no page's start is refused by the kernel. */
	start = mmap(NULL, region->size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_NORESERVE, fd, (off_t)region->offset);
	if (start == MAP_FAILED)
		return -errno;
	memory->mappings[index].start = start;
	memory->mappings[index].size = region->size;
	memory->users[index] = region->user;
	memory->memory.ranges[index] = (struct memory_range) {
		.address = region->address,
		.size = region->size,
		.host = start,
	};
	memory->memory.range_count++;
	return 0;
}

int foreign_memory_map(struct foreign_memory *memory,
		       const struct vhost_user_table *table, const int *fds,
		       uint32_t fd_count)
{
	*memory = (struct foreign_memory) { .memory.fd = -1 };
	if (table->count > VHOST_USER_REGIONS_MAX || table->count != fd_count)
		return -EPROTO;
	for (uint32_t i = 0; i < table->count; i++) {
		int result = foreign_map_region(memory, &table->regions[i],
						fds[i]);

		if (result < 0) {
			foreign_memory_unmap(memory);
			return result;
		}
	}
	return 0;
}

void foreign_memory_unmap(struct foreign_memory *memory)
{
	for (uint32_t i = 0; i < memory->memory.range_count; i++)
		munmap(memory->mappings[i].start, memory->mappings[i].size);
	memory->memory.range_count = 0;
}

uint64_t foreign_memory_address(const struct foreign_memory *memory,
				uint64_t user)
{
	for (uint32_t i = 0; i < memory->memory.range_count; i++) {
		uint64_t offset = user - memory->users[i];

		if (offset < memory->memory.ranges[i].size)
			return memory->memory.ranges[i].address + offset;
	}
	return UINT64_MAX;
}
