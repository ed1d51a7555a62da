/* SPDX-License-Identifier: MIT */
/*
 * The socket's thread takes one message after the other; all that it changes
 * and the loop or the device may look at is changed with the device's lock
 * held. The device serves while every ring is whole; a message that touches a
 * ring or memory stops it first, and it goes on where it was.
 */
#include "virtio/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "thread.h"
#include "virtio/foreign_memory.h"
#include "virtio/vhost_user_protocol.h"

#define USER_FEATURES                                                          \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 |                                   \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |                          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |                              \
	 UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)
#define USER_PROTOCOL_FEATURES                                                 \
	(UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ |                             \
	 UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK)

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
	uint32_t queue_count;
	pthread_t thread;
	bool threaded;

	uint64_t features;
	struct foreign_memory memory;
	struct user_queue queues[VIRTIO_QUEUES_MAX];
};

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

/*
 * With the lock held: the rings stand still. All that was taken is answered
 * by then, so one position tells where both sides are.
 */
static void user_stop(struct vhost_user *user)
{
	struct virtio_device *device = user->device;

	for (uint32_t i = 0; i < user->queue_count; i++)
		if (device->queues[i].memory)
			user->queues[i].next = device->queues[i].next_available;
	virtio_device_stop(device);
}

static bool user_is_whole(const struct vhost_user *user)
{
	for (uint32_t i = 0; i < user->queue_count; i++) {
		const struct user_queue *queue = &user->queues[i];

		if (!queue->addressed || !queue->enabled || queue->size == 0 ||
		    queue->notifier.source.fd < 0)
			return false;
	}
	return true;
}

static int user_start_queue(struct vhost_user *user, uint32_t index)
{
	struct virtio_device *device = user->device;
	const struct user_queue *queue = &user->queues[index];
	const struct virtqueue_layout layout = {
		.size = queue->size,
		.descriptors = foreign_memory_address(
			&user->memory, queue->address.descriptors),
		.available = foreign_memory_address(&user->memory,
						    queue->address.available),
		.used = foreign_memory_address(&user->memory,
					       queue->address.used),
	};
	int result = virtqueue_start(
		&device->queues[index], &user->memory.memory, &layout,
		device->ops->queue_size_max, device->features);

	if (result == 0)
		virtqueue_go_on(&device->queues[index], queue->next);
	return result;
}

/* With the lock held: goes on if every ring is whole. 0 or -EPROTO. */
static int user_go_on(struct vhost_user *user)
{
	struct virtio_device *device = user->device;

	if (!user_is_whole(user))
		return 0;
	device->features = user->features;
	for (uint32_t i = 0; i < user->queue_count; i++) {
		if (user_start_queue(user, i) < 0) {
			virtio_device_stop(device);
			return -EPROTO;
		}
	}
	device->active = true;
	device->ops->activate(device);
	for (uint32_t i = 0; i < user->queue_count; i++)
		virtio_device_kick(device, i);
	return 0;
}

static int user_set_features(struct vhost_user *user, uint64_t features)
{
	const uint64_t offered = USER_FEATURES | user->device->ops->features;

	if (features & ~offered || !(features >> VIRTIO_F_VERSION_1 & 1))
		return -EPROTO;
	user->features = features &
			 ~(UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES);
	return 0;
}

static int user_set_memory(struct vhost_user *user,
			   struct vhost_user_message *message)
{
	foreign_memory_unmap(&user->memory);
	return foreign_memory_map(&user->memory, &message->payload.table,
				  message->fds, message->fd_count);
}

/* The queue that a message is about, or NULL. */
static struct user_queue *user_queue(struct vhost_user *user, uint64_t index)
{
	return index < user->queue_count ? &user->queues[index] : NULL;
}

static bool user_is_eventfd(int fd)
{
	static const char eventfd_link[] = "anon_inode:[eventfd]";
	char path[32];
	char link[sizeof(eventfd_link)];
	ssize_t length;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link));
	return length == sizeof(eventfd_link) - 1 &&
	       memcmp(link, eventfd_link, sizeof(eventfd_link) - 1) == 0;
}

/*
 * Takes the eventfd of a message, which may have none (-1). Anything else
 * could make the loop wait when it is read.
 */
