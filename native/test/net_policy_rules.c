/* SPDX-License-Identifier: MIT */
/* What rules say: docs/NETWORK-POLICY.md, sentence by sentence. */
#include "net/rules.h"

#include "fake_net.h"
#include "tap.h"

static struct fake_net net;

/* What is decided about a flow, by name if there is one. */
static struct capsa_decision explained(const char *rules, uint32_t protocol,
				       const char *remote, uint32_t port,
				       const char *name)
{
	struct capsa_decision decision;
	struct net_address address = fake_address(remote);
	struct capsa_flow flow = {
		.size = sizeof(flow),
		.protocol = protocol,
		.remote = { .family = address.family },
		.remote_port = (uint16_t)port,
	};
	struct domain domain;

	memcpy(flow.remote.bytes, address.bytes, 16);
	if (name && !domain_read(&domain, (const uint8_t *)name,
				 (uint32_t)strlen(name)))
		abort();
	fake_net_open(&net, rules);
	policy_explain(net.policy, &flow, name ? &domain : NULL, net.now_ms,
		       &decision);
	fake_net_close(&net);
	return decision;
}

static bool is_decided(struct capsa_decision decision, uint32_t action,
		       uint32_t reason, int32_t rule, uint32_t closed)
{
	return decision.action == action && decision.reason == reason &&
	       decision.rule == rule && decision.closed == closed;
}

/* The arguments behind are those of explained(). */
#define ALLOWED_BY(rule, ...)                                                  \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_ALLOW,           \
			 CAPSA_REASON_RULE, rule, 0))
#define DENIED_BY(rule, ...)                                                   \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_DENY,            \
			 CAPSA_REASON_RULE, rule, 0))
#define DENIED_FOR(reason, rule, ...)                                          \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_DENY,            \
			 CAPSA_REASON_##reason, rule, 0))
#define DEFAULT(action, ...)                                                   \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_##action,        \
			 CAPSA_REASON_DEFAULT, -1, 0))
#define CLOSED(range, ...)                                                     \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_DENY,            \
			 CAPSA_REASON_CLOSED, -1, CAPSA_CLOSED_##range))
#define SERVICE(...)                                                           \
	CHECK(is_decided(explained(__VA_ARGS__), CAPSA_ACTION_ALLOW,           \
			 CAPSA_REASON_SERVICE, -1, 0))

enum {
	TCP = CAPSA_PROTOCOL_TCP,
	UDP = CAPSA_PROTOCOL_UDP,
	ICMP = CAPSA_PROTOCOL_ICMP,
};

static void the_first_rule_that_matches_decides(void)
{
	const char *rules = "deny; deny 192.0.2.7; log 192.0.2.0/24; "
			    "allow 192.0.2.0/24; deny 192.0.2.0/25";

	DENIED_BY(0, rules, TCP, "192.0.2.7", 80, NULL);
	ALLOWED_BY(2, rules, TCP, "192.0.2.8", 80, NULL);
	ALLOWED_BY(2, rules, TCP, "192.0.2.200", 80, NULL);
	DEFAULT(DENY, rules, TCP, "192.0.3.1", 80, NULL);
}

static void the_default_decides_where_no_rule_does(void)
{
	DEFAULT(ALLOW, "allow", TCP, "192.0.2.7", 80, NULL);
	DEFAULT(DENY, "deny", TCP, "192.0.2.7", 80, NULL);
	DEFAULT(ALLOW, "allow; log; log tcp", TCP, "192.0.2.7", 80, NULL);
	DEFAULT(DENY, "deny; log", UDP, "2001:db9::1", 80, NULL);
}

static void all_conditions_of_a_rule_have_to_hold(void)
{
	const char *rules = "deny; allow tcp 80-89 192.0.2.0/24 a.example";

	ALLOWED_BY(0, rules, TCP, "192.0.2.1", 80, "a.example");
	ALLOWED_BY(0, rules, TCP, "192.0.2.1", 89, "a.example");
	DEFAULT(DENY, rules, UDP, "192.0.2.1", 80, "a.example");
	DEFAULT(DENY, rules, TCP, "192.0.3.1", 80, "a.example");
	DEFAULT(DENY, rules, TCP, "192.0.2.1", 79, "a.example");
	DEFAULT(DENY, rules, TCP, "192.0.2.1", 90, "a.example");
	DEFAULT(DENY, rules, TCP, "192.0.2.1", 80, "b.example");
	DEFAULT(DENY, rules, TCP, "192.0.2.1", 80, NULL);
}

