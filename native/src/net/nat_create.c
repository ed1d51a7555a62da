/* SPDX-License-Identifier: MIT */
#include "net/nat_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"

enum {
	NAT_CONFIG_VERSION = 3, /* of libslirp 4.4: all that is needed */
	NAT_PREFIX6 = 64,
};

static struct in_addr nat_address(uint32_t address)
{
	return (struct in_addr) { .s_addr = htonl(address) };
}

static struct in6_addr nat_address6(const uint8_t bytes[16])
{
	struct in6_addr address;

	memcpy(address.s6_addr, bytes, sizeof(address.s6_addr));
	return address;
}

static Slirp *nat_new_slirp(struct nat *nat, const struct nat_config *config)
{
	const struct nat_site *site = &config->site;
	const SlirpConfig slirp = {
		.version = NAT_CONFIG_VERSION,
		.in_enabled = true,
		.vnetwork = nat_address(site->network),
		.vnetmask = nat_address(site->mask),
		.vhost = nat_address(site->gateway),
		.vnameserver = nat_address(site->dns),
		.in6_enabled = true,
		.vprefix_addr6 = nat_address6(nat_prefix6),
		.vprefix_len = NAT_PREFIX6,
		.vhost6 = nat_address6(nat_gateway6),
		.vnameserver6 = nat_address6(nat_dns6),
		.if_mtu = site->mtu,
		.if_mru = site->mtu,
		.disable_host_loopback = !config->host_loopback,
	};
	Slirp *created;

	slirp_library_lock();
	created = nat->library.create(&slirp, &nat_callbacks, nat);
	slirp_library_unlock();
	return created;
}

static int nat_listen(struct nat *nat, const struct forward_config *forward,
		      int family, uint32_t guest_address)
{
	union nat_endpoint host = { 0 };
	union nat_endpoint guest = { 0 };
	int result;

	host.any.sa_family = (sa_family_t)family;
	guest.any.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		inet_pton(AF_INET6, forward->address, &host.ipv6.sin6_addr);
		host.ipv6.sin6_port = htons(forward->host_port);
		/* The address that the guest shows first. */
		guest.ipv6.sin6_port = htons(forward->guest_port);
	} else {
		/* For "::" it stays 0.0.0.0. */
		inet_pton(AF_INET, forward->address, &host.ipv4.sin_addr);
		host.ipv4.sin_port = htons(forward->host_port);
		guest.ipv4.sin_addr = nat_address(guest_address);
		guest.ipv4.sin_port = htons(forward->guest_port);
	}
	slirp_library_lock();
	errno = EINVAL;
	result = nat->library.forward(nat->slirp, &host.any, sizeof(host),
				      &guest.any, sizeof(guest),
				      SLIRP_HOSTFWD_V6ONLY) < 0
			 ? -errno
			 : 0;
	slirp_library_unlock();
	return result;
}

static enum capsa_status nat_forward(struct nat *nat,
				     const struct nat_config *config,
				     const struct forward_config *forward,
				     int family, struct capsa_error *error)
{
	bool udp = forward->protocol == CAPSA_PROTOCOL_UDP;
	int result = udp ? nat_datagrams_open(&nat->datagrams, forward, family)
			 : nat_listen(nat, forward, family, config->guest);
	char subject[96];

	if (result == 0)
		return CAPSA_STATUS_OK;
	(void)snprintf(subject, sizeof(subject), "%s port %u of %s",
		       udp ? "UDP" : "TCP", forward->host_port,
		       forward->address);
	return error_set(error, CAPSA_STATUS_PORT, -result, "bind", subject,
			 NULL, "the port of the host cannot be forwarded");
}

static enum capsa_status nat_forward_all(struct nat *nat,
					 const struct nat_config *config,
					 struct capsa_error *error)
{
	enum capsa_status status = CAPSA_STATUS_OK;

