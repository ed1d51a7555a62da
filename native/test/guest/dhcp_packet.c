/* SPDX-License-Identifier: MIT */
#include "dhcp_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

enum {
	OPTIONS = 240,
	TRANSACTION = 0x01020304,
	ADDRESS = 0x0a000305,
	SERVER = 0x0a000301,
};

static const struct dhcp_client client = {
	.transaction = TRANSACTION,
	.mac = { 2, 1, 2, 3, 4, 5 },
};

/* An answer with these options. */
static size_t answer(uint8_t *packet, const uint8_t *options, size_t length)
{
	uint32_t transaction = TRANSACTION;
	uint32_t address = htonl(ADDRESS);

	memset(packet, 0, DHCP_PACKET_BYTES);
	packet[0] = 2;
	memcpy(packet + 4, &transaction, 4);
	memcpy(packet + 16, &address, 4);
	memcpy(packet + 28, client.mac, sizeof(client.mac));
	memcpy(packet + OPTIONS - 4, (const uint8_t[]) { 99, 130, 83, 99 }, 4);
	memcpy(packet + OPTIONS, options, length);
	return OPTIONS + length;
}

/* Decodes at the end of a block, where a sanitizer sees what is read behind. */
static int decode(const uint8_t *packet, size_t length,
		  struct dhcp_lease *lease)
{
	uint8_t *copy = malloc(length + 1);
	int result;

	if (!copy)
		abort();
	memcpy(copy + 1, packet, length);
	result = dhcp_decode(&client, copy + 1, length, lease);
	free(copy);
	return result;
}

/* The value of an option of what we sent, or NULL. */
static const uint8_t *option_of(const uint8_t *packet, size_t length,
				uint8_t code, uint8_t size)
{
	for (size_t at = OPTIONS; at + 1 < length && packet[at] != 255;
	     at += 2u + packet[at + 1])
		if (packet[at] == code)
			return packet[at + 1] == size ? packet + at + 2 : NULL;
	return NULL;
}

static void a_discovery_is_a_broadcast(void)
{
	struct dhcp_lease lease = { 0 };
	uint8_t packet[DHCP_PACKET_BYTES];
	size_t length = dhcp_encode(&client, DHCP_DISCOVER, &lease, 0, packet);
	uint32_t transaction = TRANSACTION;

	CHECK(length >= 300 && length <= DHCP_PACKET_BYTES);
	CHECK(packet[0] == 1 && packet[1] == 1 && packet[2] == 6);
	CHECK(!memcmp(packet + 4, &transaction, 4));
	CHECK(packet[10] == 0x80);
	CHECK(!memcmp(packet + 28, client.mac, sizeof(client.mac)));
	CHECK(option_of(packet, length, 53, 1) &&
	      *option_of(packet, length, 53, 1) == DHCP_DISCOVER);
	CHECK(!option_of(packet, length, 50, 4));
	CHECK(!option_of(packet, length, 54, 4));
	CHECK(option_of(packet, length, 55, 7));
}

static void a_request_names_address_and_server(void)
{
	struct dhcp_lease lease = { .address = htonl(ADDRESS),
				    .server = htonl(SERVER) };
	uint8_t packet[DHCP_PACKET_BYTES];
	size_t length = dhcp_encode(&client, DHCP_REQUEST, &lease, 0, packet);

	CHECK(option_of(packet, length, 50, 4) &&
	      !memcmp(option_of(packet, length, 50, 4), &lease.address, 4));
	CHECK(option_of(packet, length, 54, 4) &&
	      !memcmp(option_of(packet, length, 54, 4), &lease.server, 4));
	CHECK(!memcmp(packet + 12, "\0\0\0\0", 4));
}

