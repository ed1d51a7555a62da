/* SPDX-License-Identifier: MIT */
/*
 * Frames for the guest wait in a queue. While it is half full the NAT's set of
 * descriptors is of no interest, and its peers wait in the host's kernel: that
 * is what a guest that stands still costs. The set is in another, so that it
 * can be left out and the device need not know.
 */
#include "net/user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "error.h"
#include "net/dhcp.h"
#include "net/frame_queue.h"
#include "net/nat.h"

enum {
	USER_NETWORK = 0x0a000200, /* 10.0.2.0 */
	USER_GATEWAY = USER_NETWORK + 2,
	USER_DNS = USER_NETWORK + 3,
	USER_GUEST = USER_NETWORK + 15,
	USER_QUEUE_BYTES = 1024 * 1024,
	USER_QUEUE_HIGH = USER_QUEUE_BYTES / 2,
	USER_QUEUE_LOW = USER_QUEUE_BYTES / 4,
};

#define USER_MASK UINT32_C(0xffffff00)

static const struct nat_site user_nat_site = {
	.network = USER_NETWORK,
	.mask = USER_MASK,
	.gateway = USER_GATEWAY,
	.dns = USER_DNS,
	.mtu = NAT_MTU,
};

struct user_port {
	struct net_port port; /* first: found from it */
	struct nat *nat;
	bool watching;     /* the NAT's descriptors are in port.fd's set */
	bool checks_known; /* the driver trusts the checksums of the NAT's */
	uint8_t mac[NET_MAC_BYTES];
	struct dhcp_config dhcp;
	struct frame_queue queue;
	uint8_t frame[NET_FRAME_MAX]; /* the guest's that is looked at */
};

struct net_site user_site(const uint8_t mac[NET_MAC_BYTES])
{
	return gate_site(&user_nat_site, mac, USER_GUEST);
}

static struct user_port *user_of(struct net_port *port)
{
	return (struct user_port *)port;
}

static void user_watch(struct user_port *user, bool watch)
{
	struct epoll_event event = { .events = watch ? EPOLLIN : 0 };

	if (watch != user->watching)
		epoll_ctl(user->port.fd, EPOLL_CTL_MOD, nat_fd(user->nat),
			  &event);
	user->watching = watch;
}

static void user_output(void *owner, const uint8_t *frame, uint32_t length)
{
	struct user_port *user = owner;
	const struct virtio_net_hdr_v1 header = {
		.flags = user->checks_known ? VIRTIO_NET_HDR_F_DATA_VALID : 0,
	};
	uint8_t *place = frame_queue_reserve(&user->queue, length);

	if (!place)
		return;
	memcpy(place, frame, length);
	frame_queue_commit(&user->queue, &header, length);
}

static bool user_has_room(void *owner)
{
	return ((struct user_port *)owner)->queue.used < USER_QUEUE_HIGH;
}

static void user_start(struct net_port *port, uint64_t features)
{
	struct user_port *user = user_of(port);

	user->checks_known = features >> VIRTIO_NET_F_GUEST_CSUM & 1;
	user_watch(user, true);
}

static void user_stop(struct net_port *port)
{
	user_watch(user_of(port), false);
	frame_queue_clear(&user_of(port)->queue);
}

static void user_poll(struct net_port *port)
{
	struct user_port *user = user_of(port);

	nat_poll(user->nat);
	user_watch(user, user_has_room(user));
}

/* The DHCP server's answer goes to the guest past NAT and filter. */
static bool user_answers(struct user_port *user, uint32_t length)
{
	uint8_t answer[DHCP_FRAME_MAX];
	struct frame_view view;

	if (frame_parse(&view, user->frame, length, length) < 0 ||
	    !dhcp_is_request(&view))
		return false;
	length = dhcp_answer(&user->dhcp, USER_GUEST, user->mac, user->frame,
			     &view, answer);
	if (length > 0)
		user_output(user, answer, length);
	return true;
}

static bool user_send(struct net_port *port, const struct net_frame *frame)
{
	struct user_port *user = user_of(port);
	uint32_t length = net_frame_read(frame, 0, user->frame, frame->length);

	if (!user_answers(user, length))
		nat_input(user->nat, user->frame, length);
	return true;
}

