/* SPDX-License-Identifier: MIT */
#include "acpi.h"

#include <string.h>

#include "aml.h"
#include "layout.h"

enum {
	ACPI_HEADER_LENGTH = 36,
	ACPI_OFFSET_LENGTH = 4,
	ACPI_OFFSET_CHECKSUM = 9,
	ACPI_RSDP_LENGTH = 36,
	ACPI_RSDP_CHECKSUM = 8,
	ACPI_RSDP_CHECKED = 20, /* bytes of it, the part of ACPI 1.0 */
	ACPI_RSDP_EXTENDED_CHECKSUM = 32,
	ACPI_SPACE_IO = 1,
};

/* FADT, section 5.2.9 */
enum {
	FADT_LENGTH = 276,
	FADT_REVISION = 6,
	FADT_MINOR = 4,
	FADT_OFFSET_BOOT_ARCH = 109,
	FADT_OFFSET_FLAGS = 112,
	FADT_OFFSET_RESET = 116,
	FADT_OFFSET_RESET_VALUE = 128,
	FADT_OFFSET_MINOR = 131,
	FADT_OFFSET_DSDT = 140,
	FADT_OFFSET_SLEEP_CONTROL = 244,
	FADT_OFFSET_SLEEP_STATUS = 256,
	/*
	 * No VGA, no MSI (there is no PCI), no CMOS clock; and, by bits left
	 * clear, no ISA bus and no keyboard controller to look for. The one
	 * there is knows the reset command only.
	 */
	FADT_BOOT_ARCH = 1 << 2 | 1 << 3 | 1 << 5,
	FADT_WBINVD = 1 << 0,
	FADT_POWER_BUTTON_IS_DEVICE = 1 << 4,
	FADT_SLEEP_BUTTON_IS_DEVICE = 1 << 5,
	FADT_RESET_REGISTER = 1 << 10,
	FADT_HARDWARE_REDUCED = 1 << 20,
};

/* MADT, section 5.2.12 */
enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_LAPIC_NMI = 4,
	MADT_ENABLED = 1,
	MADT_ALL_PROCESSORS = 0xff,
	MADT_LINT1 = 1,
};

enum { ACPI_NOTIFY_PRESSED = 0x80 };

static uint8_t acpi_checksum(const uint8_t *bytes, size_t length)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static size_t acpi_begin_table(struct aml *aml, const char *signature,
			       uint8_t revision)
{
	size_t begin = aml->length;

	aml_bytes(aml, signature, 4);
	aml_number(aml, 0, 4); /* length */
	aml_number(aml, revision, 1);
	aml_number(aml, 0, 1); /* checksum */
	aml_bytes(aml, "CAPSA CAPSAVM ", 14);
	aml_number(aml, 1, 4);
	aml_bytes(aml, "CPSA", 4);
	aml_number(aml, 1, 4);
	return begin;
}

static void acpi_end_table(struct aml *aml, size_t begin)
{
	uint32_t length = (uint32_t)(aml->length - begin);
	uint8_t *table = aml->bytes + begin;

	if (aml->full)
		return;
	memcpy(table + ACPI_OFFSET_LENGTH, &length, sizeof(length));
	table[ACPI_OFFSET_CHECKSUM] = acpi_checksum(table, length);
}

static size_t acpi_begin_device(struct aml *aml, const char *name,
				const char *hardware_id, uint32_t unique_id)
{
	size_t begin = aml_begin_device(aml, name);

	aml_name(aml, "_HID");
	aml_string(aml, hardware_id);
	aml_name(aml, "_UID");
	aml_integer(aml, unique_id);
	return begin;
}

