/* SPDX-License-Identifier: MIT */
/*
 * Random rules, names and flows, against an evaluator that shares nothing
 * with the policy: it reads the rules' text each time, takes addresses for
 * strings of bits and names for strings, and lets rules come first and names
 * second.
 *
 * CAPSA_POLICY_CASES: how many flows (10000); CAPSA_POLICY_SEED: the first.
 */
#include <ctype.h>

#include "fake_message.h"
#include "tap.h"

enum {
	RULES = 7,
	RULE_TEXT = 96,
	KNOWN = 4096,
	STEPS = 40, /* with one policy */
};

static const char *const some_names[] = {
	"example",       "a.example",  "b.example", "x.a.example",
	"y.x.a.example", "xa.example", "a.other",   "other",
};
static const char *const some_addresses[] = {
	"192.0.2.7",
	"192.0.2.200",
	"198.51.100.1",
	"8.8.8.8",
	"10.1.2.3",
	"10.0.2.2",
	"10.0.2.9",
	"127.0.0.1",
	"169.254.169.254",
	"168.63.129.16",
	"172.20.0.1",
	"192.168.1.1",
	"100.64.3.4",
	"100.100.100.200",
	"fd00:ec2::254",
	"224.0.0.5",
	"255.255.255.255",
	"2600::7",
	"2600:8000::1",
	"fd00::2",
	"fd00::77",
	"fd12::1",
	"fe80::9",
	"::1",
	"ff02::5",
	"::ffff:192.0.2.7",
	"::ffff:10.1.2.3",
	"64:ff9b::8.8.8.8",
	"64:ff9b::169.254.169.254",
	"2002:a01:203::1",
	"2002:808:808::1",
	"2001:0:1:2:3:4:80ff:fffe",
	"64:ff9b:1::1",
	"::127.0.0.1",
};
static const uint32_t some_ports[] = { 53, 80, 443, 443, 444, 8080 };
static const char *const some_protocols[] = { "tcp", "udp", "icmp" };

#define ONE_OF(list) (list)[(size_t)rand() % (sizeof(list) / sizeof(*(list)))]

static struct fake_net net;

/* What the evaluator knows. */
static char default_word[8];
static char rule_texts[RULES][RULE_TEXT];
static int rule_count;
static struct known {
	const char *address;
	const char *name;
	uint64_t until_ms;
} known[KNOWN];
static int known_count;

/* "4" or "6", and then a character for each bit. */
static const char *bits_of(const char *address, char bits[130])
{
	uint8_t bytes[16];
	bool is_ipv6 = strchr(address, ':');
	int count = is_ipv6 ? 128 : 32;

	if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, bytes) != 1)
		return NULL;
	bits[0] = is_ipv6 ? '6' : '4';
	for (int i = 0; i < count; i++)
		bits[i + 1] = bytes[i / 8] >> (7 - i % 8) & 1 ? '1' : '0';
	bits[count + 1] = '\0';
	return bits;
}

/* How many characters of a range count; its bits go to bits. */
static size_t range_of(const char *range, char bits[130])
{
	char address[64];
	const char *slash = strchr(range, '/');

	snprintf(address, sizeof(address), "%.*s",
		 (int)(slash ? slash - range : (long)strlen(range)), range);
	if (!bits_of(address, bits))
		return 0;
	return slash ? 1 + (size_t)atoi(slash + 1) : strlen(bits);
}

static bool lies_in(const char *bits, const char *range)
{
	char start[130];
	size_t count = range_of(range, start);

	return count > 0 && strncmp(bits, start, count) == 0;
}

