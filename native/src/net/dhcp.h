/* SPDX-License-Identifier: MIT */
/*
 * A DHCP server (RFC 2131) for clients whose addresses are decided already: it
 * keeps nothing. Pure: a request in, an answer out.
 */
#ifndef CAPSA_NET_DHCP_H
#define CAPSA_NET_DHCP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/frame.h"
#include "net/port.h"

enum {
	DHCP_DNS_MAX = 8,
	/*
	 * With all else it must fit the 312 bytes of options that clients have
	 * to take (RFC 2131, section 2).
	 */
	DHCP_SEARCH_MAX = 192,
	DHCP_FRAME_MAX = 640,
};

/* What the server tells. Addresses are numbers: 10.0.2.15 is 0x0a00020f. */
struct dhcp_config {
	uint8_t server_mac[NET_MAC_BYTES];
	uint32_t server;
	uint32_t mask;
	uint32_t router; /* 0: none */
	uint32_t dns_count;
	uint32_t dns[DHCP_DNS_MAX];
	uint32_t search_length;
	uint8_t search[DHCP_SEARCH_MAX]; /* as RFC 3397 has it */
};

/*
 * Adds a domain to the *length bytes at search, which has DHCP_SEARCH_MAX. 0,
 * -EINVAL for what is no name, -ENOSPC when there are too many.
 */
int dhcp_encode_domain(uint8_t *search, uint32_t *length, const char *domain);

/* Whether a frame is for a DHCP server. */
bool dhcp_is_request(const struct frame_view *view);

/*
 * Answers the client at mac, whose address is or will be address. frame, of
 * which view tells, is whole. The answer, of at most DHCP_FRAME_MAX bytes, is
 * put into out; its length, or 0: there is none.
 */
uint32_t dhcp_answer(const struct dhcp_config *config, uint32_t address,
		     const uint8_t mac[NET_MAC_BYTES], const uint8_t *frame,
		     const struct frame_view *view, uint8_t *out);

#endif