/* A kernel without the legacy interrupt controller asks here for IRQ 4. */
static void acpi_add_uart(struct aml *aml)
{
	size_t device = acpi_begin_device(aml, "COM1", "PNP0501", 0);
	size_t resources;

	aml_name(aml, "_CRS");
	resources = aml_begin_resources(aml);
	aml_resource_port(aml, X86_PORT_UART, 8);
	aml_resource_interrupt(aml, X86_GSI_UART);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

/* The button, and the generic event device whose interrupt presses it. */
static void acpi_add_power_button(struct aml *aml)
{
	size_t device = acpi_begin_device(aml, "PWRB", "PNP0C0C", 0);
	size_t resources;
	size_t method;

	aml_end(aml, device);
	device = acpi_begin_device(aml, "GED_", "ACPI0013", 0);
	aml_name(aml, "_CRS");
	resources = aml_begin_resources(aml);
	aml_resource_interrupt(aml, X86_GSI_POWER_BUTTON);
	aml_end_resources(aml, resources);
	method = aml_begin_method(aml, "_EVT", 1);
	aml_notify(aml, "PWRB", ACPI_NOTIFY_PRESSED);
	aml_end(aml, method);
	aml_end(aml, device);
}

static void acpi_add_panic_notifier(struct aml *aml)
{
	size_t device = acpi_begin_device(aml, "PEVT", "QEMU0001", 0);
	size_t resources;

	aml_name(aml, "_CRS");
	resources = aml_begin_resources(aml);
	aml_resource_port(aml, X86_PORT_PVPANIC, 1);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

static void acpi_add_virtio(struct aml *aml, uint32_t index,
			    const struct arch_virtio_slot *slot)
{
	char name[] = { 'V', 'I', (char)('A' + index / 16),
			"0123456789ABCDEF"[index % 16], '\0' };
	size_t device = acpi_begin_device(aml, name, "LNRO0005", index);
	size_t resources;

	aml_name(aml, "_CCA");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	resources = aml_begin_resources(aml);
	aml_resource_memory(aml, (uint32_t)slot->base, X86_VIRTIO_SIZE);
	aml_resource_interrupt(aml, slot->gsi);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

static void acpi_add_dsdt(struct aml *aml, const struct arch_shape *shape)
{
	size_t table = acpi_begin_table(aml, "DSDT", 2);
	size_t package;
	size_t scope;

	aml_name(aml, "_S5_");
	package = aml_begin_package(aml, 4);
	aml_integer(aml, X86_SLEEP_TYPE_S5);
	for (int i = 1; i < 4; i++)
		aml_integer(aml, 0);
	aml_end(aml, package);

	scope = aml_begin_scope(aml, "\\_SB_");
	acpi_add_uart(aml);
	acpi_add_power_button(aml);
	acpi_add_panic_notifier(aml);
	for (uint32_t i = 0; i < shape->virtio_count; i++)
		acpi_add_virtio(aml, i, &shape->virtio[i]);
	aml_end(aml, scope);
	acpi_end_table(aml, table);
}

/* A generic address structure, section 5.2.3.2: one byte at a port. */
static void acpi_put_port(uint8_t *out, uint16_t port)
{
	const uint8_t address[12] = {
		ACPI_SPACE_IO, 8, 0, 1, (uint8_t)port, (uint8_t)(port >> 8)
	};

	memcpy(out, address, sizeof(address));
}

static void acpi_add_fadt(struct aml *aml, uint64_t dsdt)
{
	const uint16_t boot_arch = FADT_BOOT_ARCH;
	const uint32_t flags = FADT_WBINVD | FADT_POWER_BUTTON_IS_DEVICE |
			       FADT_SLEEP_BUTTON_IS_DEVICE |
			       FADT_RESET_REGISTER | FADT_HARDWARE_REDUCED;
	uint8_t fadt[FADT_LENGTH] = { 0 };
	size_t table = acpi_begin_table(aml, "FACP", FADT_REVISION);

	memcpy(fadt + FADT_OFFSET_BOOT_ARCH, &boot_arch, sizeof(boot_arch));
	memcpy(fadt + FADT_OFFSET_FLAGS, &flags, sizeof(flags));
	acpi_put_port(fadt + FADT_OFFSET_RESET, X86_PORT_RESET);
	fadt[FADT_OFFSET_RESET_VALUE] = X86_RESET_VALUE;
	fadt[FADT_OFFSET_MINOR] = FADT_MINOR;
	memcpy(fadt + FADT_OFFSET_DSDT, &dsdt, sizeof(dsdt));
	acpi_put_port(fadt + FADT_OFFSET_SLEEP_CONTROL, X86_PORT_SLEEP_CONTROL);
	acpi_put_port(fadt + FADT_OFFSET_SLEEP_STATUS, X86_PORT_SLEEP_STATUS);

	aml_bytes(aml, fadt + ACPI_HEADER_LENGTH,
		  FADT_LENGTH - ACPI_HEADER_LENGTH);
	acpi_end_table(aml, table);
}

static void acpi_add_madt(struct aml *aml, uint32_t cpus)
{
	size_t table = acpi_begin_table(aml, "APIC", 5);

	aml_number(aml, X86_LAPIC_ADDRESS, 4);
	aml_number(aml, 0, 4); /* no pair of 8259 to be turned off */
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		const uint8_t lapic[8] = { MADT_LAPIC, sizeof(lapic),
					   (uint8_t)cpu, (uint8_t)cpu,
					   MADT_ENABLED };

		aml_bytes(aml, lapic, sizeof(lapic));
	}
	aml_number(aml, MADT_IOAPIC, 1);
	aml_number(aml, 12, 1); /* its length */
	aml_number(aml, cpus, 1);
	aml_number(aml, 0, 1);
	aml_number(aml, X86_IOAPIC_ADDRESS, 4);
	aml_number(aml, 0, 4); /* its first interrupt */
	aml_number(aml, MADT_LAPIC_NMI, 1);
	aml_number(aml, 6, 1); /* its length */
	aml_number(aml, MADT_ALL_PROCESSORS, 1);
	aml_number(aml, 0, 2); /* polarity and trigger of the bus */
	aml_number(aml, MADT_LINT1, 1);
	acpi_end_table(aml, table);
}

static void acpi_write_rsdp(uint8_t *bytes, uint64_t xsdt)
{
	struct aml rsdp = { .bytes = bytes, .capacity = ACPI_RSDP_LENGTH };

	aml_bytes(&rsdp, "RSD PTR ", 8);
	aml_number(&rsdp, 0, 1); /* checksum */
	aml_bytes(&rsdp, "CAPSA ", 6);
	aml_number(&rsdp, 2, 1); /* revision */
	aml_number(&rsdp, 0, 4); /* no table of 32-bit addresses */
	aml_number(&rsdp, ACPI_RSDP_LENGTH, 4);
	aml_number(&rsdp, xsdt, 8);
	aml_number(&rsdp, 0, 4); /* extended checksum, reserved */
	bytes[ACPI_RSDP_CHECKSUM] = acpi_checksum(bytes, ACPI_RSDP_CHECKED);
	bytes[ACPI_RSDP_EXTENDED_CHECKSUM] = acpi_checksum(bytes,
							   ACPI_RSDP_LENGTH);
}

size_t acpi_build(const struct arch_shape *shape, uint64_t address,
		  uint8_t bytes[static ACPI_SIZE_MAX])
{
	struct aml aml = { .bytes = bytes, .capacity = ACPI_SIZE_MAX };
	uint64_t dsdt;
	uint64_t fadt;
	uint64_t madt;
	uint64_t xsdt;
	size_t table;

	aml.length = ACPI_RSDP_LENGTH; /* comes last, knows the rest */
	dsdt = address + aml.length;
	acpi_add_dsdt(&aml, shape);
	fadt = address + aml.length;
	acpi_add_fadt(&aml, dsdt);
	madt = address + aml.length;
	acpi_add_madt(&aml, shape->cpus);
	xsdt = address + aml.length;
	table = acpi_begin_table(&aml, "XSDT", 1);
	aml_number(&aml, fadt, 8);
	aml_number(&aml, madt, 8);
	acpi_end_table(&aml, table);
	acpi_write_rsdp(bytes, xsdt);
	return aml.full ? 0 : aml.length;
}