/* The bits of the IPv4 address in an IPv6 address; "" if there is none. */
static void embedded_in(const char *bits, char inner[130])
{
	static const struct {
		const char *range;
		int skip;
		char one;
	} kinds[] = {
		{ "::/96", 96, '1' },           { "::ffff:0:0/96", 96, '1' },
		{ "::ffff:0:0:0/96", 96, '1' }, { "64:ff9b::/96", 96, '1' },
		{ "2002::/16", 16, '1' },       { "2001::/32", 96, '0' },
	};

	inner[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!lies_in(bits, kinds[i].range))
			continue;
		inner[0] = '4';
		for (int bit = 0; bit < 32; bit++)
			inner[bit + 1] = bits[1 + kinds[i].skip + bit] ==
							 kinds[i].one
						 ? '1'
						 : '0';
		inner[33] = '\0';
	}
}

struct closed {
	const char *range;
	bool by_name;
};

/* The narrowest closed range. */
static const struct closed *closed_by(const char *bits)
{
	static const struct closed list[] = {
		{ "0.0.0.0/8", false },
		{ "10.0.0.0/8", true },
		{ "100.64.0.0/10", true },
		{ "127.0.0.0/8", false },
		{ "168.63.129.16", false },
		{ "169.254.0.0/16", false },
		{ "172.16.0.0/12", true },
		{ "192.0.0.0/24", false },
		{ "192.168.0.0/16", true },
		{ "224.0.0.0/4", false },
		{ "240.0.0.0/4", false },
		{ "10.0.2.0/24", false },
		{ "::", false },
		{ "::1", false },
		{ "64:ff9b:1::/48", false },
		{ "fc00::/7", true },
		{ "fe80::/10", false },
		{ "fec0::/10", true },
		{ "100.100.100.200", false },
		{ "fd00:ec2::/32", false },
		{ "ff00::/8", false },
		{ "fd00::/64", false },
	};
	const struct closed *narrowest = NULL;
	size_t longest = 0;
	char start[130];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		size_t length = range_of(list[i].range, start);

		if (lies_in(bits, list[i].range) && length > longest) {
			longest = length;
			narrowest = &list[i];
		}
	}
	return narrowest;
}

struct flow {
	const char *protocol;
	const char *address;
	uint32_t port;
	char bits[130];
	char inner[130];
	const struct closed *closed;
	bool is_dns;
};

static struct flow flow_of(const char *protocol, const char *address,
			   uint32_t port)
{
	struct flow flow = {
		.protocol = protocol,
		.address = address,
		.port = port,
	};
	bool is_server = !strcmp(address, DNS4) || !strcmp(address, DNS6);
	bool is_gateway = !strcmp(address, GATEWAY4) ||
			  !strcmp(address, GATEWAY6);
	bool is_echo = !strcmp(protocol, "icmp");

	bits_of(address, flow.bits);
	embedded_in(flow.bits, flow.inner);
	flow.closed = closed_by(flow.bits);
	if (!flow.closed && flow.inner[0])
		flow.closed = closed_by(flow.inner);
	flow.is_dns = is_server && port == 53 && !is_echo;
	if (flow.is_dns || (is_echo && (is_server || is_gateway)))
		flow.closed = NULL;
	return flow;
}

static bool ends_in(const char *name, const char *end)
{
	size_t length = strlen(name);

	return length >= strlen(end) &&
	       strcmp(name + length - strlen(end), end) == 0;
}

/* A rule, word by word. */
struct words {
	char action[8];
	char protocol[8];
	char ports[16];
	char range[64];
	char domain[64];
};

static struct words words_of(const char *text)
{
	struct words words = { 0 };
	char word[64];
	char bits[130];
	int step;

	sscanf(text, "%7s%n", words.action, &step);
	text += step;
	while (sscanf(text, "%63s%n", word, &step) == 1) {
		char *to = words.domain;

		if (!strcmp(word, "tcp") || !strcmp(word, "udp") ||
		    !strcmp(word, "icmp"))
			to = words.protocol;
		else if (range_of(word, bits) > 0)
			to = words.range;
		else if (isdigit((unsigned char)word[0]))
			to = words.ports;
		strcpy(to, word);
		text += step;
	}
	return words;
}

