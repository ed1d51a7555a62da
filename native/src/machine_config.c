/* SPDX-License-Identifier: MIT */
#include "machine_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machine_config_parts.h"

enum {
	CONSOLE_BYTES_MIN = 4 * 1024,
	CONSOLE_BYTES_MAX = 16 * 1024 * 1024,
	PATH_BYTES_MAX = 4095,
	CMDLINE_BYTES_MAX = 64 * 1024,
};

enum capsa_status config_refuse(struct capsa_error *error, const char *field,
				const char *message)
{
	return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0, "check",
			 "config", field, message);
}

/* The field of a guest's that is outside its range, or NULL. */
static const char *config_guest_fault(const struct capsa_machine_config *config)
{
	const char *field = NULL;

	if (config->cpus < 1 || config->cpus > CAPSA_CPUS_MAX)
		field = "cpus";
	else if (config->discovery != CAPSA_DISCOVERY_FIRMWARE &&
		 config->discovery != CAPSA_DISCOVERY_CMDLINE)
		field = "discovery";
	else if (config->console != CAPSA_CONSOLE_SERIAL &&
		 config->console != CAPSA_CONSOLE_VIRTIO)
		field = "console";
	else if (config->console_bytes < CONSOLE_BYTES_MIN ||
		 config->console_bytes > CONSOLE_BYTES_MAX)
		field = "console_bytes";
	else if (config->kernel.length == 0)
		field = "kernel";
	else if (config->flags & ~(uint32_t)CAPSA_MACHINE_BALLOON)
		field = "flags";
	return field;
}

/* The same for a service, which has what the other monitor lacks. */
static const char *config_service_fault(
	const struct capsa_machine_config *config)
{
	const char *field = NULL;

	if (config->cpus != 0)
		field = "cpus";
	else if (config->discovery != 0)
		field = "discovery";
	else if (config->console != 0)
		field = "console";
	else if (config->console_bytes != 0)
		field = "console_bytes";
	else if (config->kernel.length != 0)
		field = "kernel";
	else if (config->initrd.length != 0)
		field = "initrd";
	else if (config->cmdline.length != 0)
		field = "cmdline";
	else if (config->disks.length != 0)
		field = "disks";
	else if (config->flags != 0)
		field = "flags";
	else if (config->shares.length == 0 && config->nics.length == 0 &&
		 config->vsock.length == 0)
		field = "shares";
	return field;
}

static enum capsa_status config_check(enum machine_kind kind,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	const char *field;

	if (config->size != sizeof(*config) || config->total < config->size)
		field = "size";
	else
		field = kind == MACHINE_GUEST ? config_guest_fault(config)
					      : config_service_fault(config);
	if (!field)
		return CAPSA_STATUS_OK;
	return config_refuse(error, field, "the value is outside its range");
}

const void *config_part(const struct capsa_machine_config *config,
			struct capsa_slice slice)
{
	if (slice.offset < config->size || slice.offset > config->total ||
	    slice.length > config->total - slice.offset)
		return NULL;
	return (const uint8_t *)config + slice.offset;
}

enum capsa_status config_text(char **out,
			      const struct capsa_machine_config *config,
			      struct capsa_slice slice, uint32_t length_max,
			      const char *field, struct capsa_error *error)
{
	const char *start = config_part(config, slice);

	if (slice.length == 0)
		return CAPSA_STATUS_OK;
	if (!start || slice.length > length_max)
		return config_refuse(error, field,
				     "the text is too long or outside its "
				     "buffer");
	if (memchr(start, '\0', slice.length))
		return config_refuse(error, field, "the text contains a NUL");
	*out = strndup(start, slice.length);
	if (!*out)
		return error_system(error, ENOMEM, "strndup", NULL);
	return CAPSA_STATUS_OK;
}

enum capsa_status config_array(const struct capsa_machine_config *config,
			       struct capsa_slice slice, size_t size,
			       uint32_t count_max, const char *field,
			       const uint8_t **start, uint32_t *count,
			       struct capsa_error *error)
{
	*count = 0;
	if (slice.length == 0)
		return CAPSA_STATUS_OK;
	*start = config_part(config, slice);
	if (!*start || slice.length % size != 0)
		return config_refuse(error, field,
				     "the list is cut or outside its buffer");
	if (slice.length / size > count_max)
		return config_refuse(error, field, "there are too many");
	*count = slice.length / (uint32_t)size;
	return CAPSA_STATUS_OK;
}

static enum capsa_status config_disk(struct disk_config *copy,
				     const struct capsa_machine_config *config,
				     const struct capsa_disk *disk,
				     struct capsa_error *error)
{
	const uint32_t known = CAPSA_DISK_READ_ONLY | CAPSA_DISK_BLOCK_DEVICE;
	enum capsa_status status;

