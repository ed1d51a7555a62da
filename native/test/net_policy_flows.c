/* SPDX-License-Identifier: MIT */
/* Connections that live on, and the log of what was decided. */
#include "net/flows.h"

#include "fake_message.h"
#include "net/policy_log.h"
#include "tap.h"

static struct fake_net net;
static struct fake_tcp tcp;

/* Whether a segment of the guest passes. */
static bool lives(void)
{
	return fake_segment(&net, true, &tcp, FAKE_ACK, NULL, 0) == NET_PASS;
}

static void a_connection_outlives_its_name(void)
{
	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 1));
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	net.now_ms += 60 * 1000;
	CHECK(lives());
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4001, 9) == NET_DROP);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
	fake_net_close(&net);
}

static void a_connection_outlives_its_rules(void)
{
	fake_net_open(&net, "allow");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	CHECK(fake_echo(&net, true, "192.0.2.7", 9) == NET_PASS);
	fake_net_replace(&net, "deny", false);
	CHECK(lives());
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, "hello", 5) ==
	      NET_PASS);
	CHECK(fake_echo(&net, true, "192.0.2.7", 9) == NET_PASS);
	CHECK(fake_echo(&net, true, "192.0.2.7", 10) == NET_DROP);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
	fake_net_close(&net);
}

static void recheck_ends_what_new_rules_deny(void)
{
	struct capsa_decision lines[8];
	struct fake_tcp kept;
	struct fake_tcp named;

	fake_net_open(&net, "allow");
	policy_forward_udp(net.policy, 5000);
	CHECK(fake_resolve(&net, "a.example", "192.0.2.9", 1));
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	CHECK(fake_connect(&net, &kept, "192.0.2.8", 80));
	CHECK(fake_connect(&net, &named, "192.0.2.9", 80));
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	CHECK(fake_udp(&net, false, "192.0.2.7", 5000, 9) == NET_PASS);
	net.now_ms += 60 * 1000;
	fake_net_replace(&net, "deny; allow 192.0.2.8; allow a.example", true);
	CHECK(policy_take_log(net.policy, lines, 8) == 2);
	CHECK(lines[0].reason == CAPSA_REASON_ENDED);
	CHECK(lines[0].flow.remote.bytes[3] == 7);
	CHECK(!lives());
	CHECK(net.answer.guest_length > 0 && net.answer.nat_length > 0);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_DROP);
	/* The name it had when it began is its name. */
	tcp = named;
	CHECK(lives());
	tcp = kept;
	CHECK(lives());
	/* A forward is no affair of the rules. */
	CHECK(fake_udp(&net, true, "192.0.2.7", 5000, 9) == NET_PASS);
	/* The NAT hears of the end when it has something to say, too. */
	fake_net_replace(&net, "deny", true);
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, "hello", 5) ==
	      NET_DROP);
	CHECK(net.answer.guest_length > 0 && net.answer.nat_length > 0);
	fake_net_close(&net);
}

static void recheck_knows_what_tls_asked_for(void)
{
	struct fake_message hello;
	struct fake_tcp bare;

	fake_net_open(&net, "allow; deny x.example");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	fake_hello(&hello, "a.example", false);
	CHECK(fake_data(&net, &tcp, hello.bytes, hello.length) == NET_PASS);
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	CHECK(fake_connect(&net, &bare, "192.0.2.7", 80));
	CHECK(fake_data(&net, &bare, "GET /", 5) == NET_PASS);
	CHECK(fake_acknowledge(&net, &bare) == NET_PASS);
	fake_net_replace(&net, "allow; deny b.example", true);
	CHECK(lives());
	fake_net_replace(&net, "allow; deny a.example", true);
	CHECK(!lives());
	/*
	 * An address that has come to have an allowed and a denied name: of
	 * this connection nobody can tell any more.
	 */
	CHECK(fake_resolve(&net, "c.example", "192.0.2.7", 60));
	CHECK(fake_resolve(&net, "d.example", "192.0.2.7", 60));
	tcp = bare;
	CHECK(lives());
	fake_net_replace(&net, "allow; deny c.example", true);
	CHECK(!lives());
	fake_net_close(&net);
}

