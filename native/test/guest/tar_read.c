/* SPDX-License-Identifier: MIT */
#include "tar.h"

#include <errno.h>

#include "fake_archive.h"
#include "tap.h"

static int next(struct archive *archive)
{
	return tar_read_entry(&archive->reader, &archive->entry);
}

/* What reading the first entry of this archive gives; frees it. */
static int first(struct archive *archive)
{
	int result;

	archive_rewind(archive, archive->length, SIZE_MAX);
	result = next(archive);
	free(archive);
	return result;
}

static void put_all_kinds(struct archive *archive)
{
	struct tar_header *header = archive_put(archive, '0', "file",
						"content");

	memcpy(header->prefix, "a/folder", 8);
	archive_sum(header);
	archive_put(archive, '5', "folder/", NULL);
	header = archive_put(archive, '2', "link", NULL);
	memset(header->link, 't', sizeof(header->link));
	archive_sum(header);
	header = archive_put(archive, '1', "hard", NULL);
	memcpy(header->link, "file", 4);
	/* A size without a content. */
	memcpy(header->size, "00000000007", 12);
	archive_sum(header);
	archive_put(archive, '3', "device", NULL);
	archive_put(archive, '\0', "old", "x");
	archive->length += 2 * TAR_BLOCK;
}

static void check_all_kinds(struct archive *archive)
{
	const struct tar_entry *entry = &archive->entry;
	char content[16] = { 0 };
	size_t length = 0;
	ssize_t count;

	CHECK(next(archive) == 1 && entry->type == TAR_FILE);
	CHECK(!strcmp(entry->path, "a/folder/file"));
	CHECK(entry->mode == 0755 && entry->seconds == 100);
	CHECK(entry->size == 7);
	while ((count = tar_read_content(&archive->reader, content + length,
					 sizeof(content) - length)) > 0)
		length += (size_t)count;
	CHECK(count == 0 && !strcmp(content, "content"));
	CHECK(next(archive) == 1 && entry->type == TAR_FOLDER);
	CHECK(next(archive) == 1 && entry->type == TAR_LINK);
	CHECK(strlen(entry->target) == sizeof(((struct tar_header *)0)->link));
	CHECK(next(archive) == 1 && entry->type == TAR_HARD_LINK);
	CHECK(entry->size == 0 && !strcmp(entry->target, "file"));
	CHECK(next(archive) == 1 && entry->type == TAR_DEVICE);
	CHECK(next(archive) == 1 && entry->type == TAR_FILE);
	CHECK(!strcmp(entry->path, "old") && entry->size == 1);
	CHECK(next(archive) == 0);
}

static void entries_in_pieces_of_any_size(void)
{
	static const size_t pieces[] = { 1, 2, 7, 511, 512, 513, SIZE_MAX };
	struct archive *archive = archive_make();

	put_all_kinds(archive);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		archive_rewind(archive, archive->length, pieces[i]);
		check_all_kinds(archive);
	}
	free(archive);
}

static void cut_off_anywhere_is_no_archive(void)
{
	struct archive *archive = archive_make();
	size_t whole;
	int result;

	put_all_kinds(archive);
	/* Of the two blocks at the end, one is enough. */
	whole = archive->length - TAR_BLOCK;
	for (size_t cut = 0; cut <= whole; cut++) {
		archive_rewind(archive, cut, SIZE_MAX);
		while ((result = next(archive)) == 1)
			;
		CHECK(result == (cut == whole ? 0 : -EPROTO));
	}
	archive_rewind(archive, TAR_BLOCK + 3, SIZE_MAX);
	CHECK(next(archive) == 1);
	CHECK(tar_read_content(&archive->reader, archive->bytes, 512) == 3);
	CHECK(tar_read_content(&archive->reader, archive->bytes, 512) ==
	      -EPROTO);
	free(archive);
}

static void a_header_that_does_not_add_up(void)
{
	struct archive *archive = archive_make();
	struct tar_header *header = archive_put(archive, '0', "file", NULL);

	/* The last byte of the checksum is behind its NUL. */
	for (size_t at = 0; at < sizeof(*header); at++) {
		if (&archive->bytes[at] == (uint8_t *)&header->checksum[7])
			continue;
		archive->bytes[at] ^= 0x40;
		archive_rewind(archive, TAR_BLOCK, SIZE_MAX);
		CHECK(next(archive) == -EPROTO);
		archive->bytes[at] ^= 0x40;
	}
	archive_rewind(archive, TAR_BLOCK, SIZE_MAX);
	CHECK(next(archive) == 1);
	free(archive);
}

static void a_name_there_must_be(void)
{
	struct archive *archive = archive_make();

	archive_put(archive, '0', "", NULL);
	CHECK(first(archive) == -EPROTO);
}

