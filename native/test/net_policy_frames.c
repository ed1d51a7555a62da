/* SPDX-License-Identifier: MIT */
/* Frames: which are looked at, which pass unasked, and how a no is said. */
#include "net/packet.h"

#include "fake_message.h"
#include "tap.h"

static struct fake_net net;

/* Whether a change of a good frame makes it a bad one, sums put right. */
#define CHANGED(make, change)                                                  \
	do {                                                                   \
		make;                                                          \
		CHECK(fake_send(&net, true) == NET_PASS);                      \
		make;                                                          \
		fake_seal(&net);                                               \
		change;                                                        \
		CHECK(fake_from_guest(&net) == NET_DROP);                      \
		CHECK(net.answer.guest_length == 0);                           \
		CHECK(net.answer.nat_length == 0);                             \
	} while (0)

static uint8_t *ip(void)
{
	return net.frame + 14;
}

static void make_udp(const char *remote)
{
	fake_make_udp(&net, true, remote, 4000, 9, "hello", 5);
}

static void seal_ipv4(void)
{
	fake_put16(ip() + 10, 0);
	fake_put16(ip() + 10, fake_sum(ip(), 20));
}

static void bad_ipv4_is_dropped(void)
{
	fake_net_open(&net, "open");
	CHANGED(make_udp("192.0.2.7"), ip()[0] = 0x46; seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), ip()[0] = 0x44; seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), ip()[0] = 0x65; seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 2, 34); seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 2, 32); seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 2, 19); seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), ip()[10] ^= 1);
	CHANGED(make_udp("192.0.2.7"), ip()[8] ^= 1); /* sum of the header */
	CHANGED(make_udp("192.0.2.7"), net.length = 33);
	CHANGED(make_udp("192.0.2.7"), net.length = 13);
	CHANGED(make_udp("192.0.2.7"), net.length = 0);
	/* Padding behind the datagram is what Ethernet does. */
	make_udp("192.0.2.7");
	fake_seal(&net);
	net.length += 20;
	CHECK(fake_from_guest(&net) == NET_PASS);
	fake_net_close(&net);
}

static void bad_ipv6_is_dropped(void)
{
	fake_net_open(&net, "open");
	CHANGED(make_udp("2600::7"), ip()[0] = 0x40);
	CHANGED(make_udp("2600::7"), ip()[0] = 0x70);
	CHANGED(make_udp("2600::7"), fake_put16(ip() + 4, 14));
	CHANGED(make_udp("2600::7"), fake_put16(ip() + 4, 12));
	CHANGED(make_udp("2600::7"), net.length = 53);
	CHANGED(make_udp("2600::7"), net.length--);
	/* Hop-by-hop, routing, fragment, authentication, no next header */
	CHANGED(make_udp("2600::7"), ip()[6] = 0);
	CHANGED(make_udp("2600::7"), ip()[6] = 43);
	CHANGED(make_udp("2600::7"), ip()[6] = 44);
	CHANGED(make_udp("2600::7"), ip()[6] = 51);
	CHANGED(make_udp("2600::7"), ip()[6] = 59);
	/* ICMP of the other version */
	CHANGED(make_udp("2600::7"), ip()[6] = 1);
	CHANGED(make_udp("192.0.2.7"), ip()[9] = 58; seal_ipv4());
	fake_net_close(&net);
}

static void fragments_are_dropped(void)
{
	fake_net_open(&net, "open");
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 6, 0x2000);
		seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 6, 1); seal_ipv4());
	CHANGED(make_udp("192.0.2.7"), fake_put16(ip() + 6, 0x8000);
		seal_ipv4());
	make_udp("192.0.2.7");
	fake_put16(ip() + 6, 0x4000);
	CHECK(fake_send(&net, true) == NET_PASS);
	/* Those of the NAT pass: their first part was looked at. */
	fake_make_udp(&net, false, "192.0.2.99", 4000, 9, "hello", 5);
	fake_put16(ip() + 6, 1);
	CHECK(fake_send(&net, false) == NET_PASS);
	fake_net_close(&net);
}

