/* SPDX-License-Identifier: MIT */
/* Server names: how they are read, and what becomes of their connections. */
#include "net/tls.h"

#include "fake_message.h"
#include "net/packet.h"
#include "net/stream.h"
#include "tap.h"

static struct fake_net net;
static struct fake_tcp tcp;
static struct fake_message message;
static struct tls_hello hello;

static enum tls_result read_hello(void)
{
	/* An exact copy, so that a sanitizer sees every step too far. */
	uint8_t *exact = malloc(message.length ? message.length : 1);
	enum tls_result result;

	memcpy(exact, message.bytes, message.length);
	result = tls_read_hello(&hello, exact, message.length);
	free(exact);
	return result;
}

static void a_hello_is_read(void)
{
	fake_hello(&message, "WWW.a.Example", false);
	CHECK(read_hello() == TLS_HELLO);
	CHECK(strcmp(hello.name.text, "www.a.example") == 0);
	CHECK(!hello.is_encrypted);
	CHECK(hello.length == message.length);
	/* What follows does not matter. */
	fake_add(&message, "early data", 10);
	CHECK(read_hello() == TLS_HELLO && hello.length == message.length - 10);
	fake_hello(&message, NULL, false);
	CHECK(read_hello() == TLS_HELLO && hello.name.length == 0);
	fake_hello(&message, "a.example", true);
	CHECK(read_hello() == TLS_HELLO && hello.is_encrypted);
	CHECK(strcmp(hello.name.text, "a.example") == 0);
	fake_hello(&message, "a.example.", false);
	CHECK(read_hello() == TLS_HELLO);
	CHECK(strcmp(hello.name.text, "a.example") == 0);
}

static void extensions_may_be_absent(void)
{
	/* As before TLS 1.2 (RFC 5246, 7.4.1.2): the body ends here. */
	fake_hello(&message, NULL, false);
	message.length -= 9;
	fake_put16(message.bytes + 3, message.length - 5);
	fake_put16(message.bytes + 7, message.length - 9);
	CHECK(read_hello() == TLS_HELLO && hello.name.length == 0);
}

static void every_cut_asks_for_more(void)
{
	uint32_t length;

	fake_hello(&message, "a.example", false);
	length = message.length;
	for (message.length = 0; message.length < length; message.length++)
		CHECK(read_hello() == TLS_MORE);
	CHECK(read_hello() == TLS_HELLO);
}

/* The hello in message again, in records of at most size bytes. */
static void split_records(uint32_t size)
{
	static struct fake_message whole;
	uint32_t at = 5;

	whole = message;
	message.length = 0;
	while (at < whole.length) {
		uint32_t part = whole.length - at;

		if (part > size)
			part = size;
		fake_add_number(&message, 0x160303, 3);
		fake_add_number(&message, part, 2);
		fake_add(&message, whole.bytes + at, part);
		at += part;
	}
}

static void a_hello_may_lie_in_many_records(void)
{
	for (uint32_t size = 1; size < 200; size++) {
		uint32_t length;

		fake_hello(&message, "a.example", false);
		split_records(size);
		CHECK(read_hello() == TLS_HELLO);
		CHECK(strcmp(hello.name.text, "a.example") == 0);
		CHECK(hello.length == message.length);
		length = message.length;
		for (message.length = 0; message.length < length;
		     message.length++)
			CHECK(read_hello() == TLS_MORE);
	}
}

static void other_protocols_are_told_by_their_first_byte(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		message = (struct fake_message) { .length = 1 };
		message.bytes[0] = (uint8_t)byte;
		CHECK(read_hello() == (byte == 22 ? TLS_MORE : TLS_OTHER));
		CHECK(byte == 22 || hello.length == 1);
	}
}

/* A hello with a byte changed. */
static enum tls_result changed(uint32_t at, uint8_t byte)
{
	fake_hello(&message, "a.example", false);
	message.bytes[at] = byte;
	return read_hello();
}

