/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define MIB        (1ull << 20)
#define GIB        (1ull << 30)
#define HOLE_START (3 * GIB)
#define HOLE_END   (4 * GIB)

static enum capsa_status create(struct memory *memory, uint64_t size,
				struct capsa_error *error)
{
	return memory_create(memory, size, HOLE_START, HOLE_END, error);
}

static void small_memory_is_one_range(void)
{
	struct memory memory;

	CHECK(create(&memory, 512 * MIB, NULL) == CAPSA_STATUS_OK);
	CHECK(memory.range_count == 1);
	CHECK(memory.ranges[0].address == 0);
	CHECK(memory.ranges[0].size == 512 * MIB);
	memory_destroy(&memory);
}

static void memory_up_to_the_hole_is_one_range(void)
{
	struct memory memory;

	CHECK(create(&memory, HOLE_START, NULL) == CAPSA_STATUS_OK);
	CHECK(memory.range_count == 1);
	CHECK(memory_at(&memory, HOLE_START - 1, 1) != NULL);
	CHECK(memory_at(&memory, HOLE_START, 1) == NULL);
	memory_destroy(&memory);
}

static void large_memory_goes_around_the_hole(void)
{
	struct memory memory;

	CHECK(create(&memory, 5 * GIB, NULL) == CAPSA_STATUS_OK);
	CHECK(memory.range_count == 2);
	CHECK(memory.ranges[0].size == 3 * GIB);
	CHECK(memory.ranges[1].address == HOLE_END);
	CHECK(memory.ranges[1].size == 2 * GIB);
	CHECK(memory.ranges[1].host == memory.ranges[0].host + 3 * GIB);
	CHECK(memory_at(&memory, HOLE_START, 1) == NULL);
	CHECK(memory_at(&memory, HOLE_END - 1, 1) == NULL);
	CHECK(memory_at(&memory, HOLE_END, 1) == memory.ranges[1].host);
	CHECK(memory_at(&memory, 6 * GIB - 1, 1) != NULL);
	CHECK(memory_at(&memory, 6 * GIB, 1) == NULL);
	memory_destroy(&memory);
}

static void huge_pages_could_hold_it(void)
{
	struct memory memory;

	CHECK(create(&memory, 17 * MIB, NULL) == CAPSA_STATUS_OK);
	CHECK((uintptr_t)memory.mapping % (2 * MIB) == 0);
	memory_destroy(&memory);
}

static void no_range_is_left(void)
{
	static const struct {
		uint64_t address, length;
	} outside[] = {
		{ HOLE_START - 1, 2 },           /* into the hole */
		{ HOLE_START - 1, 1 + GIB + 1 }, /* over it */
		{ HOLE_END - 1, 2 },             /* out of it */
		{ 0, 3 * GIB + 1 },
		{ HOLE_END, 2 * GIB + 1 },
		{ 6 * GIB - 1, 2 },
		{ 1, UINT64_MAX }, /* wraps to 0 */
		{ HOLE_END, UINT64_MAX - GIB },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX },
		{ UINT64_MAX - 7, 16 },
		{ 1ull << 63, 8 },
	};
	struct memory memory;
	uint8_t byte = 0;

	CHECK(create(&memory, 5 * GIB, NULL) == CAPSA_STATUS_OK);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		CHECK(memory_at(&memory, outside[i].address,
				outside[i].length) == NULL);
	CHECK(memory_at(&memory, 0, 3 * GIB) != NULL);
	CHECK(memory_at(&memory, HOLE_END, 2 * GIB) != NULL);
	CHECK(memory_read(&memory, HOLE_START, &byte, 1) == -EFAULT);
	CHECK(memory_write(&memory, HOLE_END - 1, &byte, 1) == -EFAULT);
	memory_destroy(&memory);
}

