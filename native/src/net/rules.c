/* SPDX-License-Identifier: MIT */
#include "net/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static enum capsa_status rules_refuse(struct capsa_error *error,
				      const char *subject, const char *field,
				      const char *message)
{
	return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0, "policy",
			 subject, field, message);
}

/* The start of what a slice names, or NULL if it leaves the buffer. */
static const uint8_t *rules_part(const struct capsa_policy *policy,
				 struct capsa_slice slice)
{
	if (slice.offset < policy->size || slice.offset > policy->total ||
	    slice.length > policy->total - slice.offset)
		return NULL;
	return (const uint8_t *)policy + slice.offset;
}

static bool rules_address(struct rule *copy, const struct capsa_rule *rule)
{
	const struct capsa_address *address = &rule->address;
	uint32_t bits = 0;

	if (address->family == CAPSA_ADDRESS_IPV4)
		bits = 32;
	else if (address->family == CAPSA_ADDRESS_IPV6)
		bits = 128;
	else if (address->family != 0)
		return false;
	if (rule->prefix > bits)
		return false;
	if (bits == 0)
		return true;
	copy->range.address = net_address_of(
		(enum capsa_address_family)address->family, address->bytes);
	copy->range.prefix = (uint8_t)rule->prefix;
	return true;
}

static bool rules_domain(struct rule *copy, const struct capsa_policy *policy,
			 struct capsa_slice slice)
{
	const uint8_t *text = rules_part(policy, slice);

	if (slice.length == 0)
		return true;
	if (!text)
		return false;
	copy->below = slice.length > 2 && text[0] == '*' && text[1] == '.';
	if (copy->below) {
		text += 2;
		slice.length -= 2;
	}
	return domain_read(&copy->domain, text, slice.length);
}

/* The field at fault, or NULL. */
static const char *rules_rule(struct rule *copy,
			      const struct capsa_policy *policy,
			      const struct capsa_rule *rule)
{
	bool has_ports = rule->port_first != 0 || rule->port_last != 0;

	if (rule->size != sizeof(*rule))
		return "size";
	if (rule->action < CAPSA_ACTION_ALLOW ||
	    rule->action > CAPSA_ACTION_LOG)
		return "action";
	if (rule->protocol > CAPSA_PROTOCOL_ICMP)
		return "protocol";
	if (has_ports &&
	    (rule->port_first == 0 || rule->port_first > rule->port_last ||
	     rule->protocol == CAPSA_PROTOCOL_ICMP))
		return "port_first";
	copy->action = (uint8_t)rule->action;
	copy->protocol = (uint8_t)rule->protocol;
	copy->port_first = rule->port_first;
	copy->port_last = rule->port_last;
	if (!rules_address(copy, rule))
		return "address";
	return rules_domain(copy, policy, rule->domain) ? NULL : "domain";
}

static void rules_summarise(struct rules *rules)
{
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (rule->action == CAPSA_ACTION_LOG)
			rules->has_log = true;
		if (rule->action == CAPSA_ACTION_DENY &&
		    rule->domain.length > 0)
			rules->has_domain_deny = true;
	}
}

static const char *rules_check(const struct capsa_policy *policy)
{
	const uint32_t known = CAPSA_POLICY_OPEN | CAPSA_POLICY_RECHECK;

	if (policy->size != sizeof(*policy) || policy->total < policy->size)
		return "size";
	if (policy->flags & ~known)
		return "flags";
	if (policy->default_action != CAPSA_ACTION_ALLOW &&
	    policy->default_action != CAPSA_ACTION_DENY)
		return "default_action";
	if (policy->rules.length % sizeof(struct capsa_rule) != 0 ||
	    policy->rules.length / sizeof(struct capsa_rule) > CAPSA_RULES_MAX)
		return "rules";
	if (policy->rules.length > 0 && !rules_part(policy, policy->rules))
		return "rules";
	return NULL;
}

enum capsa_status rules_copy(struct rules **out,
			     const struct capsa_policy *policy,
			     struct capsa_error *error)
{
	const char *field = rules_check(policy);
	const uint8_t *start;
	uint32_t count;
	struct rules *rules;

	if (field)
		return rules_refuse(error, "policy", field,
				    "the value is outside its range");
	count = policy->rules.length / (uint32_t)sizeof(struct capsa_rule);
	start = (const uint8_t *)policy + policy->rules.offset;
	rules = calloc(1, sizeof(*rules) + count * sizeof(rules->list[0]));
	if (!rules)
		return error_system(error, ENOMEM, "calloc", NULL);
	rules->open = policy->flags & CAPSA_POLICY_OPEN;
	rules->recheck = policy->flags & CAPSA_POLICY_RECHECK;
	rules->allow = policy->default_action == CAPSA_ACTION_ALLOW;
	for (; rules->count < count; rules->count++) {
		struct capsa_rule rule;
		char subject[16];

		/* They may lie at any address. */
		memcpy(&rule, start + rules->count * sizeof(rule),
		       sizeof(rule));
		field = rules_rule(&rules->list[rules->count], policy, &rule);
		if (!field)
			continue;
		(void)snprintf(subject, sizeof(subject), "rules.%u",
			       rules->count);
		free(rules);
		return rules_refuse(error, subject, field,
				    "the rule is outside its range");
	}
	rules_summarise(rules);
	*out = rules;
	return CAPSA_STATUS_OK;
}