static void broken_hellos_are_refused(void)
{
	/* Offsets: 5 handshake, 43 session, 76 suites, 82 compression, 84 all
	 * extensions, 86 first extension, 93 server name, 102 its text. */
	CHECK(changed(1, 2) == TLS_BROKEN); /* major version */
	CHECK(changed(5, 2) == TLS_BROKEN); /* a server's hello */
	CHECK(changed(43, 255) == TLS_BROKEN);
	CHECK(changed(76, 255) == TLS_BROKEN);
	CHECK(changed(82, 255) == TLS_BROKEN);
	CHECK(changed(85, 7 + 18 + 1) == TLS_BROKEN);
	CHECK(changed(85, 7 + 18 - 1) == TLS_BROKEN);
	CHECK(changed(85, 0) == TLS_BROKEN);
	CHECK(changed(89, 255) == TLS_BROKEN);
	CHECK(changed(96, 13) == TLS_BROKEN); /* length of the extension */
	CHECK(changed(98, 11) == TLS_BROKEN); /* of the list */
	CHECK(changed(98, 13) == TLS_BROKEN);
	CHECK(changed(99, 1) == TLS_BROKEN);  /* no name of a host */
	CHECK(changed(101, 8) == TLS_BROKEN); /* of the name */
	CHECK(changed(101, 10) == TLS_BROKEN);
	CHECK(changed(101, 0) == TLS_BROKEN);
	CHECK(changed(102, '.') == TLS_BROKEN);
	CHECK(changed(102, 0) == TLS_BROKEN);
	CHECK(changed(102, ' ') == TLS_BROKEN);
	CHECK(changed(102, 'b') == TLS_HELLO);
	/* An extension's head that is cut by the end of all of them */
	fake_hello(&message, NULL, false);
	fake_add(&message, "\x00", 1);
	fake_put16(message.bytes + 3, message.length - 5);
	fake_put16(message.bytes + 7, message.length - 9);
	fake_put16(message.bytes + 84, message.length - 86);
	CHECK(read_hello() == TLS_BROKEN);
	/* Records of nothing, too long, of another kind */
	fake_hello(&message, "a.example", false);
	split_records(20);
	fake_put16(message.bytes + 25 + 3, 0);
	CHECK(read_hello() == TLS_BROKEN);
	fake_put16(message.bytes + 25 + 3, 16385);
	CHECK(read_hello() == TLS_BROKEN);
	fake_put16(message.bytes + 25 + 3, 20);
	CHECK(read_hello() == TLS_HELLO);
	message.bytes[25] = 21;
	CHECK(read_hello() == TLS_BROKEN);
}

static void two_server_names_are_one_too_many(void)
{
	uint8_t copy[18];

	fake_hello(&message, "a.example", false);
	memcpy(copy, message.bytes + 93, sizeof(copy));
	fake_add(&message, copy, sizeof(copy));
	fake_put16(message.bytes + 3, message.length - 5);
	fake_put16(message.bytes + 7, message.length - 9);
	fake_put16(message.bytes + 84, message.length - 86);
	CHECK(read_hello() == TLS_BROKEN);
	/* In one extension */
	fake_hello(&message, "a.example", false);
	memcpy(copy, message.bytes + 99, 12);
	fake_add(&message, copy, 12);
	fake_put16(message.bytes + 3, message.length - 5);
	fake_put16(message.bytes + 7, message.length - 9);
	fake_put16(message.bytes + 84, message.length - 86);
	fake_put16(message.bytes + 95, 26);
	fake_put16(message.bytes + 97, 24);
	CHECK(read_hello() == TLS_BROKEN);
}

static void long_names_are_refused(void)
{
	char name[300];

	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	name[253] = '\0';
	fake_hello(&message, name, false);
	CHECK(read_hello() == TLS_HELLO && hello.name.length == 253);
	name[253] = '.';
	name[254] = '\0';
	fake_hello(&message, name, false);
	CHECK(read_hello() == TLS_HELLO && hello.name.length == 253);
	name[253] = 'a';
	fake_hello(&message, name, false);
	CHECK(read_hello() == TLS_BROKEN);
	name[254] = 'a';
	name[260] = '\0';
	fake_hello(&message, name, false);
	CHECK(read_hello() == TLS_BROKEN);
}

/* A machine that may reach a.example, which is at 192.0.2.7 with others. */
static void open_shared(const char *rules)
{
	fake_net_open(&net, rules);
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
}

