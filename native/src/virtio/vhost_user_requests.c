/* SPDX-License-Identifier: MIT */
/*
 * The device serves while every ring is whole; a message that touches a ring or
 * memory stops it first, and it goes on where it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "virtio/vhost_user_state.h"

#define USER_FEATURES                                                          \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 |                                   \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |                          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |                              \
	 UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)
#define USER_PROTOCOL_FEATURES                                                 \
	(UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ |                             \
	 UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK)

/*
 * With the lock held: the rings stand still. All that was taken is answered
 * by then, so one position tells where both sides are.
 */
static void user_stop(struct vhost_user *user)
{
	struct virtio_device *device = user->device;

	for (uint32_t i = 0; i < user->peer.queue_count; i++)
		if (device->queues[i].memory)
			user->queues[i].next = device->queues[i].next_available;
	virtio_device_stop(device);
}

static bool user_is_whole(const struct vhost_user *user)
{
	for (uint32_t i = 0; i < user->peer.queue_count; i++) {
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
	for (uint32_t i = 0; i < user->peer.queue_count; i++) {
		if (user_start_queue(user, i) < 0) {
			virtio_device_stop(device);
			return -EPROTO;
		}
	}
	device->active = true;
	device->ops->activate(device);
	for (uint32_t i = 0; i < user->peer.queue_count; i++)
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
	return index < user->peer.queue_count ? &user->queues[index] : NULL;
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

/*
 * Until the next kick descriptor the ring rests. A front-end asks when its
 * guest has reset the device, and when it makes the guest stand still, and does
 * not say which.
 */
static int user_get_base(struct vhost_user *user,
			 struct vhost_user_message *message)
{
	struct user_queue *queue = user_queue(user,
					      message->payload.vring.index);

	if (!queue)
		return -EPROTO;
	virtio_notifier_stop(&queue->notifier, user->loop);
	message->payload.vring.value = queue->next;
	if (atomic_load(&user->held))
		return 0;
	pthread_mutex_lock(&user->device->lock);
	user->device->ops->reset(user->device);
	pthread_mutex_unlock(&user->device->lock);
	return 0;
}

/* What of the device's configuration a message asks for. */
static int user_config(const struct vhost_user *user,
		       struct vhost_user_message *message)
{
	const struct virtio_device_ops *ops = user->device->ops;
	struct vhost_user_config *config = &message->payload.config;

	if (!user->peer.shows_config || config->size > sizeof(config->bytes) ||
	    config->offset > ops->config_size ||
	    config->size > ops->config_size - config->offset)
		return -EPROTO;
	memset(config->bytes, 0, config->size);
	pthread_mutex_lock(&user->device->lock);
	if (ops->config_read)
		ops->config_read(user->device, config->offset, config->bytes,
				 config->size);
	pthread_mutex_unlock(&user->device->lock);
	return (int)(offsetof(struct vhost_user_config, bytes) + config->size);
}

/* What a message must bring with it. */
static uint32_t user_payload_size(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		return offsetof(struct vhost_user_table, regions);
	case VHOST_USER_SET_VRING_ADDR:
		return sizeof(struct vhost_user_vring_address);
	case VHOST_USER_GET_CONFIG:
		return offsetof(struct vhost_user_config, bytes);
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

/* What a message asks for: the size of the answer, 0: no question, -EPROTO. */
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
		if (user->peer.shows_config)
			*number |= UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG;
		return sizeof(*number);
	case VHOST_USER_GET_QUEUE_NUM:
		*number = user->peer.queue_count;
		return sizeof(*number);
	case VHOST_USER_GET_CONFIG:
		return user_config(user, message);
	default:
		return 0;
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

int vhost_user_handle(struct vhost_user *user,
		      struct vhost_user_message *message)
{
	bool wants_reply = message->header.flags & VHOST_USER_NEED_REPLY;
	int size;
	int result;

	if (message->header.size < user_payload_size(message->header.request))
		return -EPROTO;
	size = user_answer(user, message);
	if (size < 0)
		return size;
	if (size > 0)
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
