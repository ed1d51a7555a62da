/* SPDX-License-Identifier: MIT */
/* A policy from inside: policy.c, policy_guest.c and policy_nat.c share it. */
#ifndef CAPSA_NET_POLICY_STATE_H
#define CAPSA_NET_POLICY_STATE_H

#include "net/flows.h"
#include "net/judge.h"
#include "net/names.h"
#include "net/policy.h"
#include "net/policy_log.h"
#include "net/queries.h"

enum {
	/* RFC 2131, 4.1 and RFC 8415, 7.2 */
	POLICY_DHCP_SERVER_PORT = 67,
	POLICY_DHCP_CLIENT_PORT = 68,
	POLICY_DHCPV6_CLIENT_PORT = 546,
	POLICY_DHCPV6_SERVER_PORT = 547,

	/* What is told of denied datagrams and echoes; the rest is silence. */
	POLICY_ERRORS_PER_SECOND = 100,
	POLICY_ERRORS_BURST = 50,
};

struct policy {
	struct net_filter filter; /* first: found from it */
	struct net_site site;
	struct rules *rules; /* owned */
	struct names names;
	struct queries queries;
	struct flows flows;
	struct policy_log log;
	struct rate errors;
	uint8_t udp_forwards[65536 / 8]; /* a bit for each port */
};

enum net_verdict policy_from_guest(struct net_filter *filter,
				   const uint8_t *frame, uint32_t length,
				   uint64_t now_ms, struct net_answer *answer);
enum net_verdict policy_to_guest(struct net_filter *filter,
				 const uint8_t *frame, uint32_t length,
				 uint64_t now_ms, struct net_answer *answer);

/* Whether it is where a guest asks for DHCP, whatever the rules say. */
bool policy_is_dhcp(const struct policy *policy,
		    const struct net_address *address, uint16_t port);

struct subject policy_subject(const struct policy *policy,
			      const struct flow_key *key);
/* What the rules say now about a new flow. */
struct decision policy_judge(const struct policy *policy,
			     const struct flow_key *key, uint64_t now_ms);

/* Lines of the log: what was decided, and rules that only note. */
void policy_note(struct policy *policy, const struct flow_key *key,
		 const struct decision *decision, uint64_t now_ms);
void policy_note_matches(struct policy *policy, const struct flow_key *key,
			 const struct decision *decision, uint64_t now_ms);

/* A TCP connection was used. */
void policy_touch_tcp(struct policy *policy, struct flow *flow,
		      uint64_t now_ms);

#endif
