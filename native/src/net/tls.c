/* SPDX-License-Identifier: MIT */
#include "net/tls.h"

#include <string.h>

enum {
	TLS_RECORD_HANDSHAKE = 22, /* RFC 8446, 5.1 */
	TLS_RECORD_MAX = 1 << 14,
	TLS_CLIENT_HELLO = 1,
	TLS_RANDOM = 32,
	TLS_EXTENSION_SERVER_NAME = 0,          /* RFC 6066, 3 */
	TLS_EXTENSION_ENCRYPTED_HELLO = 0xfe0d, /* RFC 9849 */
	TLS_NAME_TYPE_HOST = 0,
};

/*
 * Reads handshake bytes out of records. Once result is no longer TLS_HELLO,
 * everything read is 0 and nothing moves, so callers look once at the end.
 */
struct tls_reader {
	const uint8_t *bytes;
	uint32_t length;
	uint32_t at;
	uint32_t record; /* bytes left in this record */
	uint32_t left;   /* bytes left in the structure that is read */
	enum tls_result result;
};

static void tls_stop(struct tls_reader *reader, enum tls_result result)
{
	if (reader->result == TLS_HELLO)
		reader->result = result;
}

/* Enters the next record; a client that just began sends handshake only. */
static void tls_record(struct tls_reader *reader)
{
	const uint8_t *head = reader->bytes + reader->at;
	uint32_t length;

	if (reader->length - reader->at < 5) {
		tls_stop(reader, TLS_MORE);
		return;
	}
	length = (uint32_t)head[3] << 8 | head[4];
	/* An empty record of handshake is forbidden (RFC 8446, 5.1). */
	if (head[0] != TLS_RECORD_HANDSHAKE || head[1] != 3 || length == 0 ||
	    length > TLS_RECORD_MAX) {
		tls_stop(reader, TLS_BROKEN);
		return;
	}
	reader->at += 5;
	reader->record = length;
}

static uint8_t tls_byte(struct tls_reader *reader)
{
	if (reader->left == 0)
		tls_stop(reader, TLS_BROKEN);
	if (reader->result == TLS_HELLO && reader->record == 0)
		tls_record(reader);
	if (reader->result == TLS_HELLO && reader->at == reader->length)
		tls_stop(reader, TLS_MORE);
	if (reader->result != TLS_HELLO)
		return 0;
	reader->left--;
	reader->record--;
	return reader->bytes[reader->at++];
}

static uint32_t tls_number(struct tls_reader *reader, uint32_t size)
{
	uint32_t number = 0;

	while (size-- > 0)
		number = number << 8 | tls_byte(reader);
	return number;
}

static void tls_skip(struct tls_reader *reader, uint32_t count)
{
	while (count-- > 0 && reader->result == TLS_HELLO)
		tls_byte(reader);
}

/*
 * Enters a structure that says its length in size bytes; returns what is left
 * around it, for tls_leave().
 */
static uint32_t tls_enter(struct tls_reader *reader, uint32_t size)
{
	uint32_t length = tls_number(reader, size);
	uint32_t around;

	if (length > reader->left)
		tls_stop(reader, TLS_BROKEN);
	around = reader->left - length;
	if (reader->result == TLS_HELLO)
		reader->left = length;
	return around;
}

static void tls_leave(struct tls_reader *reader, uint32_t around)
{
	if (reader->left != 0)
		tls_stop(reader, TLS_BROKEN);
	if (reader->result == TLS_HELLO)
		reader->left = around;
}

static void tls_vector(struct tls_reader *reader, uint32_t size)
{
	uint32_t around = tls_enter(reader, size);

	tls_skip(reader, reader->left);
	tls_leave(reader, around);
}

/* A list of names, of which only one kind and one of a kind exists. */
static void tls_server_name(struct tls_reader *reader, struct domain *name)
{
	uint32_t list = tls_enter(reader, 2);
	uint32_t entry;
	uint8_t text[CAPSA_DOMAIN_MAX + 1] = { 0 };
	uint32_t length;

	if (tls_byte(reader) != TLS_NAME_TYPE_HOST)
		tls_stop(reader, TLS_BROKEN);
	entry = tls_enter(reader, 2);
	length = reader->left;
	for (uint32_t i = 0; i < length && i < sizeof(text); i++)
		text[i] = tls_byte(reader);
	if (reader->result == TLS_HELLO &&
	    (length > sizeof(text) || !domain_read(name, text, length)))
		tls_stop(reader, TLS_BROKEN);
	tls_leave(reader, entry);
	tls_leave(reader, list);
}

static void tls_extensions(struct tls_reader *reader, struct tls_hello *hello)
{
	uint32_t around = tls_enter(reader, 2);
	bool has_name = false;

	while (reader->left > 0 && reader->result == TLS_HELLO) {
		uint32_t type = tls_number(reader, 2);
		uint32_t list = tls_enter(reader, 2);

		if (type == TLS_EXTENSION_SERVER_NAME) {
			/* Of two, nobody knows which one a server takes. */
			if (has_name)
				tls_stop(reader, TLS_BROKEN);
			has_name = true;
			tls_server_name(reader, &hello->name);
		} else {
			if (type == TLS_EXTENSION_ENCRYPTED_HELLO)
				hello->is_encrypted = true;
			tls_skip(reader, reader->left);
		}
		tls_leave(reader, list);
	}
	tls_leave(reader, around);
}

enum tls_result tls_read_hello(struct tls_hello *hello, const uint8_t *bytes,
			       uint32_t length)
{
	struct tls_reader reader = {
		.bytes = bytes,
		.length = length,
		.left = UINT32_MAX,
		.result = TLS_HELLO,
	};
	uint32_t around;

	*hello = (struct tls_hello) { 0 };
	if (length == 0)
		return TLS_MORE;
	if (bytes[0] != TLS_RECORD_HANDSHAKE) {
		hello->length = 1;
		return TLS_OTHER;
	}
	if (tls_byte(&reader) != TLS_CLIENT_HELLO)
		tls_stop(&reader, TLS_BROKEN);
	around = tls_enter(&reader, 3);
	tls_skip(&reader, 2 + TLS_RANDOM);
	tls_vector(&reader, 1); /* session */
	tls_vector(&reader, 2); /* cipher suites */
	tls_vector(&reader, 1); /* compression */
	if (reader.left > 0)
		tls_extensions(&reader, hello);
	tls_leave(&reader, around);
	hello->length = reader.at;
	return reader.result;
}
