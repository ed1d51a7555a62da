/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "boot_file.h"
#include "guarded_memory.h"
#include "kernel_files.h"
#include "tap.h"

#define MIB         (1ull << 20)
#define MEMORY_SIZE (64 * MIB)

#define HDR(field)     offsetof(struct boot_params, hdr.field)
#define EHDR(field)    offsetof(struct elf_kernel_file, header.field)
#define PHDR(n, field) offsetof(struct elf_kernel_file, segments[n].field)
#define NOTE(n, field)                                                         \
	(TEST_ELF_NOTES + (n) * sizeof(struct elf_note_file) +                 \
	 offsetof(struct elf_note_file, field))

/* One load: what goes in and what comes out. */
struct load {
	struct memory memory;
	struct arch_shape shape;
	const char *cmdline;
	uint64_t initrd_size; /* 0: none */
	struct arch_entry entry;
	struct capsa_error error;
	enum capsa_status status;
};

static struct load load_new(uint64_t memory_size)
{
	return (struct load) {
		.memory = guarded_memory_create(memory_size),
		.shape = { .cpus = 1, .discovery = CAPSA_DISCOVERY_FIRMWARE },
		.cmdline = "console=ttyS0",
	};
}

static int file_of(const void *bytes, size_t stored, uint64_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    pwrite(fd, bytes, stored, 0) != (ssize_t)stored)
		abort();
	return fd;
}

static void load_run(struct load *load, const struct kernel_file *kernel)
{
	struct arch_boot_files files = {
		.kernel_fd = file_of(kernel->bytes, kernel->size, kernel->size),
		.kernel_path = "/boot/kernel",
		.initrd_fd = -1,
		.initrd_path = "/boot/initrd",
		.cmdline = load->cmdline,
	};

	if (load->initrd_size > 0)
		files.initrd_fd = file_of("initrd", 6, load->initrd_size);
	load->error = (struct capsa_error) { 0 };
	load->entry = (struct arch_entry) { 0 };
	guarded_memory_clear(&load->memory);
	load->status = arch_boot_load(&load->memory, &load->shape, &files,
				      &load->entry, &load->error);
	close(files.kernel_fd);
	if (files.initrd_fd >= 0)
		close(files.initrd_fd);
}

static void load_free(struct load *load)
{
	guarded_memory_destroy(&load->memory);
}

static uint64_t guest_number(const struct load *load, uint64_t address,
			     size_t size)
{
	uint64_t value = 0;

	CHECK(memory_read(&load->memory, address, &value, size) == 0);
	return value;
}

/* No byte of the tables below 1 MiB. */
static bool low_tables_are_untouched(const struct load *load)
{
	const uint8_t *low = memory_at(&load->memory, 0, MIB);

	for (uint64_t i = 0; i < MIB; i++)
		if (low[i] != 0)
			return false;
	return true;
}

/* Printed where it differs, so that a table's row can be found. */
static bool is_refused(const struct load *load, enum capsa_status status,
		       const char *field)
{
	bool right = load->status == status && load->error.status == status &&
		     strcmp(load->error.field, field) == 0 &&
		     strcmp(load->error.subject,
			    status == CAPSA_STATUS_INITRD_INVALID
				    ? "/boot/initrd"
				    : "/boot/kernel") == 0 &&
		     load->error.message[0] != '\0';

	if (!right)
		printf("# status %d field \"%s\" \"%s\", not %d \"%s\"\n",
		       (int)load->status, load->error.field,
		       load->error.message, (int)status, field);
	return right;
}

