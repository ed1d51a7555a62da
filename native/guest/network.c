/* SPDX-License-Identifier: MIT */
#include "network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dhcp_packet.h"
#include "poller.h"

#define STATES "/run/capsa/network"

enum {
	PORT_SERVER = 67,
	PORT_CLIENT = 68,
	/* About 15 seconds; then the host hears of it, and it goes on. */
	TRIES = 4,
	TRY_MS = 1000,
	RETRY_SECONDS = 30,
	RENEWAL_SECONDS_MIN = 30,
};

static struct ifreq request_for(const char *device)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	return request;
}

static int device_up(int fd, const char *device)
{
	struct ifreq request = request_for(device);

	if (ioctl(fd, SIOCGIFFLAGS, &request))
		return -errno;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

int network_loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = device_up(fd, "lo");
	close(fd);
	return error;
}

bool network_is_ethernet(const char *device)
{
	char path[64 + NAME_MAX];
	int type = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/type", device);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%d", &type) != 1)
		type = -1;
	fclose(file);
	return type == ARPHRD_ETHER;
}

/* How far a device came: 0, or why not further. */
static void note_state(const char *device, int error)
{
	char path[64 + NAME_MAX];
	char draft[80 + NAME_MAX];
	FILE *file;

	mkdir("/run/capsa", 0755);
	mkdir(STATES, 0755);
	snprintf(path, sizeof(path), STATES "/%s", device);
	snprintf(draft, sizeof(draft), "%s.new", path);
	file = fopen(draft, "we");
	if (!file)
		return;
	fprintf(file, "%d\n", error);
	fclose(file);
	rename(draft, path);
}

/* A socket of this device alone, with its hardware address in the client. */
static int open_socket(const char *device, struct dhcp_client *client)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_port = htons(PORT_CLIENT) };
	struct ifreq request = request_for(device);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int yes = 1;
	int error = 0;

	if (fd < 0)
		return -errno;
	error = device_up(fd, device);
	if (!error &&
	    (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)) ||
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
			(socklen_t)strlen(device)) ||
	     bind(fd, (struct sockaddr *)&here, sizeof(here)) ||
	     ioctl(fd, SIOCGIFHWADDR, &request)))
		error = -errno;
	memcpy(client->mac, request.ifr_hwaddr.sa_data, sizeof(client->mac));
	if (getrandom(&client->transaction, sizeof(client->transaction), 0) < 0)
		error = -errno;
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* Sends a message and waits for an answer of one of two types. 0 if none
 * came. */
static int ask(int fd, const struct dhcp_client *client, enum dhcp_type type,
	       struct dhcp_lease *lease, int renews, int wait_ms)
{
	struct sockaddr_in server = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT_SERVER),
		.sin_addr.s_addr = renews ? lease->server : INADDR_BROADCAST,
	};
	int64_t until = poller_now_ms() + wait_ms;
	uint8_t packet[2048];
	size_t length = dhcp_encode(client, type, lease, renews, packet);
	int64_t left;

	/* One that cannot be sent stays unanswered, like one that is lost. */
	(void)sendto(fd, packet, length, 0, (struct sockaddr *)&server,
		     sizeof(server));
	while ((left = until - poller_now_ms()) > 0) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		struct dhcp_lease answer;
		ssize_t count;
		int kind;

		if (poll(&wait, 1, (int)left) <= 0)
			continue;
		count = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (count < 0)
			continue;
		kind = dhcp_decode(client, packet, (size_t)count, &answer);
		if (type == DHCP_DISCOVER
			    ? kind == DHCP_OFFER
			    : kind == DHCP_ACK || kind == DHCP_NAK) {
			if (kind != DHCP_NAK)
				*lease = answer;
			return kind;
		}
	}
	return 0;
}

static int obtain(int fd, const struct dhcp_client *client,
		  struct dhcp_lease *lease)
{
	for (int try = 0; try < TRIES; try++) {
		int wait_ms = TRY_MS << try;

		memset(lease, 0, sizeof(*lease));
		if (ask(fd, client, DHCP_DISCOVER, lease, 0, wait_ms) ==
			    DHCP_OFFER &&
		    ask(fd, client, DHCP_REQUEST, lease, 0, wait_ms) ==
			    DHCP_ACK)
			return 0;
	}
	return -ETIMEDOUT;
}

static struct sockaddr address_of(uint32_t address)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = address };
	struct sockaddr any;

	memcpy(&any, &in, sizeof(any));
	return any;
}

static int set_route(int fd, const char *device, uint32_t router)
{
	char name[IFNAMSIZ];
	struct rtentry route = {
		.rt_dst = address_of(0),
		.rt_genmask = address_of(0),
		.rt_gateway = address_of(router),
		.rt_flags = RTF_UP | RTF_GATEWAY,
		.rt_dev = name,
	};

	if (!router)
		return 0;
	snprintf(name, sizeof(name), "%s", device);
	return ioctl(fd, SIOCADDRT, &route) && errno != EEXIST ? -errno : 0;
}

