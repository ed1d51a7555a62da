/* SPDX-License-Identifier: MIT */
#include "net/nat_flows.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

enum { DNS_PORT = 53 };

/* Serial number arithmetic (RFC 1982). */
static bool flow_is_after(uint32_t number, uint32_t other)
{
	return (int32_t)(number - other) > 0;
}

static struct nat_flow_key flow_key(const struct frame_view *view,
				    bool from_guest)
{
	bool udp = view->protocol == IPPROTO_UDP;
	struct nat_flow_key key = {
		.guest_port = from_guest ? view->source_port
					 : view->destination_port,
		.remote_port = from_guest ? view->destination_port
					  : view->source_port,
		.address_bytes = (uint16_t)view->address_bytes,
	};

	memcpy(key.guest, from_guest ? view->source : view->destination,
	       view->address_bytes);
	if (udp)
		key.remote_port = 0;
	else
		memcpy(key.remote,
		       from_guest ? view->destination : view->source,
		       view->address_bytes);
	return key;
}

_Static_assert(sizeof(struct nat_flow_key) == 38,
	       "it is hashed and compared, so there must be no padding");

static uint16_t *flow_head(struct nat_flow_table *table,
			   const struct nat_flow_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &table->heads[(hash ^ hash >> 16) % NAT_HASHES];
}

static void flow_unlink(struct nat_flow_table *table, struct nat_flow *flow)
{
	struct nat_flow *flows = table->flows;

	if (flow->older)
		flows[flow->older].younger = flow->younger;
	else
		table->oldest = flow->younger;
	if (flow->younger)
		flows[flow->younger].older = flow->older;
	else
		table->youngest = flow->older;
}

/* Puts a flow that is in no list at one end of it. */
static void flow_link(struct nat_flow_table *table, struct nat_flow *flow,
		      bool youngest)
{
	uint16_t index = (uint16_t)(flow - table->flows);

	flow->older = youngest ? table->youngest : 0;
	flow->younger = youngest ? 0 : table->oldest;
	if (flow->older)
		table->flows[flow->older].younger = index;
	else
		table->oldest = index;
	if (flow->younger)
		table->flows[flow->younger].older = index;
	else
		table->youngest = index;
}

static struct nat_flow *flow_find(struct nat_flow_table *table,
				  const struct nat_flow_key *key)
{
	uint16_t index = *flow_head(table, key);

	while (index &&
	       memcmp(&table->flows[index].key, key, sizeof(*key)) != 0)
		index = table->flows[index].chain;
	if (!index)
		return NULL;
	return &table->flows[index];
}

static void flow_touch(struct nat_flow_table *table, struct nat_flow *flow)
{
	flow_unlink(table, flow);
	flow_link(table, flow, true);
}

/* Takes a flow out of its chain. */
static void flow_forget(struct nat_flow_table *table,
			const struct nat_flow *flow)
{
	uint16_t *link = flow_head(table, &flow->key);
	uint16_t index = (uint16_t)(flow - table->flows);

	while (*link != index)
		link = &table->flows[*link].chain;
	*link = flow->chain;
}

/* Enters a new flow into a place that was never used, or that of another. */
static struct nat_flow *flow_enter(struct nat_flow_table *table,
				   struct nat_flow *place,
				   const struct nat_flow_key *key)
{
	uint16_t *head;

	if (place) {
		flow_unlink(table, place);
		flow_forget(table, place);
	} else {
		place = &table->flows[++table->used];
	}
	head = flow_head(table, key);
	*place = (struct nat_flow) { .key = *key, .chain = *head };
	*head = (uint16_t)(place - table->flows);
	flow_link(table, place, true);
	return place;
}

/* The NAT keeps nothing of it any more. */
static void flow_settle(struct nat_flows *flows, struct nat_flow *flow)
{
	flows->segments -= flow->segments;
	flow->segments = 0;
}

/* Its place is the first to be taken. */
static void flow_close(struct nat_flows *flows, struct nat_flow *flow)
{
	flow->closed = true;
	flow_settle(flows, flow);
	flow_unlink(&flows->tcp, flow);
	flow_link(&flows->tcp, flow, false);
}

