/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels: loaded by their program headers to physical addresses.
 *
 * One with a XEN_ELFNOTE_PHYS32_ENTRY note is entered through PVH (Xen's
 * docs/misc/pvh.pandoc); any other at e_entry, in 64-bit mode, as a bzImage
 * would enter it after unpacking.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kernel_image.h"
#include "layout.h"

enum {
	ELF_SEGMENTS_MAX = 64, /* Linux has about six */
	ELF_NOTES_MAX = 64 * 1024,
	ELF_NOTE_PHYS32_ENTRY = 18, /* xen/include/public/elfnote.h */
	/* Where Linux is built to run, unless told otherwise. */
	ELF_KERNEL_ALIGNMENT = 16 << 20,
	ELF_BOOT_VERSION = 0x020c,
};

/* The headers, copied once. */
struct elf_headers {
	Elf64_Ehdr file;
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
};

static enum capsa_status elf_check_ident(const struct boot_file *file,
					 const Elf64_Ehdr *header)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return boot_file_refuse(file, "e_ident[EI_CLASS]",
					"not a 64-bit ELF file");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB)
		return boot_file_refuse(file, "e_ident[EI_DATA]",
					"not little-endian");
	if (header->e_machine != EM_X86_64)
		return boot_file_refuse(file, "e_machine",
					"built for machine %u, not x86_64",
					header->e_machine);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return boot_file_refuse(file, "e_type", "not an executable");
	return CAPSA_STATUS_OK;
}

static enum capsa_status elf_read_headers(const struct boot_file *file,
					  struct elf_headers *headers)
{
	Elf64_Ehdr *header = &headers->file;
	enum capsa_status status;

	status = boot_file_read(file, 0, header, sizeof(*header), "e_ident");
	if (status == CAPSA_STATUS_OK)
		status = elf_check_ident(file, header);
	if (status != CAPSA_STATUS_OK)
		return status;
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return boot_file_refuse(file, "e_phentsize", "%u, not %zu",
					header->e_phentsize,
					sizeof(Elf64_Phdr));
	if (header->e_phnum == 0 || header->e_phnum > ELF_SEGMENTS_MAX)
		return boot_file_refuse(file, "e_phnum",
					"%u program headers, not 1 to %d",
					header->e_phnum, ELF_SEGMENTS_MAX);
	return boot_file_read(file, header->e_phoff, headers->segments,
			      header->e_phnum * sizeof(Elf64_Phdr), "e_phoff");
}

static bool elf_is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

/* Checks where a segment goes; its bytes in the file are read later. */
static enum capsa_status elf_check_segment(const struct boot_file *file,
					   const Elf64_Phdr *segment,
					   uint64_t low_memory)
{
	if (segment->p_filesz > segment->p_memsz)
		return boot_file_refuse(file, "p_filesz",
					"larger than p_memsz");
	if (segment->p_paddr < X86_KERNEL_ADDRESS ||
	    segment->p_paddr >= low_memory)
		return boot_file_refuse(
			file, "p_paddr",
			"0x%llx is not between 1 MiB and the end of low memory",
			(unsigned long long)segment->p_paddr);
	if (segment->p_memsz > low_memory - segment->p_paddr)
		return boot_file_refuse(
			file, "p_memsz",
			"%llu bytes at 0x%llx, low memory ends at 0x%llx",
			(unsigned long long)segment->p_memsz,
			(unsigned long long)segment->p_paddr,
			(unsigned long long)low_memory);
	return CAPSA_STATUS_OK;
}

static bool elf_holds(const struct elf_headers *headers, uint64_t address)
{
	for (uint32_t i = 0; i < headers->file.e_phnum; i++) {
		const Elf64_Phdr *segment = &headers->segments[i];

		if (elf_is_loaded(segment) &&
		    address - segment->p_paddr < segment->p_memsz)
			return true;
	}
	return false;
}

/* Checks all segments; [*start, *end) holds them. */
static enum capsa_status elf_check_segments(const struct boot_file *file,
					    const struct elf_headers *headers,
					    uint64_t low_memory,
					    uint64_t *start, uint64_t *end)
{
	*start = UINT64_MAX;
	*end = 0;
	for (uint32_t i = 0; i < headers->file.e_phnum; i++) {
		const Elf64_Phdr *segment = &headers->segments[i];
		enum capsa_status status;

		if (!elf_is_loaded(segment))
			continue;
		status = elf_check_segment(file, segment, low_memory);
		if (status != CAPSA_STATUS_OK)
			return status;
		if (segment->p_paddr < *start)
			*start = segment->p_paddr;
		if (segment->p_paddr + segment->p_memsz > *end)
			*end = segment->p_paddr + segment->p_memsz;
	}
	if (*end == 0)
		return boot_file_refuse(file, "p_type", "nothing to load");
	return CAPSA_STATUS_OK;
}

/* Sets *end to the end of the highest segment. */
static enum capsa_status elf_load_segments(const struct boot_file *file,
					   const struct elf_headers *headers,
					   const struct memory *memory,
					   uint64_t *end)
{
	uint64_t start = 0;
	enum capsa_status status = elf_check_segments(
		file, headers, kernel_image_low_memory(memory), &start, end);

	if (status == CAPSA_STATUS_OK)
		memory_back(memory, start, *end - start);
	for (uint32_t i = 0;
	     status == CAPSA_STATUS_OK && i < headers->file.e_phnum; i++) {
		const Elf64_Phdr *segment = &headers->segments[i];

		/* Fresh memory is zero, so is what follows p_filesz. */
		if (elf_is_loaded(segment) && segment->p_filesz > 0)
			status = boot_file_load(file, segment->p_offset, memory,
						segment->p_paddr,
						segment->p_filesz, "p_offset");
	}
	return status;
}

