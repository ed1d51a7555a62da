/* SPDX-License-Identifier: MIT */
#include "net/names.h"

#include <stddef.h>

static uint16_t *names_place(struct names *names,
			     const struct net_address *address)
{
	uint32_t hash = hash_bytes(&names->key, address, sizeof(*address));

	return &names->places[hash % NAMES_PLACES];
}

static void names_forget(struct names *names, uint32_t index)
{
	struct naming *naming = &names->list[index];
	uint16_t *link;

	if (naming->address.family == 0)
		return;
	link = names_place(names, &naming->address);
	while (*link != index + 1)
		link = &names->list[*link - 1].next;
	*link = naming->next;
}

/* The naming of this address and name, or the one that makes room for it. */
static struct naming *names_find(struct names *names,
				 const struct net_address *address,
				 const struct domain *name)
{
	struct naming *first = NULL; /* to expire */
	uint32_t count = 0;

	for (uint16_t at = *names_place(names, address); at != 0;) {
		struct naming *naming = &names->list[at - 1];

		at = naming->next;
		if (!net_address_is(&naming->address, address))
			continue;
		if (domain_is(&naming->name, name))
			return naming;
		if (!first || naming->expires_ms < first->expires_ms)
			first = naming;
		count++;
	}
	return count < NAMES_PER_ADDRESS_MAX ? NULL : first;
}

void names_learn(struct names *names, const struct net_address *address,
		 const struct domain *name, uint64_t expires_ms)
{
	struct naming *naming = names_find(names, address, name);
	uint16_t *place;

	if (naming && domain_is(&naming->name, name)) {
		if (naming->expires_ms < expires_ms)
			naming->expires_ms = expires_ms;
		return;
	}
	if (naming) {
		naming->name = *name;
		naming->expires_ms = expires_ms;
		return;
	}
	names_forget(names, names->next);
	naming = &names->list[names->next];
	place = names_place(names, address);
	*naming = (struct naming) {
		.address = *address,
		.name = *name,
		.expires_ms = expires_ms,
		.next = *place,
	};
	*place = (uint16_t)(names->next + 1);
	names->next = (names->next + 1) % NAMES_MAX;
}

uint32_t names_of(const struct names *names, const struct net_address *address,
		  uint64_t now_ms,
		  const struct domain *found[NAMES_PER_ADDRESS_MAX])
{
	uint32_t hash = hash_bytes(&names->key, address, sizeof(*address));
	uint32_t count = 0;

	for (uint16_t at = names->places[hash % NAMES_PLACES];
	     at != 0 && count < NAMES_PER_ADDRESS_MAX;) {
		const struct naming *naming = &names->list[at - 1];

		at = naming->next;
		if (net_address_is(&naming->address, address) &&
		    now_ms < naming->expires_ms)
			found[count++] = &naming->name;
	}
	return count;
}