static void bzimage_is_loaded(void)
{
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);
	struct boot_params *params;

	load.initrd_size = 5000;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_LINUX64);
	CHECK(load.entry.address == TEST_KERNEL_ADDRESS + 0x200);
	CHECK(load.entry.boot_info == X86_BOOT_PARAMS);
	CHECK(memcmp(memory_at(&load.memory, TEST_KERNEL_ADDRESS, 1024),
		     kernel.bytes + TEST_BZIMAGE_CODE, 1024) == 0);

	params = memory_at(&load.memory, X86_BOOT_PARAMS, sizeof(*params));
	CHECK(params->hdr.header == 0x53726448);
	CHECK(params->hdr.type_of_loader == 0xff);
	CHECK(params->hdr.cmd_line_ptr == X86_CMDLINE_ADDRESS);
	CHECK(params->e820_entries == 3);
	CHECK(params->acpi_rsdp_addr == X86_ACPI_ADDRESS);
	CHECK(params->sentinel == 0);
	CHECK(guest_number(&load, X86_ACPI_ADDRESS, 8) ==
	      0x2052545020445352ull); /* "RSD PTR " */
	CHECK(strcmp(memory_at(&load.memory, X86_CMDLINE_ADDRESS, 64),
		     "console=ttyS0") == 0);
	CHECK(params->hdr.ramdisk_size == 5000);
	CHECK(params->hdr.ramdisk_image == MEMORY_SIZE - 8192);
	CHECK(memcmp(memory_at(&load.memory, MEMORY_SIZE - 8192, 8192),
		     "initrd\0", 8) == 0);
	load_free(&load);
}

static void pages_map_the_first_4_gib(void)
{
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);

	load_run(&load, &kernel);
	for (uint64_t address = 0; address < 4096 * MIB; address += 2 * MIB) {
		uint64_t at = X86_PML4_ADDRESS;
		uint64_t entry = guest_number(&load, at, 8);

		entry = guest_number(
			&load, (entry & ~0xfffull) + 8 * (address >> 30), 8);
		entry = guest_number(
			&load, (entry & ~0xfffull) + 8 * (address >> 21 & 511),
			8);
		/* large, writable, present */
		CHECK(entry == (address | 0x83));
	}
	load_free(&load);
}

static void seed_is_linked_to_boot_params(void)
{
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);
	uint64_t data;

	load_run(&load, &kernel);
	data = guest_number(&load, X86_BOOT_PARAMS + HDR(setup_data), 8);
	CHECK(data == X86_SETUP_DATA);
	CHECK(guest_number(&load, data, 8) == 0);
	CHECK(guest_number(&load, data + 8, 4) == SETUP_RNG_SEED);
	CHECK(guest_number(&load, data + 12, 4) == 32);
	CHECK(guest_number(&load, data + 16, 8) != 0);
	load_free(&load);
}

static void initrd_stays_below_what_the_kernel_reaches(void)
{
	const uint32_t reach = 32 * MIB - 1;
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);

	memcpy(kernel.bytes + HDR(initrd_addr_max), &reach, sizeof(reach));
	load.initrd_size = 4096;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(guest_number(&load, X86_BOOT_PARAMS + HDR(ramdisk_image), 4) ==
	      32 * MIB - 4096);
	load_free(&load);
}

static void elf_with_note_is_entered_through_pvh(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);
	uint64_t info = X86_START_INFO;
	uint64_t module;
	uint64_t map;

	load.initrd_size = 4097;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_PVH);
	CHECK(load.entry.address == TEST_KERNEL_ADDRESS + 32);
	CHECK(load.entry.boot_info == info);
	CHECK(memcmp(memory_at(&load.memory, TEST_KERNEL_ADDRESS, 1024),
		     kernel.bytes + TEST_ELF_CODE, 1024) == 0);
	CHECK(memcmp(memory_at(&load.memory, TEST_KERNEL_ADDRESS + MIB, 512),
		     kernel.bytes + TEST_ELF_CODE + 1024, 512) == 0);

	CHECK(guest_number(&load, info, 4) == 0x336ec578);
	CHECK(guest_number(&load, info + 4, 4) == 1);
	CHECK(guest_number(&load, info + 12, 4) == 1);
	CHECK(guest_number(&load, info + 24, 8) == X86_CMDLINE_ADDRESS);
	CHECK(guest_number(&load, info + 32, 8) == X86_ACPI_ADDRESS);
	module = guest_number(&load, info + 16, 8);
	CHECK(guest_number(&load, module, 8) == MEMORY_SIZE - 8192);
	CHECK(guest_number(&load, module + 8, 8) == 4097);
	map = guest_number(&load, info + 40, 8);
	CHECK(guest_number(&load, info + 48, 4) == 3);
	CHECK(guest_number(&load, map + 2 * 24, 8) == MIB);
	CHECK(guest_number(&load, map + 2 * 24 + 8, 8) == MEMORY_SIZE - MIB);
	CHECK(guest_number(&load, map + 2 * 24 + 16, 4) == 1);
	load_free(&load);
}

