/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acpi.h"
#include "arch/arch.h"
#include "boot_info.h"
#include "entry_state.h"
#include "error.h"
#include "kernel_image.h"
#include "layout.h"
#include "mptable.h"

enum {
	BOOT_PAGE = 4096,
	BOOT_PAGE_DESCRIPTOR = 64, /* struct page of Linux */
	/*
	 * What a small Linux has taken of its lowest memory at the first
	 * process, measured. Kernels with a zone for ISA's DMA leave it alone;
	 * those of distributions, which come as bzImage.
	 */
	BOOT_FIRST_BYTES = 10 << 20,
	/* "virtio_mmio.device=4K@0xd0000000:21 " and some room */
	BOOT_DEVICE_ARGUMENT = 48,
};

/*
 * All there is of a BIOS. A kernel that knows EFI expects it to do the reset
 * of a machine with hardware-reduced ACPI, and restarts the BIOS without it.
 */
static const uint8_t boot_reset_code[] = {
	0xba,
	X86_PORT_RESET & 0xff,
	X86_PORT_RESET >> 8, /* mov dx, port */
	0xb0,
	X86_RESET_VALUE, /* mov al, value */
	0xee,            /* out dx, al */
	0xf4,            /* hlt */
	0xeb,
	0xfd, /* jmp to hlt */
};

_Static_assert(X86_RESET_VECTOR + sizeof(boot_reset_code) <= X86_KERNEL_ADDRESS,
	       "the reset code fits its place");
_Static_assert(X86_GSI_VIRTIO + ARCH_VIRTIO_MAX <= 24, "pins of the I/O APIC");
_Static_assert(ACPI_SIZE_MAX <= X86_ACPI_END - X86_ACPI_ADDRESS,
	       "the tables fit their place");

void arch_device_hole(uint64_t *start, uint64_t *end)
{
	*start = X86_HOLE_START;
	*end = X86_HOLE_END;
}

struct arch_virtio_slot arch_virtio_slot(uint32_t index)
{
	return (struct arch_virtio_slot) {
		.base = X86_VIRTIO_ADDRESS + (uint64_t)index * X86_VIRTIO_SIZE,
		.gsi = X86_GSI_VIRTIO + index,
	};
}

uint32_t arch_gsi_uart(void)
{
	return X86_GSI_UART;
}

uint32_t arch_gsi_power_button(void)
{
	return X86_GSI_POWER_BUTTON;
}

/*
 * Devices in the words of the kernel's virtio_mmio driver. They go in front:
 * behind "--" they would be init's, behind an open quote nobody's.
 */
static size_t boot_device_arguments(const struct arch_shape *shape, char *out,
				    size_t size)
{
	size_t length = 0;

	out[0] = '\0';
	if (shape->discovery != CAPSA_DISCOVERY_CMDLINE)
		return 0;
	for (uint32_t i = 0; i < shape->virtio_count; i++)
		length += (size_t)snprintf(
			out + length, size - length,
			"virtio_mmio.device=%uK@0x%llx:%u ",
			X86_VIRTIO_SIZE / 1024,
			(unsigned long long)shape->virtio[i].base,
			shape->virtio[i].gsi);
	return length;
}

static enum capsa_status boot_write_cmdline(const struct memory *memory,
					    const struct arch_shape *shape,
					    const struct arch_boot_files *files,
					    uint32_t limit,
					    struct capsa_error *error)
{
	char devices[ARCH_VIRTIO_MAX * BOOT_DEVICE_ARGUMENT];
	size_t head = boot_device_arguments(shape, devices, sizeof(devices));
	size_t length = strlen(files->cmdline);
	char *host = memory_at(memory, X86_CMDLINE_ADDRESS, X86_CMDLINE_MAX);

	if (limit > X86_CMDLINE_MAX - 1)
		limit = X86_CMDLINE_MAX - 1;
	if (!host || head + length > limit) {
		char message[sizeof(error->message)];

		(void)snprintf(
			message, sizeof(message),
			"%zu bytes, %zu of them to name devices, but this "
			"kernel takes at most %u",
			head + length, head, limit);
		return error_set(error, CAPSA_STATUS_CMDLINE_INVALID, 0, "load",
				 files->kernel_path, "cmdline", message);
	}
	/* Fresh memory is zero: the NUL is there. */
	memcpy(host, devices, head);
	memcpy(host + head, files->cmdline, length);
	return CAPSA_STATUS_OK;
}

/*
 * Linux allocates from the top of memory down, in front of the initrd: first
 * of all the descriptors of its pages, and writes them all.
 */
