/* SPDX-License-Identifier: MIT */
/* What rules say about a flow. Pure: rules, subject and names in, verdict out.
 */
#ifndef CAPSA_NET_JUDGE_H
#define CAPSA_NET_JUDGE_H

#include "net/rules.h"

enum { PORT_DNS = 53 };

/* What is judged: the other side of a flow. */
struct subject {
	uint8_t protocol; /* enum capsa_protocol */
	bool dns;         /* it is the NAT's DNS server */
	uint16_t port;
	struct net_address address;  /* family 0: not known */
	struct net_address embedded; /* IPv4 in it; family 0: none */
	struct closed_range closed;  /* kind 0: none */
};

struct decision {
	bool allowed;
	bool by_name;        /* a rule for a domain decided */
	uint8_t reason;      /* enum capsa_reason */
	uint8_t closed;      /* enum capsa_closed_range, 0: none */
	uint8_t server_name; /* enum capsa_server_name, 0: not looked at */
	int32_t rule;        /* -1: none */
	const struct domain *name; /* the one that decided, or NULL */
};

struct subject subject_of(const struct net_site *site,
			  enum capsa_protocol protocol,
			  const struct net_address *address, uint16_t port);

/* Whether all conditions of a rule hold; name may be NULL. */
bool judge_matches(const struct rule *rule, const struct subject *subject,
		   const struct domain *name);

/*
 * A flow to an address with these names, of which there may be none. If it is
 * the NAT's DNS server, over TCP; datagrams to that are for judge_query().
 */
struct decision judge_flow(const struct rules *rules,
			   const struct subject *subject,
			   const struct domain *const *names, uint32_t count);

/* A connection of which TLS says whom it is for; name NULL: it does not say. */
struct decision judge_server_name(const struct rules *rules,
				  const struct subject *subject,
				  enum capsa_server_name mode,
				  const struct domain *name);

/* A query to the NAT's DNS server; name NULL: one that no rule knows. */
struct decision judge_query(const struct rules *rules,
			    const struct subject *subject,
			    const struct domain *name);

#endif
