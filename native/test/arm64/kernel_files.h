/* SPDX-License-Identifier: MIT */
/* A small kernel file that the loader accepts, for tests to damage. */
#ifndef CAPSA_TEST_KERNEL_FILES_H
#define CAPSA_TEST_KERNEL_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KERNEL_FILE_SIZE = 2048 };

struct kernel_file {
	uint8_t bytes[KERNEL_FILE_SIZE];
	size_t size;
};

enum {
	TEST_IMAGE_ROOM = 4 << 20,
	TEST_IMAGE_TEXT = 512,
	TEST_IMAGE_DATA = 1024,
};

/* The headers of an Image that is also a program of EFI, as Linux has them. */
struct image_file {
	uint32_t code[2];
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint64_t reserved[3];
	uint32_t magic;
	uint32_t pe_offset;
	struct {
		uint32_t magic;
		uint16_t machine;
		uint16_t section_count;
		uint32_t ignored[3];
		uint16_t optional_header_size;
		uint16_t flags;
		uint8_t optional_header[160];
	} pe;
	struct {
		char name[8];
		uint32_t virtual_size;
		uint32_t virtual_address;
		uint32_t raw_size;
		uint32_t raw_offset;
		uint32_t ignored[4];
	} sections[2];
};

/* Where in the file a field is. */
#define IMAGE(field) offsetof(struct image_file, field)

static inline struct kernel_file kernel_file_image(void)
{
	struct kernel_file file = { .size = KERNEL_FILE_SIZE };
	const struct image_file image = {
		.code = { 0xfa405a4d, 0x14000200 }, /* "MZ" is code, too */
		.image_size = TEST_IMAGE_ROOM,
		.flags = 1 << 1 | 1 << 3, /* 4 KiB pages, anywhere */
		.magic = 0x644d5241,
		.pe_offset = IMAGE(pe),
		.pe = {
			.magic = 0x4550,
			.machine = 0xaa64,
			.section_count = 2,
			.optional_header_size = sizeof(image.pe.optional_header),
		},
		.sections = {
			{ .name = ".text",
			  .raw_size = TEST_IMAGE_DATA - TEST_IMAGE_TEXT,
			  .raw_offset = TEST_IMAGE_TEXT },
			{ .name = ".data",
			  .raw_size = KERNEL_FILE_SIZE - TEST_IMAGE_DATA,
			  .raw_offset = TEST_IMAGE_DATA },
		},
	};

	memset(file.bytes, 0xc0, sizeof(file.bytes));
	memcpy(file.bytes, &image, sizeof(image));
	return file;
}

/* A field of another value. */
#define KERNEL_FILE_SET(file, field, value)                                    \
	do {                                                                   \
		struct image_file image;                                       \
                                                                               \
		memcpy(&image, (file)->bytes, sizeof(image));                  \
		image.field = (value);                                         \
		memcpy((file)->bytes, &image, sizeof(image));                  \
	} while (0)

#endif
