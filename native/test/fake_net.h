/* SPDX-License-Identifier: MIT */
/*
 * A guest and a NAT with a policy between them. Both build their frames here,
 * with sums and headers of their own; rules are written as text:
 *
 *   "deny; allow tcp 443 *.example.org; log 10.0.0.0/8"
 *
 * begins with the default (allow, deny, open) and goes on with the rules.
 */
#ifndef CAPSA_FAKE_NET_H
#define CAPSA_FAKE_NET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/policy.h"

#define GUEST4   "10.0.2.15"
#define GATEWAY4 "10.0.2.2"
#define DNS4     "10.0.2.3"
#define GUEST6   "fd00::15"
#define GATEWAY6 "fd00::2"
#define DNS6     "fd00::3"

enum {
	FAKE_FIN = 1,
	FAKE_SYN = 2,
	FAKE_RST = 4,
	FAKE_PUSH = 8,
	FAKE_ACK = 16,
	FAKE_URG = 32,

	FAKE_RULES_MAX = 64,
	FAKE_FRAME_MAX = 20 * 1024,
};

static const uint8_t fake_guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t fake_nat_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };

struct fake_net {
	struct policy *policy;
	struct net_filter *filter;
	uint64_t now_ms;
	struct net_answer answer; /* of the last frame */
	uint8_t frame[FAKE_FRAME_MAX];
	uint32_t length;
};

static inline void fake_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void fake_put32(uint8_t *at, uint32_t value)
{
	fake_put16(at, value >> 16);
	fake_put16(at + 2, value);
}

static inline uint32_t fake_get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t fake_get32(const uint8_t *at)
{
	return fake_get16(at) << 16 | fake_get16(at + 2);
}

/* Family 0 for "". */
static inline struct net_address fake_address(const char *text)
{
	struct net_address address = { 0 };

	if (strchr(text, ':') && inet_pton(AF_INET6, text, address.bytes) == 1)
		address.family = CAPSA_ADDRESS_IPV6;
	else if (inet_pton(AF_INET, text, address.bytes) == 1)
		address.family = CAPSA_ADDRESS_IPV4;
	return address;
}

static inline struct net_site fake_site(void)
{
	struct net_site site = {
		.has_guest_mac = true,
		.guests4 = { fake_address(GUEST4), 32 },
		.network4 = { fake_address("10.0.2.0"), 24 },
		.gateway4 = fake_address(GATEWAY4),
		.dns4 = fake_address(DNS4),
		.network6 = { fake_address("fd00::"), 64 },
		.gateway6 = fake_address(GATEWAY6),
		.dns6 = fake_address(DNS6),
	};

	memcpy(site.guest_mac, fake_guest_mac, 6);
	return site;
}

/* What crosses the ABI for a policy, in one buffer. */
struct fake_policy {
	struct capsa_policy head;
	struct capsa_rule rules[FAKE_RULES_MAX];
	char names[FAKE_RULES_MAX * 64];
	uint32_t names_length;
};

static inline void fake_rule_word(struct fake_policy *policy,
				  struct capsa_rule *rule, const char *word)
{
	unsigned int first;
	unsigned int last;
	char address[64];
	char *slash;
	int end = 0;

	if (strcmp(word, "tcp") == 0)
		rule->protocol = CAPSA_PROTOCOL_TCP;
	else if (strcmp(word, "udp") == 0)
		rule->protocol = CAPSA_PROTOCOL_UDP;
	else if (strcmp(word, "icmp") == 0)
		rule->protocol = CAPSA_PROTOCOL_ICMP;
	else if (sscanf(word, "%u-%u%n", &first, &last, &end) == 2 &&
		 word[end] == '\0') {
		rule->port_first = (uint16_t)first;
		rule->port_last = (uint16_t)last;
	} else if (sscanf(word, "%u%n", &first, &end) == 1 &&
		   word[end] == '\0') {
		rule->port_first = (uint16_t)first;
		rule->port_last = (uint16_t)first;
	} else {
		snprintf(address, sizeof(address), "%s", word);
		slash = strchr(address, '/');
		if (slash)
			*slash = '\0';
		struct net_address parsed = fake_address(address);

		if (parsed.family != 0) {
			rule->address.family = parsed.family;
			memcpy(rule->address.bytes, parsed.bytes, 16);
			rule->prefix = parsed.family == 4 ? 32 : 128;
			if (slash)
				rule->prefix = (uint32_t)atoi(slash + 1);
			return;
		}
		rule->domain.offset = (uint32_t)offsetof(struct fake_policy,
							 names) +
				      policy->names_length;
		rule->domain.length = (uint32_t)strlen(word);
		memcpy(policy->names + policy->names_length, word,
		       rule->domain.length);
		policy->names_length += rule->domain.length;
	}
}

