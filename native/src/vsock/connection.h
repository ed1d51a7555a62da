/* SPDX-License-Identifier: MIT */
/*
 * One connection between a program of the host and one of the guest. What is
 * here moves its bytes; who says what when is the hub's affair (vsock/hub.h).
 */
#ifndef CAPSA_VSOCK_CONNECTION_H
#define CAPSA_VSOCK_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "byte_ring.h"
#include "vsock/credit.h"
#include "vsock/host.h"
#include "vsock/list.h"

enum vsock_state {
	VSOCK_GREETING, /* the host's program has not said which port */
	VSOCK_ASKING,   /* the guest has not answered */
	VSOCK_OPEN,
	VSOCK_CLOSED,   /* over for the host, until the guest knows */
	VSOCK_FLUSHING, /* over for the guest, until the host has all */
};

/* Packets that the guest is owed: bits. */
enum vsock_due {
	VSOCK_DUE_REQUEST = 1,
	VSOCK_DUE_RESPONSE = 2,
	VSOCK_DUE_RESET = 4,
	VSOCK_DUE_SHUTDOWN = 8,
	VSOCK_DUE_CREDIT = 16,
};

enum { VSOCK_SHUT_BOTH = 3 }; /* VIRTIO_VSOCK_SHUTDOWN_RCV and _SEND */

struct vsock_connection {
	enum vsock_state state;
	uint32_t host_port;
	uint32_t guest_port;
	struct vsock_credit credit;
	uint8_t due;        /* enum vsock_due */
	uint8_t host_shut;  /* VIRTIO_VSOCK_SHUTDOWN_*: what it won't do */
	uint8_t guest_shut; /* the same of the guest */

	int fd;                  /* the host's end, owned; -1: closed */
	bool readable;           /* it may have something */
	bool hung;               /* its other end is gone */
	bool watched;            /* it is in the hub's epoll set */
	uint32_t watched_for;    /* with these events */
	bool told_end;           /* that the guest sends nothing more */
	struct byte_ring unsent; /* of the guest; allocated while needed */

	uint8_t greeting_length;
	char greeting[VSOCK_GREETING_MAX];

	struct vsock_link all;     /* the hub's lists: of all, */
	struct vsock_link ready;   /* of those with something for the guest, */
	struct vsock_link waiting; /* and of those whose time is limited */
	uint64_t deadline_ns;
	struct vsock_connection *next; /* in a bucket of the table */
};

/*
 * Passes on what the guest sent, and keeps what the host does not take now.
 * What the host will never take is dropped. 0 or -ENOMEM.
 */
int vsock_connection_take(struct vsock_connection *connection,
			  const struct iovec *parts, uint32_t count);

/* Passes on what was kept, as far as the host takes it. */
void vsock_connection_flush(struct vsock_connection *connection);

/* The host will take nothing more: forgets what was kept for it. */
void vsock_connection_drop(struct vsock_connection *connection);

/* Whether the host may have something that the guest would take. */
bool vsock_connection_can_read(const struct vsock_connection *connection);

/*
 * Reads from the host into parts, of length bytes in all: how many bytes, 0:
 * it will send nothing more, -EAGAIN: there is nothing now, or -errno.
 */
int64_t vsock_connection_read(struct vsock_connection *connection,
			      struct iovec *parts, uint32_t count,
			      size_t length);

/* Events of the socket that are of use now, for epoll. */
uint32_t vsock_connection_events(const struct vsock_connection *connection);

#endif
