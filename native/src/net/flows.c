/* SPDX-License-Identifier: MIT */
#include "net/flows.h"

#include <stddef.h>
#include <string.h>

struct flow_timeout {
	uint32_t idle_ms;
	uint32_t full_ms; /* when there is no room for others */
};

#define NEVER UINT32_MAX

static const struct flow_timeout flow_timeouts[FLOW_CLASSES] = {
	/* RFC 5382, 5: 4 minutes, and 2 hours 4 minutes */
	[FLOW_OPENING] = { 240 * 1000, 30 * 1000 },
	[FLOW_ESTABLISHED] = { 7440 * 1000, NEVER },
	[FLOW_CLOSING] = { 240 * 1000, 0 },
	[FLOW_UDP] = { 120 * 1000, 30 * 1000 }, /* RFC 4787, 4.3 */
	[FLOW_ICMP] = { 30 * 1000, 5 * 1000 },
};

/* What goes first when there is no room. */
static const enum flow_class flow_order[FLOW_CLASSES] = {
	FLOW_CLOSING, FLOW_ICMP, FLOW_UDP, FLOW_OPENING, FLOW_ESTABLISHED,
};

static uint16_t flows_number(const struct flows *flows, const struct flow *flow)
{
	return (uint16_t)(flow - flows->list + 1);
}

static struct flow *flows_at(struct flows *flows, uint16_t number)
{
	return number == 0 ? NULL : &flows->list[number - 1];
}

static uint16_t *flows_place(struct flows *flows, const struct flow_key *key)
{
	uint32_t hash = hash_bytes(&flows->key, key, sizeof(*key));

	return &flows->places[hash % FLOWS_PLACES];
}

struct flow_key flow_key_of(const struct net_packet *packet, bool from_guest)
{
	const struct net_address *guest = from_guest ? &packet->source
						     : &packet->destination;
	const struct net_address *remote = from_guest ? &packet->destination
						      : &packet->source;
	struct flow_key key = { .family = guest->family };

	memcpy(key.guest, guest->bytes, sizeof(key.guest));
	memcpy(key.remote, remote->bytes, sizeof(key.remote));
	switch (packet->kind) {
	case PACKET_TCP:
	case PACKET_UDP:
		key.protocol = packet->kind == PACKET_TCP ? CAPSA_PROTOCOL_TCP
							  : CAPSA_PROTOCOL_UDP;
		key.guest_port = from_guest ? packet->source_port
					    : packet->destination_port;
		key.remote_port = from_guest ? packet->destination_port
					     : packet->source_port;
		break;
	default:
		key.protocol = CAPSA_PROTOCOL_ICMP;
		key.guest_port = packet->source_port;
		break;
	}
	return key;
}

static void flows_unlink(struct flows *flows, struct flow *flow)
{
	struct flow_list *list = &flows->classes[flow->class];

	if (flow->older != 0)
		flows->list[flow->older - 1].newer = flow->newer;
	else
		list->oldest = flow->newer;
	if (flow->newer != 0)
		flows->list[flow->newer - 1].older = flow->older;
	else
		list->newest = flow->older;
}

static void flows_link(struct flows *flows, struct flow *flow)
{
	struct flow_list *list = &flows->classes[flow->class];
	uint16_t number = flows_number(flows, flow);

	flow->older = list->newest;
	flow->newer = 0;
	if (list->newest != 0)
		flows->list[list->newest - 1].newer = number;
	else
		list->oldest = number;
	list->newest = number;
}

void flows_remove(struct flows *flows, struct flow *flow)
{
	uint16_t number = flows_number(flows, flow);
	uint16_t *link = flows_place(flows, &flow->key);

	while (*link != number)
		link = &flows->list[*link - 1].next;
	*link = flow->next;
	flows_unlink(flows, flow);
	if (flow->stream != 0)
		streams_free(&flows->streams, flow->stream);
	*flow = (struct flow) { .next = flows->first_free };
	flows->first_free = number;
}

/* Removes the oldest of a class if it was idle that long. */
static void flows_expire(struct flows *flows, enum flow_class class,
			 uint32_t idle_ms, uint64_t now_ms)
{
	struct flow *oldest = flows_at(flows, flows->classes[class].oldest);

	if (oldest && now_ms - oldest->used_ms >= idle_ms)
		flows_remove(flows, oldest);
}

/*
 * Two of each class for each new one: the table is rid of what is over in
 * time, and no frame pays for all of it.
 */
static void flows_expire_some(struct flows *flows, uint64_t now_ms)
{
	for (uint32_t class = 0; class < FLOW_CLASSES; class ++)
		for (uint32_t count = 0; count < 2; count++)
			flows_expire(flows, (enum flow_class) class,
				     flow_timeouts[class].idle_ms, now_ms);
}

static struct flow *flows_take(struct flows *flows, uint64_t now_ms)
{
	struct flow *flow;

	flows_expire_some(flows, now_ms);
	if (flows->first_free == 0 && flows->used < FLOWS_MAX)
		return &flows->list[flows->used++];
	for (uint32_t i = 0; i < FLOW_CLASSES && flows->first_free == 0; i++)
		flows_expire(flows, flow_order[i],
			     flow_timeouts[flow_order[i]].full_ms, now_ms);
	flow = flows_at(flows, flows->first_free);
	if (flow)
		flows->first_free = flow->next;
	return flow;
}

struct flow *flows_find(struct flows *flows, const struct flow_key *key,
			uint64_t now_ms)
{
	struct flow *flow = flows_at(flows, *flows_place(flows, key));

	while (flow && memcmp(&flow->key, key, sizeof(*key)) != 0)
		flow = flows_at(flows, flow->next);
	if (flow &&
	    now_ms - flow->used_ms >= flow_timeouts[flow->class].idle_ms) {
		flows_remove(flows, flow);
		return NULL;
	}
	return flow;
}

struct flow *flows_add(struct flows *flows, const struct flow_key *key,
		       enum flow_class class, uint64_t now_ms)
{
	struct flow *flow = flows_take(flows, now_ms);
	uint16_t *place = flows_place(flows, key);

	if (!flow)
		return NULL;
	*flow = (struct flow) {
		.key = *key,
		.next = *place,
		.class = (uint8_t) class,
		.used_ms = now_ms,
	};
	*place = flows_number(flows, flow);
	flows_link(flows, flow);
	return flow;
}

void flows_touch(struct flows *flows, struct flow *flow, enum flow_class class,
		 uint64_t now_ms)
{
	flows_unlink(flows, flow);
	flow->class = (uint8_t) class;
	flow->used_ms = now_ms;
	flows_link(flows, flow);
}

struct flow *flows_next(struct flows *flows, uint32_t *at)
{
	while (*at < flows->used) {
		struct flow *flow = &flows->list[(*at)++];

		if (flow->key.family != 0)
			return flow;
	}
	return NULL;
}
