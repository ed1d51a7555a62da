/* SPDX-License-Identifier: MIT */
/*
 * What a NAT hands to its guest. The NAT is ours; what it passes on is from
 * anybody.
 */
#include <stddef.h>

#include "net/answer.h"
#include "net/policy_state.h"

enum {
	/* How long a new connection may use an address that DNS gave. */
	NAT_TTL_MIN_S = 1,
	NAT_TTL_MAX_S = 24 * 60 * 60,
	NAT_GRACE_S = 30,
};

static void nat_learn(struct policy *policy, const struct dns_answer *answer,
		      uint64_t now_ms)
{
	for (uint32_t i = 0; i < answer->address_count; i++) {
		const struct dns_address *given = &answer->addresses[i];

		for (uint32_t alias = 0; alias <= given->depth; alias++) {
			uint64_t ttl_s = dns_ttl_s(answer, given, alias);

			if (ttl_s < NAT_TTL_MIN_S)
				ttl_s = NAT_TTL_MIN_S;
			if (ttl_s > NAT_TTL_MAX_S)
				ttl_s = NAT_TTL_MAX_S;
			names_learn(&policy->names, &given->address,
				    &answer->chain[alias].name,
				    now_ms + (ttl_s + NAT_GRACE_S) * 1000);
		}
	}
}

static void nat_dns(struct policy *policy, const struct net_packet *packet,
		    uint64_t now_ms)
{
	struct dns_answer answer;

	if (dns_read_answer(&answer, packet->payload, packet->payload_length) ==
		    0 &&
	    queries_take(&policy->queries, &packet->source,
			 packet->destination_port, &answer.question, now_ms))
		nat_learn(policy, &answer, now_ms);
}

/* From the NAT itself: anybody may send to a port that the guest has used. */
static bool nat_is_dhcp(const struct policy *policy,
			const struct net_packet *packet)
{
	const struct net_address *from = &packet->source;

	if (from->family == CAPSA_ADDRESS_IPV4)
		return packet->source_port == POLICY_DHCP_SERVER_PORT &&
		       packet->destination_port == POLICY_DHCP_CLIENT_PORT &&
		       net_address_is(from, &policy->site.gateway4);
	return packet->source_port == POLICY_DHCPV6_SERVER_PORT &&
	       packet->destination_port == POLICY_DHCPV6_CLIENT_PORT &&
	       (net_address_is_link_local(from) ||
		net_address_is(from, &policy->site.gateway6));
}

static bool nat_is_forwarded(const struct policy *policy, uint16_t port)
{
	return policy->udp_forwards[port / 8] >> port % 8 & 1;
}

static enum net_verdict nat_udp(struct policy *policy,
				const struct net_packet *packet,
				uint64_t now_ms)
{
	struct flow_key key = flow_key_of(packet, false);
	struct flow *flow;

	if (nat_is_dhcp(policy, packet))
		return NET_PASS;
	if (packet->source_port == PORT_DNS &&
	    net_site_has_dns(&policy->site, &packet->source)) {
		nat_dns(policy, packet, now_ms);
		return NET_PASS;
	}
	flow = flows_find(&policy->flows, &key, now_ms);
	if (flow) {
		flows_touch(&policy->flows, flow, FLOW_UDP, now_ms);
		return NET_PASS;
	}
	if (!nat_is_forwarded(policy, packet->destination_port))
		return NET_DROP;
	flow = flows_add(&policy->flows, &key, FLOW_UDP, now_ms);
	if (!flow)
		return NET_DROP;
	flow->inbound = true;
	return NET_PASS;
}

/* A connection that comes through a port forward. */
static enum net_verdict nat_syn(struct policy *policy,
				const struct net_packet *packet,
				struct flow *flow, uint64_t now_ms,
				struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, false);
	struct flow *new = NULL;

	if (flow && flow->inbound) {
		policy_touch_tcp(policy, flow, now_ms);
		return NET_PASS;
	}
	/* Between the same ports there is one of the guest's, with its rules.
	 */
	if (flow && flow->class == FLOW_CLOSING) {
		flows_remove(&policy->flows, flow);
		flow = NULL;
	}
	if (!flow)
		new = flows_add(&policy->flows, &key, FLOW_OPENING, now_ms);
	if (!new) {
		answer->nat_length = answer_reset_sender(answer->nat, packet);
		return NET_DROP;
	}
	new->inbound = true;
	return NET_PASS;
}

/* Whether the NAT counts the guest's first bytes as we do. */
static bool nat_agrees(struct policy *policy, struct flow *flow,
		       const struct net_packet *packet)
{
	const struct stream *stream = NULL;

	if (!(packet->tcp_flags & TCP_ACK))
		return false;
	if (!flow->answered)
		return packet->tcp_flags & TCP_SYN &&
		       packet->acknowledged == flow->base;
	if (flow->stream != 0)
		stream = streams_at(&policy->flows.streams, flow->stream);
	switch (stream_to_guest(stream, flow->base, flow->guest_fin, packet)) {
	case STREAM_CUT:
		return false;
	case STREAM_DONE:
		streams_free(&policy->flows.streams, flow->stream);
		flow->stream = 0;
		flow->server_name = 0;
		return true;
	default:
		return true;
	}
}

static enum net_verdict nat_tcp(struct policy *policy,
				const struct net_packet *packet,
				uint64_t now_ms, struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, false);
	struct flow *flow = flows_find(&policy->flows, &key, now_ms);
	uint8_t flags = packet->tcp_flags;

	if (flags & TCP_SYN && !(flags & TCP_ACK))
		return nat_syn(policy, packet, flow, now_ms, answer);
	if (flags & TCP_RST) {
		if (flow)
			flows_remove(&policy->flows, flow);
		return NET_PASS;
	}
	if (flow && flow->server_name != 0 &&
	    !nat_agrees(policy, flow, packet)) {
		flows_remove(&policy->flows, flow);
		flow = NULL;
	}
	if (!flow) {
		answer->nat_length = answer_reset_sender(answer->nat, packet);
		answer->guest_length = answer_reset_receiver(answer->guest,
							     packet);
		return NET_DROP;
	}
	if (flags & TCP_SYN)
		flow->answered = true;
	if (flags & TCP_FIN)
		flow->nat_fin = true;
	policy_touch_tcp(policy, flow, now_ms);
	return NET_PASS;
}

enum net_verdict policy_to_guest(struct net_filter *filter,
				 const uint8_t *frame, uint32_t length,
				 uint64_t now_ms, struct net_answer *answer)
{
	struct policy *policy = (struct policy *)filter;
	struct net_packet packet;
	struct flow_key key;
	struct flow *flow;

	answer->guest_length = 0;
	answer->nat_length = 0;
	/* Parts of datagrams, and what the NAT says on its own account. */
	if (packet_parse(&packet, frame, length) < 0)
		return NET_PASS;
	switch (packet.kind) {
	case PACKET_TCP:
		return nat_tcp(policy, &packet, now_ms, answer);
	case PACKET_UDP:
		return nat_udp(policy, &packet, now_ms);
	case PACKET_ECHO_REPLY:
		key = flow_key_of(&packet, false);
		flow = flows_find(&policy->flows, &key, now_ms);
		if (!flow)
			return NET_DROP;
		flows_touch(&policy->flows, flow, FLOW_ICMP, now_ms);
		return NET_PASS;
	default:
		return NET_PASS;
	}
}
