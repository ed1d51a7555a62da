/* SPDX-License-Identifier: MIT */
/* Which names addresses have, as far as the guest was told by the NAT's DNS. */
#ifndef CAPSA_NET_NAMES_H
#define CAPSA_NET_NAMES_H

#include "net/address.h"
#include "net/domain.h"
#include "net/hash.h"

enum {
	/* Of all addresses together; then the oldest makes room. */
	NAMES_MAX = 4096,
	/* Each new flow is judged for each name of its address. */
	NAMES_PER_ADDRESS_MAX = 16,
	NAMES_PLACES = 4096,
};

struct naming {
	struct net_address address; /* family 0: never used */
	struct domain name;
	uint64_t expires_ms;
	uint16_t next; /* in the same place; index + 1, 0: none */
};

/* Zeroed but for the key, it is empty. */
struct names {
	struct hash_key key;
	uint32_t next; /* naming to be overwritten */
	uint16_t places[NAMES_PLACES];
	struct naming list[NAMES_MAX];
};

/* The address has the name until then, or longer if it was said before. */
void names_learn(struct names *names, const struct net_address *address,
		 const struct domain *name, uint64_t expires_ms);
/* Fills found and returns how many; they stay until the next names_learn(). */
uint32_t names_of(const struct names *names, const struct net_address *address,
		  uint64_t now_ms,
		  const struct domain *found[NAMES_PER_ADDRESS_MAX]);

#endif