static void bad_transports_are_dropped(void)
{
	uint8_t *udp;
	uint8_t *tcp;
	struct fake_tcp connection = fake_tcp_to("192.0.2.7", 80);

	fake_net_open(&net, "open");
	udp = ip() + 20;
	tcp = ip() + 20;
	CHANGED(make_udp("192.0.2.7"), fake_put16(udp + 4, 12);
		fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), fake_put16(udp + 4, 14);
		fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), fake_put16(udp + 4, 7); fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), udp[8] ^= 1);
	CHANGED(make_udp("2600::7"), net.frame[54 + 8] ^= 1);
	/* Without a sum: over IPv6 that is not allowed. */
	CHANGED(make_udp("2600::7"), fake_put16(net.frame + 54 + 6, 0));
	make_udp("192.0.2.7");
	fake_seal(&net);
	fake_put16(udp + 6, 0);
	CHECK(fake_from_guest(&net) == NET_PASS);

#define SYN() fake_make_tcp(&net, true, &connection, FAKE_SYN, NULL, 0)
	CHANGED(SYN(), tcp[12] = 4 << 4; fake_seal(&net));
	CHANGED(SYN(), tcp[12] = 6 << 4; fake_seal(&net));
	CHANGED(SYN(), tcp[16] ^= 1);
	CHANGED(SYN(), tcp[13] = FAKE_SYN | FAKE_FIN; fake_seal(&net));
	CHANGED(SYN(), tcp[13] = FAKE_SYN | FAKE_RST; fake_seal(&net));
	CHANGED(SYN(), tcp[13] = FAKE_SYN | FAKE_ACK; fake_seal(&net));
	CHANGED(SYN(), fake_put16(ip() + 2, 39); net.length--; fake_seal(&net));
	/* A protocol of which nothing is known */
	CHANGED(make_udp("192.0.2.7"), ip()[9] = 132; fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), ip()[9] = 2; fake_seal(&net));
	/* Sums of odd lengths, and of long payloads */
	for (uint32_t length = 0; length < 1472; length += 7) {
		static const uint8_t payload[1472] = { 0xff, 0xff, 1, 2 };

		fake_make_udp(&net, true, "192.0.2.7", 4000, 9, payload,
			      length);
		CHECK(fake_send(&net, true) == NET_PASS);
	}
	fake_net_close(&net);
}

static void only_echoes_of_icmp_are_of_interest(void)
{
	fake_net_open(&net, "open");
	CHECK(fake_echo(&net, true, "192.0.2.7", 9) == NET_PASS);
	CHECK(fake_echo(&net, true, "2600::7", 9) == NET_PASS);
	for (uint32_t type = 0; type < 256; type++) {
		uint8_t *icmp = fake_frame(&net, true, "192.0.2.7", 1, 16);

		icmp[0] = (uint8_t)type;
		CHECK(fake_send(&net, true) ==
		      (type == 8 ? NET_PASS : NET_DROP));
		icmp = fake_frame(&net, true, "2600::7", 58, 16);
		icmp[0] = (uint8_t)type;
		CHECK(fake_send(&net, true) ==
		      (type == 128 ? NET_PASS : NET_DROP));
	}
	fake_frame(&net, true, "192.0.2.7", 1, 16)[0] = 8;
	ip()[20 + 1] = 1; /* code */
	CHECK(fake_send(&net, true) == NET_DROP);
	fake_frame(&net, true, "192.0.2.7", 1, 8)[0] = 8;
	CHECK(fake_send(&net, true) == NET_PASS);
	fake_frame(&net, true, "192.0.2.7", 1, 7)[0] = 8;
	CHECK(fake_send(&net, true) == NET_DROP);
	fake_echo(&net, true, "192.0.2.7", 9);
	ip()[20 + 2] ^= 1;
	CHECK(fake_from_guest(&net) == NET_DROP);
	/* Of the NAT: answers to what was asked, and errors. */
	CHECK(fake_echo(&net, false, "192.0.2.7", 9) == NET_PASS);
	CHECK(fake_echo(&net, false, "192.0.2.7", 10) == NET_DROP);
	CHECK(fake_echo(&net, false, "192.0.2.8", 9) == NET_DROP);
	fake_frame(&net, false, "192.0.2.8", 1, 36)[0] = 3;
	CHECK(fake_send(&net, false) == NET_PASS);
	fake_net_close(&net);
}

static void other_ethernet_is_dropped(void)
{
	fake_net_open(&net, "open");
	CHANGED(make_udp("192.0.2.7"), fake_put16(net.frame + 12, 0x8100));
	CHANGED(make_udp("192.0.2.7"), fake_put16(net.frame + 12, 46));
	CHANGED(make_udp("192.0.2.7"), fake_put16(net.frame + 12, 0x86dd));
	fake_net_close(&net);
}

