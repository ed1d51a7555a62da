/* SPDX-License-Identifier: MIT */
/*
 * The sockets of a NAT, and which of them are ready. libslirp asks for them
 * anew before each wait; the set of epoll follows, and is told of changes
 * only. One thread at a time.
 */
#ifndef CAPSA_NET_NAT_SOCKETS_H
#define CAPSA_NET_NAT_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	NAT_SOCKETS_MAX = 4096, /* beyond what is admitted */
	NAT_STREAMS_MAX = 512,
	NAT_ECHOES_MAX = 128,
	NAT_SOCKET_HASHES = 256,
};

enum nat_socket_kind {
	NAT_LISTENER = 1,
	NAT_STREAM,
	NAT_DATAGRAM, /* UDP */
	NAT_ECHO,
};

struct nat_socket {
	int fd; /* libslirp's; -1: free */
	uint8_t kind;
	bool permanent;   /* of a forwarded port */
	uint16_t chain;   /* next of the same hash, or free; 0: none */
	uint32_t wanted;  /* SLIRP_POLL_*, in the round that is marked */
	uint32_t watched; /* EPOLL*; 0: not in the set */
	uint32_t ready;   /* EPOLL*, as collected */
	uint32_t round;
	uint64_t rests_until_ms; /* a listener that cannot accept */
};

struct nat_sockets {
	int epoll_fd; /* owned; readable when a socket is ready */
	uint32_t round;
	int32_t streams; /* connections */
	int32_t echoes;
	int32_t passing;    /* all that are not permanent */
	uint32_t accepting; /* the listener that was last said to be ready */
	bool accepted;      /* a connection was made since */
	uint16_t used;      /* entries of sockets; the first is none */
	uint16_t free;
	uint16_t heads[NAT_SOCKET_HASHES];
	struct nat_socket sockets[NAT_SOCKETS_MAX];
};

/* 0 or -errno. */
int nat_sockets_create(struct nat_sockets *sockets);
/* After libslirp has closed them. Safe on one whose epoll_fd is -1. */
void nat_sockets_destroy(struct nat_sockets *sockets);

/* libslirp has opened a socket, or is about to close it. */
void nat_sockets_add(struct nat_sockets *sockets, int fd);
void nat_sockets_remove(struct nat_sockets *sockets, int fd);

/* Those that there are, are of forwarded ports. */
void nat_sockets_keep(struct nat_sockets *sockets);

/* A round of wishes: begin, any number of wants, end. */
void nat_sockets_begin(struct nat_sockets *sockets);
/* An index for nat_sockets_ready(), or -1. */
int nat_sockets_want(struct nat_sockets *sockets, int fd, int wanted,
		     uint64_t now_ms);
void nat_sockets_end(struct nat_sockets *sockets);

/*
 * Asks which are ready; whether any is. Bits of *others are set for what else
 * is in the set, with numbers from NAT_SOCKETS_MAX on.
 */
bool nat_sockets_collect(struct nat_sockets *sockets, uint64_t others[2]);
/* SLIRP_POLL_*, of those wanted. */
int nat_sockets_ready(struct nat_sockets *sockets, int index, uint64_t now_ms);
/* After the last of them. When a listener that rests is due, or 0: none. */
uint64_t nat_sockets_settle(struct nat_sockets *sockets, uint64_t now_ms);

#endif