static void what_is_written_is_read(void)
{
	static const char text[] = "on both sides";
	char back[sizeof(text)] = "";
	struct memory memory;

	CHECK(create(&memory, 5 * GIB, NULL) == CAPSA_STATUS_OK);
	for (uint64_t address = MIB; address < 6 * GIB;
	     address += 5 * GIB - MIB) {
		memset(back, 0, sizeof(back));
		CHECK(memory_write(&memory, address, text, sizeof(text)) == 0);
		CHECK(memory_read(&memory, address, back, sizeof(back)) == 0);
		CHECK(strcmp(text, back) == 0);
	}
	memory_destroy(&memory);
}

static void only_touched_pages_are_resident(void)
{
	struct memory memory;

	CHECK(create(&memory, 5 * GIB, NULL) == CAPSA_STATUS_OK);
	CHECK(memory_resident(&memory) == 0);
	CHECK(memory_write(&memory, 4 * GIB, "", 1) == 0);
	CHECK(memory_resident(&memory) > 0);
	CHECK(memory_resident(&memory) <= 4 * MIB);
	memory_destroy(&memory);
	CHECK(memory_resident(&memory) == 0);
}

static void backing_changes_no_byte(void)
{
	static const struct {
		uint64_t address, length;
	} asked[] = {
		{ 0, 1 },
		{ 3 * MIB, 4 * MIB },
		{ 17 * MIB - 1, 1 },
		{ 17 * MIB - 1, 2 },
		{ 16 * MIB, 1 << 30 },
		{ 0, 17 * MIB },
		{ 1ull << 40, 2 * MIB },
		{ UINT64_MAX - MIB, MIB },
	};
	struct memory memory;
	uint64_t word = 0x0123456789abcdef;

	CHECK(create(&memory, 17 * MIB, NULL) == CAPSA_STATUS_OK);
	for (uint64_t at = 0; at < 17 * MIB; at += MIB)
		CHECK(memory_write(&memory, at, &word, sizeof(word)) == 0);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		memory_back(&memory, asked[i].address, asked[i].length);
	for (uint64_t at = 0; at < 17 * MIB; at += MIB) {
		CHECK(memory_read(&memory, at, &word, sizeof(word)) == 0);
		CHECK(word == 0x0123456789abcdef);
		CHECK(memory_read(&memory, at + 8, &word, sizeof(word)) == 0);
		CHECK(word == 0);
		word = 0x0123456789abcdef;
	}
	memory_destroy(&memory);
}

/* From the host's point of view, of a range that is backed everywhere. */
static void whole_pages_are_given_back(void)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct {
		uint64_t address, length, start, end; /* given back */
	} asked[] = {
		{ 8 * MIB, MIB, 8 * MIB, 9 * MIB },
		{ 8 * MIB, page, 8 * MIB, 8 * MIB + page },
		{ 8 * MIB - 1, page + 2, 8 * MIB, 8 * MIB + page },
		{ 8 * MIB + 1, 3 * page, 8 * MIB + page, 8 * MIB + 3 * page },
		{ 8 * MIB + 1, 2 * page - 2, 0, 0 },
		{ 8 * MIB, page - 1, 0, 0 },
		{ 8 * MIB + 1, 1, 0, 0 },
		{ 8 * MIB, 0, 0, 0 },
		{ 0, 16 * MIB, 0, 16 * MIB },
	};
	struct memory memory;

	CHECK(create(&memory, 16 * MIB, NULL) == CAPSA_STATUS_OK);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		uint64_t given = asked[i].end - asked[i].start;
		size_t wrong = 0;

		memset(memory.mapping, 'm', 16 * MIB);
		CHECK(memory_discard(&memory,
				     memory_at(&memory, asked[i].address,
					       asked[i].length),
				     asked[i].length) == given);
		CHECK(memory_resident(&memory) == 16 * MIB - given);
		for (uint64_t at = 0; at < 16 * MIB; at += page / 2) {
			bool gone = at >= asked[i].start && at < asked[i].end;

			wrong += memory.mapping[at] != (gone ? 0 : 'm');
		}
		CHECK(wrong == 0);
	}
	memory_destroy(&memory);
}

