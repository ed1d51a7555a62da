/* SPDX-License-Identifier: MIT */
#include "net/dhcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

enum {
	SERVER_PORT = 67,
	CLIENT_PORT = 68,
	/* Of the message */
	DHCP_FLAGS = 10,
	DHCP_CLIENT = 12, /* addresses */
	DHCP_YOURS = 16,
	DHCP_HARDWARE = 28,
	DHCP_COOKIE = 236,
	DHCP_OPTIONS = 240,
	BOOT_REQUEST = 1,
	BOOT_REPLY = 2,
	/* Options (RFC 2132, RFC 3397) */
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_CLIENT_ID = 61,
	OPTION_SEARCH = 119,
	OPTION_END = 255,
	CLIENT_ID_MAX = 32,
	/* Types of message */
	DHCP_DISCOVER = 1,
	DHCP_OFFER = 2,
	DHCP_REQUEST = 3,
	DHCP_ACK = 5,
	DHCP_NAK = 6,
	DHCP_INFORM = 8,
	LABEL_MAX = 63,
};

/* An address is its port's for as long as that exists. */
#define LEASE_FOR_EVER UINT32_MAX

static const uint8_t dhcp_cookie[] = { 99, 130, 83, 99 };

/* What a request says. */
struct dhcp_request {
	uint8_t type; /* 0: it is none */
	uint32_t server;
	uint32_t requested;
	const uint8_t *client_id;
	uint8_t client_id_length;
};

/* Options as they are written. */
struct dhcp_writer {
	uint8_t *next;
};

int dhcp_encode_domain(uint8_t *search, uint32_t *length, const char *domain)
{
	uint8_t *out = search + *length;
	size_t bytes = strlen(domain);

	if (bytes == 0)
		return -EINVAL;
	/* A byte of length for each label, and one that ends the name. */
	if (bytes + 2 > DHCP_SEARCH_MAX - *length)
		return -ENOSPC;
	while (*domain) {
		size_t label = strcspn(domain, ".");

		if (label == 0 || label > LABEL_MAX)
			return -EINVAL;
		*out++ = (uint8_t)label;
		memcpy(out, domain, label);
		out += label;
		domain += label + (domain[label] == '.');
	}
	*out++ = 0;
	*length = (uint32_t)(out - search);
	return 0;
}

bool dhcp_is_request(const struct frame_view *view)
{
	return view->kind == FRAME_IPV4 && view->protocol == IPPROTO_UDP &&
	       view->destination_port == SERVER_PORT;
}

static void dhcp_read_option(struct dhcp_request *request, uint8_t option,
			     const uint8_t *value, uint8_t length)
{
	if (option == OPTION_TYPE && length == 1) {
		request->type = value[0];
	} else if (option == OPTION_SERVER && length == 4) {
		request->server = frame_read32(value);
	} else if (option == OPTION_REQUESTED && length == 4) {
		request->requested = frame_read32(value);
	} else if (option == OPTION_CLIENT_ID && length <= CLIENT_ID_MAX) {
		request->client_id = value;
		request->client_id_length = length;
	}
}