static void sources_are_the_guests_own(void)
{
	fake_net_open(&net, "open");
	CHANGED(make_udp("192.0.2.7"), ip()[15] = 16; fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), ip()[15] = 2; fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), memset(ip() + 12, 0, 4);
		fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), ip()[12] = 127; fake_seal(&net));
	CHANGED(make_udp("192.0.2.7"), net.frame[6] ^= 2); /* of Ethernet */
	/* Any address of its network, but not its gateway's. */
	make_udp("2600::7");
	ip()[20] = 0x42;
	CHECK(fake_send(&net, true) == NET_PASS);
	CHANGED(make_udp("2600::7"), ip()[23] = 2; fake_seal(&net));
	CHANGED(make_udp("2600::7"), ip()[23] = 3; fake_seal(&net));
	CHANGED(make_udp("2600::7"), ip()[15] = 1; fake_seal(&net));
	CHANGED(make_udp("2600::7"), memset(ip() + 8, 0, 16); fake_seal(&net));
	CHANGED(make_udp("2600::7"), ip()[8] = 0xfe; ip()[9] = 0x80;
		fake_seal(&net));
	fake_net_close(&net);
}

static void make_arp(const char *sender)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct net_address address = fake_address(sender);

	memset(net.frame, 0, 64);
	memset(net.frame, 0xff, 6);
	memcpy(net.frame + 6, fake_guest_mac, 6);
	fake_put16(net.frame + 12, 0x0806);
	memcpy(ip(), head, sizeof(head));
	memcpy(ip() + 8, fake_guest_mac, 6);
	memcpy(ip() + 14, address.bytes, 4);
	net.length = 42;
}

static void arp_passes(void)
{
	fake_net_open(&net, "deny");
	make_arp(GUEST4);
	CHECK(fake_from_guest(&net) == NET_PASS);
	make_arp("0.0.0.0");
	CHECK(fake_from_guest(&net) == NET_PASS);
	make_arp(GATEWAY4);
	CHECK(fake_from_guest(&net) == NET_DROP);
	make_arp(GUEST4);
	ip()[8] ^= 2;
	CHECK(fake_from_guest(&net) == NET_DROP);
	make_arp(GUEST4);
	ip()[1] = 6;
	CHECK(fake_from_guest(&net) == NET_DROP);
	make_arp(GUEST4);
	net.length = 41;
	CHECK(fake_from_guest(&net) == NET_DROP);
	make_arp(GATEWAY4);
	CHECK(fake_to_guest(&net) == NET_PASS);
	fake_net_close(&net);
}

static enum net_verdict neighbour(uint8_t type, const char *from,
				  const char *to, uint8_t hops)
{
	struct net_address source = fake_address(from);
	struct net_address destination = fake_address(to);
	uint8_t *icmp = fake_frame(&net, true, "fe80::2", 58, 24);

	memcpy(ip() + 8, source.bytes, 16);
	memcpy(ip() + 24, destination.bytes, 16);
	ip()[7] = hops;
	icmp[0] = type;
	return fake_send(&net, true);
}

static void neighbour_discovery_passes(void)
{
	struct net_site site = fake_site();
	const struct hash_key key = { { 1, 2 } };

	fake_net_open(&net, "deny");
	CHECK(neighbour(133, "fe80::5054", "ff02::2", 255) == NET_PASS);
	CHECK(neighbour(133, "::", "ff02::2", 255) == NET_PASS);
	CHECK(neighbour(135, GUEST6, "ff02::1:ff00:2", 255) == NET_PASS);
	CHECK(neighbour(135, GUEST6, GATEWAY6, 255) == NET_PASS);
	CHECK(neighbour(136, "fe80::5054", "fe80::2", 255) == NET_PASS);
	/* Not from the link, not on the link, not of a host, not its own */
	CHECK(neighbour(135, GUEST6, "ff02::1:ff00:2", 64) == NET_DROP);
	CHECK(neighbour(135, GUEST6, "2600::7", 255) == NET_DROP);
	CHECK(neighbour(135, GUEST6, "ff05::2", 255) == NET_DROP);
	CHECK(neighbour(134, "fe80::2", "ff02::1", 255) == NET_DROP);
	CHECK(neighbour(137, "fe80::2", GUEST6, 255) == NET_DROP);
	CHECK(neighbour(136, GATEWAY6, "fe80::2", 255) == NET_DROP);
	CHECK(neighbour(136, "2600::7", "fe80::2", 255) == NET_DROP);
	neighbour(136, "fe80::5054", "fe80::2", 255);
	ip()[42] ^= 1;
	CHECK(fake_from_guest(&net) == NET_DROP);
	fake_net_close(&net);

	/* A NAT without IPv6 hears nothing of it. */
	site.network6 = (struct net_range) { 0 };
	CHECK(policy_create(&net.policy, &site, fake_rules("open", false),
			    &key) == 0);
	net.filter = policy_filter(net.policy);
	CHECK(neighbour(133, "fe80::5054", "ff02::2", 255) == NET_DROP);
	make_udp("2600::7");
	CHECK(fake_send(&net, true) == NET_DROP);
	fake_net_close(&net);
}

