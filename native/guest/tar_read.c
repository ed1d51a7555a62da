/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tar.h"
#include "tar_header.h"

/* An extended header has a few values, of which two are paths. */
enum { EXTENSION_BYTES_MAX = 64 * 1024 };

/* What came before an entry and replaces what its header says. */
struct extension {
	bool has_path;
	bool has_target;
	bool has_size;
	bool has_seconds;
	int64_t size;
	int64_t seconds;
};

/* As many bytes as asked for, or -EPROTO where the archive ends. */
static int read_fully(struct tar_reader *reader, void *bytes, size_t length)
{
	uint8_t *at = bytes;

	while (length > 0) {
		ssize_t count = reader->read(reader->from, at, length);

		if (count < 0)
			return (int)count;
		if (count == 0)
			return -EPROTO;
		at += count;
		length -= (size_t)count;
	}
	return 0;
}

ssize_t tar_read_content(struct tar_reader *reader, void *bytes, size_t length)
{
	ssize_t count;

	if (reader->left == 0)
		return 0;
	if ((int64_t)length > reader->left)
		length = (size_t)reader->left;
	count = reader->read(reader->from, bytes, length);
	if (count == 0)
		return -EPROTO;
	if (count > 0)
		reader->left -= count;
	return count;
}

static int skip_content(struct tar_reader *reader)
{
	uint8_t bytes[16 * TAR_BLOCK];
	ssize_t count;

	while ((count = tar_read_content(reader, bytes, sizeof(bytes))) > 0)
		;
	if (count < 0)
		return (int)count;
	count = read_fully(reader, bytes, (size_t)reader->padding);
	reader->padding = 0;
	return (int)count;
}

/* Octal digits, or, as GNU has it for what is too large, bytes. */
static int number_in(const char *field, size_t size, int64_t *number)
{
	size_t at = 0;

	*number = 0;
	if ((uint8_t)field[0] == 0x80) {
		for (at = 1; at < size; at++) {
			if (*number > INT64_MAX >> 9)
				return -EPROTO;
			*number = *number << 8 | (uint8_t)field[at];
		}
		return 0;
	}
	while (at < size && field[at] == ' ')
		at++;
	for (; at < size && field[at] >= '0' && field[at] <= '7'; at++)
		*number = *number << 3 | (field[at] - '0');
	return at < size && field[at] != ' ' && field[at] != '\0' ? -EPROTO : 0;
}

static int decimal_in(const char *text, const char *end, int64_t *number)
{
	bool negative = text < end && *text == '-';

	if (negative)
		text++;
	if (text == end)
		return -EPROTO;
	/* A time may have a fraction, which is cut off. */
	for (*number = 0; text < end && *text != '.'; text++) {
		if (*text < '0' || *text > '9' || *number > INT64_MAX / 16)
			return -EPROTO;
		*number = *number * 10 + (*text - '0');
	}
	if (negative)
		*number = -*number;
	return 0;
}

static int text_in(const char *text, size_t length, char *copy)
{
	if (length == 0 || memchr(text, 0, length))
		return -EPROTO;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return 0;
}

static bool is_key(const char *key, size_t length, const char *name)
{
	return length == strlen(name) && !memcmp(key, name, length);
}

static int take_value(struct extension *extension, struct tar_entry *entry,
		      const char *key, size_t key_length, const char *value,
		      const char *end)
{
	if (is_key(key, key_length, "path")) {
		extension->has_path = true;
		return text_in(value, (size_t)(end - value), entry->path);
	}
	if (is_key(key, key_length, "linkpath")) {
		extension->has_target = true;
		return text_in(value, (size_t)(end - value), entry->target);
	}
	if (is_key(key, key_length, "size")) {
		extension->has_size = true;
		return decimal_in(value, end, &extension->size);
	}
	if (is_key(key, key_length, "mtime")) {
		extension->has_seconds = true;
		return decimal_in(value, end, &extension->seconds);
	}
	return 0;
}

/* One record: "LENGTH KEY=VALUE\n". Gives its length, or -EPROTO. */
static int64_t take_record(struct extension *extension, struct tar_entry *entry,
			   const char *record, size_t most)
{
	const char *blank = memchr(record, ' ', most);
	const char *equals;
	const char *end;
	int64_t length;
	int error;

	if (!blank || decimal_in(record, blank, &length) ||
	    length <= blank - record + 2 || length > (int64_t)most ||
	    record[length - 1] != '\n')
		return -EPROTO;
	end = record + length - 1;
	equals = memchr(blank, '=', (size_t)(end - blank));
	if (!equals)
		return -EPROTO;
	error = take_value(extension, entry, blank + 1,
			   (size_t)(equals - blank - 1), equals + 1, end);
	return error ? error : length;
}

static int take_records(struct extension *extension, struct tar_entry *entry,
			const char *records, size_t length)
{
	while (length > 0) {
		int64_t taken = take_record(extension, entry, records, length);

		if (taken < 0)
			return (int)taken;
		records += taken;
		length -= (size_t)taken;
	}
	return 0;
}

