/* SPDX-License-Identifier: MIT */
#include "msgpack.h"

#include <errno.h>
#include <string.h>

/* Big-endian, of `width` bytes. */
static int reader_take(struct msgpack_reader *reader, unsigned int width,
		       uint64_t *value)
{
	if ((size_t)(reader->end - reader->at) < width)
		return -EPROTO;
	*value = 0;
	for (unsigned int i = 0; i < width; i++)
		*value = *value << 8 | *reader->at++;
	return 0;
}

static int reader_unsigned(struct msgpack_reader *reader, unsigned int width,
			   struct msgpack_value *value)
{
	uint64_t number;

	value->type = MSGPACK_INTEGER;
	if (reader_take(reader, width, &number) ||
	    number > (uint64_t)MSGPACK_INTEGER_MAX)
		return -EPROTO;
	value->integer = (int64_t)number;
	return 0;
}

static int reader_signed(struct msgpack_reader *reader, unsigned int width,
			 struct msgpack_value *value)
{
	uint64_t number;
	unsigned int shift = 64 - 8 * width;

	value->type = MSGPACK_INTEGER;
	if (reader_take(reader, width, &number))
		return -EPROTO;
	value->integer = (int64_t)(number << shift) >> shift;
	return value->integer < -MSGPACK_INTEGER_MAX ||
			       value->integer > MSGPACK_INTEGER_MAX
		       ? -EPROTO
		       : 0;
}

/* A str or bin whose length is known. */
static int reader_bytes(struct msgpack_reader *reader, enum msgpack_type type,
			uint64_t length, struct msgpack_value *value)
{
	if ((uint64_t)(reader->end - reader->at) < length)
		return -EPROTO;
	value->type = type;
	value->bytes = reader->at;
	value->length = (uint32_t)length;
	reader->at += length;
	return 0;
}

/* Each member is a byte at least, so that a length cannot promise more than
 * there is. */
static int reader_members(struct msgpack_reader *reader, enum msgpack_type type,
			  uint64_t length, struct msgpack_value *value)
{
	uint64_t least = type == MSGPACK_MAP ? 2 * length : length;

	if ((uint64_t)(reader->end - reader->at) < least ||
	    (type == MSGPACK_MAP && length > MSGPACK_MAP_MAX))
		return -EPROTO;
	value->type = type;
	value->bytes = reader->at;
	value->length = (uint32_t)length;
	value->end = reader->end;
	return 0;
}

/* The length of a str, bin, array or map stands in `width` bytes. */
static int reader_sized(struct msgpack_reader *reader, enum msgpack_type type,
			unsigned int width, struct msgpack_value *value)
{
	uint64_t length;

	if (reader_take(reader, width, &length))
		return -EPROTO;
	return type == MSGPACK_STR || type == MSGPACK_BIN
		       ? reader_bytes(reader, type, length, value)
		       : reader_members(reader, type, length, value);
}

static int reader_short(struct msgpack_reader *reader, uint8_t head,
			struct msgpack_value *value)
{
	if (head < 0x80 || head >= 0xe0) {
		value->type = MSGPACK_INTEGER;
		value->integer = head < 0x80 ? head : head - 0x100;
		return 0;
	}
	if (head < 0x90)
		return reader_members(reader, MSGPACK_MAP, head & 0x0f, value);
	if (head < 0xa0)
		return reader_members(reader, MSGPACK_ARRAY, head & 0x0f,
				      value);
	return reader_bytes(reader, MSGPACK_STR, head & 0x1f, value);
}

int msgpack_next(struct msgpack_reader *reader, struct msgpack_value *value)
{
	uint64_t head;

	*value = (struct msgpack_value) { 0 };
	if (reader_take(reader, 1, &head))
		return -EPROTO;
	if (head < 0xc0 || head >= 0xe0)
		return reader_short(reader, (uint8_t)head, value);
	switch (head) {
	case 0xc0:
		value->type = MSGPACK_NIL;
		return 0;
	case 0xc2:
	case 0xc3:
		value->type = MSGPACK_BOOLEAN;
		value->boolean = head == 0xc3;
		return 0;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return reader_sized(reader, MSGPACK_BIN, 1u << (head - 0xc4),
				    value);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return reader_unsigned(reader, 1u << (head - 0xcc), value);
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return reader_signed(reader, 1u << (head - 0xd0), value);
	case 0xd9:
	case 0xda:
	case 0xdb:
		return reader_sized(reader, MSGPACK_STR, 1u << (head - 0xd9),
				    value);
	case 0xdc:
	case 0xdd:
		return reader_sized(reader, MSGPACK_ARRAY, 2u << (head - 0xdc),
				    value);
	case 0xde:
	case 0xdf:
		return reader_sized(reader, MSGPACK_MAP, 2u << (head - 0xde),
				    value);
	default:
		return -EPROTO;
	}
}

static bool same_text(const struct msgpack_value *a,
		      const struct msgpack_value *b)
{
	return a->length == b->length && !memcmp(a->bytes, b->bytes, a->length);
}

static int reader_check(struct msgpack_reader *reader, unsigned int depth);

static int reader_check_map(struct msgpack_reader *reader, uint32_t length,
			    unsigned int depth)
{
	struct msgpack_value keys[MSGPACK_MAP_MAX];

	for (uint32_t i = 0; i < length; i++) {
		if (msgpack_next(reader, &keys[i]) ||
		    keys[i].type != MSGPACK_STR)
			return -EPROTO;
		for (uint32_t other = 0; other < i; other++)
			if (same_text(&keys[i], &keys[other]))
				return -EPROTO;
		if (reader_check(reader, depth))
			return -EPROTO;
	}
	return 0;
}

