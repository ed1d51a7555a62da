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

	CHECK(machine_config_copy(&copy, MACHINE_GUEST, &description.head,
				  NULL) == CAPSA_STATUS_OK);
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
	status = machine_config_copy(&copy, MACHINE_GUEST, &description.head,
				     &error);
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

/* A machine with as many disks and shares as fit, and all their texts. */
struct equipped {
	struct capsa_machine_config head;
	uint8_t padding; /* arrays need not be aligned */
	uint8_t disks[(CAPSA_DISKS_MAX + 1) * sizeof(struct capsa_disk)];
	uint8_t shares[(CAPSA_SHARES_MAX + 1) * sizeof(struct capsa_share)];
	char texts[4200];
	char end; /* so that a NUL behind the texts is inside of the buffer */
};

_Static_assert(offsetof(struct equipped, disks) % _Alignof(uint32_t) != 0 &&
		       offsetof(struct equipped, shares) % _Alignof(uint32_t) !=
			       0,
	       "the arrays lie at odd addresses");

static struct capsa_slice text_at(uint32_t start, uint32_t length)
{
	return (struct capsa_slice) {
		.offset = (uint32_t)offsetof(struct equipped, texts) + start,
		.length = length,
	};
}

static struct capsa_disk some_disk(void)
{
	return (struct capsa_disk) {
		.size = sizeof(struct capsa_disk),
		.path = text_at(7, 5),
		.serial = text_at(12, 3),
		.overlay = text_at(15, 4),
	};
}

static struct capsa_share some_share(void)
{
	return (struct capsa_share) {
		.size = sizeof(struct capsa_share),
		.cache = CAPSA_SHARE_CACHE_AUTO,
		.path = text_at(19, 6),
		.tag = text_at(25, 3),
	};
}

static void set_disk(struct equipped *equipped, uint32_t index,
		     const struct capsa_disk *disk)
{
	memcpy(equipped->disks + index * sizeof(*disk), disk, sizeof(*disk));
}

static void set_share(struct equipped *equipped, uint32_t index,
		      const struct capsa_share *share)
{
	memcpy(equipped->shares + index * sizeof(*share), share,
	       sizeof(*share));
}

static void equip(struct equipped *equipped, uint32_t disks, uint32_t shares)
{
	const struct capsa_disk disk = some_disk();
	const struct capsa_share share = some_share();

	*equipped = (struct equipped) {
		.head = described().head,
		.texts = "/kernel/diskser/tmp/sharetag",
	};
	equipped->head.total = sizeof(*equipped);
	equipped->head.kernel = text_at(0, 7);
	equipped->head.cmdline = text_at(0, 0);
	equipped->head.vsock = text_at(0, 0);
	equipped->head.disks = (struct capsa_slice) {
		.offset = offsetof(struct equipped, disks),
		.length = disks * (uint32_t)sizeof(disk),
	};
	equipped->head.shares = (struct capsa_slice) {
		.offset = offsetof(struct equipped, shares),
		.length = shares * (uint32_t)sizeof(share),
	};
	for (uint32_t i = 0; i < disks; i++)
		set_disk(equipped, i, &disk);
	for (uint32_t i = 0; i < shares; i++)
		set_share(equipped, i, &share);
}