/* RFC 2131, 4.3.2: the address stands in the head, and in no option. */
static void whoever_renews_has_the_address(void)
{
	struct dhcp_lease lease = { .address = htonl(ADDRESS),
				    .server = htonl(SERVER) };
	uint8_t packet[DHCP_PACKET_BYTES];
	size_t length = dhcp_encode(&client, DHCP_REQUEST, &lease, 1, packet);

	CHECK(!memcmp(packet + 12, &lease.address, 4));
	CHECK(packet[10] == 0);
	CHECK(!option_of(packet, length, 50, 4));
	CHECK(!option_of(packet, length, 54, 4));
}

static const uint8_t full[] = { 0,  53, 1,  DHCP_ACK, 1,  4, 255, 255, 255, 0,
				3,  8,  10, 0,        3,  1, 10,  0,   3,   2,
				6,  8,  1,  1,        1,  1, 8,   8,   8,   8,
				26, 2,  5,  220,      51, 4, 0,   1,   0,   0,
				54, 4,  10, 0,        3,  1, 99,  0 };

static void an_answer_has_all_that_it_tells(void)
{
	struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];

	CHECK(decode(packet, answer(packet, full, sizeof(full)), &lease) ==
	      DHCP_ACK);
	CHECK(lease.address == htonl(ADDRESS));
	CHECK(lease.netmask == htonl(0xffffff00));
	CHECK(lease.router == htonl(SERVER));
	CHECK(lease.server == htonl(SERVER));
	CHECK(lease.nameservers[0] == htonl(0x01010101));
	CHECK(lease.nameservers[1] == htonl(0x08080808));
	CHECK(lease.nameservers[2] == 0);
	CHECK(lease.mtu == 1500);
	CHECK(lease.seconds == 65536);
}

/* Cut between options it is another answer, cut within one it is none. */
static void truncated_answers_are_none(void)
{
	uint8_t packet[DHCP_PACKET_BYTES];
	size_t length = answer(packet, full, sizeof(full));
	size_t edge = OPTIONS;
	struct dhcp_lease lease;

	for (size_t cut = 0; cut < OPTIONS; cut++)
		CHECK(decode(packet, cut, &lease) == -EPROTO);
	for (size_t cut = OPTIONS; cut < length; cut++) {
		bool whole;

		while (edge < cut)
			edge += packet[edge] == 0 ? 1 : 2u + packet[edge + 1];
		whole = edge == cut;
		/* Before the type it is of no type. */
		CHECK(decode(packet, cut, &lease) ==
		      (whole && cut >= OPTIONS + 4 ? DHCP_ACK : -EPROTO));
	}
}

static void what_is_for_another_is_no_answer(void)
{
	static const size_t changed[] = { 0, 4, 7, 28, 33, OPTIONS - 1 };
	struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];

	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
		size_t length = answer(packet, full, sizeof(full));

		packet[changed[i]] ^= 1;
		CHECK(decode(packet, length, &lease) == -EPROTO);
	}
}

static void types_of_answers(void)
{
	struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];

	for (unsigned int type = 0; type < 256; type++) {
		uint8_t options[] = { 53, 1, (uint8_t)type, 255 };
		bool good = type == DHCP_OFFER || type == DHCP_ACK;
		size_t length = answer(packet, options, sizeof(options));

		CHECK(decode(packet, length, &lease) ==
		      (good || type == DHCP_NAK ? (int)type : -EPROTO));
		/* Without an address it can only say no. */
		memset(packet + 16, 0, 4);
		CHECK(decode(packet, length, &lease) ==
		      (type == DHCP_NAK ? DHCP_NAK : -EPROTO));
	}
	CHECK(decode(packet, answer(packet, full, 0), &lease) == -EPROTO);
}

