/* SPDX-License-Identifier: MIT */
#include "net/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "net/frame.h"
#include "net/nat.h"
#include "net/policy.h"

enum { GATE_PREFIX6 = 64 };

struct gate {
	struct net_filter filter; /* first: found from it */
	pthread_mutex_t lock;     /* of all below */
	struct policy *policy;
	uint64_t now_ms; /* the NAT's turns may have begun before this */
};

static struct net_address gate_ipv4(uint32_t address)
{
	uint8_t bytes[4];

	frame_write32(bytes, address);
	return net_address_of(CAPSA_ADDRESS_IPV4, bytes);
}

static struct net_range gate_range4(uint32_t network, uint32_t mask)
{
	return (struct net_range) {
		.address = gate_ipv4(network),
		.prefix = (uint8_t)__builtin_popcount(mask),
	};
}

struct net_site gate_site(const struct nat_site *site, const uint8_t *mac,
			  uint32_t address)
{
	struct net_site out = {
		.guests4 = mac ? gate_range4(address, UINT32_MAX)
			       : gate_range4(site->network, site->mask),
		.network4 = gate_range4(site->network, site->mask),
		.gateway4 = gate_ipv4(site->gateway),
		.dns4 = gate_ipv4(site->dns),
		.network6 = {
			.address = net_address_of(CAPSA_ADDRESS_IPV6,
						  nat_prefix6),
			.prefix = GATE_PREFIX6,
		},
		.gateway6 = net_address_of(CAPSA_ADDRESS_IPV6, nat_gateway6),
		.dns6 = net_address_of(CAPSA_ADDRESS_IPV6, nat_dns6),
	};

	out.has_guest_mac = mac;
	if (mac)
		memcpy(out.guest_mac, mac, sizeof(out.guest_mac));
	return out;
}

/* With the lock held. */
static uint64_t gate_time(struct gate *gate, uint64_t now_ms)
{
	if (gate->now_ms < now_ms)
		gate->now_ms = now_ms;
	return gate->now_ms;
}

static enum net_verdict gate_from_guest(struct net_filter *filter,
					const uint8_t *frame, uint32_t length,
					uint64_t now_ms,
					struct net_answer *answer)
{
	struct gate *gate = (struct gate *)filter;
	struct net_filter *inner = policy_filter(gate->policy);
	enum net_verdict verdict;

	pthread_mutex_lock(&gate->lock);
	verdict = inner->from_guest(inner, frame, length,
				    gate_time(gate, now_ms), answer);
	pthread_mutex_unlock(&gate->lock);
	return verdict;
}

static enum net_verdict gate_to_guest(struct net_filter *filter,
				      const uint8_t *frame, uint32_t length,
				      uint64_t now_ms,
				      struct net_answer *answer)
{
	struct gate *gate = (struct gate *)filter;
	struct net_filter *inner = policy_filter(gate->policy);
	enum net_verdict verdict;

	pthread_mutex_lock(&gate->lock);
	verdict = inner->to_guest(inner, frame, length, gate_time(gate, now_ms),
				  answer);
	pthread_mutex_unlock(&gate->lock);
	return verdict;
}

static enum capsa_status gate_rules(struct rules **out,
				    const struct capsa_policy *policy,
				    struct capsa_error *error)
{
	static const struct capsa_policy fallback = {
		.size = sizeof(fallback),
		.total = sizeof(fallback),
		.default_action = CAPSA_ACTION_ALLOW,
	};

	return rules_copy(out, policy ? policy : &fallback, error);
}

enum capsa_status gate_create(struct gate **out, const struct net_site *site,
			      const struct capsa_policy *policy,
			      struct capsa_error *error)
{
	struct rules *rules = NULL;
	enum capsa_status status = gate_rules(&rules, policy, error);
	struct hash_key key;
	struct gate *gate;

	if (status != CAPSA_STATUS_OK)
		return status;
	if (getrandom(&key, sizeof(key), 0) != sizeof(key)) {
		free(rules);
		return error_system(error, errno, "getrandom", "network");
	}
	gate = calloc(1, sizeof(*gate));
	if (!gate || policy_create(&gate->policy, site, rules, &key) < 0) {
		free(gate);
		free(rules);
		return error_system(error, ENOMEM, "mmap", "network");
	}
	gate->filter = (struct net_filter) { .from_guest = gate_from_guest,
					     .to_guest = gate_to_guest };
	pthread_mutex_init(&gate->lock, NULL);
	*out = gate;
	return CAPSA_STATUS_OK;
}

void gate_destroy(struct gate *gate)
{
	if (!gate)
		return;
	policy_destroy(gate->policy);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

struct net_filter *gate_filter(struct gate *gate)
{
	return &gate->filter;
}

void gate_forward_udp(struct gate *gate, uint16_t guest_port)
{
	pthread_mutex_lock(&gate->lock);
	policy_forward_udp(gate->policy, guest_port);
	pthread_mutex_unlock(&gate->lock);
}

enum capsa_status gate_replace(struct gate *gate,
			       const struct capsa_policy *policy,
			       struct capsa_error *error)
{
	struct rules *rules = NULL;
	enum capsa_status status = gate_rules(&rules, policy, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	pthread_mutex_lock(&gate->lock);
	policy_replace(gate->policy, rules, gate_time(gate, nat_clock_ms()));
	pthread_mutex_unlock(&gate->lock);
	return CAPSA_STATUS_OK;
}

static bool gate_is_flow(const struct capsa_flow *flow)
{
	uint32_t family = flow->remote.family;

	return flow->size == sizeof(*flow) &&
	       flow->protocol >= CAPSA_PROTOCOL_TCP &&
	       flow->protocol <= CAPSA_PROTOCOL_ICMP &&
	       (family == 0 || family == CAPSA_ADDRESS_IPV4 ||
		family == CAPSA_ADDRESS_IPV6);
}

enum capsa_status gate_explain(struct gate *gate, const struct capsa_flow *flow,
			       const char *name,
			       struct capsa_decision *decision)
{
	size_t length = name ? strnlen(name, CAPSA_DOMAIN_MAX + 1) : 0;
	struct domain domain;

	if (!gate_is_flow(flow) ||
	    (name &&
	     !domain_read(&domain, (const uint8_t *)name, (uint32_t)length)))
		return CAPSA_STATUS_INVALID_ARGUMENT;
	pthread_mutex_lock(&gate->lock);
	policy_explain(gate->policy, flow, name ? &domain : NULL,
		       gate_time(gate, nat_clock_ms()), decision);
	pthread_mutex_unlock(&gate->lock);
	return CAPSA_STATUS_OK;
}

uint32_t gate_take_log(struct gate *gate, struct capsa_decision *lines,
		       uint32_t capacity)
{
	uint32_t count;

	pthread_mutex_lock(&gate->lock);
	count = policy_take_log(gate->policy, lines, capacity);
	pthread_mutex_unlock(&gate->lock);
	return count;
}
