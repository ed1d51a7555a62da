/* SPDX-License-Identifier: MIT */
/*
 * How much either side of a connection may send before the other has made
 * room (virtio 1.2, section 5.10.6.3). Counters run modulo 2^32; what the
 * guest says of its own is believed only as far as it can be true.
 */
#ifndef CAPSA_VSOCK_CREDIT_H
#define CAPSA_VSOCK_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the guest may send before the host's program has read it: the most
 * that is ever kept for a connection, so that a thousand of them whose readers
 * stand still cost 64 MiB. Linux sends at most as much at a time.
 */
#define VSOCK_BUFFER_BYTES (64u * 1024u)

struct vsock_credit {
	uint32_t sent;        /* bytes to the guest */
	uint32_t guest_room;  /* the size of its buffer */
	uint32_t guest_taken; /* bytes its program has read */
	uint32_t received;    /* bytes of the guest */
	uint32_t taken;       /* of those, passed on to the host */
	uint32_t told;        /* taken, as the guest knows it */
};

/* What a packet says of its sender's buffer. 0, or -EPROTO: it can't be. */
int vsock_credit_hear(struct vsock_credit *credit, uint32_t room,
		      uint32_t taken);

/* How many bytes the guest has room for. */
uint32_t vsock_credit_left(const struct vsock_credit *credit);

/* The guest has sent length bytes. 0, or -EPROTO: more than it may. */
int vsock_credit_receive(struct vsock_credit *credit, uint32_t length);

/* Whether so much was passed on that the guest should be told. */
bool vsock_credit_is_news(const struct vsock_credit *credit);

#endif
