/* SPDX-License-Identifier: MIT */
/*
 * A policy in use: frames pass through it on one thread, while others ask it
 * why, and give it other rules. Any thread; nobody is kept longer than a frame
 * takes, or a look at all connections.
 */
#ifndef CAPSA_NET_GATE_H
#define CAPSA_NET_GATE_H

#include "capsa.h"
#include "net/address.h"
#include "net/filter.h"
#include "net/nat_guard.h"

struct gate;

/*
 * The site of a policy for the guests of a NAT: one with this hardware address
 * and IPv4 address; or, where mac is NULL, all that a switch lets through.
 */
struct net_site gate_site(const struct nat_site *site, const uint8_t *mac,
			  uint32_t address);

/*
 * policy NULL: everything but closed ranges. Status: OK, INVALID_ARGUMENT
 * (error names the rule and the field), NO_MEMORY, HOST.
 */
enum capsa_status gate_create(struct gate **out, const struct net_site *site,
			      const struct capsa_policy *policy,
			      struct capsa_error *error);
/* After its last use as a filter. NULL is fine. */
void gate_destroy(struct gate *gate);

/* For the NAT; lives as long as the gate. */
struct net_filter *gate_filter(struct gate *gate);

/* What policy_forward_udp() says. */
void gate_forward_udp(struct gate *gate, uint16_t guest_port);

/* Status: as of gate_create(). The old rules hold on where it fails. */
enum capsa_status gate_replace(struct gate *gate,
			       const struct capsa_policy *policy,
			       struct capsa_error *error);

/*
 * What would be decided about a flow to a name, which may be NULL. Status: OK,
 * INVALID_ARGUMENT.
 */
enum capsa_status gate_explain(struct gate *gate, const struct capsa_flow *flow,
			       const char *name,
			       struct capsa_decision *decision);

/* Up to capacity of the oldest lines of the log; how many there were. */
uint32_t gate_take_log(struct gate *gate, struct capsa_decision *lines,
		       uint32_t capacity);

#endif
