/* SPDX-License-Identifier: MIT */
/*
 * The first bytes of TCP connections, kept from the guest's first byte until
 * the NAT has acknowledged all bytes that a verdict rests on. What the guest
 * sends again must be the same: a NAT that has not taken the first copy would
 * otherwise pass on bytes that nobody has judged.
 */
#ifndef CAPSA_NET_STREAM_H
#define CAPSA_NET_STREAM_H

#include "net/packet.h"

enum {
	/* A ClientHello that needs more is none that a client sends. */
	STREAM_BYTES_MAX = 16 * 1024,
	/* At a time. */
	STREAMS_MAX = 256,
};

enum stream_result {
	STREAM_PASS = 1,
	STREAM_DROP,  /* the sender will send it again */
	STREAM_CUT,   /* the sides don't agree on the bytes: end it */
	STREAM_JUDGE, /* there are new bytes; pass unless they are bad */
	STREAM_DONE,  /* pass, and forget the stream */
};

struct stream {
	uint16_t next_free; /* index + 1 */
	uint32_t length;    /* bytes kept */
	uint32_t judged;    /* of them, what the verdict rests on; 0: none */
	uint32_t high;      /* end of what was passed */
	uint8_t bytes[STREAM_BYTES_MAX];
};

/* Zeroed, all are free. */
struct streams {
	uint16_t first_free; /* index + 1 */
	uint16_t used;       /* those behind it were never taken */
	struct stream list[STREAMS_MAX];
};

/* A number for streams_at(), or 0 if all are taken. */
uint16_t streams_take(struct streams *streams);
struct stream *streams_at(struct streams *streams, uint16_t number);
void streams_free(struct streams *streams, uint16_t number);

/*
 * A segment of the guest on a connection that the NAT has accepted; base is
 * the number of the first byte. Without a payload there may be no stream yet.
 * guest_fin: the guest has ended its side.
 */
enum stream_result stream_from_guest(struct stream *stream, uint32_t base,
				     bool guest_fin,
				     const struct net_packet *packet);
/* A segment of the NAT on such a connection. */
enum stream_result stream_to_guest(const struct stream *stream, uint32_t base,
				   bool guest_fin,
				   const struct net_packet *packet);

#endif