static void elf_without_note_is_entered_in_64_bit_mode(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);
	struct boot_params *params;

	kernel.bytes[NOTE(1, head.n_type)] = 17;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_LINUX64);
	CHECK(load.entry.address == TEST_KERNEL_ADDRESS + 16);
	params = memory_at(&load.memory, X86_BOOT_PARAMS, sizeof(*params));
	CHECK(params->hdr.boot_flag == 0xaa55);
	CHECK(params->hdr.header == 0x53726448);
	CHECK(params->hdr.version == 0x020c);
	CHECK(params->hdr.type_of_loader == 0xff);
	CHECK(params->hdr.loadflags & LOADED_HIGH);
	CHECK(params->hdr.kernel_alignment == 16 * MIB);
	load_free(&load);
}

static void note_may_be_32_bits_or_8_aligned(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);

	kernel.bytes[NOTE(1, head.n_descsz)] = 4;
	load_run(&load, &kernel);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_PVH);
	CHECK(load.entry.address == TEST_KERNEL_ADDRESS + 32);
	kernel = kernel_file_elf();
	kernel.bytes[PHDR(0, p_align)] = 8;
	load_run(&load, &kernel);
	CHECK(load.entry.protocol == ARCH_PROTOCOL_PVH);
	load_free(&load);
}

/* A field overwritten, and the field that the error must name. */
struct damage {
	size_t offset;
	size_t size;
	uint64_t value;
	const char *field;
};

static void check_damage(const struct kernel_file *good,
			 const struct damage *damage, size_t count)
{
	struct load load = load_new(MEMORY_SIZE);

	for (size_t i = 0; i < count; i++) {
		struct kernel_file kernel = *good;

		memcpy(kernel.bytes + damage[i].offset, &damage[i].value,
		       damage[i].size);
		load_run(&load, &kernel);
		CHECK(is_refused(&load, CAPSA_STATUS_KERNEL_INVALID,
				 damage[i].field));
		CHECK(low_tables_are_untouched(&load));
	}
	load_free(&load);
}

static void damaged_bzimages_are_refused(void)
{
	static const struct damage damage[] = {
		{ HDR(header), 4, 0, "magic" },
		{ HDR(boot_flag), 2, 0, "setup_header.boot_flag" },
		{ HDR(jump), 2, 0, "setup_header.jump" },
		{ HDR(jump), 2, 0x60eb, "setup_header.jump" },
		{ HDR(version), 2, 0, "setup_header.version" },
		{ HDR(version), 2, 0x020b, "setup_header.version" },
		{ HDR(loadflags), 1, 0, "setup_header.loadflags" },
		{ HDR(xloadflags), 2, 2, "setup_header.xloadflags" },
		{ HDR(setup_sects), 1, 0, "setup_header.setup_sects" },
		{ HDR(setup_sects), 1, 3, "setup_header.setup_sects" },
		{ HDR(setup_sects), 1, 255, "setup_header.setup_sects" },
		{ HDR(setup_sects), 1, 2, "setup_header.syssize" },
		{ HDR(syssize), 4, 0, "setup_header.syssize" },
		{ HDR(syssize), 4, 0x20, "setup_header.syssize" },
		{ HDR(syssize), 4, 0x41, "setup_header.syssize" },
		{ HDR(syssize), 4, UINT32_MAX, "setup_header.syssize" },
		{ HDR(payload_offset), 4, 625, "setup_header.payload_length" },
		{ HDR(payload_offset), 4, UINT32_MAX,
		  "setup_header.payload_length" },
		{ HDR(payload_length), 4, UINT32_MAX,
		  "setup_header.payload_length" },
		{ HDR(kernel_alignment), 4, 0,
		  "setup_header.kernel_alignment" },
		{ HDR(kernel_alignment), 4, 3,
		  "setup_header.kernel_alignment" },
		{ HDR(kernel_alignment), 4, UINT32_MAX,
		  "setup_header.kernel_alignment" },
		{ HDR(kernel_alignment), 4, 1u << 31,
		  "setup_header.init_size" },
		{ HDR(pref_address), 8, 0, "setup_header.pref_address" },
		{ HDR(pref_address), 8, MIB - 1, "setup_header.pref_address" },
		{ HDR(pref_address), 8, MEMORY_SIZE,
		  "setup_header.pref_address" },
		{ HDR(pref_address), 8, X86_HOLE_START,
		  "setup_header.pref_address" },
		{ HDR(pref_address), 8, UINT64_MAX,
		  "setup_header.pref_address" },
		{ HDR(pref_address), 8, MEMORY_SIZE - 1,
		  "setup_header.init_size" },
		{ HDR(init_size), 4, UINT32_MAX, "setup_header.init_size" },
		{ HDR(init_size), 4, 48 * MIB + 1, "setup_header.init_size" },
	};
	struct kernel_file good = kernel_file_bzimage();

	check_damage(&good, damage, sizeof(damage) / sizeof(damage[0]));
}