	for (uint32_t i = 0;
	     i < config->forward_count && status == CAPSA_STATUS_OK; i++) {
		const struct forward_config *forward = &config->forwards[i];
		bool ipv6 = strchr(forward->address, ':');

		if (ipv6)
			status = nat_forward(nat, config, forward, AF_INET6,
					     error);
		/* "::" is every address. */
		if (status == CAPSA_STATUS_OK &&
		    (!ipv6 || strcmp(forward->address, "::") == 0))
			status = nat_forward(nat, config, forward, AF_INET,
					     error);
	}
	return status;
}

/* Their numbers in the set are those behind libslirp's. */
static int nat_watch_datagrams(struct nat *nat)
{
	for (uint32_t i = 0; i < nat->datagrams.count; i++) {
		struct epoll_event event = {
			.events = EPOLLIN,
			.data.u64 = NAT_SOCKETS_MAX + i,
		};

		if (epoll_ctl(nat->sockets.epoll_fd, EPOLL_CTL_ADD,
			      nat->datagrams.ports[i]->fd, &event) < 0)
			return -errno;
	}
	return 0;
}

static int nat_create_descriptors(struct nat *nat)
{
	struct epoll_event event = { .events = EPOLLIN };
	int result = nat_sockets_create(&nat->sockets);

	if (result < 0)
		return result;
	nat->timer_fd = timerfd_create(CLOCK_MONOTONIC,
				       TFD_CLOEXEC | TFD_NONBLOCK);
	/* Its number is 0, which no socket has. */
	if (nat->timer_fd < 0 || epoll_ctl(nat->sockets.epoll_fd, EPOLL_CTL_ADD,
					   nat->timer_fd, &event) < 0)
		return -errno;
	return 0;
}

enum capsa_status nat_create(struct nat **out, const struct nat_config *config,
			     const struct nat_client *client,
			     struct capsa_error *error)
{
	struct nat *nat = calloc(1, sizeof(*nat));
	enum capsa_status status;
	int result;

	if (!nat)
		return error_system(error, ENOMEM, "calloc", "network");
	nat->site = config->site;
	nat->filter = config->filter;
	nat->client = *client;
	nat->sockets.epoll_fd = -1;
	nat->timer_fd = -1;
	nat->datagrams.site = config->site;
	frame_write32(nat->datagrams.guest, config->guest);
	memcpy(nat->datagrams.guest_mac, config->guest_mac, NET_MAC_BYTES);
	nat->now_ms = nat_clock_ms();
	status = slirp_library_open(&nat->library, error);
	result = status == CAPSA_STATUS_OK ? nat_create_descriptors(nat) : 0;
	if (result < 0)
		status = error_system(error, -result, "create", "network");
	if (status == CAPSA_STATUS_OK) {
		nat->slirp = nat_new_slirp(nat, config);
		if (!nat->slirp)
			status = error_system(error, EINVAL, "slirp_new",
					      "network");
	}
	if (status == CAPSA_STATUS_OK)
		status = nat_forward_all(nat, config, error);
	result = status == CAPSA_STATUS_OK ? nat_watch_datagrams(nat) : 0;
	if (result < 0)
		status = error_system(error, -result, "epoll_ctl", "network");
	if (status != CAPSA_STATUS_OK) {
		nat_destroy(nat);
		return status;
	}
	slirp_library_lock();
	(void)nat_ask(nat);
	slirp_library_unlock();
	nat_sockets_keep(&nat->sockets);
	nat_poll(nat);
	*out = nat;
	return CAPSA_STATUS_OK;
}

void nat_destroy(struct nat *nat)
{
	if (!nat)
		return;
	slirp_library_lock();
	if (nat->slirp)
		nat->library.destroy(nat->slirp);
	slirp_library_unlock();
	nat_datagrams_close(&nat->datagrams);
	nat_sockets_destroy(&nat->sockets);
	if (nat->timer_fd >= 0)
		close(nat->timer_fd);
	free(nat);
}
