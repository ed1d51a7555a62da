/* SPDX-License-Identifier: MIT */
/*
 * Programs of the host that connect to a machine's vsock path and listen
 * beside it. Their sockets never block.
 */
#ifndef CAPSA_FAKE_PROGRAMS_H
#define CAPSA_FAKE_PROGRAMS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

static char fake_folder[64];
static char fake_path[96];

static inline void fake_make_path(void)
{
	strcpy(fake_folder, "/tmp/capsa-vsock-XXXXXX");
	if (!mkdtemp(fake_folder))
		exit(2);
	(void)snprintf(fake_path, sizeof(fake_path), "%s/v", fake_folder);
}

static inline void fake_remove_path(void)
{
	CHECK(access(fake_path, F_OK) != 0);
	CHECK(rmdir(fake_folder) == 0);
}

static inline struct sockaddr_un fake_address(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* A program of the host that connects; never blocks afterwards. */
static inline int host_connect(void)
{
	struct sockaddr_un address = fake_address(fake_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		exit(2);
	return fd;
}

/* One that listens for a port. */
static inline int host_listen(uint32_t port)
{
	char path[108];
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(path, sizeof(path), "%s_%u", fake_path, port);
	address = fake_address(path);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4096) < 0)
		exit(2);
	return fd;
}

static inline void host_unlisten(int fd, uint32_t port)
{
	char path[108];

	(void)snprintf(path, sizeof(path), "%s_%u", fake_path, port);
	close(fd);
	unlink(path);
}

static inline int host_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static inline bool host_writes(int fd, const void *data, size_t length)
{
	return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static inline bool host_says(int fd, const char *text)
{
	return host_writes(fd, text, strlen(text));
}

#endif