/* What of it is refused: the name of a field, or "" if nothing is. */
static const char *refused(const struct equipped *equipped)
{
	static struct capsa_error error;
	struct machine_config copy;
	enum capsa_status status;

	error = (struct capsa_error) { 0 };
	status = machine_config_copy(&copy, MACHINE_GUEST, &equipped->head,
				     &error);
	machine_config_free(&copy);
	CHECK((status == CAPSA_STATUS_OK) == (error.field[0] == '\0'));
	CHECK(status == CAPSA_STATUS_OK ||
	      status == CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(status == CAPSA_STATUS_OK || error.message[0] != '\0');
	return error.field;
}

static bool disk_refused(struct capsa_disk disk, const char *field)
{
	struct equipped equipped;

	equip(&equipped, 2, 1);
	set_disk(&equipped, 1, &disk);
	return strcmp(refused(&equipped), field) == 0;
}

static bool share_refused(struct capsa_share share, const char *field)
{
	struct equipped equipped;

	equip(&equipped, 1, 2);
	set_share(&equipped, 1, &share);
	return strcmp(refused(&equipped), field) == 0;
}

/* With one field of a good one changed. */
#define DISK_REFUSED(change, field)                                            \
	({                                                                     \
		struct capsa_disk disk = some_disk();                          \
		disk.change;                                                   \
		disk_refused(disk, field);                                     \
	})
#define SHARE_REFUSED(change, field)                                           \
	({                                                                     \
		struct capsa_share share = some_share();                       \
		share.change;                                                  \
		share_refused(share, field);                                   \
	})

static void disks_and_shares_are_copied(void)
{
	struct machine_config copy;
	struct equipped equipped;
	struct capsa_disk disk = some_disk();
	struct capsa_share share = some_share();

	equip(&equipped, 2, 2);
	disk.flags = CAPSA_DISK_READ_ONLY;
	disk.serial.length = 0;
	disk.overlay.length = 0;
	set_disk(&equipped, 1, &disk);
	share.flags = CAPSA_SHARE_READ_ONLY | CAPSA_SHARE_OWNER;
	share.owner = 1000;
	share.cache = CAPSA_SHARE_CACHE_ALWAYS;
	set_share(&equipped, 1, &share);
	CHECK(machine_config_copy(&copy, MACHINE_GUEST, &equipped.head, NULL) ==
	      CAPSA_STATUS_OK);
	memset(&equipped, 0xff, sizeof(equipped));
	CHECK(copy.disk_count == 2 && copy.share_count == 2 && !copy.balloon);
	CHECK(strcmp(copy.disks[0].path, "/disk") == 0);
	CHECK(strcmp(copy.disks[0].serial, "ser") == 0);
	CHECK(strcmp(copy.disks[0].overlay, "/tmp") == 0);
	CHECK(!copy.disks[0].read_only && !copy.disks[0].block_device);
	CHECK(copy.disks[1].read_only && !copy.disks[1].block_device);
	CHECK(!copy.disks[1].serial && !copy.disks[1].overlay);
	CHECK(strcmp(copy.shares[0].path, "/share") == 0);
	CHECK(strcmp(copy.shares[0].tag, "tag") == 0);
	CHECK(copy.shares[0].cache == CAPSA_SHARE_CACHE_AUTO);
	CHECK(!copy.shares[0].read_only && !copy.shares[0].has_owner);
	CHECK(copy.shares[1].cache == CAPSA_SHARE_CACHE_ALWAYS);
	CHECK(copy.shares[1].read_only && copy.shares[1].has_owner);
	CHECK(copy.shares[1].owner == 1000);
	machine_config_free(&copy);
}

static void flags_are_checked(void)
{
	struct equipped equipped;
	struct machine_config copy;

	equip(&equipped, 0, 0);
	equipped.head.flags = CAPSA_MACHINE_BALLOON;
	CHECK(machine_config_copy(&copy, MACHINE_GUEST, &equipped.head, NULL) ==
	      CAPSA_STATUS_OK);
	CHECK(copy.balloon);
	machine_config_free(&copy);
	for (uint32_t bit = 1; bit < 32; bit++)
		CHECK(REFUSED(flags, 1u << bit));
	for (uint32_t bit = 2; bit < 32; bit++) {
		CHECK(DISK_REFUSED(flags = 1u << bit, "disks"));
		CHECK(SHARE_REFUSED(flags = 1u << bit, "shares"));
	}
	CHECK(DISK_REFUSED(flags = CAPSA_DISK_BLOCK_DEVICE, ""));
	CHECK(SHARE_REFUSED(cache = 0, "shares"));
	CHECK(SHARE_REFUSED(cache = CAPSA_SHARE_CACHE_ALWAYS + 1, "shares"));
}

static void sizes_are_checked(void)
{
	const uint32_t disk_size = sizeof(struct capsa_disk);
	const uint32_t share_size = sizeof(struct capsa_share);
	struct equipped equipped;

	CHECK(DISK_REFUSED(size = 0, "disks"));
	CHECK(DISK_REFUSED(size = disk_size + 4, "disks"));
	CHECK(SHARE_REFUSED(size = 0, "shares"));
	CHECK(SHARE_REFUSED(size = share_size - 4, "shares"));
	equip(&equipped, 2, 2);
	equipped.head.disks.length--;
	CHECK(strcmp(refused(&equipped), "disks") == 0);
	equip(&equipped, 2, 2);
	equipped.head.shares.length++;
	CHECK(strcmp(refused(&equipped), "shares") == 0);
	/* The buffer ends within the array. */
	equip(&equipped, 1, 0);
	equipped.head.total = equipped.head.disks.offset + disk_size - 1;
	equipped.head.kernel = (struct capsa_slice) {
		.offset = equipped.head.size, .length = 1
	};
	equipped.padding = '/';
	CHECK(strcmp(refused(&equipped), "disks") == 0);
}

static void counts_are_checked(void)
{
	struct equipped equipped;

	equip(&equipped, CAPSA_DISKS_MAX, CAPSA_DEVICES_MAX - CAPSA_DISKS_MAX);
	CHECK(strcmp(refused(&equipped), "") == 0);
	equipped.head.flags = CAPSA_MACHINE_BALLOON;
	CHECK(strcmp(refused(&equipped), "shares") == 0);
	equipped.head.flags = 0;
	equipped.head.vsock = text_at(7, 5);
	CHECK(strcmp(refused(&equipped), "shares") == 0);
	equip(&equipped, 0, CAPSA_SHARES_MAX);
	CHECK(strcmp(refused(&equipped), "") == 0);
	equip(&equipped, CAPSA_DISKS_MAX, CAPSA_SHARES_MAX);
	CHECK(strcmp(refused(&equipped), "shares") == 0);
	equip(&equipped, CAPSA_DISKS_MAX + 1, 0);
	CHECK(strcmp(refused(&equipped), "disks") == 0);
	equip(&equipped, 0, CAPSA_SHARES_MAX + 1);
	CHECK(strcmp(refused(&equipped), "shares") == 0);
}

static void arrays_are_held_to_their_buffer(void)
{
	static const struct capsa_slice outside[] = {
		{ sizeof(struct capsa_machine_config) - 1, 64 },
		{ 0, 64 },
		{ sizeof(struct equipped) - 63, 64 },
		{ sizeof(struct equipped) + 1, 64 },
		{ UINT32_MAX, 64 },
		{ UINT32_MAX - 63, 64 },
		{ offsetof(struct equipped, disks), -64u },
	};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		struct capsa_slice slice = outside[i];
		struct equipped equipped;

		equip(&equipped, 1, 1);
		equipped.head.disks = slice;
		CHECK(strcmp(refused(&equipped), "disks") == 0);
		equip(&equipped, 1, 1);
		equipped.head.shares = slice;
		CHECK(strcmp(refused(&equipped), "shares") == 0);
	}
}

