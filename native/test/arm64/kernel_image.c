/* SPDX-License-Identifier: MIT */
#include "arch/arm64/layout.h"
#include "load.h"

static void an_image_is_loaded(void)
{
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_IMAGE);
	CHECK(load.entry.address == ARM64_MEMORY);
	CHECK(load.entry.page_bytes == 4096);
	CHECK(memcmp(memory_at(&load.memory, ARM64_MEMORY, KERNEL_FILE_SIZE),
		     kernel.bytes, KERNEL_FILE_SIZE) == 0);
	load_free(&load);
}

static void it_goes_where_its_header_says(void)
{
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	KERNEL_FILE_SET(&kernel, text_offset, 0x123000);
	load_run(&load, &kernel);
	CHECK(load.entry.address == ARM64_MEMORY + 0x123000);
	CHECK(guest_number(&load, load.entry.address + 56, 4) == 0x644d5241);
	/* Linux before 3.17 told neither its size nor, truly, its place. */
	KERNEL_FILE_SET(&kernel, image_size, 0);
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(load.entry.address == ARM64_MEMORY + 0x80000);
	load_free(&load);
}

static void its_pages_are_told(void)
{
	static const uint32_t sizes[] = { 0, 4096, 16384, 65536 };
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	for (uint64_t i = 0; i < 4; i++) {
		KERNEL_FILE_SET(&kernel, flags, i << 1);
		load_run(&load, &kernel);
		CHECK(load.status == CAPSA_STATUS_OK);
		CHECK(load.entry.page_bytes == sizes[i]);
	}
	load_free(&load);
}

static void a_kernel_that_is_no_program_of_efi_is_loaded(void)
{
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	KERNEL_FILE_SET(&kernel, pe_offset, 0);
	KERNEL_FILE_SET(&kernel, pe.magic, 0);
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_free(&load);
}

static void every_cut_is_refused(void)
{
	const struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	for (size_t size = 0; size < KERNEL_FILE_SIZE; size++) {
		struct kernel_file cut = kernel;

		cut.size = size;
		load_run(&load, &cut);
		if (load.status != CAPSA_STATUS_KERNEL_INVALID ||
		    load.error.field[0] == '\0')
			printf("# cut to %zu: status %d\n", size, load.status);
		CHECK(load.status == CAPSA_STATUS_KERNEL_INVALID);
		CHECK(load.error.field[0] != '\0');
	}
	load_free(&load);
}

static bool refuses(struct load *load, const struct kernel_file *kernel,
		    const char *field)
{
	load_run(load, kernel);
	return is_refused(load, CAPSA_STATUS_KERNEL_INVALID, field) &&
	       guest_number(load, ARM64_MEMORY, 8) == 0;
}

/* A good file with one field of another value is refused for that field. */
#define REFUSES(what, value, field)                                            \
	do {                                                                   \
		struct kernel_file bad = kernel_file_image();                  \
                                                                               \
		KERNEL_FILE_SET(&bad, what, value);                            \
		CHECK(refuses(&load, &bad, field));                            \
	} while (0)

static void absurd_fields_are_refused(void)
{
	static const char offset[] = "image_header.text_offset";
	static const char room[] = "image_header.image_size";
	static const char raw[] = "pe_section.raw_size";
	/* Below the block for device trees. */
	const uint64_t free_bytes = MEMORY_SIZE - ARM64_TREE_BLOCK;
	struct load load = load_new(MEMORY_SIZE);

	REFUSES(magic, 0x644d5240, "image_header.magic");
	REFUSES(flags, 1, "image_header.flags");
	REFUSES(flags, UINT64_MAX, "image_header.flags");
	REFUSES(image_size, free_bytes + 1, room);
	REFUSES(image_size, UINT64_MAX, room);
	REFUSES(image_size, 1ull << 63, room);
	REFUSES(text_offset, free_bytes, room);
	REFUSES(text_offset, free_bytes - TEST_IMAGE_ROOM + 1, room);
	REFUSES(text_offset, free_bytes + 1, offset);
	REFUSES(text_offset, UINT64_MAX, offset);
	REFUSES(text_offset, -ARM64_MEMORY, offset);
	REFUSES(pe_offset, KERNEL_FILE_SIZE, "image_header.pe_offset");
	REFUSES(pe_offset, UINT32_MAX, "image_header.pe_offset");
	REFUSES(pe_offset, 4, "image_header.pe_offset");
	REFUSES(pe.magic, 0x4551, "image_header.pe_offset");
	REFUSES(pe.section_count, 17, "pe_header.section_count");
	REFUSES(pe.section_count, UINT16_MAX, "pe_header.section_count");
	REFUSES(pe.optional_header_size, UINT16_MAX, "pe_section");
	REFUSES(sections[0].raw_size, UINT32_MAX, raw);
	REFUSES(sections[1].raw_size, KERNEL_FILE_SIZE - TEST_IMAGE_DATA + 1,
		raw);
	REFUSES(sections[1].raw_offset, UINT32_MAX, raw);
	load_free(&load);
}

static void all_of_free_memory_can_be_its(void)
{
	const uint64_t free_bytes = MEMORY_SIZE - ARM64_TREE_BLOCK;
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	KERNEL_FILE_SET(&kernel, image_size, free_bytes);
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	KERNEL_FILE_SET(&kernel, image_size, TEST_IMAGE_ROOM);
	KERNEL_FILE_SET(&kernel, text_offset, free_bytes - TEST_IMAGE_ROOM);
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_free(&load);
}

/* What distributions have in place of an Image says so, and what to do. */
static void packed_kernels_are_told_from_garbage(void)
{
	struct kernel_file kernel = kernel_file_image();
	struct load load = load_new(MEMORY_SIZE);

	KERNEL_FILE_SET(&kernel, code[0], 0x00088b1f);
	CHECK(refuses(&load, &kernel, "image_header.magic"));
	CHECK(strstr(load.error.message, "gunzip"));
	KERNEL_FILE_SET(&kernel, code[0], 0x5a4d);
	KERNEL_FILE_SET(&kernel, code[1], 0x676d697a);
	CHECK(refuses(&load, &kernel, "image_header.magic"));
	CHECK(strstr(load.error.message, "zboot"));
	memset(kernel.bytes, 0x5a, sizeof(kernel.bytes));
	CHECK(refuses(&load, &kernel, "image_header.magic"));
	CHECK(strstr(load.error.message, "not an Image"));
	load_free(&load);
}

int main(void)
{
	TEST(an_image_is_loaded);
	TEST(it_goes_where_its_header_says);
	TEST(its_pages_are_told);
	TEST(a_kernel_that_is_no_program_of_efi_is_loaded);
	TEST(every_cut_is_refused);
	TEST(absurd_fields_are_refused);
	TEST(all_of_free_memory_can_be_its);
	TEST(packed_kernels_are_told_from_garbage);
	return tap_done();
}
