/* SPDX-License-Identifier: MIT */
/* Queries that the guest has made and that may still be answered. */
#ifndef CAPSA_NET_QUERIES_H
#define CAPSA_NET_QUERIES_H

#include "net/dns.h"

enum {
	/* At a time; then the oldest is forgotten. */
	QUERIES_MAX = 256,
	QUERY_ANSWER_MS = 30 * 1000,
};

struct query {
	struct net_address server; /* family 0: none */
	uint16_t port;             /* of the guest */
	uint16_t id;
	uint16_t type;
	struct domain name;
	uint64_t expires_ms;
};

/* Zeroed, it is empty. */
struct queries {
	uint32_t next; /* to be overwritten */
	struct query list[QUERIES_MAX];
};

void queries_note(struct queries *queries, const struct net_address *server,
		  uint16_t port, const struct dns_question *question,
		  uint64_t now_ms);
/* Whether this was asked there; only once for each query. */
bool queries_take(struct queries *queries, const struct net_address *server,
		  uint16_t port, const struct dns_question *question,
		  uint64_t now_ms);

#endif
