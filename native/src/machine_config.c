/* SPDX-License-Identifier: MIT */
#include "machine_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum {
	CONSOLE_BYTES_MIN = 4 * 1024,
	CONSOLE_BYTES_MAX = 16 * 1024 * 1024,
	PATH_BYTES_MAX = 4095,
	CMDLINE_BYTES_MAX = 64 * 1024,
};

static enum capsa_status config_refuse(struct capsa_error *error,
				       const char *field, const char *message)
{
	return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
			 "capsa_launch", "config", field, message);
}

static enum capsa_status config_check(const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	const char *field = NULL;

	if (config->size != sizeof(*config) || config->total < config->size)
		field = "size";
	else if (config->cpus < 1 || config->cpus > CAPSA_CPUS_MAX)
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
	if (!field)
		return CAPSA_STATUS_OK;
	return config_refuse(error, field, "the value is outside its range");
}

/* A private copy of a slice's text in *out; absent texts stay NULL. */
static enum capsa_status config_text(char **out,
				     const struct capsa_machine_config *config,
				     struct capsa_slice slice,
				     uint32_t length_max, const char *field,
				     struct capsa_error *error)
{
	const char *start = (const char *)config + slice.offset;

	if (slice.length == 0)
		return CAPSA_STATUS_OK;
	if (slice.offset < config->size || slice.offset > config->total ||
	    slice.length > config->total - slice.offset ||
	    slice.length > length_max)
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

enum capsa_status machine_config_copy(struct machine_config *copy,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error)
{
	enum capsa_status status = config_check(config, error);

	*copy = (struct machine_config) { 0 };
	if (status != CAPSA_STATUS_OK)
		return status;
	copy->memory_bytes = config->memory_bytes;
	copy->cpus = config->cpus;
	copy->discovery = (enum capsa_discovery)config->discovery;
	copy->console = (enum capsa_console)config->console;
	status = config_text(&copy->kernel, config, config->kernel,
			     PATH_BYTES_MAX, "kernel", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->initrd, config, config->initrd,
				     PATH_BYTES_MAX, "initrd", error);
	if (status == CAPSA_STATUS_OK)
		status = config_text(&copy->cmdline, config, config->cmdline,
				     CMDLINE_BYTES_MAX, "cmdline", error);
	return status;
}

void machine_config_free(struct machine_config *config)
{
	free(config->kernel);
	free(config->initrd);
	free(config->cmdline);
}
