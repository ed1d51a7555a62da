/* SPDX-License-Identifier: MIT */
/*
 * The socket's thread takes one message after the other; all that it changes
 * and the loop or the device may look at is changed with the device's lock
 * held.
 */
#include "virtio/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "thread.h"
#include "virtio/vhost_user_state.h"

static void user_kick(struct virtio_transport *transport, uint32_t queue)
{
	const struct vhost_user *user = (struct vhost_user *)transport;
	int fd = user->queues[queue].notifier.source.fd;

	if (fd >= 0)
		eventfd_write(fd, 1);
}

static void user_interrupt(struct virtio_transport *transport, uint32_t queue)
{
	const struct vhost_user *user = (struct vhost_user *)transport;

	if (user->queues[queue].call_fd >= 0)
		eventfd_write(user->queues[queue].call_fd, 1);
}

/* The front-end has no way to tell its guest: it just gets no answers. */
static void user_fail(struct virtio_transport *transport)
{
	(void)transport;
}

/* Nobody is served any more, and the other end notices. */
static void user_end(struct vhost_user *user)
{
	shutdown(user->peer.socket, SHUT_RDWR);
	for (uint32_t i = 0; i < user->peer.queue_count; i++)
		virtio_notifier_stop(&user->queues[i].notifier, user->loop);
	pthread_mutex_lock(&user->device->lock);
	virtio_device_stop(user->device);
	pthread_mutex_unlock(&user->device->lock);
	foreign_memory_unmap(&user->memory);
}

/* Waits for the front-end. 0, or -errno: there is none. */
static int user_accept(int socket)
{
	struct pollfd listener = { .fd = fcntl(socket, F_DUPFD_CLOEXEC, 0) };
	int connection = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
	int result = 0;

	if (listener.fd < 0 || connection < 0 ||
	    dup3(connection, socket, O_CLOEXEC) < 0)
		result = -errno;
	/* Shut down after it was accepted, and before it took the place. */
	else if (poll(&listener, 1, 0) > 0)
		result = -ECONNRESET;
	if (connection >= 0)
		close(connection);
	if (listener.fd >= 0)
		close(listener.fd);
	return result;
}

static void user_talk(struct vhost_user *user)
{
	struct vhost_user_message message;
	int result;

	do {
		result = vhost_user_receive(user->peer.socket, &message);
		if (result == 0)
			result = vhost_user_handle(user, &message);
		vhost_user_close_fds(&message);
	} while (result == 0);
}

static void *user_main(void *argument)
{
	struct vhost_user *user = argument;

	if (user_accept(user->peer.socket) == 0)
		user_talk(user);
	user_end(user);
	user->peer.gone(user->peer.owner);
	return NULL;
}

int vhost_user_create(struct vhost_user **out, struct virtio_device *device,
		      const struct vhost_user_peer *peer, struct loop *loop)
{
	struct vhost_user *user = calloc(1, sizeof(*user));
	int result;

	if (!user) {
		device->ops->destroy(device);
		return -ENOMEM;
	}
	user->transport = (struct virtio_transport) {
		.kick = user_kick,
		.interrupt = user_interrupt,
		.fail = user_fail,
	};
	user->device = device;
	user->loop = loop;
	user->peer = *peer;
	for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		user->queues[i].notifier.source.fd = -1;
		user->queues[i].call_fd = -1;
	}
	device->memory = &user->memory.memory;
	device->transport = &user->transport;
	pthread_mutex_init(&device->lock, NULL);
	result = thread_create(&user->thread, "capsa-serve", user_main, user);
	user->threaded = result == 0;
	if (result < 0) {
		vhost_user_destroy(user);
		return result;
	}
	*out = user;
	return 0;
}

void vhost_user_hold(struct vhost_user *user, bool held)
{
	atomic_store(&user->held, held);
}

void vhost_user_destroy(struct vhost_user *user)
{
	if (!user)
		return;
	shutdown(user->peer.socket, SHUT_RDWR);
	if (user->threaded)
		pthread_join(user->thread, NULL);
	for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++)
		if (user->queues[i].call_fd >= 0)
			close(user->queues[i].call_fd);
	pthread_mutex_destroy(&user->device->lock);
	user->device->ops->destroy(user->device);
	free(user);
}
