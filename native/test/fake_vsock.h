/* SPDX-License-Identifier: MIT */
/*
 * Both ends of vsock connections, as a test plays them: a guest that says
 * packets to a hub and hears its answers, and programs of the host. No device
 * and no thread is between them, so what happens is what the test says.
 */
#ifndef CAPSA_FAKE_VSOCK_H
#define CAPSA_FAKE_VSOCK_H

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>

#include "fake_programs.h"
#include "tap.h"
#include "vsock/hub.h"

enum {
	FAKE_CID = 3,
	FAKE_PEER_ROOM = 256 * 1024, /* of the guest's buffers */
	FAKE_PACKET_DATA = 64 * 1024,
	FAKE_TURNS_MAX = 100000, /* after which a hub is said to spin */
	FAKE_PATIENCE_MS = 60000,
	FAKE_TURN_MS = 20000,
};

static struct vsock_hub *hub;

/* What the guest hears. */
struct fake_packet {
	struct virtio_vsock_hdr header;
	uint8_t data[FAKE_PACKET_DATA];
};

static struct fake_packet heard; /* last */

static inline void set_up_patient(uint32_t patience_ms)
{
	const struct vsock_config config = { .path = fake_path,
					     .guest_cid = FAKE_CID,
					     .patience_ms = patience_ms };

	fake_make_path();
	if (vsock_hub_create(&hub, &config) < 0)
		exit(2);
	vsock_hub_start(hub);
}

static inline void set_up(void)
{
	set_up_patient(FAKE_PATIENCE_MS);
}

/* Polls until there is nothing to poll for; how many turns that took. */
static inline uint32_t turns(void)
{
	struct pollfd ready = { .fd = vsock_hub_fd(hub), .events = POLLIN };
	uint32_t count = 0;

	while (count < FAKE_TURNS_MAX && poll(&ready, 1, 0) > 0) {
		vsock_hub_poll(hub);
		count++;
	}
	CHECK(count < FAKE_TURNS_MAX);
	return count;
}

/* The same, but first waits until there is something. */
static inline void await_turn(void)
{
	struct pollfd ready = { .fd = vsock_hub_fd(hub), .events = POLLIN };

	CHECK(poll(&ready, 1, FAKE_TURN_MS) == 1);
	turns();
}

static inline void tear_down(void)
{
	turns();
	vsock_hub_destroy(hub);
	fake_remove_path();
}

/* A packet as a well-behaved guest would send it. */
static inline struct virtio_vsock_hdr packet_of(uint16_t op, uint32_t host_port,
						uint32_t guest_port)
{
	return (struct virtio_vsock_hdr) {
		.src_cid = FAKE_CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = FAKE_PEER_ROOM,
	};
}

/* Says a packet whose buffers hold length bytes behind its header. */
static inline void say(const struct virtio_vsock_hdr *header, const void *data,
		       size_t length)
{
	struct virtqueue_chain chain = {
		.readable = length > 0 ? 2 : 1,
		.readable_bytes = sizeof(*header) + length,
	};

	chain.buffers[0] = (struct iovec) { .iov_base = (void *)header,
					    .iov_len = sizeof(*header) };
	chain.buffers[1] = (struct iovec) { .iov_base = (void *)data,
					    .iov_len = length };
	vsock_hub_receive(hub, &chain);
}

static inline void say_op(uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	const struct virtio_vsock_hdr header = packet_of(op, host_port,
							 guest_port);

	say(&header, NULL, 0);
}

static inline void say_shutdown(uint32_t flags, uint32_t host_port,
				uint32_t guest_port)
{
	struct virtio_vsock_hdr header = packet_of(VIRTIO_VSOCK_OP_SHUTDOWN,
						   host_port, guest_port);

	header.flags = flags;
	say(&header, NULL, 0);
}

static inline void say_data(uint32_t host_port, uint32_t guest_port,
			    const void *data, uint32_t length)
{
	struct virtio_vsock_hdr header = packet_of(VIRTIO_VSOCK_OP_RW,
						   host_port, guest_port);

	header.len = length;
	say(&header, data, length);
}

/* What the guest has read so far, and the size of its buffer. */
static inline void say_credit(uint32_t room, uint32_t taken, uint32_t host_port,
			      uint32_t guest_port)
{
	struct virtio_vsock_hdr header = packet_of(
		VIRTIO_VSOCK_OP_CREDIT_UPDATE, host_port, guest_port);

	header.buf_alloc = room;
	header.fwd_cnt = taken;
	say(&header, NULL, 0);
}

/* Hears a packet into a buffer of room bytes for data: false if none. */
static inline bool hear_into(size_t room)
{
	struct virtqueue_chain chain = {
		.writable = 2,
		.writable_bytes = sizeof(heard.header) + room,
	};
	int64_t length;

	turns();
	memset(&heard.header, 0, sizeof(heard.header));
	if (!vsock_hub_has_packet(hub))
		return false;
	/* The header is cut in two. */
	chain.buffers[0] = (struct iovec) { .iov_base = &heard, .iov_len = 20 };
	chain.buffers[1] = (struct iovec) {
		.iov_base = (uint8_t *)&heard + 20,
		.iov_len = sizeof(heard.header) - 20 + room,
	};
	length = vsock_hub_send(hub, &chain);
	CHECK(length == (int64_t)sizeof(heard.header) + heard.header.len);
	CHECK(heard.header.dst_cid == FAKE_CID);
	CHECK(heard.header.type == VIRTIO_VSOCK_TYPE_STREAM);
	return true;
}

static inline bool hear(void)
{
	return hear_into(FAKE_PACKET_DATA);
}

/* Hears a packet, which must be this one; its flags are in heard. */
static inline bool hear_op(uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	return hear() && heard.header.op == op &&
	       heard.header.src_cid == VSOCK_HOST_CID &&
	       heard.header.src_port == host_port &&
	       heard.header.dst_port == guest_port;
}

static inline bool hear_nothing(void)
{
	return !hear();
}

/* Whether exactly this can be read now. */
static inline bool host_reads(int fd, const char *text)
{
	char got[256] = { 0 };

	turns();
	return read(fd, got, sizeof(got) - 1) == (ssize_t)strlen(text) &&
	       strcmp(got, text) == 0;
}

static inline bool host_reads_nothing(int fd)
{
	char byte;

	turns();
	return read(fd, &byte, 1) < 0 && errno == EAGAIN;
}

/* Whether nothing more will come: the end, or an error. */
static inline bool host_reads_end(int fd)
{
	char byte;

	turns();
	return read(fd, &byte, 1) == 0 || errno == ECONNRESET;
}

/* A connection that the host began; *host_port is what the hub chose. */
static inline int connected(uint32_t guest_port, uint32_t *host_port)
{
	char line[64];
	int fd = host_connect();

	(void)snprintf(line, sizeof(line), "CONNECT %u\n", guest_port);
	CHECK(host_says(fd, line));
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST &&
	      heard.header.dst_port == guest_port);
	*host_port = heard.header.src_port;
	say_op(VIRTIO_VSOCK_OP_RESPONSE, *host_port, guest_port);
	(void)snprintf(line, sizeof(line), "OK %u\n", *host_port);
	CHECK(host_reads(fd, line));
	return fd;
}

#endif
