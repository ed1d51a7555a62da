/* SPDX-License-Identifier: MIT */
#include "kernel_image.h"

#include <stddef.h>

enum {
	ELF_MAGIC = 0x464c457f,     /* at the start */
	BZIMAGE_MAGIC = 0x53726448, /* "HdrS" */
	BZIMAGE_MAGIC_OFFSET = offsetof(struct boot_params, hdr.header),
};

uint64_t kernel_image_low_memory(const struct memory *memory)
{
	return memory->ranges[0].size;
}

/* The four bytes at offset, 0 when the file is too short to have them. */
static enum capsa_status kernel_image_magic(const struct boot_file *file,
					    uint64_t offset, uint32_t *magic)
{
	*magic = 0;
	if (file->size < offset + sizeof(*magic))
		return CAPSA_STATUS_OK;
	return boot_file_read(file, offset, magic, sizeof(*magic), "magic");
}

enum capsa_status kernel_image_load(const struct boot_file *file,
				    const struct memory *memory,
				    struct kernel_image *image)
{
	uint32_t magic;
	enum capsa_status status = kernel_image_magic(file, 0, &magic);

	if (status == CAPSA_STATUS_OK && magic == ELF_MAGIC)
		return elf_load(file, memory, image);
	if (status == CAPSA_STATUS_OK)
		status = kernel_image_magic(file, BZIMAGE_MAGIC_OFFSET, &magic);
	if (status != CAPSA_STATUS_OK)
		return status;
	if (magic == BZIMAGE_MAGIC)
		return bzimage_load(file, memory, image);
	return boot_file_refuse(file, "magic",
				"neither a bzImage nor an ELF file");
}
