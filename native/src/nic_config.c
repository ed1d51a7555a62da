/* SPDX-License-Identifier: MIT */
/* The network device of a machine's description. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machine_config_parts.h"

enum {
	ADDRESS_TEXT_MAX = INET6_ADDRSTRLEN - 1,
	DNS_TEXT_MAX = CAPSA_DNS_SERVERS_MAX * INET_ADDRSTRLEN,
	SEARCH_TEXT_MAX = DHCP_SEARCH_MAX,
	/* Rules, each with the longest name */
	POLICY_BYTES_MAX = (int)(sizeof(struct capsa_policy) +
				 CAPSA_RULES_MAX * (sizeof(struct capsa_rule) +
						    CAPSA_DOMAIN_MAX + 2)),
	MAC_GROUP = 1, /* bit of the first byte: not for one receiver */
};

static enum capsa_status config_forward(
	struct forward_config *copy, const struct capsa_machine_config *config,
	const struct capsa_forward *forward, struct capsa_error *error)
{
	struct in6_addr address;
	enum capsa_status status;

	if (forward->size != sizeof(*forward) || forward->host_port == 0 ||
	    forward->guest_port == 0 || forward->address.length == 0 ||
	    (forward->protocol != CAPSA_PROTOCOL_TCP &&
	     forward->protocol != CAPSA_PROTOCOL_UDP))
		return config_refuse(error, "nics.forwards",
				     "a forward is outside its range");
	copy->protocol = (enum capsa_protocol)forward->protocol;
	copy->host_port = forward->host_port;
	copy->guest_port = forward->guest_port;
	status = config_text(&copy->address, config, forward->address,
			     ADDRESS_TEXT_MAX, "nics.forwards.address", error);
	if (status != CAPSA_STATUS_OK)
		return status;
	if (inet_pton(AF_INET, copy->address, &address) != 1 &&
	    inet_pton(AF_INET6, copy->address, &address) != 1)
		return config_refuse(error, "nics.forwards.address",
				     "the text is no such address");
	return CAPSA_STATUS_OK;
}

static enum capsa_status config_forwards(
	struct nic_config *copy, const struct capsa_machine_config *config,
	struct capsa_slice slice, struct capsa_error *error)
{
	const uint8_t *start = NULL;
	uint32_t count;
	enum capsa_status status = config_array(
		config, slice, sizeof(struct capsa_forward), CAPSA_FORWARDS_MAX,
		"nics.forwards", &start, &count, error);

	while (status == CAPSA_STATUS_OK && copy->forward_count < count) {
		uint32_t index = copy->forward_count++;
		struct capsa_forward forward;

		memcpy(&forward, start + sizeof(forward) * index,
		       sizeof(forward));
		status = config_forward(&copy->forwards[index], config,
					&forward, error);
	}
	return status;
}

static bool config_is_ipv4(const char *text, uint32_t *address)
{
	struct in_addr bytes;

	if (inet_pton(AF_INET, text, &bytes) != 1)
		return false;
	*address = ntohl(bytes.s_addr);
	return true;
}

static enum capsa_status config_dns_servers(
	struct nic_config *copy, const struct capsa_machine_config *config,
	struct capsa_slice slice, struct capsa_error *error)
{
	char *text = NULL;
	char *rest = NULL;
	enum capsa_status status = config_text(
		&text, config, slice, DNS_TEXT_MAX, "nics.dns_servers", error);

	for (const char *word = text ? strtok_r(text, " ", &rest) : NULL;
	     word && status == CAPSA_STATUS_OK;
	     word = strtok_r(NULL, " ", &rest)) {
		if (copy->dns_count == CAPSA_DNS_SERVERS_MAX ||
		    !config_is_ipv4(word, &copy->dns[copy->dns_count]))
			status = config_refuse(
				error, "nics.dns_servers",
				"there are too many, or one is no IPv4 "
				"address");
		copy->dns_count++;
	}
	free(text);
	return status;
}

static enum capsa_status config_dns_search(
	struct nic_config *copy, const struct capsa_machine_config *config,
	struct capsa_slice slice, struct capsa_error *error)
{
	char *text = NULL;
	char *rest = NULL;
	enum capsa_status status = config_text(&text, config, slice,
					       SEARCH_TEXT_MAX,
					       "nics.dns_search", error);