static void options_of_wrong_lengths_tell_nothing(void)
{
	static const uint8_t options[] = { 53,  1,  DHCP_OFFER, 1, 3,  255, 255,
					   255, 3,  0,          6, 3,  1,   1,
					   1,   26, 1,          5, 51, 1,   9,
					   54,  2,  1,          1, 255 };
	static const uint8_t wide_type[] = { 53, 2, DHCP_OFFER, 0, 255 };
	static const struct dhcp_lease none = { .address = 0 };
	struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];

	CHECK(decode(packet, answer(packet, options, sizeof(options)),
		     &lease) == DHCP_OFFER);
	lease.address = 0;
	CHECK(!memcmp(&lease, &none, sizeof(none)));
	CHECK(decode(packet, answer(packet, wide_type, sizeof(wide_type)),
		     &lease) == -EPROTO);
}

static void nameservers_have_a_limit(void)
{
	uint8_t options[3 + 2 + 252 + 1] = { 53, 1, DHCP_ACK, 6, 252 };
	struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];

	memset(options + 5, 9, 252);
	options[sizeof(options) - 1] = 255;
	CHECK(decode(packet, answer(packet, options, sizeof(options)),
		     &lease) == DHCP_ACK);
	for (int i = 0; i < DHCP_NAMESERVERS_MAX; i++)
		CHECK(lease.nameservers[i] == htonl(0x09090909));
	CHECK(lease.seconds == 0 && lease.mtu == 0);
}

/* The domains of an answer that has these options behind its type. */
static const char *searched(const uint8_t *options, size_t length)
{
	static struct dhcp_lease lease;
	uint8_t packet[DHCP_PACKET_BYTES];
	uint8_t all[256] = { 53, 1, DHCP_ACK };

	memcpy(all + 3, options, length);
	CHECK(decode(packet, answer(packet, all, 3 + length), &lease) ==
	      DHCP_ACK);
	return lease.search;
}

static void names_are_searched_in_domains(void)
{
	static const uint8_t domain[] = { 15, 4, 'a', '.', 'b', 'c', 255 };
	/* The second points into the first, and is in another part. */
	static const uint8_t search[] = { 15,  1,   'x',  119, 8,   3,
					  'o', 'n', 'e',  3,   'n', 'e',
					  't', 119, 7,    0,   3,   't',
					  'w', 'o', 0xc0, 4,   255 };

	CHECK(strcmp(searched(domain, sizeof(domain)), "a.bc") == 0);
	CHECK(strcmp(searched(search, sizeof(search)), "one.net two.net") == 0);
}

static void domains_that_are_none_are_left_out(void)
{
	static const uint8_t line[] = { 15, 3, 'a', '\n', 'b', 255 };
	static const uint8_t nul[] = { 15, 3, 'a', 0, 'b', 255 };
	static const uint8_t loop[] = { 119, 2, 0xc0, 0, 255 };
	static const uint8_t outside[] = { 119, 2, 0xc0, 9, 255 };
	static const uint8_t cut[] = { 119, 3, 5, 'a', 'b', 255 };
	static const uint8_t second[] = { 119, 9,   1,   'a', 0, 3,
					  'b', ' ', 'c', 0,   0, 255 };

	CHECK(searched(line, sizeof(line))[0] == '\0');
	CHECK(searched(nul, sizeof(nul))[0] == '\0');
	CHECK(searched(loop, sizeof(loop))[0] == '\0');
	CHECK(searched(outside, sizeof(outside))[0] == '\0');
	CHECK(searched(cut, sizeof(cut))[0] == '\0');
	CHECK(strcmp(searched(second, sizeof(second)), "a") == 0);
}

int main(void)
{
	TEST(a_discovery_is_a_broadcast);
	TEST(a_request_names_address_and_server);
	TEST(whoever_renews_has_the_address);
	TEST(an_answer_has_all_that_it_tells);
	TEST(truncated_answers_are_none);
	TEST(what_is_for_another_is_no_answer);
	TEST(types_of_answers);
	TEST(options_of_wrong_lengths_tell_nothing);
	TEST(nameservers_have_a_limit);
	TEST(names_are_searched_in_domains);
	TEST(domains_that_are_none_are_left_out);
	return tap_done();
}