static int reader_check(struct msgpack_reader *reader, unsigned int depth)
{
	struct msgpack_value value;

	if (depth > MSGPACK_DEPTH_MAX || msgpack_next(reader, &value))
		return -EPROTO;
	if (value.type == MSGPACK_MAP)
		return reader_check_map(reader, value.length, depth + 1);
	for (uint32_t i = 0; value.type == MSGPACK_ARRAY && i < value.length;
	     i++)
		if (reader_check(reader, depth + 1))
			return -EPROTO;
	return 0;
}

int msgpack_check(const uint8_t *bytes, size_t length)
{
	struct msgpack_reader reader = { bytes, bytes + length };

	return reader_check(&reader, 1) || reader.at != reader.end ? -EPROTO
								   : 0;
}

int msgpack_skip(struct msgpack_reader *reader)
{
	/* Members still to come; a container adds its own. */
	uint64_t left = 1;
	struct msgpack_value value;

	while (left-- > 0) {
		if (msgpack_next(reader, &value))
			return -EPROTO;
		if (value.type == MSGPACK_ARRAY)
			left += value.length;
		else if (value.type == MSGPACK_MAP)
			left += 2 * (uint64_t)value.length;
	}
	return 0;
}

int msgpack_find(const struct msgpack_value *map, const char *key,
		 enum msgpack_type type, struct msgpack_value *value)
{
	struct msgpack_reader reader = msgpack_members(map);
	struct msgpack_value name;

	if (map->type != MSGPACK_MAP)
		return -EPROTO;
	for (uint32_t i = 0; i < map->length; i++) {
		if (msgpack_next(&reader, &name))
			return -EPROTO;
		if (name.type == MSGPACK_STR && name.length == strlen(key) &&
		    !memcmp(name.bytes, key, name.length))
			return msgpack_next(&reader, value) ||
					       value->type != type
				       ? -EPROTO
				       : 0;
		if (msgpack_skip(&reader))
			return -EPROTO;
	}
	return -ENOENT;
}

int msgpack_text(const struct msgpack_value *value, char *text, size_t size)
{
	if (value->type != MSGPACK_STR || value->length == 0 ||
	    value->length >= size || memchr(value->bytes, 0, value->length))
		return -EPROTO;
	memcpy(text, value->bytes, value->length);
	text[value->length] = '\0';
	return 0;
}

void msgpack_put_raw(struct msgpack_writer *writer, const uint8_t *bytes,
		     size_t length)
{
	if (writer->overflow || (size_t)(writer->end - writer->at) < length) {
		writer->overflow = true;
		return;
	}
	if (length > 0)
		memcpy(writer->at, bytes, length);
	writer->at += length;
}

/* A head byte and a big-endian number of `width` bytes. */
static void writer_put(struct msgpack_writer *writer, uint8_t head,
		       unsigned int width, uint64_t number)
{
	uint8_t bytes[9] = { head };

	for (unsigned int i = 0; i < width; i++)
		bytes[1 + i] = (uint8_t)(number >> 8 * (width - 1 - i));
	msgpack_put_raw(writer, bytes, 1 + width);
}

void msgpack_put_nil(struct msgpack_writer *writer)
{
	writer_put(writer, 0xc0, 0, 0);
}

void msgpack_put_boolean(struct msgpack_writer *writer, bool value)
{
	writer_put(writer, value ? 0xc3 : 0xc2, 0, 0);
}

void msgpack_put_integer(struct msgpack_writer *writer, int64_t value)
{
	if (value >= -32 && value < 128)
		writer_put(writer, (uint8_t)value, 0, 0);
	else if (value < 0)
		writer_put(writer, 0xd3, 8, (uint64_t)value);
	else if (value <= UINT8_MAX)
		writer_put(writer, 0xcc, 1, (uint64_t)value);
	else if (value <= UINT16_MAX)
		writer_put(writer, 0xcd, 2, (uint64_t)value);
	else if (value <= UINT32_MAX)
		writer_put(writer, 0xce, 4, (uint64_t)value);
	else
		writer_put(writer, 0xcf, 8, (uint64_t)value);
}

void msgpack_put_str_cut(struct msgpack_writer *writer, const char *text,
			 size_t max)
{
	size_t length = strnlen(text, max);

	if (length < 32)
		writer_put(writer, (uint8_t)(0xa0 | length), 0, 0);
	else
		writer_put(writer, 0xda, 2, length);
	msgpack_put_raw(writer, (const uint8_t *)text, length);
}

void msgpack_put_str(struct msgpack_writer *writer, const char *text)
{
	msgpack_put_str_cut(writer, text, UINT16_MAX);
}

void msgpack_put_bin(struct msgpack_writer *writer, const uint8_t *bytes,
		     uint32_t length)
{
	if (length <= UINT8_MAX)
		writer_put(writer, 0xc4, 1, length);
	else if (length <= UINT16_MAX)
		writer_put(writer, 0xc5, 2, length);
	else
		writer_put(writer, 0xc6, 4, length);
	msgpack_put_raw(writer, bytes, length);
}

void msgpack_put_array(struct msgpack_writer *writer, uint32_t length)
{
	if (length < 16)
		writer_put(writer, (uint8_t)(0x90 | length), 0, 0);
	else
		writer_put(writer, 0xdc, 2, length);
}

void msgpack_put_map(struct msgpack_writer *writer, uint32_t length)
{
	writer_put(writer, (uint8_t)(0x80 | length), 0, 0);
}