static void ranges_have_any_length(void)
{
	ALLOWED_BY(0, "deny; allow 192.0.2.7", TCP, "192.0.2.7", 1, NULL);
	DEFAULT(DENY, "deny; allow 192.0.2.7", TCP, "192.0.2.6", 1, NULL);
	ALLOWED_BY(0, "deny; allow 192.0.2.8/29", TCP, "192.0.2.15", 1, NULL);
	DEFAULT(DENY, "deny; allow 192.0.2.8/29", TCP, "192.0.2.16", 1, NULL);
	ALLOWED_BY(0, "deny; allow 192.0.2.0/23", TCP, "192.0.3.1", 1, NULL);
	ALLOWED_BY(0, "deny; allow 192.0.2.9/24", TCP, "192.0.2.1", 1, NULL);
	ALLOWED_BY(0, "deny; allow 0.0.0.0/0", TCP, "8.8.8.8", 1, NULL);
	DEFAULT(DENY, "deny; allow 0.0.0.0/0", TCP, "2001:db9::1", 1, NULL);
	ALLOWED_BY(0, "deny; allow ::/0", TCP, "2001:db9::1", 1, NULL);
	DEFAULT(DENY, "deny; allow ::/0", TCP, "8.8.8.8", 1, NULL);
	ALLOWED_BY(0, "deny; allow 2600:8000::/17", TCP, "2600:ffff::1", 1,
		   NULL);
	DEFAULT(DENY, "deny; allow 2600:8000::/17", TCP, "2600:7fff::1", 1,
		NULL);
}

static void icmp_has_no_ports(void)
{
	ALLOWED_BY(0, "deny; allow icmp", ICMP, "192.0.2.7", 0, NULL);
	ALLOWED_BY(0, "deny; allow icmp", ICMP, "2600::1", 0, NULL);
	DEFAULT(DENY, "deny; allow icmp", UDP, "192.0.2.7", 7, NULL);
	DEFAULT(DENY, "deny; allow 1-65535", ICMP, "192.0.2.7", 0, NULL);
	ALLOWED_BY(0, "deny; allow 1-65535", UDP, "192.0.2.7", 7, NULL);
	DEFAULT(DENY, "deny; allow 1-65535", UDP, "192.0.2.7", 0, NULL);
	ALLOWED_BY(0, "deny; allow udp", UDP, "192.0.2.7", 0, NULL);
}

static void a_domain_is_exact_or_everything_below(void)
{
	const char *exact = "deny; allow Example.ORG.";
	const char *below = "deny; allow *.example.org";

	ALLOWED_BY(0, exact, TCP, "192.0.2.7", 1, "example.org");
	ALLOWED_BY(0, exact, TCP, "192.0.2.7", 1, "EXAMPLE.org.");
	DEFAULT(DENY, exact, TCP, "192.0.2.7", 1, "www.example.org");
	DEFAULT(DENY, exact, TCP, "192.0.2.7", 1, "example.org.evil");
	DEFAULT(DENY, exact, TCP, "192.0.2.7", 1, "evilexample.org");
	DEFAULT(DENY, exact, TCP, "192.0.2.7", 1, "xample.org");
	ALLOWED_BY(0, below, TCP, "192.0.2.7", 1, "www.example.org");
	ALLOWED_BY(0, below, TCP, "192.0.2.7", 1, "a.b.c.Example.org");
	DEFAULT(DENY, below, TCP, "192.0.2.7", 1, "example.org");
	DEFAULT(DENY, below, TCP, "192.0.2.7", 1, "evilexample.org");
	DEFAULT(DENY, below, TCP, "192.0.2.7", 1, "www.example.org.evil");
	ALLOWED_BY(0, "deny; allow xn--bcher-kva.example", TCP, "192.0.2.7", 1,
		   "XN--Bcher-Kva.example");
}