static bool fits(const struct words *rule, const struct flow *flow)
{
	int first;
	int last;

	if (rule->protocol[0] && strcmp(rule->protocol, flow->protocol))
		return false;
	if (rule->ports[0]) {
		if (sscanf(rule->ports, "%d-%d", &first, &last) == 1)
			last = first;
		if (!strcmp(flow->protocol, "icmp") ||
		    (int)flow->port < first || (int)flow->port > last)
			return false;
	}
	return !rule->range[0] || lies_in(flow->bits, rule->range) ||
	       (flow->inner[0] && lies_in(flow->inner, rule->range));
}

static bool names_it(const struct words *rule, const char *name)
{
	if (!name)
		return false;
	if (rule->domain[0] == '*')
		return ends_in(name, rule->domain + 1) &&
		       strlen(name) > strlen(rule->domain + 1);
	return strcmp(name, rule->domain) == 0;
}

static bool opens(const struct words *rule, const struct closed *closed)
{
	char inner[130];
	char outer[130];
	size_t narrow = range_of(rule->range, inner);
	size_t wide = range_of(closed->range, outer);

	if (rule->range[0])
		return narrow >= wide && strncmp(inner, outer, wide) == 0;
	return rule->domain[0] && closed->by_name;
}

struct verdict {
	bool allowed;
	bool by_name;
	int rule;
	uint32_t reason;
};

static bool is_open(void)
{
	return strcmp(default_word, "open") == 0;
}

/* What the first rule says that matches for one of the names. */
static struct verdict first_of(const struct flow *flow,
			       const char *const *names, int count)
{
	struct verdict verdict = {
		.allowed = strcmp(default_word, "deny") != 0,
		.rule = -1,
		.reason = CAPSA_REASON_DEFAULT,
	};

	for (int i = 0; i < rule_count; i++) {
		struct words rule = words_of(rule_texts[i]);
		bool matches = !rule.domain[0];

		for (int n = 0; n < count && !matches; n++)
			matches = names_it(&rule, names[n]);
		if (!strcmp(rule.action, "log") || !matches ||
		    !fits(&rule, flow))
			continue;
		if (!strcmp(rule.action, "allow") && flow->closed &&
		    !is_open() && !opens(&rule, flow->closed))
			continue;
		verdict.allowed = !strcmp(rule.action, "allow");
		verdict.by_name = rule.domain[0];
		verdict.rule = i;
		verdict.reason = CAPSA_REASON_RULE;
		return verdict;
	}
	if (flow->closed && !is_open()) {
		verdict.allowed = false;
		verdict.reason = CAPSA_REASON_CLOSED;
	}
	return verdict;
}

/* Whether something of a name could be allowed. */
static struct verdict query_for(const struct flow *flow, const char *name)
{
	struct verdict verdict = {
		.allowed = strcmp(default_word, "deny") != 0,
		.rule = -1,
	};

	verdict.reason = verdict.allowed ? CAPSA_REASON_DEFAULT
					 : CAPSA_REASON_NAME;
	for (int i = rule_count - 1; i >= 0; i--) {
		struct words rule = words_of(rule_texts[i]);
		bool hit = false;

		if (!strcmp(rule.action, "allow"))
			hit = rule.domain[0]  ? names_it(&rule, name)
			      : rule.range[0] ? fits(&rule, flow)
					      : true;
		if (!strcmp(rule.action, "deny"))
			hit = rule.domain[0] ? names_it(&rule, name) &&
						       !rule.range[0] &&
						       !rule.ports[0] &&
						       !rule.protocol[0]
					     : fits(&rule, flow);
		if (hit)
			verdict = (struct verdict) {
				.allowed = !strcmp(rule.action, "allow"),
				.by_name = rule.domain[0],
				.rule = i,
				.reason = CAPSA_REASON_RULE,
			};
	}
	return verdict;
}

