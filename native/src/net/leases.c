/* SPDX-License-Identifier: MIT */
#include "net/leases.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void leases_init(struct leases *leases, uint32_t network, uint32_t mask)
{
	*leases = (struct leases) {
		.network = network,
		.mask = mask,
		.fresh = LEASES_RESERVED + 1,
	};
}

static struct lease *lease_of_address(struct leases *leases, uint32_t address)
{
	for (uint32_t i = 0; i < leases->count; i++)
		if (leases->leases[i].address == address)
			return &leases->leases[i];
	return NULL;
}

static struct lease *lease_of_mac(struct leases *leases,
				  const uint8_t mac[NET_MAC_BYTES])
{
	for (uint32_t i = 0; i < leases->count; i++) {
		struct lease *lease = &leases->leases[i];

		if (!lease->used && memcmp(lease->mac, mac, NET_MAC_BYTES) == 0)
			return lease;
	}
	return NULL;
}

/* The one that was left first, or NULL. */
static struct lease *lease_oldest(struct leases *leases)
{
	struct lease *oldest = NULL;

	for (uint32_t i = 0; i < leases->count; i++) {
		struct lease *lease = &leases->leases[i];

		if (!lease->used &&
		    (!oldest || leases->departures - lease->left >
					leases->departures - oldest->left))
			oldest = lease;
	}
	return oldest;
}

/* An entry for an address that has none, or NULL. */
static struct lease *lease_add(struct leases *leases, uint32_t address)
{
	struct lease *lease = leases->count < LEASES_MAX
				      ? &leases->leases[leases->count++]
				      : lease_oldest(leases);

	if (lease)
		*lease = (struct lease) { .address = address };
	return lease;
}

static struct lease *lease_fresh(struct leases *leases)
{
	uint32_t last = ~leases->mask - 1; /* the next is everybody's */

	while (leases->fresh <= last && leases->count < LEASES_MAX) {
		uint32_t address = leases->network + leases->fresh++;

		if (!lease_of_address(leases, address))
			return lease_add(leases, address);
	}
	return NULL;
}

static struct lease *lease_any(struct leases *leases,
			       const uint8_t mac[NET_MAC_BYTES])
{
	struct lease *lease = lease_of_mac(leases, mac);

	if (!lease)
		lease = lease_fresh(leases);
	return lease ? lease : lease_oldest(leases);
}

static bool lease_fits(const struct leases *leases, uint32_t address)
{
	uint32_t host = address & ~leases->mask;

	return (address & leases->mask) == leases->network &&
	       host > LEASES_RESERVED && host < ~leases->mask;
}

int leases_take(struct leases *leases, const uint8_t mac[NET_MAC_BYTES],
		uint32_t *address)
{
	struct lease *lease;

	if (*address == 0) {
		lease = lease_any(leases, mac);
	} else {
		if (!lease_fits(leases, *address))
			return -EADDRNOTAVAIL;
		lease = lease_of_address(leases, *address);
		if (lease && lease->used)
			return -EADDRINUSE;
		if (!lease)
			lease = lease_add(leases, *address);
	}
	if (!lease)
		return -ENOSPC;
	lease->used = true;
	memcpy(lease->mac, mac, NET_MAC_BYTES);
	*address = lease->address;
	return 0;
}

void leases_leave(struct leases *leases, uint32_t address)
{
	struct lease *lease = lease_of_address(leases, address);

	if (!lease)
		return;
	lease->used = false;
	lease->left = ++leases->departures;
}
