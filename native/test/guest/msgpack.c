/* SPDX-License-Identifier: MIT */
#include "msgpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

enum { BYTES_MAX = 128 * 1024 };

static uint8_t buffer[BYTES_MAX];

static struct msgpack_writer writer_of(size_t size)
{
	memset(buffer, 0xc1, sizeof(buffer));
	return (struct msgpack_writer) { buffer, buffer + size, false };
}

static size_t length_of(const struct msgpack_writer *writer)
{
	return (size_t)(writer->at - buffer);
}

/* Checks bytes at the end of a block of their own, where a sanitizer sees each
 * byte that is read behind them. */
static int check(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length + 1);
	int result;

	if (!copy)
		abort();
	memcpy(copy + 1, bytes, length);
	result = msgpack_check(copy + 1, length);
	free(copy);
	return result;
}

/* Whole, it is a value; cut anywhere, or with a byte more, it is none. */
static void check_cuts(const uint8_t *bytes, size_t length)
{
	static uint8_t more[BYTES_MAX + 1];
	/* Within a long text all cuts are alike. */
	size_t step = length > 600 ? 251 : 1;

	CHECK(!check(bytes, length));
	for (size_t cut = 0; cut < length; cut += step)
		CHECK(check(bytes, cut) == -EPROTO);
	CHECK(check(bytes, length - 1) == -EPROTO);
	memcpy(more, bytes, length);
	more[length] = 0xc0;
	CHECK(check(more, length + 1) == -EPROTO);
}

static void integers_at_their_borders(void)
{
	static const struct {
		int64_t value;
		size_t length;
		uint8_t head;
	} all[] = {
		{ 0, 1, 0x00 },
		{ 127, 1, 0x7f },
		{ 128, 2, 0xcc },
		{ 255, 2, 0xcc },
		{ 256, 3, 0xcd },
		{ 65535, 3, 0xcd },
		{ 65536, 5, 0xce },
		{ UINT32_MAX, 5, 0xce },
		{ (int64_t)UINT32_MAX + 1, 9, 0xcf },
		{ MSGPACK_INTEGER_MAX, 9, 0xcf },
		{ -1, 1, 0xff },
		{ -32, 1, 0xe0 },
		{ -33, 9, 0xd3 },
		{ -MSGPACK_INTEGER_MAX, 9, 0xd3 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct msgpack_writer writer = writer_of(BYTES_MAX);
		struct msgpack_reader reader = { buffer, buffer + 9 };
		struct msgpack_value value;

		msgpack_put_integer(&writer, all[i].value);
		CHECK(length_of(&writer) == all[i].length);
		CHECK(buffer[0] == all[i].head);
		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == MSGPACK_INTEGER);
		CHECK(value.integer == all[i].value);
		CHECK(reader.at == writer.at);
		check_cuts(buffer, length_of(&writer));
	}
}

/* Others write them shorter than we do, or longer than need be. */
static void integers_of_any_width(void)
{
	static const struct {
		int64_t value;
		uint8_t bytes[9];
		uint8_t length;
	} all[] = {
		{ 1, { 0xcc, 1 }, 2 },
		{ 1, { 0xcd, 0, 1 }, 3 },
		{ 1, { 0xce, 0, 0, 0, 1 }, 5 },
		{ 1, { 0xcf, 0, 0, 0, 0, 0, 0, 0, 1 }, 9 },
		{ 127, { 0xd0, 0x7f }, 2 },
		{ -128, { 0xd0, 0x80 }, 2 },
		{ -32768, { 0xd1, 0x80, 0 }, 3 },
		{ INT32_MIN, { 0xd2, 0x80, 0, 0, 0 }, 5 },
		{ INT32_MAX, { 0xd2, 0x7f, 0xff, 0xff, 0xff }, 5 },
		{ 5, { 0xd3, 0, 0, 0, 0, 0, 0, 0, 5 }, 9 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct msgpack_reader reader = { all[i].bytes,
						 all[i].bytes + all[i].length };
		struct msgpack_value value;

		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == MSGPACK_INTEGER);
		CHECK(value.integer == all[i].value);
		check_cuts(all[i].bytes, all[i].length);
	}
}

