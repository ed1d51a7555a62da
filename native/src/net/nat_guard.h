/* SPDX-License-Identifier: MIT */
/*
 * Which frames of a guest libslirp may see. It was written for guests that one
 * trusts: some well-formed frames make it print, read beyond a message, or end
 * the process, others make it talk to the host's loopback. What it has no use
 * for is dropped here, and so is what comes from, or goes to, addresses that
 * cannot be on a wire.
 */
#ifndef CAPSA_NET_NAT_GUARD_H
#define CAPSA_NET_NAT_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "net/frame.h"

/* The network behind a NAT. Addresses are numbers: 10.0.2.2 is 0x0a000202. */
struct nat_site {
	uint32_t network;
	uint32_t mask;
	uint32_t gateway;
	uint32_t dns;
	uint16_t mtu;
};

/*
 * IPv6 is the same everywhere: fd00::/64, with the gateway at fd00::2 and the
 * DNS server at fd00::3.
 */
extern const uint8_t nat_prefix6[16];
extern const uint8_t nat_gateway6[16];
extern const uint8_t nat_dns6[16];

/* Whether it is one that a guest may have, of a network like any other. */
bool nat_guard_is_guest6(const uint8_t address[16]);

/* Whether it is the gateway's or the DNS server's, or theirs on the link. */
bool nat_guard_is_service6(const uint8_t address[16]);

/* frame is whole; view tells of it. */
bool nat_guard_admits(const struct nat_site *site, const uint8_t *frame,
		      const struct frame_view *view);

/*
 * Makes urgent data of TCP ordinary: libslirp would send bytes that it does not
 * have.
 */
void nat_guard_calm(uint8_t *frame, const struct frame_view *view);

#endif