static void recheck_applies_to_hellos_to_come(void)
{
	struct fake_message hello;

	fake_net_open(&net, "allow; deny x.example");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	CHECK(fake_resolve(&net, "x.example", "192.0.2.8", 60) == false);
	/* By name from now on: without one it is denied. */
	fake_net_replace(&net, "deny; allow a.example", true);
	fake_hello(&hello, NULL, false);
	CHECK(fake_data(&net, &tcp, hello.bytes, hello.length) == NET_DROP);
	fake_net_close(&net);
}

static void new_rules_judge_hellos_at_once(void)
{
	struct fake_message hello;

	fake_net_open(&net, "allow; deny x.example");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	fake_hello(&hello, "a.example", false);
	CHECK(fake_data(&net, &tcp, hello.bytes, 50) == NET_PASS);
	fake_net_replace(&net, "allow; deny a.example", false);
	CHECK(fake_data(&net, &tcp, hello.bytes + 50, hello.length - 50) ==
	      NET_DROP);
	fake_net_close(&net);
}

static void idle_flows_expire(void)
{
	fake_net_open(&net, "allow");
	/* UDP: two minutes, either side keeps it alive. */
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	net.now_ms += 119999;
	CHECK(fake_udp(&net, false, "192.0.2.7", 4000, 9) == NET_PASS);
	net.now_ms += 119999;
	CHECK(fake_udp(&net, false, "192.0.2.7", 4000, 9) == NET_PASS);
	CHECK(net.answer.guest_length == 0 && net.answer.nat_length == 0);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	net.now_ms += 120000;
	CHECK(fake_udp(&net, false, "192.0.2.7", 4000, 9) == NET_DROP);
	/* Echoes: 30 seconds. */
	CHECK(fake_echo(&net, true, "192.0.2.7", 1) == NET_PASS);
	net.now_ms += 29999;
	CHECK(fake_echo(&net, false, "192.0.2.7", 1) == NET_PASS);
	net.now_ms += 29999;
	CHECK(fake_echo(&net, false, "192.0.2.7", 1) == NET_PASS);
	net.now_ms += 30000;
	CHECK(fake_echo(&net, false, "192.0.2.7", 1) == NET_DROP);
	/* TCP that was never answered: four minutes. */
	tcp = fake_tcp_to("192.0.2.7", 80);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	net.now_ms += 239999;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	net.now_ms += 239999;
	fake_net_replace(&net, "deny", false);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	fake_net_replace(&net, "allow", false);
	net.now_ms += 240000;
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN | FAKE_ACK, NULL, 0) ==
	      NET_DROP);
	/* Established: two hours and four minutes. */
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	net.now_ms += 7439999;
	CHECK(lives());
	net.now_ms += 7440000;
	CHECK(!lives());
	/* With one side ended, still. */
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_PASS);
	net.now_ms += 7439999;
	CHECK(lives());
	/* Both: four minutes. */
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_PASS);
	net.now_ms += 239999;
	CHECK(lives());
	net.now_ms += 240000;
	CHECK(!lives());
	fake_net_close(&net);
}

static void resets_end_connections(void)
{
	fake_net_open(&net, "allow");
	for (int from_guest = 0; from_guest < 2; from_guest++) {
		CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
		CHECK(fake_segment(&net, from_guest, &tcp, FAKE_RST, NULL, 0) ==
		      NET_PASS);
		CHECK(!lives());
	}
	fake_net_close(&net);
}

