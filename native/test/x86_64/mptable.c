/* SPDX-License-Identifier: MIT */
#include "arch/x86_64/mptable.h"

#include <string.h>

#include "arch/x86_64/layout.h"
#include "capsa.h"
#include "tap.h"

static uint8_t sum(const uint8_t *bytes, size_t length)
{
	uint8_t result = 0;

	for (size_t i = 0; i < length; i++)
		result = (uint8_t)(result + bytes[i]);
	return result;
}

static uint32_t number(const uint8_t *bytes, size_t size)
{
	uint32_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint32_t)bytes[i] << (8 * i);
	return value;
}

static void checksums_are_right(void)
{
	for (uint32_t cpus = 1; cpus <= CAPSA_CPUS_MAX; cpus++) {
		uint8_t bytes[MPTABLE_SIZE_MAX];
		size_t length = mptable_build(cpus, X86_MPTABLE_ADDRESS, bytes);

		CHECK(length <= sizeof(bytes));
		CHECK(X86_MPTABLE_ADDRESS >= X86_BIOS_AREA);
		CHECK(X86_MPTABLE_ADDRESS + length <= X86_ACPI_ADDRESS);
		CHECK(memcmp(bytes, "_MP_", 4) == 0);
		CHECK(sum(bytes, 16) == 0);
		CHECK(number(bytes + 4, 4) == X86_MPTABLE_ADDRESS + 16);
		CHECK(memcmp(bytes + 16, "PCMP", 4) == 0);
		CHECK(number(bytes + 16 + 4, 2) == length - 16);
		CHECK(sum(bytes + 16, length - 16) == 0);
	}
}

static void entries_are_as_many_as_told(void)
{
	static const uint8_t sizes[] = { 20, 8, 8, 8, 8 };
	uint32_t counts[5] = { 0 };
	uint8_t bytes[MPTABLE_SIZE_MAX];
	size_t length = mptable_build(3, X86_MPTABLE_ADDRESS, bytes);
	uint32_t entries = 0;

	for (size_t at = 16 + 44; at < length; at += sizes[bytes[at]]) {
		CHECK(bytes[at] < 5);
		if (bytes[at] >= 5)
			return;
		if (bytes[at] == 0) {
			CHECK(bytes[at + 1] == counts[0]); /* APIC id */
			/* enabled, and the first of them boots */
			CHECK(bytes[at + 3] == (counts[0] == 0 ? 3 : 1));
		}
		counts[bytes[at]]++;
		entries++;
	}
	CHECK(number(bytes + 16 + 34, 2) == entries);
	CHECK(counts[0] == 3);
	CHECK(counts[1] == 1 && counts[2] == 1);
	CHECK(counts[3] == 24);
	CHECK(counts[4] == 2);
}

int main(void)
{
	TEST(checksums_are_right);
	TEST(entries_are_as_many_as_told);
	return tap_done();
}
