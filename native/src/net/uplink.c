/* SPDX-License-Identifier: MIT */
/*
 * A network's way out: a port like any other, with a NAT behind it instead of
 * a machine. It works on the loop of the machine that came first.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "error.h"
#include "net/nat.h"
#include "net/network_state.h"

enum {
	UPLINK_TURN_FRAMES = 64,
	/* What the NAT may say in one turn: less than a port's queue holds. */
	UPLINK_TURN_BYTES = 256 * 1024,
};

struct uplink {
	struct loop_source source; /* first: found from it; of port and NAT */
	struct loop *loop;
	bool watched; /* source is the loop's */
	struct network_port port;
	struct nat *nat;
	uint32_t said; /* bytes, of this turn */
	uint8_t frame[NET_FRAME_MAX];
};

static void uplink_output(void *owner, const uint8_t *frame, uint32_t length)
{
	struct uplink *uplink = owner;
	struct network *network = uplink->port.network;
	struct iovec part = { .iov_len = length };
	const struct net_frame sent = { .parts = &part,
					.part_count = 1,
					.length = length };
	uint32_t headers = length < FRAME_HEADERS ? length : FRAME_HEADERS;

	/* Nobody writes to a frame that is sent. */
	memcpy(&part.iov_base, &frame, sizeof(frame));
	uplink->said += length;
	pthread_mutex_lock(&network->lock);
	network_forward(network, &uplink->port, frame, headers, &sent);
	pthread_mutex_unlock(&network->lock);
}

static bool uplink_has_room(void *owner)
{
	return ((struct uplink *)owner)->said < UPLINK_TURN_BYTES;
}

/* Gives frames of the machines to the NAT; whether there are more. */
static bool uplink_take(struct uplink *uplink)
{
	struct net_port *port = &uplink->port.port;
	const struct net_frame *frame = NULL;

	for (uint32_t turn = UPLINK_TURN_FRAMES; turn > 0; turn--) {
		uint32_t length;

		frame = port->ops->peek(port);
		if (!frame)
			break;
		length = net_frame_read(frame, 0, uplink->frame, frame->length);
		port->ops->drop(port);
		nat_input(uplink->nat, uplink->frame, length);
	}
	nat_flush(uplink->nat);
	return frame;
}

static void uplink_come_again(struct uplink *uplink)
{
	struct network *network = uplink->port.network;

	pthread_mutex_lock(&network->lock);
	network_port_signal(&uplink->port);
	pthread_mutex_unlock(&network->lock);
}

static void uplink_ready(struct loop_source *source)
{
	struct uplink *uplink = (struct uplink *)source;
	struct net_port *port = &uplink->port.port;

	uplink->said = 0;
	uplink->port.group_bytes = 0;
	port->ops->poll(port);
	if (uplink_take(uplink))
		uplink_come_again(uplink);
	nat_poll(uplink->nat);
}

static int uplink_watch(struct uplink *uplink)
{
	struct epoll_event event = { .events = EPOLLIN };
	int result;

	uplink->source.fd = epoll_create1(EPOLL_CLOEXEC);
	if (uplink->source.fd < 0 ||
	    epoll_ctl(uplink->source.fd, EPOLL_CTL_ADD, uplink->port.port.fd,
		      &event) < 0 ||
	    epoll_ctl(uplink->source.fd, EPOLL_CTL_ADD, nat_fd(uplink->nat),
		      &event) < 0)
		return -errno;
	result = loop_add(uplink->loop, &uplink->source);
	uplink->watched = result == 0;
	return result;
}

static void uplink_connect(struct uplink *uplink, bool connect)
{
	struct network *network = uplink->port.network;

	pthread_mutex_lock(&network->lock);
	network->way_out = connect ? &uplink->port : NULL;
	uplink->port.up = connect;
	pthread_mutex_unlock(&network->lock);
}

enum capsa_status uplink_create(struct uplink **out, struct network *network,
				struct loop *loop, struct capsa_error *error)
{
	struct uplink *uplink = calloc(1, sizeof(*uplink));
	struct nat_config config = { .site = network->site,
				     .host_loopback = true,
				     .filter = gate_filter(network->gate) };
	struct nat_client client = {
		.output = uplink_output,
		.has_room = uplink_has_room,
		.owner = uplink,
	};
	enum capsa_status status;
	int result;

	if (!uplink)
		return error_system(error, ENOMEM, "calloc", "network");
	uplink->loop = loop;
	uplink->source = (struct loop_source) { .fd = -1,
						.ready = uplink_ready };
	result = network_port_init(&uplink->port, network);
	status = result < 0 ? error_system(error, -result, "create", "network")
			    : nat_create(&uplink->nat, &config, &client, error);
	if (status == CAPSA_STATUS_OK) {
		uplink_connect(uplink, true);
		result = uplink_watch(uplink);
		if (result < 0)
			status = error_system(error, -result, "watch",
					      "network");
	}
	if (status != CAPSA_STATUS_OK) {
		uplink_destroy(uplink);
		return status;
	}
	*out = uplink;
	return CAPSA_STATUS_OK;
}

void uplink_destroy(struct uplink *uplink)
{
	if (!uplink)
		return;
	if (uplink->watched)
		loop_remove(uplink->loop, &uplink->source);
	uplink_connect(uplink, false);
	nat_destroy(uplink->nat);
	network_port_free(&uplink->port);
	if (uplink->source.fd >= 0)
		close(uplink->source.fd);
	free(uplink);
}