static void damaged_elf_files_are_refused(void)
{
	static const struct damage damage[] = {
		{ EHDR(e_ident[0]), 1, 0, "magic" },
		{ EHDR(e_ident[EI_CLASS]), 1, ELFCLASS32, "e_ident[EI_CLASS]" },
		{ EHDR(e_ident[EI_DATA]), 1, ELFDATA2MSB, "e_ident[EI_DATA]" },
		{ EHDR(e_machine), 2, EM_AARCH64, "e_machine" },
		{ EHDR(e_type), 2, ET_REL, "e_type" },
		{ EHDR(e_phentsize), 2, 0, "e_phentsize" },
		{ EHDR(e_phentsize), 2, UINT16_MAX, "e_phentsize" },
		{ EHDR(e_phnum), 2, 0, "e_phnum" },
		{ EHDR(e_phnum), 2, UINT16_MAX, "e_phnum" },
		{ EHDR(e_phnum), 2, 64, "e_phoff" },
		{ EHDR(e_phoff), 8, KERNEL_FILE_SIZE - 1, "e_phoff" },
		{ EHDR(e_phoff), 8, UINT64_MAX, "e_phoff" },
		{ EHDR(e_phoff), 8, UINT64_MAX - 64, "e_phoff" },
		{ EHDR(e_phoff), 8, 1ull << 63, "e_phoff" },
		{ PHDR(1, p_offset), 8, KERNEL_FILE_SIZE, "p_offset" },
		{ PHDR(1, p_offset), 8, 1025, "p_offset" },
		{ PHDR(1, p_offset), 8, UINT64_MAX, "p_offset" },
		{ PHDR(1, p_offset), 8, UINT64_MAX - 1023, "p_offset" },
		{ PHDR(1, p_filesz), 8, UINT64_MAX, "p_filesz" },
		{ PHDR(1, p_filesz), 8, 1025, "p_filesz" },
		{ PHDR(1, p_memsz), 8, 48 * MIB + 1, "p_memsz" },
		{ PHDR(1, p_memsz), 8, UINT64_MAX, "p_memsz" },
		{ PHDR(1, p_memsz), 8, UINT64_MAX - 16 * MIB + 2, "p_memsz" },
		{ PHDR(1, p_paddr), 8, 0, "p_paddr" },
		{ PHDR(1, p_paddr), 8, X86_GDT_ADDRESS, "p_paddr" },
		{ PHDR(1, p_paddr), 8, X86_BOOT_PARAMS, "p_paddr" },
		{ PHDR(1, p_paddr), 8, MIB - 1, "p_paddr" },
		{ PHDR(1, p_paddr), 8, MEMORY_SIZE - 1, "p_memsz" },
		{ PHDR(1, p_paddr), 8, MEMORY_SIZE, "p_paddr" },
		{ PHDR(1, p_paddr), 8, X86_HOLE_START, "p_paddr" },
		{ PHDR(1, p_paddr), 8, X86_HOLE_END, "p_paddr" },
		{ PHDR(1, p_paddr), 8, UINT64_MAX, "p_paddr" },
		{ PHDR(2, p_memsz), 8, UINT64_MAX, "p_memsz" },
		{ PHDR(0, p_offset), 8, KERNEL_FILE_SIZE - 1, "p_offset" },
		{ PHDR(0, p_offset), 8, UINT64_MAX, "p_offset" },
		{ PHDR(0, p_filesz), 8, KERNEL_FILE_SIZE, "p_offset" },
		{ PHDR(0, p_filesz), 8, UINT64_MAX, "p_filesz" },
		{ NOTE(0, head.n_namesz), 4, UINT32_MAX, "n_namesz" },
		{ NOTE(0, head.n_namesz), 4, UINT32_MAX - 2, "n_namesz" },
		{ NOTE(0, head.n_namesz), 4, 37, "n_namesz" },
		{ NOTE(0, head.n_descsz), 4, UINT32_MAX, "n_descsz" },
		{ NOTE(0, head.n_descsz), 4, UINT32_MAX - 2, "n_descsz" },
		{ NOTE(0, head.n_descsz), 4, 33, "n_descsz" },
		{ NOTE(1, head.n_descsz), 4, 5, "n_descsz" },
		{ NOTE(1, head.n_descsz), 4, 0, "n_descsz" },
		{ NOTE(1, value), 8, 0, "XEN_ELFNOTE_PHYS32_ENTRY" },
		{ NOTE(1, value), 8, TEST_KERNEL_ADDRESS - 1,
		  "XEN_ELFNOTE_PHYS32_ENTRY" },
		{ NOTE(1, value), 8, TEST_KERNEL_ADDRESS + 1024,
		  "XEN_ELFNOTE_PHYS32_ENTRY" },
		{ NOTE(1, value), 8, UINT64_MAX - 1,
		  "XEN_ELFNOTE_PHYS32_ENTRY" },
	};
	struct kernel_file good = kernel_file_elf();

	check_damage(&good, damage, sizeof(damage) / sizeof(damage[0]));
}

