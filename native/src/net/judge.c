/* SPDX-License-Identifier: MIT */
#include "net/judge.h"

#include <stddef.h>

enum { PORT_QUIC = 443 };

struct subject subject_of(const struct net_site *site,
			  enum capsa_protocol protocol,
			  const struct net_address *address, uint16_t port)
{
	struct subject subject = {
		.protocol = (uint8_t)protocol,
		.port = port,
		.address = *address,
		.embedded = net_address_embedded(address),
	};
	bool is_echo = protocol == CAPSA_PROTOCOL_ICMP;

	subject.dns = !is_echo && port == PORT_DNS &&
		      net_site_has_dns(site, address);
	/* The NAT answers echoes itself; they do not reach the host. */
	if (!subject.dns && !(is_echo && (net_site_has_dns(site, address) ||
					  net_site_has_gateway(site, address))))
		closed_range_find(site, address, &subject.closed);
	return subject;
}

static bool judge_conditions(const struct rule *rule,
			     const struct subject *subject)
{
	if (rule->protocol != 0 && rule->protocol != subject->protocol)
		return false;
	if (rule->port_last != 0 && (subject->protocol == CAPSA_PROTOCOL_ICMP ||
				     subject->port < rule->port_first ||
				     subject->port > rule->port_last))
		return false;
	return rule->range.address.family == 0 ||
	       net_range_holds(&rule->range, &subject->address) ||
	       net_range_holds(&rule->range, &subject->embedded);
}

static bool judge_names(const struct rule *rule, const struct domain *name)
{
	if (!name)
		return false;
	return rule->below ? domain_is_below(name, &rule->domain)
			   : domain_is(name, &rule->domain);
}

bool judge_matches(const struct rule *rule, const struct subject *subject,
		   const struct domain *name)
{
	return judge_conditions(rule, subject) &&
	       (rule->domain.length == 0 || judge_names(rule, name));
}

/* Whether a rule that allows is meant for the closed range, too. */
static bool judge_opens(const struct rule *rule,
			const struct closed_range *closed)
{
	if (rule->range.address.family != 0)
		return net_range_within(&rule->range, &closed->range);
	return rule->domain.length > 0 && closed->by_name;
}

static struct decision judge_default(const struct rules *rules)
{
	return (struct decision) {
		.allowed = rules->allow,
		.reason = CAPSA_REASON_DEFAULT,
		.rule = -1,
	};
}

static struct decision judge_by(const struct rules *rules, uint32_t index,
				const struct domain *name)
{
	const struct rule *rule = &rules->list[index];

	return (struct decision) {
		.allowed = rule->action == CAPSA_ACTION_ALLOW,
		.by_name = rule->domain.length > 0,
		.reason = CAPSA_REASON_RULE,
		.rule = (int32_t)index,
		.name = name,
	};
}

/* The first rule that decides, for an address that has at most one name. */
static struct decision judge_one(const struct rules *rules,
				 const struct subject *subject,
				 const struct domain *name)
{
	bool closed = subject->closed.kind != 0 && !rules->open;
	struct decision decision;

	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (rule->action == CAPSA_ACTION_LOG ||
		    !judge_matches(rule, subject, name))
			continue;
		if (rule->action == CAPSA_ACTION_ALLOW && closed &&
		    !judge_opens(rule, &subject->closed))
			continue;
		return judge_by(rules, i, name);
	}
	decision = judge_default(rules);
	decision.name = name;
	if (closed) {
		decision.allowed = false;
		decision.reason = CAPSA_REASON_CLOSED;
		decision.closed = subject->closed.kind;
	}
	return decision;
}

/* Whether a decided before b: an earlier rule, or a rule at all. */
static bool judge_is_before(const struct decision *a, const struct decision *b)
{
	return a->rule >= 0 && (b->rule < 0 || a->rule < b->rule);
}

static bool judge_is_denied_name(const struct decision *decision)
{
	return decision->by_name && !decision->allowed;
}

/*
 * With several names a rule matches if it does for one of them. If one name
 * is denied by a rule of its own while another one is allowed, only the
 * server name can tell.
 */