static void closed_ranges_are_closed_whatever_the_default(void)
{
	static const struct {
		const char *address;
		uint32_t kind;
	} closed[] = {
		{ "10.0.2.2", CAPSA_CLOSED_HOST },
		{ "10.0.2.3", CAPSA_CLOSED_HOST },
		{ "10.0.2.15", CAPSA_CLOSED_HOST },
		{ "10.0.2.99", CAPSA_CLOSED_HOST },
		{ "10.0.2.255", CAPSA_CLOSED_HOST },
		{ "fd00::2", CAPSA_CLOSED_HOST },
		{ "fd00::99", CAPSA_CLOSED_HOST },
		{ "0.0.0.0", CAPSA_CLOSED_HOST },
		{ "0.255.255.255", CAPSA_CLOSED_HOST },
		{ "127.0.0.1", CAPSA_CLOSED_HOST },
		{ "127.255.255.255", CAPSA_CLOSED_HOST },
		{ "::", CAPSA_CLOSED_HOST },
		{ "::1", CAPSA_CLOSED_HOST },
		{ "169.254.0.0", CAPSA_CLOSED_LINK_LOCAL },
		{ "169.254.169.254", CAPSA_CLOSED_LINK_LOCAL },
		{ "168.63.129.16", CAPSA_CLOSED_LINK_LOCAL },
		{ "100.100.100.200", CAPSA_CLOSED_LINK_LOCAL },
		{ "fd00:ec2::254", CAPSA_CLOSED_LINK_LOCAL },
		{ "192.0.0.192", CAPSA_CLOSED_LINK_LOCAL },
		{ "fe80::2", CAPSA_CLOSED_LINK_LOCAL },
		{ "febf:ffff::1", CAPSA_CLOSED_LINK_LOCAL },
		{ "10.0.1.255", CAPSA_CLOSED_PRIVATE },
		{ "10.0.3.0", CAPSA_CLOSED_PRIVATE },
		{ "10.255.255.255", CAPSA_CLOSED_PRIVATE },
		{ "172.16.0.1", CAPSA_CLOSED_PRIVATE },
		{ "172.31.255.255", CAPSA_CLOSED_PRIVATE },
		{ "192.168.0.1", CAPSA_CLOSED_PRIVATE },
		{ "fc00::1", CAPSA_CLOSED_PRIVATE },
		{ "fd00:0:0:1::1", CAPSA_CLOSED_PRIVATE },
		{ "fdff:ffff::1", CAPSA_CLOSED_PRIVATE },
		{ "fec0::1", CAPSA_CLOSED_PRIVATE },
		{ "64:ff9b:1::1", CAPSA_CLOSED_PRIVATE },
		{ "100.64.0.1", CAPSA_CLOSED_SHARED },
		{ "100.127.255.255", CAPSA_CLOSED_SHARED },
		{ "224.0.0.1", CAPSA_CLOSED_MULTICAST },
		{ "239.255.255.255", CAPSA_CLOSED_MULTICAST },
		{ "240.0.0.1", CAPSA_CLOSED_MULTICAST },
		{ "255.255.255.255", CAPSA_CLOSED_MULTICAST },
		{ "ff02::1", CAPSA_CLOSED_MULTICAST },
		/* IPv4 in IPv6: mapped, compatible, translated, NAT64 */
		{ "::ffff:127.0.0.1", CAPSA_CLOSED_HOST },
		{ "::ffff:10.0.2.2", CAPSA_CLOSED_HOST },
		{ "::127.0.0.1", CAPSA_CLOSED_HOST },
		{ "::ffff:0:192.168.1.1", CAPSA_CLOSED_PRIVATE },
		{ "64:ff9b::169.254.169.254", CAPSA_CLOSED_LINK_LOCAL },
		/* 6to4 and Teredo */
		{ "2002:a00:1::", CAPSA_CLOSED_PRIVATE },
		{ "2002:7f00:1::1", CAPSA_CLOSED_HOST },
		{ "2001:0:1:2:3:4:80ff:fffe", CAPSA_CLOSED_HOST },
	};

	for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++) {
		CHECK(is_decided(
			explained("allow; allow tcp 80; allow *.example", TCP,
				  closed[i].address, 80, NULL),
			CAPSA_ACTION_DENY, CAPSA_REASON_CLOSED, -1,
			closed[i].kind));
		DEFAULT(ALLOW, "open", TCP, closed[i].address, 80, NULL);
	}
}