/* Whether the guest's bytes in message pass, in segments of size. */
static bool sends(uint32_t size)
{
	for (uint32_t at = 0; at < message.length; at += size) {
		uint32_t part = message.length - at;

		if (part > size)
			part = size;
		if (fake_data(&net, &tcp, message.bytes + at, part) != NET_PASS)
			return false;
	}
	return true;
}

/* The last frame was answered by a reset of both sides. */
static bool is_cut(void)
{
	struct net_packet to_guest;
	struct net_packet to_nat;
	const struct net_answer *answer = &net.answer;

	return packet_parse(&to_guest, answer->guest, answer->guest_length) ==
		       0 &&
	       packet_parse(&to_nat, answer->nat, answer->nat_length) == 0 &&
	       packet_is_sound(&to_guest) && packet_is_sound(&to_nat) &&
	       to_guest.tcp_flags & FAKE_RST && to_nat.tcp_flags & FAKE_RST &&
	       to_guest.sequence == tcp.nat_next &&
	       to_nat.sequence == tcp.guest_next &&
	       fake_data(&net, &tcp, "more", 4) == NET_DROP;
}

static bool is_logged(uint32_t reason, const char *name)
{
	struct capsa_decision lines[8];
	uint32_t count = policy_take_log(net.policy, lines, 8);

	return count >= 1 && lines[0].reason == reason &&
	       lines[0].action == CAPSA_ACTION_DENY &&
	       lines[0].server_name != 0 && strcmp(lines[0].name, name) == 0;
}

static void the_server_name_has_to_be_allowed(void)
{
	static const uint32_t sizes[] = { 1, 7, 100, 5000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		open_shared("deny; allow a.example");
		fake_hello(&message, "a.example", false);
		CHECK(sends(sizes[i]));
		CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
		CHECK(fake_data(&net, &tcp, "more", 4) == NET_PASS);
		fake_net_close(&net);

		open_shared("deny; allow a.example");
		fake_hello(&message, "evil.example", false);
		CHECK(!sends(sizes[i]));
		CHECK(is_cut());
		CHECK(is_logged(CAPSA_REASON_SERVER_NAME, "evil.example"));
		fake_net_close(&net);
	}
	/* The same rules: any name that they allow, on this port. */
	open_shared("deny; allow a.example; allow tcp 443 b.example; "
		    "allow tcp 80 c.example");
	fake_hello(&message, "b.example", false);
	CHECK(sends(5000));
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	fake_hello(&message, "c.example", false);
	CHECK(!sends(5000));
	fake_net_close(&net);
}

static void no_server_name_is_denied(void)
{
	for (int round = 0; round < 3; round++) {
		open_shared("deny; allow a.example");
		fake_hello(&message, round == 0 ? NULL : "a.example",
			   round == 1);
		if (round == 2)
			message.bytes[5] = 2; /* broken */
		CHECK(!sends(5000));
		CHECK(is_cut());
		CHECK(is_logged(CAPSA_REASON_NO_SERVER_NAME, ""));
		fake_net_close(&net);
	}
}

static void a_hello_without_end_is_denied(void)
{
	static uint8_t endless[20000];

	open_shared("deny; allow a.example");
	/* Cipher suites and cipher suites */
	memcpy(endless, "\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9);
	fake_put16(endless + 44, 0xff00);
	for (uint32_t at = 0; at + 1000 < STREAM_BYTES_MAX; at += 1000)
		CHECK(fake_data(&net, &tcp, endless + at, 1000) == NET_PASS);
	CHECK(fake_data(&net, &tcp, endless, 1000) == NET_DROP);
	CHECK(is_cut());
	fake_net_close(&net);
}

static void other_protocols_pass_for_the_address(void)
{
	open_shared("deny; allow a.example");
	CHECK(fake_data(&net, &tcp, "SSH-2.0-x\r\n", 11) == NET_PASS);
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	/* From now on nobody looks. */
	fake_hello(&message, "evil.example", false);
	CHECK(sends(5000));
	fake_net_close(&net);
	/* The server may speak first. */
	open_shared("deny; allow a.example");
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, "220 hello\r\n", 11) ==
	      NET_PASS);
	tcp.nat_next += 11;
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK, NULL, 0) == NET_PASS);
	CHECK(fake_data(&net, &tcp, "EHLO x\r\n", 8) == NET_PASS);
	fake_net_close(&net);
}