static enum net_verdict dhcp(const char *from, const char *to,
			     uint32_t from_port, uint32_t to_port)
{
	struct net_address source = fake_address(from);
	struct net_address destination = fake_address(to);

	fake_make_udp(&net, true, to, from_port, to_port, "hello", 5);
	if (source.family == 4) {
		memcpy(ip() + 12, source.bytes, 4);
		memcpy(ip() + 16, destination.bytes, 4);
	} else {
		memcpy(ip() + 8, source.bytes, 16);
	}
	return fake_send(&net, true);
}

static void dhcp_passes(void)
{
	fake_net_open(&net, "deny");
	CHECK(dhcp("0.0.0.0", "255.255.255.255", 68, 67) == NET_PASS);
	CHECK(dhcp(GUEST4, "255.255.255.255", 68, 67) == NET_PASS);
	CHECK(dhcp(GUEST4, GATEWAY4, 68, 67) == NET_PASS);
	CHECK(dhcp("fe80::5054", "ff02::1:2", 546, 547) == NET_PASS);
	CHECK(dhcp("0.0.0.0", "192.0.2.7", 68, 67) == NET_DROP);
	CHECK(dhcp("0.0.0.0", "255.255.255.255", 68, 69) == NET_DROP);
	CHECK(dhcp("0.0.0.0", "255.255.255.255", 69, 67) == NET_DROP);
	CHECK(dhcp(GATEWAY4, "255.255.255.255", 68, 67) == NET_DROP);
	CHECK(dhcp("fe80::5054", "ff02::1", 546, 547) == NET_DROP);
	CHECK(dhcp("2600::7", "ff02::1:2", 546, 547) == NET_DROP);
	CHECK(dhcp("fe80::5054", "ff02::1:2", 547, 547) == NET_DROP);
	CHECK(fake_udp(&net, false, GATEWAY4, 68, 67) == NET_PASS);
	CHECK(fake_udp(&net, false, "fe80::2", 546, 547) == NET_PASS);
	CHECK(fake_udp(&net, false, GATEWAY6, 546, 547) == NET_PASS);
	CHECK(fake_udp(&net, false, "fe80::2", 68, 67) == NET_DROP);
	CHECK(fake_udp(&net, false, "192.0.2.7", 68, 67) == NET_DROP);
	CHECK(fake_udp(&net, false, "2600::7", 546, 547) == NET_DROP);
	fake_net_close(&net);
}

/* Whether the answer is a good frame from remote to the guest, or onward. */
static bool is_frame(const uint8_t *frame, uint32_t length, bool to_guest,
		     const char *remote, struct net_packet *packet)
{
	struct net_address other = fake_address(remote);
	struct net_address guest = fake_address(other.family == 4 ? GUEST4
								  : GUEST6);

	return packet_parse(packet, frame, length) == 0 &&
	       packet_is_sound(packet) && packet->ip_length + 14 == length &&
	       packet->ip[other.family == 4 ? 8 : 7] == 64 &&
	       memcmp(frame, to_guest ? fake_guest_mac : fake_nat_mac, 6) ==
		       0 &&
	       memcmp(frame + 6, to_guest ? fake_nat_mac : fake_guest_mac, 6) ==
		       0 &&
	       net_address_is(&packet->source, to_guest ? &other : &guest) &&
	       net_address_is(&packet->destination, to_guest ? &guest : &other);
}

