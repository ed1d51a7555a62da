/* SPDX-License-Identifier: MIT */
#include "machine_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tap.h"

struct description {
	struct capsa_machine_config head;
	char texts[128];
};

static struct description described(void)
{
	return (struct description) {
		.head = {
			.size = sizeof(struct capsa_machine_config),
			.total = sizeof(struct description),
			.memory_bytes = 16 << 20,
			.cpus = 2,
			.discovery = CAPSA_DISCOVERY_CMDLINE,
			.console = CAPSA_CONSOLE_VIRTIO,
			.console_bytes = 4096,
			.kernel = { offsetof(struct description, texts), 7 },
			.cmdline = { offsetof(struct description, texts) + 7,
				     5 },
			.vsock = { offsetof(struct description, texts) + 12,
				   6 },
		},
		.texts = "/kernelquiet/vsock",
	};
}

static void a_copy_outlives_its_original(void)
{
	struct description description = described();
	struct machine_config copy;

	CHECK(machine_config_copy(&copy, &description.head, NULL) ==
	      CAPSA_STATUS_OK);
	memset(&description, 0xff, sizeof(description));
	CHECK(copy.memory_bytes == 16 << 20);
	CHECK(copy.cpus == 2);
	CHECK(copy.discovery == CAPSA_DISCOVERY_CMDLINE);
	CHECK(copy.console == CAPSA_CONSOLE_VIRTIO);
	CHECK(strcmp(copy.kernel, "/kernel") == 0);
	CHECK(!copy.initrd);
	CHECK(strcmp(copy.cmdline, "quiet") == 0);
	CHECK(strcmp(copy.vsock, "/vsock") == 0);
	machine_config_free(&copy);
}

/* True if a description whose field at offset is value is refused for it. */
static bool is_refused(size_t offset, uint32_t value, const char *field)
{
	struct description description = described();
	struct capsa_error error = { 0 };
	struct machine_config copy;
	enum capsa_status status;

	memcpy((uint8_t *)&description + offset, &value, sizeof(value));
	status = machine_config_copy(&copy, &description.head, &error);
	machine_config_free(&copy);
	return status == CAPSA_STATUS_INVALID_ARGUMENT &&
	       strcmp(error.field, field) == 0 && error.message[0] != '\0';
}

#define REFUSED(field, value)                                                  \
	is_refused(offsetof(struct capsa_machine_config, field), value, #field)
#define SLICE_REFUSED(field, part, value)                                      \
	is_refused(offsetof(struct capsa_machine_config, field.part), value,   \
		   #field)

static void numbers_are_checked(void)
{
	CHECK(REFUSED(size, sizeof(struct capsa_machine_config) - 1));
	CHECK(REFUSED(cpus, 0));
	CHECK(REFUSED(cpus, CAPSA_CPUS_MAX + 1));
	CHECK(REFUSED(discovery, 0));
	CHECK(REFUSED(discovery, 3));
	CHECK(REFUSED(console, 3));
	CHECK(REFUSED(console_bytes, 4095));
	CHECK(REFUSED(console_bytes, (16 << 20) + 1));
}

static void texts_are_held_to_their_buffer(void)
{
	const uint32_t head = sizeof(struct capsa_machine_config);
	const uint32_t total = sizeof(struct description);

	CHECK(SLICE_REFUSED(kernel, length, 0));
	CHECK(SLICE_REFUSED(kernel, offset, head - 1));
	CHECK(SLICE_REFUSED(kernel, offset, total - 6));
	CHECK(SLICE_REFUSED(kernel, offset, total + 1));
	CHECK(SLICE_REFUSED(kernel, offset, UINT32_MAX));
	CHECK(SLICE_REFUSED(cmdline, length, UINT32_MAX));
	CHECK(SLICE_REFUSED(cmdline, length, total - head - 6));
	CHECK(SLICE_REFUSED(cmdline, length, 12)); /* with the NUL behind it */
	CHECK(SLICE_REFUSED(initrd, length, 1));   /* at offset 0 */
	CHECK(SLICE_REFUSED(vsock, length, CAPSA_VSOCK_PATH_MAX + 1));
}

int main(void)
{
	TEST(a_copy_outlives_its_original);
	TEST(numbers_are_checked);
	TEST(texts_are_held_to_their_buffer);
	return tap_done();
}
