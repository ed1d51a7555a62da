/* SPDX-License-Identifier: MIT */
/* Connections by their ports. */
#ifndef CAPSA_VSOCK_TABLE_H
#define CAPSA_VSOCK_TABLE_H

#include <stdint.h>

#include "vsock/connection.h"

enum { VSOCK_BUCKETS_LOG2 = 10 };

struct vsock_table {
	uint64_t secret; /* the guest chooses ports: it shall not choose one
			    bucket for all */
	struct vsock_connection *buckets[1 << VSOCK_BUCKETS_LOG2];
};

void vsock_table_init(struct vsock_table *table);

/* The one with these ports, or NULL. */
struct vsock_connection *vsock_table_find(const struct vsock_table *table,
					  uint32_t host_port,
					  uint32_t guest_port);

/* Its ports are set, and no other's. */
void vsock_table_add(struct vsock_table *table,
		     struct vsock_connection *connection);

/* Nothing happens to one that is not there. */
void vsock_table_remove(struct vsock_table *table,
			const struct vsock_connection *connection);

#endif
