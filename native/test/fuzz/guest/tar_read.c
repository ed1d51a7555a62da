/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an archive: it ends, its texts do too, no entry has more than
 * was there, and in pieces of any size it is the same.
 *
 * Input: the size of the pieces, then an archive. Checksums are made right
 * where a header is looked at, unless the first bit says otherwise.
 */
#include <errno.h>
#include <string.h>

#include "tar.h"
#include "tar_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARCHIVE_MAX = 64 * 1024 };

struct archive {
	uint8_t bytes[ARCHIVE_MAX];
	size_t length;
	size_t at;
	size_t piece;
	int mends;
};

static void require(int holds)
{
	if (!holds)
		__builtin_trap();
}

/* A header has to stand at a block's edge, which is where they are read. */
static void archive_mend(struct archive *archive, size_t length)
{
	struct tar_header *header = (struct tar_header *)(archive->bytes +
							  archive->at);

	if (!archive->mends || length != TAR_BLOCK ||
	    archive->at % TAR_BLOCK != 0 ||
	    archive->length - archive->at < TAR_BLOCK || header->name[0] == 0)
		return;
	for (unsigned int i = 0, sum = tar_header_sum(header); i < 8; i++)
		header->checksum[i] = (char)('0' + (sum >> 3 * (7 - i) & 7));
}

static ssize_t archive_read(void *from, void *bytes, size_t length)
{
	struct archive *archive = from;
	size_t count = archive->length - archive->at;

	archive_mend(archive, length);
	if (count > length)
		count = length;
	if (count > archive->piece)
		count = archive->piece;
	memcpy(bytes, archive->bytes + archive->at, count);
	archive->at += count;
	return (ssize_t)count;
}

static void fuzz_entry(const struct tar_entry *entry)
{
	require(strnlen(entry->path, PATH_MAX) < PATH_MAX &&
		entry->path[0] != '\0');
	require(strnlen(entry->target, PATH_MAX) < PATH_MAX);
	require(entry->size >= 0 && entry->mode <= 07777);
	require(entry->size == 0 || entry->type == TAR_FILE ||
		entry->type == TAR_DEVICE);
}

static uint64_t mix(uint64_t sum, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ at[i]) * 0x100000001b3;
	return sum;
}

/* Reads all of it. A sum of what was in it. */
static uint64_t fuzz_archive(struct archive *archive)
{
	struct tar_reader reader = { .read = archive_read, .from = archive };
	static struct tar_entry entry;
	uint64_t sum = 0;
	int result;

	archive->at = 0;
	while ((result = tar_read_entry(&reader, &entry)) == 1) {
		int64_t content = 0;
		uint8_t bytes[700];
		ssize_t count;

		fuzz_entry(&entry);
		sum = mix(sum, entry.path, strlen(entry.path));
		sum = mix(sum, entry.target, strlen(entry.target));
		sum = mix(sum, &entry.size, sizeof(entry.size));
		/* Every other content is left to be skipped. */
		while (entry.seconds % 2 == 0 &&
		       (count = tar_read_content(&reader, bytes,
						 sizeof(bytes))) > 0) {
			content += count;
			sum = mix(sum, bytes, (size_t)count);
		}
		require(content <= entry.size &&
			content <= (int64_t)archive->length);
	}
	require(result == 0 || result == -EPROTO || result == -ENAMETOOLONG);
	return mix(sum, &result, sizeof(result));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct archive archive;
	uint64_t whole;

	if (size < 1 || size - 1 > ARCHIVE_MAX)
		return 0;
	archive.length = size - 1;
	archive.mends = !(data[0] & 1);
	archive.piece = SIZE_MAX;
	memcpy(archive.bytes, data + 1, archive.length);
	whole = fuzz_archive(&archive);
	/* What was mended stays so. */
	archive.mends = 0;
	archive.piece = 1u + data[0];
	require(fuzz_archive(&archive) == whole);
	return 0;
}