static void damaged_64_bit_entries_are_refused(void)
{
	static const struct damage damage[] = {
		{ EHDR(e_entry), 8, 0, "e_entry" },
		{ EHDR(e_entry), 8, TEST_KERNEL_ADDRESS - 1, "e_entry" },
		{ EHDR(e_entry), 8, TEST_KERNEL_ADDRESS + 3 * MIB, "e_entry" },
		{ EHDR(e_entry), 8, 0xffffffff81000000ull, "e_entry" },
		{ EHDR(e_entry), 8, UINT64_MAX, "e_entry" },
	};
	struct kernel_file good = kernel_file_elf();

	good.bytes[NOTE(1, head.n_type)] = 17;
	check_damage(&good, damage, sizeof(damage) / sizeof(damage[0]));
}

static void elf_with_nothing_to_load_is_refused(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);

	kernel.bytes[PHDR(1, p_type)] = PT_NULL;
	kernel.bytes[PHDR(2, p_type)] = PT_NULL;
	load_run(&load, &kernel);
	CHECK(is_refused(&load, CAPSA_STATUS_KERNEL_INVALID, "p_type"));
	load_free(&load);
}

static void cut_bzimages_are_refused(void)
{
	const size_t header_end = HDR(jump) + 2 + 0x6a;
	struct load load = load_new(MEMORY_SIZE);

	for (size_t size = 0; size < KERNEL_FILE_SIZE; size++) {
		struct kernel_file kernel = kernel_file_bzimage();
		const char *field = "setup_header.syssize";

		if (size < HDR(header) + 4)
			field = "magic";
		else if (size < header_end)
			field = "setup_header";
		else if (size <= TEST_BZIMAGE_CODE)
			field = "setup_header.setup_sects";
		kernel.size = size;
		load_run(&load, &kernel);
		CHECK(is_refused(&load, CAPSA_STATUS_KERNEL_INVALID, field));
		CHECK(memory_resident(&load.memory) == 0);
	}
	load_free(&load);
}

