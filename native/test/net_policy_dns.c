/* SPDX-License-Identifier: MIT */
/* Names: what answers teach, for how long, and which queries are answered. */
#include "net/dns.h"
#include "net/names.h"

#include <errno.h>

#include "fake_message.h"
#include "net/packet.h"
#include "tap.h"

static struct fake_net net;
static struct fake_message message;
static struct dns_answer answer;

static int read_answer(void)
{
	/* An exact copy, so that a sanitizer sees every step too far. */
	uint8_t *exact = malloc(message.length ? message.length : 1);
	int result;

	memcpy(exact, message.bytes, message.length);
	result = dns_read_answer(&answer, exact, message.length);
	free(exact);
	return result;
}

static int read_query(struct dns_question *question)
{
	uint8_t *exact = malloc(message.length ? message.length : 1);
	int result;

	memcpy(exact, message.bytes, message.length);
	result = dns_read_query(question, exact, message.length);
	free(exact);
	return result;
}

static void an_answer_is_read(void)
{
	fake_add_question(&message, 0x1234, 0x8180, "WWW.a.Example", FAKE_A);
	fake_add_record(&message, "www.A.example", FAKE_A, 300, "192.0.2.7");
	fake_add_record(&message, "www.a.example", FAKE_A, 60, "192.0.2.8");
	fake_add_record(&message, "www.a.example", FAKE_AAAA, 1, "2600::7");
	CHECK(read_answer() == 0);
	CHECK(answer.question.id == 0x1234);
	CHECK(answer.question.type == FAKE_A);
	CHECK(strcmp(answer.question.name.text, "www.a.example") == 0);
	CHECK(answer.chain_count == 1 && answer.address_count == 3);
	CHECK(answer.addresses[0].ttl_s == 300);
	CHECK(answer.addresses[1].address.bytes[3] == 8);
	CHECK(answer.addresses[2].address.family == CAPSA_ADDRESS_IPV6);
}

static void aliases_are_followed_in_any_order(void)
{
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "c.example", FAKE_A, 100, "192.0.2.7");
	fake_add_record(&message, "b.example", FAKE_CNAME, 20, "c.example");
	fake_add_record(&message, "a.example", FAKE_CNAME, 50, "b.example");
	CHECK(read_answer() == 0);
	CHECK(answer.chain_count == 3 && answer.address_count == 1);
	CHECK(strcmp(answer.chain[2].name.text, "c.example") == 0);
	CHECK(answer.addresses[0].depth == 2);
	/* As long as every record on the way says. */
	CHECK(dns_ttl_s(&answer, &answer.addresses[0], 0) == 20);
	CHECK(dns_ttl_s(&answer, &answer.addresses[0], 1) == 20);
	CHECK(dns_ttl_s(&answer, &answer.addresses[0], 2) == 100);
}

static void records_of_other_names_teach_nothing(void)
{
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "b.example", FAKE_A, 100, "192.0.2.7");
	fake_add_record(&message, "x.example", FAKE_CNAME, 9, "a.example");
	fake_add_record(&message, "x.example", FAKE_A, 100, "192.0.2.8");
	CHECK(read_answer() == 0);
	CHECK(answer.chain_count == 1 && answer.address_count == 0);
	/* Nor do those of other sections. */
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 100, "192.0.2.7");
	fake_put16(message.bytes + 6, 0);
	fake_put16(message.bytes + 10, 1);
	CHECK(read_answer() == 0);
	CHECK(answer.address_count == 0);
	/* Nor a record of another class, or of a wrong size. */
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 100, "192.0.2.7");
	fake_put16(message.bytes + message.length - 12, 3);
	CHECK(read_answer() == 0 && answer.address_count == 0);
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 100, "2600::7");
	CHECK(read_answer() == 0 && answer.address_count == 0);
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_AAAA, 100, "192.0.2.7");
	CHECK(read_answer() == 0 && answer.address_count == 0);
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", 16, 100, "192.0.2.7");
	CHECK(read_answer() == 0 && answer.address_count == 0);
}

