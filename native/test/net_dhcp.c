/* SPDX-License-Identifier: MIT */
#include "net/dhcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "tap.h"

enum {
	GUEST = 0x0a00020f, /* 10.0.2.15 */
	SERVER = 0x0a000202,
	MESSAGE = FRAME_IP + FRAME_IPV4_HEADER + FRAME_UDP_HEADER,
	OPTIONS = MESSAGE + 240,
};

static const uint8_t mac[NET_MAC_BYTES] = { 2, 1, 2, 3, 4, 5 };

static struct dhcp_config server(void)
{
	return (struct dhcp_config) {
		.server_mac = { 0x52, 0x55, 10, 0, 2, 2 },
		.server = SERVER,
		.mask = 0xffffff00,
		.router = SERVER,
		.dns_count = 2,
		.dns = { 0x0a000203, 0x01010101 },
	};
}

struct request {
	uint8_t frame[1500];
	uint32_t length;
};

/* A request with these options behind the magic cookie. */
static struct request request_with(const uint8_t *options, uint32_t length)
{
	struct request request = { .length = OPTIONS + length };
	uint8_t *ip = request.frame + FRAME_IP;
	uint8_t *udp = ip + FRAME_IPV4_HEADER;
	uint8_t *message = udp + FRAME_UDP_HEADER;

	memset(request.frame, 0xff, NET_MAC_BYTES);
	memcpy(request.frame + FRAME_SOURCE, mac, sizeof(mac));
	frame_write16(request.frame + 12, 0x0800);
	ip[0] = 0x45;
	frame_write16(ip + 2, (uint16_t)(request.length - FRAME_IP));
	ip[9] = IPPROTO_UDP;
	frame_write32(ip + 16, INADDR_BROADCAST);
	frame_write16(udp, 68);
	frame_write16(udp + 2, 67);
	frame_write16(udp + 4, (uint16_t)(request.length - FRAME_IP -
					  FRAME_IPV4_HEADER));
	message[0] = 1;
	message[1] = 1;
	message[2] = 6;
	frame_write32(message + 4, 0xfeedbeef);
	memcpy(message + 28, mac, sizeof(mac));
	frame_write32(message + 236, 0x63825363);
	memcpy(request.frame + OPTIONS, options, length);
	return request;
}

static uint32_t answer(const struct dhcp_config *config,
		       const struct request *request, uint8_t *out)
{
	struct frame_view view;

	if (frame_parse(&view, request->frame, request->length,
			request->length) < 0 ||
	    !dhcp_is_request(&view))
		return 0;
	return dhcp_answer(config, GUEST, mac, request->frame, &view, out);
}

/* The value of an option of an answer, or NULL. */
static const uint8_t *option(const uint8_t *frame, uint32_t length,
			     uint8_t wanted, uint8_t *size)
{
	uint32_t at = OPTIONS;

	while (at + 2 <= length && frame[at] != 255) {
		*size = frame[at + 1];
		if (frame[at] == wanted)
			return frame + at + 2;
		at += 2u + *size;
	}
	return NULL;
}

static uint32_t option32(const uint8_t *frame, uint32_t length, uint8_t wanted)
{
	uint8_t size;
	const uint8_t *value = option(frame, length, wanted, &size);

	return value && size == 4 ? frame_read32(value) : 0;
}

static uint8_t type_of(const uint8_t *frame, uint32_t length)
{
	uint8_t size;
	const uint8_t *value = option(frame, length, 53, &size);

	return value && size == 1 ? *value : 0;
}

/* Whether the checksums of IP and UDP hold. */
static bool is_sound(const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + FRAME_IP;
	uint8_t pseudo[12] = { 0 };
	uint32_t sum;

	memcpy(pseudo, ip + 12, 8);
	pseudo[9] = IPPROTO_UDP;
	memcpy(pseudo + 10, ip + FRAME_IPV4_HEADER + 4, 2);
	sum = frame_sum(0, pseudo, sizeof(pseudo));
	sum = frame_sum(sum, ip + FRAME_IPV4_HEADER,
			length - FRAME_IP - FRAME_IPV4_HEADER);
	return frame_checksum(frame_sum(0, ip, FRAME_IPV4_HEADER)) == 0 &&
	       frame_checksum(sum) == 0;
}