	for (const char *word = text ? strtok_r(text, " ", &rest) : NULL;
	     word && status == CAPSA_STATUS_OK;
	     word = strtok_r(NULL, " ", &rest)) {
		if (dhcp_encode_domain(copy->search, &copy->search_length,
				       word) < 0)
			status = config_refuse(error, "nics.dns_search",
					       "there are too many, or one is "
					       "no domain");
	}
	free(text);
	return status;
}

/* Its rules are checked where they are copied. */
static enum capsa_status config_policy(
	struct nic_config *copy, const struct capsa_machine_config *config,
	struct capsa_slice slice, struct capsa_error *error)
{
	const void *start = config_part(config, slice);

	if (slice.length == 0)
		return CAPSA_STATUS_OK;
	if (!start || slice.length < sizeof(*copy->policy) ||
	    slice.length > POLICY_BYTES_MAX)
		return config_refuse(error, "nics.policy",
				     "the value is outside its range");
	copy->policy = malloc(slice.length);
	if (!copy->policy)
		return error_system(error, ENOMEM, "malloc", NULL);
	memcpy(copy->policy, start, slice.length);
	if (copy->policy->total != slice.length)
		return config_refuse(error, "nics.policy",
				     "it has not the bytes it says");
	return CAPSA_STATUS_OK;
}

/* As the host's kernel has it, and no path. */
static bool config_is_device(const char *name)
{
	return name && !strpbrk(name, "/: \t\n") && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static enum capsa_status config_shared_address(
	struct nic_config *copy, const struct capsa_machine_config *config,
	struct capsa_slice slice, struct capsa_error *error)
{
	char *text = NULL;
	enum capsa_status status = config_text(
		&text, config, slice, ADDRESS_TEXT_MAX, "nics.address", error);

	if (status == CAPSA_STATUS_OK && text &&
	    !config_is_ipv4(text, &copy->address))
		status = config_refuse(error, "nics.address",
				       "the text is no IPv4 address");
	free(text);
	return status;
}

static enum capsa_status config_nic(struct nic_config *copy,
				    const struct capsa_machine_config *config,
				    const struct capsa_nic *nic,
				    struct capsa_error *error)
{
	enum capsa_status status = CAPSA_STATUS_OK;

	if (nic->size != sizeof(*nic) || nic->mac[0] & MAC_GROUP ||
	    nic->mode < CAPSA_NETWORK_USER || nic->mode > CAPSA_NETWORK_SHARED)
		return config_refuse(error, "nics",
				     "a device is outside its range");
	copy->mode = (enum capsa_network_mode)nic->mode;
	copy->network = nic->network;
	memcpy(copy->mac, nic->mac, sizeof(copy->mac));
	switch (copy->mode) {
	case CAPSA_NETWORK_USER:
		status = config_forwards(copy, config, nic->forwards, error);
		if (status == CAPSA_STATUS_OK)
			status = config_dns_servers(copy, config,
						    nic->dns_servers, error);
		if (status == CAPSA_STATUS_OK)
			status = config_dns_search(copy, config,
						   nic->dns_search, error);
		if (status == CAPSA_STATUS_OK)
			status = config_policy(copy, config, nic->policy,
					       error);
		return status;
	case CAPSA_NETWORK_TAP:
		status = config_text(&copy->device, config, nic->device,
				     IFNAMSIZ - 1, "nics.device", error);
		if (status == CAPSA_STATUS_OK &&
		    !config_is_device(copy->device))
			status = config_refuse(error, "nics.device",
					       "the text is no device's name");
		return status;
	default:
		return config_shared_address(copy, config, nic->address, error);
	}
}

enum capsa_status config_nics(struct machine_config *copy,
			      const struct capsa_machine_config *config,
			      struct capsa_error *error)
{
	const uint8_t *start = NULL;
	uint32_t count;
	struct capsa_nic nic;
	enum capsa_status status = config_array(config, config->nics,
						sizeof(nic), 1, "nics", &start,
						&count, error);

	if (status != CAPSA_STATUS_OK || count == 0)
		return status;
	memcpy(&nic, start, sizeof(nic));
	copy->has_nic = true;
	return config_nic(&copy->nic, config, &nic, error);
}

void config_free_nic(struct nic_config *nic)
{
	for (uint32_t i = 0; i < nic->forward_count; i++)
		free(nic->forwards[i].address);
	free(nic->device);
	free(nic->policy);
}