static void tls_tells_an_allowed_name_from_a_denied_one(void)
{
	const char *rules = "allow; deny ads.example";

	for (int round = 0; round < 4; round++) {
		fake_net_open(&net, "allow");
		CHECK(fake_resolve(&net, "ads.example", "192.0.2.7", 60));
		CHECK(fake_resolve(&net, "good.example", "192.0.2.7", 60));
		fake_net_replace(&net, rules, false);
		CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
		fake_hello(&message,
			   round == 0   ? "good.example"
			   : round == 1 ? "ads.example"
			   : round == 2 ? NULL
					: "other.example",
			   false);
		CHECK(sends(5000) == (round == 0 || round == 3));
		if (round == 1)
			CHECK(is_logged(CAPSA_REASON_SERVER_NAME,
					"ads.example"));
		/* Where there is none to tell, it is denied. */
		CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
		CHECK(fake_data(&net, &tcp, "GET /", 5) == NET_DROP);
		CHECK(is_cut());
		fake_net_close(&net);
	}
}

static void a_denied_name_is_denied_at_any_address(void)
{
	fake_net_open(&net, "allow; deny ads.example");
	fake_hello(&message, "ads.example", false);
	CHECK(fake_connect(&net, &tcp, "192.0.2.99", 8443));
	CHECK(!sends(100));
	CHECK(is_cut());
	fake_hello(&message, "good.example", false);
	CHECK(fake_connect(&net, &tcp, "192.0.2.99", 443));
	CHECK(sends(100));
	/* What cannot be read is the default's. */
	fake_hello(&message, NULL, false);
	CHECK(fake_connect(&net, &tcp, "192.0.2.99", 443));
	CHECK(sends(100));
	fake_hello(&message, "good.example", true);
	CHECK(fake_connect(&net, &tcp, "192.0.2.99", 443));
	CHECK(sends(100));
	CHECK(fake_connect(&net, &tcp, "192.0.2.99", 443));
	CHECK(fake_data(&net, &tcp, "GET /", 5) == NET_PASS);
	fake_net_close(&net);
}

/* Without rules for domains, nobody looks into connections. */
static void other_connections_are_let_be(void)
{
	fake_net_open(&net, "deny; allow tcp 443");
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	fake_hello(&message, NULL, true);
	CHECK(sends(100));
	tcp.guest_next += 100000; /* not even in order */
	CHECK(sends(100));
	fake_net_close(&net);
}

/*
 * The guest sends bytes again that are not the same: the NAT may not have
 * taken the first ones.
 */
static void what_was_judged_cannot_be_changed(void)
{
	static struct fake_message evil;
	struct fake_tcp before;

	fake_hello(&message, "a.example", false);
	fake_hello(&evil, "b.example", false);

	open_shared("deny; allow a.example");
	before = tcp;
	CHECK(sends(5000));
	/* The very same is fine, a part of it too. */
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, message.bytes,
			   message.length) == NET_PASS);
	before.guest_next += 10;
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, message.bytes + 10,
			   20) == NET_PASS);
	before.guest_next -= 10;
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, evil.bytes,
			   evil.length) == NET_DROP);
	CHECK(net.answer.nat_length > 0);
	CHECK(fake_data(&net, &tcp, "more", 4) == NET_DROP);
	fake_net_close(&net);

	/* Also while the NAT has taken some of it only. */
	open_shared("deny; allow a.example");
	before = tcp;
	CHECK(sends(5000));
	tcp.guest_next--;
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, evil.bytes,
			   evil.length) == NET_DROP);
	fake_net_close(&net);

	/* Once it has all, the rest is its own affair. */
	open_shared("deny; allow a.example");
	before = tcp;
	CHECK(sends(5000));
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, evil.bytes,
			   evil.length) == NET_PASS);
	fake_net_close(&net);

	/* Before the verdict. */
	open_shared("deny; allow a.example");
	before = tcp;
	message.length = 50;
	CHECK(sends(5000));
	CHECK(fake_segment(&net, true, &before, FAKE_ACK, "\x17", 1) ==
	      NET_DROP);
	CHECK(fake_data(&net, &tcp, "more", 4) == NET_DROP);
	fake_net_close(&net);
}

