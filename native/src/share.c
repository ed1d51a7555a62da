/* SPDX-License-Identifier: MIT */
#include "share.h"

#include "context.h"
#include "error.h"
#include "machine.h"
#include "virtio/fs.h"

enum capsa_status share_create(struct virtio_device **out,
			       struct machine *machine, uint32_t index,
			       struct capsa_error *error)
{
	const struct machine_config *config = &machine->config;
	const struct share_config *share = &config->shares[index];
	struct workers *workers;
	int result = context_blocking(machine->capsa, &workers);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-fs");
	result = virtio_fs_create(out, share, config->memory_bytes, workers);
	if (result < 0)
		return error_set(error, CAPSA_STATUS_SHARE_FOLDER, -result,
				 "open", share->path, NULL,
				 "the folder cannot be opened");
	return CAPSA_STATUS_OK;
}
