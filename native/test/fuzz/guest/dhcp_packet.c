/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an answer of a DHCP server: what is taken from one can be asked
 * for in a request that is sound.
 *
 * Input: a packet. What tells that it is for us is made so, unless its first
 * bit says that it is to be taken as it is.
 */
#include "dhcp_packet.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKET_MAX = 1500, OPTIONS = 240, REQUEST_MIN = 300 };

static const struct dhcp_client client = {
	.transaction = 0x01020304,
	.mac = { 2, 1, 2, 3, 4, 5 },
};

static void require(int holds)
{
	if (!holds)
		__builtin_trap();
}

static void fuzz_head(uint8_t *packet, size_t length)
{
	static const uint8_t magic[] = { 99, 130, 83, 99 };

	if (length < OPTIONS)
		return;
	packet[0] = 2;
	memcpy(packet + 4, &client.transaction, sizeof(client.transaction));
	memcpy(packet + 28, client.mac, sizeof(client.mac));
	memcpy(packet + OPTIONS - sizeof(magic), magic, sizeof(magic));
}

static void fuzz_request(const struct dhcp_lease *lease, int renews)
{
	uint8_t packet[DHCP_PACKET_BYTES];
	size_t length = dhcp_encode(&client, DHCP_REQUEST, lease, renews,
				    packet);
	struct dhcp_lease mine;

	require(length >= REQUEST_MIN && length <= sizeof(packet));
	/* It is a request, so that nobody takes it for an answer. */
	require(dhcp_decode(&client, packet, length, &mine) == -EPROTO);
	packet[0] = 2;
	require(dhcp_decode(&client, packet, length, &mine) == -EPROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* At the end of what may be read, so that a byte more is seen. */
	uint8_t packet[PACKET_MAX];
	struct dhcp_lease lease;
	uint8_t *start;
	size_t length;
	int type;

	if (size < 1 || size - 1 > PACKET_MAX)
		return 0;
	length = size - 1;
	start = packet + PACKET_MAX - length;
	memcpy(start, data + 1, length);
	if (!(data[0] & 1))
		fuzz_head(start, length);
	type = dhcp_decode(&client, start, length, &lease);
	require(type == DHCP_OFFER || type == DHCP_ACK || type == DHCP_NAK ||
		type == -EPROTO);
	if (type < 0 || type == DHCP_NAK)
		return 0;
	require(lease.address != 0);
	fuzz_request(&lease, 0);
	fuzz_request(&lease, 1);
	return 0;
}