static void aliases_that_loop_end(void)
{
	char from[32];
	char to[32];

	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_CNAME, 9, "b.example");
	fake_add_record(&message, "b.example", FAKE_CNAME, 9, "a.example");
	fake_add_record(&message, "b.example", FAKE_A, 9, "192.0.2.7");
	CHECK(read_answer() == 0);
	CHECK(answer.chain_count == 2 && answer.address_count == 1);
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_CNAME, 9, "a.example");
	CHECK(read_answer() == 0 && answer.chain_count == 1);
	/* Longer than anybody's */
	fake_add_question(&message, 1, 0x8180, "n0.example", FAKE_A);
	for (int i = 0; i < 40; i++) {
		snprintf(from, sizeof(from), "n%d.example", i);
		snprintf(to, sizeof(to), "n%d.example", i + 1);
		fake_add_record(&message, from, FAKE_CNAME, 9, to);
	}
	fake_add_record(&message, "n40.example", FAKE_A, 9, "192.0.2.7");
	fake_add_record(&message, "n15.example", FAKE_A, 9, "192.0.2.8");
	CHECK(read_answer() == 0);
	CHECK(answer.chain_count == DNS_CHAIN_MAX);
	CHECK(answer.address_count == 1 && answer.addresses[0].depth == 15);
}

static void an_answer_has_room_for_64_records(void)
{
	char text[32];

	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		fake_add_record(&message, "a.example", FAKE_A, 9, text);
	}
	CHECK(read_answer() == 0);
	CHECK(answer.address_count == DNS_RECORDS_MAX);
}

static void compression_is_understood(void)
{
	fake_add_question(&message, 1, 0x8180, "www.a.example", FAKE_A);
	fake_put16(message.bytes + 6, 2);
	/* www.a.example is an alias of cdn.a.example */
	fake_add_number(&message, 0xc00c, 2);
	fake_add_number(&message, FAKE_CNAME, 2);
	fake_add_number(&message, 1, 2);
	fake_add_number(&message, 60, 4);
	fake_add_number(&message, 6, 2);
	fake_add_number(&message, 3, 1);
	fake_add(&message, "cdn", 3);
	fake_add_number(&message, 0xc010, 2);
	fake_add_number(&message, 0xc000 + message.length - 6, 2);
	fake_add_number(&message, FAKE_A, 2);
	fake_add_number(&message, 1, 2);
	fake_add_number(&message, 60, 4);
	fake_add_number(&message, 4, 2);
	fake_add_number(&message, 0xc0000207, 4);
	CHECK(read_answer() == 0);
	CHECK(answer.chain_count == 2 && answer.address_count == 1);
	CHECK(strcmp(answer.chain[1].name.text, "cdn.a.example") == 0);
	CHECK(answer.addresses[0].depth == 1);
}

/* An answer whose record's owner is these bytes. */
static int owner_is(const void *bytes, uint32_t length)
{
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_put16(message.bytes + 6, 1);
	fake_add(&message, bytes, length);
	fake_add_number(&message, FAKE_A, 2);
	fake_add_number(&message, 1, 2);
	fake_add_number(&message, 60, 4);
	fake_add_number(&message, 4, 2);
	fake_add_number(&message, 0xc0000207, 4);
	return read_answer();
}

static void names_that_are_wrong_are_refused(void)
{
	/* The question ends, and the owner begins, at 27. */
	CHECK(owner_is("\xc0\x0c", 2) == 0 && answer.address_count == 1);
	CHECK(owner_is("\xc0\x1b", 2) < 0); /* itself */
	CHECK(owner_is("\xc0\x1c", 2) < 0); /* its second byte */
	CHECK(owner_is("\xc0\x1d", 2) < 0); /* forward */
	CHECK(owner_is("\xff\xff", 2) < 0);
	CHECK(owner_is("\1a\xc0\x1b", 4) < 0); /* a loop with a label */
	CHECK(owner_is("\x40", 1) < 0);        /* reserved kinds */
	CHECK(owner_is("\x80", 1) < 0);
	CHECK(owner_is("\x3f", 1) < 0); /* longer than what is left */
	/* Pointers to the header: bytes of it are no good name. */
	CHECK(owner_is("\xc0\x00", 2) == 0 && answer.address_count == 0);
}