static void cut_elf_files_are_refused(void)
{
	struct load load = load_new(MEMORY_SIZE);

	for (size_t size = 0; size < KERNEL_FILE_SIZE; size++) {
		struct kernel_file kernel = kernel_file_elf();
		const char *field = "p_offset";

		if (size < SELFMAG)
			field = "magic";
		else if (size < sizeof(Elf64_Ehdr))
			field = "e_ident";
		else if (size < sizeof(struct elf_kernel_file))
			field = "e_phoff";
		kernel.size = size;
		load_run(&load, &kernel);
		CHECK(is_refused(&load, CAPSA_STATUS_KERNEL_INVALID, field));
		CHECK(low_tables_are_untouched(&load));
	}
	load_free(&load);
}

static void initrd_that_does_not_fit_is_refused(void)
{
	const uint64_t kernel_end = TEST_KERNEL_ADDRESS + TEST_KERNEL_ROOM;
	const uint64_t sizes[] = {
		MEMORY_SIZE - kernel_end + 1,
		MEMORY_SIZE,
		MEMORY_SIZE + 1,
		1ull << 32,
		1ull << 62,
	};
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		load.initrd_size = sizes[i];
		load_run(&load, &kernel);
		CHECK(is_refused(&load, CAPSA_STATUS_INITRD_INVALID, "size"));
	}
	load.initrd_size = MEMORY_SIZE - kernel_end;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	memset(kernel.bytes + HDR(initrd_addr_max), 0, 4);
	load.initrd_size = 1;
	load_run(&load, &kernel);
	CHECK(is_refused(&load, CAPSA_STATUS_INITRD_INVALID, "size"));
	load_free(&load);
}

static void initrd_of_no_bytes_is_refused(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);
	struct arch_boot_files files = {
		.kernel_fd = file_of(kernel.bytes, kernel.size, kernel.size),
		.kernel_path = "/boot/kernel",
		.initrd_fd = file_of("", 0, 0),
		.initrd_path = "/boot/initrd",
		.cmdline = "",
	};

	load.status = arch_boot_load(&load.memory, &load.shape, &files,
				     &load.entry, &load.error);
	CHECK(is_refused(&load, CAPSA_STATUS_INITRD_INVALID, "size"));
	close(files.kernel_fd);
	close(files.initrd_fd);
	load_free(&load);
}

static void initrd_stays_below_the_hole(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(5120 * MIB);
	uint64_t module;

	load.initrd_size = MIB;
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	module = guest_number(&load, X86_START_INFO + 16, 8);
	CHECK(guest_number(&load, module, 8) == X86_HOLE_START - MIB);
	load_free(&load);
}

static void load_with_cmdline(struct load *load,
			      const struct kernel_file *kernel, size_t length)
{
	char *cmdline = malloc(length + 1);

	if (!cmdline)
		abort();
	memset(cmdline, 'x', length);
	cmdline[length] = '\0';
	load->cmdline = cmdline;
	load_run(load, kernel);
	load->cmdline = "";
	free(cmdline);
}

static void cmdline_is_held_to_the_kernels_limit(void)
{
	static const struct {
		uint32_t header; /* cmdline_size of the bzImage */
		size_t length;
		bool fits;
	} cases[] = {
		{ 2047, 2047, true },
		{ 2047, 2048, false },
		{ 255, 255, true },
		{ 255, 256, false },
		{ 0, 0, true },
		{ 0, 1, false },
		{ UINT32_MAX, X86_CMDLINE_MAX - 1, true },
		{ UINT32_MAX, X86_CMDLINE_MAX, false },
		{ UINT32_MAX, 1 << 20, false },
	};
	struct load load = load_new(MEMORY_SIZE);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kernel_file kernel = kernel_file_bzimage();

		memcpy(kernel.bytes + HDR(cmdline_size), &cases[i].header, 4);
		load_with_cmdline(&load, &kernel, cases[i].length);
		if (cases[i].fits)
			CHECK(load.status == CAPSA_STATUS_OK);
		else
			CHECK(is_refused(&load, CAPSA_STATUS_CMDLINE_INVALID,
					 "cmdline"));
	}
	load_free(&load);
}

