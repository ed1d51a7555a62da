/* SPDX-License-Identifier: MIT */
/* Names of domains, in the one form in which all of them are compared. */
#ifndef CAPSA_NET_DOMAIN_H
#define CAPSA_NET_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"

enum { DOMAIN_LABEL_MAX = 63 /* RFC 1035, 2.3.4 */ };

/*
 * Lower case, with dots between labels and none at the end; empty: the root.
 * A label has letters, digits, hyphens and underscores: an international name
 * comes as punycode, and a label with a dot in it cannot pass for two.
 */
struct domain {
	uint8_t length;
	char text[CAPSA_DOMAIN_MAX + 1]; /* and NUL */
};

/* Appends a label; false if it is none, or the name becomes too long. */
bool domain_append(struct domain *domain, const uint8_t *label,
		   uint32_t length);
/* A name as people and TLS write it; false if it is none. */
bool domain_read(struct domain *domain, const uint8_t *text, uint32_t length);
bool domain_is(const struct domain *a, const struct domain *b);
/* Whether domain has at least one label before those of parent. */
bool domain_is_below(const struct domain *domain, const struct domain *parent);

#endif
