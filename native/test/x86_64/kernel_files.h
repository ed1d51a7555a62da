/* SPDX-License-Identifier: MIT */
/* Small kernel files that a loader accepts, for tests to damage. */
#ifndef CAPSA_TEST_KERNEL_FILES_H
#define CAPSA_TEST_KERNEL_FILES_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KERNEL_FILE_SIZE = 2048 };

struct kernel_file {
	uint8_t bytes[KERNEL_FILE_SIZE];
	size_t size;
};

enum {
	TEST_KERNEL_ADDRESS = 16 << 20,
	TEST_KERNEL_ROOM = 4 << 20,
	TEST_BZIMAGE_CODE = 1024, /* file offsets */
	TEST_ELF_CODE = 512,
	TEST_ELF_NOTES = 256,
};

static inline struct kernel_file kernel_file_bzimage(void)
{
	struct kernel_file file = { .size = KERNEL_FILE_SIZE };
	const struct setup_header header = {
		.setup_sects = 1,
		.syssize = (KERNEL_FILE_SIZE - TEST_BZIMAGE_CODE) / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* over all of this struct */
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 2 << 20,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = 600,
		.payload_length = 400,
		.pref_address = TEST_KERNEL_ADDRESS,
		.init_size = TEST_KERNEL_ROOM,
	};

	memset(file.bytes, 0xee, sizeof(file.bytes));
	memset(file.bytes + TEST_BZIMAGE_CODE, 0xc0,
	       KERNEL_FILE_SIZE - TEST_BZIMAGE_CODE);
	memcpy(file.bytes + offsetof(struct boot_params, hdr), &header,
	       sizeof(header));
	return file;
}

struct elf_note_file {
	Elf64_Nhdr head;
	char name[4];
	uint64_t value;
};

/* An executable of two segments, and a note that has the PVH entry. */
struct elf_kernel_file {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
};

static inline struct kernel_file kernel_file_elf(void)
{
	struct kernel_file file = { .size = KERNEL_FILE_SIZE };
	struct elf_kernel_file elf = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				     ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = TEST_KERNEL_ADDRESS + 16,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
		},
		.segments = {
			{ .p_type = PT_NOTE,
			  .p_offset = TEST_ELF_NOTES,
			  .p_filesz = 2 * sizeof(struct elf_note_file),
			  .p_align = 4 },
			{ .p_type = PT_LOAD,
			  .p_offset = TEST_ELF_CODE,
			  .p_paddr = TEST_KERNEL_ADDRESS,
			  .p_filesz = 1024,
			  .p_memsz = 1024 },
			{ .p_type = PT_LOAD,
			  .p_offset = TEST_ELF_CODE + 1024,
			  .p_paddr = TEST_KERNEL_ADDRESS + (1 << 20),
			  .p_filesz = 512,
			  .p_memsz = 2 << 20 },
		},
	};
	const struct elf_note_file notes[2] = {
		{ { 4, 8, 3 }, "GNU", 0 },
		{ { 4, 8, 18 }, "Xen", TEST_KERNEL_ADDRESS + 32 },
	};

	memset(file.bytes, 0xc0, sizeof(file.bytes));
	memcpy(file.bytes, &elf, sizeof(elf));
	memcpy(file.bytes + TEST_ELF_NOTES, notes, sizeof(notes));
	return file;
}

/* Where in a kernel file a field is. */
#define HDR(field)     offsetof(struct boot_params, hdr.field)
#define EHDR(field)    offsetof(struct elf_kernel_file, header.field)
#define PHDR(n, field) offsetof(struct elf_kernel_file, segments[n].field)
#define NOTE(n, field)                                                         \
	(TEST_ELF_NOTES + (n) * sizeof(struct elf_note_file) +                 \
	 offsetof(struct elf_note_file, field))

#endif
