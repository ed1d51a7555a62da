/* SPDX-License-Identifier: MIT */
/*
 * A machine's network of its own behind the host's: a NAT and a DHCP server.
 */
#ifndef CAPSA_NET_USER_H
#define CAPSA_NET_USER_H

#include "capsa.h"
#include "machine_config.h"
#include "net/filter.h"
#include "net/port.h"

/*
 * Takes the ports that config forwards. *out is owned by the caller until it
 * is given to a device. filter is borrowed, and NULL lets all pass;
 * host_loopback makes the gateway's address lead to the host's loopback.
 * Status: OK, NETWORK_MISSING, PORT, NO_MEMORY, HOST.
 */
enum capsa_status user_port_create(struct net_port **out,
				   const struct nic_config *config,
				   struct net_filter *filter,
				   bool host_loopback,
				   struct capsa_error *error);

#endif