static int user_take_eventfd(struct vhost_user_message *message, int *fd)
{
	*fd = -1;
	if (message->payload.number & VHOST_USER_VRING_NO_FD)
		return message->fd_count == 0 ? 0 : -EPROTO;
	if (message->fd_count != 1 || !user_is_eventfd(message->fds[0]) ||
	    fcntl(message->fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -EPROTO;
	*fd = message->fds[0];
	message->fds[0] = -1;
	return 0;
}

/* Not with the lock held: it waits for a notification that is served. */
static int user_set_kick(struct vhost_user *user,
			 struct vhost_user_message *message)
{
	uint32_t index = message->payload.number & VHOST_USER_VRING_INDEX;
	struct user_queue *queue = user_queue(user, index);
	int fd;

	if (!queue || user_take_eventfd(message, &fd) < 0)
		return -EPROTO;
	virtio_notifier_stop(&queue->notifier, user->loop);
	if (fd < 0)
		return 0;
	return virtio_notifier_start(&queue->notifier, user->loop, user->device,
				     index, fd);
}

static int user_set_call(struct vhost_user *user,
			 struct vhost_user_message *message)
{
	struct user_queue *queue = user_queue(
		user, message->payload.number & VHOST_USER_VRING_INDEX);
	int fd;

	if (!queue || user_take_eventfd(message, &fd) < 0)
		return -EPROTO;
	if (queue->call_fd >= 0)
		close(queue->call_fd);
	queue->call_fd = fd;
	return 0;
}

static int user_set_vring(struct vhost_user *user,
			  const struct vhost_user_message *message)
{
	const struct vhost_user_vring *vring = &message->payload.vring;
	struct user_queue *queue = user_queue(user, vring->index);

	if (!queue)
		return -EPROTO;
	switch (message->header.request) {
	case VHOST_USER_SET_VRING_NUM:
		queue->size = vring->value;
		return 0;
	case VHOST_USER_SET_VRING_BASE:
		queue->next = (uint16_t)vring->value;
		return vring->value <= UINT16_MAX ? 0 : -EPROTO;
	default:
		queue->enabled = vring->value == 1;
		return 0;
	}
}

static int user_set_address(struct vhost_user *user,
			    const struct vhost_user_vring_address *address)
{
	struct user_queue *queue = user_queue(user, address->index);

	if (!queue || address->flags != 0)
		return -EPROTO;
	queue->address = *address;
	queue->addressed = true;
	return 0;
}

/* Until the next kick descriptor the ring rests. */
static int user_get_base(struct vhost_user *user,
			 struct vhost_user_message *message)
{
	struct user_queue *queue = user_queue(user,
					      message->payload.vring.index);

	if (!queue)
		return -EPROTO;
	virtio_notifier_stop(&queue->notifier, user->loop);
	message->payload.vring.value = queue->next;
	return 0;
}

/* What a message must bring with it. */
static uint32_t user_payload_size(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		return offsetof(struct vhost_user_table, regions);
	case VHOST_USER_SET_VRING_ADDR:
		return sizeof(struct vhost_user_vring_address);
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_VRING_ENABLE:
		return sizeof(uint64_t);
	default:
		return 0;
	}
}

/* A change of rings or memory, with the device stopped. */
static int user_change(struct vhost_user *user,
		       struct vhost_user_message *message)
{
	switch (message->header.request) {
	case VHOST_USER_SET_FEATURES:
		return user_set_features(user, message->payload.number);
	case VHOST_USER_SET_MEM_TABLE:
		return user_set_memory(user, message);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		return user_set_vring(user, message);
	case VHOST_USER_SET_VRING_ADDR:
		return user_set_address(user, &message->payload.address);
	case VHOST_USER_SET_VRING_CALL:
		return user_set_call(user, message);
	default:
		return 0; /* of a ring of its own, or without meaning here */
	}
}

/* What a message asks for: the size of the answer, 0: none, -1: no question. */
static int user_answer(const struct vhost_user *user,
		       struct vhost_user_message *message)
{
	uint64_t *number = &message->payload.number;

	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES:
		*number = USER_FEATURES | user->device->ops->features;
		return sizeof(*number);
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		*number = USER_PROTOCOL_FEATURES;
		return sizeof(*number);
	case VHOST_USER_GET_QUEUE_NUM:
		*number = user->queue_count;
		return sizeof(*number);
	default:
		return -1;
	}
}

static int user_apply(struct vhost_user *user,
		      struct vhost_user_message *message)
{
	struct virtio_device *device = user->device;
	uint32_t request = message->header.request;
	int result = 0;

	pthread_mutex_lock(&device->lock);
	user_stop(user);
	pthread_mutex_unlock(&device->lock);
	if (request == VHOST_USER_SET_VRING_KICK)
		result = user_set_kick(user, message);
	else if (request == VHOST_USER_GET_VRING_BASE)
		result = user_get_base(user, message);
	pthread_mutex_lock(&device->lock);
	if (result == 0)
		result = user_change(user, message);
	if (result == 0)
		result = user_go_on(user);
	pthread_mutex_unlock(&device->lock);
	return result;
}

/* 0, or -errno: the talk is over. */
static int user_handle(struct vhost_user *user,
		       struct vhost_user_message *message)
{
	bool wants_reply = message->header.flags & VHOST_USER_NEED_REPLY;
	int size;
	int result;

	if (message->header.size < user_payload_size(message->header.request))
		return -EPROTO;
	size = user_answer(user, message);
	if (size >= 0)
		return vhost_user_reply(user->peer.socket, message,
					(uint32_t)size);
	result = user_apply(user, message);
	if (message->header.request == VHOST_USER_GET_VRING_BASE)
		return result < 0 ? result
				  : vhost_user_reply(
					    user->peer.socket, message,
					    sizeof(message->payload.vring));
	if (!wants_reply)
		return result;
	message->payload.number = result < 0;
	result = vhost_user_reply(user->peer.socket, message,
				  sizeof(message->payload.number));
	return message->payload.number ? -EPROTO : result;
}

/* Nobody is served any more, and the other end notices. */
static void user_end(struct vhost_user *user)
{
	shutdown(user->peer.socket, SHUT_RDWR);
	for (uint32_t i = 0; i < user->queue_count; i++)
		virtio_notifier_stop(&user->queues[i].notifier, user->loop);
	pthread_mutex_lock(&user->device->lock);
	virtio_device_stop(user->device);
	pthread_mutex_unlock(&user->device->lock);
	foreign_memory_unmap(&user->memory);
}

static void *user_main(void *argument)
{
	struct vhost_user *user = argument;
	struct vhost_user_message message;
	int result;

	do {
		result = vhost_user_receive(user->peer.socket, &message);
		if (result == 0)
			result = user_handle(user, &message);
		vhost_user_close_fds(&message);
	} while (result == 0);
	user_end(user);
	user->peer.gone(user->peer.owner);
	return NULL;
}

int vhost_user_create(struct vhost_user **out, struct virtio_device *device,
		      uint32_t queue_count, const struct vhost_user_peer *peer,
		      struct loop *loop)
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
	user->queue_count = queue_count;
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
