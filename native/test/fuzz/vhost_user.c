/* SPDX-License-Identifier: MIT */
/*
 * A front-end that sends any messages with any descriptors to a device that
 * serves it over vhost-user: the server hangs up or goes on, touches nothing
 * outside of what it was given, and keeps no descriptor.
 *
 * Input: messages of sixteen bytes: what is asked, with which descriptors,
 * and numbers for it, most of them such that it can be right.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtio/rng.h"
#include "virtio/vhost_user.h"
#include "virtio/vhost_user_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MESSAGE_BYTES = 16,
	MEMORY = 1 << 20,
	USER = 0x7000000,
	FDS = 4,
};

static const uint32_t requests[] = {
	VHOST_USER_GET_FEATURES,
	VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_OWNER,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_BASE,
	VHOST_USER_GET_VRING_BASE,
	VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_SET_PROTOCOL_FEATURES,
	VHOST_USER_GET_QUEUE_NUM,
	0xffffffff,
	VHOST_USER_SET_VRING_ERR,
	VHOST_USER_GET_CONFIG,
};

static struct loop *loop;
static int fds[FDS]; /* sealed memory, unsealed memory, eventfd, other */

static void fuzz_prepare(void)
{
	if (loop)
		return;
	fds[0] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[1] = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[2] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (loop_create(&loop) < 0 || ftruncate(fds[0], MEMORY) < 0 ||
	    ftruncate(fds[1], MEMORY) < 0 ||
	    fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		__builtin_trap();
}

/* A payload that fits the request, bent by the input. */
static uint32_t fuzz_payload(uint32_t request, const uint8_t *bytes,
			     union vhost_user_payload *payload)
{
	uint64_t bent = (uint64_t)bytes[8] << (bytes[9] & 63);

	memset(payload, 0, sizeof(*payload));
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		payload->table.count = bytes[10] & 15;
		for (uint32_t i = 0; i < VHOST_USER_REGIONS_MAX; i++)
			payload->table.regions[i] = (struct vhost_user_region) {
				.address = i * (uint64_t)MEMORY,
				.size = i == (bytes[11] & 7) ? MEMORY + bent
							     : MEMORY,
				.user = USER + i * (uint64_t)MEMORY,
				.offset = bytes[12] & 1 ? bent : 0,
			};
		return (uint32_t)(8 + (payload->table.count & 7) * 32);
	case VHOST_USER_SET_VRING_ADDR:
		payload->address = (struct vhost_user_vring_address) {
			.index = bytes[10] & 1,
			.flags = bytes[10] >> 7,
			.descriptors = USER + bytes[11] * 0x1000ull,
			.available = USER + bytes[12] * 0x1000ull,
			.used = USER + bytes[13] * 0x1000ull + bent,
		};
		return sizeof(payload->address);
	case VHOST_USER_GET_CONFIG:
		payload->config.offset = bytes[10] & 3;
		payload->config.size = bytes[11] & 128 ? (uint32_t)bent
						       : bytes[11] & 3;
		return (uint32_t)(12 + (bytes[11] & 3));
	case VHOST_USER_SET_FEATURES:
		payload->number =
			UINT64_C(1) << VIRTIO_F_VERSION_1 |
			(bytes[10] & 1 ? UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX
				       : 0) |
			(bytes[10] & 2 ? bent : 0);
		return sizeof(payload->number);
	default:
		payload->vring.index = bytes[10] & 3;
		payload->vring.value = bytes[11] & 128 ? (uint32_t)bent
						       : bytes[11];
		return sizeof(payload->vring);
	}
}

static void fuzz_send(int peer, const uint8_t *bytes)
{
	uint32_t request =
		requests[bytes[0] % (sizeof(requests) / sizeof(requests[0]))];
	uint8_t message[sizeof(struct vhost_user_header) +
			sizeof(union vhost_user_payload)];
	union vhost_user_payload payload;
	struct vhost_user_header header = {
		.request = request,
		.flags = VHOST_USER_VERSION |
			 (bytes[1] & 1 ? VHOST_USER_NEED_REPLY : 0),
		.size = fuzz_payload(request, bytes, &payload),
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
	} control = { 0 };
	struct iovec buffer = { message, sizeof(header) + header.size };
	struct msghdr whole = { .msg_iov = &buffer, .msg_iovlen = 1 };
	uint32_t count = bytes[2] & 7;

	if (bytes[1] & 128)
		header.size ^= bytes[3];
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), &payload, sizeof(payload));
	if (count > 0) {
		int sent[8];

		for (uint32_t i = 0; i < count; i++)
			sent[i] = fds[(bytes[4] >> (i & 3) * 2) % FDS];
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.align), sent, sizeof(int) * count);
		whole.msg_control = control.bytes;
		whole.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	}
	(void)!sendmsg(peer, &whole, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A connection, and who listens for it under a name of the kernel's. */
static void fuzz_connect(int pair[2])
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(name);

	pair[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pair[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(pair[1], (struct sockaddr *)&name, sizeof(name.sun_family)) <
		    0 ||
	    listen(pair[1], 1) < 0 ||
	    getsockname(pair[1], (struct sockaddr *)&name, &length) < 0 ||
	    connect(pair[0], (struct sockaddr *)&name, length) < 0)
		__builtin_trap();
}

static void fuzz_gone(void *owner)
{
	(void)owner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_user_peer peer = { .queue_count = 1,
					.shows_config = true,
					.gone = fuzz_gone };
	struct virtio_device *device;
	struct vhost_user *user;
	uint8_t answers[4096];
	int pair[2];

	fuzz_prepare();
	fuzz_connect(pair);
	if (virtio_rng_create(&device) < 0)
		__builtin_trap();
	peer.socket = pair[1];
	if (vhost_user_create(&user, device, &peer, loop) < 0)
		__builtin_trap();
	for (size_t i = 0; size - i >= MESSAGE_BYTES; i += MESSAGE_BYTES)
		fuzz_send(pair[0], data + i);
	shutdown(pair[0], SHUT_WR);
	while (recv(pair[0], answers, sizeof(answers), 0) > 0)
		;
	vhost_user_destroy(user);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
