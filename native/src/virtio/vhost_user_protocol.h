/* SPDX-License-Identifier: MIT */
/* Messages of vhost-user, as they cross the socket: little-endian, packed. */
#ifndef CAPSA_VIRTIO_VHOST_USER_PROTOCOL_H
#define CAPSA_VIRTIO_VHOST_USER_PROTOCOL_H

#include <stdint.h>

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_GET_CONFIG = 24,
};

/* Flags of a message: the version in the low bits */
#define VHOST_USER_VERSION      1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY        4u
#define VHOST_USER_NEED_REPLY   8u

/* A feature bit that virtio leaves to the transport */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

#define VHOST_USER_PROTOCOL_F_MQ        0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_CONFIG    9

/* In the number that comes with a ring's descriptor */
#define VHOST_USER_VRING_INDEX 0xffu
#define VHOST_USER_VRING_NO_FD 0x100u

enum { VHOST_USER_REGIONS_MAX = 8 };

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

/* A range of guest memory: offset bytes into a file that comes with it. */
struct vhost_user_region {
	uint64_t address; /* guest physical */
	uint64_t size;
	uint64_t user; /* what the front-end calls address */
	uint64_t offset;
};

struct vhost_user_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_REGIONS_MAX];
};

struct vhost_user_vring {
	uint32_t index;
	uint32_t value;
};

/* Addresses are the front-end's own. */
struct vhost_user_vring_address {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptors;
	uint64_t used;
	uint64_t available;
	uint64_t log;
};

enum { VHOST_USER_CONFIG_MAX = 256 };

/* Followed by size bytes. */
struct vhost_user_config {
	uint32_t offset; /* into the device's configuration */
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VHOST_USER_CONFIG_MAX];
};

union vhost_user_payload {
	uint64_t number;
	struct vhost_user_table table;
	struct vhost_user_vring vring;
	struct vhost_user_vring_address address;
	struct vhost_user_config config;
};

/* What a message may be accompanied by. */
enum { VHOST_USER_FDS_MAX = VHOST_USER_REGIONS_MAX };

struct vhost_user_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	uint32_t fd_count;
	int fds[VHOST_USER_FDS_MAX]; /* -1: taken */
};

/*
 * Takes the next message, with descriptors that are the caller's from here
 * on. 0, -EPROTO when it is none, -ECONNRESET at the end, or another -errno.
 */
int vhost_user_receive(int socket, struct vhost_user_message *message);

/* Answers with size bytes of the payload. 0 or -errno. */
int vhost_user_reply(int socket, struct vhost_user_message *message,
		     uint32_t size);

/* Closes the descriptors that nobody took. */
void vhost_user_close_fds(struct vhost_user_message *message);

#endif