static void long_names_are_refused(void)
{
	uint8_t name[300] = { 0 };
	struct dns_question question;

	for (int i = 0; i < 4; i++) {
		name[i * 64] = 63;
		memset(name + i * 64 + 1, 'a', 63);
	}
	/* 255 bytes with the root's: RFC 1035, 2.3.4 */
	name[192] = 61;
	message = (struct fake_message) { 0 };
	fake_add_number(&message, 0x00010100, 4);
	fake_add_number(&message, 0x00010000, 4);
	fake_add_number(&message, 0, 4);
	fake_add(&message, name, 192 + 62);
	fake_add_number(&message, 0, 1);
	fake_add_number(&message, 0x00010001, 4);
	CHECK(read_query(&question) == 0);
	CHECK(question.name.length == 253 && !question.is_strange);
	message.length = 12;
	name[192] = 62;
	fake_add(&message, name, 192 + 63);
	fake_add_number(&message, 0, 1);
	fake_add_number(&message, 0x00010001, 4);
	CHECK(read_query(&question) < 0);
}

static void chains_of_pointers_are_bounded(void)
{
	for (int round = 0; round < 2; round++) {
		uint32_t pointers = round == 0 ? 128 : 129;
		uint32_t start;

		fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
		/* A record of no interest whose data are pointers. */
		fake_add_record(&message, "x", 16, 9, "");
		message.length--;
		start = message.length;
		fake_add_number(&message, 0xc00c, 2);
		for (uint32_t i = 1; i < pointers - 1; i++)
			fake_add_number(&message, 0xc000 + message.length - 2,
					2);
		fake_put16(message.bytes + start - 2, message.length - start);
		fake_put16(message.bytes + 6, 2);
		fake_add_number(&message, 0xc000 + message.length - 2, 2);
		fake_add_number(&message, FAKE_A, 2);
		fake_add_number(&message, 1, 2);
		fake_add_number(&message, 60, 4);
		fake_add_number(&message, 4, 2);
		fake_add_number(&message, 0xc0000207, 4);
		CHECK(read_answer() == (round == 0 ? 0 : -EBADMSG));
		CHECK(answer.address_count == (round == 0 ? 1 : 0));
	}
}

static void what_is_no_good_answer_is_refused(void)
{
	static const uint32_t flags[] = {
		0x0180, /* a query */
		0x8980, /* of another kind */
		0x8182, /* a server's failure */
		0x8183, /* no such name */
		0x8185, /* refused */
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		fake_add_question(&message, 1, flags[i], "a.example", FAKE_A);
		fake_add_record(&message, "a.example", FAKE_A, 9, "192.0.2.7");
		CHECK(read_answer() < 0 && answer.address_count == 0);
	}
	for (uint32_t questions = 0; questions < 3; questions += 2) {
		fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
		fake_add_record(&message, "a.example", FAKE_A, 9, "192.0.2.7");
		fake_put16(message.bytes + 4, questions);
		CHECK(read_answer() < 0);
	}
	/* Records that were promised and are not there */
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 9, "192.0.2.7");
	fake_put16(message.bytes + 6, 2);
	CHECK(read_answer() < 0 && answer.address_count == 0);
	/* A label with a dot in it is not two labels. */
	fake_add_question(&message, 1, 0x8180, "a-example", FAKE_A);
	message.bytes[14] = '.';
	CHECK(read_answer() < 0);
	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_CNAME, 9, "b-example");
	message.bytes[message.length - 9] = '.';
	CHECK(read_answer() == 0 && answer.chain_count == 1);
}

static void cut_messages_are_refused(void)
{
	uint32_t length;
	struct dns_question question;

	fake_add_question(&message, 1, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_CNAME, 9, "b.example");
	fake_add_record(&message, "b.example", FAKE_A, 9, "192.0.2.7");
	length = message.length;
	for (message.length = 0; message.length < length; message.length++)
		CHECK(read_answer() < 0);
	CHECK(read_answer() == 0);
	fake_add_question(&message, 1, 0x0100, "a.example", FAKE_A);
	length = message.length;
	for (message.length = 0; message.length < length; message.length++)
		CHECK(read_query(&question) < 0);
	CHECK(read_query(&question) == 0);
}