static bool has_denied_domain(void)
{
	for (int i = 0; i < rule_count; i++) {
		struct words rule = words_of(rule_texts[i]);

		if (!strcmp(rule.action, "deny") && rule.domain[0])
			return true;
	}
	return false;
}

static int names_at(const char *address, const char *names[16])
{
	int count = 0;

	for (int i = 0; i < known_count; i++) {
		bool again = strcmp(known[i].address, address) != 0 ||
			     net.now_ms >= known[i].until_ms;

		for (int n = 0; n < count; n++)
			again = again || names[n] == known[i].name;
		if (!again)
			names[count++] = known[i].name;
	}
	return count;
}

/* The whole of it; *checked: when the server name has to be allowed, too. */
static struct verdict expected(const struct flow *flow, uint32_t *checked)
{
	const char *names[16] = { NULL };
	int count = names_at(flow->address, names);
	struct verdict verdict = first_of(flow, names, count);
	struct verdict denied = { .rule = RULES };
	bool some_allowed = false;

	*checked = 0;
	if (flow->is_dns) {
		verdict = query_for(flow, NULL);
		if (!strcmp(flow->protocol, "tcp") && has_denied_domain())
			verdict = (struct verdict) {
				.rule = -1,
				.reason = CAPSA_REASON_DNS_TCP,
			};
		return verdict;
	}
	for (int n = 0; n < count; n++) {
		struct verdict one = first_of(flow, &names[n], 1);

		some_allowed = some_allowed || one.allowed;
		if (!one.allowed && one.by_name && one.rule < denied.rule)
			denied = one;
	}
	if (some_allowed && denied.rule < RULES) {
		denied.reason = CAPSA_REASON_AMBIGUOUS;
		denied.allowed = !strcmp(flow->protocol, "tcp");
		if (denied.allowed)
			*checked = CAPSA_SERVER_NAME_ALWAYS;
		return denied;
	}
	if (verdict.allowed && verdict.by_name && flow->port == 443 &&
	    !strcmp(flow->protocol, "udp")) {
		verdict.allowed = false;
		verdict.reason = CAPSA_REASON_QUIC;
	}
	if (verdict.allowed && !strcmp(flow->protocol, "tcp"))
		*checked = verdict.by_name       ? CAPSA_SERVER_NAME_IF_TLS
			   : has_denied_domain() ? CAPSA_SERVER_NAME_IF_SHOWN
						 : 0;
	return verdict;
}

/* Mostly one of a few, so that they come to have several names. */
static const char *random_address(void)
{
	static const char *const few[] = { "192.0.2.7", "192.0.2.7", "2600::7",
					   "10.1.2.3",  DNS4,        GATEWAY4 };

	return rand() % 2 ? ONE_OF(few) : ONE_OF(some_addresses);
}

static void random_rule(char text[RULE_TEXT])
{
	static const char *const actions[] = { "allow", "allow", "deny", "deny",
					       "log" };
	const char *address = ONE_OF(some_addresses);
	bool is_echo = false;

	strcpy(text, ONE_OF(actions));
	if (rand() % 4 == 0) {
		const char *protocol = ONE_OF(some_protocols);

		is_echo = !strcmp(protocol, "icmp");
		sprintf(text + strlen(text), " %s", protocol);
	}
	if (!is_echo && rand() % 4 == 0)
		sprintf(text + strlen(text), " %u", ONE_OF(some_ports));
	else if (!is_echo && rand() % 6 == 0)
		sprintf(text + strlen(text), " 53-443");
	if (rand() % 4 == 0)
		sprintf(text + strlen(text), " %s/%d", address,
			rand() % (strchr(address, ':') ? 129 : 33));
	else if (rand() % 8 == 0)
		sprintf(text + strlen(text), " %s", address);
	if (rand() % 3 != 0)
		sprintf(text + strlen(text), " %s%s", rand() % 2 ? "*." : "",
			ONE_OF(some_names));
}

