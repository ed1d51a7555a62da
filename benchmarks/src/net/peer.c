/* SPDX-License-Identifier: MIT */
/*
 * Both ends of what the benchmark of networks measures.
 *
 *   peer serve-tcp PORT | serve-unix PATH
 *       Does on each connection, one after the other, what its first eight
 *       bytes say: a letter and a number in digits, filled with spaces.
 *   peer tcp ADDRESS PORT | vsock CID PORT  pull|push|ask  NUMBER
 *       Connects, and prints the microseconds that it took to pull or push so
 *       many MiB, or to ask so many questions and have them answered.
 */
#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, PART = 128 * 1024, HEAD = 8 };

static char part[PART];

static void check(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void read_all(int fd, size_t length)
{
	while (length > 0) {
		size_t wanted = length < PART ? length : PART;
		ssize_t count = read(fd, part, wanted);

		check(count > 0, "read");
		length -= (size_t)count;
	}
}

static void write_all(int fd, size_t length)
{
	while (length > 0) {
		size_t wanted = length < PART ? length : PART;
		ssize_t count = write(fd, part, wanted);

		check(count > 0, "write");
		length -= (size_t)count;
	}
}

/* Small writes are not held back; sockets of other families have no such. */
static int prompt(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void serve_one(int fd)
{
	char head[HEAD + 1] = "";
	size_t number;

	check(recv(fd, head, HEAD, MSG_WAITALL) == HEAD, "head");
	number = strtoul(head + 1, NULL, 10);
	switch (head[0]) {
	case 'l':
		write_all(fd, number * MIB);
		break;
	case 's':
		read_all(fd, number * MIB);
		write_all(fd, 1);
		break;
	default:
		for (size_t i = 0; i < number; i++) {
			read_all(fd, 1);
			write_all(fd, 1);
		}
	}
	read(fd, part, 1); /* the end */
	close(fd);
}

static void serve(int fd, const void *address, socklen_t length)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(fd, address, length) == 0, "bind");
	check(listen(fd, 8) == 0, "listen");
	puts("listening");
	fflush(stdout);
	for (;;)
		serve_one(prompt(accept(fd, NULL, NULL)));
}

static struct sockaddr_in tcp_address(const char *address, const char *port)
{
	return (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_addr.s_addr = inet_addr(address),
		.sin_port = htons((uint16_t)atoi(port)),
	};
}

static int connected(const char *family, const char *to, const char *port)
{
	struct sockaddr_in tcp = tcp_address(to, port);
	struct sockaddr_vm vsock = {
		.svm_family = AF_VSOCK,
		.svm_cid = (unsigned int)atoi(to),
		.svm_port = (unsigned int)atoi(port),
	};
	int is_tcp = strcmp(family, "tcp") == 0;
	int fd = socket(is_tcp ? AF_INET : AF_VSOCK, SOCK_STREAM, 0);
	int status = is_tcp ? connect(fd, (void *)&tcp, sizeof(tcp))
			    : connect(fd, (void *)&vsock, sizeof(vsock));

	check(status == 0, "connect");
	return is_tcp ? prompt(fd) : fd;
}

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void measure(int fd, const char *what, const char *number)
{
	size_t count = strtoul(number, NULL, 10);
	char head[HEAD + 1];
	long long start;

	snprintf(head, sizeof(head), "%c%-7zu", what[2], count);
	check(write(fd, head, HEAD) == HEAD, "head");
	start = now_us();
	switch (what[2]) {
	case 'l':
		read_all(fd, count * MIB);
		break;
	case 's':
		write_all(fd, count * MIB);
		read_all(fd, 1);
		break;
	default:
		for (size_t i = 0; i < count; i++) {
			write_all(fd, 1);
			read_all(fd, 1);
		}
	}
	printf("took %lld\n", now_us() - start);
}

int main(int count, char **words)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };

	if (count == 3 && strcmp(words[1], "serve-tcp") == 0) {
		struct sockaddr_in here = tcp_address("127.0.0.1", words[2]);

		serve(socket(AF_INET, SOCK_STREAM, 0), &here, sizeof(here));
	} else if (count == 3 && strcmp(words[1], "serve-unix") == 0) {
		snprintf(path.sun_path, sizeof(path.sun_path), "%s", words[2]);
		serve(socket(AF_UNIX, SOCK_STREAM, 0), &path, sizeof(path));
	} else if (count == 6) {
		measure(connected(words[1], words[2], words[3]), words[4],
			words[5]);
		return 0;
	}
	return 2;
}
