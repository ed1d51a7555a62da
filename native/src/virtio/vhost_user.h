/* SPDX-License-Identifier: MIT */
/*
 * A device of ours for the guest of another monitor, which keeps the
 * registers and hands over guest memory and rings: the back-end's side of the
 * vhost-user protocol (docs/interop/vhost-user.rst of QEMU).
 *
 * The other monitor may have been taken over by its guest, so it is trusted
 * with no more than a guest is: what it sends is copied once and checked, its
 * memory must be sealed against shrinking, its notifications must be
 * eventfds.
 */
#ifndef CAPSA_VIRTIO_VHOST_USER_H
#define CAPSA_VIRTIO_VHOST_USER_H

#include <stdint.h>

#include "loop.h"
#include "virtio/device.h"

struct vhost_user;

/*
 * Serves the first queue_count queues of device (the front-end may keep others
 * for itself) to whoever is at the other end of socket, a connected stream
 * socket, on a thread of its own. Owns both from here on, also when it fails.
 * Queue work runs on loop. 0 or -errno.
 */
int vhost_user_create(struct vhost_user **out, struct virtio_device *device,
		      uint32_t queue_count, int socket, struct loop *loop);

/* Hangs up, waits for all that is under way, frees. NULL is fine. */
void vhost_user_destroy(struct vhost_user *user);

#endif