/* What is given back in the upper range is not the lower one's. */
static void pages_above_the_hole_are_given_back(void)
{
	struct memory memory;
	uint64_t before;

	CHECK(create(&memory, 5 * GIB, NULL) == CAPSA_STATUS_OK);
	memset(memory_at(&memory, MIB, 4 * MIB), 'l', 4 * MIB);
	memset(memory_at(&memory, 4 * GIB + MIB, 4 * MIB), 'h', 4 * MIB);
	before = memory_resident(&memory);
	CHECK(memory_discard(&memory,
			     memory_at(&memory, 4 * GIB + MIB, 4 * MIB),
			     4 * MIB) == 4 * MIB);
	CHECK(memory_resident(&memory) == before - 4 * MIB);
	CHECK(*(char *)memory_at(&memory, 4 * GIB + MIB, 1) == 0);
	CHECK(*(char *)memory_at(&memory, MIB, 1) == 'l');
	memory_destroy(&memory);
}

static void its_file_is_sealed_and_private(void)
{
	struct memory memory;
	int seals;

	CHECK(create(&memory, 16 * MIB, NULL) == CAPSA_STATUS_OK);
	seals = fcntl(memory.fd, F_GET_SEALS);
	CHECK((seals & F_SEAL_SHRINK) && (seals & F_SEAL_GROW));
	CHECK(seals & F_SEAL_SEAL);
	CHECK(ftruncate(memory.fd, (off_t)MIB) < 0 && errno == EPERM);
	CHECK(ftruncate(memory.fd, (off_t)(17 * MIB)) < 0 && errno == EPERM);
	CHECK(fcntl(memory.fd, F_GETFD) & FD_CLOEXEC);
	memory_destroy(&memory);
}

static void sizes_are_checked(void)
{
	static const uint64_t sizes[] = {
		0,
		1,
		4096,
		MIB,
		15 * MIB,
		16 * MIB - 1,
		16 * MIB + 4096,
		UINT64_MAX,
		UINT64_MAX - MIB + 1,
		1ull << 63,
		(uint64_t)INT64_MAX + 1 - 4 * GIB,
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct capsa_error error = { 0 };
		struct memory memory;

		CHECK(create(&memory, sizes[i], &error) ==
		      CAPSA_STATUS_MEMORY_INVALID);
		CHECK(error.status == CAPSA_STATUS_MEMORY_INVALID);
		CHECK(strcmp(error.field, "memory_bytes") == 0);
		CHECK(error.message[0] != '\0');
		CHECK(memory.fd == -1);
		memory_destroy(&memory);
	}
}

static void more_than_the_host_maps_is_an_error(void)
{
	struct capsa_error error = { 0 };
	struct memory memory;

	CHECK(create(&memory, 1ull << 55, &error) == CAPSA_STATUS_NO_MEMORY);
	CHECK(strcmp(error.operation, "mmap") == 0);
	CHECK(error.system_errno == ENOMEM);
	CHECK(memory.fd == -1);
	memory_destroy(&memory);
}

int main(void)
{
	TEST(small_memory_is_one_range);
	TEST(memory_up_to_the_hole_is_one_range);
	TEST(large_memory_goes_around_the_hole);
	TEST(huge_pages_could_hold_it);
	TEST(no_range_is_left);
	TEST(what_is_written_is_read);
	TEST(only_touched_pages_are_resident);
	TEST(backing_changes_no_byte);
	TEST(whole_pages_are_given_back);
	TEST(pages_above_the_hole_are_given_back);
	TEST(its_file_is_sealed_and_private);
	TEST(sizes_are_checked);
	TEST(more_than_the_host_maps_is_an_error);
	return tap_done();
}