static void their_neighbours_are_public(void)
{
	static const char *const public[] = {
		"1.0.0.0",
		"9.255.255.255",
		"11.0.0.0",
		"100.63.255.255",
		"100.128.0.0",
		"126.255.255.255",
		"128.0.0.0",
		"168.63.129.15",
		"168.63.129.17",
		"169.253.255.255",
		"169.255.0.0",
		"172.15.255.255",
		"172.32.0.0",
		"192.0.1.0",
		"192.167.255.255",
		"192.169.0.0",
		"223.255.255.255",
		"::ffff:8.8.8.8",
		"64:ff9b::808:808",
		"2002:808:808::",
		"2001:4860::8888",
		"fbff::1",
		"2001:0:1:2:3:4:f7f7:f7f7",
	};

	for (size_t i = 0; i < sizeof(public) / sizeof(*public); i++)
		DEFAULT(ALLOW, "allow", TCP, public[i], 80, NULL);
}

static void a_rule_with_an_address_opens_what_it_is_within(void)
{
	ALLOWED_BY(0, "allow; allow 10.1.0.0/16", TCP, "10.1.2.3", 80, NULL);
	CLOSED(PRIVATE, "allow; allow 10.1.0.0/16", TCP, "10.2.2.3", 80, NULL);
	ALLOWED_BY(0, "allow; allow 10.0.0.0/8", TCP, "10.2.2.3", 80, NULL);
	/* The private range's rule is not for the host in its midst. */
	CLOSED(HOST, "allow; allow 10.0.0.0/8", TCP, "10.0.2.2", 80, NULL);
	ALLOWED_BY(0, "deny; allow 10.0.2.2 8080", TCP, "10.0.2.2", 8080, NULL);
	CLOSED(HOST, "deny; allow 10.0.2.2 8080", TCP, "10.0.2.2", 8081, NULL);
	/* What is for everything is not for what is closed. */
	CLOSED(PRIVATE, "deny; allow 0.0.0.0/0", TCP, "10.2.2.3", 80, NULL);
	CLOSED(PRIVATE, "deny; allow 8.0.0.0/5", TCP, "10.2.2.3", 80, NULL);
	CLOSED(LINK_LOCAL, "deny; allow ::/0", TCP, "fe80::1", 80, NULL);
	ALLOWED_BY(0, "deny; allow 169.254.169.254", TCP, "169.254.169.254", 80,
		   NULL);
	ALLOWED_BY(0, "deny; allow fd00:1::/32", TCP, "fd00:1::1", 80, NULL);
	/* An embedded address is the address itself. */
	ALLOWED_BY(0, "deny; allow 10.1.0.0/16", TCP, "::ffff:10.1.2.3", 80,
		   NULL);
	DENIED_BY(0, "allow; deny 192.0.2.7", TCP, "64:ff9b::192.0.2.7", 80,
		  NULL);
	CLOSED(PRIVATE, "deny; allow 64:ff9b::/96", TCP, "64:ff9b::10.1.2.3",
	       80, NULL);
	ALLOWED_BY(0, "deny; allow 64:ff9b::/96", TCP, "64:ff9b::8.8.8.8", 80,
		   NULL);
}