static void each_beginning_is_judged(void)
{
	fake_net_open(&net, "allow");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	fake_net_replace(&net, "deny", false);
	/* In the midst of a connection: dropped, and nothing changes. */
	tcp.guest_next += 1000;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	tcp.guest_next -= 1000;
	CHECK(lives());
	/* When it is over, the ports may be used again, under the rules. */
	fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	fake_segment(&net, false, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	tcp.guest_next += 1000;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	CHECK(net.answer.guest_length > 0);
	fake_net_replace(&net, "allow", false);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	/* Not answered yet: the guest may begin again. */
	tcp.guest_next += 1000;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	/* The beginning before is forgotten. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_RST, NULL, 0) == NET_PASS);
	CHECK(!lives());
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	fake_net_replace(&net, "deny", false);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	tcp.guest_next += 1000;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	fake_net_close(&net);
}

static void forwards_lead_in(void)
{
	fake_net_open(&net, "deny");
	/* TCP: the NAT begins only what is forwarded. */
	tcp = fake_tcp_to("192.0.2.7", 40000);
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	net.now_ms += 239999;
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	net.now_ms += 239999;
	tcp.nat_next++;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN | FAKE_ACK, NULL, 0) ==
	      NET_PASS);
	tcp.guest_next++;
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, "hello", 5) ==
	      NET_PASS);
	net.now_ms += 7439999;
	CHECK(lives());
	/* The guest cannot turn it around. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	/* From the host itself it comes from its alias. */
	tcp = fake_tcp_to(GATEWAY4, 40000);
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN | FAKE_ACK, NULL, 0) ==
	      NET_PASS);
	/* UDP: to ports that are forwarded. */
	CHECK(fake_udp(&net, false, "192.0.2.7", 5000, 9) == NET_DROP);
	CHECK(fake_udp(&net, true, "192.0.2.7", 5000, 9) == NET_DROP);
	policy_forward_udp(net.policy, 5000);
	CHECK(fake_udp(&net, false, "192.0.2.7", 4999, 9) == NET_DROP);
	CHECK(fake_udp(&net, false, "192.0.2.7", 5001, 9) == NET_DROP);
	CHECK(fake_udp(&net, false, "192.0.2.7", 5000, 9) == NET_PASS);
	CHECK(fake_udp(&net, true, "192.0.2.7", 5000, 9) == NET_PASS);
	CHECK(fake_udp(&net, true, "192.0.2.7", 5000, 10) == NET_DROP);
	fake_net_close(&net);
}

static void a_stranger_opens_nothing(void)
{
	/* A NAT hands the guest what anybody sends to its port. */
	fake_net_open(&net, "deny; allow 192.0.2.7");
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_PASS);
	CHECK(fake_udp(&net, false, "192.0.2.8", 4000, 9) == NET_DROP);
	CHECK(fake_udp(&net, true, "192.0.2.8", 4000, 9) == NET_DROP);
	/* The guest's own connection is not made another by a stranger. */
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	CHECK(net.answer.nat_length > 0 && net.answer.guest_length == 0);
	CHECK(lives());
	/* When it is over, the ports are free. */
	fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	fake_segment(&net, false, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	fake_net_close(&net);
}

/* Fills the table with flows of one kind. */
static void fill(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		CHECK(fake_udp(&net, true, "192.0.2.7", 1 + i % 60000, 9) ==
		      NET_PASS);
}

static void a_full_table_denies(void)
{
	struct capsa_decision line;

	fake_net_open(&net, "allow");
	fill(FLOWS_MAX);
	CHECK(fake_udp(&net, true, "192.0.2.8", 4000, 9) == NET_DROP);
	CHECK(net.answer.guest_length > 0);
	CHECK(policy_take_log(net.policy, &line, 1) == 1);
	CHECK(line.reason == CAPSA_REASON_FULL && line.rule == -1);
	CHECK(fake_syn(&net, "192.0.2.8", 80) == NET_DROP);
	CHECK(net.answer.guest_length > 0);
	CHECK(fake_echo(&net, true, "192.0.2.8", 1) == NET_DROP);
	tcp = fake_tcp_to("192.0.2.8", 40000);
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN, NULL, 0) == NET_DROP);
	CHECK(net.answer.nat_length > 0);
	policy_forward_udp(net.policy, 65000);
	CHECK(fake_udp(&net, false, "192.0.2.8", 65000, 9) == NET_DROP);
	/* What is there goes on. */
	CHECK(fake_udp(&net, true, "192.0.2.7", 1, 9) == NET_PASS);
	/* After 30 idle seconds the least recently used makes room. */
	net.now_ms += 29999;
	CHECK(fake_udp(&net, true, "192.0.2.7", 1, 9) == NET_PASS);
	CHECK(fake_udp(&net, true, "192.0.2.8", 4000, 9) == NET_DROP);
	net.now_ms += 1;
	CHECK(fake_udp(&net, true, "192.0.2.8", 4000, 9) == NET_PASS);
	CHECK(fake_udp(&net, false, "192.0.2.7", 2, 9) == NET_DROP);
	CHECK(fake_udp(&net, false, "192.0.2.7", 1, 9) == NET_PASS);
	CHECK(fake_udp(&net, false, "192.0.2.7", 3, 9) == NET_PASS);
	fake_net_close(&net);
}