static void first_bytes_come_in_order(void)
{
	open_shared("deny; allow a.example");
	fake_hello(&message, "a.example", false);
	/* Ahead, and behind the beginning: dropped, to be sent again. */
	tcp.guest_next += 1;
	CHECK(fake_data(&net, &tcp, message.bytes + 1, 50) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	tcp.guest_next -= 2;
	CHECK(fake_data(&net, &tcp, message.bytes, 50) == NET_DROP);
	tcp.guest_next += 1;
	/* Urgent bytes are not where the receiver finds them. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_URG, message.bytes,
			   50) == NET_DROP);
	CHECK(net.answer.nat_length > 0);
	CHECK(!sends(5000));
	fake_net_close(&net);
	/* Overlapping segments are fine as long as they agree. */
	open_shared("deny; allow a.example");
	for (uint32_t end = 20; end < message.length; end += 7)
		for (uint32_t part = end; part >= 10; part -= 10)
			CHECK(fake_segment(&net, true, &tcp, FAKE_ACK,
					   message.bytes, part) == NET_PASS);
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK, message.bytes,
			   message.length) == NET_PASS);
	fake_net_close(&net);
}

/* The NAT has another connection in mind: one that began elsewhere. */
static void sides_that_do_not_agree_are_cut(void)
{
	struct fake_tcp other;

	/* It accepts another number. */
	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	tcp = fake_tcp_to("192.0.2.7", 443);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	CHECK(fake_segment(&net, false, &tcp, FAKE_SYN | FAKE_ACK, NULL, 0) ==
	      NET_DROP); /* acknowledges the number before */
	CHECK(net.answer.nat_length > 0 && net.answer.guest_length > 0);
	fake_net_close(&net);

	/* It goes on without having accepted. */
	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	tcp = fake_tcp_to("192.0.2.7", 443);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	tcp.guest_next++;
	/* Neither has the guest anything to say until then. */
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK, "hello", 5) == NET_DROP);
	CHECK(fake_segment(&net, false, &tcp, FAKE_ACK, NULL, 0) == NET_DROP);
	CHECK(net.answer.nat_length > 0);
	fake_net_close(&net);

	/* It acknowledges what was never sent, or nothing. */
	for (int round = 0; round < 3; round++) {
		open_shared("deny; allow a.example");
		fake_hello(&message, "a.example", false);
		message.length = 50;
		CHECK(sends(5000));
		other = tcp;
		other.guest_next += round == 0   ? 1
				    : round == 1 ? (uint32_t)-51
						 : 0x40000000;
		CHECK(fake_segment(&net, false, &other, FAKE_ACK, NULL, 0) ==
		      NET_DROP);
		CHECK(net.answer.nat_length > 0);
		CHECK(fake_data(&net, &tcp, message.bytes + 50, 1) == NET_DROP);
		fake_net_close(&net);
	}
	/* Whatever another connection did in the same place before. */
	open_shared("deny; allow a.example");
	fake_hello(&message, "a.example", false);
	CHECK(sends(5000));
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	message.length = 50;
	CHECK(sends(5000));
	tcp.guest_next += 20;
	CHECK(fake_acknowledge(&net, &tcp) == NET_DROP);
	fake_net_close(&net);
	open_shared("deny; allow a.example");
	CHECK(fake_segment(&net, false, &tcp, 0, "hello", 5) == NET_DROP);
	fake_net_close(&net);
}