static void user_flush(struct net_port *port)
{
	struct user_port *user = user_of(port);

	nat_flush(user->nat);
	user_watch(user, user_has_room(user));
}

static const struct net_frame *user_peek(struct net_port *port)
{
	return frame_queue_peek(&user_of(port)->queue);
}

static void user_drop(struct net_port *port)
{
	struct user_port *user = user_of(port);

	frame_queue_drop(&user->queue);
	if (!user->watching && user->queue.used < USER_QUEUE_LOW)
		user_watch(user, true);
}

static void user_destroy(struct net_port *port)
{
	struct user_port *user = user_of(port);

	nat_destroy(user->nat);
	frame_queue_destroy(&user->queue);
	if (port->fd >= 0)
		close(port->fd);
	free(user);
}

static const struct net_port_ops user_ops = {
	.start = user_start,
	.stop = user_stop,
	.poll = user_poll,
	.send = user_send,
	.flush = user_flush,
	.peek = user_peek,
	.drop = user_drop,
	.destroy = user_destroy,
};

static void user_describe(struct user_port *user,
			  const struct nic_config *config)
{
	struct dhcp_config *dhcp = &user->dhcp;

	*dhcp = (struct dhcp_config) {
		/* libslirp's for that address */
		.server_mac = { 0x52, 0x55, 10, 0, 2, 2 },
		.server = USER_GATEWAY,
		.mask = USER_MASK,
		.router = USER_GATEWAY,
		.dns_count = 1,
		.dns = { USER_DNS },
	};
	if (config->dns_count > 0) {
		dhcp->dns_count = config->dns_count;
		memcpy(dhcp->dns, config->dns, sizeof(config->dns));
	}
	dhcp->search_length = config->search_length;
	memcpy(dhcp->search, config->search, sizeof(dhcp->search));
	memcpy(user->mac, config->mac, NET_MAC_BYTES);
}

static enum capsa_status user_create_nat(struct user_port *user,
					 const struct nic_config *config,
					 struct gate *gate,
					 struct capsa_error *error)
{
	struct nat_config nat = {
		.site = user_nat_site,
		/* Rules that open it may come later. */
		.host_loopback = gate,
		.filter = gate ? gate_filter(gate) : NULL,
		.guest = USER_GUEST,
		.forward_count = config->forward_count,
		.forwards = config->forwards,
	};
	const struct nat_client client = {
		.output = user_output,
		.has_room = user_has_room,
		.owner = user,
	};
	struct epoll_event event = { .events = 0 };
	enum capsa_status status;

	memcpy(nat.guest_mac, config->mac, NET_MAC_BYTES);
	for (uint32_t i = 0; gate && i < config->forward_count; i++)
		if (config->forwards[i].protocol == CAPSA_PROTOCOL_UDP)
			gate_forward_udp(gate, config->forwards[i].guest_port);
	status = nat_create(&user->nat, &nat, &client, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	user->port.fd = epoll_create1(EPOLL_CLOEXEC);
	if (user->port.fd < 0 || epoll_ctl(user->port.fd, EPOLL_CTL_ADD,
					   nat_fd(user->nat), &event) < 0)
		return error_system(error, errno, "epoll_ctl", "network");
	return CAPSA_STATUS_OK;
}

enum capsa_status user_port_create(struct net_port **out,
				   const struct nic_config *config,
				   struct gate *gate, struct capsa_error *error)
{
	struct user_port *user = calloc(1, sizeof(*user));
	enum capsa_status status;

	if (!user)
		return error_system(error, ENOMEM, "calloc", "network");
	user->port = (struct net_port) {
		.ops = &user_ops,
		.features = UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM,
		.mtu = NAT_MTU,
		.fd = -1,
	};
	user_describe(user, config);
	if (frame_queue_create(&user->queue, USER_QUEUE_BYTES) < 0)
		status = error_system(error, ENOMEM, "malloc", "network");
	else
		status = user_create_nat(user, config, gate, error);
	if (status != CAPSA_STATUS_OK) {
		user_destroy(&user->port);
		return status;
	}
	*out = &user->port;
	return CAPSA_STATUS_OK;
}