static inline void fake_policy_read(struct fake_policy *policy,
				    const char *text)
{
	char copy[4096];
	char *save = NULL;
	uint32_t count = 0;

	memset(policy, 0, sizeof(*policy));
	policy->head.size = sizeof(policy->head);
	policy->head.total = sizeof(*policy);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *part = strtok_r(copy, ";", &save); part;
	     part = strtok_r(NULL, ";", &save)) {
		char *save_word = NULL;
		char *word = strtok_r(part, " ", &save_word);
		uint32_t action = CAPSA_ACTION_ALLOW;
		struct capsa_rule *rule = &policy->rules[count];

		if (strcmp(word, "deny") == 0)
			action = CAPSA_ACTION_DENY;
		if (strcmp(word, "log") == 0)
			action = CAPSA_ACTION_LOG;
		if (policy->head.default_action == 0) {
			policy->head.default_action = action;
			if (strcmp(word, "open") == 0)
				policy->head.flags = CAPSA_POLICY_OPEN;
			continue;
		}
		rule->size = sizeof(*rule);
		rule->action = action;
		while ((word = strtok_r(NULL, " ", &save_word)))
			fake_rule_word(policy, rule, word);
		count++;
	}
	policy->head.rules.offset = offsetof(struct fake_policy, rules);
	policy->head.rules.length = count * (uint32_t)sizeof(struct capsa_rule);
}

static inline struct rules *fake_rules(const char *text, bool recheck)
{
	struct fake_policy policy;
	struct rules *rules = NULL;

	fake_policy_read(&policy, text);
	if (recheck)
		policy.head.flags |= CAPSA_POLICY_RECHECK;
	if (rules_copy(&rules, &policy.head, NULL) != CAPSA_STATUS_OK)
		abort();
	return rules;
}

static inline void fake_net_open(struct fake_net *net, const char *text)
{
	const struct hash_key key = { { 0x123456789abcdef,
					0xfedcba987654321 } };
	struct net_site site = fake_site();

	memset(net, 0, sizeof(*net));
	net->now_ms = 1000 * 1000;
	if (policy_create(&net->policy, &site, fake_rules(text, false), &key))
		abort();
	net->filter = policy_filter(net->policy);
}

static inline void fake_net_close(struct fake_net *net)
{
	policy_destroy(net->policy);
}

static inline void fake_net_replace(struct fake_net *net, const char *text,
				    bool recheck)
{
	policy_replace(net->policy, fake_rules(text, recheck), net->now_ms);
}

/* Sums as RFC 1071 describes them, over a copy with everything in it. */
static inline uint16_t fake_sum(const uint8_t *bytes, uint32_t length)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static inline uint16_t fake_transport_sum(const uint8_t *ip, uint8_t protocol,
					  const uint8_t *bytes, uint32_t length)
{
	static uint8_t copy[FAKE_FRAME_MAX + 64];
	uint32_t at = 0;

	if (ip[0] >> 4 == 4) {
		memcpy(copy, ip + 12, 8);
		at = 8;
	} else {
		memcpy(copy, ip + 8, 32);
		at = 32;
	}
	fake_put32(copy + at, length);
	fake_put32(copy + at + 4, protocol);
	memcpy(copy + at + 8, bytes, length);
	return fake_sum(copy, at + 8 + length);
}