static void what_is_not_of_the_subset(void)
{
	static const struct {
		uint8_t length;
		uint8_t bytes[12];
	} all[] = {
		{ 1, { 0xc1 } },
		{ 5, { 0xca, 0, 0, 0, 0 } },
		{ 9, { 0xcb, 0, 0, 0, 0, 0, 0, 0, 0 } },
		{ 3, { 0xc7, 0, 1 } },
		{ 4, { 0xc8, 0, 0, 1 } },
		{ 6, { 0xc9, 0, 0, 0, 0, 1 } },
		{ 3, { 0xd4, 1, 0 } },
		{ 4, { 0xd5, 1, 0, 0 } },
		{ 6, { 0xd6, 1, 0, 0, 0, 0 } },
		{ 10, { 0xd7, 1 } },
		/* Integers that a double does not hold. */
		{ 9, { 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0 } },
		{ 9, { 0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0 } },
		{ 9, { 0xd3, 0, 0x20, 0, 0, 0, 0, 0, 0 } },
		{ 9, { 0xd3, 0xff, 0xe0, 0, 0, 0, 0, 0, 0 } },
		{ 9, { 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0 } },
		/* Keys that are none, or the same twice. */
		{ 3, { 0x81, 1, 1 } },
		{ 4, { 0x81, 0xc4, 0, 1 } },
		{ 7, { 0x82, 0xa1, 'a', 1, 0xa1, 'a', 2 } },
		{ 8, { 0x82, 0xa1, 'a', 1, 0xd9, 1, 'a', 2 } },
		/* Lengths that promise more than there is. */
		{ 5, { 0xdb, 0xff, 0xff, 0xff, 0xff } },
		{ 5, { 0xc6, 0xff, 0xff, 0xff, 0xff } },
		{ 5, { 0xdd, 0xff, 0xff, 0xff, 0xff } },
		{ 5, { 0xdf, 0xff, 0xff, 0xff, 0xff } },
		{ 5, { 0xdf, 0x80, 0, 0, 0 } },
	};

	CHECK(check(buffer, 0) == -EPROTO);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		CHECK(check(all[i].bytes, all[i].length) == -EPROTO);
}

static void texts_and_bytes_at_their_borders(void)
{
	static const uint32_t lengths[] = { 0,   1,   31,    32,    33,
					    255, 256, 65535, 65536, 100000 };
	static char text[BYTES_MAX];
	struct msgpack_value value;

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t length = lengths[i];
		struct msgpack_writer writer = writer_of(BYTES_MAX);
		struct msgpack_reader reader = { buffer, buffer + BYTES_MAX };
		uint32_t most = length < UINT16_MAX ? length : UINT16_MAX;

		msgpack_put_bin(&writer, (const uint8_t *)text, length);
		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == MSGPACK_BIN && value.length == length);
		CHECK(reader.at == writer.at);
		check_cuts(buffer, length_of(&writer));

		writer = writer_of(BYTES_MAX);
		reader.at = buffer;
		text[length] = '\0';
		msgpack_put_str(&writer, text);
		text[length] = 'x';
		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == MSGPACK_STR && value.length == most);
		CHECK(!memcmp(value.bytes, text, most));
		CHECK(reader.at == writer.at);
		check_cuts(buffer, length_of(&writer));
	}
}