static void a_rule_with_a_domain_opens_private_ranges_only(void)
{
	const char *rules = "allow; allow a.example";

	ALLOWED_BY(0, rules, TCP, "10.1.2.3", 80, "a.example");
	ALLOWED_BY(0, rules, TCP, "192.168.1.1", 80, "a.example");
	ALLOWED_BY(0, rules, TCP, "100.64.0.1", 80, "a.example");
	ALLOWED_BY(0, rules, TCP, "fd12::1", 80, "a.example");
	CLOSED(PRIVATE, rules, TCP, "10.1.2.3", 80, "b.example");
	/* Whoever answers for the name must not choose these. */
	CLOSED(HOST, rules, TCP, "10.0.2.2", 80, "a.example");
	CLOSED(HOST, rules, TCP, "127.0.0.1", 80, "a.example");
	CLOSED(HOST, rules, TCP, "::1", 80, "a.example");
	CLOSED(LINK_LOCAL, rules, TCP, "169.254.169.254", 80, "a.example");
	CLOSED(LINK_LOCAL, rules, TCP, "168.63.129.16", 80, "a.example");
	CLOSED(LINK_LOCAL, rules, TCP, "100.100.100.200", 80, "a.example");
	CLOSED(LINK_LOCAL, rules, TCP, "fd00:ec2::254", 80, "a.example");
	CLOSED(MULTICAST, rules, UDP, "224.0.0.251", 5353, "a.example");
	/* Both conditions together do name the address. */
	ALLOWED_BY(0, "deny; allow 10.0.2.2 a.example", TCP, "10.0.2.2", 80,
		   "a.example");
}

static void rules_deny_within_what_they_open(void)
{
	const char *rules = "deny; deny 10.1.2.3; allow 10.1.0.0/16";

	DENIED_BY(0, rules, TCP, "10.1.2.3", 80, NULL);
	ALLOWED_BY(1, rules, TCP, "10.1.2.4", 80, NULL);
	DENIED_BY(0, "open; deny 10.0.0.0/8", TCP, "10.1.2.4", 80, NULL);
}

static void the_gateway_answers_echoes(void)
{
	DEFAULT(ALLOW, "allow", ICMP, GATEWAY4, 0, NULL);
	DEFAULT(ALLOW, "allow", ICMP, DNS4, 0, NULL);
	DEFAULT(ALLOW, "allow", ICMP, GATEWAY6, 0, NULL);
	DEFAULT(DENY, "deny", ICMP, GATEWAY4, 0, NULL);
	DENIED_BY(0, "allow; deny icmp", ICMP, GATEWAY4, 0, NULL);
	CLOSED(HOST, "allow", ICMP, "10.0.2.4", 0, NULL);
	CLOSED(HOST, "allow", UDP, GATEWAY4, 7, NULL);
}

static void dhcp_needs_no_rule(void)
{
	SERVICE("deny", UDP, "255.255.255.255", 67, NULL);
	SERVICE("deny", UDP, GATEWAY4, 67, NULL);
	SERVICE("deny", UDP, "ff02::1:2", 547, NULL);
	CLOSED(HOST, "deny", UDP, "127.0.0.1", 67, NULL);
	CLOSED(HOST, "deny", TCP, GATEWAY4, 67, NULL);
	CLOSED(MULTICAST, "deny", UDP, "ff02::1:2", 67, NULL);
}