static void add_option(uint32_t option_length)
{
	fake_put16(message.bytes + 10, 1);
	fake_add_number(&message, 0, 1);
	fake_add_number(&message, 41, 2);
	fake_add_number(&message, 1232, 2);
	fake_add_number(&message, 0, 4);
	fake_add_number(&message, option_length, 2);
	message.length += option_length;
}

static void queries_have_one_question_and_no_more(void)
{
	struct dns_question question;

#define QUERY() fake_add_question(&message, 1, 0x0100, "a.example", FAKE_A)
	QUERY();
	CHECK(read_query(&question) == 0 && !question.is_extended);
	CHECK(question.end == message.length);
	QUERY();
	add_option(0);
	CHECK(read_query(&question) == 0 && question.is_extended);
	QUERY();
	add_option(12);
	CHECK(read_query(&question) == 0 && question.is_extended);
	QUERY();
	add_option(12);
	message.length--;
	CHECK(read_query(&question) < 0);
	QUERY();
	add_option(0);
	fake_put16(message.bytes + 10, 2);
	CHECK(read_query(&question) < 0);
	QUERY();
	add_option(0);
	message.bytes[message.length - 9] = 42; /* no OPT */
	CHECK(read_query(&question) < 0);
	QUERY();
	message.length++;
	CHECK(read_query(&question) < 0);
	for (uint32_t at = 4; at < 10; at += 2) {
		QUERY();
		fake_put16(message.bytes + at, 2);
		CHECK(read_query(&question) < 0);
	}
	/* A name that ends in the header: "a", and then four bytes of zero */
	QUERY();
	message.length = 12;
	fake_add(&message, "\1a\xc0\x08\0\1\0\1", 8);
	CHECK(read_query(&question) < 0);
	message.length = 12;
	fake_add(&message, "\1a\0\0\1\0\1", 7);
	CHECK(read_query(&question) == 0);
	QUERY();
	message.bytes[2] = 0x81; /* an answer */
	CHECK(read_query(&question) < 0);
	QUERY();
	message.bytes[2] = 0x29; /* an update */
	CHECK(read_query(&question) < 0);
	QUERY();
	message.bytes[message.length - 1] = 3; /* class CHAOS */
	CHECK(read_query(&question) < 0);
}

/* Whether a connection to remote is let begin. */
static bool reaches(const char *remote)
{
	return fake_syn(&net, remote, 80) == NET_PASS;
}

static void an_address_has_its_name_for_its_time(void)
{
	static const struct {
		uint32_t ttl_s;
		uint64_t lasts_s;
	} times[] = {
		{ 300, 330 },      { 0, 31 },
		{ 1, 31 },         { 86400, 86430 },
		{ 604800, 86430 }, { 0x80000001, 31 }, /* RFC 2181, 8 */
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		fake_net_open(&net, "deny; allow a.example");
		CHECK(!reaches("192.0.2.7"));
		CHECK(fake_resolve(&net, "A.example", "192.0.2.7",
				   times[i].ttl_s));
		CHECK(reaches("192.0.2.7"));
		CHECK(!reaches("192.0.2.8"));
		net.now_ms += times[i].lasts_s * 1000 - 1;
		CHECK(reaches("192.0.2.7"));
		net.now_ms += 1;
		CHECK(!reaches("192.0.2.7"));
		fake_net_close(&net);
	}
}

static void a_later_answer_prolongs(void)
{
	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 10));
	net.now_ms += 30000;
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 10));
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 1));
	net.now_ms += 39999;
	CHECK(reaches("192.0.2.7"));
	net.now_ms += 1;
	CHECK(!reaches("192.0.2.7"));
	fake_net_close(&net);
}

static void ipv6_addresses_have_names_too(void)
{
	fake_net_open(&net, "deny; allow a.example");
	CHECK(!reaches("2600::7"));
	CHECK(fake_resolve(&net, "a.example", "2600::7", 10));
	CHECK(reaches("2600::7"));
	CHECK(!reaches("2600::8"));
	fake_net_close(&net);
}

