/* SPDX-License-Identifier: MIT */
#include "net/hash.h"

#include <string.h>

/* Both halves of the product, so that every bit depends on all bits. */
static uint64_t hash_fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t hash_bytes(const struct hash_key *key, const void *bytes,
		    uint32_t length)
{
	const uint8_t *from = bytes;
	uint64_t hash = key->words[0] ^ length;

	for (uint32_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint32_t part = length - at;
		uint64_t word = 0;

		memcpy(&word, from + at,
		       part < sizeof(word) ? part : sizeof(word));
		/* An even key would lose the word's highest bits. */
		hash = hash_fold(hash ^ word, key->words[1] | 1);
	}
	return (uint32_t)hash_fold(hash, key->words[0] | 1);
}
