/* SPDX-License-Identifier: MIT */
/*
 * A network of machines: a switch, a DHCP server, and if it is wanted a way out
 * through the host.
 *
 * Each port has one machine, one hardware address and one IPv4 address, which
 * its frames must come from. So there is nothing to learn but who uses which
 * IPv6 address, and nothing to be flooded but what is for everybody.
 *
 * Any thread. No machine waits for another: frames for one whose queue is full
 * are dropped.
 */
#ifndef CAPSA_NET_NETWORK_H
#define CAPSA_NET_NETWORK_H

#include "capsa.h"
#include "loop.h"
#include "machine_config.h"
#include "net/gate.h"
#include "net/port.h"

struct network;

/*
 * Checks the description and makes a network without ports. policy is the way
 * out's; NULL: everything but closed ranges. Status: OK, INVALID_ARGUMENT,
 * NO_MEMORY, HOST.
 */
enum capsa_status network_create(struct network **out,
				 const struct capsa_network_config *config,
				 const struct capsa_policy *policy,
				 struct capsa_error *error);
/* After its last port. */
void network_destroy(struct network *network);

/* What guards the way out, as long as the network is there; NULL: no way. */
struct gate *network_gate(const struct network *network);

/*
 * A port for the machine that config describes, on whose loop an uplink may
 * work. It leaves the network when it is destroyed, not on a loop's thread.
 * Status: OK, ADDRESS (not of this network, or taken), LIMIT, NETWORK_MISSING,
 * NO_MEMORY, HOST.
 */
enum capsa_status network_join(struct network *network, struct net_port **out,
			       const struct nic_config *config,
			       struct loop *loop, struct capsa_error *error);

#endif
