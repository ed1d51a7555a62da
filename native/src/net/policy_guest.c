/* SPDX-License-Identifier: MIT */
/* What a guest sends. Nothing in it is true until it was looked at. */
#include <string.h>

#include "net/answer.h"
#include "net/policy_state.h"
#include "net/tls.h"

static bool guest_is_unspecified(const struct net_address *address)
{
	struct net_address none = { .family = address->family };

	return net_address_is(address, &none);
}

static bool guest_is_own(const struct net_site *site,
			 const struct net_address *address)
{
	const struct net_range *range = address->family == CAPSA_ADDRESS_IPV4
						? &site->guests4
						: &site->network6;

	return net_range_holds(range, address) &&
	       !net_site_has_gateway(site, address) &&
	       !net_site_has_dns(site, address);
}

static bool guest_has_mac(const struct net_site *site, const uint8_t *mac)
{
	return !site->has_guest_mac ||
	       memcmp(mac, site->guest_mac, sizeof(site->guest_mac)) == 0;
}

/* DHCPDISCOVER and DHCPREQUEST come before the lease, and renew it. */
static bool guest_is_dhcp(const struct policy *policy,
			  const struct net_packet *packet)
{
	bool is_ipv4 = packet->source.family == CAPSA_ADDRESS_IPV4;

	if (packet->kind != PACKET_UDP ||
	    !policy_is_dhcp(policy, &packet->destination,
			    packet->destination_port))
		return false;
	if (!is_ipv4)
		return packet->source_port == POLICY_DHCPV6_CLIENT_PORT &&
		       net_address_is_link_local(&packet->source);
	return packet->source_port == POLICY_DHCP_CLIENT_PORT &&
	       (guest_is_unspecified(&packet->source) ||
		guest_is_own(&policy->site, &packet->source));
}

/* Neighbour discovery stays on the link (RFC 4861, 4). */
static bool guest_is_neighbour(const struct policy *policy,
			       const struct net_packet *packet)
{
	const struct net_address *to = &packet->destination;

	return packet->kind == PACKET_NEIGHBOUR &&
	       policy->site.network6.address.family != 0 &&
	       (guest_is_unspecified(&packet->source) ||
		net_address_is_link_local(&packet->source) ||
		guest_is_own(&policy->site, &packet->source)) &&
	       (net_address_is_link_local(to) ||
		net_range_holds(&policy->site.network6, to) ||
		(to->bytes[0] == 0xff && to->bytes[1] == 2));
}

static bool guest_is_arp(const struct policy *policy,
			 const struct net_packet *packet)
{
	return packet->kind == PACKET_ARP &&
	       guest_has_mac(&policy->site, packet->ip + 8) &&
	       (guest_is_unspecified(&packet->source) ||
		guest_is_own(&policy->site, &packet->source));
}

/* An answer by the destination would come from an impossible address. */
static bool guest_is_answerable(const struct net_packet *packet)
{
	return (packet->frame[0] & 1) == 0 &&
	       net_address_is_unicast(&packet->destination);
}

static enum net_verdict guest_deny(struct policy *policy,
				   const struct net_packet *packet,
				   uint64_t now_ms, struct net_answer *answer)
{
	if (!guest_is_answerable(packet))
		return NET_DROP;
	if (packet->kind == PACKET_TCP)
		answer->guest_length = answer_reset_sender(answer->guest,
							   packet);
	else if (rate_take(&policy->errors, now_ms, POLICY_ERRORS_PER_SECOND,
			   POLICY_ERRORS_BURST))
		answer->guest_length = answer_prohibited(answer->guest, packet,
							 &policy->site);
	return NET_DROP;
}

/* Ends a connection for both sides. */
static enum net_verdict guest_cut(const struct net_packet *packet,
				  struct net_answer *answer)
{
	answer->guest_length = answer_reset_sender(answer->guest, packet);
	answer->nat_length = answer_reset_receiver(answer->nat, packet);
	return NET_DROP;
}

/* A new flow, if it is allowed and there is room. */
static struct flow *guest_open(struct policy *policy,
			       const struct flow_key *key,
			       enum flow_class class, uint64_t now_ms)
{
	struct decision decision = policy_judge(policy, key, now_ms);
	struct flow *flow = NULL;

