/* SPDX-License-Identifier: MIT */
/* Policies in use: of many guests, and by several threads. */
#include "net/gate.h"

#include <pthread.h>

#include "fake_net.h"
#include "net/nat.h"
#include "tap.h"

enum { ROUNDS = 2000, LINES = 8 };

static const struct nat_site nat_site = {
	.network = 0x0a000200,
	.mask = 0xffffff00,
	.gateway = 0x0a000202,
	.dns = 0x0a000203,
};

static struct gate *gate;
static struct fake_net net;

static struct capsa_policy *policy_of(struct fake_policy *policy,
				      const char *text)
{
	fake_policy_read(policy, text);
	return &policy->head;
}

static void set_up(const char *text, const uint8_t *mac)
{
	struct net_site site = gate_site(&nat_site, mac, 0x0a00020f);
	struct fake_policy policy;

	memset(&net, 0, sizeof(net));
	CHECK(gate_create(&gate, &site, text ? policy_of(&policy, text) : NULL,
			  NULL) == CAPSA_STATUS_OK);
	net.filter = gate_filter(gate);
}

static struct capsa_decision explained(const char *remote, uint16_t port,
				       const char *name)
{
	struct net_address address = fake_address(remote);
	struct capsa_flow flow = {
		.size = sizeof(flow),
		.protocol = CAPSA_PROTOCOL_TCP,
		.remote.family = address.family,
		.remote_port = port,
	};
	struct capsa_decision decision = { 0 };

	memcpy(flow.remote.bytes, address.bytes, sizeof(address.bytes));
	CHECK(gate_explain(gate, &flow, name, &decision) == CAPSA_STATUS_OK);
	return decision;
}

static void without_rules_ranges_are_closed(void)
{
	set_up(NULL, fake_guest_mac);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_PASS);
	CHECK(fake_syn(&net, "10.0.2.2", 80) == NET_DROP);
	CHECK(fake_syn(&net, "127.0.0.1", 80) == NET_DROP);
	CHECK(explained("10.0.2.2", 80, NULL).closed == CAPSA_CLOSED_HOST);
	CHECK(fake_syn(&net, "fd00::2", 80) == NET_DROP);
	gate_destroy(gate);
}

static void rules_are_replaced_or_stay(void)
{
	struct fake_policy policy;
	struct capsa_policy broken = { .size = sizeof(broken) };
	struct capsa_decision lines[LINES];

	set_up("allow", fake_guest_mac);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_PASS);
	CHECK(gate_replace(gate, &broken, NULL) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_PASS);
	CHECK(gate_replace(gate, policy_of(&policy, "deny; allow 192.0.2.8"),
			   NULL) == CAPSA_STATUS_OK);
	CHECK(fake_syn(&net, "192.0.2.7", 80) == NET_DROP);
	CHECK(fake_syn(&net, "192.0.2.8", 80) == NET_PASS);
	CHECK(explained("192.0.2.8", 80, NULL).rule == 0);
	CHECK(gate_take_log(gate, lines, LINES) == 1);
	CHECK(lines[0].reason == CAPSA_REASON_DEFAULT);
	CHECK(gate_take_log(gate, lines, LINES) == 0);
	gate_destroy(gate);
}

static void names_are_explained(void)
{
	struct capsa_flow flow = { .size = sizeof(flow),
				   .protocol = CAPSA_PROTOCOL_TCP };
	struct capsa_decision decision;

	set_up("deny; allow *.example", fake_guest_mac);
	CHECK(explained("192.0.2.7", 443, "a.example").rule == 0);
	CHECK(explained("192.0.2.7", 443, "example").rule == -1);
	CHECK(explained("192.0.2.7", 443, NULL).rule == -1);
	CHECK(gate_explain(gate, &flow, "no name", &decision) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	flow.protocol = CAPSA_PROTOCOL_ICMP + 1;
	CHECK(gate_explain(gate, &flow, NULL, &decision) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	flow.protocol = 0;
	CHECK(gate_explain(gate, &flow, NULL, &decision) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	flow.protocol = CAPSA_PROTOCOL_TCP;
	flow.remote.family = 5;
	CHECK(gate_explain(gate, &flow, NULL, &decision) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	gate_destroy(gate);
}

/* The guest of the next datagram. */
static enum net_verdict datagram_of(uint8_t last_of_mac, uint8_t last)
{
	fake_make_udp(&net, true, "192.0.2.7", 5000, 9, "hello", 5);
	net.frame[11] = last_of_mac;
	net.frame[14 + 15] = last;
	return fake_send(&net, true);
}

static void of_many_any_address_will_do(void)
{
	set_up("allow", NULL);
	CHECK(datagram_of(1, 15) == NET_PASS);
	CHECK(datagram_of(2, 16) == NET_PASS);
	/* But the gateway's and the DNS server's. */
	CHECK(datagram_of(3, 2) == NET_DROP);
	CHECK(datagram_of(3, 3) == NET_DROP);
	gate_destroy(gate);
	set_up("allow", fake_guest_mac);
	CHECK(datagram_of(fake_guest_mac[5], 15) == NET_PASS);
	CHECK(datagram_of(fake_guest_mac[5], 16) == NET_DROP);
	CHECK(datagram_of(1, 15) == NET_DROP);
	gate_destroy(gate);
}

static void time_never_goes_back(void)
{
	set_up("allow", fake_guest_mac);
	/* A turn of the NAT's that began long before the question. */
	net.now_ms = 1;
	CHECK(explained("192.0.2.7", 80, NULL).time_ms > 1);
	CHECK(fake_udp(&net, true, "192.0.2.7", 5000, 9) == NET_PASS);
	CHECK(fake_udp(&net, false, "192.0.2.7", 5000, 9) == NET_PASS);
	gate_destroy(gate);
}

static void *change_and_ask(void *nothing)
{
	struct fake_policy allow;
	struct fake_policy deny;

	(void)nothing;
	fake_policy_read(&allow, "allow");
	fake_policy_read(&deny, "deny; log");
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct capsa_decision lines[LINES];
		const struct capsa_policy *policy = i % 2 ? &allow.head
							  : &deny.head;

		CHECK(gate_replace(gate, policy, NULL) == CAPSA_STATUS_OK);
		CHECK(explained("192.0.2.7", 80, NULL).action ==
		      policy->default_action);
		CHECK(gate_take_log(gate, lines, LINES) <= LINES);
	}
	return NULL;
}

static void frames_pass_while_others_change_rules(void)
{
	pthread_t thread;

	set_up("allow", fake_guest_mac);
	CHECK(pthread_create(&thread, NULL, change_and_ask, NULL) == 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		enum net_verdict verdict = fake_syn(&net, "192.0.2.7", 80);

		CHECK(verdict == NET_PASS || verdict == NET_DROP);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	gate_destroy(gate);
}

int main(void)
{
	TEST(without_rules_ranges_are_closed);
	TEST(rules_are_replaced_or_stay);
	TEST(names_are_explained);
	TEST(of_many_any_address_will_do);
	TEST(time_never_goes_back);
	TEST(frames_pass_while_others_change_rules);
	return tap_done();
}
