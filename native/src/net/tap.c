/* SPDX-License-Identifier: MIT */
/*
 * The host's kernel takes frames from where they lie in guest memory and
 * checks what their headers say as it would for any program. Frames for the
 * guest come one at a time, and only when there is a buffer for one: those
 * that nobody takes stay in the kernel, which bounds them.
 */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

enum {
	TAP_PARTS_MAX = 257, /* those of a queue, and the header */
	TAP_FLAGS_BYTES = 16,
};

#define TAP_DEVICE "/dev/net/tun"

struct tap_port {
	struct net_port port; /* first: found from it; fd: a set with tap_fd */
	int tap_fd;           /* owned */
	uint32_t watched;     /* EPOLL*; 0: not in the set */
	bool gone;            /* the host has taken the device away */
	bool filled;          /* frame is the one that was read last */
	struct net_frame frame;
	struct iovec part;
	uint8_t bytes[NET_FRAME_MAX];
};

static struct tap_port *tap_of(struct net_port *port)
{
	return (struct tap_port *)port;
}

/*
 * Errors are reported unasked, so a device of which nothing is wanted must not
 * be in the set.
 */
static void tap_watch(struct tap_port *tap, uint32_t events)
{
	struct epoll_event event = { .events = events };
	int operation = tap->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (tap->gone || events == tap->watched)
		return;
	if (events == 0)
		operation = EPOLL_CTL_DEL;
	epoll_ctl(tap->port.fd, operation, tap->tap_fd, &event);
	tap->watched = events;
}

/* What the kernel may leave to the guest. */
static uint32_t tap_offloads(uint64_t features)
{
	uint32_t offloads = 0;

	if (!(features >> VIRTIO_NET_F_GUEST_CSUM & 1))
		return 0;
	offloads |= TUN_F_CSUM;
	if (features >> VIRTIO_NET_F_GUEST_TSO4 & 1)
		offloads |= TUN_F_TSO4;
	if (features >> VIRTIO_NET_F_GUEST_TSO6 & 1)
		offloads |= TUN_F_TSO6;
	if (offloads != TUN_F_CSUM && features >> VIRTIO_NET_F_GUEST_ECN & 1)
		offloads |= TUN_F_TSO_ECN;
	return offloads;
}

static void tap_start(struct net_port *port, uint64_t features)
{
	struct tap_port *tap = tap_of(port);

	ioctl(tap->tap_fd, TUNSETOFFLOAD,
	      (unsigned long)tap_offloads(features));
	tap->filled = false;
	tap_watch(tap, EPOLLIN);
}

static void tap_stop(struct net_port *port)
{
	tap_watch(tap_of(port), 0);
}

static void tap_poll(struct net_port *port)
{
	/* The device asks for a frame, or offers one again. */
	tap_watch(tap_of(port), 0);
}

static bool tap_send(struct net_port *port, const struct net_frame *frame)
{
	struct tap_port *tap = tap_of(port);
	struct virtio_net_hdr_v1 header = frame->header;
	struct iovec parts[TAP_PARTS_MAX];

	parts[0] = (struct iovec) { .iov_base = &header,
				    .iov_len = sizeof(header) };
	memcpy(parts + 1, frame->parts,
	       frame->part_count * sizeof(*frame->parts));
	if (writev(tap->tap_fd, parts, (int)frame->part_count + 1) >= 0 ||
	    errno != EAGAIN)
		return true; /* what the kernel refuses is lost on the wire */
	tap_watch(tap, tap->watched | EPOLLOUT);
	return false;
}

static void tap_flush(struct net_port *port)
{
	(void)port;
}

static const struct net_frame *tap_peek(struct net_port *port)
{
	struct tap_port *tap = tap_of(port);
	struct iovec parts[] = {
		{ .iov_base = &tap->frame.header,
		  .iov_len = sizeof(tap->frame.header) },
		{ .iov_base = tap->bytes, .iov_len = sizeof(tap->bytes) },
	};
	ssize_t length;

	if (tap->filled)
		return &tap->frame;
	length = readv(tap->tap_fd, parts, 2);
	if (length <= (ssize_t)sizeof(tap->frame.header)) {
		bool gone = length < 0 && errno != EAGAIN;

		tap_watch(tap, gone ? 0 : tap->watched | EPOLLIN);
		tap->gone = gone;
		return NULL;
	}
	tap->filled = true;
	tap->frame.length = (uint32_t)length -
			    (uint32_t)sizeof(tap->frame.header);
	tap->part.iov_len = tap->frame.length;
	return &tap->frame;
}

