/* SPDX-License-Identifier: MIT */
/* Queries and answers of DNS (RFC 1035), read for their names and addresses. */
#ifndef CAPSA_NET_DNS_H
#define CAPSA_NET_DNS_H

#include "net/address.h"
#include "net/domain.h"

enum {
	DNS_HEADER = 12,
	/* Of one answer; those that follow teach nothing. */
	DNS_RECORDS_MAX = 64,
	/* The name that was asked for and its aliases. */
	DNS_CHAIN_MAX = 16,
};

struct dns_question {
	uint16_t id; /* of its message */
	uint16_t type;
	uint32_t end;     /* from the start of the message */
	bool is_strange;  /* no host can have the name; name is cut */
	bool is_extended; /* a query with an OPT record (RFC 6891) */
	struct domain name;
};

struct dns_alias {
	struct domain name;
	uint32_t ttl_s; /* of the record that leads to the next name */
};

/* The names chain[0] to chain[depth] have this address. */
struct dns_address {
	struct net_address address;
	uint32_t depth;
	uint32_t ttl_s;
};

struct dns_answer {
	struct dns_question question;
	uint32_t chain_count;
	struct dns_alias chain[DNS_CHAIN_MAX];
	uint32_t address_count;
	struct dns_address addresses[DNS_RECORDS_MAX];
};

/* 0, or -EBADMSG for what is no standard query with one question. */
int dns_read_query(struct dns_question *question, const uint8_t *message,
		   uint32_t length);

/*
 * 0, or -EBADMSG for what is malformed, reports an error, or asks for a name
 * that no host can have.
 */
int dns_read_answer(struct dns_answer *answer, const uint8_t *message,
		    uint32_t length);

/* How long chain[index] has an address: as all records on the way say. */
uint32_t dns_ttl_s(const struct dns_answer *answer,
		   const struct dns_address *address, uint32_t index);

#endif