static void dhcp_read_options(struct dhcp_request *request,
			      const uint8_t *options, uint32_t length)
{
	uint32_t at = 0;

	while (at < length && options[at] != OPTION_END) {
		if (options[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (length - at < 2 || options[at + 1] > length - at - 2)
			return;
		dhcp_read_option(request, options[at], options + at + 2,
				 options[at + 1]);
		at += 2u + options[at + 1];
	}
}

static struct dhcp_request dhcp_read(const uint8_t *message, uint32_t length,
				     const uint8_t mac[NET_MAC_BYTES])
{
	static const uint8_t ethernet_request[] = { BOOT_REQUEST, 1,
						    NET_MAC_BYTES };
	struct dhcp_request request = { 0 };

	if (length < DHCP_OPTIONS ||
	    memcmp(message, ethernet_request, sizeof(ethernet_request)) != 0 ||
	    memcmp(message + DHCP_HARDWARE, mac, NET_MAC_BYTES) != 0 ||
	    memcmp(message + DHCP_COOKIE, dhcp_cookie, sizeof(dhcp_cookie)) !=
		    0)
		return request;
	dhcp_read_options(&request, message + DHCP_OPTIONS,
			  length - DHCP_OPTIONS);
	if (request.requested == 0)
		request.requested = frame_read32(message + DHCP_CLIENT);
	return request;
}

/* The type of the answer, or 0: there is none. */
static uint8_t dhcp_decide(const struct dhcp_config *config,
			   const struct dhcp_request *request, uint32_t address)
{
	switch (request->type) {
	case DHCP_DISCOVER:
		return DHCP_OFFER;
	case DHCP_REQUEST:
		/* The client has chosen another server. */
		if (request->server != 0 && request->server != config->server)
			return 0;
		return request->requested == address ? DHCP_ACK : DHCP_NAK;
	case DHCP_INFORM:
		return DHCP_ACK;
	default:
		return 0;
	}
}

static void dhcp_put(struct dhcp_writer *writer, uint8_t option,
		     const uint8_t *value, uint32_t length)
{
	*writer->next++ = option;
	*writer->next++ = (uint8_t)length;
	memcpy(writer->next, value, length);
	writer->next += length;
}

static void dhcp_put32(struct dhcp_writer *writer, uint8_t option,
		       uint32_t value)
{
	uint8_t bytes[4];

	frame_write32(bytes, value);
	dhcp_put(writer, option, bytes, sizeof(bytes));
}

static void dhcp_put_config(struct dhcp_writer *writer,
			    const struct dhcp_config *config)
{
	uint8_t bytes[4 * DHCP_DNS_MAX];

	dhcp_put32(writer, OPTION_MASK, config->mask);
	if (config->router != 0)
		dhcp_put32(writer, OPTION_ROUTER, config->router);
	for (uint32_t i = 0; i < config->dns_count; i++)
		frame_write32(bytes + (size_t)4 * i, config->dns[i]);
	if (config->dns_count > 0)
		dhcp_put(writer, OPTION_DNS, bytes, 4 * config->dns_count);
	if (config->search_length > 0)
		dhcp_put(writer, OPTION_SEARCH, config->search,
			 config->search_length);
}

/* The message in answer; its length. */
static uint32_t dhcp_write(const struct dhcp_config *config,
			   const struct dhcp_request *request, uint8_t type,
			   uint32_t address, const uint8_t *message,
			   uint8_t *out)
{
	struct dhcp_writer writer = { .next = out + DHCP_OPTIONS };

	/* Hardware and its address, transaction, flags and addresses stay. */
	memcpy(out, message, DHCP_HARDWARE + NET_MAC_BYTES);
	out[0] = BOOT_REPLY;
	out[3] = 0; /* hops */
	memset(out + DHCP_YOURS, 0, 8);
	memcpy(out + DHCP_COOKIE, dhcp_cookie, sizeof(dhcp_cookie));
	dhcp_put(&writer, OPTION_TYPE, &type, 1);
	dhcp_put32(&writer, OPTION_SERVER, config->server);
	if (request->client_id)
		dhcp_put(&writer, OPTION_CLIENT_ID, request->client_id,
			 request->client_id_length);
	if (type == DHCP_NAK) {
		memset(out + DHCP_CLIENT, 0, 4);
	} else {
		if (request->type != DHCP_INFORM) {
			frame_write32(out + DHCP_YOURS, address);
			dhcp_put32(&writer, OPTION_LEASE, LEASE_FOR_EVER);
		}
		dhcp_put_config(&writer, config);
	}
	*writer.next++ = OPTION_END;
	return (uint32_t)(writer.next - out);
}

/* Puts the headers around a message of length bytes; the frame's length. */
static uint32_t dhcp_wrap(const struct dhcp_config *config,
			  const uint8_t mac[NET_MAC_BYTES], uint8_t *frame,
			  uint32_t length)
{
	uint8_t *ip = frame + FRAME_IP;
	uint8_t *udp = ip + FRAME_IPV4_HEADER;
	uint32_t client = frame_read32(udp + FRAME_UDP_HEADER + DHCP_CLIENT);
	uint32_t sum;

	memcpy(frame, mac, NET_MAC_BYTES);
	memcpy(frame + FRAME_SOURCE, config->server_mac, NET_MAC_BYTES);
	frame_write16(frame + FRAME_IP - 2, 0x0800);
	ip[0] = 0x45;
	frame_write16(ip + 2, (uint16_t)(FRAME_IPV4_HEADER + FRAME_UDP_HEADER +
					 length));
	ip[8] = 64; /* hops */
	ip[9] = IPPROTO_UDP;
	frame_write32(ip + 12, config->server);
	/* One without an address takes what is for everybody. */
	frame_write32(ip + 16, client ? client : INADDR_BROADCAST);
	frame_write16(ip + 10,
		      frame_checksum(frame_sum(0, ip, FRAME_IPV4_HEADER)));
	frame_write16(udp, SERVER_PORT);
	frame_write16(udp + 2, CLIENT_PORT);
	frame_write16(udp + 4, (uint16_t)(FRAME_UDP_HEADER + length));
	/* With what IP's header says of it (RFC 768) */
	sum = frame_sum(0, ip + 12, 8);
	sum = frame_sum(sum, (const uint8_t[]) { 0, IPPROTO_UDP }, 2);
	sum = frame_sum(sum, udp + 4, 2);
	sum = frame_sum(sum, udp, FRAME_UDP_HEADER + length);
	frame_write16(udp + 6, frame_checksum(sum));
	return FRAME_IP + FRAME_IPV4_HEADER + FRAME_UDP_HEADER + length;
}

uint32_t dhcp_answer(const struct dhcp_config *config, uint32_t address,
		     const uint8_t mac[NET_MAC_BYTES], const uint8_t *frame,
		     const struct frame_view *view, uint8_t *out)
{
	const uint8_t *message = frame + view->transport + FRAME_UDP_HEADER;
	uint8_t *answer = out + FRAME_IP + FRAME_IPV4_HEADER + FRAME_UDP_HEADER;
	struct dhcp_request request = dhcp_read(message, view->payload, mac);
	uint8_t type = dhcp_decide(config, &request, address);
	uint32_t length;

	if (type == 0)
		return 0;
	memset(out, 0, DHCP_FRAME_MAX);
	length = dhcp_write(config, &request, type, address, message, answer);
	return dhcp_wrap(config, mac, out, length);
}