static void every_name_of_a_chain_counts(void)
{
	static const char *const rules[] = {
		"deny; allow www.a.example",
		"deny; allow cdn.example",
		"deny; allow *.edge.example; allow www.a.example",
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		fake_net_open(&net, rules[i]);
		if (i == 1) {
			/* It may not even be asked for under that name. */
			CHECK(fake_query(&net, "www.a.example", FAKE_A) ==
			      NET_DROP);
			fake_net_close(&net);
			continue;
		}
		CHECK(fake_query(&net, "www.a.example", FAKE_A) == NET_PASS);
		fake_add_question(&message, 77, 0x8180, "www.a.example",
				  FAKE_A);
		fake_add_record(&message, "www.a.example", FAKE_CNAME, 60,
				"cdn.example");
		fake_add_record(&message, "cdn.example", FAKE_CNAME, 60,
				"x.edge.example");
		fake_add_record(&message, "x.edge.example", FAKE_A, 60,
				"192.0.2.7");
		CHECK(fake_message_send(&net, false, DNS4, 4000, &message) ==
		      NET_PASS);
		CHECK(reaches("192.0.2.7"));
		CHECK(!reaches("192.0.2.8"));
		fake_net_close(&net);
	}
}

/* Asks and answers with one thing changed; nothing must be learned. */
enum change {
	CHANGE_NOTHING,
	CHANGE_ID,
	CHANGE_PORT,
	CHANGE_NAME,
	CHANGE_TYPE,
	CHANGE_SERVER,
	CHANGE_SERVER_PORT,
	CHANGE_LATE,
	CHANGE_COUNT,
};

static void answers_belong_to_queries(void)
{
	for (int change = 0; change < CHANGE_COUNT; change++) {
		uint32_t port = change == CHANGE_PORT ? 4001 : 4000;
		const char *server = change == CHANGE_SERVER ? DNS6 : DNS4;

		fake_net_open(&net, "deny; allow a.example; allow b.example");
		CHECK(fake_query(&net, "a.example", FAKE_A) == NET_PASS);
		if (change == CHANGE_LATE)
			net.now_ms += 30000;
		fake_add_question(
			&message, change == CHANGE_ID ? 78 : 77, 0x8180,
			change == CHANGE_NAME ? "b.example" : "a.example",
			change == CHANGE_TYPE ? FAKE_AAAA : FAKE_A);
		fake_add_record(&message, "a.example", FAKE_A, 60, "192.0.2.7");
		fake_add_record(&message, "b.example", FAKE_A, 60, "192.0.2.7");
		fake_make_udp(&net, false, server, port,
			      change == CHANGE_SERVER_PORT ? 54 : 53,
			      message.bytes, message.length);
		fake_send(&net, false);
		CHECK(reaches("192.0.2.7") == (change == CHANGE_NOTHING));
		fake_net_close(&net);
	}
}

static void only_the_first_answer_teaches(void)
{
	fake_net_open(&net, "deny; allow a.example");
	CHECK(fake_resolve(&net, "a.example", "192.0.2.7", 60));
	fake_add_question(&message, 77, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 60, "192.0.2.8");
	CHECK(fake_message_send(&net, false, DNS4, 4000, &message) == NET_PASS);
	CHECK(!reaches("192.0.2.8"));
	/* A query that is repeated is still one query. */
	CHECK(fake_query(&net, "a.example", FAKE_A) == NET_PASS);
	CHECK(fake_query(&net, "a.example", FAKE_A) == NET_PASS);
	CHECK(fake_message_send(&net, false, DNS4, 4000, &message) == NET_PASS);
	CHECK(reaches("192.0.2.8"));
	fake_add_question(&message, 77, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 60, "192.0.2.9");
	CHECK(fake_message_send(&net, false, DNS4, 4000, &message) == NET_PASS);
	CHECK(!reaches("192.0.2.9"));
	fake_net_close(&net);
}

