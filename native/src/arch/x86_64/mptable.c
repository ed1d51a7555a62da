/* SPDX-License-Identifier: MIT */
#include "mptable.h"

#include <string.h>

#include "capsa.h"
#include "layout.h"

enum {
	MP_INTERRUPTS = 24, /* of the I/O APIC */
	MP_VERSION = 4,     /* 1.4 */
	MP_LAPIC_VERSION = 0x14,
	MP_IOAPIC_VERSION = 0x11,
	MP_CPU_ENABLED = 1,
	MP_CPU_BOOT = 2,
	MP_CPU_FEATURES = 0x201, /* FPU and local APIC */
	MP_IOAPIC_ENABLED = 1,
	MP_BUS_ISA = 0,
	MP_NMI = 1,
	MP_EXTINT = 3,
	MP_LINT1 = 1,
	MP_ALL_LAPICS = 0xff,
};

enum {
	MP_ENTRY_CPU,
	MP_ENTRY_BUS,
	MP_ENTRY_IOAPIC,
	MP_ENTRY_INTERRUPT,
	MP_ENTRY_LOCAL_INTERRUPT,
};

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length; /* in units of 16 */
	uint8_t version;
	uint8_t checksum;
	uint8_t features[5];
};

struct mp_table {
	char signature[4];
	uint16_t length;
	uint8_t version;
	uint8_t checksum;
	char vendor[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_length;
	uint16_t entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum;
	uint8_t reserved;
};

struct mp_cpu {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t address;
};

struct mp_interrupt { /* of the I/O APIC or of a local one */
	uint8_t type;
	uint8_t kind;
	uint16_t flags; /* 0: as the bus has it */
	uint8_t bus;
	uint8_t source;
	uint8_t apic;
	uint8_t pin;
};

_Static_assert(sizeof(struct mp_pointer) == 16, "MP 1.4, section 4.1");
_Static_assert(sizeof(struct mp_table) == 44, "MP 1.4, section 4.2");
_Static_assert(sizeof(struct mp_cpu) == 20, "MP 1.4, section 4.3.1");
_Static_assert(sizeof(struct mp_pointer) + sizeof(struct mp_table) +
			       CAPSA_CPUS_MAX * sizeof(struct mp_cpu) +
			       (MP_INTERRUPTS + 4) *
				       sizeof(struct mp_interrupt) <=
		       MPTABLE_SIZE_MAX,
	       "the largest machine fits");

/* Where the table is being written. */
struct mp_writer {
	uint8_t *bytes;
	size_t length;
	uint16_t entries;
};

static void mptable_add(struct mp_writer *writer, const void *entry,
			size_t length)
{
	memcpy(writer->bytes + writer->length, entry, length);
	writer->length += length;
	writer->entries++;
}

static void mptable_add_cpus(struct mp_writer *writer, uint32_t cpus)
{
	for (uint32_t i = 0; i < cpus; i++) {
		const struct mp_cpu cpu = {
			.type = MP_ENTRY_CPU,
			.apic_id = (uint8_t)i,
			.apic_version = MP_LAPIC_VERSION,
			.flags = (uint8_t)(MP_CPU_ENABLED |
					   (i == 0 ? MP_CPU_BOOT : 0)),
			.features = MP_CPU_FEATURES,
		};

		mptable_add(writer, &cpu, sizeof(cpu));
	}
}

static void mptable_add_interrupts(struct mp_writer *writer, uint8_t ioapic)
{
	const struct mp_interrupt local[] = {
		{ .type = MP_ENTRY_LOCAL_INTERRUPT, .kind = MP_EXTINT },
		{ .type = MP_ENTRY_LOCAL_INTERRUPT,
		  .kind = MP_NMI,
		  .apic = MP_ALL_LAPICS,
		  .pin = MP_LINT1 },
	};

	for (uint32_t i = 0; i < MP_INTERRUPTS; i++) {
		const struct mp_interrupt interrupt = {
			.type = MP_ENTRY_INTERRUPT,
			.source = (uint8_t)i,
			.apic = ioapic,
			.pin = (uint8_t)i,
		};

		mptable_add(writer, &interrupt, sizeof(interrupt));
	}
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		mptable_add(writer, &local[i], sizeof(local[i]));
}

static uint8_t mptable_checksum(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

size_t mptable_build(uint32_t cpus, uint32_t address,
		     uint8_t bytes[static MPTABLE_SIZE_MAX])
{
	const struct mp_bus isa = { MP_ENTRY_BUS, MP_BUS_ISA, "ISA   " };
	const struct mp_ioapic ioapic = {
		.type = MP_ENTRY_IOAPIC,
		.id = (uint8_t)cpus, /* the first that no processor has */
		.version = MP_IOAPIC_VERSION,
		.flags = MP_IOAPIC_ENABLED,
		.address = X86_IOAPIC_ADDRESS,
	};
	struct mp_pointer pointer = {
		.signature = "_MP_",
		.table = address + (uint32_t)sizeof(pointer),
		.length = 1,
		.version = MP_VERSION,
	};
	struct mp_table table = {
		.signature = "PCMP",
		.version = MP_VERSION,
		.vendor = "CAPSA   ",
		.product = "CAPSAVM     ",
		.lapic = X86_LAPIC_ADDRESS,
	};
	struct mp_writer writer = { bytes + sizeof(pointer), sizeof(table), 0 };

	mptable_add_cpus(&writer, cpus);
	mptable_add(&writer, &isa, sizeof(isa));
	mptable_add(&writer, &ioapic, sizeof(ioapic));
	mptable_add_interrupts(&writer, ioapic.id);

	table.length = (uint16_t)writer.length;
	table.entries = writer.entries;
	memcpy(writer.bytes, &table, sizeof(table));
	table.checksum = mptable_checksum(writer.bytes, writer.length);
	memcpy(writer.bytes, &table, sizeof(table));
	pointer.checksum = mptable_checksum(&pointer, sizeof(pointer));
	memcpy(bytes, &pointer, sizeof(pointer));
	return sizeof(pointer) + writer.length;
}