	if (disk->size != sizeof(*disk) || disk->flags & ~known ||
	    disk->path.length == 0)
		return config_refuse(error, "disks",
				     "a disk is outside its range");
	copy->read_only = disk->flags & CAPSA_DISK_READ_ONLY;
	copy->block_device = disk->flags & CAPSA_DISK_BLOCK_DEVICE;
	status = config_text(&copy->path, config, disk->path, PATH_BYTES_MAX,
			     "disks.path", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->serial, config, disk->serial,
				     DISK_SERIAL_MAX, "disks.serial", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->overlay, config, disk->overlay,
				     PATH_BYTES_MAX, "disks.overlay", error);
	return status;
}

static enum capsa_status config_share(struct share_config *copy,
				      const struct capsa_machine_config *config,
				      const struct capsa_share *share,
				      struct capsa_error *error)
{
	const uint32_t known = CAPSA_SHARE_READ_ONLY | CAPSA_SHARE_OWNER;
	enum capsa_status status;

	if (share->size != sizeof(*share) || share->flags & ~known ||
	    share->cache < CAPSA_SHARE_CACHE_NONE ||
	    share->cache > CAPSA_SHARE_CACHE_ALWAYS ||
	    share->path.length == 0 || share->tag.length == 0)
		return config_refuse(error, "shares",
				     "a share is outside its range");
	copy->read_only = share->flags & CAPSA_SHARE_READ_ONLY;
	copy->has_owner = share->flags & CAPSA_SHARE_OWNER;
	copy->owner = share->owner;
	copy->cache = (enum capsa_share_cache)share->cache;
	status = config_text(&copy->path, config, share->path, PATH_BYTES_MAX,
			     "shares.path", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->tag, config, share->tag,
				     SHARE_TAG_MAX, "shares.tag", error);
	return status;
}

/* The structs may lie at any address, so each is copied before it is read. */
static enum capsa_status config_disks(struct machine_config *copy,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	const uint8_t *start = NULL;
	uint32_t count;
	enum capsa_status status = config_array(
		config, config->disks, sizeof(struct capsa_disk),
		CAPSA_DISKS_MAX, "disks", &start, &count, error);

	while (status == CAPSA_STATUS_OK && copy->disk_count < count) {
		uint32_t index = copy->disk_count++;
		struct capsa_disk disk;

		memcpy(&disk, start + sizeof(disk) * index, sizeof(disk));
		status = config_disk(&copy->disks[index], config, &disk, error);
	}
	return status;
}

static enum capsa_status config_shares(
	struct machine_config *copy, const struct capsa_machine_config *config,
	struct capsa_error *error)
{
	const uint8_t *start = NULL;
	uint32_t count;
	enum capsa_status status = config_array(
		config, config->shares, sizeof(struct capsa_share),
		CAPSA_SHARES_MAX, "shares", &start, &count, error);

	while (status == CAPSA_STATUS_OK && copy->share_count < count) {
		uint32_t index = copy->share_count++;
		struct capsa_share share;

		memcpy(&share, start + sizeof(share) * index, sizeof(share));
		status = config_share(&copy->shares[index], config, &share,
				      error);
	}
	return status;
}

static enum capsa_status config_texts(struct machine_config *copy,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	enum capsa_status status = config_text(&copy->kernel, config,
					       config->kernel, PATH_BYTES_MAX,
					       "kernel", error);

	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->initrd, config, config->initrd,
				     PATH_BYTES_MAX, "initrd", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->cmdline, config, config->cmdline,
				     CMDLINE_BYTES_MAX, "cmdline", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->vsock, config, config->vsock,
				     CAPSA_VSOCK_PATH_MAX, "vsock", error);
	return status;
}

enum capsa_status machine_config_copy(struct machine_config *copy,
				      enum machine_kind kind,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	enum capsa_status status = config_check(kind, config, error);
	uint32_t devices;

	*copy = (struct machine_config) { 0 };
	if (status != CAPSA_STATUS_OK)
		return status;
	copy->memory_bytes = config->memory_bytes;
	copy->cpus = config->cpus;
	copy->discovery = (enum capsa_discovery)config->discovery;
	copy->console = (enum capsa_console)config->console;
	copy->balloon = config->flags & CAPSA_MACHINE_BALLOON;
	status = config_texts(copy, config, error);
	if (status == CAPSA_STATUS_OK)
		status = config_disks(copy, config, error);
	if (status == CAPSA_STATUS_OK)
		status = config_shares(copy, config, error);
	if (status == CAPSA_STATUS_OK)
		status = config_nics(copy, config, error);
	devices = copy->disk_count + copy->share_count + copy->balloon;
	devices += copy->has_nic;
	devices += copy->vsock != NULL;
	if (status == CAPSA_STATUS_OK && devices > CAPSA_DEVICES_MAX)
		status = config_refuse(error, "shares",
				       "with the other devices there are too "
				       "many");
	return status;
}

void machine_config_free(struct machine_config *config)
{
	for (uint32_t i = 0; i < config->disk_count; i++) {
		free(config->disks[i].path);
		free(config->disks[i].serial);
		free(config->disks[i].overlay);
	}
	for (uint32_t i = 0; i < config->share_count; i++) {
		free(config->shares[i].path);
		free(config->shares[i].tag);
	}
	config_free_nic(&config->nic);
	free(config->kernel);
	free(config->initrd);
	free(config->cmdline);
	free(config->vsock);
}
