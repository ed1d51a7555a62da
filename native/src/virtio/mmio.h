/* SPDX-License-Identifier: MIT */
/*
 * The memory-mapped transport (virtio 1.2, section 4.2), version 2.
 */
#ifndef CAPSA_VIRTIO_MMIO_H
#define CAPSA_VIRTIO_MMIO_H

#include <stdint.h>

#include "bus.h"
#include "loop.h"
#include "virtio/device.h"

enum {
	VIRTIO_MMIO_SIZE = 0x1000, /* of the register window */
	VIRTIO_MMIO_NOTIFY = 0x50, /* offset of QueueNotify */
};

struct virtio_mmio;

extern const struct bus_ops virtio_mmio_bus_ops; /* device: virtio_mmio */

/*
 * Wraps device, which it owns from here on, also when it fails. irq_fd, an
 * eventfd that stays the caller's, raises the device's interrupt (an edge).
 * Queue work runs on loop. 0 or -errno.
 */
int virtio_mmio_create(struct virtio_mmio **out, struct virtio_device *device,
		       const struct memory *memory, struct loop *loop,
		       int irq_fd);

/* Stops the device, waits for its work on the loop, frees it. NULL is fine. */
void virtio_mmio_destroy(struct virtio_mmio *mmio);

/*
 * The eventfd whose signal means "queue was notified", to be given to
 * KVM_IOEVENTFD (address base + VIRTIO_MMIO_NOTIFY, 4 bytes, datamatch the
 * queue's number). Where none is registered, the write arrives as a register
 * access and does the same. Owned by the transport.
 */
int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, uint32_t queue);

uint32_t virtio_mmio_queue_count(const struct virtio_mmio *mmio);

#endif
