/* SPDX-License-Identifier: MIT */
/*
 * What a virtio-mmio device is made of. Private to mmio.c, which has the
 * registers, and mmio_status.c, which leads the device through its life.
 */
#ifndef CAPSA_VIRTIO_MMIO_STATE_H
#define CAPSA_VIRTIO_MMIO_STATE_H

#include "loop.h"
#include "virtio/device.h"
#include "virtio/mmio.h"

struct virtio_mmio_queue {
	struct virtio_notifier notifier;
	bool ready;
	struct virtqueue_layout layout;
};

struct virtio_mmio {
	struct virtio_transport transport; /* first: found from it */
	struct virtio_device *device; /* its lock guards all but interrupts */
	struct loop *loop;
	int irq_fd;
	uint32_t interrupts; /* InterruptStatus, atomic */

	uint32_t status;
	uint32_t features_select;
	uint32_t driver_features_select;
	uint64_t driver_features;
	uint32_t queue_select;
	struct virtio_mmio_queue queues[VIRTIO_QUEUES_MAX];
};

/* Of the device and the rings. */
uint64_t virtio_mmio_features(const struct virtio_mmio *mmio);

/* A write to Status, with the device's lock held. */
void virtio_mmio_set_status(struct virtio_mmio *mmio, uint32_t value);

#endif