/* New rules; their text for the policy. */
static const char *random_rules(void)
{
	static const char *const defaults[] = { "allow", "deny", "deny",
						"open" };
	static char all[RULES * RULE_TEXT + 16];

	strcpy(default_word, ONE_OF(defaults));
	strcpy(all, default_word);
	rule_count = rand() % (RULES + 1);
	for (int i = 0; i < rule_count; i++) {
		random_rule(rule_texts[i]);
		sprintf(all + strlen(all), "; %s", rule_texts[i]);
	}
	return all;
}

static void tell(const struct flow *flow, const char *what)
{
	printf("# %s: %s %s %u under %s", what, flow->protocol, flow->address,
	       flow->port, default_word);
	for (int i = 0; i < rule_count; i++)
		printf("; %s", rule_texts[i]);
	printf("\n");
}

/* The guest asks for a name and may be told an address, by way of aliases. */
static void step_query(void)
{
	const char *name = ONE_OF(some_names);
	const char *address = random_address();
	const char *server = rand() % 2 ? DNS4 : DNS6;
	struct flow flow = flow_of("udp", server, 53);
	struct fake_message message;
	uint32_t type = strchr(address, ':') ? FAKE_AAAA : FAKE_A;
	uint32_t ttl_s = (uint32_t)rand() % 200;
	const char *chain[3] = { name, ONE_OF(some_names), ONE_OF(some_names) };
	int last = rand() % 3;
	bool passes = query_for(&flow, name).allowed;
	char shouted[64];

	for (size_t i = 0; i <= strlen(name); i++)
		shouted[i] = (char)(rand() % 2 ? toupper(name[i]) : name[i]);
	fake_add_question(&message, 77, 0x0100, shouted, type);
	CHECK(fake_message_send(&net, true, server, 4000, &message) ==
	      (passes ? NET_PASS : NET_DROP));
	if (tap_bad_checks) {
		tell(&flow, name);
		return;
	}
	if (!passes || known_count + 3 > KNOWN)
		return;
	/* A chain that comes back to where it was has no address. */
	if (chain[1] == chain[0] || chain[2] == chain[1] ||
	    chain[2] == chain[0])
		last = 0;
	fake_add_question(&message, 77, 0x8180, shouted, type);
	for (int i = 0; i < last; i++)
		fake_add_record(&message, chain[i], FAKE_CNAME, ttl_s + 7,
				chain[i + 1]);
	fake_add_record(&message, chain[last], type, ttl_s, address);
	CHECK(fake_message_send(&net, false, server, 4000, &message) ==
	      NET_PASS);
	for (int i = 0; i <= last; i++)
		known[known_count++] = (struct known) {
			.address = address,
			.name = chain[i],
			.until_ms = net.now_ms +
				    1000 * ((ttl_s ? ttl_s : 1) + 30),
		};
}

/* What a guest says on a connection, and whether it may. */
static void step_hello(struct fake_tcp *tcp, const struct flow *flow,
		       uint32_t checked)
{
	enum { NAMED, NAMELESS, ENCRYPTED, PLAIN };
	int kind = rand() % 4;
	const char *name = ONE_OF(some_names);
	struct fake_message message = { .bytes = "GET /", .length = 5 };
	uint32_t part = 1 + (uint32_t)rand() % 200;
	bool passes = true;
	bool expects = true;

	if (kind != PLAIN)
		fake_hello(&message, kind == NAMELESS ? NULL : name,
			   kind == ENCRYPTED);
	if (checked && kind == NAMED)
		expects = first_of(flow, &name, 1).allowed;
	else if (checked == CAPSA_SERVER_NAME_ALWAYS)
		expects = false;
	else if (checked == CAPSA_SERVER_NAME_IF_TLS)
		expects = kind == PLAIN;
	for (uint32_t at = 0; at < message.length && passes; at += part) {
		uint32_t size = message.length - at;

		if (size > part)
			size = part;
		passes = fake_data(&net, tcp, message.bytes + at, size) ==
			 NET_PASS;
	}
	CHECK(passes == expects);
	CHECK(passes || net.answer.nat_length > 0);
	if (tap_bad_checks)
		tell(flow, name);
	if (passes)
		CHECK(fake_acknowledge(&net, tcp) == NET_PASS);
	CHECK((fake_data(&net, tcp, "more", 4) == NET_PASS) == passes);
}

