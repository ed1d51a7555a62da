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

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "virtio/device.h"

struct vhost_user;

/* Who is served, and who wants to know when that is over. */
struct vhost_user_peer {
	/*
	 * A Unix socket that listens; borrowed. The first who connects is
	 * served, and takes its place under this number: to shut it down ends
	 * the talk at any time.
	 */
	int socket;
	/*
	 * The front-end serves the others of the device's queues itself.
	 */
	uint32_t queue_count;
	/*
	 * The front-end asks for the device's configuration. Those that make
	 * it up themselves complain of a back-end that offers it.
	 */
	bool shows_config;
	/*
	 * The other end has hung up, broke the rules, or the socket was shut
	 * down here. The rings rest and guest memory is let go. Called once,
	 * on the socket's thread, as the last that it does.
	 */
	void (*gone)(void *owner);
	void *owner;
};

/*
 * Serves device to peer on a thread of its own. Owns device from here on, also
 * when it fails. Queue work runs on loop. 0 or -errno.
 */
int vhost_user_create(struct vhost_user **out, struct virtio_device *device,
		      const struct vhost_user_peer *peer, struct loop *loop);

/*
 * From now on, rings that the front-end makes rest keep the device as it is, or
 * reset it, as at first. Any thread.
 */
void vhost_user_hold(struct vhost_user *user, bool held);

/* Hangs up, waits until the peer is gone, frees. NULL is fine. */
void vhost_user_destroy(struct vhost_user *user);

#endif
