/* SPDX-License-Identifier: MIT */
/*
 * What a network device is to what carries its frames, and the other way
 * round: a NAT, a TAP device, a switch.
 *
 * The device calls every operation but destroy with its lock held: start and
 * stop on any thread, the others on its loop's thread. None may wait.
 */
#ifndef CAPSA_NET_PORT_H
#define CAPSA_NET_PORT_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	/* An IP packet of full length in an Ethernet frame, and one to spare */
	NET_FRAME_MAX = 65550,
	NET_MAC_BYTES = 6,
};

/*
 * A frame, and what its sender left to others: checksums, and cutting it into
 * segments. The device has checked the header against what it may say. Frames
 * of the guest lie in its memory, which it may change at any time.
 */
struct net_frame {
	struct virtio_net_hdr_v1 header;
	const struct iovec *parts;
	uint32_t part_count;
	uint32_t length; /* of all parts; at most NET_FRAME_MAX */
};

/*
 * Copies up to length bytes from offset on; how many there were. Each byte is
 * read once.
 */
uint32_t net_frame_read(const struct net_frame *frame, uint32_t offset,
			void *out, uint32_t length);

struct net_port;

struct net_port_ops {
	/*
	 * Begins: the driver is ready and took these of the port's features.
	 */
	void (*start)(struct net_port *port, uint64_t features);
	/* Ends it: fd is not readable until the next start. */
	void (*stop)(struct net_port *port);
	/* Does what made fd readable. */
	void (*poll)(struct net_port *port);
	/*
	 * A frame of the guest. False: there is no room, and fd tells when to
	 * offer it again.
	 */
	bool (*send)(struct net_port *port, const struct net_frame *frame);
	/* That were all for now. */
	void (*flush)(struct net_port *port);
	/*
	 * The oldest frame for the guest, which stays the port's, and the
	 * oldest, until drop. NULL: there is none, and fd tells of the next.
	 * Nobody need ask: a port keeps no more than fits.
	 */
	const struct net_frame *(*peek)(struct net_port *port);
	void (*drop)(struct net_port *port);
	/* Frees it, stopped before. */
	void (*destroy)(struct net_port *port);
};

/* Embedded in each port. */
struct net_port {
	const struct net_port_ops *ops;
	uint64_t features; /* VIRTIO_NET_F_*: offloads that it has */
	uint16_t mtu;      /* 0: the guest's own affair */
	int fd;            /* owned; readable when there is something to do */
};

#endif
