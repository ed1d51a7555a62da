/* SPDX-License-Identifier: MIT */
/*
 * The subset of MessagePack that the protocol is written in: nil, booleans,
 * integers that a double holds exactly, str, bin, arrays, and maps with str
 * keys. No floats, no extensions. Nothing is allocated: values point into the
 * bytes that they were read from.
 */
#ifndef CAPSA_GUEST_MSGPACK_H
#define CAPSA_GUEST_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSGPACK_INTEGER_MAX ((int64_t)9007199254740991)
#define MSGPACK_DEPTH_MAX   8
#define MSGPACK_MAP_MAX     32 /* entries */

enum msgpack_type {
	MSGPACK_NIL,
	MSGPACK_BOOLEAN,
	MSGPACK_INTEGER,
	MSGPACK_STR,
	MSGPACK_BIN,
	MSGPACK_ARRAY,
	MSGPACK_MAP,
};

/* `length` is in bytes for str and bin, in members for arrays and maps; their
 * members follow where `bytes` points. */
struct msgpack_value {
	enum msgpack_type type;
	bool boolean;
	int64_t integer;
	const uint8_t *bytes;
	uint32_t length;
	const uint8_t *end; /* of what it was read from */
};

struct msgpack_reader {
	const uint8_t *at;
	const uint8_t *end;
};

/* 0 if the bytes are exactly one value of the subset, else -EPROTO. */
int msgpack_check(const uint8_t *bytes, size_t length);

/* The next value of bytes; of a container only its head. 0 or -EPROTO. */
int msgpack_next(struct msgpack_reader *reader, struct msgpack_value *value);

/* Goes past the next value with all its members, of bytes that were checked. */
int msgpack_skip(struct msgpack_reader *reader);

/* Reads the members of a container. */
static inline struct msgpack_reader msgpack_members(
	const struct msgpack_value *container)
{
	return (struct msgpack_reader) { container->bytes, container->end };
}

/* What a map of checked bytes has under a key of this type: 0, -ENOENT, or
 * -EPROTO when it has something of another type. */
int msgpack_find(const struct msgpack_value *map, const char *key,
		 enum msgpack_type type, struct msgpack_value *value);

/* Copies a str of 1 to size - 1 bytes, none of them NUL: 0 or -EPROTO. */
int msgpack_text(const struct msgpack_value *value, char *text, size_t size);

/* Writes into memory of the caller's; `overflow` says that it was too small. */
struct msgpack_writer {
	uint8_t *at;
	uint8_t *end;
	bool overflow;
};

void msgpack_put_nil(struct msgpack_writer *writer);
void msgpack_put_boolean(struct msgpack_writer *writer, bool value);
void msgpack_put_integer(struct msgpack_writer *writer, int64_t value);
void msgpack_put_str(struct msgpack_writer *writer, const char *text);
/* As much of a text as fits in `max` bytes. */
void msgpack_put_str_cut(struct msgpack_writer *writer, const char *text,
			 size_t max);
void msgpack_put_bin(struct msgpack_writer *writer, const uint8_t *bytes,
		     uint32_t length);
void msgpack_put_array(struct msgpack_writer *writer, uint32_t length);
/* Less than 16 entries. */
void msgpack_put_map(struct msgpack_writer *writer, uint32_t length);
/* Bytes that are MessagePack already. */
void msgpack_put_raw(struct msgpack_writer *writer, const uint8_t *bytes,
		     size_t length);

#endif