static uint32_t flow_write_ip(uint8_t *frame, const struct nat_flow_key *key)
{
	uint8_t *ip = frame + FRAME_IP;

	if (key->address_bytes == 4) {
		frame_write16(frame + FRAME_IP - 2, 0x0800);
		ip[0] = 0x45;
		frame_write16(ip + 2, FRAME_IPV4_HEADER + FRAME_TCP_HEADER);
		ip[8] = 64;
		ip[9] = IPPROTO_TCP;
		memcpy(ip + 12, key->guest, 4);
		memcpy(ip + 16, key->remote, 4);
		frame_write16(ip + 10, frame_checksum(frame_sum(
					       0, ip, FRAME_IPV4_HEADER)));
		return FRAME_IP + FRAME_IPV4_HEADER;
	}
	frame_write16(frame + FRAME_IP - 2, 0x86dd);
	ip[0] = 0x60;
	frame_write16(ip + 4, FRAME_TCP_HEADER);
	ip[6] = IPPROTO_TCP;
	ip[7] = 64;
	memcpy(ip + 8, key->guest, 16);
	memcpy(ip + 24, key->remote, 16);
	return FRAME_IP + FRAME_IPV6_HEADER;
}

/*
 * The guest's reset of a connection. With exactly the number that the NAT
 * expects it is obeyed.
 */
static void flow_write_reset(struct nat_reset *reset,
			     const struct nat_flow *flow)
{
	const uint8_t protocol[] = { 0, IPPROTO_TCP, 0, FRAME_TCP_HEADER };
	uint32_t addresses = 2u * flow->key.address_bytes;
	uint32_t at;
	uint8_t *tcp;
	uint32_t sum;

	memset(reset->frame, 0, sizeof(reset->frame));
	at = flow_write_ip(reset->frame, &flow->key);
	tcp = reset->frame + at;
	frame_write16(tcp, flow->key.guest_port);
	frame_write16(tcp + 2, flow->key.remote_port);
	frame_write32(tcp + 4, flow->next);
	tcp[12] = FRAME_TCP_HEADER / 4 << 4;
	tcp[13] = TCP_FLAG_RST;
	sum = frame_sum(0, tcp - addresses, addresses);
	sum = frame_sum(sum, protocol, sizeof(protocol));
	sum = frame_sum(sum, tcp, FRAME_TCP_HEADER);
	frame_write16(tcp + 16, frame_checksum(sum));
	reset->length = at + FRAME_TCP_HEADER;
}

/* Ends what the NAT may still have of a flow. */
static void flow_end(struct nat_flows *flows, struct nat_flow *flow,
		     struct nat_reset *reset)
{
	/* One that was never answered has nothing, and times out by itself. */
	if (flow->acknowledged && !flow->closed)
		flow_write_reset(reset, flow);
	flow_settle(flows, flow);
}

static struct nat_flow *flow_begin(struct nat_flows *flows,
				   const struct nat_flow_key *key,
				   struct nat_reset *reset)
{
	struct nat_flow_table *table = &flows->tcp;
	struct nat_flow *place = NULL;

	if (table->used == NAT_FLOWS_MAX) {
		place = &table->flows[table->oldest];
		flow_end(flows, place, reset);
	}
	return flow_enter(table, place, key);
}

static void flow_open(struct nat_flow *flow, const struct frame_view *view)
{
	flow->opened = true;
	flow->closed = false;
	flow->first = view->sequence;
	flow->highest = view->sequence + 1;
}

/* The guest begins a connection, or repeats that it does. */
static struct nat_flow *flow_begins(struct nat_flows *flows,
				    struct nat_flow *flow,
				    const struct nat_flow_key *key,
				    const struct frame_view *view,
				    struct nat_reset *reset)
{
	if (!flow) {
		flow = flow_begin(flows, key, reset);
	} else if (flow->opened && view->sequence == flow->first) {
		return flow;
	} else {
		/* It has forgotten the one before. */
		flow_end(flows, flow, reset);
		flow->acknowledged = false;
	}
	flow_open(flow, view);
	return flow;
}

