/* SPDX-License-Identifier: MIT */
#include "net/nat_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SOCKETS_BATCH = 64,
	LISTENER_BACKLOG = 128,
	LISTENER_REST_MS = 1000,
};

int nat_sockets_create(struct nat_sockets *sockets)
{
	sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return sockets->epoll_fd < 0 ? -errno : 0;
}

void nat_sockets_destroy(struct nat_sockets *sockets)
{
	if (sockets->epoll_fd >= 0)
		close(sockets->epoll_fd);
	sockets->epoll_fd = -1;
}

static uint16_t *socket_head(struct nat_sockets *sockets, int fd)
{
	return &sockets->heads[(uint32_t)fd % NAT_SOCKET_HASHES];
}

/* Its index, or 0. */
static uint16_t socket_find(struct nat_sockets *sockets, int fd)
{
	uint16_t index = *socket_head(sockets, fd);

	while (index && sockets->sockets[index].fd != fd)
		index = sockets->sockets[index].chain;
	return index;
}

static int socket_option(int fd, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1
								       : value;
}

static enum nat_socket_kind socket_kind(int fd)
{
	if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
		return socket_option(fd, SO_PROTOCOL) == IPPROTO_UDP
			       ? NAT_DATAGRAM
			       : NAT_ECHO;
	return socket_option(fd, SO_ACCEPTCONN) == 1 ? NAT_LISTENER
						     : NAT_STREAM;
}

/* libslirp leaves some sockets such that they can wait, or be inherited. */
static void socket_prepare(int fd, enum nat_socket_kind kind)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* It lets one connection wait, and the others begin again. */
	if (kind == NAT_LISTENER)
		listen(fd, LISTENER_BACKLOG);
}

static void sockets_count(struct nat_sockets *sockets,
			  const struct nat_socket *socket, int32_t change)
{
	sockets->streams += socket->kind == NAT_STREAM ? change : 0;
	sockets->echoes += socket->kind == NAT_ECHO ? change : 0;
	sockets->passing += socket->permanent ? 0 : change;
}

void nat_sockets_add(struct nat_sockets *sockets, int fd)
{
	uint16_t index = sockets->free;
	struct nat_socket *socket;
	enum nat_socket_kind kind;

	if (fd < 0 || socket_find(sockets, fd))
		return;
	sockets->accepted = true;
	kind = socket_kind(fd);
	socket_prepare(fd, kind);
	if (index)
		sockets->free = sockets->sockets[index].chain;
	else if (sockets->used + 1 < NAT_SOCKETS_MAX)
		index = ++sockets->used;
	else
		return;
	socket = &sockets->sockets[index];
	*socket = (struct nat_socket) {
		.fd = fd,
		.kind = (uint8_t)kind,
		.chain = *socket_head(sockets, fd),
	};
	*socket_head(sockets, fd) = index;
	sockets_count(sockets, socket, 1);
}

static void socket_unwatch(const struct nat_sockets *sockets,
			   struct nat_socket *socket)
{
	if (socket->watched)
		epoll_ctl(sockets->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL);
	socket->watched = 0;
}

void nat_sockets_remove(struct nat_sockets *sockets, int fd)
{
	uint16_t *link;
	struct nat_socket *socket;
	uint16_t index;

	if (fd < 0 || !socket_find(sockets, fd))
		return;
	link = socket_head(sockets, fd);
	while (sockets->sockets[*link].fd != fd)
		link = &sockets->sockets[*link].chain;
	index = *link;
	socket = &sockets->sockets[index];
	*link = socket->chain;
	socket_unwatch(sockets, socket);
	sockets_count(sockets, socket, -1);
	*socket = (struct nat_socket) { .fd = -1, .chain = sockets->free };
	sockets->free = index;
}

void nat_sockets_keep(struct nat_sockets *sockets)
{
	for (uint16_t i = 1; i <= sockets->used; i++)
		sockets->sockets[i].permanent = true;
	sockets->passing = 0;
}

void nat_sockets_begin(struct nat_sockets *sockets)
{
	sockets->round++;
}

/*
 * Errors and hang-ups are reported unasked, so a socket of which nothing is
 * wanted must not be in the set.
 */
static uint32_t socket_events(const struct nat_sockets *sockets,
			      const struct nat_socket *socket, uint64_t now_ms)
{
	if (socket->kind == NAT_LISTENER &&
	    (sockets->streams >= NAT_STREAMS_MAX ||
	     socket->rests_until_ms > now_ms))
		return 0;
	return (socket->wanted & SLIRP_POLL_IN ? (uint32_t)EPOLLIN : 0) |
	       (socket->wanted & SLIRP_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
}

static void socket_watch(const struct nat_sockets *sockets,
			 struct nat_socket *socket, uint32_t events)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)(socket - sockets->sockets),
	};
	int operation = socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == socket->watched)
		return;
	if (events == 0)
		socket_unwatch(sockets, socket);
	else if (epoll_ctl(sockets->epoll_fd, operation, socket->fd, &event) ==
		 0)
		socket->watched = events;
}

