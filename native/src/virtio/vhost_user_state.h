/* SPDX-License-Identifier: MIT */
/* What a served device's transport is; for virtio/vhost_user*.c alone. */
#ifndef CAPSA_VIRTIO_VHOST_USER_STATE_H
#define CAPSA_VIRTIO_VHOST_USER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "virtio/foreign_memory.h"
#include "virtio/vhost_user.h"
#include "virtio/vhost_user_protocol.h"

/* A ring as the front-end describes it, in its own addresses. */
struct user_queue {
	struct virtio_notifier notifier;
	int call_fd; /* owned; -1: none */
	bool addressed;
	bool enabled;
	uint32_t size;
	uint16_t next;
	struct vhost_user_vring_address address;
};

struct vhost_user {
	struct virtio_transport transport; /* first: found from it */
	struct virtio_device *device;
	struct loop *loop;
	struct vhost_user_peer peer;
	pthread_t thread;
	bool threaded;

	atomic_bool held; /* rings that rest are no reset */
	uint64_t features;
	struct foreign_memory memory;
	struct user_queue queues[VIRTIO_QUEUES_MAX];
};

/*
 * Does what a message asks for, and answers; on the socket's thread. 0, or
 * -errno: the talk is over.
 */
int vhost_user_handle(struct vhost_user *user,
		      struct vhost_user_message *message);

#endif
