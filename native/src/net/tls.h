/* SPDX-License-Identifier: MIT */
/* The first words of a TLS client (RFC 8446, 4.1.2), read for the server name.
 */
#ifndef CAPSA_NET_TLS_H
#define CAPSA_NET_TLS_H

#include "net/domain.h"

enum tls_result {
	TLS_MORE = 1, /* nothing wrong so far */
	TLS_HELLO,
	TLS_OTHER,  /* not TLS */
	TLS_BROKEN, /* it begins like TLS */
};

struct tls_hello {
	/* Bytes that the result rests on; those that follow do not matter. */
	uint32_t length;
	/* ECH is offered, or seems to be: the name is not the real one. */
	bool is_encrypted;
	struct domain name; /* empty: none, or none that a host can have */
};

/* Reads what a client has sent so far, which begins with its first byte. */
enum tls_result tls_read_hello(struct tls_hello *hello, const uint8_t *bytes,
			       uint32_t length);

#endif