static void queries_are_judged_by_their_name(void)
{
	ALLOWED_BY(0, "deny; allow *.a.example", UDP, DNS4, 53, "x.a.example");
	DENIED_FOR(NAME, -1, "deny; allow *.a.example", UDP, DNS4, 53,
		   "a.example");
	DEFAULT(ALLOW, "allow", UDP, DNS4, 53, "a.example");
	/* The rule may be for another port: something of the name is allowed.
	 */
	ALLOWED_BY(0, "deny; allow tcp 443 a.example", UDP, DNS6, 53,
		   "a.example");
	/* One without address or name allows something of any name. */
	ALLOWED_BY(0, "deny; allow tcp 443", UDP, DNS4, 53, "a.example");
	/* One for addresses has nothing to do with names … */
	DENIED_FOR(NAME, -1, "deny; allow 192.0.2.0/24", UDP, DNS4, 53,
		   "a.example");
	/* … unless it is for the server. */
	ALLOWED_BY(0, "deny; allow " DNS4 " udp", UDP, DNS4, 53, "a.example");
	/* A name is denied by what denies all of it, */
	DENIED_BY(0, "allow; deny a.example", UDP, DNS4, 53, "a.example");
	DENIED_BY(0, "allow; deny *.example", UDP, DNS4, 53, "a.example");
	DENIED_BY(0, "allow; deny", UDP, DNS4, 53, "a.example");
	DENIED_BY(0, "allow; deny udp 53", UDP, DNS4, 53, "a.example");
	DENIED_BY(0, "allow; deny " DNS4, UDP, DNS4, 53, "a.example");
	/* not by what denies some of it. */
	DEFAULT(ALLOW, "allow; deny tcp 25 a.example", UDP, DNS4, 53,
		"a.example");
	DEFAULT(ALLOW, "allow; deny 192.0.2.7 a.example", UDP, DNS4, 53,
		"a.example");
	DEFAULT(ALLOW, "allow; deny tcp 25", UDP, DNS4, 53, "a.example");
	/* In order. */
	ALLOWED_BY(0, "allow; allow w.a.example; deny *.a.example", UDP, DNS4,
		   53, "w.a.example");
	DENIED_BY(0, "allow; deny *.a.example; allow w.a.example", UDP, DNS4,
		  53, "w.a.example");
	/* The server has other ports, and others are servers, too. */
	CLOSED(HOST, "allow; allow a.example", UDP, DNS4, 54, NULL);
	DEFAULT(DENY, "deny; allow a.example", UDP, "9.9.9.9", 53, NULL);
}

static void queries_over_tcp_do_not_show_their_name(void)
{
	DENIED_FOR(DNS_TCP, -1, "allow; deny a.example", TCP, DNS4, 53, NULL);
	DENIED_FOR(DNS_TCP, -1, "allow; deny a.example; allow 53", TCP, DNS4,
		   53, NULL);
	DEFAULT(ALLOW, "allow; allow a.example", TCP, DNS4, 53, NULL);
	DEFAULT(ALLOW, "allow; deny 192.0.2.7", TCP, DNS4, 53, NULL);
	DENIED_FOR(NAME, -1, "deny; allow a.example", TCP, DNS4, 53, NULL);
	ALLOWED_BY(1, "deny; allow a.example; allow 53", TCP, DNS4, 53, NULL);
}

static void quic_is_denied_where_a_domain_decided(void)
{
	DENIED_FOR(QUIC, 0, "deny; allow a.example", UDP, "192.0.2.7", 443,
		   "a.example");
	ALLOWED_BY(0, "deny; allow a.example", UDP, "192.0.2.7", 444,
		   "a.example");
	ALLOWED_BY(0, "deny; allow 443", UDP, "192.0.2.7", 443, "a.example");
	DEFAULT(ALLOW, "allow; deny b.example", UDP, "192.0.2.7", 443,
		"a.example");
}

static void explain_tells_when_server_names_matter(void)
{
	CHECK(explained("deny; allow a.example", TCP, "192.0.2.7", 443,
			"a.example")
		      .server_name == CAPSA_SERVER_NAME_IF_TLS);
	CHECK(explained("allow; deny b.example", TCP, "192.0.2.7", 443, NULL)
		      .server_name == CAPSA_SERVER_NAME_IF_SHOWN);
	CHECK(explained("allow; deny b.example", UDP, "192.0.2.7", 443, NULL)
		      .server_name == 0);
	CHECK(explained("allow; deny 192.0.2.8", TCP, "192.0.2.7", 443, NULL)
		      .server_name == 0);
}

static void explain_does_without_an_address(void)
{
	ALLOWED_BY(0, "deny; allow tcp 443 a.example", TCP, "", 443,
		   "a.example");
	DEFAULT(DENY, "deny; allow tcp 443 a.example", TCP, "", 80,
		"a.example");
	DEFAULT(DENY, "deny; allow 192.0.2.7", TCP, "", 80, "a.example");
}

