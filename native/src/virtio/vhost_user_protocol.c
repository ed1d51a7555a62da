/* SPDX-License-Identifier: MIT */
#include "virtio/vhost_user_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(struct vhost_user_header) == 12, "as it crosses");
_Static_assert(sizeof(struct vhost_user_table) == 8 + 32 * 8, "as it crosses");
_Static_assert(sizeof(struct vhost_user_config) == 12 + 256, "as it crosses");

static void protocol_take_fds(struct msghdr *header,
			      struct vhost_user_message *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part;
	     part = CMSG_NXTHDR(header, part)) {
		size_t bytes;

		if (part->cmsg_level != SOL_SOCKET ||
		    part->cmsg_type != SCM_RIGHTS)
			continue;
		bytes = part->cmsg_len - CMSG_LEN(0);
		message->fd_count = (uint32_t)(bytes / sizeof(int));
		memcpy(message->fds, CMSG_DATA(part),
		       message->fd_count * sizeof(int));
	}
}

/* Descriptors come with the first bytes of a message. */
static ssize_t protocol_receive_header(int socket,
				       struct vhost_user_message *message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(message->fds))];
	} control;
	struct iovec buffer = {
		.iov_base = &message->header,
		.iov_len = sizeof(message->header),
	};
	struct msghdr header = {
		.msg_iov = &buffer,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	do
		got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	protocol_take_fds(&header, message);
	return header.msg_flags & MSG_CTRUNC ? -EPROTO : got;
}

static int protocol_receive_rest(int socket, void *out, size_t length)
{
	ssize_t got;

	do
		got = recv(socket, out, length, MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == length ? 0 : -ECONNRESET;
}

int vhost_user_receive(int socket, struct vhost_user_message *message)
{
	struct vhost_user_header *header = &message->header;
	ssize_t got;

	memset(message, 0, sizeof(*message));
	got = protocol_receive_header(socket, message);
	if (got < 0)
		return (int)got;
	if ((size_t)got < sizeof(*header))
		return -ECONNRESET;
	if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    header->flags & VHOST_USER_REPLY ||
	    header->size > sizeof(message->payload))
		return -EPROTO;
	return header->size == 0
		       ? 0
		       : protocol_receive_rest(socket, &message->payload,
					       header->size);
}

int vhost_user_reply(int socket, struct vhost_user_message *message,
		     uint32_t size)
{
	uint8_t bytes[sizeof(message->header) + sizeof(message->payload)];
	size_t length = sizeof(message->header) + size;
	ssize_t sent;

	message->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	message->header.size = size;
	memcpy(bytes, &message->header, sizeof(message->header));
	memcpy(bytes + sizeof(message->header), &message->payload, size);
	do
		sent = send(socket, bytes, length, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == length ? 0 : -EPROTO;
}

void vhost_user_close_fds(struct vhost_user_message *message)
{
	for (uint32_t i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}
