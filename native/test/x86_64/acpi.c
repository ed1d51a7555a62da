/* SPDX-License-Identifier: MIT */
#include "arch/x86_64/acpi.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/x86_64/layout.h"
#include "tap.h"

extern char **environ;

static struct arch_shape shape_of(uint32_t cpus, uint32_t virtio)
{
	struct arch_shape shape = { .cpus = cpus,
				    .discovery = CAPSA_DISCOVERY_FIRMWARE,
				    .virtio_count = virtio };

	for (uint32_t i = 0; i < virtio; i++)
		shape.virtio[i] = arch_virtio_slot(i);
	return shape;
}

static uint64_t number(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static uint8_t sum(const uint8_t *bytes, size_t length)
{
	uint8_t result = 0;

	for (size_t i = 0; i < length; i++)
		result = (uint8_t)(result + bytes[i]);
	return result;
}

/* The table at a guest address, if it is whole and its bytes add up to 0. */
static const uint8_t *table_at(const uint8_t *bytes, size_t length,
			       uint64_t address, const char *signature)
{
	uint64_t offset = address - X86_ACPI_ADDRESS;

	CHECK(offset < length && length - offset >= 36);
	if (offset >= length || length - offset < 36)
		return NULL;
	CHECK(memcmp(bytes + offset, signature, 4) == 0);
	CHECK(number(bytes + offset + 4, 4) <= length - offset);
	CHECK(sum(bytes + offset, number(bytes + offset + 4, 4)) == 0);
	return bytes + offset;
}

struct tables {
	uint8_t bytes[ACPI_SIZE_MAX];
	size_t length;
	const uint8_t *fadt;
	const uint8_t *madt;
	const uint8_t *dsdt;
};

static void build(struct tables *tables, uint32_t cpus, uint32_t virtio)
{
	const struct arch_shape shape = shape_of(cpus, virtio);
	const uint8_t *rsdp = tables->bytes;
	const uint8_t *xsdt;

	*tables = (struct tables) { 0 };
	tables->length = acpi_build(&shape, X86_ACPI_ADDRESS, tables->bytes);
	CHECK(tables->length > 0);
	CHECK(tables->length <= X86_ACPI_END - X86_ACPI_ADDRESS);
	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0 && rsdp[15] == 2);
	CHECK(sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0);
	xsdt = table_at(tables->bytes, tables->length, number(rsdp + 24, 8),
			"XSDT");
	CHECK(xsdt && number(xsdt + 4, 4) == 36 + 2 * 8);
	if (!xsdt)
		return;
	tables->fadt = table_at(tables->bytes, tables->length,
				number(xsdt + 36, 8), "FACP");
	tables->madt = table_at(tables->bytes, tables->length,
				number(xsdt + 44, 8), "APIC");
	if (tables->fadt)
		tables->dsdt = table_at(tables->bytes, tables->length,
					number(tables->fadt + 140, 8), "DSDT");
}

static void tables_of_every_size_add_up(void)
{
	static const uint32_t cpus[] = { 1, 2, 4, 63, CAPSA_CPUS_MAX };

	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++)
		for (uint32_t virtio = 0; virtio <= ARCH_VIRTIO_MAX; virtio++) {
			struct tables tables;

			build(&tables, cpus[i], virtio);
			CHECK(tables.fadt && tables.madt && tables.dsdt);
		}
}

static void fadt_is_hardware_reduced(void)
{
	struct tables tables;
	const uint8_t *fadt;
	uint64_t flags;

	build(&tables, 1, 0);
	fadt = tables.fadt;
	CHECK(fadt != NULL);
	if (!fadt)
		return;
	flags = number(fadt + 112, 4);
	CHECK(number(fadt + 4, 4) == 276);
	CHECK(flags & 1u << 20); /* HW_REDUCED_ACPI */
	CHECK(flags & 1u << 10); /* RESET_REG_SUP */
	CHECK(flags & 1u << 4);  /* PWR_BUTTON: control method */
	CHECK(fadt[116] == 1 && fadt[117] == 8);
	CHECK(number(fadt + 120, 8) == X86_PORT_RESET);
	CHECK(fadt[128] == X86_RESET_VALUE);
	CHECK(fadt[244] == 1 &&
	      number(fadt + 248, 8) == X86_PORT_SLEEP_CONTROL);
	CHECK(fadt[256] == 1 && number(fadt + 260, 8) == X86_PORT_SLEEP_STATUS);
}

