/* SPDX-License-Identifier: MIT */
/*
 * The host's ends of connections: Unix stream sockets, nonblocking.
 *
 * A program of the host that wants a port of the guest connects to a path and
 * writes "CONNECT <port>\n"; the answer is "OK <port of the host>\n" or
 * "ERR <name of an errno>\n". A guest that wants a port of the host reaches
 * whoever listens at "<path>_<port>".
 */
#ifndef CAPSA_VSOCK_HOST_H
#define CAPSA_VSOCK_HOST_H

#include <stddef.h>
#include <stdint.h>

enum { VSOCK_GREETING_MAX = 24 }; /* longer than any that is right */

/*
 * Listens at path, of at most CAPSA_VSOCK_PATH_MAX bytes, which only its owner
 * may connect to. A socket that is there already and that nobody listens on is
 * replaced. A descriptor or -errno.
 */
int vsock_host_listen(const char *path);

/* Connects to "<path>_<port>". A descriptor or -errno. */
int vsock_host_connect(const char *path, uint32_t port);

/* The port that a line asks for, its end included. 0 or -EINVAL. */
int vsock_host_parse(const char *line, size_t length, uint32_t *port);

/* Answers a line: 0, or -EPIPE if its sender is gone. */
int vsock_host_accepted(int fd, uint32_t port);
/* The same; error is the name of an errno. */
void vsock_host_refused(int fd, const char *error);

#endif
