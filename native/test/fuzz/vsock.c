/* SPDX-License-Identifier: MIT */
/*
 * A vsock hub between programs of the host and a guest that says packets which
 * are mostly right and sometimes anything: it never sends more than the guest
 * has room for, never turns without an end, keeps what it keeps bounded, and
 * gives every descriptor back.
 *
 * Input: operations of eight bytes.
 */
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>

#include "fake_programs.h"
#include "vsock/credit.h"
#include "vsock/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	CID = 3,
	PROGRAMS = 12,
	LISTENERS = 4,
	TALKS = 16,
	TURNS_MAX = 1000,
	PACKET_DATA = 64 * 1024,
	PACKET_BUFFERS = 9,
};

/* A connection as the guest knows it. */
struct talk {
	bool known;
	bool wild; /* it has said what it must not: nothing is promised */
	uint32_t host_port;
	uint32_t guest_port;
	uint32_t room;
	uint32_t taken;
	uint32_t received;
};

static struct vsock_hub *hub;
static int programs[PROGRAMS]; /* -1: none */
static int listeners[LISTENERS];
static struct talk talks[TALKS];
static struct talk *latest; /* what packets are about */
static uint8_t bytes[2 * PACKET_DATA];

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static struct talk *talk_of(uint32_t host_port, uint32_t guest_port)
{
	for (uint32_t i = 0; i < TALKS; i++)
		if (talks[i].known && talks[i].host_port == host_port &&
		    talks[i].guest_port == guest_port)
			return &talks[i];
	return NULL;
}

/* Overwrites one, which the guest then has forgotten. */
static void talk_begin(uint32_t host_port, uint32_t guest_port)
{
	static uint32_t next;
	struct talk *talk = talk_of(host_port, guest_port);

	if (!talk)
		talk = &talks[next++ % TALKS];
	*talk = (struct talk) { .known = true,
				.host_port = host_port,
				.guest_port = guest_port };
	latest = talk;
}

static void poll_hub(void)
{
	struct pollfd ready = { .fd = vsock_hub_fd(hub), .events = POLLIN };
	uint32_t count = 0;

	while (poll(&ready, 1, 0) > 0) {
		vsock_hub_poll(hub);
		require(++count < TURNS_MAX);
	}
	require(vsock_hub_counts(hub).connections <= VSOCK_CONNECTIONS_MAX);
}

static uint32_t number_of(const uint8_t *operation)
{
	return operation[0] | (uint32_t)operation[1] << 8 |
	       (uint32_t)operation[2] << 16 | (uint32_t)operation[3] << 24;
}

static struct virtio_vsock_hdr header_of(const uint8_t *operation)
{
	static const uint16_t ops[] = {
		VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_REQUEST,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE,
		VIRTIO_VSOCK_OP_CREDIT_REQUEST,
		VIRTIO_VSOCK_OP_SHUTDOWN,
		VIRTIO_VSOCK_OP_RST,
	};
	struct virtio_vsock_hdr header = {
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = latest->guest_port,
		.dst_port = latest->host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = ops[operation[1] % 8],
		.flags = operation[2] & 3,
		.buf_alloc = operation[3] * 256u,
		.fwd_cnt = latest->taken,
	};

	if (header.op == VIRTIO_VSOCK_OP_REQUEST) {
		header.src_port = 1000 + operation[4] % 8;
		header.dst_port = operation[5] % (LISTENERS + 1);
	}
	return header;
}

/* What is seldom right. */
static void header_spoil(struct virtio_vsock_hdr *header,
			 const uint8_t *operation)
{
	uint32_t number = number_of(operation + 4);

	switch (operation[2] >> 4) {
	case 1:
		header->fwd_cnt = number;
		break;
	case 2:
		header->len = number;
		break;
	case 3:
		header->op = (uint16_t)number;
		break;
	case 4:
		header->type = (uint16_t)number;
		break;
	case 5:
		header->src_cid = number;
		break;
	case 6:
		header->dst_cid = number;
		break;
	case 7:
		header->src_port = number;
		break;
	case 8:
		header->dst_port = number;
		break;
	case 9:
		header->flags = number;
		break;
	case 10:
		header->buf_alloc = number;
		break;
	default:
		break;
	}
}

/* The packet's bytes, in buffers that are cut anywhere. */
static void say(const struct virtio_vsock_hdr *header, uint32_t length,
		uint32_t cut)
{
	struct virtqueue_chain chain = { 0 };
	uint32_t total = (uint32_t)sizeof(*header) + length;
	uint32_t at = 0;

	memcpy(bytes, header, sizeof(*header));
	while (at < total) {
		bool last = chain.readable == PACKET_BUFFERS - 1;
		uint32_t part = last ? total - at : 1 + cut % 60;

		if (part > total - at)
			part = total - at;
		chain.buffers[chain.readable++] = (struct iovec) {
			.iov_base = bytes + at, .iov_len = part
		};
		at += part;
		cut /= 3;
	}
	chain.readable_bytes = total;
	if (vsock_hub_can_receive(hub))
		require(vsock_hub_receive(hub, &chain) <= length);
}