static void boot_back_top(const struct memory *memory, uint64_t initrd,
			  uint64_t size)
{
	const struct memory_range *last =
		&memory->ranges[memory->range_count - 1];
	uint64_t end = last->address + last->size;
	uint64_t descriptors = memory->size / BOOT_PAGE * BOOT_PAGE_DESCRIPTOR;

	if (initrd < last->address) {
		memory_back(memory, end - descriptors, descriptors);
		memory_back(memory, initrd, size);
	} else if (initrd - last->address > descriptors) {
		memory_back(memory, initrd - descriptors, descriptors + size);
	}
}

/* As high as the kernel allows, out of the way of its unpacking. */
static enum capsa_status boot_load_initrd(const struct memory *memory,
					  const struct arch_boot_files *files,
					  const struct kernel_image *image,
					  struct boot_info *info,
					  struct capsa_error *error)
{
	struct boot_file file = {
		.fd = files->initrd_fd,
		.path = files->initrd_path,
		.unreadable = CAPSA_STATUS_INITRD_FILE,
		.invalid = CAPSA_STATUS_INITRD_INVALID,
		.error = error,
	};
	uint64_t top = kernel_image_low_memory(memory);
	enum capsa_status status = boot_file_open(&file);

	if (status != CAPSA_STATUS_OK)
		return status;
	if (file.size == 0)
		return boot_file_refuse(&file, "size", "the file is empty");
	if (top > image->initrd_end_max)
		top = image->initrd_end_max;
	if (top < image->end || file.size > top - image->end ||
	    ((top - file.size) & -(uint64_t)BOOT_PAGE) < image->end)
		return boot_file_refuse(
			&file, "size",
			"%llu bytes do not fit between the kernel's end 0x%llx "
			"and 0x%llx",
			(unsigned long long)file.size,
			(unsigned long long)image->end,
			(unsigned long long)top);
	info->initrd = (top - file.size) & -(uint64_t)BOOT_PAGE;
	info->initrd_size = file.size;
	boot_back_top(memory, info->initrd, file.size);
	return boot_file_load(&file, 0, memory, info->initrd, file.size,
			      "size");
}

/*
 * The MP table is there beside ACPI too, which wins: without one, Linux maps
 * and searches all of the BIOS for it, and takes milliseconds.
 */
static int boot_write_firmware(const struct memory *memory,
			       const struct arch_shape *shape,
			       struct boot_info *info)
{
	uint8_t mptable[MPTABLE_SIZE_MAX];
	uint8_t tables[ACPI_SIZE_MAX];
	size_t length = mptable_build(shape->cpus, X86_MPTABLE_ADDRESS,
				      mptable);
	int error = memory_write(memory, X86_RESET_VECTOR, boot_reset_code,
				 sizeof(boot_reset_code));

	if (error == 0)
		error = memory_write(memory, X86_MPTABLE_ADDRESS, mptable,
				     length);
	if (error < 0 || shape->discovery == CAPSA_DISCOVERY_CMDLINE)
		return error;
	length = acpi_build(shape, X86_ACPI_ADDRESS, tables);
	if (length == 0)
		return -ENOSPC;
	info->rsdp = X86_ACPI_ADDRESS;
	return memory_write(memory, X86_ACPI_ADDRESS, tables, length);
}

enum capsa_status arch_boot_load(const struct memory *memory,
				 const struct arch_shape *shape,
				 const struct arch_boot_files *files,
				 struct arch_entry *entry,
				 struct capsa_error *error)
{
	struct boot_file kernel = {
		.fd = files->kernel_fd,
		.path = files->kernel_path,
		.unreadable = CAPSA_STATUS_KERNEL_FILE,
		.invalid = CAPSA_STATUS_KERNEL_INVALID,
		.error = error,
	};
	struct kernel_image image;
	struct boot_info info = { 0 };
	enum capsa_status status;
	int failure;

	status = boot_file_open(&kernel);
	if (status == CAPSA_STATUS_OK)
		status = kernel_image_load(&kernel, memory, &image);
	if (status == CAPSA_STATUS_OK && image.protocol == ARCH_PROTOCOL_PVH)
		memory_back(memory, 0, BOOT_FIRST_BYTES);
	if (status == CAPSA_STATUS_OK)
		status = boot_write_cmdline(memory, shape, files,
					    image.cmdline_max, error);
	if (status == CAPSA_STATUS_OK && files->initrd_fd >= 0)
		status = boot_load_initrd(memory, files, &image, &info, error);
	if (status != CAPSA_STATUS_OK)
		return status;

	failure = boot_write_firmware(memory, shape, &info);
	if (failure == 0)
		failure = entry_state_write(memory, image.protocol);
	if (failure == 0)
		failure = boot_info_write(memory, &image, &info,
					  &entry->boot_info);
	if (failure < 0)
		return error_system(error, -failure, "write boot tables",
				    "memory");
	entry->protocol = image.protocol;
	entry->address = image.entry;
	return CAPSA_STATUS_OK;
}
