/* SPDX-License-Identifier: MIT */
/*
 * The monitor at the other end of vhost-user, and the driver of its guest, as a
 * test plays them.
 */
#ifndef CAPSA_FAKE_FRONT_H
#define CAPSA_FAKE_FRONT_H

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fake_driver.h"
#include "tap.h"
#include "virtio/vhost_user_protocol.h"

enum {
	FRONT_QUEUES = 2,
	FRONT_SIZE = 16,
	FRONT_RING = 0x10000, /* guest physical, as all below */
	FRONT_DATA = 0x40000,
	FRONT_MEMORY = 0x100000,
	FRONT_USER = 0x7000000, /* what the monitor calls address 0 */
};

struct fake_front {
	int socket;
	int memory_fd;
	struct memory memory; /* the guest's, as the monitor sees it */
	int kick_fds[FRONT_QUEUES];
	int call_fds[FRONT_QUEUES];
	struct fake_queue queues[FRONT_QUEUES];
};

static inline int front_memory(uint64_t size, int seals)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	CHECK(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

/* A Unix socket that listens; the kernel gives it a name. */
static inline int front_listen(void)
{
	const struct sockaddr name = { .sa_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, &name, sizeof(name.sa_family)) == 0 &&
	      listen(fd, 1) == 0);
	return fd;
}

/* A connection to who listens there; -1: nobody. */
static inline int front_connect_to(const struct sockaddr_un *name,
				   socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)name, length) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int front_connect(int listener)
{
	struct sockaddr_un name;
	socklen_t length = sizeof(name);

	CHECK(getsockname(listener, (struct sockaddr *)&name, &length) == 0);
	return front_connect_to(&name, length);
}

/* A monitor at one end of a connected socket, which is its own from here on. */
static inline void front_create(struct fake_front *front, int socket)
{
	*front = (struct fake_front) { .socket = socket };
	front->memory_fd = front_memory(FRONT_MEMORY, F_SEAL_SHRINK);
	front->memory = (struct memory) { .fd = -1, .range_count = 1 };
	front->memory.ranges[0] = (struct memory_range) {
		.size = FRONT_MEMORY,
		.host = mmap(NULL, FRONT_MEMORY, PROT_READ | PROT_WRITE,
			     MAP_SHARED, front->memory_fd, 0),
	};
	for (uint32_t i = 0; i < FRONT_QUEUES; i++) {
		front->kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		front->call_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		front->queues[i] = fake_queue(&front->memory,
					      FRONT_RING + i * FAKE_RING_BYTES,
					      FRONT_SIZE);
	}
}

/* Hangs up. */
static inline void front_destroy(struct fake_front *front)
{
	close(front->socket);
	close(front->memory_fd);
	munmap(front->memory.ranges[0].host, FRONT_MEMORY);
	for (uint32_t i = 0; i < FRONT_QUEUES; i++) {
		close(front->kick_fds[i]);
		close(front->call_fds[i]);
	}
}

/* Sends a message with descriptors. */
static inline void front_tell(const struct fake_front *front, uint32_t request,
			      uint32_t flags, const void *payload,
			      uint32_t size, const int *fds, uint32_t fd_count)
{
	struct vhost_user_header header = { request, 1 | flags, size };
	uint8_t bytes[sizeof(header) + 512];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = { 0 };
	struct iovec buffer = { bytes, sizeof(header) + size };
	struct msghdr message = { .msg_iov = &buffer, .msg_iovlen = 1 };

	memcpy(bytes, &header, sizeof(header));
	if (size > 0)
		memcpy(bytes + sizeof(header), payload, size);
	if (fd_count > 0) {
		struct cmsghdr *part = &control.align;

		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(part), fds, sizeof(int) * fd_count);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	}
	(void)!sendmsg(front->socket, &message, MSG_NOSIGNAL);
}

/* Waits for the answer; false: the other side has hung up. */
static inline bool front_hear(const struct fake_front *front, uint32_t request,
			      void *payload, uint32_t size)
{
	struct vhost_user_header header;

	if (recv(front->socket, &header, sizeof(header), MSG_WAITALL) !=
	    (ssize_t)sizeof(header))
		return false;
	CHECK(header.request == request && header.flags == 5 &&
	      header.size == size);
	return recv(front->socket, payload, size, MSG_WAITALL) == (ssize_t)size;
}

static inline uint64_t front_ask(const struct fake_front *front,
				 uint32_t request)
{
	uint64_t number = 0;

	front_tell(front, request, 0, NULL, 0, NULL, 0);
	CHECK(front_hear(front, request, &number, sizeof(number)));
	return number;
}