static void cmdline_of_elf_has_a_limit_too(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);

	load_with_cmdline(&load, &kernel, 2047);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_with_cmdline(&load, &kernel, 2048);
	CHECK(is_refused(&load, CAPSA_STATUS_CMDLINE_INVALID, "cmdline"));
	CHECK(strstr(load.error.message, "2048") != NULL);
	CHECK(strstr(load.error.message, "2047") != NULL);
	load_free(&load);
}

static void devices_go_on_the_cmdline_without_acpi(void)
{
	static const char expected[] = "virtio_mmio.device=4K@0xd0000000:6 "
				       "virtio_mmio.device=4K@0xd0001000:7 "
				       "quiet -- sh";
	struct kernel_file kernel = kernel_file_bzimage();
	struct load load = load_new(MEMORY_SIZE);

	load.shape.discovery = CAPSA_DISCOVERY_CMDLINE;
	load.shape.virtio_count = 2;
	load.shape.virtio[0] = arch_virtio_slot(0);
	load.shape.virtio[1] = arch_virtio_slot(1);
	load.cmdline = "quiet -- sh";
	load_run(&load, &kernel);
	CHECK(load.status == CAPSA_STATUS_OK);
	CHECK(strcmp(memory_at(&load.memory, X86_CMDLINE_ADDRESS, 256),
		     expected) == 0);
	CHECK(guest_number(&load, X86_BOOT_PARAMS + 0x70, 8) == 0);
	CHECK(guest_number(&load, X86_ACPI_ADDRESS, 8) == 0);
	CHECK(guest_number(&load, X86_MPTABLE_ADDRESS, 4) ==
	      0x5f504d5f); /* "_MP_" */
	load_with_cmdline(&load, &kernel, 2047 - 70);
	CHECK(load.status == CAPSA_STATUS_OK);
	load_with_cmdline(&load, &kernel, 2047 - 69);
	CHECK(is_refused(&load, CAPSA_STATUS_CMDLINE_INVALID, "cmdline"));
	load_free(&load);
}

static void every_slot_fits_between_hole_and_io_apic(void)
{
	uint64_t hole_start;
	uint64_t hole_end;

	arch_device_hole(&hole_start, &hole_end);
	for (uint32_t i = 0; i < ARCH_VIRTIO_MAX; i++) {
		struct arch_virtio_slot slot = arch_virtio_slot(i);

		CHECK(slot.base >= hole_start);
		CHECK(slot.base + X86_VIRTIO_SIZE <= X86_IOAPIC_ADDRESS);
		CHECK(slot.gsi < 24);
		CHECK(slot.gsi != arch_gsi_uart());
		CHECK(slot.gsi != arch_gsi_power_button());
		CHECK(slot.gsi == arch_virtio_slot(0).gsi + i);
	}
}

/* What is not a regular file, or cannot be read, is refused by that name. */
static void check_unreadable(int fd, int system_errno, const char *message)
{
	struct load load = load_new(MEMORY_SIZE);
	struct arch_boot_files files = {
		.kernel_fd = fd,
		.kernel_path = "/boot/kernel",
		.initrd_fd = -1,
		.cmdline = "",
	};

	load.status = arch_boot_load(&load.memory, &load.shape, &files,
				     &load.entry, &load.error);
	CHECK(is_refused(&load, CAPSA_STATUS_KERNEL_FILE, ""));
	CHECK(load.error.system_errno == system_errno);
	CHECK(strcmp(load.error.message, message) == 0);
	load_free(&load);
}