static bool is_group(const char *address)
{
	return !strncmp(address, "ff", 2) || !strncmp(address, "224.", 4) ||
	       !strncmp(address, "255.", 4);
}

static void step_flow(void)
{
	const char *protocol = ONE_OF(some_protocols);
	const char *address = random_address();
	bool is_echo = !strcmp(protocol, "icmp");
	struct flow flow = flow_of(protocol, address,
				   is_echo ? 0 : ONE_OF(some_ports));
	static uint32_t port = 10000;
	struct capsa_decision why;
	struct net_address remote = fake_address(address);
	struct capsa_flow asked = {
		.protocol = is_echo                        ? CAPSA_PROTOCOL_ICMP
			    : strcmp(protocol, "tcp") == 0 ? CAPSA_PROTOCOL_TCP
							   : CAPSA_PROTOCOL_UDP,
		.remote = { .family = remote.family },
		.remote_port = (uint16_t)flow.port,
	};
	uint32_t checked;
	struct verdict verdict = expected(&flow, &checked);
	struct fake_tcp tcp;
	bool passes;

	memcpy(asked.remote.bytes, remote.bytes, 16);
	policy_explain(net.policy, &asked, NULL, net.now_ms, &why);
	CHECK((why.action == CAPSA_ACTION_ALLOW) == verdict.allowed);
	CHECK(why.reason == verdict.reason);
	CHECK(why.rule == verdict.rule);
	CHECK(why.server_name == checked);
	port = port < 60000 ? port + 1 : 10000;
	if (is_echo)
		passes = fake_echo(&net, true, address, port) == NET_PASS;
	else if (!strcmp(protocol, "udp"))
		/* What is no query does not pass for one. */
		passes = !flow.is_dns && fake_udp(&net, true, address, port,
						  flow.port) == NET_PASS;
	else
		passes = fake_connect(&net, &tcp, address, flow.port);
	/* Nobody connects to a group, whatever rules say. */
	if (!strcmp(protocol, "tcp") && is_group(address))
		verdict.allowed = false;
	if (!(flow.is_dns && !strcmp(protocol, "udp")))
		CHECK(passes == verdict.allowed);
	if (tap_bad_checks)
		tell(&flow, "flow");
	else if (passes && !strcmp(protocol, "tcp"))
		step_hello(&tcp, &flow, checked);
}

static long setting(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? atol(text) : otherwise;
}

static void rules_agree_with_a_naive_evaluator(void)
{
	long cases = setting("CAPSA_POLICY_CASES", 10000);
	unsigned int seed = (unsigned int)setting("CAPSA_POLICY_SEED", 1);

	while (cases > 0 && !tap_bad_checks) {
		srand(seed);
		known_count = 0;
		fake_net_open(&net, random_rules());
		for (int step = 0; step < STEPS && !tap_bad_checks; step++) {
			switch (rand() % 8) {
			case 0:
				net.now_ms += (uint64_t)rand() % 60000;
				break;
			case 1:
				if (rand() % 4 == 0)
					fake_net_replace(&net, random_rules(),
							 false);
				break;
			case 2:
			case 3:
				step_query();
				break;
			default:
				step_flow();
				cases--;
				break;
			}
		}
		fake_net_close(&net);
		if (tap_bad_checks)
			printf("# CAPSA_POLICY_SEED=%u\n", seed);
		seed++;
	}
}

int main(void)
{
	TEST(rules_agree_with_a_naive_evaluator);
	return tap_done();
}