/* Of 1 to PATH_MAX - 1 bytes, in each way that names have. */
static void long_names(void)
{
	static const char *const ways[] = { "L", "K", "path", "linkpath" };
	static const size_t lengths[] = {
		1, 99, 100, 255, PATH_MAX - 1, PATH_MAX, PATH_MAX + 1, 0
	};
	static char name[2 * PATH_MAX];

	for (size_t way = 0; way < 4; way++)
		for (size_t i = 0; i < 8; i++) {
			struct archive *archive = archive_make();
			const struct tar_entry *entry = &archive->entry;
			size_t length = lengths[i];
			int expected = length == 0         ? -EPROTO
				       : length < PATH_MAX ? 1
							   : -ENAMETOOLONG;

			memset(name, 'n', length);
			name[length] = '\0';
			if (way < 2)
				archive_put(archive, ways[way][0],
					    "././@LongLink", name);
			else
				archive_put(archive, 'x', "pax",
					    archive_record(ways[way], name));
			archive_put(archive, '2', "short", NULL);
			archive_rewind(archive, archive->length, 100);
			CHECK(next(archive) == expected);
			if (expected == 1) {
				CHECK(!strcmp(way % 2 ? entry->target
						      : entry->path,
					      name));
				CHECK(!strcmp(way % 2 ? entry->path
						      : entry->target,
					      way % 2 ? "short" : ""));
			}
			free(archive);
		}
}

static void an_extension_is_for_one_entry(void)
{
	struct archive *archive = archive_make();

	archive_put(archive, 'x', "pax", archive_record("path", "long"));
	archive_put(archive, '0', "first", NULL);
	archive_put(archive, '0', "second", NULL);
	archive_put(archive, 'g', "pax", archive_record("path", "of all"));
	archive_put(archive, '0', "third", NULL);
	archive_rewind(archive, archive->length, SIZE_MAX);
	CHECK(next(archive) == 1 && !strcmp(archive->entry.path, "long"));
	CHECK(next(archive) == 1 && !strcmp(archive->entry.path, "second"));
	CHECK(next(archive) == 1 && !strcmp(archive->entry.path, "third"));
	free(archive);
}

static void records_that_are_none(void)
{
	static const char *const all[] = {
		"x",
		"5",
		"5 a=",
		"6 a=b",
		"60 a=b\n",
		"0 a=b\n",
		"-6 a=b\n",
		"6 a=bX",
		"6 aab\n",
		"3 \n",
		"2 ",
		" a=b\n",
		"99999999999999999999 a=b\n",
		"7 size\n",
		"8 size=\n",
		"9 size=x\n",
		"10 size=-1\n",
		"9 size=-\n",
		"28 size=9223372036854775808\n",
		"8 path=\n",
		"11 mtime=1x\n",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct archive *archive = archive_make();
		int result;

		archive_put(archive, 'x', "pax", all[i]);
		archive_put(archive, '0', "file", NULL);
		result = first(archive);
		CHECK(result == -EPROTO);
		if (result != -EPROTO)
			printf("# record %s\n", all[i]);
	}
}

static void an_extension_has_a_limit(void)
{
	struct archive *archive = archive_make();
	struct tar_header *header = archive_put(archive, 'x', "pax", NULL);

	/* 64 KiB and one byte. */
	memcpy(header->size, "00000200001", 12);
	archive_sum(header);
	archive->length += 65536 + TAR_BLOCK;
	CHECK(first(archive) == -EPROTO);
}

static void numbers_of_each_form(void)
{
	static const struct {
		char size[12];
		int64_t value; /* -1: none */
	} all[] = {
		{ "00000000001", 1 },
		{ "         17 ", 15 },
		{ "777777777777", 0777777777777 },
		{ "", 0 },
		{ "\x80\0\0\0\0\0\0\0\0\0\1\0", 256 },
		{ "\x80\0\0\0\x3f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX / 2 },
		{ "\x80\0\0\0\x80\0\0\0\0\0\0\0", -1 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -1 },
		{ "00000000008", -1 },
		{ "0x000000001", -1 },
		{ "-0000000001", -1 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct archive *archive = archive_make();
		struct tar_header *header = archive_put(archive, '0', "file",
							NULL);

		memcpy(header->size, all[i].size, sizeof(header->size));
		archive_sum(header);
		archive_rewind(archive, archive->length, SIZE_MAX);
		CHECK(next(archive) == (all[i].value < 0 ? -EPROTO : 1));
		CHECK(all[i].value < 0 || archive->entry.size == all[i].value);
		free(archive);
	}
}

static void values_of_an_extension_count(void)
{
	struct archive *archive = archive_make();
	char records[64];

	strcpy(records, archive_record("size", "3"));
	strcat(records, archive_record("mtime", "-12.75"));
	archive_put(archive, 'x', "pax", records);
	archive_put(archive, '0', "file", "abc");
	archive_rewind(archive, archive->length, SIZE_MAX);
	CHECK(next(archive) == 1);
	CHECK(archive->entry.size == 3 && archive->entry.seconds == -12);
	CHECK(next(archive) == -EPROTO);
	free(archive);
}

static ssize_t broken_read(void *from, void *bytes, size_t length)
{
	(void)from;
	(void)bytes;
	(void)length;
	return -EIO;
}

static void an_error_of_reading_is_told(void)
{
	struct tar_reader reader = { .read = broken_read };
	struct tar_entry entry;

	CHECK(tar_read_entry(&reader, &entry) == -EIO);
	reader.left = 1;
	CHECK(tar_read_content(&reader, &entry, 1) == -EIO);
}

int main(void)
{
	TEST(entries_in_pieces_of_any_size);
	TEST(cut_off_anywhere_is_no_archive);
	TEST(a_header_that_does_not_add_up);
	TEST(a_name_there_must_be);
	TEST(long_names);
	TEST(an_extension_is_for_one_entry);
	TEST(records_that_are_none);
	TEST(an_extension_has_a_limit);
	TEST(numbers_of_each_form);
	TEST(values_of_an_extension_count);
	TEST(an_error_of_reading_is_told);
	return tap_done();
}
