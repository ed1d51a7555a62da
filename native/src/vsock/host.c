/* SPDX-License-Identifier: MIT */
#include "vsock/host.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "capsa.h"

enum {
	/* Programs that wait for a guest whose driver is not ready. */
	HOST_BACKLOG = 1024,
	HOST_ANSWER_MAX = 32,
};

#define HOST_PORT_ANY UINT32_MAX /* no port: VMADDR_PORT_ANY */

static const char host_greeting[] = "CONNECT ";

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) >=
		       CAPSA_VSOCK_PATH_MAX + sizeof("_4294967295"),
	       "every port has a path");

static int host_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static int host_bind(int fd, const struct sockaddr_un *address)
{
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0
		       ? -errno
		       : 0;
}

static int host_connect(const struct sockaddr_un *address)
{
	int fd = host_socket();
	int error;

	if (fd < 0)
		return fd;
	/* That of a Unix socket is never under way: it is done or refused. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
	    0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Whether a path is a socket whose owner is gone. */
static bool host_is_abandoned(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = host_connect(address);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* Nobody can connect before it listens, so its mode is in time. */
static int host_open(int fd, const struct sockaddr_un *address)
{
	int result = host_bind(fd, address);

	if (result == -EADDRINUSE && host_is_abandoned(address)) {
		unlink(address->sun_path);
		result = host_bind(fd, address);
	}
	if (result < 0)
		return result;
	if (chmod(address->sun_path, S_IRUSR | S_IWUSR) < 0 ||
	    listen(fd, HOST_BACKLOG) < 0) {
		result = -errno;
		unlink(address->sun_path);
	}
	return result;
}

int vsock_host_listen(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int result;
	int fd;

	if (length > CAPSA_VSOCK_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	fd = host_socket();
	if (fd < 0)
		return fd;
	result = host_open(fd, &address);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

int vsock_host_connect(const char *path, uint32_t port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u",
		       path, port);
	return host_connect(&address);
}

int vsock_host_parse(const char *line, size_t length, uint32_t *port)
{
	const size_t start = sizeof(host_greeting) - 1;
	uint64_t number = 0;

	if (length < start + 2 || memcmp(line, host_greeting, start) != 0 ||
	    line[length - 1] != '\n')
		return -EINVAL;
	for (size_t i = start; i < length - 1; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(line[i] - '0');
		if (number >= HOST_PORT_ANY)
			return -EINVAL;
	}
	*port = (uint32_t)number;
	return 0;
}

/* It is the first that is sent, so there is room unless nobody is left. */
static int host_answer(int fd, const char *text, int length)
{
	return send(fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) ==
			       length
		       ? 0
		       : -EPIPE;
}

int vsock_host_accepted(int fd, uint32_t port)
{
	char text[HOST_ANSWER_MAX];

	return host_answer(fd, text,
			   snprintf(text, sizeof(text), "OK %u\n", port));
}

void vsock_host_refused(int fd, const char *error)
{
	char text[HOST_ANSWER_MAX];

	(void)host_answer(fd, text,
			  snprintf(text, sizeof(text), "ERR %s\n", error));
}
