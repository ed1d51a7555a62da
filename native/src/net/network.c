/* SPDX-License-Identifier: MIT */
#include "net/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "net/nat.h"
#include "net/network_state.h"

enum {
	PREFIX_MIN = 16,
	PREFIX_MAX = 28,
};

/* "10.0.3.0/24": whether it is one, and what it says. */
static bool network_parse(const char *subnet, size_t size, uint32_t *network,
			  uint32_t *mask)
{
	char text[sizeof(((struct capsa_network_config *)NULL)->subnet)];
	struct in_addr address;
	char *slash;
	char *end;
	unsigned long prefix;

	if (!memchr(subnet, '\0', size))
		return false;
	memcpy(text, subnet, sizeof(text));
	slash = strchr(text, '/');
	if (!slash)
		return false;
	*slash = '\0';
	prefix = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || end == slash + 1 || prefix < PREFIX_MIN ||
	    prefix > PREFIX_MAX || inet_pton(AF_INET, text, &address) != 1)
		return false;
	*network = ntohl(address.s_addr);
	*mask = UINT32_MAX << (32 - prefix);
	return (*network & ~*mask) == 0;
}

/* What the DHCP server tells, beside an address. */
static void network_describe(struct network *network)
{
	const struct nat_site *site = &network->site;
	struct dhcp_config *dhcp = &network->dhcp;

	*dhcp = (struct dhcp_config) {
		.server_mac = { 0x52, 0x55 }, /* libslirp's, too */
		.server = site->gateway,
		.mask = site->mask,
	};
	frame_write32(dhcp->server_mac + 2, site->gateway);
	if (network->gate) {
		dhcp->router = site->gateway;
		dhcp->dns_count = 1;
		dhcp->dns[0] = site->dns;
	}
}

enum capsa_status network_create(struct network **out,
				 const struct capsa_network_config *config,
				 const struct capsa_policy *policy,
				 struct capsa_error *error)
{
	const char *field = NULL;
	enum capsa_status status = CAPSA_STATUS_OK;
	struct network *network;
	uint32_t address = 0;
	uint32_t mask = 0;

	if (config->size != sizeof(*config))
		field = "size";
	else if (config->flags & ~(uint32_t)CAPSA_NETWORK_UPLINK)
		field = "flags";
	else if (!network_parse(config->subnet, sizeof(config->subnet),
				&address, &mask))
		field = "subnet";
	if (field)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "capsa_network_open", "config", field,
				 "the value is outside its range");
	network = calloc(1, sizeof(*network));
	if (!network)
		return error_system(error, ENOMEM, "calloc", "network");
	network->site = (struct nat_site) {
		.network = address,
		.mask = mask,
		.gateway = address + 1,
		.dns = address + 2,
		.mtu = config->flags & CAPSA_NETWORK_UPLINK ? NAT_MTU
							    : NETWORK_MTU,
	};
	if (config->flags & CAPSA_NETWORK_UPLINK) {
		struct net_site site = gate_site(&network->site, NULL, 0);

		status = gate_create(&network->gate, &site, policy, error);
	}
	if (status != CAPSA_STATUS_OK) {
		free(network);
		return status;
	}
	network_describe(network);
	leases_init(&network->leases, address, mask);
	pthread_mutex_init(&network->life, NULL);
	pthread_mutex_init(&network->lock, NULL);
	*out = network;
	return CAPSA_STATUS_OK;
}

void network_destroy(struct network *network)
{
	pthread_mutex_destroy(&network->lock);
	pthread_mutex_destroy(&network->life);
	gate_destroy(network->gate);
	free(network);
}

struct gate *network_gate(const struct network *network)
{
	return network->gate;
}

/* With the lock held. */
static bool network_has_mac(const struct network *network, const uint8_t *mac)
{
	for (uint32_t i = 0; i < network->port_count; i++)
		if (memcmp(network->ports[i]->mac, mac, NET_MAC_BYTES) == 0)
			return true;
	return false;
}

/* Gives a port an address and a place. 0 or -errno. */
static int network_add(struct network *network, struct network_port *port)
{
	int result;

	pthread_mutex_lock(&network->lock);
	if (network->port_count == CAPSA_NETWORK_PORTS_MAX)
		result = -ENOSPC;
	else if (network_has_mac(network, port->mac))
		result = -EEXIST;
	else
		result = leases_take(&network->leases, port->mac,
				     &port->address);
	if (result == 0)
		network->ports[network->port_count++] = port;
	pthread_mutex_unlock(&network->lock);
	return result;
}

static enum capsa_status network_refuse(int result, struct capsa_error *error)
{
	switch (-result) {
	case ENOSPC:
		return error_set(error, CAPSA_STATUS_LIMIT, 0, "join",
				 "network", NULL,
				 "the network has no address or port left");
	case EEXIST:
		return error_set(error, CAPSA_STATUS_ADDRESS, -result, "join",
				 "network", "nics.mac",
				 "a machine on the network has the same "
				 "hardware address");
	case EADDRINUSE:
		return error_set(error, CAPSA_STATUS_ADDRESS, -result, "join",
				 "network", "nics.address",
				 "another machine on the network has the "
				 "address");
	default:
		return error_set(error, CAPSA_STATUS_ADDRESS, -result, "join",
				 "network", "nics.address",
				 "the address is none for a machine of the "
				 "network");
	}
}

/* With life held. */
static enum capsa_status network_open_way_out(struct network *network,
					      struct loop *loop,
					      struct capsa_error *error)
{
	if (!network->gate || network->uplink)
		return CAPSA_STATUS_OK;
	return uplink_create(&network->uplink, network, loop, error);
}

enum capsa_status network_join(struct network *network, struct net_port **out,
			       const struct nic_config *config,
			       struct loop *loop, struct capsa_error *error)
{
	struct network_port *port = calloc(1, sizeof(*port));
	enum capsa_status status = CAPSA_STATUS_OK;
	int result;

	if (!port)
		return error_system(error, ENOMEM, "calloc", "network");
	memcpy(port->mac, config->mac, NET_MAC_BYTES);
	port->address = config->address;
	result = network_port_init(port, network);
	if (result < 0) {
		status = error_system(error, -result, "create", "network");
		network_port_free(port);
		free(port);
		return status;
	}
	pthread_mutex_lock(&network->life);
	result = network_add(network, port);
	if (result == 0)
		status = network_open_way_out(network, loop, error);
	pthread_mutex_unlock(&network->life);
	if (result < 0)
		status = network_refuse(result, error);
	if (status != CAPSA_STATUS_OK) {
		port->port.ops->destroy(&port->port);
		return status;
	}
	*out = &port->port;
	return CAPSA_STATUS_OK;
}