	if (decision.allowed) {
		flow = flows_add(&policy->flows, key, class, now_ms);
		if (!flow) {
			decision.allowed = false;
			decision.reason = CAPSA_REASON_FULL;
			decision.rule = -1;
		}
	}
	policy_note_matches(policy, key, &decision, now_ms);
	if (!flow) {
		policy_note(policy, key, &decision, now_ms);
		return NULL;
	}
	flow->server_name = decision.server_name;
	if (decision.name)
		flow->name = *decision.name;
	return flow;
}

static enum net_verdict guest_syn(struct policy *policy,
				  const struct net_packet *packet,
				  struct flow *flow, uint64_t now_ms,
				  struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, true);

	/* Data ahead of the handshake could not be held to what follows. */
	if (packet->payload_length > 0)
		return NET_DROP;
	if (flow && !flow->inbound && flow->base == packet->sequence + 1) {
		policy_touch_tcp(policy, flow, now_ms);
		return NET_PASS;
	}
	if (flow && flow->class == FLOW_ESTABLISHED)
		return NET_DROP;
	if (flow)
		flows_remove(&policy->flows, flow);
	flow = guest_open(policy, &key, FLOW_OPENING, now_ms);
	if (!flow)
		return guest_deny(policy, packet, now_ms, answer);
	flow->base = packet->sequence + 1;
	return NET_PASS;
}

/* The connection asks for what it must not have. */
static enum net_verdict guest_refuse(struct policy *policy, struct flow *flow,
				     const struct net_packet *packet,
				     const struct decision *decision,
				     uint64_t now_ms, struct net_answer *answer)
{
	policy_note(policy, &flow->key, decision, now_ms);
	flows_remove(&policy->flows, flow);
	return guest_cut(packet, answer);
}

/* There are new first bytes: do they say whom the connection is for? */
static enum net_verdict guest_judge(struct policy *policy, struct flow *flow,
				    const struct net_packet *packet,
				    uint64_t now_ms, struct net_answer *answer)
{
	enum capsa_server_name mode = (enum capsa_server_name)flow->server_name;
	struct stream *stream = streams_at(&policy->flows.streams,
					   flow->stream);
	struct subject subject = policy_subject(policy, &flow->key);
	const struct domain *name = NULL;
	struct decision decision;
	struct tls_hello hello;
	enum tls_result result = tls_read_hello(&hello, stream->bytes,
						stream->length);

	if (result == TLS_MORE && stream->length < STREAM_BYTES_MAX)
		return NET_PASS;
	if (result == TLS_HELLO && !hello.is_encrypted && hello.name.length > 0)
		name = &hello.name;
	decision = judge_server_name(policy->rules, &subject, mode, name);
	if (result == TLS_OTHER)
		decision.allowed = mode != CAPSA_SERVER_NAME_ALWAYS;
	else if (result != TLS_HELLO)
		decision.allowed = false;
	decision.server_name = flow->server_name;
	if (!decision.allowed)
		return guest_refuse(policy, flow, packet, &decision, now_ms,
				    answer);
	if (name)
		flow->name = *name;
	stream->judged = hello.length;
	return NET_PASS;
}

/* A segment of a connection whose first bytes matter. */
static enum net_verdict guest_inspect(struct policy *policy, struct flow *flow,
				      const struct net_packet *packet,
				      uint64_t now_ms,
				      struct net_answer *answer)
{
	struct streams *streams = &policy->flows.streams;
	struct stream *stream = NULL;

	/* The NAT has not said yet from which number on it counts. */
	if (!flow->answered)
		return NET_DROP;
	if (flow->stream == 0 && packet->payload_length > 0)
		flow->stream = streams_take(streams);
	if (flow->stream != 0)
		stream = streams_at(streams, flow->stream);
	else if (packet->payload_length > 0)
		return NET_DROP;
	switch (stream_from_guest(stream, flow->base, flow->guest_fin,
				  packet)) {
	case STREAM_DROP:
		return NET_DROP;
	case STREAM_CUT:
		flows_remove(&policy->flows, flow);
		return guest_cut(packet, answer);
	case STREAM_JUDGE:
		return guest_judge(policy, flow, packet, now_ms, answer);
	default:
		return NET_PASS;
	}
}

/* One that belongs to no connection, or to one that was ended. */
static enum net_verdict guest_stray(struct policy *policy,
				    const struct net_packet *packet,
				    uint64_t now_ms, struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, true);
	struct decision decision = {
		.reason = CAPSA_REASON_NO_CONNECTION,
		.rule = -1,
	};

	if (packet->tcp_flags & TCP_RST)
		return NET_DROP;
	policy_note(policy, &key, &decision, now_ms);
	return guest_cut(packet, answer);
}