static void other_servers_teach_nothing(void)
{
	fake_net_open(&net, "deny; allow a.example; allow 9.9.9.9 udp 53");
	fake_add_question(&message, 77, 0x0100, "a.example", FAKE_A);
	CHECK(fake_message_send(&net, true, "9.9.9.9", 4000, &message) ==
	      NET_PASS);
	fake_add_question(&message, 77, 0x8180, "a.example", FAKE_A);
	fake_add_record(&message, "a.example", FAKE_A, 60, "192.0.2.7");
	CHECK(fake_message_send(&net, false, "9.9.9.9", 4000, &message) ==
	      NET_PASS);
	CHECK(!reaches("192.0.2.7"));
	/* Even what is no DNS may be said there. */
	CHECK(fake_udp(&net, true, "9.9.9.9", 4000, 53) == NET_PASS);
	CHECK(fake_udp(&net, true, DNS4, 4000, 53) == NET_DROP);
	fake_net_close(&net);
}

static void the_oldest_queries_are_forgotten(void)
{
	fake_net_open(&net, "deny; allow a.example");
	for (uint32_t id = 0; id <= 256; id++) {
		fake_add_question(&message, id, 0x0100, "a.example", FAKE_A);
		CHECK(fake_message_send(&net, true, DNS4, 4000, &message) ==
		      NET_PASS);
	}
	for (uint32_t id = 0; id < 2; id++) {
		fake_add_question(&message, id, 0x8180, "a.example", FAKE_A);
		fake_add_record(&message, "a.example", FAKE_A, 60, "192.0.2.7");
		fake_message_send(&net, false, DNS4, 4000, &message);
		CHECK(reaches("192.0.2.7") == (id == 1));
	}
	fake_net_close(&net);
}

/* A refusal for the query in net.frame: its flags, or 0. */
static uint32_t refusal(struct net_packet *packet)
{
	const struct net_answer *given = &net.answer;
	uint32_t question = net.length - (14 + 20 + 8);

	if (packet_parse(packet, given->guest, given->guest_length) < 0 ||
	    !packet_is_sound(packet) || packet->source_port != 53 ||
	    packet->destination_port != 4000 || packet->payload_length < 12 ||
	    memcmp(packet->payload + 12, net.frame + 14 + 28 + 12,
		   question - 12 -
			   (fake_get16(net.frame + 14 + 28 + 10) ? 11 : 0)))
		return 0;
	return fake_get16(packet->payload + 2);
}

static void names_that_no_rule_allows_do_not_exist(void)
{
	struct net_packet packet;

	fake_net_open(&net, "deny; allow *.a.example");
	CHECK(fake_query(&net, "secret.evil.example", FAKE_A) == NET_DROP);
	CHECK(refusal(&packet) == 0x8183); /* RD kept, RA, NXDOMAIN */
	CHECK(fake_get16(packet.payload) == 77);
	CHECK(fake_get32(packet.payload + 4) == 0x00010000);
	CHECK(fake_get32(packet.payload + 8) == 0);
	CHECK(fake_query(&net, "a.example", FAKE_AAAA) == NET_DROP);
	CHECK(refusal(&packet) == 0x8183);
	CHECK(fake_query(&net, "x.a.example", FAKE_A) == NET_PASS);
	CHECK(net.answer.guest_length == 0);
	CHECK(fake_query(&net, "", 2) == NET_DROP); /* the root's servers */
	CHECK(refusal(&packet) == 0x8183);
	/* Over IPv6 as well */
	fake_add_question(&message, 77, 0, "evil.example", FAKE_A);
	CHECK(fake_message_send(&net, true, DNS6, 4000, &message) == NET_DROP);
	CHECK(packet_parse(&packet, net.answer.guest,
			   net.answer.guest_length) == 0 &&
	      packet_is_sound(&packet));
	CHECK(fake_get16(packet.payload + 2) == 0x8083);
	fake_net_close(&net);

	fake_net_open(&net, "allow; deny evil.example");
	CHECK(fake_query(&net, "evil.example", FAKE_A) == NET_DROP);
	CHECK(refusal(&packet) == 0x8183);
	CHECK(fake_query(&net, "www.evil.example", FAKE_A) == NET_PASS);
	CHECK(fake_query(&net, "", 2) == NET_PASS);
	fake_net_close(&net);
}