int nat_sockets_want(struct nat_sockets *sockets, int fd, int wanted,
		     uint64_t now_ms)
{
	struct nat_socket *socket;
	uint16_t index;

	/* Those of forwarded ports are never announced. */
	nat_sockets_add(sockets, fd);
	index = socket_find(sockets, fd);
	if (!index)
		return -1;
	socket = &sockets->sockets[index];
	socket->wanted = (uint32_t)wanted;
	socket->round = sockets->round;
	socket_watch(sockets, socket, socket_events(sockets, socket, now_ms));
	return index;
}

void nat_sockets_end(struct nat_sockets *sockets)
{
	for (uint16_t i = 1; i <= sockets->used; i++) {
		struct nat_socket *socket = &sockets->sockets[i];

		socket->ready = 0;
		if (socket->round != sockets->round)
			socket_unwatch(sockets, socket);
	}
}

bool nat_sockets_collect(struct nat_sockets *sockets, uint64_t others[2])
{
	struct epoll_event events[SOCKETS_BATCH];
	/* More than a batch are ready for the next turn. */
	int count = epoll_wait(sockets->epoll_fd, events, SOCKETS_BATCH, 0);
	bool any = false;

	for (int i = 0; i < count; i++) {
		uint64_t number = events[i].data.u64;
		uint64_t other = number - NAT_SOCKETS_MAX;

		if (number >= NAT_SOCKETS_MAX)
			others[other / 64] |= UINT64_C(1) << (other % 64);
		else if (number > 0) /* 0: the alarm */
			sockets->sockets[number].ready = events[i].events;
		any |= number > 0;
	}
	return any;
}

/*
 * Whether libslirp finds a datagram or an error queued. Without either it
 * would report a failure to the guest, or on behalf of a forwarded port, to
 * nobody, and crash. Linux says that a socket is readable before it has
 * checked the datagram's checksum.
 */
static bool socket_has_datagram(int fd)
{
	struct pollfd state = { .fd = fd };
	uint8_t byte;

	if (recv(fd, &byte, sizeof(byte),
		 MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) >= 0)
		return true;
	return poll(&state, 1, 0) == 1 && state.revents & POLLERR;
}

/*
 * What libslirp may be told. It reads whenever there is an error, and must not
 * when it did not want to: a full buffer would end the process.
 */
static int socket_answer(const struct nat_socket *socket)
{
	bool broken = socket->ready & (EPOLLERR | EPOLLHUP);
	int answer = 0;

	if (socket->wanted & SLIRP_POLL_IN &&
	    (socket->ready & EPOLLIN || broken))
		answer |= SLIRP_POLL_IN;
	if (socket->wanted & SLIRP_POLL_OUT &&
	    (socket->ready & EPOLLOUT || broken))
		answer |= SLIRP_POLL_OUT;
	if (answer & SLIRP_POLL_IN && socket->kind == NAT_DATAGRAM &&
	    !socket_has_datagram(socket->fd))
		answer = 0;
	return answer;
}

/*
 * A listener that was ready and has brought no connection, because there are
 * no descriptors left, would be ready at once again.
 */
static void sockets_judge_listener(struct nat_sockets *sockets, uint64_t now_ms)
{
	if (sockets->accepting && !sockets->accepted)
		sockets->sockets[sockets->accepting].rests_until_ms =
			now_ms + LISTENER_REST_MS;
	sockets->accepting = 0;
	sockets->accepted = false;
}

int nat_sockets_ready(struct nat_sockets *sockets, int index, uint64_t now_ms)
{
	struct nat_socket *socket = &sockets->sockets[index];
	int answer;

	sockets_judge_listener(sockets, now_ms);
	if (socket->fd < 0 || !socket->ready)
		return 0;
	answer = socket_answer(socket);
	if (answer && socket->kind == NAT_LISTENER)
		sockets->accepting = (uint32_t)index;
	return answer;
}

uint64_t nat_sockets_settle(struct nat_sockets *sockets, uint64_t now_ms)
{
	uint64_t first = 0;

	sockets_judge_listener(sockets, now_ms);
	for (uint16_t i = 1; i <= sockets->used; i++) {
		uint64_t until = sockets->sockets[i].rests_until_ms;

		if (until > now_ms && (first == 0 || until < first))
			first = until;
	}
	return first;
}
