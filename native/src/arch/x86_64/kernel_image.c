/* SPDX-License-Identifier: MIT */
#include "kernel_image.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

/* Where a bzImage says that it is one. */
enum {
	BZIMAGE_MAGIC = 0x53726448, /* "HdrS" */
	BZIMAGE_MAGIC_OFFSET = offsetof(struct boot_params, hdr.header),
};

uint64_t kernel_image_low_memory(const struct memory *memory)
{
	return memory->ranges[0].size;
}

static bool kernel_image_is_elf(const struct boot_file *file)
{
	uint8_t magic[SELFMAG];

	return file->size >= sizeof(magic) &&
	       boot_file_read(file, 0, magic, sizeof(magic), "e_ident") ==
		       CAPSA_STATUS_OK &&
	       memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static bool kernel_image_is_bzimage(const struct boot_file *file)
{
	uint32_t magic;

	return file->size >= BZIMAGE_MAGIC_OFFSET + sizeof(magic) &&
	       boot_file_read(file, BZIMAGE_MAGIC_OFFSET, &magic, sizeof(magic),
			      "setup_header.header") == CAPSA_STATUS_OK &&
	       magic == BZIMAGE_MAGIC;
}

enum capsa_status kernel_image_load(const struct boot_file *file,
				    const struct memory *memory,
				    struct kernel_image *image)
{
	if (kernel_image_is_elf(file))
		return elf_load(file, memory, image);
	if (kernel_image_is_bzimage(file))
		return bzimage_load(file, memory, image);
	return boot_file_refuse(file, "magic",
				"neither a bzImage nor an ELF file");
}