static bool flow_tcp_from_guest(struct nat_flows *flows,
				const struct frame_view *view,
				struct nat_reset *reset)
{
	struct nat_flow_key key = flow_key(view, true);
	struct nat_flow *flow = flow_find(&flows->tcp, &key);
	uint32_t end = view->sequence + view->payload +
		       (view->flags & TCP_FLAG_SYN ? 1 : 0) +
		       (view->flags & TCP_FLAG_FIN ? 1 : 0);

	if ((view->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
		flow = flow_begins(flows, flow, &key, view, reset);
	/* One that is not known is answered with a reset. */
	if (!flow)
		return true;
	if (view->flags & TCP_FLAG_SYN && !flow->opened)
		flow_open(flow, view);
	flow_touch(&flows->tcp, flow);
	if (view->flags & TCP_FLAG_RST && flow->acknowledged &&
	    view->sequence == flow->next)
		flow_close(flows, flow);
	if (view->payload == 0 && !(view->flags & TCP_FLAG_FIN))
		return true;
	if (flows->segments == NAT_SEGMENTS_MAX)
		return false;
	flow->segments++;
	flows->segments++;
	if (flow_is_after(end, flow->highest))
		flow->highest = end;
	return true;
}

static void flow_tcp_to_guest(struct nat_flows *flows,
			      const struct frame_view *view,
			      struct nat_reset *reset)
{
	struct nat_flow_key key = flow_key(view, false);
	struct nat_flow *flow = flow_find(&flows->tcp, &key);

	/* One that comes in over a forwarded port */
	if (!flow &&
	    (view->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
		flow = flow_begin(flows, &key, reset);
	if (!flow)
		return;
	flow_touch(&flows->tcp, flow);
	if (view->flags & TCP_FLAG_ACK) {
		flow->acknowledged = true;
		flow->next = view->acknowledged;
		if (flow->opened && !flow_is_after(flow->highest, flow->next))
			flow_settle(flows, flow);
	}
	if (view->flags & TCP_FLAG_RST)
		flow_close(flows, flow);
}

/* The place of one that libslirp has given up by now, or NULL. */
static struct nat_flow *flow_expired(struct nat_flow_table *table,
				     uint64_t now_ms)
{
	for (uint16_t i = 1; i <= table->used; i++)
		if (table->flows[i].expires_ms <= now_ms)
			return &table->flows[i];
	return NULL;
}

static bool flow_udp(struct nat_flow_table *table,
		     const struct frame_view *view, bool from_guest,
		     uint64_t now_ms)
{
	struct nat_flow_key key = flow_key(view, from_guest);
	struct nat_flow *flow = flow_find(table, &key);
	struct nat_flow *place = NULL;
	bool answer = !from_guest && view->source_port == DNS_PORT;

	if (!flow && table->used == NAT_FLOWS_MAX) {
		place = flow_expired(table, now_ms);
		if (!place)
			return false;
	}
	if (!flow)
		flow = flow_enter(table, place, &key);
	flow->expires_ms = now_ms + (answer ? NAT_DNS_MS : NAT_UDP_MS);
	return true;
}

bool nat_flows_from_guest(struct nat_flows *flows,
			  const struct frame_view *view, uint64_t now_ms,
			  struct nat_reset *reset)
{
	reset->length = 0;
	if (view->protocol == IPPROTO_UDP)
		return flow_udp(&flows->udp, view, true, now_ms);
	return flow_tcp_from_guest(flows, view, reset);
}

void nat_flows_to_guest(struct nat_flows *flows, const struct frame_view *view,
			uint64_t now_ms, struct nat_reset *reset)
{
	reset->length = 0;
	if (view->protocol == IPPROTO_UDP)
		flow_udp(&flows->udp, view, false, now_ms);
	else
		flow_tcp_to_guest(flows, view, reset);
}