static void closing_connections_make_room_first(void)
{
	struct fake_tcp open;

	fake_net_open(&net, "allow");
	CHECK(fake_connect(&net, &open, "192.0.2.7", 80));
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 80));
	fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	fake_segment(&net, false, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0);
	fill(FLOWS_MAX - 2);
	CHECK(fake_udp(&net, true, "192.0.2.8", 4000, 9) == NET_PASS);
	CHECK(!lives());
	/* Established ones never do. */
	CHECK(fake_udp(&net, true, "192.0.2.8", 4001, 9) == NET_DROP);
	net.now_ms += 60 * 1000;
	for (uint32_t i = 0; i < FLOWS_MAX - 1; i++)
		CHECK(fake_udp(&net, true, "192.0.2.9", 1 + i, 9) == NET_PASS);
	CHECK(fake_udp(&net, true, "192.0.2.9", 60000, 9) == NET_DROP);
	tcp = open;
	CHECK(lives());
	fake_net_close(&net);
}

/* A table against a list that is searched from end to end. */
static void a_table_agrees_with_a_list(void)
{
	enum { KEYS = 300 };
	static struct flows flows;
	uint64_t used[KEYS] = { 0 }; /* 0: not there */
	uint64_t now_ms = 1000;

	flows.key = (struct hash_key) { { 5, 6 } };
	srand(1);
	for (int round = 0; round < 200000; round++) {
		uint32_t index = (uint32_t)rand() % KEYS;
		struct flow_key key = {
			.family = 4,
			.protocol = CAPSA_PROTOCOL_UDP,
			.guest_port = (uint16_t)index,
		};
		bool is_there = used[index] && now_ms - used[index] < 120000;
		struct flow *flow = flows_find(&flows, &key, now_ms);

		CHECK((flow != NULL) == is_there);
		switch (rand() % 4) {
		case 0:
			if (flow)
				flows_remove(&flows, flow);
			used[index] = 0;
			break;
		case 1:
			now_ms += (uint64_t)rand() % 3000;
			break;
		default:
			if (flow)
				flows_touch(&flows, flow, FLOW_UDP, now_ms);
			else
				CHECK(flows_add(&flows, &key, FLOW_UDP,
						now_ms));
			used[index] = now_ms;
			break;
		}
	}
	for (uint32_t at = 0; flows_next(&flows, &at);)
		CHECK(flows.list[at - 1].key.guest_port < KEYS);
	CHECK(flows.used <= KEYS);
}

static void rules_may_note(void)
{
	struct capsa_decision lines[8];
	const char *rules = "deny; log 192.0.2.0/24; log *.example; log udp; "
			    "allow tcp 80; log";

	fake_net_open(&net, rules);
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	tcp = fake_tcp_to("192.0.2.7", 80);
	net.now_ms += 5;
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	CHECK(policy_take_log(net.policy, lines, 8) == 2);
	for (int i = 0; i < 2; i++) {
		CHECK(lines[i].size == sizeof(*lines));
		CHECK(lines[i].reason == CAPSA_REASON_LOG);
		CHECK(lines[i].action == CAPSA_ACTION_ALLOW);
		CHECK(lines[i].rule == i);
		CHECK(lines[i].time_ms == net.now_ms);
		CHECK(lines[i].flow.protocol == CAPSA_PROTOCOL_TCP);
		CHECK(lines[i].flow.guest.family == 4);
		CHECK(memcmp(lines[i].flow.guest.bytes, "\x0a\0\2\x0f", 4) ==
		      0);
		CHECK(memcmp(lines[i].flow.remote.bytes, "\xc0\0\2\7", 4) == 0);
		CHECK(lines[i].flow.guest_port == tcp.guest_port);
		CHECK(lines[i].flow.remote_port == 80);
		CHECK(strcmp(lines[i].name, "a.example") == 0);
	}
	/* Once for each connection. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	CHECK(policy_take_log(net.policy, lines, 8) == 0);
	/* Where none decides, all were come to; then the denial. */
	CHECK(fake_udp(&net, true, "192.0.3.7", 4000, 9) == NET_DROP);
	CHECK(policy_take_log(net.policy, lines, 8) == 3);
	CHECK(lines[0].rule == 2 && lines[1].rule == 4);
	CHECK(lines[0].action == CAPSA_ACTION_DENY);
	CHECK(lines[2].reason == CAPSA_REASON_DEFAULT && lines[2].rule == -1);
	CHECK(lines[2].name[0] == '\0');
	fake_net_close(&net);
	/* Also if none of them decides anything. */
	fake_net_open(&net, "allow; log");
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_PASS);
	CHECK(policy_take_log(net.policy, lines, 8) == 1);
	fake_net_close(&net);
}

