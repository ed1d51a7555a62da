/* SPDX-License-Identifier: MIT */
/*
 * What a network is made of. Private to network.c, network_port.c and
 * uplink.c.
 */
#ifndef CAPSA_NET_NETWORK_STATE_H
#define CAPSA_NET_NETWORK_STATE_H

#include <pthread.h>

#include "net/dhcp.h"
#include "net/frame_queue.h"
#include "net/leases.h"
#include "net/nat_guard.h"
#include "net/network.h"

enum {
	PORT_ADDRESSES6_MAX = 8,
	PORT_QUEUE_BYTES = 1024 * 1024,
	/* Copies that a port may have made of frames for many, in one turn */
	PORT_GROUP_BYTES = 1024 * 1024,
	/* Frames are not cut, and jumbo is what all ports can take. */
	NETWORK_MTU = 65520,
};

/* An IPv6 address that a port has used. */
struct port_address6 {
	uint8_t bytes[16];
	uint32_t used; /* when, as the port counts; 0: free */
};

struct network_port {
	struct net_port port; /* first: found from it; fd: an eventfd */
	struct network *network;
	uint8_t mac[NET_MAC_BYTES];
	uint32_t address;
	uint32_t group_bytes; /* of this turn */

	/* By the network's lock */
	bool up;
	bool completes; /* the driver completes checksums */
	bool signalled; /* fd is readable */
	struct frame_queue queue;
	uint32_t uses;
	struct port_address6 addresses6[PORT_ADDRESSES6_MAX];
};

struct uplink;

struct network {
	struct nat_site site;
	struct gate *gate; /* of the way out; NULL: none is wanted */
	struct dhcp_config dhcp;

	pthread_mutex_t life; /* of coming and going; before lock */
	struct uplink *uplink;

	pthread_mutex_t lock; /* of all below, and of ports */
	struct leases leases;
	struct network_port *way_out; /* the uplink's port, or NULL */
	uint32_t port_count;
	struct network_port *ports[CAPSA_NETWORK_PORTS_MAX];
};

/* Makes what all ports have. 0 or -errno. */
int network_port_init(struct network_port *port, struct network *network);
/* After the same, also when that failed. */
void network_port_free(struct network_port *port);
/* With the lock held: makes fd readable, until its owner has had a look. */
void network_port_signal(struct network_port *port);

/*
 * With the lock held: whether a frame of a port may pass, by what header says
 * of it, and by the headers in it, of which view tells.
 */
bool network_admits(struct network *network, struct network_port *port,
		    const struct virtio_net_hdr_v1 *header,
		    const uint8_t *headers, const struct frame_view *view);

/*
 * With the lock held: puts a frame, of which the first bytes are at headers,
 * into the queues of whom it is for.
 */
void network_forward(struct network *network, struct network_port *from,
		     const uint8_t *headers, uint32_t header_bytes,
		     const struct net_frame *frame);

/* The way out, on loop. Status: OK, NETWORK_MISSING, NO_MEMORY, HOST. */
enum capsa_status uplink_create(struct uplink **out, struct network *network,
				struct loop *loop, struct capsa_error *error);
/* Not on the loop's thread. NULL is fine. */
void uplink_destroy(struct uplink *uplink);

#endif