static void texts_with_each_kind_of_length(void)
{
	static const struct {
		uint8_t bytes[8];
		uint8_t length;
		enum msgpack_type type;
	} all[] = {
		{ { 0xa2, 'o', 'k' }, 3, MSGPACK_STR },
		{ { 0xd9, 2, 'o', 'k' }, 4, MSGPACK_STR },
		{ { 0xda, 0, 2, 'o', 'k' }, 5, MSGPACK_STR },
		{ { 0xdb, 0, 0, 0, 2, 'o', 'k' }, 7, MSGPACK_STR },
		{ { 0xc4, 2, 'o', 'k' }, 4, MSGPACK_BIN },
		{ { 0xc5, 0, 2, 'o', 'k' }, 5, MSGPACK_BIN },
		{ { 0xc6, 0, 0, 0, 2, 'o', 'k' }, 7, MSGPACK_BIN },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct msgpack_reader reader = { all[i].bytes,
						 all[i].bytes + all[i].length };
		struct msgpack_value value;
		char text[3];

		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == all[i].type && value.length == 2);
		CHECK(!memcmp(value.bytes, "ok", 2));
		check_cuts(all[i].bytes, all[i].length);
		CHECK(msgpack_text(&value, text, 2) == -EPROTO);
		CHECK(msgpack_text(&value, text, 3) ==
		      (value.type == MSGPACK_STR ? 0 : -EPROTO));
	}
}

static void a_text_is_not_empty_and_has_no_nul(void)
{
	static const uint8_t nul[] = { 0xa3, 'a', 0, 'b' };
	static const uint8_t empty[] = { 0xa0 };
	struct msgpack_reader reader = { nul, nul + sizeof(nul) };
	struct msgpack_value value;
	char text[8];

	CHECK(!msgpack_next(&reader, &value));
	CHECK(msgpack_text(&value, text, sizeof(text)) == -EPROTO);
	reader = (struct msgpack_reader) { empty, empty + sizeof(empty) };
	CHECK(!msgpack_next(&reader, &value));
	CHECK(msgpack_text(&value, text, sizeof(text)) == -EPROTO);
}

static void arrays_at_their_borders(void)
{
	static const uint32_t lengths[] = { 0, 1, 15, 16, 17, 255, 65535 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct msgpack_writer writer = writer_of(BYTES_MAX);
		struct msgpack_reader reader = { buffer, buffer + BYTES_MAX };
		struct msgpack_value value;

		msgpack_put_array(&writer, lengths[i]);
		for (uint32_t member = 0; member < lengths[i]; member++)
			msgpack_put_boolean(&writer, member % 2);
		reader.end = writer.at;
		CHECK(!msgpack_next(&reader, &value));
		CHECK(value.type == MSGPACK_ARRAY);
		CHECK(value.length == lengths[i]);
		reader.at = buffer;
		CHECK(!msgpack_skip(&reader) && reader.at == writer.at);
		check_cuts(buffer, length_of(&writer));
	}
}

/* A map of so many entries, whose head has `width` bytes of length. */
static size_t put_entries(uint32_t count, unsigned int width)
{
	struct msgpack_writer writer = writer_of(BYTES_MAX);
	uint8_t heads[3][5] = { { (uint8_t)(0x80 | count) },
				{ 0xde, 0, (uint8_t)count },
				{ 0xdf, 0, 0, 0, (uint8_t)count } };

	msgpack_put_raw(&writer, heads[width / 2], 1 + width);
	for (uint32_t i = 0; i < count; i++) {
		char key[] = { 'k', (char)('0' + i), '\0' };

		msgpack_put_str(&writer, key);
		msgpack_put_integer(&writer, i);
	}
	return length_of(&writer);
}

