/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "boot_file.h"
#include "load.h"

/* No byte of the tables below 1 MiB. */
static bool low_tables_are_untouched(const struct load *load)
{
	const uint8_t *low = memory_at(&load->memory, 0, MIB);

	for (uint64_t i = 0; i < MIB; i++)
		if (low[i] != 0)
			return false;
	return true;
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

/* The same on its way into guest memory, where holes of a file are skipped. */
static void check_cut_meanwhile(size_t data)
{
	static const uint8_t bytes[3 * 4096] = { 1, 2, 3 };
	struct memory memory = guarded_memory_create(MEMORY_SIZE);

	for (off_t left = 0; left < (off_t)sizeof(bytes); left += 2048) {
		struct capsa_error error = { 0 };
		struct boot_file file = {
			.fd = file_of(bytes, data, sizeof(bytes)),
			.path = "/boot/kernel",
			.unreadable = CAPSA_STATUS_KERNEL_FILE,
			.invalid = CAPSA_STATUS_KERNEL_INVALID,
			.error = &error,
		};

		CHECK(boot_file_open(&file) == CAPSA_STATUS_OK);
		CHECK(file.whole == (data == sizeof(bytes)));
		CHECK(ftruncate(file.fd, left) == 0);
		CHECK(boot_file_load(&file, 0, &memory, MIB, sizeof(bytes),
				     "x") == CAPSA_STATUS_KERNEL_FILE);
		CHECK(strcmp(error.operation, "pread") == 0);
		close(file.fd);
	}
	guarded_memory_destroy(&memory);
}

static void a_file_cut_meanwhile_is_not_a_hole(void)
{
	check_cut_meanwhile(4096);
	check_cut_meanwhile(3 * 4096);
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
	TEST(note_may_be_32_bits_or_8_aligned);
	TEST(damaged_bzimages_are_refused);
	TEST(damaged_elf_files_are_refused);
	TEST(damaged_64_bit_entries_are_refused);
	TEST(elf_with_nothing_to_load_is_refused);
	TEST(cut_bzimages_are_refused);
	TEST(cut_elf_files_are_refused);
	TEST(files_that_cannot_be_read_are_refused);
	TEST(a_file_for_writing_only_is_refused);
	TEST(a_file_cut_meanwhile_is_an_error);
	TEST(a_file_cut_meanwhile_is_not_a_hole);
	TEST(errors_may_go_unheard);
	return tap_done();
}
