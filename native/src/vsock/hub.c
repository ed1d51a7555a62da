/* SPDX-License-Identifier: MIT */
#include "vsock/hub.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vsock/hub_state.h"

/* Beyond what programs listen at, so that ports tell who began. */
#define HUB_PORT_FIRST UINT32_C(0x40000000)

#define NANOSECONDS UINT64_C(1000000000)

static int hub_watch(const struct vsock_hub *hub, int operation, int fd,
		     uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	return epoll_ctl(hub->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int hub_open(struct vsock_hub *hub)
{
	hub->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (hub->epoll_fd < 0)
		return -errno;
	hub->timer_fd = timerfd_create(CLOCK_MONOTONIC,
				       TFD_CLOEXEC | TFD_NONBLOCK);
	if (hub->timer_fd < 0)
		return -errno;
	return hub_watch(hub, EPOLL_CTL_ADD, hub->timer_fd, EPOLLIN,
			 &hub->timer_fd);
}

int vsock_hub_create(struct vsock_hub **out, const struct vsock_config *config)
{
	struct vsock_hub *hub = calloc(1, sizeof(*hub));
	int result;

	if (!hub)
		return -ENOMEM;
	hub->epoll_fd = -1;
	hub->timer_fd = -1;
	hub->listen_fd = -1;
	hub->guest_cid = config->guest_cid;
	hub->patience_ns = config->patience_ms * UINT64_C(1000000);
	hub->next_port = HUB_PORT_FIRST;
	vsock_table_init(&hub->table);
	vsock_list_init(&hub->all);
	vsock_list_init(&hub->ready);
	vsock_list_init(&hub->waiting);
	result = hub_open(hub);
	if (result == 0) {
		hub->listen_fd = vsock_host_listen(config->path);
		result = hub->listen_fd < 0 ? hub->listen_fd : 0;
	}
	if (result < 0) {
		vsock_hub_destroy(hub);
		return result;
	}
	/* It is not longer: it could be listened at. */
	memcpy(hub->path, config->path, strlen(config->path));
	*out = hub;
	return 0;
}

void vsock_hub_destroy(struct vsock_hub *hub)
{
	vsock_hub_end(hub);
	if (hub->timer_fd >= 0)
		close(hub->timer_fd);
	if (hub->epoll_fd >= 0)
		close(hub->epoll_fd);
	free(hub);
}

void vsock_hub_start(struct vsock_hub *hub)
{
	hub->started = true;
	hub->short_of = false;
	vsock_hub_accept(hub, true);
}

/* Nobody would hear the timer, which then would wake the loop for ever. */
static void hub_silence(struct vsock_hub *hub)
{
	const struct itimerspec never = { 0 };

	hub->timer_ns = 0;
	timerfd_settime(hub->timer_fd, 0, &never, NULL);
}

void vsock_hub_rest(struct vsock_hub *hub)
{
	struct vsock_link *link;

	hub->started = false;
	vsock_hub_accept(hub, false);
	while ((link = vsock_list_first(&hub->all))) {
		struct vsock_connection *connection = VSOCK_ENTRY(link, all);

		if (connection->state == VSOCK_GREETING ||
		    connection->state == VSOCK_ASKING)
			vsock_host_refused(connection->fd, "ECONNRESET");
		vsock_hub_remove(hub, connection);
	}
	hub->stray_count = 0;
	hub_silence(hub);
}

void vsock_hub_end(struct vsock_hub *hub)
{
	vsock_hub_rest(hub);
	if (hub->listen_fd < 0)
		return;
	close(hub->listen_fd);
	hub->listen_fd = -1;
	unlink(hub->path);
}

uint64_t vsock_hub_guest_cid(const struct vsock_hub *hub)
{
	return hub->guest_cid;
}

int vsock_hub_fd(const struct vsock_hub *hub)
{
	return hub->epoll_fd;
}

struct vsock_counts vsock_hub_counts(const struct vsock_hub *hub)
{
	return (struct vsock_counts) {
		.connections = atomic_load_explicit(&hub->count,
						    memory_order_relaxed),
		.to_guest = atomic_load_explicit(&hub->to_guest,
						 memory_order_relaxed),
		.from_guest = atomic_load_explicit(&hub->from_guest,
						   memory_order_relaxed),
	};
}

struct vsock_connection *vsock_hub_add(struct vsock_hub *hub, int fd)
{
	struct vsock_connection *connection;

	if (hub->count >= VSOCK_CONNECTIONS_MAX)
		return NULL;
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->fd = fd;
	vsock_list_append(&hub->all, &connection->all);
	atomic_fetch_add_explicit(&hub->count, 1, memory_order_relaxed);
	return connection;
}

static void hub_close(struct vsock_hub *hub,
		      struct vsock_connection *connection)
{
	if (connection->fd < 0)
		return;
	/*
	 * Also said, not only by closing: a process that is being started
	 * has the descriptor too, for a moment.
	 */
	if (connection->watched)
		hub_watch(hub, EPOLL_CTL_DEL, connection->fd, 0, NULL);
	close(connection->fd);
	connection->fd = -1;
	connection->watched = false;
}

void vsock_hub_remove(struct vsock_hub *hub,
		      struct vsock_connection *connection)
{
	vsock_table_remove(&hub->table, connection);
	vsock_link_remove(&connection->all);
	vsock_link_remove(&connection->ready);
	vsock_link_remove(&connection->waiting);
	hub_close(hub, connection);
	byte_ring_destroy(&connection->unsent);
	atomic_fetch_sub_explicit(&hub->count, 1, memory_order_relaxed);
	if (hub->polling) {
		connection->next = hub->gone;
		hub->gone = connection;
	} else {
		free(connection);
	}
	/* There is room again. */
	if (hub->started && !hub->short_of)
		vsock_hub_accept(hub, true);
}

/* As vsock_connection_events() has it, in the epoll set. 0 or -errno. */
static int hub_rewatch(struct vsock_hub *hub,
		       struct vsock_connection *connection)
{
	uint32_t events = vsock_connection_events(connection);
	/* That the other end is gone is told in any case, and for ever. */
	bool watch = connection->fd >= 0 && (events != 0 || !connection->hung);
	int operation = EPOLL_CTL_MOD;

	if (!watch && !connection->watched)
		return 0;
	if (watch && connection->watched && connection->watched_for == events)
		return 0;
	if (!watch)
		operation = EPOLL_CTL_DEL;
	else if (!connection->watched)
		operation = EPOLL_CTL_ADD;
	connection->watched = watch;
	connection->watched_for = events;
	return hub_watch(hub, operation, connection->fd, events, connection);
}

/* Nothing is kept for the host: says what it waited for. */
static void hub_flushed(struct vsock_hub *hub,
			struct vsock_connection *connection)
{
	if (connection->guest_shut == VSOCK_SHUT_BOTH) {
		hub_close(hub, connection);
	} else if (connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND &&
		   !connection->told_end) {
		connection->told_end = true;
		shutdown(connection->fd, SHUT_WR);
	}
}

static void hub_owe_guest(struct vsock_connection *connection)
{
	if (vsock_credit_is_news(&connection->credit))
		connection->due |= VSOCK_DUE_CREDIT;
	/* Nobody asks for what one that is gone may have written. */
	if (connection->hung && connection->host_shut != VSOCK_SHUT_BOTH &&
	    connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		connection->host_shut = VSOCK_SHUT_BOTH;
		connection->due |= VSOCK_DUE_SHUTDOWN;
	}
}

void vsock_hub_settle(struct vsock_hub *hub,
		      struct vsock_connection *connection)
{
	if (connection->fd >= 0 && connection->unsent.length == 0) {
		if (connection->state == VSOCK_FLUSHING) {
			vsock_hub_remove(hub, connection);
			return;
		}
		hub_flushed(hub, connection);
	}
	if (connection->state == VSOCK_OPEN)
		hub_owe_guest(connection);
	if (hub_rewatch(hub, connection) < 0) {
		vsock_hub_abort(hub, connection, "ENOMEM");
		return;
	}
	if (connection->due == 0 && !vsock_connection_can_read(connection))
		vsock_link_remove(&connection->ready);
	else if (!vsock_link_is_in(&connection->ready))
		vsock_list_append(&hub->ready, &connection->ready);
}

void vsock_hub_hang_up(struct vsock_hub *hub,
		       struct vsock_connection *connection)
{
	byte_ring_destroy(&connection->unsent);
	hub_close(hub, connection);
	connection->state = VSOCK_CLOSED;
}

void vsock_hub_abort(struct vsock_hub *hub, struct vsock_connection *connection,
		     const char *error)
{
	/* The guest has not heard of it yet, or no more. */
	bool unknown = connection->state == VSOCK_GREETING ||
		       connection->state == VSOCK_FLUSHING ||
		       connection->due & VSOCK_DUE_REQUEST;

	if (connection->state == VSOCK_GREETING ||
	    connection->state == VSOCK_ASKING)
		vsock_host_refused(connection->fd, error);
	if (unknown) {
		vsock_hub_remove(hub, connection);
		return;
	}
	vsock_hub_unlimit(connection);
	vsock_hub_hang_up(hub, connection);
	connection->due = VSOCK_DUE_RESET;
	vsock_hub_settle(hub, connection);
}

void vsock_hub_forget(struct vsock_hub *hub,
		      struct vsock_connection *connection)
{
	if (connection->unsent.length == 0) {
		vsock_hub_remove(hub, connection);
		return;
	}
	vsock_table_remove(&hub->table, connection);
	vsock_hub_unlimit(connection);
	connection->state = VSOCK_FLUSHING;
	connection->due = 0;
	vsock_hub_settle(hub, connection);
}

void vsock_hub_limit(struct vsock_hub *hub, struct vsock_connection *connection)
{
	vsock_hub_unlimit(connection);
	connection->deadline_ns = vsock_hub_now() + hub->patience_ns;
	/* All wait equally long: who comes last is last. */
	vsock_list_append(&hub->waiting, &connection->waiting);
	vsock_hub_ring_at(hub, connection->deadline_ns);
}

void vsock_hub_unlimit(struct vsock_connection *connection)
{
	vsock_link_remove(&connection->waiting);
}

void vsock_hub_accept(struct vsock_hub *hub, bool accept)
{
	if (hub->accepting == accept || hub->listen_fd < 0)
		return;
	hub->accepting = accept;
	hub_watch(hub, accept ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, hub->listen_fd,
		  EPOLLIN, &hub->listen_fd);
}

uint64_t vsock_hub_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

void vsock_hub_ring_at(struct vsock_hub *hub, uint64_t time_ns)
{
	const struct itimerspec at = {
		.it_value = { .tv_sec = (time_t)(time_ns / NANOSECONDS),
			      .tv_nsec = (long)(time_ns % NANOSECONDS) },
	};

	if (hub->timer_ns != 0 && hub->timer_ns <= time_ns)
		return;
	hub->timer_ns = time_ns;
	timerfd_settime(hub->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

uint32_t vsock_hub_cut(struct vsock_hub *hub, const struct iovec *buffers,
		       uint32_t count, size_t skip, size_t limit,
		       size_t *length)
{
	uint32_t parts = 0;

	*length = 0;
	for (uint32_t i = 0; i < count && limit > 0; i++) {
		struct iovec part = buffers[i];

		if (skip >= part.iov_len) {
			skip -= part.iov_len;
			continue;
		}
		part.iov_base = (uint8_t *)part.iov_base + skip;
		part.iov_len -= skip;
		skip = 0;
		if (part.iov_len > limit)
			part.iov_len = limit;
		limit -= part.iov_len;
		*length += part.iov_len;
		hub->parts[parts++] = part;
	}
	return parts;
}