/* Changes one field of a good policy; it must then be refused for it. */
static bool is_refused(size_t offset, const void *value, size_t size,
		       const char *subject, const char *field)
{
	struct fake_policy policy;
	struct capsa_error error = { 0 };
	struct rules *rules = NULL;

	fake_policy_read(&policy, "deny; allow tcp 443 *.a.example; "
				  "allow 192.0.2.0/24");
	memcpy((uint8_t *)&policy + offset, value, size);
	return rules_copy(&rules, &policy.head, &error) ==
		       CAPSA_STATUS_INVALID_ARGUMENT &&
	       !rules && strcmp(error.subject, subject) == 0 &&
	       strcmp(error.field, field) == 0 && error.message[0] != '\0';
}

#define HEAD_REFUSED(member, name, value)                                      \
	is_refused(offsetof(struct fake_policy, head.member),                  \
		   &(uint32_t) { value }, 4, "policy", name)
#define RULE_REFUSED(type, number, member, name, value)                        \
	is_refused(offsetof(struct fake_policy, rules) +                       \
			   sizeof(struct capsa_rule) * (number) +              \
			   offsetof(struct capsa_rule, member),                \
		   &(type) { value }, sizeof(type), "rules." #number, name)

static void what_crosses_the_abi_is_checked(void)
{
	const uint32_t total = sizeof(struct fake_policy);
	struct fake_policy policy;
	struct rules *rules = NULL;

	CHECK(HEAD_REFUSED(size, "size", sizeof(struct capsa_policy) - 1));
	CHECK(HEAD_REFUSED(total, "size", sizeof(struct capsa_policy) - 1));
	CHECK(HEAD_REFUSED(flags, "flags", 4));
	CHECK(HEAD_REFUSED(default_action, "default_action", 0));
	CHECK(HEAD_REFUSED(default_action, "default_action", CAPSA_ACTION_LOG));
	CHECK(HEAD_REFUSED(rules.offset, "rules", 4));
	CHECK(HEAD_REFUSED(rules.offset, "rules", total));
	CHECK(HEAD_REFUSED(rules.offset, "rules", UINT32_MAX));
	CHECK(HEAD_REFUSED(rules.length, "rules", 47));
	CHECK(HEAD_REFUSED(rules.length, "rules", 48 * 1025));
	CHECK(HEAD_REFUSED(rules.length, "rules", UINT32_MAX / 48 * 48));
	CHECK(RULE_REFUSED(uint32_t, 0, size, "size", 44));
	CHECK(RULE_REFUSED(uint32_t, 0, action, "action", 0));
	CHECK(RULE_REFUSED(uint32_t, 1, action, "action", 4));
	CHECK(RULE_REFUSED(uint32_t, 1, protocol, "protocol", 4));
	CHECK(RULE_REFUSED(uint16_t, 0, port_first, "port_first", 444));
	CHECK(RULE_REFUSED(uint16_t, 0, port_first, "port_first", 0));
	CHECK(RULE_REFUSED(uint16_t, 0, port_last, "port_first", 0));
	CHECK(RULE_REFUSED(uint32_t, 0, protocol, "port_first",
			   CAPSA_PROTOCOL_ICMP));
	CHECK(RULE_REFUSED(uint32_t, 1, address.family, "address", 5));
	CHECK(RULE_REFUSED(uint32_t, 1, prefix, "address", 33));
	CHECK(RULE_REFUSED(uint32_t, 0, prefix, "address", 1));
	CHECK(RULE_REFUSED(uint32_t, 0, domain.offset, "domain", 0));
	CHECK(RULE_REFUSED(uint32_t, 0, domain.offset, "domain", total));
	CHECK(RULE_REFUSED(uint32_t, 0, domain.length, "domain", 2));
	CHECK(RULE_REFUSED(uint32_t, 0, domain.length, "domain", UINT32_MAX));
	CHECK(RULE_REFUSED(uint32_t, 1, domain.length, "domain", 1));

	fake_policy_read(&policy, "deny");
	policy.head.rules = (struct capsa_slice) { 0 };
	policy.head.total = sizeof(policy.head);
	CHECK(rules_copy(&rules, &policy.head, NULL) == CAPSA_STATUS_OK);
	CHECK(rules && rules->count == 0 && !rules->allow);
	free(rules);
}

static void names_of_rules_are_names(void)
{
	static const char *const bad[] = {
		"*.", ".",    "..",    ".a",    "a..b",         "a b",
		"*",  "*a.b", "a.*.b", "*.*.b", "b\xc3\xbc.de", "a/b",
	};
	char longest[300];
	struct domain domain;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct fake_policy policy;
		struct rules *rules = NULL;

		fake_policy_read(&policy, "deny; allow");
		policy.rules[0].domain.offset = offsetof(struct fake_policy,
							 names);
		policy.rules[0].domain.length = (uint32_t)strlen(bad[i]);
		memcpy(policy.names, bad[i], strlen(bad[i]));
		CHECK(rules_copy(&rules, &policy.head, NULL) ==
		      CAPSA_STATUS_INVALID_ARGUMENT);
	}
	/* RFC 1035, 2.3.4: labels of 63, and 253 as it is written. */
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 63; i < sizeof(longest); i += 64)
		longest[i] = '.';
	CHECK(domain_read(&domain, (const uint8_t *)longest, 253));
	CHECK(domain.length == 253 && domain.text[253] == '\0');
	CHECK(domain_read(&domain, (const uint8_t *)longest, 63));
	longest[253] = '.';
	CHECK(domain_read(&domain, (const uint8_t *)longest, 254));
	longest[253] = 'a';
	CHECK(!domain_read(&domain, (const uint8_t *)longest, 254));
	memset(longest, 'a', sizeof(longest));
	CHECK(!domain_read(&domain, (const uint8_t *)longest, 64));
	CHECK(!domain_read(&domain, (const uint8_t *)"", 0));
}

