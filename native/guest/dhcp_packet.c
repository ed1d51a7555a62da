/* SPDX-License-Identifier: MIT */
#include "dhcp_packet.h"

#include <arpa/inet.h>
#include <errno.h>
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
	OPTION_MTU = 26,
	OPTION_ADDRESS = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_WANTED = 55,
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
	static const uint8_t wanted[] = { OPTION_NETMASK, OPTION_ROUTER,
					  OPTION_NAMESERVER, OPTION_MTU,
					  OPTION_LEASE };
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
		take_option(lease, &type, packet[at], packet + at + 2,
			    packet[at + 1]);
		at += 2u + packet[at + 1];
	}
	if (type == DHCP_NAK)
		return type;
	return (type == DHCP_OFFER || type == DHCP_ACK) && lease->address
		       ? type
		       : -EPROTO;
}