static void maps_at_their_borders(void)
{
	struct msgpack_value map;
	struct msgpack_value value;
	size_t length;

	check_cuts(buffer, put_entries(0, 0));
	check_cuts(buffer, put_entries(15, 0));
	check_cuts(buffer, put_entries(16, 2));
	length = put_entries(MSGPACK_MAP_MAX, 4);
	check_cuts(buffer, length);
	CHECK(!msgpack_next(
		&(struct msgpack_reader) { buffer, buffer + length }, &map));
	for (uint32_t i = 0; i < MSGPACK_MAP_MAX; i++) {
		char key[] = { 'k', (char)('0' + i), '\0' };

		CHECK(!msgpack_find(&map, key, MSGPACK_INTEGER, &value));
		CHECK(value.integer == i);
		CHECK(msgpack_find(&map, key, MSGPACK_STR, &value) == -EPROTO);
	}
	CHECK(msgpack_find(&map, "k", MSGPACK_INTEGER, &value) == -ENOENT);
	CHECK(msgpack_find(&value, "k", MSGPACK_NIL, &value) == -EPROTO);
	length = put_entries(MSGPACK_MAP_MAX + 1, 2);
	CHECK(check(buffer, length) == -EPROTO);
}

/* What stands before a key is gone past with all that is in it. */
static void a_key_is_found_behind_containers(void)
{
	static const uint8_t bytes[] = { 0x83, 0xa1, 'a',  0x92, 0x81, 0xa1,
					 'z',  0x01, 0x90, 0xa1, 'b',  0x81,
					 0xa1, 'z',  0xc0, 0xa1, 'z',  0xc3 };
	struct msgpack_reader reader = { bytes, bytes + sizeof(bytes) };
	struct msgpack_value map;
	struct msgpack_value value;

	check_cuts(bytes, sizeof(bytes));
	CHECK(!msgpack_next(&reader, &map));
	CHECK(!msgpack_find(&map, "z", MSGPACK_BOOLEAN, &value));
	CHECK(value.boolean);
}

static void depth_has_an_end(void)
{
	for (unsigned int kind = 0; kind < 2; kind++)
		for (uint32_t depth = 1; depth <= 2 * MSGPACK_DEPTH_MAX;
		     depth++) {
			struct msgpack_writer writer = writer_of(BYTES_MAX);

			for (uint32_t i = 1; i < depth; i++) {
				if (kind == 0) {
					msgpack_put_array(&writer, 1);
					continue;
				}
				msgpack_put_map(&writer, 1);
				msgpack_put_str(&writer, "k");
			}
			msgpack_put_nil(&writer);
			CHECK(check(buffer, length_of(&writer)) ==
			      (depth <= MSGPACK_DEPTH_MAX ? 0 : -EPROTO));
		}
	/* Also of what would end the stack. */
	memset(buffer, 0x91, sizeof(buffer));
	CHECK(check(buffer, sizeof(buffer)) == -EPROTO);
}

static void a_writer_stops_at_its_end(void)
{
	struct msgpack_writer whole = writer_of(BYTES_MAX);
	size_t length;

	msgpack_put_map(&whole, 1);
	msgpack_put_str(&whole, "some key");
	msgpack_put_bin(&whole, (const uint8_t *)"bytes", 5);
	CHECK(!whole.overflow);
	length = length_of(&whole);
	for (size_t room = 0; room < length; room++) {
		struct msgpack_writer writer = writer_of(room);

		msgpack_put_map(&writer, 1);
		msgpack_put_str(&writer, "some key");
		msgpack_put_bin(&writer, (const uint8_t *)"bytes", 5);
		CHECK(writer.overflow);
		CHECK(writer.at <= writer.end);
		/* Not a byte behind it, and nothing after the first overflow.
		 */
		CHECK(buffer[room] == 0xc1);
		msgpack_put_nil(&writer);
		CHECK(writer.overflow && writer.at <= writer.end);
	}
}

int main(void)
{
	TEST(integers_at_their_borders);
	TEST(integers_of_any_width);
	TEST(what_is_not_of_the_subset);
	TEST(texts_and_bytes_at_their_borders);
	TEST(texts_with_each_kind_of_length);
	TEST(a_text_is_not_empty_and_has_no_nul);
	TEST(arrays_at_their_borders);
	TEST(maps_at_their_borders);
	TEST(a_key_is_found_behind_containers);
	TEST(depth_has_an_end);
	TEST(a_writer_stops_at_its_end);
	return tap_done();
}
