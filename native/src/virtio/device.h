/* SPDX-License-Identifier: MIT */
/*
 * What a virtio device is to its transport, and the other way round.
 *
 * A device sees its queues, guest memory and this struct; never the machine,
 * never a register. There are two transports: the registers of a machine of
 * ours (virtio/mmio.h), and another monitor's requests over a socket
 * (virtio/vhost_user.h). The transport owns lock and calls every operation but
 * destroy with it held: register accesses come on vCPU threads, queue work
 * on the loop's thread. Both must be short: a vCPU may be waiting.
 */
#ifndef CAPSA_VIRTIO_DEVICE_H
#define CAPSA_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "memory.h"
#include "virtio/virtqueue.h"

enum { VIRTIO_QUEUES_MAX = 8 };

struct virtio_device;

/* What a device needs of its transport; embedded there. */
struct virtio_transport {
	/* Any thread; the others with the device's lock held. */
	void (*kick)(struct virtio_transport *transport, uint32_t queue);
	void (*interrupt)(struct virtio_transport *transport, uint32_t queue);
	/* The device has stopped serving: tells the driver, once. */
	void (*fail)(struct virtio_transport *transport);
};

struct virtio_device_ops {
	uint32_t device_id; /* VIRTIO_ID_*: virtio 1.2, section 5 */
	uint64_t features;  /* offered, beside what the transport offers */
	uint32_t queue_count;
	uint16_t
		queue_size_max; /* a power of two, at most VIRTQUEUE_SIZE_MAX */
	uint32_t config_size;   /* bytes of the device's configuration */

	/* The driver is ready, with valid queues. */
	void (*activate)(struct virtio_device *device);
	/* The driver put buffers into a queue. */
	void (*notify)(struct virtio_device *device, uint32_t queue);
	/*
	 * Waits for what is under way elsewhere, as pthread_cond_wait() does,
	 * with the lock given back meanwhile; afterwards no queue and no
	 * buffer of the guest is touched. NULL: nothing ever is.
	 */
	void (*drain)(struct virtio_device *device);
	/* Back to the state after create; drained before. */
	void (*reset)(struct virtio_device *device);
	/* Within config_size; NULL: reads as zero, ignores writes. */
	void (*config_read)(struct virtio_device *device, uint32_t offset,
			    uint8_t *data, uint32_t length);
	void (*config_write)(struct virtio_device *device, uint32_t offset,
			     const uint8_t *data, uint32_t length);
	/* Frees the device, after a reset; its loop sources are removed. */
	void (*destroy)(struct virtio_device *device);
};

/* Embedded in each device. Fields are set by the transport. */
struct virtio_device {
	const struct virtio_device_ops *ops;
	const struct memory *memory;
	pthread_mutex_t lock;
	uint64_t features; /* negotiated */
	bool active;       /* DRIVER_OK and not broken */
	struct virtqueue queues[VIRTIO_QUEUES_MAX];
	struct virtio_transport *transport;
};

/*
 * Has notify called for the queue in a later turn of the loop: there is more
 * to do than fits one turn, or something came from the host. Takes no lock.
 * Any thread. Before the transport exists, or while the device is not active,
 * nothing happens: each queue is notified once when it becomes active.
 */
void virtio_device_kick(struct virtio_device *device, uint32_t queue);

/* Interrupts the driver for used buffers if it wants to be. */
void virtio_device_interrupt(struct virtio_device *device, uint32_t queue);

/*
 * The driver broke a rule that leaves the device no safe way on: sets
 * DEVICE_NEEDS_RESET, tells the driver, and stops serving until a reset.
 */
void virtio_device_fail(struct virtio_device *device);

/*
 * For transports: the notifications of one queue, which call notify on the
 * loop's thread while the device is active.
 */
struct virtio_notifier {
	struct loop_source source; /* first: found from it; fd -1: none */
	struct virtio_device *device;
	uint32_t queue;
};

/*
 * Watches fd, an eventfd that the notifier owns from here on, also when it
 * fails. 0 or -errno.
 */
int virtio_notifier_start(struct virtio_notifier *notifier, struct loop *loop,
			  struct virtio_device *device, uint32_t queue, int fd);

/* Waits for a notify that runs; not with the device's lock held. */
void virtio_notifier_stop(struct virtio_notifier *notifier, struct loop *loop);

/*
 * For transports, with the lock held: stops serving and forgets the rings,
 * when nothing is under way any more.
 */
void virtio_device_stop(struct virtio_device *device);

#endif
