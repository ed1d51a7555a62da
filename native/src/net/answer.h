/* SPDX-License-Identifier: MIT */
/* Frames that a policy says no with. Each returns its length. */
#ifndef CAPSA_NET_ANSWER_H
#define CAPSA_NET_ANSWER_H

#include "net/dns.h"
#include "net/filter.h"
#include "net/packet.h"

/* Resets a connection for the one who sent a segment of it, or the other. */
uint32_t answer_reset_sender(uint8_t frame[NET_NAT_ANSWER_MAX],
			     const struct net_packet *packet);
uint32_t answer_reset_receiver(uint8_t frame[NET_NAT_ANSWER_MAX],
			       const struct net_packet *packet);

/* ICMP: administratively prohibited; by the gateway, to the sender. */
uint32_t answer_prohibited(uint8_t frame[NET_GUEST_ANSWER_MAX],
			   const struct net_packet *packet,
			   const struct net_site *site);

/* DNS: there is no such name; to the sender of a query. */
uint32_t answer_no_name(uint8_t frame[NET_GUEST_ANSWER_MAX],
			const struct net_packet *packet,
			const struct dns_question *question);

#endif
