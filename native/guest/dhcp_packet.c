/* SPDX-License-Identifier: MIT */
#include "dhcp_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	BOOT_REQUEST = 1,
	BOOT_REPLY = 2,
	ETHERNET = 1,
	BROADCAST = 0x8000,
	OPTIONS = 240, /* where they begin */

	OPTION_PAD = 0,
	OPTION_NETMASK = 1,
	OPTION_ROUTER = 3,
	OPTION_NAMESERVER = 6,
	OPTION_DOMAIN = 15,
	OPTION_MTU = 26,
	OPTION_ADDRESS = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_WANTED = 55,
	OPTION_SEARCH = 119,
	OPTION_END = 255,
};

static const uint8_t magic[] = { 99, 130, 83, 99 };

/* The fixed part. */
struct dhcp_head {
	uint8_t operation;
	uint8_t hardware;
	uint8_t hardware_bytes;
	uint8_t hops;
	uint32_t transaction;
	uint16_t seconds;
	uint16_t flags;
	uint32_t client_address;
	uint32_t your_address;
	uint32_t server_address;
	uint32_t relay_address;
	uint8_t hardware_address[16];
};

static size_t put_option(uint8_t *packet, size_t at, uint8_t code,
			 const void *value, uint8_t length)
{
	packet[at] = code;
	packet[at + 1] = length;
	memcpy(packet + at + 2, value, length);
	return at + 2 + length;
}

size_t dhcp_encode(const struct dhcp_client *client, enum dhcp_type type,
		   const struct dhcp_lease *lease, int renews,
		   uint8_t packet[DHCP_PACKET_BYTES])
{
	static const uint8_t wanted[] = { OPTION_NETMASK,    OPTION_ROUTER,
					  OPTION_NAMESERVER, OPTION_DOMAIN,
					  OPTION_MTU,        OPTION_LEASE,
					  OPTION_SEARCH };
	uint8_t type_byte = (uint8_t)type;
	struct dhcp_head head = {
		.operation = BOOT_REQUEST,
		.hardware = ETHERNET,
		.hardware_bytes = DHCP_MAC_BYTES,
		.transaction = client->transaction,
		/* Nothing can be sent to an address that is not ours yet. */
		.flags = renews ? 0 : htons(BROADCAST),
		.client_address = renews ? lease->address : 0,
	};
	size_t at = OPTIONS;

	memcpy(head.hardware_address, client->mac, sizeof(client->mac));
	memset(packet, 0, DHCP_PACKET_BYTES);
	memcpy(packet, &head, sizeof(head));
	memcpy(packet + OPTIONS - sizeof(magic), magic, sizeof(magic));
	at = put_option(packet, at, OPTION_TYPE, &type_byte, 1);
	if (type == DHCP_REQUEST && !renews) {
		at = put_option(packet, at, OPTION_ADDRESS, &lease->address, 4);
		at = put_option(packet, at, OPTION_SERVER, &lease->server, 4);
	}
	at = put_option(packet, at, OPTION_WANTED, wanted, sizeof(wanted));
	packet[at++] = OPTION_END;
	/* Some servers ignore what is shorter than BOOTP was. */
	return at < 300 ? 300 : at;
}

/* What an answer has of its option: the parts are one, in which names may point
 * to others (RFC 3397). */
struct search {
	uint8_t bytes[512];
	size_t length;
};

static void search_add(struct search *search, const uint8_t *part,
		       size_t length)
{
	if (length > sizeof(search->bytes) - search->length)
		length = sizeof(search->bytes) - search->length;
	memcpy(search->bytes + search->length, part, length);
	search->length += length;
}

/* It becomes a word of a file. */
static bool is_domain(const char *name)
{
	return name[0] != '\0' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] ==
		       '\0';
}

static void take_search(struct dhcp_lease *lease, const struct search *search)
{
	const uint8_t *end = search->bytes + search->length;
	const uint8_t *at = search->bytes;
	char names[DHCP_SEARCH_BYTES] = "";

	while (at < end) {
		char name[256];
		size_t length = strlen(names);
		int used = dn_expand(search->bytes, end, at, name,
				     sizeof(name));

		if (used <= 0 || !is_domain(name) ||
		    length + strlen(name) + 2 > sizeof(names))
			break;
		snprintf(names + length, sizeof(names) - length, "%s%s",
			 length > 0 ? " " : "", name);
		at += used;
	}
	/* Instead of the one domain. */
	if (names[0] != '\0')
		memcpy(lease->search, names, sizeof(names));
}

static void take_domain(struct dhcp_lease *lease, const uint8_t *value,
			size_t length)
{
	char name[256] = "";

	memcpy(name, value, length);
	if (strlen(name) == length && is_domain(name))
		memcpy(lease->search, name, sizeof(name));
}

static void take_option(struct dhcp_lease *lease, uint8_t *type, uint8_t code,
			const uint8_t *value, size_t length)
{
	uint32_t word = 0;
	uint16_t half = 0;

	if (length >= sizeof(word))
		memcpy(&word, value, sizeof(word));
	if (length >= sizeof(half))
		memcpy(&half, value, sizeof(half));
	switch (code) {
	case OPTION_TYPE:
		*type = length == 1 ? value[0] : 0;
		break;
	case OPTION_NETMASK:
		lease->netmask = word;
		break;
	case OPTION_ROUTER:
		lease->router = word;
		break;
	case OPTION_SERVER:
		lease->server = word;
		break;
	case OPTION_LEASE:
		lease->seconds = ntohl(word);
		break;
	case OPTION_MTU:
		lease->mtu = ntohs(half);
		break;
	case OPTION_DOMAIN:
		take_domain(lease, value, length);
		break;
	case OPTION_NAMESERVER:
		length = length / 4 * 4;
		if (length > sizeof(lease->nameservers))
			length = sizeof(lease->nameservers);
		memcpy(lease->nameservers, value, length);
		break;
	default:
		break;
	}
}

int dhcp_decode(const struct dhcp_client *client, const uint8_t *packet,
		size_t length, struct dhcp_lease *lease)
{
	struct search search = { .length = 0 };
	struct dhcp_head head;
	uint8_t type = 0;
	size_t at = OPTIONS;

	if (length < OPTIONS ||
	    memcmp(packet + OPTIONS - sizeof(magic), magic, sizeof(magic)) != 0)
		return -EPROTO;
	memcpy(&head, packet, sizeof(head));
	if (head.operation != BOOT_REPLY ||
	    head.transaction != client->transaction ||
	    memcmp(head.hardware_address, client->mac, sizeof(client->mac)) !=
		    0)
		return -EPROTO;
	memset(lease, 0, sizeof(*lease));
	lease->address = head.your_address;
	while (at < length && packet[at] != OPTION_END) {
		if (packet[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (at + 2 > length || at + 2 + packet[at + 1] > length)
			return -EPROTO;
		if (packet[at] == OPTION_SEARCH)
			search_add(&search, packet + at + 2, packet[at + 1]);
		take_option(lease, &type, packet[at], packet + at + 2,
			    packet[at + 1]);
		at += 2u + packet[at + 1];
	}
	take_search(lease, &search);
	if (type == DHCP_NAK)
		return type;
	return (type == DHCP_OFFER || type == DHCP_ACK) && lease->address
		       ? type
		       : -EPROTO;
}
