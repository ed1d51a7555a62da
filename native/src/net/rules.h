/* SPDX-License-Identifier: MIT */
/* A policy's rules: the caller's, checked and copied. They never change. */
#ifndef CAPSA_NET_RULES_H
#define CAPSA_NET_RULES_H

#include "net/address.h"
#include "net/domain.h"

struct rule {
	uint8_t action;      /* enum capsa_action */
	uint8_t protocol;    /* enum capsa_protocol, 0: any */
	uint16_t port_first; /* both 0: any */
	uint16_t port_last;
	struct net_range range; /* family 0: any */
	struct domain domain;   /* empty: any */
	bool below;             /* the names below domain, not itself */
};

struct rules {
	bool open;
	bool recheck;
	bool allow; /* by default */
	bool has_log;
	bool has_domain_deny; /* a rule that denies a domain */
	uint32_t count;
	struct rule list[];
};

/*
 * Status: OK, INVALID_ARGUMENT (error.field names the field, error.subject
 * the rule), NO_MEMORY. *out is set on OK only, to be freed with free().
 */
enum capsa_status rules_copy(struct rules **out,
			     const struct capsa_policy *policy,
			     struct capsa_error *error);

#endif