static struct decision judge_all(const struct rules *rules,
				 const struct subject *subject,
				 const struct domain *const *names,
				 uint32_t count)
{
	struct decision first = judge_one(rules, subject,
					  count > 0 ? names[0] : NULL);
	struct decision denied = first; /* the first that names a name */
	bool allowed = first.allowed;

	for (uint32_t i = 1; i < count; i++) {
		struct decision one = judge_one(rules, subject, names[i]);

		allowed = allowed || one.allowed;
		if (judge_is_denied_name(&one) &&
		    (!judge_is_denied_name(&denied) ||
		     judge_is_before(&one, &denied)))
			denied = one;
		if (judge_is_before(&one, &first))
			first = one;
	}
	if (!allowed || !judge_is_denied_name(&denied))
		return first;
	denied.reason = CAPSA_REASON_AMBIGUOUS;
	if (subject->protocol == CAPSA_PROTOCOL_TCP) {
		denied.allowed = true;
		denied.name = NULL;
		denied.server_name = CAPSA_SERVER_NAME_ALWAYS;
	}
	return denied;
}

/* DNS over TCP is not looked into, so it must not matter what it asks for. */
static struct decision judge_dns_tcp(const struct rules *rules,
				     const struct subject *subject)
{
	struct decision decision = judge_query(rules, subject, NULL);

	if (rules->has_domain_deny) {
		decision.allowed = false;
		decision.reason = CAPSA_REASON_DNS_TCP;
		decision.rule = -1;
	}
	return decision;
}

struct decision judge_flow(const struct rules *rules,
			   const struct subject *subject,
			   const struct domain *const *names, uint32_t count)
{
	struct decision decision;

	if (subject->dns)
		return judge_dns_tcp(rules, subject);
	decision = judge_all(rules, subject, names, count);
	if (!decision.allowed)
		return decision;
	if (subject->protocol == CAPSA_PROTOCOL_UDP && decision.by_name &&
	    subject->port == PORT_QUIC) {
		decision.allowed = false;
		decision.reason = CAPSA_REASON_QUIC;
	}
	if (subject->protocol == CAPSA_PROTOCOL_TCP &&
	    decision.server_name == 0) {
		if (decision.by_name)
			decision.server_name = CAPSA_SERVER_NAME_IF_TLS;
		else if (rules->has_domain_deny)
			decision.server_name = CAPSA_SERVER_NAME_IF_SHOWN;
	}
	return decision;
}

struct decision judge_server_name(const struct rules *rules,
				  const struct subject *subject,
				  enum capsa_server_name mode,
				  const struct domain *name)
{
	struct decision decision = judge_one(rules, subject, name);

	if (!name) {
		decision.allowed = mode == CAPSA_SERVER_NAME_IF_SHOWN;
		decision.reason = CAPSA_REASON_NO_SERVER_NAME;
	} else if (!decision.allowed) {
		decision.reason = CAPSA_REASON_SERVER_NAME;
	}
	return decision;
}

/* Whether a rule denies a name altogether, not just some of its services. */
static bool judge_denies_name(const struct rule *rule,
			      const struct subject *subject,
			      const struct domain *name)
{
	if (rule->domain.length == 0)
		return judge_conditions(rule, subject);
	return judge_names(rule, name) && rule->protocol == 0 &&
	       rule->port_last == 0 && rule->range.address.family == 0;
}

/*
 * Whether a rule could allow something that has this name. One for addresses
 * says nothing about names, unless it is for the DNS server itself.
 */
static bool judge_allows_name(const struct rule *rule,
			      const struct subject *subject,
			      const struct domain *name)
{
	if (rule->domain.length > 0)
		return judge_names(rule, name);
	return rule->range.address.family == 0 ||
	       judge_conditions(rule, subject);
}

struct decision judge_query(const struct rules *rules,
			    const struct subject *subject,
			    const struct domain *name)
{
	struct decision decision = judge_default(rules);

	decision.name = name;
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (rule->action == CAPSA_ACTION_ALLOW
			    ? judge_allows_name(rule, subject, name)
			    : rule->action == CAPSA_ACTION_DENY &&
				      judge_denies_name(rule, subject, name))
			return judge_by(rules, i, name);
	}
	if (!decision.allowed)
		decision.reason = CAPSA_REASON_NAME;
	return decision;
}
