/* SPDX-License-Identifier: MIT */
#include "kernel_image.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "layout.h"

/* Everything is little-endian. */
struct image_header {
	uint32_t code[2];
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint64_t reserved[3];
	uint32_t magic;
	uint32_t pe_offset; /* 0: the kernel is no program of EFI */
};

_Static_assert(sizeof(struct image_header) == 64, "as Linux has it");

enum {
	IMAGE_MAGIC = 0x644d5241, /* "ARM\x64" */
	IMAGE_BIG_ENDIAN = 1 << 0,
	IMAGE_PAGE_SHIFT = 1,
	IMAGE_PAGE_MASK = 3,
	/* Of kernels before 3.17, which tell neither it nor their size */
	IMAGE_OLD_TEXT_OFFSET = 0x80000,
};

/* What distributions have instead: kernels to be unpacked by the bootloader. */
enum {
	GZIP_MAGIC = 0x8b1f,
	ZBOOT_MAGIC = 0x676d697a, /* "zimg", behind "MZ" and two zeros */
	ZBOOT_MAGIC_OFFSET = 4,
};

/* The PE format of EFI programs, as far as it tells how long a file is. */
enum {
	PE_MAGIC = 0x4550, /* "PE" and two zeros */
	PE_SECTIONS_MAX = 16,
};

struct pe_header {
	uint32_t magic;
	uint16_t machine;
	uint16_t section_count;
	uint32_t ignored[3];
	uint16_t optional_header_size;
	uint16_t flags;
};

struct pe_section {
	uint32_t ignored[4];
	uint32_t raw_size;
	uint32_t raw_offset;
	uint32_t ignored_too[4];
};

_Static_assert(sizeof(struct pe_header) == 24, "as Microsoft has it");
_Static_assert(sizeof(struct pe_section) == 40, "as Microsoft has it");

/* Whether the file is a kernel in a form that must be unpacked first. */
static const char *image_packing(const struct image_header *header)
{
	uint32_t words[2];

	memcpy(words, header, sizeof(words));
	if ((le32toh(words[0]) & 0xffff) == GZIP_MAGIC)
		return "compressed by gzip: unpack it (gunzip) first";
	if (le32toh(words[ZBOOT_MAGIC_OFFSET / sizeof(words[0])]) ==
	    ZBOOT_MAGIC)
		return "an EFI zboot image: unpack its kernel first";
	return NULL;
}

static enum capsa_status image_read_header(const struct boot_file *file,
					   struct image_header *header)
{
	const char *packing;
	enum capsa_status status = boot_file_read(
		file, 0, header, sizeof(*header), "image_header");

	if (status != CAPSA_STATUS_OK)
		return status;
	packing = image_packing(header);
	if (packing)
		return boot_file_refuse(file, "image_header.magic", "%s",
					packing);
	if (le32toh(header->magic) != IMAGE_MAGIC)
		return boot_file_refuse(file, "image_header.magic",
					"not an Image of Linux for arm64");
	if (le64toh(header->flags) & IMAGE_BIG_ENDIAN)
		return boot_file_refuse(file, "image_header.flags",
					"a big-endian kernel");
	return CAPSA_STATUS_OK;
}

/* The file must have what its PE header says, or it was cut. */
static enum capsa_status image_check_sections(const struct boot_file *file,
					      uint64_t offset, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct pe_section section;
		uint64_t end;
		enum capsa_status status = boot_file_read(
			file, offset + (uint64_t)i * sizeof(section), &section,
			sizeof(section), "pe_section");

		if (status != CAPSA_STATUS_OK)
			return status;
		end = (uint64_t)le32toh(section.raw_offset) +
		      le32toh(section.raw_size);
		if (end > file->size)
			return boot_file_refuse(
				file, "pe_section.raw_size",
				"%llu bytes are needed, the file has %llu",
				(unsigned long long)end,
				(unsigned long long)file->size);
	}
	return CAPSA_STATUS_OK;
}

static enum capsa_status image_check_whole(const struct boot_file *file,
					   uint64_t offset)
{
	struct pe_header header;
	uint64_t sections;
	enum capsa_status status;

	if (offset == 0)
		return CAPSA_STATUS_OK;
	status = boot_file_read(file, offset, &header, sizeof(header),
				"image_header.pe_offset");
	if (status != CAPSA_STATUS_OK)
		return status;
	if (le32toh(header.magic) != PE_MAGIC)
		return boot_file_refuse(file, "image_header.pe_offset",
					"there is no PE header");
	if (le16toh(header.section_count) > PE_SECTIONS_MAX)
		return boot_file_refuse(file, "pe_header.section_count",
					"%u sections are more than any kernel "
					"has",
					le16toh(header.section_count));
	sections = offset + sizeof(header) +
		   le16toh(header.optional_header_size);
	return image_check_sections(file, sections,
				    le16toh(header.section_count));
}

/* Where it goes, and how much memory it needs there. */
static enum capsa_status image_place(const struct boot_file *file,
				     const struct image_header *header,
				     uint64_t limit, uint64_t *address,
				     uint64_t *room)
{
	uint64_t offset = le64toh(header->text_offset);
	uint64_t size = le64toh(header->image_size);

	if (size == 0)
		offset = IMAGE_OLD_TEXT_OFFSET;
	*room = size > file->size ? size : file->size;
	if (offset > limit - ARM64_MEMORY)
		return boot_file_refuse(file, "image_header.text_offset",
					"0x%llx is beyond guest memory",
					(unsigned long long)offset);
	*address = ARM64_MEMORY + offset;
	if (*room > limit - *address)
		return boot_file_refuse(
			file, "image_header.image_size",
			"the kernel needs %llu bytes at 0x%llx, free memory "
			"ends at 0x%llx",
			(unsigned long long)*room, (unsigned long long)*address,
			(unsigned long long)limit);
	return CAPSA_STATUS_OK;
}

static uint32_t image_page_bytes(const struct image_header *header)
{
	static const uint32_t sizes[] = { 0, 4096, 16384, 65536 };

	return sizes[le64toh(header->flags) >> IMAGE_PAGE_SHIFT &
		     IMAGE_PAGE_MASK];
}

enum capsa_status kernel_image_load(const struct boot_file *file,
				    const struct memory *memory, uint64_t limit,
				    struct kernel_image *image)
{
	struct image_header header;
	uint64_t address = 0;
	uint64_t room = 0;
	enum capsa_status status = image_read_header(file, &header);

	if (status == CAPSA_STATUS_OK)
		status = image_check_whole(file, le32toh(header.pe_offset));
	if (status == CAPSA_STATUS_OK)
		status = image_place(file, &header, limit, &address, &room);
	if (status != CAPSA_STATUS_OK)
		return status;
	/* It clears what the file does not fill. */
	memory_back(memory, address, room);
	status = boot_file_load(file, 0, memory, address, file->size,
				"image_header.image_size");
	if (status != CAPSA_STATUS_OK)
		return status;
	*image = (struct kernel_image) {
		.entry = address,
		.end = address + room,
		.page_bytes = image_page_bytes(&header),
	};
	return CAPSA_STATUS_OK;
}