static void files_that_cannot_be_read_are_refused(void)
{
	static const char *const paths[] = { "/", "/dev/null", "/dev/zero" };
	int ends[2];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		check_unreadable(fd, 0, "not a regular file");
		close(fd);
	}
	CHECK(pipe(ends) == 0);
	check_unreadable(ends[0], 0, "not a regular file");
	close(ends[0]);
	close(ends[1]);
	check_unreadable(-1, EBADF, "the file cannot be examined");
}

static void a_file_for_writing_only_is_refused(void)
{
	char path[] = "/tmp/capsa-kernel-XXXXXX";
	struct kernel_file kernel = kernel_file_elf();
	int fd = mkstemp(path);
	int writer = open(path, O_WRONLY | O_CLOEXEC);

	CHECK(write(fd, kernel.bytes, kernel.size) == (ssize_t)kernel.size);
	check_unreadable(writer, EBADF, "reading failed");
	close(writer);
	close(fd);
	unlink(path);
}

static void a_file_cut_meanwhile_is_an_error(void)
{
	struct capsa_error error = { 0 };
	struct boot_file file = {
		.fd = file_of("0123456789", 10, 10),
		.path = "/boot/kernel",
		.unreadable = CAPSA_STATUS_KERNEL_FILE,
		.invalid = CAPSA_STATUS_KERNEL_INVALID,
		.error = &error,
	};
	char bytes[10];

	CHECK(boot_file_open(&file) == CAPSA_STATUS_OK);
	CHECK(ftruncate(file.fd, 5) == 0);
	CHECK(boot_file_read(&file, 0, bytes, 10, "x") ==
	      CAPSA_STATUS_KERNEL_FILE);
	CHECK(strcmp(error.subject, "/boot/kernel") == 0);
	CHECK(boot_file_read(&file, 0, bytes, 5, "x") == CAPSA_STATUS_OK);
	CHECK(boot_file_read(&file, 5, bytes, 6, "x") ==
	      CAPSA_STATUS_KERNEL_INVALID);
	CHECK(strcmp(error.field, "x") == 0);
	close(file.fd);
}

static void errors_may_go_unheard(void)
{
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);
	struct arch_boot_files files = {
		.kernel_fd = file_of(kernel.bytes, 100, 100),
		.kernel_path = "/boot/kernel",
		.initrd_fd = -1,
		.cmdline = "",
	};

	CHECK(arch_boot_load(&load.memory, &load.shape, &files, &load.entry,
			     NULL) == CAPSA_STATUS_KERNEL_INVALID);
	close(files.kernel_fd);
	load_free(&load);
}

int main(void)
{
	TEST(bzimage_is_loaded);
	TEST(pages_map_the_first_4_gib);
	TEST(seed_is_linked_to_boot_params);
	TEST(initrd_stays_below_what_the_kernel_reaches);
	TEST(elf_with_note_is_entered_through_pvh);
	TEST(elf_without_note_is_entered_in_64_bit_mode);
	TEST(note_may_be_32_bits_or_8_aligned);
	TEST(damaged_bzimages_are_refused);
	TEST(damaged_elf_files_are_refused);
	TEST(damaged_64_bit_entries_are_refused);
	TEST(elf_with_nothing_to_load_is_refused);
	TEST(cut_bzimages_are_refused);
	TEST(cut_elf_files_are_refused);
	TEST(initrd_that_does_not_fit_is_refused);
	TEST(initrd_of_no_bytes_is_refused);
	TEST(initrd_stays_below_the_hole);
	TEST(cmdline_is_held_to_the_kernels_limit);
	TEST(cmdline_of_elf_has_a_limit_too);
	TEST(devices_go_on_the_cmdline_without_acpi);
	TEST(every_slot_fits_between_hole_and_io_apic);
	TEST(files_that_cannot_be_read_are_refused);
	TEST(a_file_for_writing_only_is_refused);
	TEST(a_file_cut_meanwhile_is_an_error);
	TEST(errors_may_go_unheard);
	return tap_done();
}