static void denied_queries_are_noted(void)
{
	struct capsa_decision line;

	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_query(&net, "Evil.example", FAKE_A) == NET_DROP);
	CHECK(policy_take_log(net.policy, &line, 1) == 1);
	CHECK(line.reason == CAPSA_REASON_NAME);
	CHECK(strcmp(line.name, "evil.example") == 0);
	CHECK(line.flow.remote_port == 53);
	fake_net_close(&net);
}

static void the_log_is_bounded(void)
{
	struct capsa_decision lines[300];

	fake_net_open(&net, "deny; deny 192.0.2.7; deny 192.0.2.8");
	for (int i = 0; i < 100; i++) {
		CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
		CHECK(fake_syn(&net, "192.0.2.9", 80) == NET_DROP);
	}
	/* One that is provoked does not drown the others. */
	CHECK(fake_syn(&net, "192.0.2.8", 80) == NET_DROP);
	CHECK(policy_take_log(net.policy, lines, 300) ==
	      2 * POLICY_LOG_BURST + 1);
	CHECK(lines[2 * POLICY_LOG_BURST].rule == 1);
	/* What was left out is counted. */
	net.now_ms += 100;
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
	CHECK(policy_take_log(net.policy, lines, 300) == 1);
	CHECK(lines[0].missed == 100 - POLICY_LOG_BURST);
	net.now_ms += 100 * 1000;
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
	CHECK(policy_take_log(net.policy, lines, 300) == 1);
	CHECK(lines[0].missed == 0);
	/* When nobody takes them, the oldest stay. */
	for (int second = 0; second < 1000; second++) {
		net.now_ms += 1000;
		fake_syn(&net, "192.0.2.7", 80);
	}
	CHECK(policy_take_log(net.policy, lines, 10) == 10);
	CHECK(policy_take_log(net.policy, lines + 10, 290) == 246);
	for (int i = 1; i < 256; i++)
		CHECK(lines[i].time_ms == lines[i - 1].time_ms + 1000);
	net.now_ms += 1000;
	fake_syn(&net, "192.0.2.7", 80);
	CHECK(policy_take_log(net.policy, lines, 300) == 1);
	CHECK(lines[0].missed == 1000 - 256);
	/* New rules have new numbers, and new counts. */
	fake_syn(&net, "192.0.2.7", 80);
	for (int i = 0; i < 100; i++)
		fake_syn(&net, "192.0.2.7", 80);
	fake_net_replace(&net, "deny; deny 192.0.2.7", false);
	policy_take_log(net.policy, lines, 300);
	fake_syn(&net, "192.0.2.7", 80);
	CHECK(policy_take_log(net.policy, lines, 300) == 1);
	CHECK(lines[0].missed == 0);
	fake_net_close(&net);
}

int main(void)
{
	TEST(a_connection_outlives_its_name);
	TEST(a_connection_outlives_its_rules);
	TEST(recheck_ends_what_new_rules_deny);
	TEST(recheck_knows_what_tls_asked_for);
	TEST(recheck_applies_to_hellos_to_come);
	TEST(new_rules_judge_hellos_at_once);
	TEST(idle_flows_expire);
	TEST(resets_end_connections);
	TEST(each_beginning_is_judged);
	TEST(forwards_lead_in);
	TEST(a_stranger_opens_nothing);
	TEST(a_full_table_denies);
	TEST(closing_connections_make_room_first);
	TEST(a_table_agrees_with_a_list);
	TEST(rules_may_note);
	TEST(denied_queries_are_noted);
	TEST(the_log_is_bounded);
	return tap_done();
}
