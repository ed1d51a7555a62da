/* SPDX-License-Identifier: MIT */
#include "vsock/connection.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static bool connection_is_deaf(const struct vsock_connection *connection)
{
	return connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV;
}

/* How many bytes the host took. */
static size_t connection_send(struct vsock_connection *connection,
			      struct iovec *parts, uint32_t count)
{
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
	ssize_t sent = sendmsg(connection->fd, &message,
			       MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0)
		return (size_t)sent;
	/* Nobody reads any more, but what it wrote may be on its way still. */
	if (errno != EAGAIN && errno != EINTR)
		vsock_connection_drop(connection);
	return 0;
}

void vsock_connection_drop(struct vsock_connection *connection)
{
	if (!connection_is_deaf(connection)) {
		connection->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		connection->due |= VSOCK_DUE_SHUTDOWN;
	}
	byte_ring_destroy(&connection->unsent);
	/* So that the guest may go on and find out. */
	connection->credit.taken = connection->credit.received;
}

static int connection_keep(struct vsock_connection *connection,
			   const struct iovec *part, size_t skip)
{
	struct byte_ring *ring = &connection->unsent;

	if (!ring->bytes && byte_ring_create(ring, VSOCK_BUFFER_BYTES) < 0)
		return -ENOMEM;
	/* It fits: the guest has had credit for it. */
	byte_ring_push(ring, (const uint8_t *)part->iov_base + skip,
		       (uint32_t)(part->iov_len - skip));
	return 0;
}

int vsock_connection_take(struct vsock_connection *connection,
			  const struct iovec *parts, uint32_t count)
{
	size_t sent = 0;

	/* What was kept before goes first. */
	if (!connection_is_deaf(connection) && connection->unsent.length == 0)
		sent = connection_send(connection, (struct iovec *)parts,
				       count);
	if (connection_is_deaf(connection)) {
		connection->credit.taken = connection->credit.received;
		return 0;
	}
	connection->credit.taken += (uint32_t)sent;
	for (uint32_t i = 0; i < count; i++) {
		if (sent >= parts[i].iov_len) {
			sent -= parts[i].iov_len;
			continue;
		}
		if (connection_keep(connection, &parts[i], sent) < 0)
			return -ENOMEM;
		sent = 0;
	}
	return 0;
}

void vsock_connection_flush(struct vsock_connection *connection)
{
	struct byte_ring *ring = &connection->unsent;
	struct iovec parts[2];
	uint32_t sent;

	if (ring->length == 0)
		return;
	sent = (uint32_t)connection_send(connection, parts,
					 byte_ring_oldest(ring, parts));
	/* It may have been dropped. */
	if (ring->length == 0)
		return;
	connection->credit.taken += sent;
	byte_ring_drop(ring, sent);
	/* Most connections never need it again. */
	if (ring->length == 0)
		byte_ring_destroy(ring);
}

bool vsock_connection_can_read(const struct vsock_connection *connection)
{
	return connection->state == VSOCK_OPEN && connection->readable &&
	       !(connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	       vsock_credit_left(&connection->credit) > 0;
}

int64_t vsock_connection_read(struct vsock_connection *connection,
			      struct iovec *parts, uint32_t count,
			      size_t length)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
	ssize_t got = recvmsg(connection->fd, &message, MSG_DONTWAIT);

	if (got < 0) {
		int error = errno == EINTR ? EAGAIN : errno;

		connection->readable = error != EAGAIN;
		return -error;
	}
	connection->credit.sent += (uint32_t)got;
	/* Less than there was room for: that was all. The end of one that has
	 * hung up is not told by epoll any more. */
	if ((size_t)got < length && !connection->hung)
		connection->readable = false;
	return got;
}

uint32_t vsock_connection_events(const struct vsock_connection *connection)
{
	uint32_t events = 0;

	if (connection->unsent.length > 0)
		events |= EPOLLOUT;
	if (connection->state == VSOCK_GREETING)
		events |= EPOLLIN;
	if (connection->state == VSOCK_OPEN && !connection->readable &&
	    !(connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	    !(connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		events |= EPOLLIN;
	return events;
}