static void texts_of_devices_are_held_to_their_buffer(void)
{
	static const struct capsa_slice outside[] = {
		{ sizeof(struct capsa_machine_config) - 1, 3 },
		{ 0, 3 },
		{ sizeof(struct equipped) - 2, 3 },
		{ sizeof(struct equipped) + 1, 3 },
		{ UINT32_MAX, 3 },
		{ UINT32_MAX - 2, 3 },
		{ offsetof(struct equipped, texts), UINT32_MAX },
	};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		struct capsa_slice slice = outside[i];

		CHECK(DISK_REFUSED(path = slice, "disks.path"));
		CHECK(DISK_REFUSED(serial = slice, "disks.serial"));
		CHECK(DISK_REFUSED(overlay = slice, "disks.overlay"));
		CHECK(SHARE_REFUSED(path = slice, "shares.path"));
		CHECK(SHARE_REFUSED(tag = slice, "shares.tag"));
	}
}

static void texts_of_devices_have_no_nul(void)
{
	CHECK(DISK_REFUSED(path.length = 0, "disks"));
	CHECK(DISK_REFUSED(serial.length = 0, ""));
	CHECK(DISK_REFUSED(overlay.length = 0, ""));
	CHECK(SHARE_REFUSED(path.length = 0, "shares"));
	CHECK(SHARE_REFUSED(tag.length = 0, "shares"));
	/* Over the end of the texts, where there is a NUL. */
	CHECK(DISK_REFUSED(path.length = 22, "disks.path"));
	CHECK(DISK_REFUSED(serial.length = 17, "disks.serial"));
	CHECK(DISK_REFUSED(overlay.length = 14, "disks.overlay"));
	CHECK(SHARE_REFUSED(path.length = 10, "shares.path"));
	CHECK(SHARE_REFUSED(tag.length = 4, "shares.tag"));
}

static void texts_of_devices_may_be_so_long(void)
{
	struct equipped equipped;
	struct capsa_disk disk = some_disk();
	struct capsa_share share = some_share();

	equip(&equipped, 1, 1);
	memset(equipped.texts, 'x', sizeof(equipped.texts));
	disk.path = disk.overlay = share.path = text_at(0, 4095);
	disk.serial = text_at(0, 20);
	share.tag = text_at(0, 36);
	set_disk(&equipped, 0, &disk);
	set_share(&equipped, 0, &share);
	CHECK(strcmp(refused(&equipped), "") == 0);
	share.tag.length++;
	set_share(&equipped, 0, &share);
	CHECK(strcmp(refused(&equipped), "shares.tag") == 0);
	share.path.length++;
	set_share(&equipped, 0, &share);
	CHECK(strcmp(refused(&equipped), "shares.path") == 0);
	disk.overlay.length++;
	set_disk(&equipped, 0, &disk);
	CHECK(strcmp(refused(&equipped), "disks.overlay") == 0);
	disk.serial.length++;
	set_disk(&equipped, 0, &disk);
	CHECK(strcmp(refused(&equipped), "disks.serial") == 0);
	disk.path.length++;
	set_disk(&equipped, 0, &disk);
	CHECK(strcmp(refused(&equipped), "disks.path") == 0);
}

int main(void)
{
	TEST(a_copy_outlives_its_original);
	TEST(numbers_are_checked);
	TEST(texts_are_held_to_their_buffer);
	TEST(disks_and_shares_are_copied);
	TEST(flags_are_checked);
	TEST(sizes_are_checked);
	TEST(counts_are_checked);
	TEST(arrays_are_held_to_their_buffer);
	TEST(texts_of_devices_are_held_to_their_buffer);
	TEST(texts_of_devices_have_no_nul);
	TEST(texts_of_devices_may_be_so_long);
	return tap_done();
}
