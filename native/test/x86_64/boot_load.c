/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "load.h"

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

static void a_restart_of_the_bios_resets_the_machine(void)
{
	/* mov dx, 0x602; mov al, 1; out dx, al; hlt; jmp to hlt */
	static const uint8_t code[] = { 0xba, 0x02, 0x06, 0xb0, 0x01,
					0xee, 0xf4, 0xeb, 0xfd };
	struct kernel_file kernel = kernel_file_elf();
	struct load load = load_new(MEMORY_SIZE);

	load_run(&load, &kernel);
	CHECK(memcmp(memory_at(&load.memory, 0xffff0, 16), code,
		     sizeof(code)) == 0);
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

int main(void)
{
	TEST(bzimage_is_loaded);
	TEST(pages_map_the_first_4_gib);
	TEST(seed_is_linked_to_boot_params);
	TEST(a_restart_of_the_bios_resets_the_machine);
	TEST(initrd_stays_below_what_the_kernel_reaches);
	TEST(elf_with_note_is_entered_through_pvh);
	TEST(elf_without_note_is_entered_in_64_bit_mode);
	TEST(initrd_that_does_not_fit_is_refused);
	TEST(initrd_of_no_bytes_is_refused);
	TEST(initrd_stays_below_the_hole);
	TEST(cmdline_is_held_to_the_kernels_limit);
	TEST(cmdline_of_elf_has_a_limit_too);
	TEST(devices_go_on_the_cmdline_without_acpi);
	TEST(every_slot_fits_between_hole_and_io_apic);
	return tap_done();
}