static void refusals_say_that_they_are_ours(void)
{
	static const uint8_t opt[] = { 0, 0, 41, 4,  0xd0, 0, 0, 0, 0,
				       0, 6, 0,  15, 0,    2, 0, 18 };
	struct net_packet packet;
	uint32_t end;

	fake_net_open(&net, "deny");
	fake_add_question(&message, 77, 0x0110, "a.example", FAKE_A);
	end = message.length;
	add_option(0);
	CHECK(fake_message_send(&net, true, DNS4, 4000, &message) == NET_DROP);
	CHECK(refusal(&packet) == 0x8193); /* RD and CD kept */
	CHECK(packet.payload_length == end + sizeof(opt));
	CHECK(fake_get16(packet.payload + 10) == 1);
	CHECK(memcmp(packet.payload + end, opt, sizeof(opt)) == 0);
	fake_net_close(&net);
}

static void strange_names_never_pass(void)
{
	static const char *const names[] = {
		"a b.example",
		"a\x01.example",
		"\xc3\xbc.example",
		"*.example",
	};
	struct net_packet packet;
	struct capsa_decision line;

	fake_net_open(&net, "open; allow");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		CHECK(fake_query(&net, names[i], FAKE_A) == NET_DROP);
		CHECK(refusal(&packet) == 0x8183);
		CHECK(policy_take_log(net.policy, &line, 1) == 1);
		CHECK(line.reason == CAPSA_REASON_NAME && line.rule == -1);
	}
	fake_add_question(&message, 77, 0x0100, "a-example", FAKE_A);
	message.bytes[14] = '.';
	CHECK(fake_message_send(&net, true, DNS4, 4000, &message) == NET_DROP);
	CHECK(fake_query(&net, "_srv._tcp.a-b.example", 33) == NET_PASS);
	fake_net_close(&net);
}

static void denied_names_deny_their_addresses(void)
{
	struct capsa_decision line;

	/* Learned before the rule was made. */
	fake_net_open(&net, "allow");
	CHECK(fake_resolve(&net, "ads.example", "192.0.2.7", 60));
	CHECK(reaches("192.0.2.7"));
	fake_net_replace(&net, "allow; deny ads.example", false);
	CHECK(!reaches("192.0.2.7"));
	CHECK(policy_take_log(net.policy, &line, 1) == 1);
	CHECK(line.reason == CAPSA_REASON_RULE && line.rule == 0);
	CHECK(strcmp(line.name, "ads.example") == 0);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_DROP);
	CHECK(fake_echo(&net, true, "192.0.2.7", 9) == NET_DROP);
	/* With an allowed name, too, only TLS can tell. */
	CHECK(fake_resolve(&net, "good.example", "192.0.2.7", 60));
	CHECK(reaches("192.0.2.7"));
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_DROP);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 443) == NET_DROP);
	CHECK(fake_echo(&net, true, "192.0.2.7", 9) == NET_DROP);
	CHECK(policy_take_log(net.policy, &line, 1) == 1);
	fake_net_close(&net);

	/* With two that are denied, the first rule is told. */
	fake_net_open(&net, "allow");
	CHECK(fake_resolve(&net, "bad.example", "192.0.2.7", 60));
	CHECK(fake_resolve(&net, "good.example", "192.0.2.7", 60));
	CHECK(fake_resolve(&net, "ads.example", "192.0.2.7", 60));
	for (int round = 0; round < 2; round++) {
		fake_net_replace(
			&net,
			round ? "allow; deny ads.example; deny bad.example"
			      : "allow; deny bad.example; deny ads.example",
			false);
		CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_DROP);
		CHECK(policy_take_log(net.policy, &line, 1) == 1);
		CHECK(line.reason == CAPSA_REASON_AMBIGUOUS && line.rule == 0);
	}
	fake_net_close(&net);

	/* By an alias. */
	fake_net_open(&net, "allow; deny ads.example");
	CHECK(fake_query(&net, "alias.example", FAKE_A) == NET_PASS);
	fake_add_question(&message, 77, 0x8180, "alias.example", FAKE_A);
	fake_add_record(&message, "alias.example", FAKE_CNAME, 60,
			"ads.example");
	fake_add_record(&message, "ads.example", FAKE_A, 60, "192.0.2.7");
	fake_message_send(&net, false, DNS4, 4000, &message);
	CHECK(fake_udp(&net, true, "192.0.2.7", 4000, 9) == NET_DROP);
	policy_take_log(net.policy, &line, 1);
	CHECK(line.reason == CAPSA_REASON_AMBIGUOUS && line.rule == 0);
	fake_net_close(&net);
}