static void fuzz_say(const uint8_t *operation)
{
	struct virtio_vsock_hdr header = header_of(operation);
	uint32_t length = number_of(operation + 4) % 5000;
	struct talk *talk;

	if (header.op == VIRTIO_VSOCK_OP_RW)
		header.len = length;
	header_spoil(&header, operation);
	if (header.op == VIRTIO_VSOCK_OP_REQUEST)
		talk_begin(header.dst_port, header.src_port);
	talk = talk_of(header.dst_port, header.src_port);
	if (talk) {
		/* What the hub does not believe, or nobody could keep to. */
		talk->wild |= header.fwd_cnt != talk->taken ||
			      header.src_cid != CID ||
			      header.dst_cid != VSOCK_HOST_CID;
		talk->room = header.buf_alloc;
	}
	say(&header, length, operation[6]);
}

static void fuzz_hear(const uint8_t *operation)
{
	uint32_t room = (number_of(operation + 1) % PACKET_DATA) >>
			(operation[5] & 15);
	struct virtqueue_chain chain = { .writable = 2 };
	struct virtio_vsock_hdr header;
	struct talk *talk;
	int64_t length;

	if (!vsock_hub_has_packet(hub))
		return;
	chain.buffers[0] = (struct iovec) { .iov_base = bytes, .iov_len = 20 };
	chain.buffers[1] = (struct iovec) {
		.iov_base = bytes + 20,
		.iov_len = sizeof(header) - 20 + room,
	};
	chain.writable_bytes = sizeof(header) + room;
	length = vsock_hub_send(hub, &chain);
	memcpy(&header, bytes, sizeof(header));
	require(length == (int64_t)sizeof(header) + header.len);
	require(header.len <= room && header.dst_cid == CID);
	if (header.op == VIRTIO_VSOCK_OP_REQUEST)
		talk_begin(header.src_port, header.dst_port);
	talk = talk_of(header.src_port, header.dst_port);
	if (!talk)
		return;
	latest = talk;
	talk->received += header.len;
	require(talk->wild || header.len == 0 ||
		talk->received - talk->taken <= talk->room);
	if (operation[6] & 1)
		talk->taken = talk->received;
	if (header.op == VIRTIO_VSOCK_OP_RST)
		talk->known = false;
}

static void program_start(int *program)
{
	struct sockaddr_un address = fake_address(fake_path);

	if (*program >= 0)
		close(*program);
	*program = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  0);
	(void)connect(*program, (struct sockaddr *)&address, sizeof(address));
}

static void fuzz_program(const uint8_t *operation)
{
	static const char *const lines[] = {
		"CONNECT 1234\n",
		"CONNECT 0\nmore",
		"CONN",
		"ECT 7\n",
		"CONNECT 4294967295\n",
		"CONNECT 99999999999999999999999\n",
		"\n",
		"CONNECT 1234",
	};
	int *program = &programs[operation[1] % PROGRAMS];
	uint32_t length = number_of(operation + 3) % sizeof(bytes);

	if (operation[2] % 8 == 0)
		program_start(program);
	if (*program < 0)
		return;
	switch (operation[2] % 8) {
	case 0:
	case 1:
		(void)host_says(*program, lines[operation[3] % 8]);
		break;
	case 2:
	case 3:
		(void)host_writes(*program, bytes, length);
		break;
	case 4:
	case 5:
		(void)!read(*program, bytes, length);
		break;
	case 6:
		shutdown(*program, operation[3] % 3);
		break;
	default:
		close(*program);
		*program = -1;
		break;
	}
}

static void fuzz_listener(const uint8_t *operation)
{
	uint32_t port = operation[1] % LISTENERS;
	int *program = &programs[operation[3] % PROGRAMS];
	int fd;

	if (operation[2] % 8 == 0) {
		if (listeners[port] >= 0) {
			host_unlisten(listeners[port], port);
			listeners[port] = -1;
		} else {
			listeners[port] = host_listen(port);
		}
	} else if (listeners[port] >= 0) {
		fd = host_accept(listeners[port]);
		if (fd < 0)
			return;
		if (*program >= 0)
			close(*program);
		*program = fd;
	}
}

static void fuzz_operation(const uint8_t *operation)
{
	switch (operation[0] % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		fuzz_say(operation);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		fuzz_hear(operation);
		break;
	case 9:
	case 10:
	case 11:
		fuzz_program(operation);
		break;
	case 12:
		fuzz_listener(operation);
		break;
	case 13:
		latest = &talks[operation[1] % TALKS];
		break;
	case 14:
		if (operation[1] == 0)
			vsock_hub_rest(hub);
		vsock_hub_start(hub);
		break;
	default:
		poll_hub();
		break;
	}
}

static void fuzz_begin(void)
{
	const struct vsock_config config = { .path = fake_path,
					     .guest_cid = CID,
					     .patience_ms = 1 };

	if (fake_path[0] == '\0')
		fake_make_path();
	for (uint32_t i = 0; i < PROGRAMS; i++)
		programs[i] = -1;
	for (uint32_t i = 0; i < LISTENERS; i++)
		listeners[i] = -1;
	memset(talks, 0, sizeof(talks));
	latest = talks;
	require(vsock_hub_create(&hub, &config) == 0);
	vsock_hub_start(hub);
}

static void fuzz_end(void)
{
	poll_hub();
	vsock_hub_destroy(hub);
	for (uint32_t i = 0; i < PROGRAMS; i++)
		if (programs[i] >= 0)
			close(programs[i]);
	for (uint32_t i = 0; i < LISTENERS; i++)
		if (listeners[i] >= 0)
			host_unlisten(listeners[i], i);
	require(access(fake_path, F_OK) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int after;

	close(before);
	fuzz_begin();
	for (size_t i = 0; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	fuzz_end();
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	require(before == after);
	return 0;
}
