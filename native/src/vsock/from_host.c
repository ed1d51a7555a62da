/* SPDX-License-Identifier: MIT */
/* What happens to sockets: programs come, say what they want, write, go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vsock/hub_state.h"

enum {
	HOST_EVENTS = 32,  /* of one turn */
	HOST_ACCEPTS = 32, /* of one turn */
};

/* Until a lack of descriptors may have passed. */
#define HOST_SHORT_NS UINT64_C(100000000)

/* A port of the host that makes its connection different from all others. */
static uint32_t host_new_port(struct vsock_hub *hub, uint32_t guest_port)
{
	/* Among more ports than there can be connections one is free. */
	while (vsock_table_find(&hub->table, hub->next_port, guest_port))
		hub->next_port++;
	return hub->next_port++;
}

static void host_ask_guest(struct vsock_hub *hub,
			   struct vsock_connection *connection,
			   uint32_t guest_port)
{
	connection->state = VSOCK_ASKING;
	connection->guest_port = guest_port;
	connection->host_port = host_new_port(hub, guest_port);
	connection->due = VSOCK_DUE_REQUEST;
	vsock_table_add(&hub->table, connection);
	vsock_hub_limit(hub, connection);
	vsock_hub_settle(hub, connection);
}

/*
 * Takes what there is of the line, and nothing behind it: that is for the
 * guest. 1: the line is whole; 0: it is not yet; -errno: it won't be.
 */
static int host_read_line(struct vsock_connection *connection)
{
	char *start = connection->greeting + connection->greeting_length;
	size_t room = VSOCK_GREETING_MAX - connection->greeting_length;
	ssize_t seen = recv(connection->fd, start, room,
			    MSG_PEEK | MSG_DONTWAIT);
	const char *end;

	if (seen < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (seen == 0)
		return -EPIPE;
	end = memchr(start, '\n', (size_t)seen);
	if (end)
		seen = end + 1 - start;
	if (recv(connection->fd, start, (size_t)seen, MSG_DONTWAIT) != seen)
		return -EPIPE;
	connection->greeting_length += (uint8_t)seen;
	if (end)
		return 1;
	return connection->greeting_length < VSOCK_GREETING_MAX ? 0 : -EINVAL;
}

static void host_greet(struct vsock_hub *hub,
		       struct vsock_connection *connection)
{
	uint32_t port = 0;
	int result = host_read_line(connection);

	if (result > 0 &&
	    vsock_host_parse(connection->greeting, connection->greeting_length,
			     &port) < 0)
		result = -EINVAL;
	/* Who does not wait for the answer wants none. */
	if (result < 0 || (result > 0 && connection->hung))
		vsock_hub_abort(hub, connection, "EINVAL");
	else if (result > 0)
		host_ask_guest(hub, connection, port);
}

static void host_serve(struct vsock_hub *hub,
		       struct vsock_connection *connection, uint32_t events)
{
	if (events & EPOLLOUT)
		vsock_connection_flush(connection);
	if (events & (EPOLLHUP | EPOLLERR))
		vsock_connection_drop(connection);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		connection->readable = true;
	vsock_hub_settle(hub, connection);
}

static void host_event(struct vsock_hub *hub,
		       struct vsock_connection *connection, uint32_t events)
{
	/* An event before this one has removed it, or closed its socket. */
	if (connection->fd < 0)
		return;
	connection->hung |= (events & (EPOLLHUP | EPOLLERR)) != 0;
	switch (connection->state) {
	case VSOCK_GREETING:
		host_greet(hub, connection);
		break;
	case VSOCK_ASKING:
		if (connection->hung)
			vsock_hub_abort(hub, connection, "ECONNABORTED");
		break;
	case VSOCK_OPEN:
	case VSOCK_CLOSED:
	case VSOCK_FLUSHING:
		host_serve(hub, connection, events);
		break;
	}
}

static void host_admit(struct vsock_hub *hub, int fd)
{
	struct vsock_connection *connection = vsock_hub_add(hub, fd);

	if (!connection) {
		close(fd);
		return;
	}
	connection->state = VSOCK_GREETING;
	vsock_hub_limit(hub, connection);
	vsock_hub_settle(hub, connection);
}

/*
 * The descriptor of the next program; -EAGAIN: there is none now, or no room.
 * Those that are not accepted wait where they are.
 */
static int host_next(struct vsock_hub *hub)
{
	int fd;

	if (hub->count >= VSOCK_CONNECTIONS_MAX) {
		vsock_hub_accept(hub, false);
		return -EAGAIN;
	}
	fd = accept4(hub->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static void host_accept(struct vsock_hub *hub)
{
	int fd = -EAGAIN;

	for (uint32_t i = 0; i < HOST_ACCEPTS; i++) {
		fd = host_next(hub);
		if (fd < 0)
			break;
		host_admit(hub, fd);
	}
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
		hub->short_of = true;
		vsock_hub_accept(hub, false);
		vsock_hub_ring_at(hub, vsock_hub_now() + HOST_SHORT_NS);
	}
}

static void host_time_is_up(struct vsock_hub *hub)
{
	uint64_t now = vsock_hub_now();
	struct vsock_link *link;
	uint64_t rung;

	(void)!read(hub->timer_fd, &rung, sizeof(rung));
	hub->timer_ns = 0;
	while ((link = vsock_list_first(&hub->waiting))) {
		struct vsock_connection *connection = VSOCK_ENTRY(link,
								  waiting);

		if (connection->deadline_ns > now) {
			vsock_hub_ring_at(hub, connection->deadline_ns);
			break;
		}
		vsock_hub_abort(hub, connection, "ETIMEDOUT");
	}
	if (hub->short_of) {
		hub->short_of = false;
		vsock_hub_accept(hub, true);
	}
}

static void host_bury(struct vsock_hub *hub)
{
	while (hub->gone) {
		struct vsock_connection *connection = hub->gone;

		hub->gone = connection->next;
		free(connection);
	}
}

void vsock_hub_poll(struct vsock_hub *hub)
{
	struct epoll_event events[HOST_EVENTS];
	int count = epoll_wait(hub->epoll_fd, events, HOST_EVENTS, 0);

	hub->polling = true;
	for (int i = 0; i < count; i++) {
		void *what = events[i].data.ptr;

		if (what == &hub->listen_fd)
			host_accept(hub);
		else if (what == &hub->timer_fd)
			host_time_is_up(hub);
		else
			host_event(hub, what, events[i].events);
	}
	hub->polling = false;
	host_bury(hub);
}