/* Whether a message is taken; asks for an acknowledgement. */
static inline bool front_takes(const struct fake_front *front, uint32_t request,
			       const void *payload, uint32_t size,
			       const int *fds, uint32_t fd_count)
{
	uint64_t refused = 1;

	front_tell(front, request, VHOST_USER_NEED_REPLY, payload, size, fds,
		   fd_count);
	return front_hear(front, request, &refused, sizeof(refused)) &&
	       refused == 0;
}

static inline bool front_takes_number(const struct fake_front *front,
				      uint32_t request, uint64_t number)
{
	return front_takes(front, request, &number, sizeof(number), NULL, 0);
}

static inline bool front_takes_vring(const struct fake_front *front,
				     uint32_t request, uint32_t index,
				     uint32_t value)
{
	const struct vhost_user_vring vring = { index, value };

	return front_takes(front, request, &vring, sizeof(vring), NULL, 0);
}

static inline bool front_takes_fd(const struct fake_front *front,
				  uint32_t request, uint64_t index, int fd)
{
	return front_takes(front, request, &index, sizeof(index), &fd, 1);
}

static inline struct vhost_user_table front_table(uint32_t count)
{
	struct vhost_user_table table = { .count = count };

	table.regions[0] = (struct vhost_user_region) { .size = FRONT_MEMORY,
							.user = FRONT_USER };
	return table;
}

static inline bool front_takes_table(const struct fake_front *front,
				     const struct vhost_user_table *table,
				     const int *fds, uint32_t fd_count)
{
	return front_takes(
		front, VHOST_USER_SET_MEM_TABLE, table,
		(uint32_t)(8 + table->count * sizeof(table->regions[0])), fds,
		fd_count);
}

static inline bool front_takes_memory(const struct fake_front *front)
{
	const struct vhost_user_table table = front_table(1);

	return front_takes_table(front, &table, &front->memory_fd, 1);
}

static inline bool front_takes_address(const struct fake_front *front,
				       uint32_t index)
{
	const struct virtqueue_layout *layout = &front->queues[index].layout;
	const struct vhost_user_vring_address address = {
		.index = index,
		.descriptors = FRONT_USER + layout->descriptors,
		.used = FRONT_USER + layout->used,
		.available = FRONT_USER + layout->available,
	};

	return front_takes(front, VHOST_USER_SET_VRING_ADDR, &address,
			   sizeof(address), NULL, 0);
}

static inline void front_greet(const struct fake_front *front)
{
	uint64_t features = front_ask(front, VHOST_USER_GET_FEATURES);

	CHECK(features >> VHOST_USER_F_PROTOCOL_FEATURES & 1);
	CHECK((front_ask(front, VHOST_USER_GET_PROTOCOL_FEATURES) & 9) == 9);
	CHECK(front_ask(front, VHOST_USER_GET_QUEUE_NUM) == FRONT_QUEUES);
	CHECK(front_takes_number(front, VHOST_USER_SET_PROTOCOL_FEATURES, 9));
	CHECK(front_takes(front, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0));
	CHECK(front_takes_number(front, VHOST_USER_SET_FEATURES,
				 FAKE_FEATURES));
}

static inline void front_start_queue(const struct fake_front *front,
				     uint32_t index, uint32_t base)
{
	CHECK(front_takes_vring(front, VHOST_USER_SET_VRING_NUM, index,
				FRONT_SIZE));
	CHECK(front_takes_vring(front, VHOST_USER_SET_VRING_BASE, index, base));
	CHECK(front_takes_address(front, index));
	CHECK(front_takes_fd(front, VHOST_USER_SET_VRING_KICK, index,
			     front->kick_fds[index]));
	CHECK(front_takes_fd(front, VHOST_USER_SET_VRING_CALL, index,
			     front->call_fds[index]));
	CHECK(front_takes_vring(front, VHOST_USER_SET_VRING_ENABLE, index, 1));
}

static inline void front_bring_up(const struct fake_front *front)
{
	front_greet(front);
	CHECK(front_takes_memory(front));
	for (uint32_t i = 0; i < FRONT_QUEUES; i++)
		front_start_queue(front, i, 0);
}

/* Waits for the next answer; its notification is up to the caller. */
static inline bool front_await(struct fake_front *front, uint32_t index,
			       struct vring_used_elem *element)
{
	struct fake_queue *queue = &front->queues[index];

	fake_want_interrupt(queue, queue->collected);
	while (!fake_collect(queue, element)) {
		struct pollfd called = { .fd = front->call_fds[index],
					 .events = POLLIN };
		eventfd_t count;

		if (poll(&called, 1, FAKE_WAIT_MS) != 1)
			return false;
		eventfd_read(front->call_fds[index], &count);
	}
	return true;
}

#endif