static void denied_tcp_is_reset_at_once(void)
{
	static const char *const remotes[] = { "192.0.2.7", "2600::7" };

	fake_net_open(&net, "deny");
	for (int i = 0; i < 2; i++) {
		struct fake_tcp tcp = fake_tcp_to(remotes[i], 80);
		struct net_packet packet;
		const struct net_answer *answer = &net.answer;

		CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) ==
		      NET_DROP);
		CHECK(answer->nat_length == 0);
		CHECK(is_frame(answer->guest, answer->guest_length, true,
			       remotes[i], &packet));
		CHECK(packet.kind == PACKET_TCP);
		CHECK(packet.tcp_flags == (FAKE_RST | FAKE_ACK));
		CHECK(packet.sequence == 0);
		CHECK(packet.acknowledged == tcp.guest_next + 1);
		CHECK(packet.source_port == 80);
		CHECK(packet.destination_port == tcp.guest_port);
	}
	fake_net_close(&net);
}

static void segments_of_no_connection_reset_both_sides(void)
{
	struct fake_tcp tcp = fake_tcp_to("192.0.2.7", 80);
	struct net_packet packet;
	const struct net_answer *answer = &net.answer;

	fake_net_open(&net, "allow");
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK, "hello", 5) == NET_DROP);
	CHECK(is_frame(answer->guest, answer->guest_length, true, "192.0.2.7",
		       &packet));
	CHECK(packet.tcp_flags == FAKE_RST);
	CHECK(packet.sequence == tcp.nat_next);
	CHECK(is_frame(answer->nat, answer->nat_length, false, "192.0.2.7",
		       &packet));
	CHECK(packet.tcp_flags == (FAKE_RST | FAKE_ACK));
	CHECK(packet.sequence == tcp.guest_next);

	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, "hello", 5) ==
	      NET_DROP);
	CHECK(is_frame(answer->nat, answer->nat_length, false, "192.0.2.7",
		       &packet));
	CHECK(packet.tcp_flags == FAKE_RST);
	CHECK(packet.sequence == tcp.guest_next);
	CHECK(is_frame(answer->guest, answer->guest_length, true, "192.0.2.7",
		       &packet));
	CHECK(packet.sequence == tcp.nat_next);

	/* A FIN has a number; a reset is never answered. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_FIN, "hello", 5) == NET_DROP);
	CHECK(is_frame(answer->guest, answer->guest_length, true, "192.0.2.7",
		       &packet));
	CHECK(packet.acknowledged == tcp.guest_next + 6);
	CHECK(fake_segment(&net, true, &tcp, FAKE_RST, NULL, 0) == NET_DROP);
	CHECK(answer->guest_length == 0 && answer->nat_length == 0);
	CHECK(fake_segment(&net, false, &tcp, FAKE_RST, NULL, 0) == NET_PASS);
	fake_net_close(&net);
}

static void denied_datagrams_and_echoes_are_prohibited(void)
{
	struct net_packet packet;
	const struct net_answer *answer = &net.answer;
	uint8_t long_payload[1400] = { 0 };

	fake_net_open(&net, "deny");
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) ==
			      NET_DROP);
		else
			CHECK(fake_echo(&net, true, "192.0.2.7", 9) ==
			      NET_DROP);
		CHECK(is_frame(answer->guest, answer->guest_length, true,
			       GATEWAY4, &packet));
		CHECK(packet.transport[0] == 3 && packet.transport[1] == 13);
		CHECK(memcmp(packet.transport + 8, ip(), net.length - 14) == 0);
		CHECK(packet.transport_length == 8 + net.length - 14);
		if (round == 0)
			CHECK(fake_udp(&net, true, "2600::7", 4000, 9) ==
			      NET_DROP);
		else
			CHECK(fake_echo(&net, true, "2600::7", 9) == NET_DROP);
		CHECK(is_frame(answer->guest, answer->guest_length, true,
			       GATEWAY6, &packet));
		CHECK(packet.transport[0] == 1 && packet.transport[1] == 1);
		CHECK(memcmp(packet.transport + 8, ip(), net.length - 14) == 0);
	}
	/* As much as fits (RFC 1812, 4.3.2.3; RFC 4443, 2.4) */
	fake_make_udp(&net, true, "192.0.2.7", 1, 9, long_payload, 1400);
	CHECK(fake_send(&net, true) == NET_DROP);
	CHECK(answer->guest_length == 14 + 576);
	fake_make_udp(&net, true, "2600::7", 1, 9, long_payload, 1400);
	CHECK(fake_send(&net, true) == NET_DROP);
	CHECK(answer->guest_length == 14 + 1280);
	fake_net_close(&net);
}