static void an_end_has_a_number_too(void)
{
	/* Before the first byte. */
	open_shared("deny; allow a.example");
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_PASS);
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_PASS);
	CHECK(fake_data(&net, &tcp, "x", 1) == NET_DROP);
	tcp.guest_next++;
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK, NULL, 0) == NET_PASS);
	/* It is no byte that a name could begin behind. */
	fake_hello(&message, "evil.example", false);
	CHECK(!sends(5000));
	fake_net_close(&net);

	/* In the middle of the hello, where it must not be. */
	open_shared("deny; allow a.example");
	fake_hello(&message, "a.example", false);
	CHECK(fake_data(&net, &tcp, message.bytes, 50) == NET_PASS);
	tcp.guest_next -= 10;
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_DROP);
	tcp.guest_next += 20;
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, NULL, 0) ==
	      NET_DROP);
	fake_net_close(&net);

	/* With the last bytes of it. */
	open_shared("deny; allow a.example");
	CHECK(fake_segment(&net, true, &tcp, FAKE_ACK | FAKE_FIN, message.bytes,
			   message.length) == NET_PASS);
	tcp.guest_next += message.length + 1;
	CHECK(fake_acknowledge(&net, &tcp) == NET_PASS);
	fake_net_close(&net);
}

static void a_handshake_carries_no_data(void)
{
	fake_net_open(&net, "allow");
	tcp = fake_tcp_to("192.0.2.7", 443);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, "hello", 5) == NET_DROP);
	CHECK(net.answer.guest_length == 0);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN, NULL, 0) == NET_PASS);
	CHECK(fake_segment(&net, true, &tcp, FAKE_SYN | FAKE_ACK, NULL, 0) ==
	      NET_DROP);
	fake_net_close(&net);
}

static void no_more_than_256_at_a_time(void)
{
	static struct fake_tcp many[STREAMS_MAX + 1];

	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	fake_hello(&message, "a.example", false);
	for (uint32_t i = 0; i <= STREAMS_MAX; i++) {
		CHECK(fake_connect(&net, &many[i], "192.0.2.7", 443));
		CHECK(fake_data(&net, &many[i], message.bytes, 50) ==
		      (i < STREAMS_MAX ? NET_PASS : NET_DROP));
		CHECK(net.answer.guest_length == 0);
	}
	/* One is through with it; the one that waited sends again. */
	CHECK(fake_data(&net, &many[9], message.bytes + 50,
			message.length - 50) == NET_PASS);
	CHECK(fake_acknowledge(&net, &many[9]) == NET_PASS);
	CHECK(fake_data(&net, &many[STREAMS_MAX], message.bytes, 50) ==
	      NET_PASS);
	/* One ends. */
	CHECK(fake_connect(&net, &tcp, "192.0.2.7", 443));
	CHECK(fake_data(&net, &tcp, message.bytes, 50) == NET_DROP);
	CHECK(fake_segment(&net, true, &many[10], FAKE_RST, NULL, 0) ==
	      NET_PASS);
	CHECK(fake_data(&net, &tcp, message.bytes, 50) == NET_PASS);
	/* Those that never go on make room after a while. */
	net.now_ms += 240 * 1000;
	fake_hello(&message, "a.example", false);
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	for (uint32_t i = 0; i < STREAMS_MAX / 2; i++) {
		CHECK(fake_connect(&net, &many[i], "192.0.2.7", 443));
		CHECK(fake_data(&net, &many[i], message.bytes, 50) == NET_PASS);
	}
	fake_net_close(&net);
}

int main(void)
{
	TEST(a_hello_is_read);
	TEST(extensions_may_be_absent);
	TEST(every_cut_asks_for_more);
	TEST(a_hello_may_lie_in_many_records);
	TEST(other_protocols_are_told_by_their_first_byte);
	TEST(broken_hellos_are_refused);
	TEST(two_server_names_are_one_too_many);
	TEST(long_names_are_refused);
	TEST(the_server_name_has_to_be_allowed);
	TEST(no_server_name_is_denied);
	TEST(a_hello_without_end_is_denied);
	TEST(other_protocols_pass_for_the_address);
	TEST(tls_tells_an_allowed_name_from_a_denied_one);
	TEST(a_denied_name_is_denied_at_any_address);
	TEST(other_connections_are_let_be);
	TEST(what_was_judged_cannot_be_changed);
	TEST(first_bytes_come_in_order);
	TEST(sides_that_do_not_agree_are_cut);
	TEST(an_end_has_a_number_too);
	TEST(a_handshake_carries_no_data);
	TEST(no_more_than_256_at_a_time);
	return tap_done();
}
