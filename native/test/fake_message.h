/* SPDX-License-Identifier: MIT */
/* Messages of DNS and of TLS, written by hand, and what is done with them. */
#ifndef CAPSA_FAKE_MESSAGE_H
#define CAPSA_FAKE_MESSAGE_H

#include "fake_net.h"

enum {
	FAKE_A = 1,
	FAKE_CNAME = 5,
	FAKE_AAAA = 28,
};

struct fake_message {
	uint8_t bytes[8192];
	uint32_t length;
};

static inline void fake_add(struct fake_message *message, const void *bytes,
			    uint32_t length)
{
	memcpy(message->bytes + message->length, bytes, length);
	message->length += length;
}

static inline void fake_add_number(struct fake_message *message, uint32_t value,
				   uint32_t size)
{
	while (size-- > 0)
		message->bytes[message->length++] = (uint8_t)(value >>
							      8 * size);
}

/* Without compression. */
static inline void fake_add_name(struct fake_message *message, const char *name)
{
	while (*name) {
		uint32_t length = (uint32_t)strcspn(name, ".");

		fake_add_number(message, length, 1);
		fake_add(message, name, length);
		name += length;
		if (*name == '.')
			name++;
	}
	fake_add_number(message, 0, 1);
}

static inline void fake_add_question(struct fake_message *message, uint32_t id,
				     uint32_t flags, const char *name,
				     uint32_t type)
{
	*message = (struct fake_message) { 0 };
	fake_add_number(message, id, 2);
	fake_add_number(message, flags, 2);
	fake_add_number(message, 1, 2);
	message->length += 6; /* no records */
	fake_add_name(message, name);
	fake_add_number(message, type, 2);
	fake_add_number(message, 1, 2);
}

/* A record of the answer; data is a name or an address. */
static inline void fake_add_record(struct fake_message *message,
				   const char *owner, uint32_t type,
				   uint32_t ttl_s, const char *data)
{
	struct net_address address = fake_address(data);
	uint32_t start;

	fake_put16(message->bytes + 6, fake_get16(message->bytes + 6) + 1);
	fake_add_name(message, owner);
	fake_add_number(message, type, 2);
	fake_add_number(message, 1, 2);
	fake_add_number(message, ttl_s, 4);
	fake_add_number(message, 0, 2);
	start = message->length;
	if (address.family != 0)
		fake_add(message, address.bytes, address.family == 4 ? 4 : 16);
	else
		fake_add_name(message, data);
	fake_put16(message->bytes + start - 2, message->length - start);
}

static inline enum net_verdict fake_message_send(
	struct fake_net *net, bool from_guest, const char *server,
	uint32_t port, const struct fake_message *message)
{
	fake_make_udp(net, from_guest, server, port, 53, message->bytes,
		      message->length);
	return fake_send(net, from_guest);
}

static inline enum net_verdict fake_query(struct fake_net *net,
					  const char *name, uint32_t type)
{
	struct fake_message message;

	fake_add_question(&message, 77, 0x0100, name, type);
	return fake_message_send(net, true, DNS4, 4000, &message);
}

/* The guest asks, and is told that name has the address. */
static inline bool fake_resolve(struct fake_net *net, const char *name,
				const char *address, uint32_t ttl_s)
{
	uint32_t type = strchr(address, ':') ? FAKE_AAAA : FAKE_A;
	struct fake_message message;

	if (fake_query(net, name, type) != NET_PASS)
		return false;
	fake_add_question(&message, 77, 0x8180, name, type);
	fake_add_record(&message, name, type, ttl_s, address);
	return fake_message_send(net, false, DNS4, 4000, &message) == NET_PASS;
}

/* A ClientHello in one record; name NULL: without a server name. */
static inline void fake_hello(struct fake_message *message, const char *name,
			      bool is_encrypted)
{
	struct fake_message extensions = { 0 };
	uint32_t length = name ? (uint32_t)strlen(name) : 0;
	uint32_t body;

	fake_add_number(&extensions, 43, 2); /* versions: 1.3 */
	fake_add_number(&extensions, 3, 2);
	fake_add_number(&extensions, 0x020304, 3);
	if (name) {
		fake_add_number(&extensions, 0, 2);
		fake_add_number(&extensions, length + 5, 2);
		fake_add_number(&extensions, length + 3, 2);
		fake_add_number(&extensions, 0, 1);
		fake_add_number(&extensions, length, 2);
		fake_add(&extensions, name, length);
	}
	if (is_encrypted) {
		fake_add_number(&extensions, 0xfe0d, 2);
		fake_add_number(&extensions, 3, 2);
		fake_add_number(&extensions, 0x010203, 3);
	}
	body = 2 + 32 + 1 + 32 + 2 + 4 + 1 + 1 + 2 + extensions.length;
	*message = (struct fake_message) { 0 };
	fake_add_number(message, 0x160301, 3);
	fake_add_number(message, body + 4, 2);
	fake_add_number(message, 1, 1);
	fake_add_number(message, body, 3);
	fake_add_number(message, 0x0303, 2);
	message->length += 32; /* random */
	fake_add_number(message, 32, 1);
	message->length += 32; /* session */
	fake_add_number(message, 4, 2);
	fake_add_number(message, 0x13011302, 4);
	fake_add_number(message, 0x0100, 2); /* compression */
	fake_add_number(message, extensions.length, 2);
	fake_add(message, extensions.bytes, extensions.length);
}

#endif