static void set_resolver(const struct dhcp_lease *lease)
{
	char text[INET_ADDRSTRLEN];
	FILE *file;

	if (!lease->nameservers[0])
		return;
	mkdir("/etc", 0755);
	file = fopen("/etc/resolv.conf", "we");
	if (file && lease->search[0])
		fprintf(file, "search %s\n", lease->search);
	for (int i = 0; file && i < DHCP_NAMESERVERS_MAX; i++)
		if (lease->nameservers[i])
			fprintf(file, "nameserver %s\n",
				inet_ntop(AF_INET, &lease->nameservers[i], text,
					  sizeof(text)));
	if (file)
		fclose(file);
}

static int configure(int fd, const char *device, const struct dhcp_lease *lease)
{
	struct ifreq request = request_for(device);

	request.ifr_addr = address_of(lease->address);
	if (ioctl(fd, SIOCSIFADDR, &request))
		return -errno;
	request.ifr_netmask = address_of(lease->netmask);
	if (lease->netmask && ioctl(fd, SIOCSIFNETMASK, &request))
		return -errno;
	request.ifr_mtu = lease->mtu;
	if (lease->mtu >= 576 && ioctl(fd, SIOCSIFMTU, &request))
		return -errno;
	set_resolver(lease);
	return set_route(fd, device, lease->router);
}

static void sleep_seconds(unsigned int seconds)
{
	while (seconds > 0)
		seconds = sleep(seconds);
}

/* Until it could not be renewed. */
static void renew(int fd, const struct dhcp_client *client,
		  struct dhcp_lease lease)
{
	for (;;) {
		uint32_t half = lease.seconds / 2;
		struct dhcp_lease next = lease;
		bool renewed = false;

		/* None is told, or it lasts for ever. */
		if (lease.seconds == 0 || lease.seconds == UINT32_MAX)
			pause();
		sleep_seconds(half > RENEWAL_SECONDS_MIN ? half
							 : RENEWAL_SECONDS_MIN);
		for (int try = 0; !renewed && try < 2; try++)
			renewed = ask(fd, client, DHCP_REQUEST, &next, 1,
				      4 * TRY_MS) == DHCP_ACK;
		if (!renewed)
			return;
		lease.seconds = next.seconds;
	}
}

void network_keep_lease(const char *device)
{
	struct dhcp_client client;
	struct dhcp_lease lease;

	for (;;) {
		int fd = open_socket(device, &client);
		int error = fd < 0 ? fd : obtain(fd, &client, &lease);

		if (!error)
			error = configure(fd, device, &lease);
		note_state(device, -error);
		if (!error)
			renew(fd, &client, lease);
		if (fd >= 0)
			close(fd);
		if (error == -ENODEV)
			_exit(0);
		if (error)
			sleep_seconds(RETRY_SECONDS);
	}
}

/* 0, -EINPROGRESS, or why it failed. */
static int state_of(const char *device)
{
	char path[64 + NAME_MAX];
	int error;
	FILE *file;

	snprintf(path, sizeof(path), STATES "/%s", device);
	file = fopen(path, "re");
	if (!file)
		return -EINPROGRESS;
	if (fscanf(file, "%d", &error) != 1)
		error = EINPROGRESS;
	fclose(file);
	return -error;
}

/* The state of the device that is worst off; -ENODEV if there is none. */
static int state_of_all(char *device, size_t size)
{
	DIR *devices = opendir("/sys/class/net");
	struct dirent *entry;
	int worst = -ENODEV;

	while (devices && (entry = readdir(devices))) {
		int state;

		if (!network_is_ethernet(entry->d_name))
			continue;
		state = state_of(entry->d_name);
		if (worst == -ENODEV || state < 0) {
			worst = state;
			snprintf(device, size, "%s", entry->d_name);
		}
	}
	if (devices)
		closedir(devices);
	return worst;
}

int network_await(int seconds, char *device, size_t size)
{
	int64_t until = poller_now_ms() + 1000 * (int64_t)seconds;
	struct pollfd wait = { .fd = inotify_init1(IN_CLOEXEC),
			       .events = POLLIN };
	char events[1024];
	int state;

	snprintf(device, size, "%s", "");
	mkdir("/run/capsa", 0755);
	mkdir(STATES, 0755);
	if (wait.fd < 0 || inotify_add_watch(wait.fd, STATES, IN_MOVED_TO) < 0)
		return -errno;
	/* A device may still be on its way. */
	while ((state = state_of_all(device, size)) == -EINPROGRESS ||
	       state == -ENODEV) {
		int64_t left = until - poller_now_ms();

		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return state == -ENODEV ? state : -ETIMEDOUT;
		if (read(wait.fd, events, sizeof(events)) < 0 && errno != EINTR)
			return -errno;
	}
	close(wait.fd);
	return state;
}