static void prohibitions_are_limited(void)
{
	uint32_t told = 0;

	fake_net_open(&net, "deny");
	for (uint32_t i = 0; i < 1000; i++) {
		fake_udp(&net, true, "192.0.2.7", 4000 + i, 9);
		told += net.answer.guest_length > 0;
	}
	CHECK(told == 50);
	net.now_ms += 1000;
	for (uint32_t i = 0; i < 1000; i++) {
		fake_echo(&net, true, "192.0.2.7", i);
		told += net.answer.guest_length > 0;
	}
	CHECK(told == 100);
	net.now_ms += 10;
	fake_udp(&net, true, "192.0.2.7", 4000, 9);
	CHECK(net.answer.guest_length > 0);
	fake_udp(&net, true, "192.0.2.7", 4000, 9);
	CHECK(net.answer.guest_length == 0);
	/* Resets are not: a client waits for each of them. */
	for (uint32_t i = 0; i < 1000; i++) {
		fake_syn(&net, "192.0.2.7", 80);
		CHECK(net.answer.guest_length > 0);
	}
	fake_net_close(&net);
}

static void nobody_answers_for_a_group(void)
{
	fake_net_open(&net, "allow");
	CHECK(fake_udp(&net, true, "224.0.0.251", 5353, 5353) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	CHECK(fake_udp(&net, true, "ff02::fb", 5353, 5353) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	CHECK(fake_syn(&net, "255.255.255.255", 80) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	fake_make_udp(&net, true, "10.1.2.3", 4000, 9, "hello", 5);
	memset(net.frame, 0xff, 6);
	CHECK(fake_send(&net, true) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	fake_make_tcp(&net, true, &(struct fake_tcp) { .remote = "10.1.2.3" },
		      FAKE_ACK, NULL, 0);
	memset(net.frame, 0xff, 6);
	CHECK(fake_send(&net, true) == NET_DROP);
	CHECK(net.answer.guest_length == 0 && net.answer.nat_length == 0);
	fake_net_close(&net);
}

static void nothing_but_dhcp_passes_under_none(void)
{
	fake_net_open(&net, "deny");
	CHECK(fake_syn(&net, "192.0.2.7", 443) == NET_DROP);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 443) == NET_DROP);
	CHECK(fake_echo(&net, true, GATEWAY4, 1) == NET_DROP);
	CHECK(fake_query(&net, "a.example", FAKE_A) == NET_DROP);
	CHECK(fake_syn(&net, DNS4, 53) == NET_DROP);
	CHECK(dhcp("0.0.0.0", "255.255.255.255", 68, 67) == NET_PASS);
	fake_net_close(&net);
}

/* Frames of all lengths, and with each bit changed: no sanitizer complains. */
static void damaged_frames_do_no_harm(void)
{
	static uint8_t good[256];
	uint8_t *exact;
	uint32_t length;

	fake_net_open(&net, "deny; allow a.example");
	fake_query(&net, "a.example", FAKE_A);
	length = net.length;
	memcpy(good, net.frame, length);
	for (uint32_t cut = 0; cut <= length; cut++) {
		exact = malloc(cut ? cut : 1);
		memcpy(exact, good, cut);
		CHECK(net.filter->from_guest(net.filter, exact, cut, 1000000,
					     &net.answer) ==
		      (cut < length ? NET_DROP : NET_PASS));
		net.filter->to_guest(net.filter, exact, cut, 1000000,
				     &net.answer);
		free(exact);
	}
	for (uint32_t bit = 0; bit < length * 8; bit++) {
		memcpy(net.frame, good, length);
		net.frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		net.length = length;
		/* Of the receiver in Ethernet nothing depends. */
		CHECK(fake_from_guest(&net) ==
		      (bit < 48 ? NET_PASS : NET_DROP));
		fake_to_guest(&net);
	}
	fake_net_close(&net);
}

int main(void)
{
	TEST(bad_ipv4_is_dropped);
	TEST(bad_ipv6_is_dropped);
	TEST(fragments_are_dropped);
	TEST(bad_transports_are_dropped);
	TEST(only_echoes_of_icmp_are_of_interest);
	TEST(other_ethernet_is_dropped);
	TEST(sources_are_the_guests_own);
	TEST(arp_passes);
	TEST(neighbour_discovery_passes);
	TEST(dhcp_passes);
	TEST(denied_tcp_is_reset_at_once);
	TEST(segments_of_no_connection_reset_both_sides);
	TEST(denied_datagrams_and_echoes_are_prohibited);
	TEST(prohibitions_are_limited);
	TEST(nobody_answers_for_a_group);
	TEST(nothing_but_dhcp_passes_under_none);
	TEST(damaged_frames_do_no_harm);
	return tap_done();
}
