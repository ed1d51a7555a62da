/* SPDX-License-Identifier: MIT */
/* virtio-blk: a disk (virtio 1.2, section 5.2). One queue of requests. */
#ifndef CAPSA_VIRTIO_BLK_H
#define CAPSA_VIRTIO_BLK_H

#include "block/engine.h"
#include "block/image.h"
#include "virtio/device.h"

/*
 * Takes image over, on failure too; engine is borrowed. serial has at most
 * DISK_SERIAL_MAX bytes; NULL: none. 0 or -errno; *out is owned by the caller
 * until a transport takes it.
 */
int virtio_blk_create(struct virtio_device **out, struct image *image,
		      const char *serial, struct io_engine *engine);

/* Adds what the driver has read and written so far, in bytes. Any thread. */
void virtio_blk_count(const struct virtio_device *device, uint64_t *read,
		      uint64_t *written);

#endif