static enum net_verdict guest_tcp(struct policy *policy,
				  const struct net_packet *packet,
				  uint64_t now_ms, struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, true);
	struct flow *flow = flows_find(&policy->flows, &key, now_ms);
	uint8_t flags = packet->tcp_flags;
	enum net_verdict verdict = NET_PASS;

	/* RFC 9293, 3.9.2.3 for groups */
	if (!guest_is_answerable(packet) ||
	    (flags & TCP_SYN && flags & (TCP_FIN | TCP_RST)))
		return NET_DROP;
	if (flags & TCP_SYN && !(flags & TCP_ACK))
		return guest_syn(policy, packet, flow, now_ms, answer);
	if (!flow)
		return guest_stray(policy, packet, now_ms, answer);
	if (flags & TCP_RST) {
		flows_remove(&policy->flows, flow);
		return NET_PASS;
	}
	if (flags & TCP_SYN) {
		if (!flow->inbound)
			return NET_DROP;
		flow->answered = true;
	}
	if (flow->server_name != 0)
		verdict = guest_inspect(policy, flow, packet, now_ms, answer);
	if (verdict != NET_PASS)
		return verdict;
	if (flags & TCP_FIN)
		flow->guest_fin = true;
	policy_touch_tcp(policy, flow, now_ms);
	return NET_PASS;
}

/* A query to the NAT's own server: passed on, or answered on its behalf. */
static enum net_verdict guest_query(struct policy *policy,
				    const struct net_packet *packet,
				    uint64_t now_ms, struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, true);
	struct subject subject = policy_subject(policy, &key);
	struct dns_question question;
	struct decision decision;

	if (dns_read_query(&question, packet->payload, packet->payload_length) <
	    0)
		return NET_DROP;
	decision = judge_query(policy->rules, &subject, &question.name);
	if (question.is_strange) {
		decision.allowed = false;
		decision.reason = CAPSA_REASON_NAME;
		decision.rule = -1;
	}
	if (decision.allowed) {
		queries_note(&policy->queries, &packet->destination,
			     packet->source_port, &question, now_ms);
		return NET_PASS;
	}
	policy_note(policy, &key, &decision, now_ms);
	if (guest_is_answerable(packet))
		answer->guest_length = answer_no_name(answer->guest, packet,
						      &question);
	return NET_DROP;
}

/* A datagram or an echo. */
static enum net_verdict guest_datagram(struct policy *policy,
				       const struct net_packet *packet,
				       enum flow_class class, uint64_t now_ms,
				       struct net_answer *answer)
{
	struct flow_key key = flow_key_of(packet, true);
	struct flow *flow = flows_find(&policy->flows, &key, now_ms);

	if (flow) {
		flows_touch(&policy->flows, flow, class, now_ms);
		return NET_PASS;
	}
	if (guest_open(policy, &key, class, now_ms))
		return NET_PASS;
	return guest_deny(policy, packet, now_ms, answer);
}

enum net_verdict policy_from_guest(struct net_filter *filter,
				   const uint8_t *frame, uint32_t length,
				   uint64_t now_ms, struct net_answer *answer)
{
	struct policy *policy = (struct policy *)filter;
	const struct net_site *site = &policy->site;
	struct net_packet packet;

	answer->guest_length = 0;
	answer->nat_length = 0;
	if (packet_parse(&packet, frame, length) < 0 ||
	    !guest_has_mac(site, frame + sizeof(site->guest_mac)) ||
	    !packet_is_sound(&packet))
		return NET_DROP;
	if (guest_is_arp(policy, &packet) || guest_is_dhcp(policy, &packet) ||
	    guest_is_neighbour(policy, &packet))
		return NET_PASS;
	if (!guest_is_own(site, &packet.source))
		return NET_DROP;
	switch (packet.kind) {
	case PACKET_TCP:
		return guest_tcp(policy, &packet, now_ms, answer);
	case PACKET_UDP:
		if (packet.destination_port == PORT_DNS &&
		    net_site_has_dns(site, &packet.destination))
			return guest_query(policy, &packet, now_ms, answer);
		return guest_datagram(policy, &packet, FLOW_UDP, now_ms,
				      answer);
	case PACKET_ECHO_REQUEST:
		return guest_datagram(policy, &packet, FLOW_ICMP, now_ms,
				      answer);
	default:
		return NET_DROP;
	}
}