/* GNU's long names have a NUL at their end. */
static int take_name(const char *text, size_t length, char *copy, bool *has)
{
	*has = true;
	return text_in(text, strnlen(text, length), copy);
}

static int take_extension(struct tar_reader *reader, char type,
			  struct extension *extension, struct tar_entry *entry)
{
	size_t length = (size_t)reader->left;
	char *content;
	int error;

	if (length > EXTENSION_BYTES_MAX)
		return -EPROTO;
	content = malloc(length + 1);
	if (!content)
		return -ENOMEM;
	error = read_fully(reader, content, length);
	if (!error) {
		reader->left = 0;
		if (type == TAR_EXTENSION)
			error = take_records(extension, entry, content, length);
		else if (type == TAR_GNU_NAME)
			error = take_name(content, length, entry->path,
					  &extension->has_path);
		else if (type == TAR_GNU_TARGET)
			error = take_name(content, length, entry->target,
					  &extension->has_target);
	}
	free(content);
	return error;
}

static enum tar_type type_of(char type)
{
	switch (type) {
	case '\0':
	case '0':
	case '7':
		return TAR_FILE;
	case '1':
		return TAR_HARD_LINK;
	case '2':
		return TAR_LINK;
	case '5':
		return TAR_FOLDER;
	default:
		return TAR_DEVICE;
	}
}

/* The path is in two parts, of which neither need end with a NUL. */
static int take_path(const struct tar_header *header, struct tar_entry *entry)
{
	size_t prefix = strnlen(header->prefix, sizeof(header->prefix));
	size_t name = strnlen(header->name, sizeof(header->name));

	/* The prefix is POSIX's; GNU has something else there. */
	if (memcmp(header->magic, "ustar", 6) != 0)
		prefix = 0;
	memcpy(entry->path, header->prefix, prefix);
	if (prefix > 0)
		entry->path[prefix++] = '/';
	memcpy(entry->path + prefix, header->name, name);
	entry->path[prefix + name] = '\0';
	return name > 0 ? 0 : -EPROTO;
}

static int take_header(const struct tar_header *header,
		       const struct extension *extension,
		       struct tar_reader *reader, struct tar_entry *entry)
{
	size_t link = strnlen(header->link, sizeof(header->link));
	int64_t mode;

	if (number_in(header->mode, sizeof(header->mode), &mode) ||
	    (!extension->has_path && take_path(header, entry)))
		return -EPROTO;
	if (!extension->has_target) {
		memcpy(entry->target, header->link, link);
		entry->target[link] = '\0';
	}
	entry->type = type_of(header->type);
	entry->mode = (uint32_t)mode & 07777;
	entry->seconds = extension->seconds;
	if (!extension->has_seconds &&
	    number_in(header->seconds, sizeof(header->seconds),
		      &entry->seconds))
		return -EPROTO;
	if (extension->has_size)
		reader->left = extension->size;
	/* Only files have content; some programs give links a size. */
	if (entry->type != TAR_FILE && entry->type != TAR_DEVICE)
		reader->left = 0;
	if (reader->left < 0)
		return -EPROTO;
	reader->padding = -reader->left & (TAR_BLOCK - 1);
	entry->size = reader->left;
	return 0;
}

static bool is_zero(const struct tar_header *header)
{
	const uint8_t *bytes = (const uint8_t *)header;

	for (size_t i = 0; i < sizeof(*header); i++)
		if (bytes[i])
			return false;
	return true;
}

/* A header that adds up; its size is what is left. 1, 0 at the end, or
 * -errno. */
static int read_header(struct tar_reader *reader, struct tar_header *header)
{
	int64_t sum;
	int error = skip_content(reader);

	if (!error)
		error = read_fully(reader, header, sizeof(*header));
	if (error)
		return error;
	if (is_zero(header))
		return 0;
	if (number_in(header->checksum, sizeof(header->checksum), &sum) ||
	    sum != tar_header_sum(header) ||
	    number_in(header->size, sizeof(header->size), &reader->left))
		return -EPROTO;
	reader->padding = -reader->left & (TAR_BLOCK - 1);
	return 1;
}

static bool is_extension(char type)
{
	return type == TAR_EXTENSION || type == TAR_EXTENSION_OF_ALL ||
	       type == TAR_GNU_NAME || type == TAR_GNU_TARGET;
}

int tar_read_entry(struct tar_reader *reader, struct tar_entry *entry)
{
	struct extension extension = { 0 };
	struct tar_header header = { 0 };
	int result;

	while ((result = read_header(reader, &header)) > 0) {
		int error;

		if (!is_extension(header.type))
			return take_header(&header, &extension, reader, entry)
				       ? -EPROTO
				       : 1;
		error = take_extension(reader, header.type, &extension, entry);
		if (error)
			return error;
	}
	return result;
}
