/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_TAR_HEADER_H
#define CAPSA_GUEST_TAR_HEADER_H

#include <stddef.h>
#include <stdint.h>

/* Types that are about the entry after them. */
enum {
	TAR_EXTENSION = 'x',
	TAR_EXTENSION_OF_ALL = 'g',
	TAR_GNU_NAME = 'L',
	TAR_GNU_TARGET = 'K',
};

/* A block of 512 bytes. Texts as long as their field have no NUL. */
struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char seconds[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char user[32];
	char group[32];
	char device_major[8];
	char device_minor[8];
	char prefix[155];
	char unused[12];
};

/* The sum of all bytes, as if the checksum were blanks. */
static inline unsigned int tar_header_sum(const struct tar_header *header)
{
	const uint8_t *bytes = (const uint8_t *)header;
	size_t start = offsetof(struct tar_header, checksum);
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof(*header); i++)
		sum += i >= start && i < start + sizeof(header->checksum)
			       ? ' '
			       : bytes[i];
	return sum;
}

#endif
