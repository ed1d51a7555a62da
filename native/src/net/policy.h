/* SPDX-License-Identifier: MIT */
/*
 * What a machine may reach, enforced on the frames between it and its NAT.
 * docs/NETWORK-POLICY.md is the specification.
 *
 * Pure: no sockets, threads or clock. The caller calls one function of a
 * policy at a time; times of all calls come from one clock and never go back.
 */
#ifndef CAPSA_NET_POLICY_H
#define CAPSA_NET_POLICY_H

#include "net/filter.h"
#include "net/hash.h"
#include "net/rules.h"

struct policy;

/*
 * 0 or -ENOMEM. Takes rules, which policy_destroy() frees, on success only.
 * key must be unpredictable. Memory is of a fixed size, about 12 MiB, and
 * taken from the host as far as it is used.
 */
int policy_create(struct policy **out, const struct net_site *site,
		  struct rules *rules, const struct hash_key *key);
void policy_destroy(struct policy *policy);

/* For the NAT; lives as long as the policy. */
struct net_filter *policy_filter(struct policy *policy);

/*
 * A UDP port of the guest that the host forwards to. Other datagrams that
 * belong to no flow of the guest don't reach it: its NAT may hand it what
 * anybody sends, and an answer to that would be a flow that no rule allowed.
 */
void policy_forward_udp(struct policy *policy, uint16_t guest_port);

/* Takes rules and frees the old ones. Every frame sees all or none of them. */
void policy_replace(struct policy *policy, struct rules *rules,
		    uint64_t now_ms);

/*
 * What would be decided about a new flow, and why; decision is filled but for
 * its size. name may be NULL: the names that the address has at present.
 */
void policy_explain(const struct policy *policy, const struct capsa_flow *flow,
		    const struct domain *name, uint64_t now_ms,
		    struct capsa_decision *decision);

/* Takes up to capacity of the oldest lines of the log; returns how many. */
uint32_t policy_take_log(struct policy *policy, struct capsa_decision *lines,
			 uint32_t capacity);

#endif
