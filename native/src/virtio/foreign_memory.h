/* SPDX-License-Identifier: MIT */
/* Guest memory that belongs to another monitor, mapped here too. */
#ifndef CAPSA_VIRTIO_FOREIGN_MEMORY_H
#define CAPSA_VIRTIO_FOREIGN_MEMORY_H

#include <stdint.h>

#include "memory.h"
#include "virtio/vhost_user_protocol.h"

struct foreign_memory {
	struct memory memory;              /* what devices see; owns nothing */
	uint64_t users[MEMORY_RANGES_MAX]; /* the owner's name of each range */
	struct {
		void *start;
		uint64_t size;
	} mappings[MEMORY_RANGES_MAX];
};

/*
 * Maps what the table names. Each file must be sealed against shrinking, or
 * who owns it could kill this process by cutting it. 0, -EPROTO, or another
 * -errno and nothing is mapped; what was mapped before must be unmapped.
 */
int foreign_memory_map(struct foreign_memory *memory,
		       const struct vhost_user_table *table, const int *fds,
		       uint32_t fd_count);

/* Safe on a zeroed one. */
void foreign_memory_unmap(struct foreign_memory *memory);

/* The guest physical address of the owner's; UINT64_MAX: none. */
uint64_t foreign_memory_address(const struct foreign_memory *memory,
				uint64_t user);

#endif
