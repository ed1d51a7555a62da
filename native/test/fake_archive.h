/* SPDX-License-Identifier: MIT */
/* Archives in memory, right or wrong in what a test says. */
#ifndef CAPSA_FAKE_ARCHIVE_H
#define CAPSA_FAKE_ARCHIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar.h"
#include "tar_header.h"

enum { ARCHIVE_MAX = 256 * 1024 };

/* An archive in memory, of which each read gives so much at most. */
struct archive {
	uint8_t bytes[ARCHIVE_MAX];
	size_t length;
	size_t at;
	size_t piece;
	struct tar_reader reader;
	struct tar_entry entry;
};

static inline ssize_t archive_read(void *from, void *bytes, size_t length)
{
	struct archive *archive = from;
	size_t count = archive->length - archive->at;

	if (count > length)
		count = length;
	if (count > archive->piece)
		count = archive->piece;
	memcpy(bytes, archive->bytes + archive->at, count);
	archive->at += count;
	return (ssize_t)count;
}

static inline struct archive *archive_make(void)
{
	struct archive *archive = calloc(1, sizeof(*archive));

	if (!archive)
		abort();
	archive->piece = SIZE_MAX;
	return archive;
}

static inline void archive_rewind(struct archive *archive, size_t length,
				  size_t piece)
{
	archive->at = 0;
	archive->length = length;
	archive->piece = piece;
	archive->reader = (struct tar_reader) { .read = archive_read,
						.from = archive };
}

static inline void archive_sum(struct tar_header *header)
{
	snprintf(header->checksum, sizeof(header->checksum), "%06o",
		 tar_header_sum(header));
}

/* Its header, to be changed before archive_sum(), and its content. */
static inline struct tar_header *archive_put(struct archive *archive, char type,
					     const char *name,
					     const char *content)
{
	size_t size = content ? strlen(content) : 0;
	uint8_t *at = archive->bytes + archive->length;
	struct tar_header *header = (struct tar_header *)at;

	memcpy(header->name, name, strnlen(name, sizeof(header->name)));
	memcpy(header->mode, "0000755", 8);
	snprintf(header->size, sizeof(header->size), "%011o",
		 (unsigned int)size);
	memcpy(header->seconds, "00000000144", 12);
	header->type = type;
	memcpy(header->magic,
	       "ustar\0"
	       "00",
	       8);
	if (size > 0)
		memcpy(at + TAR_BLOCK, content, size);
	archive->length += TAR_BLOCK + (size + 511) / 512 * 512;
	archive_sum(header);
	return header;
}

/* A pax record. */
static inline const char *archive_record(const char *key, const char *value)
{
	static char text[3 * PATH_MAX];
	size_t length = strlen(key) + strlen(value) + 3;
	size_t digits = 1;

	for (size_t most = 10; length + digits >= most; most *= 10)
		digits++;
	snprintf(text, sizeof(text), "%zu %s=%s\n", length + digits, key,
		 value);
	return text;
}

#endif