/* A frame between the guest and remote around length transport bytes. */
static inline uint8_t *fake_frame(struct fake_net *net, bool from_guest,
				  const char *remote, uint8_t protocol,
				  uint32_t length)
{
	struct net_address other = fake_address(remote);
	struct net_address guest = fake_address(other.family == 4 ? GUEST4
								  : GUEST6);
	const struct net_address *from = from_guest ? &guest : &other;
	const struct net_address *to = from_guest ? &other : &guest;
	uint8_t *ip = net->frame + 14;

	memset(net->frame, 0, 128);
	memcpy(net->frame, from_guest ? fake_nat_mac : fake_guest_mac, 6);
	memcpy(net->frame + 6, from_guest ? fake_guest_mac : fake_nat_mac, 6);
	if (other.family == 4) {
		fake_put16(net->frame + 12, 0x0800);
		ip[0] = 0x45;
		fake_put16(ip + 2, 20 + length);
		ip[8] = 64;
		ip[9] = protocol;
		memcpy(ip + 12, from->bytes, 4);
		memcpy(ip + 16, to->bytes, 4);
		net->length = 34 + length;
		return ip + 20;
	}
	fake_put16(net->frame + 12, 0x86dd);
	ip[0] = 0x60;
	fake_put16(ip + 4, length);
	ip[6] = protocol;
	ip[7] = 64;
	memcpy(ip + 8, from->bytes, 16);
	memcpy(ip + 24, to->bytes, 16);
	net->length = 54 + length;
	return ip + 40;
}

/* Fills in the sums of the frame, which may have been changed. */
static inline void fake_seal(struct fake_net *net)
{
	uint8_t *ip = net->frame + 14;
	bool is_ipv4 = ip[0] >> 4 == 4;
	uint8_t protocol = ip[is_ipv4 ? 9 : 6];
	uint8_t *transport = ip + (is_ipv4 ? 20 : 40);
	uint32_t length = net->length - (uint32_t)(transport - net->frame);
	uint8_t *sum = transport + (protocol == 6    ? 16
				    : protocol == 17 ? 6
						     : 2);

	uint16_t value;

	if (is_ipv4) {
		fake_put16(ip + 10, 0);
		fake_put16(ip + 10, fake_sum(ip, 20));
	}
	fake_put16(sum, 0);
	value = protocol == 1
			? fake_sum(transport, length)
			: fake_transport_sum(ip, protocol, transport, length);
	/* To UDP 0 means that there is none (RFC 768). */
	fake_put16(sum, value == 0 && protocol == 17 ? 0xffff : value);
}

/* What an answer's lengths are before somebody says what they are. */
static inline void fake_soil(struct fake_net *net)
{
	net->answer.guest_length = UINT32_MAX;
	net->answer.nat_length = UINT32_MAX;
}

static inline enum net_verdict fake_from_guest(struct fake_net *net)
{
	fake_soil(net);
	return net->filter->from_guest(net->filter, net->frame, net->length,
				       net->now_ms, &net->answer);
}

static inline enum net_verdict fake_to_guest(struct fake_net *net)
{
	fake_soil(net);
	return net->filter->to_guest(net->filter, net->frame, net->length,
				     net->now_ms, &net->answer);
}

static inline enum net_verdict fake_send(struct fake_net *net, bool from_guest)
{
	fake_seal(net);
	return from_guest ? fake_from_guest(net) : fake_to_guest(net);
}

static inline void fake_make_udp(struct fake_net *net, bool from_guest,
				 const char *remote, uint32_t guest_port,
				 uint32_t remote_port, const void *payload,
				 uint32_t length)
{
	uint8_t *udp = fake_frame(net, from_guest, remote, 17, 8 + length);

	fake_put16(udp, from_guest ? guest_port : remote_port);
	fake_put16(udp + 2, from_guest ? remote_port : guest_port);
	fake_put16(udp + 4, 8 + length);
	if (length > 0)
		memcpy(udp + 8, payload, length);
}

static inline enum net_verdict fake_udp(struct fake_net *net, bool from_guest,
					const char *remote, uint32_t guest_port,
					uint32_t remote_port)
{
	fake_make_udp(net, from_guest, remote, guest_port, remote_port, "hello",
		      5);
	return fake_send(net, from_guest);
}

