/* SPDX-License-Identifier: MIT */
/* virtio-fs: a folder of the host (virtio 1.2, section 5.11). */
#ifndef CAPSA_VIRTIO_FS_H
#define CAPSA_VIRTIO_FS_H

#include "machine_config.h"
#include "virtio/device.h"
#include "workers.h"

/*
 * Opens the folder of share, which may be freed afterwards. Requests run on
 * workers, which outlive the device. *out is owned by the caller until it is
 * given to a transport. memory_bytes is what the guest has. 0 or -errno.
 */
int virtio_fs_create(struct virtio_device **out,
		     const struct share_config *share, uint64_t memory_bytes,
		     struct workers *workers);

/* Requests served so far. Any thread, while the device exists. */
uint64_t virtio_fs_requests(const struct virtio_device *device);

#endif
