/* SPDX-License-Identifier: MIT */
/*
 * Machines of a network that send any frames, come and go: nobody gets a frame
 * with another's address in it, and no queue grows.
 *
 * Input: operations of sixteen bytes.
 */
#include <netinet/in.h>
#include <string.h>

#include "net/network_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 16,
	MACHINES = 4,
	NETWORK = 0x0a000300,
	FRAME_BYTES = 200,
};

static struct network *network;
static struct net_port *ports[MACHINES];

static void fuzz_mac(uint8_t *mac, uint8_t index)
{
	memcpy(mac, (const uint8_t[]) { 2, 0, 0, 0, 0, index }, NET_MAC_BYTES);
}

static void fuzz_join(uint8_t index, uint8_t address)
{
	struct nic_config config = {
		.mode = CAPSA_NETWORK_SHARED,
		.address = address ? NETWORK + address : 0,
	};

	fuzz_mac(config.mac, index);
	ports[index] = NULL;
	if (network_join(network, &ports[index], &config, NULL, NULL) ==
	    CAPSA_STATUS_OK)
		ports[index]->ops->start(ports[index],
					 address & 1 ? UINT64_MAX : 0);
}

static void fuzz_leave(uint8_t index)
{
	ports[index]->ops->stop(ports[index]);
	ports[index]->ops->destroy(ports[index]);
	ports[index] = NULL;
}

static void fuzz_head(uint8_t *frame, const uint8_t *bytes, uint8_t from)
{
	static const uint16_t types[] = { 0x0800, 0x0806, 0x86dd, 0x8100 };
	uint8_t *ip = frame + FRAME_IP;
	uint32_t kind = bytes[2] & 3;

	fuzz_mac(frame, bytes[3] % (MACHINES + 1));
	if (bytes[3] & 0x80)
		memset(frame, 0xff, NET_MAC_BYTES);
	fuzz_mac(frame + FRAME_SOURCE,
		 bytes[3] & 0x40 ? bytes[3] % MACHINES : from);
	frame_write16(frame + FRAME_IP - 2, types[kind]);
	if (kind == 0) {
		ip[0] = 0x45;
		frame_write16(ip + 2, FRAME_BYTES - FRAME_IP);
		ip[9] = bytes[4] & 1 ? IPPROTO_UDP : bytes[5];
		frame_write32(ip + 12,
			      NETWORK + 3u +
				      (bytes[4] & 0x80 ? bytes[5] % 5u : from));
		frame_write16(ip + 24,
			      FRAME_BYTES - FRAME_IP - FRAME_IPV4_HEADER);
	} else if (kind == 1) {
		memcpy(ip, (const uint8_t[]) { 0, 1, 8, 0, 6, 4, 0, 1 }, 8);
		memcpy(ip + 8, frame + FRAME_SOURCE, NET_MAC_BYTES);
		frame_write32(ip + 14, NETWORK + 3u + from);
	} else if (kind == 2) {
		ip[0] = 0x60;
		frame_write16(ip + 4, 72);
		ip[6] = bytes[4] & 1 ? IPPROTO_ICMPV6 : bytes[5];
		ip[8] = 0xfe;
		ip[9] = 0x80;
		ip[23] = bytes[6] & 31;
		memcpy(ip + FRAME_IPV6_HEADER,
		       (const uint8_t[]) { (uint8_t)(130 + bytes[7] % 9) }, 1);
	}
}

static void fuzz_send(uint8_t from, const uint8_t *bytes)
{
	uint8_t frame[FRAME_BYTES] = { 0 };
	struct iovec parts[2];
	uint32_t cut = bytes[8] % FRAME_BYTES;
	struct net_frame sent = {
		.header = { .flags = bytes[9] & 1,
			    .csum_start = bytes[10] % (FRAME_BYTES / 2),
			    .csum_offset = bytes[11] % (FRAME_BYTES / 2 - 2) },
		.parts = parts,
		.part_count = 2,
		.length = FRAME_BYTES,
	};

	fuzz_head(frame, bytes, from);
	memcpy(frame + FRAME_IP + bytes[12] % 100, bytes + 13, 3);
	parts[0] = (struct iovec) { .iov_base = frame, .iov_len = cut };
	parts[1] = (struct iovec) { .iov_base = frame + cut,
				    .iov_len = FRAME_BYTES - cut };
	ports[from]->ops->send(ports[from], &sent);
	ports[from]->ops->flush(ports[from]);
}

/* Whose hardware address it is; MACHINES: nobody's. */
static uint32_t fuzz_owner(const uint8_t *mac)
{
	for (uint8_t i = 0; i < MACHINES; i++) {
		uint8_t own[NET_MAC_BYTES];

		fuzz_mac(own, i);
		if (memcmp(own, mac, sizeof(own)) == 0)
			return i;
	}
	return MACHINES;
}

/* What has come is from the port that it says it is from. */
static void fuzz_take(uint8_t index)
{
	const struct net_frame *frame;

	ports[index]->ops->poll(ports[index]);
	while ((frame = ports[index]->ops->peek(ports[index]))) {
		const uint8_t *bytes = frame->parts->iov_base;
		struct frame_view view;
		uint32_t owner = fuzz_owner(bytes + FRAME_SOURCE);

		if (frame_parse(&view, bytes, frame->length, frame->length) < 0)
			__builtin_trap();
		/* The DHCP server's are for who asked. */
		if (owner == MACHINES && view.source_port != 67)
			__builtin_trap();
		if (owner == index)
			__builtin_trap();
		ports[index]->ops->drop(ports[index]);
	}
}

static void fuzz_operation(const uint8_t *bytes)
{
	uint8_t index = bytes[1] % MACHINES;

	if (!ports[index]) {
		fuzz_join(index, bytes[2] % 16);
		return;
	}
	switch (bytes[0] % 8) {
	case 0:
		fuzz_leave(index);
		break;
	case 1:
		ports[index]->ops->stop(ports[index]);
		ports[index]->ops->start(ports[index],
					 bytes[2] & 1 ? UINT64_MAX : 0);
		break;
	case 2:
		fuzz_take(index);
		break;
	default:
		fuzz_send(index, bytes);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct capsa_network_config config = {
		.size = sizeof(config),
		.subnet = "10.0.3.0/28",
	};

	if (network_create(&network, &config, NULL, NULL) != CAPSA_STATUS_OK)
		__builtin_trap();
	for (uint8_t i = 0; i < MACHINES; i++)
		fuzz_join(i, 0);
	for (size_t i = 0; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	for (uint8_t i = 0; i < MACHINES; i++) {
		if (!ports[i])
			continue;
		fuzz_take(i);
		fuzz_leave(i);
	}
	network_destroy(network);
	return 0;
}