static void there_may_be_1024_rules(void)
{
	const uint32_t head = sizeof(struct capsa_policy);
	const uint32_t total =
		head + CAPSA_RULES_MAX * (uint32_t)sizeof(struct capsa_rule);
	uint8_t *buffer = calloc(1, total);
	struct capsa_policy policy = {
		.size = head,
		.total = total,
		.default_action = CAPSA_ACTION_DENY,
		.rules = { head, total - head },
	};
	struct capsa_rule rule = {
		.size = sizeof(rule),
		.action = CAPSA_ACTION_ALLOW,
		.port_first = 1,
		.port_last = 1,
	};
	struct rules *rules = NULL;

	memcpy(buffer, &policy, sizeof(policy));
	for (uint32_t i = 0; i < CAPSA_RULES_MAX; i++)
		memcpy(buffer + head + i * sizeof(rule), &rule, sizeof(rule));
	CHECK(rules_copy(&rules, (struct capsa_policy *)(void *)buffer, NULL) ==
	      CAPSA_STATUS_OK);
	CHECK(rules && rules->count == CAPSA_RULES_MAX);
	free(rules);
	free(buffer);
}

int main(void)
{
	TEST(the_first_rule_that_matches_decides);
	TEST(the_default_decides_where_no_rule_does);
	TEST(all_conditions_of_a_rule_have_to_hold);
	TEST(ranges_have_any_length);
	TEST(icmp_has_no_ports);
	TEST(a_domain_is_exact_or_everything_below);
	TEST(closed_ranges_are_closed_whatever_the_default);
	TEST(their_neighbours_are_public);
	TEST(a_rule_with_an_address_opens_what_it_is_within);
	TEST(a_rule_with_a_domain_opens_private_ranges_only);
	TEST(rules_deny_within_what_they_open);
	TEST(the_gateway_answers_echoes);
	TEST(dhcp_needs_no_rule);
	TEST(queries_are_judged_by_their_name);
	TEST(queries_over_tcp_do_not_show_their_name);
	TEST(quic_is_denied_where_a_domain_decided);
	TEST(explain_tells_when_server_names_matter);
	TEST(explain_does_without_an_address);
	TEST(what_crosses_the_abi_is_checked);
	TEST(names_of_rules_are_names);
	TEST(there_may_be_1024_rules);
	return tap_done();
}
