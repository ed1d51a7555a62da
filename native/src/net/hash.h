/* SPDX-License-Identifier: MIT */
/* Places in hash tables that a guest fills. */
#ifndef CAPSA_NET_HASH_H
#define CAPSA_NET_HASH_H

#include <stdint.h>

/*
 * With a key that the guest does not know, so that it cannot make all of its
 * entries share one place.
 */
struct hash_key {
	uint64_t words[2];
};

uint32_t hash_bytes(const struct hash_key *key, const void *bytes,
		    uint32_t length);

#endif
