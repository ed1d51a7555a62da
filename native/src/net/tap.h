/* SPDX-License-Identifier: MIT */
/* A TAP device of the host, which somebody with the privilege has made. */
#ifndef CAPSA_NET_TAP_H
#define CAPSA_NET_TAP_H

#include "capsa.h"
#include "net/port.h"

/*
 * *out is owned by the caller until it is given to a device. Status: OK, TAP
 * (there is none of this name, it is none, somebody else has it, or this user
 * may not), NO_MEMORY, HOST.
 */
enum capsa_status tap_port_create(struct net_port **out, const char *name,
				  struct capsa_error *error);

#endif