static void an_address_keeps_16_names(void)
{
	static struct names names;
	const struct domain *found[NAMES_PER_ADDRESS_MAX];
	struct net_address address = fake_address("192.0.2.7");
	struct domain domain;
	char text[32];
	bool has_first = false;

	names = (struct names) { .key = { { 3, 4 } } };
	for (uint32_t i = 0; i < 17; i++) {
		int length = snprintf(text, sizeof(text), "n%u.example", i);

		CHECK(domain_read(&domain, (uint8_t *)text, (uint32_t)length));
		/* n3 is the first to expire. */
		names_learn(&names, &address, &domain, i == 3 ? 50 : 100 + i);
	}
	CHECK(names_of(&names, &address, 0, found) == 16);
	for (uint32_t i = 0; i < 16; i++)
		has_first = has_first ||
			    strcmp(found[i]->text, "n3.example") == 0;
	CHECK(!has_first);
	CHECK(names_of(&names, &address, 115, found) == 1);
	CHECK(strcmp(found[0]->text, "n16.example") == 0);
}

static void all_addresses_keep_4096_names(void)
{
	static struct names names;
	const struct domain *found[NAMES_PER_ADDRESS_MAX];
	struct domain domain;
	struct net_address address = { .family = CAPSA_ADDRESS_IPV4 };
	uint32_t kept = 0;

	names = (struct names) { .key = { { 3, 4 } } };
	CHECK(domain_read(&domain, (const uint8_t *)"a.example", 9));
	for (uint32_t i = 0; i < 3 * NAMES_MAX; i++) {
		fake_put32(address.bytes, i);
		names_learn(&names, &address, &domain, 1000);
		CHECK(names_of(&names, &address, 0, found) == 1);
	}
	for (uint32_t i = 0; i < 3 * NAMES_MAX; i++) {
		fake_put32(address.bytes, i);
		if (names_of(&names, &address, 0, found) == 0)
			continue;
		CHECK(i >= 2 * NAMES_MAX); /* the newest */
		kept++;
	}
	CHECK(kept == NAMES_MAX);
}

int main(void)
{
	TEST(an_answer_is_read);
	TEST(aliases_are_followed_in_any_order);
	TEST(records_of_other_names_teach_nothing);
	TEST(aliases_that_loop_end);
	TEST(an_answer_has_room_for_64_records);
	TEST(compression_is_understood);
	TEST(names_that_are_wrong_are_refused);
	TEST(long_names_are_refused);
	TEST(chains_of_pointers_are_bounded);
	TEST(what_is_no_good_answer_is_refused);
	TEST(cut_messages_are_refused);
	TEST(queries_have_one_question_and_no_more);
	TEST(an_address_has_its_name_for_its_time);
	TEST(a_later_answer_prolongs);
	TEST(ipv6_addresses_have_names_too);
	TEST(every_name_of_a_chain_counts);
	TEST(answers_belong_to_queries);
	TEST(only_the_first_answer_teaches);
	TEST(other_servers_teach_nothing);
	TEST(the_oldest_queries_are_forgotten);
	TEST(names_that_no_rule_allows_do_not_exist);
	TEST(refusals_say_that_they_are_ours);
	TEST(strange_names_never_pass);
	TEST(denied_names_deny_their_addresses);
	TEST(an_address_keeps_16_names);
	TEST(all_addresses_keep_4096_names);
	return tap_done();
}
