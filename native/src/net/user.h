/* SPDX-License-Identifier: MIT */
/*
 * A machine's network of its own behind the host's: a NAT and a DHCP server.
 */
#ifndef CAPSA_NET_USER_H
#define CAPSA_NET_USER_H

#include "capsa.h"
#include "machine_config.h"
#include "net/gate.h"
#include "net/port.h"

/* What a policy for a machine of this hardware address has to know. */
struct net_site user_site(const uint8_t mac[NET_MAC_BYTES]);

/*
 * Takes the ports that config forwards. *out is owned by the caller until it
 * is given to a device. gate is borrowed; with NULL all passes, but the host's
 * loopback is out of reach. Status: OK, NETWORK_MISSING, PORT, NO_MEMORY, HOST.
 */
enum capsa_status user_port_create(struct net_port **out,
				   const struct nic_config *config,
				   struct gate *gate,
				   struct capsa_error *error);

#endif
