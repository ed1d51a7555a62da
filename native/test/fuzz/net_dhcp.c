/* SPDX-License-Identifier: MIT */
/*
 * Any frame as the DHCP server sees it: what is answered fits its buffer, is a
 * frame with right checksums, and is for who asked.
 *
 * Input: a frame. The headers are made such that the server looks at it, unless
 * its first bit says that it is to be taken as it is.
 */
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "net/dhcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ADDRESS = 0x0a000305,
	FRAME_BYTES = 1514,
	MESSAGE = FRAME_IP + FRAME_IPV4_HEADER + FRAME_UDP_HEADER,
};

static const uint8_t mac[NET_MAC_BYTES] = { 2, 1, 2, 3, 4, 5 };

static void fuzz_head(uint8_t *frame, uint32_t length)
{
	uint8_t *ip = frame + FRAME_IP;
	uint8_t *udp = ip + FRAME_IPV4_HEADER;

	if (length < MESSAGE + 240)
		return;
	frame_write16(frame + FRAME_IP - 2, 0x0800);
	ip[0] = 0x45;
	frame_write16(ip + 2, (uint16_t)(length - FRAME_IP));
	frame_write16(ip + 6, 0);
	ip[9] = IPPROTO_UDP;
	frame_write16(udp + 2, 67);
	frame_write16(udp + 4,
		      (uint16_t)(length - FRAME_IP - FRAME_IPV4_HEADER));
	memcpy(frame + MESSAGE, (const uint8_t[]) { 1, 1, 6 }, 3);
	memcpy(frame + MESSAGE + 28, mac, sizeof(mac));
	frame_write32(frame + MESSAGE + 236, 0x63825363);
}

static void fuzz_check(const uint8_t *answer, uint32_t length)
{
	struct frame_view view;
	uint8_t pseudo[12] = { 0 };
	uint32_t sum;

	if (length > DHCP_FRAME_MAX ||
	    frame_parse(&view, answer, length, length) < 0 ||
	    view.source_port != 67 || view.destination_port != 68 ||
	    memcmp(answer, mac, sizeof(mac)) != 0 || answer[length - 1] != 255)
		__builtin_trap();
	memcpy(pseudo, view.source, 8);
	pseudo[9] = IPPROTO_UDP;
	memcpy(pseudo + 10, answer + view.transport + 4, 2);
	sum = frame_sum(0, pseudo, sizeof(pseudo));
	sum = frame_sum(sum, answer + view.transport, length - view.transport);
	if (frame_checksum(sum) != 0 ||
	    frame_checksum(
		    frame_sum(0, answer + FRAME_IP, FRAME_IPV4_HEADER)) != 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp_config config = {
		.server = 0x0a000301,
		.mask = 0xffffff00,
		.router = 0x0a000301,
		.dns_count = DHCP_DNS_MAX,
		.search_length = DHCP_SEARCH_MAX,
	};
	struct frame_view view;
	/* At the end of what may be read, so that a byte more is seen. */
	uint8_t frame[FRAME_BYTES];
	uint8_t answer[DHCP_FRAME_MAX];
	uint32_t length;
	uint8_t *start;

	if (size < 2 || size - 1 > FRAME_BYTES)
		return 0;
	length = (uint32_t)size - 1;
	start = frame + FRAME_BYTES - length;
	memcpy(start, data + 1, length);
	if (!(data[0] & 1))
		fuzz_head(start, length);
	if (frame_parse(&view, start, length, length) < 0 ||
	    !dhcp_is_request(&view))
		return 0;
	length = dhcp_answer(&config, ADDRESS, mac, start, &view, answer);
	if (length > 0)
		fuzz_check(answer, length);
	return 0;
}