/* Takes the entry from a PHYS32_ENTRY note: 32 or 64 bits wide. */
static enum capsa_status elf_read_entry(const struct boot_file *file,
					const uint8_t *value, uint32_t length,
					uint64_t *entry)
{
	if (length != sizeof(uint32_t) && length != sizeof(uint64_t))
		return boot_file_refuse(file, "n_descsz",
					"an entry address of %u bytes", length);
	*entry = 0;
	memcpy(entry, value, length);
	*entry = le64toh(*entry);
	return CAPSA_STATUS_OK;
}

/* Far from wrapping: offsets are below ELF_NOTES_MAX plus 32 bits. */
static uint64_t elf_align(uint64_t offset, uint64_t alignment)
{
	return (offset + alignment - 1) & -alignment;
}

/* Each turn moves on by a note's header at least. */
static enum capsa_status elf_parse_notes(const struct boot_file *file,
					 const uint8_t *notes, uint64_t length,
					 uint64_t alignment, uint64_t *entry)
{
	static const char owner[] = "Xen";
	uint64_t offset = 0;

	while (length - offset >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name = offset + sizeof(note);
		uint64_t value;

		memcpy(&note, notes + offset, sizeof(note));
		if (note.n_namesz > length - name)
			return boot_file_refuse(file, "n_namesz",
						"a note's name reaches beyond "
						"its segment");
		value = elf_align(name + note.n_namesz, alignment);
		if (value > length || note.n_descsz > length - value)
			return boot_file_refuse(file, "n_descsz",
						"a note's value reaches beyond "
						"its segment");
		if (note.n_type == ELF_NOTE_PHYS32_ENTRY &&
		    note.n_namesz == sizeof(owner) &&
		    memcmp(notes + name, owner, sizeof(owner)) == 0)
			return elf_read_entry(file, notes + value,
					      note.n_descsz, entry);
		offset = elf_align(value + note.n_descsz, alignment);
		if (offset > length)
			break;
	}
	return CAPSA_STATUS_OK;
}

static enum capsa_status elf_read_notes(const struct boot_file *file,
					const Elf64_Phdr *segment,
					uint64_t *entry)
{
	uint8_t *notes;
	enum capsa_status status;

	if (segment->p_filesz > ELF_NOTES_MAX)
		return boot_file_refuse(file, "p_filesz", "%llu bytes of notes",
					(unsigned long long)segment->p_filesz);
	notes = malloc(segment->p_filesz + 1);
	if (!notes)
		return error_system(file->error, ENOMEM, "malloc", file->path);
	status = boot_file_read(file, segment->p_offset, notes,
				segment->p_filesz, "p_offset");
	if (status == CAPSA_STATUS_OK)
		status = elf_parse_notes(file, notes, segment->p_filesz,
					 segment->p_align == 8 ? 8 : 4, entry);
	free(notes);
	return status;
}

/* Sets *entry if a note tells the PVH entry, else leaves it. */
static enum capsa_status elf_find_pvh(const struct boot_file *file,
				      const struct elf_headers *headers,
				      uint64_t *entry)
{
	for (uint32_t i = 0; i < headers->file.e_phnum; i++) {
		enum capsa_status status;

		if (headers->segments[i].p_type != PT_NOTE)
			continue;
		status = elf_read_notes(file, &headers->segments[i], entry);
		if (status != CAPSA_STATUS_OK)
			return status;
	}
	return CAPSA_STATUS_OK;
}

/* What the setup header of a bzImage would say. */
static const struct setup_header elf_setup_header = {
	.boot_flag = 0xaa55,
	.header = 0x53726448, /* "HdrS" */
	.version = ELF_BOOT_VERSION,
	.loadflags = LOADED_HIGH,
	.kernel_alignment = ELF_KERNEL_ALIGNMENT,
	.cmdline_size = KERNEL_CMDLINE_DEFAULT,
	.xloadflags = XLF_KERNEL_64,
};

enum capsa_status elf_load(const struct boot_file *file,
			   const struct memory *memory,
			   struct kernel_image *image)
{
	static const uint64_t none = UINT64_MAX;
	struct elf_headers headers;
	uint64_t pvh_entry = none;
	uint64_t end;
	enum capsa_status status;
	bool pvh;

	status = elf_read_headers(file, &headers);
	if (status == CAPSA_STATUS_OK)
		status = elf_find_pvh(file, &headers, &pvh_entry);
	if (status == CAPSA_STATUS_OK)
		status = elf_load_segments(file, &headers, memory, &end);
	if (status != CAPSA_STATUS_OK)
		return status;

	pvh = pvh_entry != none;
	*image = (struct kernel_image) {
		.protocol = pvh ? ARCH_PROTOCOL_PVH : ARCH_PROTOCOL_LINUX64,
		.entry = pvh ? pvh_entry : headers.file.e_entry,
		.end = end,
		.initrd_end_max = kernel_image_low_memory(memory),
		.cmdline_max = KERNEL_CMDLINE_DEFAULT,
		.header = elf_setup_header,
	};
	if (!elf_holds(&headers, image->entry))
		return boot_file_refuse(
			file, pvh ? "XEN_ELFNOTE_PHYS32_ENTRY" : "e_entry",
			"0x%llx is in no loaded segment",
			(unsigned long long)image->entry);
	return CAPSA_STATUS_OK;
}