static void madt_names_every_processor(void)
{
	struct tables tables;
	uint32_t processors = 0;
	uint32_t ioapics = 0;
	uint64_t end;

	build(&tables, 5, 0);
	CHECK(tables.madt != NULL);
	if (!tables.madt)
		return;
	end = number(tables.madt + 4, 4);
	for (uint64_t at = 44; at < end; at += tables.madt[at + 1]) {
		const uint8_t *entry = tables.madt + at;

		CHECK(entry[1] >= 2 && at + entry[1] <= end);
		if (entry[1] < 2)
			return;
		if (entry[0] == 0) {
			CHECK(entry[3] == processors);
			CHECK(number(entry + 4, 4) == 1);
			processors++;
		}
		if (entry[0] == 1) {
			CHECK(entry[2] == 5); /* an id of its own */
			CHECK(number(entry + 4, 4) == X86_IOAPIC_ADDRESS);
			ioapics++;
		}
	}
	CHECK(processors == 5 && ioapics == 1);
}

/* Runs iasl in folder, its output thrown away; its exit status. */
static int iasl(const char *folder, const char *option, const char *file)
{
	char command[256];
	char *const arguments[] = { "sh", "-c", command, NULL };
	int status = -1;
	pid_t pid;

	(void)snprintf(command, sizeof(command),
		       "cd %s && exec iasl %s %s >iasl.log 2>&1", folder,
		       option, file);
	if (posix_spawnp(&pid, "sh", NULL, NULL, arguments, environ) != 0)
		return -1;
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *read_file(const char *folder, const char *name)
{
	char path[256];
	char *text = calloc(1, 65536);
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	if (file) {
		if (fread(text, 1, 65535, file) == 0)
			text[0] = '\0';
		(void)fclose(file);
	}
	return text;
}

static uint32_t occurrences(const char *text, const char *part)
{
	uint32_t count = 0;

	for (text = strstr(text, part); text; text = strstr(text + 1, part))
		count++;
	return count;
}

/* The DSDT says the same after iasl has taken it apart and compiled it. */
static void iasl_reads_the_dsdt(void)
{
	char folder[] = "/tmp/capsa-acpi-XXXXXX";
	char path[64];
	struct tables tables;
	char *text;
	FILE *file;

	build(&tables, 2, ARCH_VIRTIO_MAX);
	CHECK(tables.dsdt != NULL && mkdtemp(folder) != NULL);
	if (!tables.dsdt)
		return;
	(void)snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
	file = fopen(path, "w");
	CHECK(file != NULL);
	if (file) {
		CHECK(fwrite(tables.dsdt, number(tables.dsdt + 4, 4), 1,
			     file) == 1);
		CHECK(fclose(file) == 0);
	}
	CHECK(iasl(folder, "-d", "dsdt.aml") == 0);
	text = read_file(folder, "dsdt.dsl");
	CHECK(occurrences(text, "\"LNRO0005\"") == ARCH_VIRTIO_MAX);
	CHECK(occurrences(text, "\"PNP0501\"") == 1);
	CHECK(occurrences(text, "\"PNP0C0C\"") == 1);
	CHECK(occurrences(text, "\"ACPI0013\"") == 1);
	CHECK(occurrences(text, "\"QEMU0001\"") == 1);
	CHECK(occurrences(text, "Notify (PWRB, 0x80)") == 1);
	CHECK(occurrences(text, "0xD000F000,         // Address Base") == 1);
	CHECK(occurrences(text, "Name (_S5") == 1);
	CHECK(occurrences(text,
			  "Interrupt (ResourceConsumer, Edge, "
			  "ActiveHigh, Exclusive") == ARCH_VIRTIO_MAX + 2);
	free(text);
	CHECK(iasl(folder, "-ve", "dsdt.dsl") == 0);
	text = read_file(folder, "iasl.log");
	CHECK(strstr(text, " 0 Errors, 0 Warnings") != NULL);
	free(text);
	(void)snprintf(path, sizeof(path), "rm -r %s", folder);
	CHECK(system(path) == 0);
}

int main(void)
{
	TEST(tables_of_every_size_add_up);
	TEST(fadt_is_hardware_reduced);
	TEST(madt_names_every_processor);
	if (system("command -v iasl >/dev/null") == 0)
		TEST(iasl_reads_the_dsdt);
	else
		TEST_SKIP(iasl_reads_the_dsdt,
			  "iasl (acpica-tools) is not installed");
	return tap_done();
}
