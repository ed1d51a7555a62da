/* SPDX-License-Identifier: MIT */
#include "vsock/table.h"

#include <stddef.h>
#include <sys/random.h>

void vsock_table_init(struct vsock_table *table)
{
	*table = (struct vsock_table) { 0 };
	/* Before the host has entropy, a guest may guess it: that costs time
	 * and nothing else. */
	(void)!getrandom(&table->secret, sizeof(table->secret), GRND_NONBLOCK);
}

static uint32_t table_bucket(const struct vsock_table *table,
			     uint32_t host_port, uint32_t guest_port)
{
	uint64_t key = (uint64_t)host_port << 32 | guest_port;

	key *= table->secret | 1;
	key ^= key >> 32;
	key *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(key >> (64 - VSOCK_BUCKETS_LOG2));
}

struct vsock_connection *vsock_table_find(const struct vsock_table *table,
					  uint32_t host_port,
					  uint32_t guest_port)
{
	struct vsock_connection *found =
		table->buckets[table_bucket(table, host_port, guest_port)];

	while (found && (found->host_port != host_port ||
			 found->guest_port != guest_port))
		found = found->next;
	return found;
}

void vsock_table_add(struct vsock_table *table,
		     struct vsock_connection *connection)
{
	struct vsock_connection **bucket = &table->buckets[table_bucket(
		table, connection->host_port, connection->guest_port)];

	connection->next = *bucket;
	*bucket = connection;
}

void vsock_table_remove(struct vsock_table *table,
			const struct vsock_connection *connection)
{
	struct vsock_connection **place = &table->buckets[table_bucket(
		table, connection->host_port, connection->guest_port)];

	while (*place && *place != connection)
		place = &(*place)->next;
	if (*place)
		*place = connection->next;
}