static void a_discovery_is_offered_the_address(void)
{
	const uint8_t options[] = { 53, 1, 1, 55, 2, 1, 3, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(options, sizeof(options));
	uint8_t out[DHCP_FRAME_MAX];
	uint32_t length = answer(&config, &request, out);
	uint8_t size = 0;
	const uint8_t *dns;

	CHECK(length > OPTIONS);
	CHECK(memcmp(out, mac, sizeof(mac)) == 0);
	CHECK(memcmp(out + FRAME_SOURCE, config.server_mac, 6) == 0);
	CHECK(is_sound(out, length));
	CHECK(frame_read32(out + FRAME_IP + 16) == INADDR_BROADCAST);
	CHECK(out[MESSAGE] == 2);
	CHECK(frame_read32(out + MESSAGE + 4) == 0xfeedbeef);
	CHECK(frame_read32(out + MESSAGE + 16) == GUEST);
	CHECK(type_of(out, length) == 2);
	CHECK(option32(out, length, 54) == SERVER);
	CHECK(option32(out, length, 51) == UINT32_MAX);
	CHECK(option32(out, length, 1) == 0xffffff00);
	CHECK(option32(out, length, 3) == SERVER);
	dns = option(out, length, 6, &size);
	CHECK(dns && size == 8 && frame_read32(dns + 4) == 0x01010101);
	CHECK(!option(out, length, 119, &size));
}

static void a_switch_of_its_own_has_no_router(void)
{
	const uint8_t options[] = { 53, 1, 1, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(options, sizeof(options));
	uint8_t out[DHCP_FRAME_MAX];
	uint32_t length;
	uint8_t size;

	config.router = 0;
	config.dns_count = 0;
	length = answer(&config, &request, out);
	CHECK(length > 0);
	CHECK(!option(out, length, 3, &size));
	CHECK(!option(out, length, 6, &size));
}

static void a_request_is_granted_or_refused(void)
{
	uint8_t right[] = { 53, 1, 3, 50, 4, 10, 0, 2, 15, 255 };
	const uint8_t bare[] = { 53, 1, 3, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(right, sizeof(right));
	uint8_t out[DHCP_FRAME_MAX];
	uint32_t length = answer(&config, &request, out);

	CHECK(type_of(out, length) == 5);
	CHECK(frame_read32(out + MESSAGE + 16) == GUEST);

	right[8] = 16;
	request = request_with(right, sizeof(right));
	length = answer(&config, &request, out);
	CHECK(type_of(out, length) == 6);
	CHECK(frame_read32(out + MESSAGE + 16) == 0);
	CHECK(option32(out, length, 51) == 0);
	CHECK(is_sound(out, length));

	/* One that renews its lease says so with its own address. */
	request = request_with(bare, sizeof(bare));
	CHECK(type_of(out, answer(&config, &request, out)) == 6);
	frame_write32(request.frame + MESSAGE + 12, GUEST);
	length = answer(&config, &request, out);
	CHECK(type_of(out, length) == 5);
	CHECK(frame_read32(out + FRAME_IP + 16) == GUEST);
}

static void another_servers_client_is_left_alone(void)
{
	const uint8_t options[] = { 53, 1,  3, 50, 4, 10, 0,  2,
				    15, 54, 4, 10, 0, 2,  99, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(options, sizeof(options));
	uint8_t out[DHCP_FRAME_MAX];

	CHECK(answer(&config, &request, out) == 0);
}

static void one_with_an_address_may_ask_for_the_rest(void)
{
	const uint8_t options[] = { 53, 1, 8, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(options, sizeof(options));
	uint8_t out[DHCP_FRAME_MAX];
	uint32_t length;

	frame_write32(request.frame + MESSAGE + 12, GUEST);
	length = answer(&config, &request, out);
	CHECK(type_of(out, length) == 5);
	CHECK(frame_read32(out + MESSAGE + 16) == 0);
	CHECK(option32(out, length, 51) == 0);
	CHECK(option32(out, length, 1) == 0xffffff00);
}

static int add_search(struct dhcp_config *config, const char *domain)
{
	return dhcp_encode_domain(config->search, &config->search_length,
				  domain);
}

static void domains_are_told(void)
{
	static const uint8_t encoded[] = "\7example\3org\0\3lan";
	const uint8_t options[] = { 53, 1, 1, 255 };
	struct dhcp_config config = server();
	struct request request = request_with(options, sizeof(options));
	uint8_t out[DHCP_FRAME_MAX];
	uint8_t size = 0;
	const uint8_t *search;

	CHECK(add_search(&config, "example.org") == 0);
	CHECK(add_search(&config, "lan") == 0);
	search = option(out, answer(&config, &request, out), 119, &size);
	CHECK(search && size == sizeof(encoded) &&
	      memcmp(search, encoded, size) == 0);

	CHECK(add_search(&config, "") == -EINVAL);
	CHECK(add_search(&config, "a..b") == -EINVAL);
	CHECK(add_search(&config,
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			 "aaaaaaaaaaaaaaaa") == -EINVAL);
}

/* With all that there can be, an answer fits and stays whole. */
static void the_longest_answer_fits(void)
{
	uint8_t options[3 + 2 + 32 + 1] = { 53, 1, 1, 61, 32 };
	struct dhcp_config config = server();
	struct request request;
	uint8_t out[DHCP_FRAME_MAX];
	uint32_t length;
	uint32_t domains = 0;
	uint8_t size = 0;

	options[sizeof(options) - 1] = 255;
	request = request_with(options, sizeof(options));
	config.dns_count = DHCP_DNS_MAX;
	while (add_search(&config, "a.example.org") == 0)
		domains++;
	CHECK(domains == 12 && config.search_length == 12 * 15);
	CHECK(add_search(&config, "a.example.org") == -ENOSPC);
	CHECK(add_search(&config, "1234567890") == 0);
	CHECK(config.search_length == DHCP_SEARCH_MAX);
	length = answer(&config, &request, out);
	CHECK(length <= OPTIONS + 312);
	CHECK(is_sound(out, length));
	CHECK(option(out, length, 119, &size) && size == DHCP_SEARCH_MAX);
	CHECK(option(out, length, 61, &size) && size == 32);
}

static bool is_ignored(struct request request)
{
	struct dhcp_config config = server();
	uint8_t out[DHCP_FRAME_MAX];

	return answer(&config, &request, out) == 0;
}

static void what_is_malformed_is_ignored(void)
{
	const uint8_t options[] = { 53, 1, 1, 255 };
	const struct request good = request_with(options, sizeof(options));
	struct request request;

	CHECK(!is_ignored(good));
	for (uint32_t offset = 0; offset < 3; offset++) {
		request = good;
		request.frame[MESSAGE + offset]++;
		CHECK(is_ignored(request)); /* no request, or not of Ethernet */
	}
	request = good;
	request.frame[MESSAGE + 28]++;
	CHECK(is_ignored(request)); /* for another's hardware */
	request = good;
	request.frame[MESSAGE + 236]++;
	CHECK(is_ignored(request)); /* BOOTP without options */
	for (uint32_t length = 0; length < OPTIONS; length++) {
		request = good;
		request.length = length;
		CHECK(is_ignored(request));
	}
	/* Options that are cut, empty, of the wrong length or without a type */
	CHECK(is_ignored(request_with((const uint8_t[]) { 53 }, 1)));
	CHECK(is_ignored(request_with((const uint8_t[]) { 53, 1 }, 2)));
	CHECK(is_ignored(request_with((const uint8_t[]) { 53, 2, 1, 1 }, 4)));
	CHECK(is_ignored(request_with((const uint8_t[]) { 53, 9, 1 }, 3)));
	CHECK(is_ignored(request_with((const uint8_t[]) { 255, 53, 1, 1 }, 4)));
	CHECK(is_ignored(request_with((const uint8_t[]) { 53, 1, 7 }, 3)));
	CHECK(is_ignored(request_with(options, 0)));
	/* An option cut short does not undo those before it. */
	CHECK(!is_ignored(
		request_with((const uint8_t[]) { 0, 53, 1, 1, 50, 4 }, 6)));
}

int main(void)
{
	TEST(a_discovery_is_offered_the_address);
	TEST(a_switch_of_its_own_has_no_router);
	TEST(a_request_is_granted_or_refused);
	TEST(another_servers_client_is_left_alone);
	TEST(one_with_an_address_may_ask_for_the_rest);
	TEST(domains_are_told);
	TEST(the_longest_answer_fits);
	TEST(what_is_malformed_is_ignored);
	return tap_done();
}
