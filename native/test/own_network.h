/* SPDX-License-Identifier: MIT */
/*
 * A network of the test's own: nothing outside is reached or seen. Its
 * loopback has addresses that are none of loopback's.
 */
#ifndef CAPSA_OWN_NETWORK_H
#define CAPSA_OWN_NETWORK_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/ipv6.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OWN_ADDRESS  "198.51.100.1" /* for documentation (RFC 5737) */
#define OWN_ADDRESS6 "2001:db8::1"
#define OWN_RESOLVER "127.0.0.53"

static inline bool own_lo_up(int fd)
{
	struct ifreq request = { .ifr_name = "lo" };

	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return false;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static inline bool own_add_address(int fd)
{
	struct ifreq request = { .ifr_name = "lo:1" };
	struct sockaddr_in address = { .sin_family = AF_INET };

	inet_pton(AF_INET, OWN_ADDRESS, &address.sin_addr);
	memcpy(&request.ifr_addr, &address, sizeof(address));
	return ioctl(fd, SIOCSIFADDR, &request) == 0;
}

/*
 * An address of IPv6 is there once the kernel has looked for others that have
 * it, which a work queue of its does, even where there can be none.
 */
static inline bool own_await_address6(int fd, const struct in6_addr *address)
{
	const struct sockaddr_in6 name = { .sin6_family = AF_INET6,
					   .sin6_addr = *address };
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int tries = 0; tries < 10000; tries++) {
		if (bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static inline bool own_add_address6(void)
{
	struct in6_ifreq request = { .ifr6_prefixlen = 128, .ifr6_ifindex = 1 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool added;

	inet_pton(AF_INET6, OWN_ADDRESS6, &request.ifr6_addr);
	added = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0 &&
		own_await_address6(fd, &request.ifr6_addr);
	if (fd >= 0)
		close(fd);
	return added;
}

/* Lets everybody ping, as distributions do. */
static inline void own_allow_ping(void)
{
	static const char range[] = "0 2147483647";
	int fd = open("/proc/sys/net/ipv4/ping_group_range",
		      O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, range, sizeof(range) - 1);
	close(fd);
}

/* The host's resolver is OWN_RESOLVER. */
static inline bool own_resolver(void)
{
	static const char line[] = "nameserver " OWN_RESOLVER "\n";
	char path[] = "/tmp/capsa-resolver-XXXXXX";
	int fd = mkstemp(path);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, line, sizeof(line) - 1) == sizeof(line) - 1 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
	close(fd);
	unlink(path);
	return done;
}

/* NULL, or why it cannot be had. Before any thread is started. */
static inline const char *own_network(void)
{
	int fd;
	bool done;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return "no network namespace can be made";
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	done = fd >= 0 && own_lo_up(fd) && own_add_address(fd) &&
	       own_add_address6() && own_resolver();
	if (fd >= 0)
		close(fd);
	own_allow_ping();
	return done ? NULL : "the network namespace cannot be set up";
}

#endif
