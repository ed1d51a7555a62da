/* SPDX-License-Identifier: MIT */
/*
 * The bzImage: real-mode code that is not used here, with the setup header
 * in it, then the kernel proper, which is entered in 64-bit mode at 0x200.
 */
#include <stddef.h>

#include "kernel_image.h"
#include "layout.h"

enum {
	BZIMAGE_VERSION_MIN = 0x020c, /* the first with a 64-bit entry */
	BZIMAGE_SECTOR = 512,
	BZIMAGE_PARAGRAPH = 16, /* the unit of syssize */
	BZIMAGE_ENTRY = 0x200,
	BZIMAGE_HEADER = offsetof(struct boot_params, hdr),
	/* The jump over the header is relative to the byte behind itself. */
	BZIMAGE_JUMP_FROM = offsetof(struct boot_params, hdr.jump) + 2,
	/* What version 2.12 has, the newest fields aside. */
	BZIMAGE_HEADER_MIN = offsetof(struct setup_header, handover_offset),
};

/* Where the kernel proper is in the file, and goes in memory. */
struct bzimage_plan {
	uint64_t offset;
	uint64_t length;
	uint64_t address;
	uint64_t room; /* from address, that it needs to unpack itself */
};

static enum capsa_status bzimage_read_header(const struct boot_file *file,
					     struct setup_header *header)
{
	uint8_t jump[2]; /* opcode, distance */
	uint64_t length;
	enum capsa_status status;

	status = boot_file_read(file, BZIMAGE_JUMP_FROM - sizeof(jump), jump,
				sizeof(jump), "setup_header.jump");
	if (status != CAPSA_STATUS_OK)
		return status;
	length = BZIMAGE_JUMP_FROM - BZIMAGE_HEADER + jump[1];
	if (length < BZIMAGE_HEADER_MIN)
		return boot_file_refuse(file, "setup_header.jump",
					"the setup header ends too early");
	if (length > sizeof(*header))
		length = sizeof(*header);
	return boot_file_read(file, BZIMAGE_HEADER, header, length,
			      "setup_header");
}

static enum capsa_status bzimage_check_kind(const struct boot_file *file,
					    const struct setup_header *header)
{
	if (header->boot_flag != 0xaa55)
		return boot_file_refuse(file, "setup_header.boot_flag",
					"0x%x, not 0xaa55", header->boot_flag);
	if (header->version < BZIMAGE_VERSION_MIN)
		return boot_file_refuse(file, "setup_header.version",
					"boot protocol %d.%d, 2.12 is needed",
					header->version >> 8,
					header->version & 0xff);
	if (!(header->loadflags & LOADED_HIGH))
		return boot_file_refuse(file, "setup_header.loadflags",
					"a zImage, loaded below 1 MiB");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return boot_file_refuse(file, "setup_header.xloadflags",
					"no 64-bit kernel");
	return CAPSA_STATUS_OK;
}

/* Which bytes of the file are the kernel proper. */
static enum capsa_status bzimage_find(const struct boot_file *file,
				      const struct setup_header *header,
				      struct bzimage_plan *plan)
{
	/* 0 means 4, for the oldest kernels' sake. */
	uint64_t sectors = header->setup_sects ? header->setup_sects : 4;

	plan->offset = (sectors + 1) * BZIMAGE_SECTOR;
	plan->length = (uint64_t)header->syssize * BZIMAGE_PARAGRAPH;
	if (plan->offset >= file->size)
		return boot_file_refuse(file, "setup_header.setup_sects",
					"%llu sectors of setup code are more "
					"than the file has",
					(unsigned long long)sectors);
	if (plan->length <= BZIMAGE_ENTRY)
		return boot_file_refuse(file, "setup_header.syssize",
					"too small to be a kernel");
	if (plan->length > file->size - plan->offset)
		return boot_file_refuse(file, "setup_header.syssize",
					"the kernel reaches beyond the "
					"file's end");
	if ((uint64_t)header->payload_offset + header->payload_length >
	    plan->length)
		return boot_file_refuse(file, "setup_header.payload_length",
					"the payload reaches beyond the "
					"kernel's end");
	return CAPSA_STATUS_OK;
}

static enum capsa_status bzimage_place(const struct boot_file *file,
				       const struct setup_header *header,
				       uint64_t low_memory,
				       struct bzimage_plan *plan)
{
	uint64_t alignment = header->kernel_alignment;
	uint64_t preferred = header->pref_address;

	if (preferred < X86_KERNEL_ADDRESS || preferred >= low_memory)
		return boot_file_refuse(
			file, "setup_header.pref_address",
			"0x%llx is not between 1 MiB and the end of low memory",
			(unsigned long long)preferred);
	plan->address = preferred;
	if (header->relocatable_kernel) {
		if (alignment == 0 || (alignment & (alignment - 1)) != 0)
			return boot_file_refuse(file,
						"setup_header.kernel_alignment",
						"0x%llx is no power of two",
						(unsigned long long)alignment);
		/* Both are below 2^32, so that this cannot wrap. */
		plan->address = (preferred + alignment - 1) & -alignment;
	}
	plan->room = header->init_size > plan->length ? header->init_size
						      : plan->length;
	if (plan->address > low_memory ||
	    plan->room > low_memory - plan->address)
		return boot_file_refuse(
			file, "setup_header.init_size",
			"the kernel needs %llu bytes at 0x%llx, low memory "
			"ends at 0x%llx",
			(unsigned long long)plan->room,
			(unsigned long long)plan->address,
			(unsigned long long)low_memory);
	return CAPSA_STATUS_OK;
}

enum capsa_status bzimage_load(const struct boot_file *file,
			       const struct memory *memory,
			       struct kernel_image *image)
{
	struct setup_header header = { 0 };
	struct bzimage_plan plan = { 0 };
	enum capsa_status status;

	status = bzimage_read_header(file, &header);
	if (status == CAPSA_STATUS_OK)
		status = bzimage_check_kind(file, &header);
	if (status == CAPSA_STATUS_OK)
		status = bzimage_find(file, &header, &plan);
	if (status == CAPSA_STATUS_OK)
		status = bzimage_place(file, &header,
				       kernel_image_low_memory(memory), &plan);
	if (status != CAPSA_STATUS_OK)
		return status;
	/* It unpacks itself to all of its room. */
	memory_back(memory, plan.address, plan.room);
	status = boot_file_load(file, plan.offset, memory, plan.address,
				plan.length, "setup_header.syssize");
	if (status != CAPSA_STATUS_OK)
		return status;

	*image = (struct kernel_image) {
		.protocol = ARCH_PROTOCOL_LINUX64,
		.entry = plan.address + BZIMAGE_ENTRY,
		.end = plan.address + plan.room,
		.initrd_end_max = (uint64_t)header.initrd_addr_max + 1,
		.cmdline_max = header.cmdline_size,
		.header = header,
	};
	image->header.code32_start = (uint32_t)plan.address;
	return CAPSA_STATUS_OK;
}