static void tap_drop(struct net_port *port)
{
	tap_of(port)->filled = false;
}

static void tap_destroy(struct net_port *port)
{
	struct tap_port *tap = tap_of(port);

	if (tap->tap_fd >= 0)
		close(tap->tap_fd);
	if (port->fd >= 0)
		close(port->fd);
	free(tap);
}

static const struct net_port_ops tap_ops = {
	.start = tap_start,
	.stop = tap_stop,
	.poll = tap_poll,
	.send = tap_send,
	.flush = tap_flush,
	.peek = tap_peek,
	.drop = tap_drop,
	.destroy = tap_destroy,
};

static enum capsa_status tap_refuse(struct capsa_error *error, int system_errno,
				    const char *operation, const char *name,
				    const char *message)
{
	return error_set(error, CAPSA_STATUS_TAP, system_errno, operation, name,
			 NULL, message);
}

/*
 * Whether there is a TAP device of that name: the kernel would make one for
 * those who may.
 */
static enum capsa_status tap_find(const char *name, struct capsa_error *error)
{
	char path[sizeof("/sys/class/net//tun_flags") + IFNAMSIZ];
	char flags[TAP_FLAGS_BYTES] = { 0 };
	int fd;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	if (access(path, F_OK) < 0)
		return tap_refuse(error, errno, "access", name,
				  "there is no such network device");
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!read(fd, flags, sizeof(flags) - 1);
		close(fd);
	}
	if (!(strtoul(flags, NULL, 16) & IFF_TAP))
		return tap_refuse(error, 0, "open", name,
				  "the network device is no TAP device");
	return CAPSA_STATUS_OK;
}

static enum capsa_status tap_attach(int fd, const char *name,
				    struct capsa_error *error)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI |
					      IFF_VNET_HDR };
	const int header = sizeof(struct virtio_net_hdr_v1);

	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return tap_refuse(error, errno, "TUNSETIFF", name,
				  errno == EBUSY
					  ? "somebody else has the TAP device"
					  : "the TAP device cannot be opened");
	/* One that went away meanwhile has just been made again. */
	if (ioctl(fd, TUNGETIFF, &request) < 0 ||
	    !(request.ifr_flags & IFF_PERSIST))
		return tap_refuse(error, ENODEV, "TUNGETIFF", name,
				  "there is no such network device");
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return error_system(error, errno, "TUNSETVNETHDRSZ", name);
	return CAPSA_STATUS_OK;
}

static enum capsa_status tap_open(int *fd, const char *name,
				  struct capsa_error *error)
{
	enum capsa_status status = tap_find(name, error);

	if (status != CAPSA_STATUS_OK)
		return status;
	*fd = open(TAP_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return tap_refuse(error, errno, "open", TAP_DEVICE,
				  "TAP devices cannot be opened");
	return tap_attach(*fd, name, error);
}

/* Its MTU, which the guest's has to be; 0 when it is not to be found out. */
static uint16_t tap_mtu(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int mtu = 0;

	memcpy(request.ifr_name, name, strlen(name));
	if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0)
		mtu = request.ifr_mtu;
	if (fd >= 0)
		close(fd);
	return mtu <= UINT16_MAX ? (uint16_t)mtu : 0;
}

enum capsa_status tap_port_create(struct net_port **out, const char *name,
				  struct capsa_error *error)
{
	struct tap_port *tap = calloc(1, sizeof(*tap));
	enum capsa_status status;

	if (!tap)
		return error_system(error, ENOMEM, "calloc", "network");
	tap->tap_fd = -1;
	tap->part.iov_base = tap->bytes;
	tap->frame.parts = &tap->part;
	tap->frame.part_count = 1;
	tap->port = (struct net_port) {
		.ops = &tap_ops,
		.features = UINT64_C(1) << VIRTIO_NET_F_CSUM |
			    UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 |
			    UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 |
			    UINT64_C(1) << VIRTIO_NET_F_HOST_ECN |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_ECN,
		.fd = -1,
	};
	status = tap_open(&tap->tap_fd, name, error);
	if (status == CAPSA_STATUS_OK) {
		tap->port.fd = epoll_create1(EPOLL_CLOEXEC);
		if (tap->port.fd < 0)
			status = error_system(error, errno, "epoll_create1",
					      name);
	}
	if (status != CAPSA_STATUS_OK) {
		tap_destroy(&tap->port);
		return status;
	}
	tap->port.mtu = tap_mtu(name);
	*out = &tap->port;
	return CAPSA_STATUS_OK;
}