static inline enum net_verdict fake_echo(struct fake_net *net, bool from_guest,
					 const char *remote, uint32_t id)
{
	bool is_ipv4 = fake_address(remote).family == 4;
	uint8_t *icmp = fake_frame(net, from_guest, remote, is_ipv4 ? 1 : 58,
				   16);

	if (is_ipv4)
		icmp[0] = from_guest ? 8 : 0;
	else
		icmp[0] = from_guest ? 128 : 129;
	fake_put16(icmp + 4, id);
	return fake_send(net, from_guest);
}

/* Both ends of a TCP connection. */
struct fake_tcp {
	const char *remote;
	uint32_t guest_port;
	uint32_t remote_port;
	uint32_t guest_next; /* sequence number of what comes next */
	uint32_t nat_next;
};

static inline void fake_make_tcp(struct fake_net *net, bool from_guest,
				 const struct fake_tcp *tcp, uint8_t flags,
				 const void *payload, uint32_t length)
{
	uint8_t *head = fake_frame(net, from_guest, tcp->remote, 6,
				   20 + length);

	fake_put16(head, from_guest ? tcp->guest_port : tcp->remote_port);
	fake_put16(head + 2, from_guest ? tcp->remote_port : tcp->guest_port);
	fake_put32(head + 4, from_guest ? tcp->guest_next : tcp->nat_next);
	if (flags & FAKE_ACK)
		fake_put32(head + 8,
			   from_guest ? tcp->nat_next : tcp->guest_next);
	head[12] = 5 << 4;
	head[13] = flags;
	if (length > 0)
		memcpy(head + 20, payload, length);
}

/* Sends a segment at the sender's number without moving that on. */
static inline enum net_verdict fake_segment(struct fake_net *net,
					    bool from_guest,
					    const struct fake_tcp *tcp,
					    uint8_t flags, const void *payload,
					    uint32_t length)
{
	fake_make_tcp(net, from_guest, tcp, flags, payload, length);
	return fake_send(net, from_guest);
}

static inline struct fake_tcp fake_tcp_to(const char *remote, uint32_t port)
{
	static uint32_t guest_port = 20000;

	guest_port = guest_port % 60000 + 1;
	if (guest_port < 20000)
		guest_port = 20000;
	return (struct fake_tcp) {
		.remote = remote,
		.guest_port = guest_port,
		.remote_port = port,
		.guest_next = 0xfffffff0, /* wraps soon */
		.nat_next = 70000,
	};
}

static inline enum net_verdict fake_syn(struct fake_net *net,
					const char *remote, uint32_t port)
{
	struct fake_tcp tcp = fake_tcp_to(remote, port);

	return fake_segment(net, true, &tcp, FAKE_SYN, NULL, 0);
}

/* Whether a connection comes about. */
static inline bool fake_connect(struct fake_net *net, struct fake_tcp *tcp,
				const char *remote, uint32_t port)
{
	*tcp = fake_tcp_to(remote, port);
	if (fake_segment(net, true, tcp, FAKE_SYN, NULL, 0) != NET_PASS)
		return false;
	tcp->guest_next++;
	if (fake_segment(net, false, tcp, FAKE_SYN | FAKE_ACK, NULL, 0) !=
	    NET_PASS)
		return false;
	tcp->nat_next++;
	return fake_segment(net, true, tcp, FAKE_ACK, NULL, 0) == NET_PASS;
}

/* The guest sends bytes; they count as sent if they pass. */
static inline enum net_verdict fake_data(struct fake_net *net,
					 struct fake_tcp *tcp,
					 const void *bytes, uint32_t length)
{
	enum net_verdict verdict = fake_segment(
		net, true, tcp, FAKE_ACK | FAKE_PUSH, bytes, length);

	if (verdict == NET_PASS)
		tcp->guest_next += length;
	return verdict;
}

static inline enum net_verdict fake_acknowledge(struct fake_net *net,
						struct fake_tcp *tcp)
{
	return fake_segment(net, false, tcp, FAKE_ACK, NULL, 0);
}

#endif
