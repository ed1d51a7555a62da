/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as MessagePack: what is taken for a value can be gone through to
 * its end, found by its keys, and written so that it is the same again.
 */
#include "msgpack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, TEXT_MAX = 64 };

static void require(int holds)
{
	if (!holds)
		__builtin_trap();
}

/* Any bytes can be gone through, sound or not. */
static void fuzz_skip(const uint8_t *data, size_t size)
{
	struct msgpack_reader reader = { data, data + size };
	struct msgpack_value value;

	msgpack_skip(&reader);
	require(reader.at >= data && reader.at <= data + size);
	reader = (struct msgpack_reader) { data, data + size };
	while (!msgpack_next(&reader, &value))
		require(reader.at <= data + size);
}

static void put_text(struct msgpack_writer *writer,
		     const struct msgpack_value *value)
{
	static char text[INPUT_MAX + 1];
	char shorter[TEXT_MAX];

	memcpy(text, value->bytes, value->length);
	text[value->length] = '\0';
	msgpack_put_str(writer, text);
	if (!msgpack_text(value, shorter, sizeof(shorter)))
		require(strlen(shorter) == value->length);
}

/* Writes the next value anew. Not all can be written: a text with a NUL, or a
 * map of 16 entries. False for these. */
static bool copy(struct msgpack_reader *reader, struct msgpack_writer *writer)
{
	struct msgpack_value value;
	uint32_t members;

	require(!msgpack_next(reader, &value));
	members = value.length;
	switch (value.type) {
	case MSGPACK_NIL:
		msgpack_put_nil(writer);
		return true;
	case MSGPACK_BOOLEAN:
		msgpack_put_boolean(writer, value.boolean);
		return true;
	case MSGPACK_INTEGER:
		msgpack_put_integer(writer, value.integer);
		return true;
	case MSGPACK_STR:
		put_text(writer, &value);
		return value.length == 0 ||
		       !memchr(value.bytes, 0, value.length);
	case MSGPACK_BIN:
		msgpack_put_bin(writer, value.bytes, value.length);
		return true;
	case MSGPACK_ARRAY:
		msgpack_put_array(writer, members);
		break;
	case MSGPACK_MAP:
		if (members > 15)
			return false;
		msgpack_put_map(writer, members);
		members *= 2;
		break;
	}
	for (uint32_t i = 0; i < members; i++)
		if (!copy(reader, writer))
			return false;
	return true;
}

/* Each key is found, and what it has is the value behind it. */
static void fuzz_find(const struct msgpack_value *map)
{
	struct msgpack_reader reader = msgpack_members(map);
	struct msgpack_value key;
	struct msgpack_value value;
	struct msgpack_value found;
	char text[TEXT_MAX];

	for (uint32_t i = 0; i < map->length; i++) {
		struct msgpack_reader behind;

		require(!msgpack_next(&reader, &key));
		behind = reader;
		require(!msgpack_next(&behind, &value));
		require(!msgpack_skip(&reader));
		if (msgpack_text(&key, text, sizeof(text)))
			continue;
		require(!msgpack_find(map, text, value.type, &found));
		require(found.bytes == value.bytes &&
			found.integer == value.integer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[5 * INPUT_MAX];
	static uint8_t second[5 * INPUT_MAX];
	struct msgpack_reader reader = { data, data + size };
	struct msgpack_writer writer = { first, first + sizeof(first), false };
	struct msgpack_writer again = { second, second + sizeof(second),
					false };
	struct msgpack_value value;

	if (size > INPUT_MAX)
		return 0;
	fuzz_skip(data, size);
	if (msgpack_check(data, size))
		return 0;
	require(!msgpack_skip(&reader) && reader.at == reader.end);
	reader.at = data;
	require(!msgpack_next(&reader, &value));
	if (value.type == MSGPACK_MAP)
		fuzz_find(&value);
	reader.at = data;
	if (!copy(&reader, &writer))
		return 0;
	require(!writer.overflow);
	require(!msgpack_check(first, (size_t)(writer.at - first)));
	reader = (struct msgpack_reader) { first, writer.at };
	require(copy(&reader, &again));
	require(again.at - second == writer.at - first &&
		!memcmp(first, second, (size_t)(again.at - second)));
	return 0;
}
