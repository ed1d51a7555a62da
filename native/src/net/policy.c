/* SPDX-License-Identifier: MIT */
#include "net/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "net/policy_state.h"

int policy_create(struct policy **out, const struct net_site *site,
		  struct rules *rules, const struct hash_key *key)
{
	/*
	 * Fresh pages: calloc() may take memory that was used before, and clear
	 * all of it. Small ones: tables are used here and there.
	 */
	struct policy *policy = mmap(NULL, sizeof(*policy),
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (policy == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(policy, sizeof(*policy), MADV_NOHUGEPAGE);
	policy->filter.from_guest = policy_from_guest;
	policy->filter.to_guest = policy_to_guest;
	policy->site = *site;
	policy->rules = rules;
	policy->names.key = *key;
	policy->flows.key = *key;
	*out = policy;
	return 0;
}

void policy_destroy(struct policy *policy)
{
	free(policy->rules);
	(void)munmap(policy, sizeof(*policy));
}

struct net_filter *policy_filter(struct policy *policy)
{
	return &policy->filter;
}

void policy_forward_udp(struct policy *policy, uint16_t guest_port)
{
	policy->udp_forwards[guest_port / 8] |= (uint8_t)(1 << guest_port % 8);
}

bool policy_is_dhcp(const struct policy *policy,
		    const struct net_address *address, uint16_t port)
{
	static const struct net_address broadcast = {
		.family = CAPSA_ADDRESS_IPV4,
		.bytes = { 255, 255, 255, 255 },
	};
	/* All_DHCP_Relay_Agents_and_Servers (RFC 8415, 7.1) */
	static const struct net_address servers6 = {
		.family = CAPSA_ADDRESS_IPV6,
		.bytes = { 0xff, 2, [13] = 1, [15] = 2 },
	};

	if (address->family == CAPSA_ADDRESS_IPV6)
		return port == POLICY_DHCPV6_SERVER_PORT &&
		       net_address_is(address, &servers6);
	return port == POLICY_DHCP_SERVER_PORT &&
	       (net_address_is(address, &broadcast) ||
		net_address_is(address, &policy->site.gateway4));
}

static struct net_address policy_remote(const struct flow_key *key)
{
	return net_address_of((enum capsa_address_family)key->family,
			      key->remote);
}

struct subject policy_subject(const struct policy *policy,
			      const struct flow_key *key)
{
	struct net_address remote = policy_remote(key);

	return subject_of(&policy->site, (enum capsa_protocol)key->protocol,
			  &remote, key->remote_port);
}

struct decision policy_judge(const struct policy *policy,
			     const struct flow_key *key, uint64_t now_ms)
{
	const struct domain *names[NAMES_PER_ADDRESS_MAX];
	struct net_address remote = policy_remote(key);
	struct subject subject = policy_subject(policy, key);
	uint32_t count = names_of(&policy->names, &remote, now_ms, names);

	return judge_flow(policy->rules, &subject, names, count);
}

static void policy_describe(struct capsa_decision *line,
			    const struct decision *decision)
{
	line->action = decision->allowed ? CAPSA_ACTION_ALLOW
					 : CAPSA_ACTION_DENY;
	line->reason = decision->reason;
	line->rule = decision->rule;
	line->closed = decision->closed;
	line->server_name = decision->server_name;
	if (decision->name)
		memcpy(line->name, decision->name->text,
		       decision->name->length);
}

static struct capsa_address policy_export(uint8_t family, const uint8_t *bytes)
{
	struct capsa_address address = { .family = family };

	memcpy(address.bytes, bytes, sizeof(address.bytes));
	return address;
}

void policy_note(struct policy *policy, const struct flow_key *key,
		 const struct decision *decision, uint64_t now_ms)
{
	struct capsa_decision line = {
		.size = sizeof(line),
		.time_ms = now_ms,
		.flow = {
			.size = sizeof(line.flow),
			.protocol = key->protocol,
			.guest = policy_export(key->family, key->guest),
			.remote = policy_export(key->family, key->remote),
			.guest_port = key->guest_port,
			.remote_port = key->remote_port,
		},
	};

	policy_describe(&line, decision);
	policy_log_add(&policy->log, &line);
}

static bool policy_matches_any(const struct rule *rule,
			       const struct subject *subject,
			       const struct domain *const *names,
			       uint32_t count)
{
	if (judge_matches(rule, subject, NULL))
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (judge_matches(rule, subject, names[i]))
			return true;
	return false;
}

/* Rules behind the one that decided were never come to. */
void policy_note_matches(struct policy *policy, const struct flow_key *key,
			 const struct decision *decision, uint64_t now_ms)
{
	const struct rules *rules = policy->rules;
	const struct domain *names[NAMES_PER_ADDRESS_MAX];
	struct net_address remote = policy_remote(key);
	struct subject subject = policy_subject(policy, key);
	struct decision noted = *decision;
	uint32_t end = decision->rule < 0 ? rules->count
					  : (uint32_t)decision->rule;
	uint32_t count;

	if (!rules->has_log)
		return;
	noted.reason = CAPSA_REASON_LOG;
	count = names_of(&policy->names, &remote, now_ms, names);
	for (uint32_t i = 0; i < end; i++) {
		if (rules->list[i].action != CAPSA_ACTION_LOG ||
		    !policy_matches_any(&rules->list[i], &subject, names,
					count))
			continue;
		noted.rule = (int32_t)i;
		policy_note(policy, key, &noted, now_ms);
	}
}

void policy_touch_tcp(struct policy *policy, struct flow *flow, uint64_t now_ms)
{
	enum flow_class class = FLOW_ESTABLISHED;

	if (flow->guest_fin && flow->nat_fin)
		class = FLOW_CLOSING;
	/* A stream takes one of few places: not for hours. */
	else if (!flow->answered || flow->stream != 0)
		class = FLOW_OPENING;
	flows_touch(&policy->flows, flow, class, now_ms);
}

/* Whether a connection may go on under rules that want it judged again. */
static bool policy_keeps(struct policy *policy, struct flow *flow,
			 uint64_t now_ms)
{
	struct subject subject = policy_subject(policy, &flow->key);
	const struct domain *name = &flow->name;
	struct decision decision;

	if (flow->inbound)
		return true;
	decision = name->length > 0
			   ? judge_flow(policy->rules, &subject, &name, 1)
			   : policy_judge(policy, &flow->key, now_ms);
	/* Once its first bytes are gone, no server name can tell any more. */
	if (decision.server_name == CAPSA_SERVER_NAME_ALWAYS &&
	    flow->server_name == 0)
		decision.allowed = false;
	if (!decision.allowed) {
		decision.reason = CAPSA_REASON_ENDED;
		policy_note(policy, &flow->key, &decision, now_ms);
	} else if (flow->server_name != 0 && decision.server_name != 0) {
		flow->server_name = decision.server_name;
	}
	return decision.allowed;
}

void policy_replace(struct policy *policy, struct rules *rules, uint64_t now_ms)
{
	struct flow *flow;
	uint32_t at = 0;

	free(policy->rules);
	policy->rules = rules;
	policy_log_renumber(&policy->log);
	if (!rules->recheck)
		return;
	while ((flow = flows_next(&policy->flows, &at)))
		if (!policy_keeps(policy, flow, now_ms))
			flows_remove(&policy->flows, flow);
}

void policy_explain(const struct policy *policy, const struct capsa_flow *flow,
		    const struct domain *name, uint64_t now_ms,
		    struct capsa_decision *decision)
{
	const struct domain *names[NAMES_PER_ADDRESS_MAX] = { name };
	struct net_address remote = { 0 };
	uint32_t count = 1;
	struct subject subject;
	struct decision decided;

	if (flow->remote.family != 0)
		remote = net_address_of(
			(enum capsa_address_family)flow->remote.family,
			flow->remote.bytes);
	if (!name)
		count = names_of(&policy->names, &remote, now_ms, names);
	subject = subject_of(&policy->site, (enum capsa_protocol)flow->protocol,
			     &remote, flow->remote_port);
	if (flow->protocol == CAPSA_PROTOCOL_UDP &&
	    policy_is_dhcp(policy, &remote, flow->remote_port))
		decided = (struct decision) {
			.allowed = true,
			.reason = CAPSA_REASON_SERVICE,
			.rule = -1,
		};
	else if (flow->protocol == CAPSA_PROTOCOL_UDP && subject.dns)
		decided = judge_query(policy->rules, &subject, name);
	else
		decided = judge_flow(policy->rules, &subject, names, count);
	*decision = (struct capsa_decision) {
		.size = sizeof(*decision),
		.time_ms = now_ms,
		.flow = *flow,
	};
	policy_describe(decision, &decided);
}

uint32_t policy_take_log(struct policy *policy, struct capsa_decision *lines,
			 uint32_t capacity)
{
	return policy_log_take(&policy->log, lines, capacity);
}
