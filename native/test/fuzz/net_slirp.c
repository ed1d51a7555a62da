/* SPDX-License-Identifier: MIT */
/*
 * Any frames of a guest, by way of the NAT into libslirp, with somebody at the
 * other end who sends, reads, resets and disappears: nothing crashes, nothing
 * ends the process, and no more is kept than there may be.
 *
 * Frames get the checksums that they need to be looked at, and TCP segments
 * numbers near those that libslirp expects. All in a network of its own;
 * without one nothing is tried.
 *
 * Input: operations of twelve bytes.
 */
#include <sys/epoll.h>

#include "fake_guest.h"
#include "net/user.h"
#include "own_network.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 12,
	GUEST = 0x0a00020f,
	HOST = 0xc6336401, /* OWN_ADDRESS */
	SERVER = 4000,
	FORWARDED = 4001,
	PEERS = 8,
};

static const uint32_t addresses[] = {
	HOST, 0x0a000202, 0x0a000203, GUEST,      0x7f000001,
	0,    UINT32_MAX, 0xe0000001, 0x0a0002ff, 0xc6336409,
};

static const uint8_t addresses6[][16] = {
	{ 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
	{ 0xfd, [15] = 2 },
	{ 0xfd, [15] = 3 },
	{ 0xfe, 0x80, [15] = 2 },
	{ 0xff, 2, [15] = 1 },
	{ [15] = 1 },
	{ [10] = 0xff, 0xff, 127, [15] = 1 },
	{ 0xfd, [15] = 0x99 },
};

static bool ready;
static struct guest guest;
static int listener;
static int datagrams;
static int peers[PEERS];

/* What libslirp said last in each connection, by the guest's port. */
static struct {
	uint32_t sequence;
	uint32_t acknowledged;
} known[PEERS];

static int fuzz_socket(int type)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
					.sin6_port = htons(SERVER) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 4) < 0))
		__builtin_trap();
	return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	ready = !own_network();
	if (!ready)
		return 0;
	listener = fuzz_socket(SOCK_STREAM);
	datagrams = fuzz_socket(SOCK_DGRAM);
	for (int i = 0; i < PEERS; i++)
		peers[i] = -1;
	return 0;
}

static void fuzz_set_up(void)
{
	static char address[] = "::";
	struct nic_config config = { .mode = CAPSA_NETWORK_USER,
				     .forward_count = 2 };
	struct net_port *port;

	memcpy(config.mac, guest_mac, sizeof(guest_mac));
	for (int i = 0; i < 2; i++)
		config.forwards[i] = (struct forward_config) {
			.protocol = i ? CAPSA_PROTOCOL_UDP : CAPSA_PROTOCOL_TCP,
			.host_port = FORWARDED,
			.guest_port = 80,
			.address = address,
		};
	if (user_port_create(&port, &config, NULL, NULL) != CAPSA_STATUS_OK)
		__builtin_trap();
	guest = guest_create(port, 0);
	memset(known, 0, sizeof(known));
}

static struct guest_peer fuzz_peer(const uint8_t *bytes)
{
	return (struct guest_peer) {
		.ipv4 = addresses[bytes[0] % 10],
		.ipv6 = bytes[1] & 1 ? addresses6[bytes[0] % 8] : NULL,
		.port = bytes[1] & 2 ? SERVER : bytes[2],
	};
}

static const struct guest_address fuzz_own = {
	.ipv4 = GUEST,
	.ipv6 = { 0xfd, [15] = 0x15 },
};

/* A segment, with numbers near the right ones, any flags and options. */
static void fuzz_tcp(const uint8_t *bytes)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct guest_peer peer = fuzz_peer(bytes);
	uint32_t connection = bytes[3] % PEERS;
	uint32_t options = bytes[4] % 11 * 4;
	uint32_t payload = (uint32_t)bytes[5] * bytes[6] % 40000;
	uint32_t length = FRAME_TCP_HEADER + options + payload;
	uint8_t *tcp = guest_wrap(frame, &fuzz_own, &peer, IPPROTO_TCP, length);

	memset(tcp, bytes[7], length);
	frame_write16(tcp, (uint16_t)(6000 + connection));
	frame_write16(tcp + 2, peer.port);
	frame_write32(tcp + 4, known[connection].acknowledged +
				       (uint32_t)(int8_t)bytes[8] * 16);
	frame_write32(tcp + 8,
		      known[connection].sequence + (uint32_t)(int8_t)bytes[9]);
	tcp[12] = (uint8_t)((FRAME_TCP_HEADER + options) / 4 << 4);
	tcp[13] = bytes[10];
	frame_write16(tcp + 14, (uint16_t)(bytes[11] * 257));
	if (options > 0) {
		tcp[20] = 2;
		tcp[21] = 4;
		frame_write16(tcp + 22, (uint16_t)(bytes[7] * 8));
	}
	frame_write16(tcp + 16, 0);
	frame_write16(tcp + 16, guest_checksum(guest_addresses(frame, &peer),
					       peer.ipv6 ? 16 : 4, IPPROTO_TCP,
					       tcp, length));
	guest_send(&guest, frame, (uint32_t)(tcp - frame) + length);
}

/* Any bytes behind an IP header with the right checksum. */
static void fuzz_ip(const uint8_t *bytes)
{
	static uint8_t frame[2048];
	struct guest_peer peer = fuzz_peer(bytes);
	static const uint8_t protocols[] = { 1, 6, 17, 58, 0, 44, 50, 2 };
	uint8_t protocol = protocols[bytes[3] % 8];
	uint32_t length = 8 + bytes[4] % 64;
	uint8_t *data = guest_wrap(frame, &fuzz_own, &peer, protocol, length);

	memset(data, 0, length);
	memcpy(data, bytes + 5, 7);
	if (protocol == 58)
		data[0] = (uint8_t)(128 + bytes[5] % 16);
	if (bytes[2] & 4)
		memcpy(data + 8, addresses6[bytes[6] % 8],
		       length < 24 ? length - 8 : 16);
	frame_write16(data + 2, 0);
	frame_write16(data + 2,
		      peer.ipv6 ? guest_checksum(guest_addresses(frame, &peer),
						 16, protocol, data, length)
				: frame_checksum(frame_sum(0, data, length)));
	guest_send(&guest, frame, (uint32_t)(data - frame) + length);
}

static void fuzz_raw(const uint8_t *bytes)
{
	uint8_t frame[64] = { 0 };
	static const uint16_t types[] = { 0x0800, 0x0806, 0x86dd, 0x88f8 };

	memcpy(frame + FRAME_SOURCE, guest_mac, sizeof(guest_mac));
	frame_write16(frame + 12, types[bytes[1] & 3]);
	memcpy(frame + 14 + bytes[2] % 40, bytes + 3, 9);
	guest_send(&guest, frame, bytes[0] % sizeof(frame));
}

static void fuzz_take(void)
{
	while (guest_take(&guest)) {
		const struct frame_view *view = &guest.view;
		uint32_t connection = view->destination_port - 6000u;

		if (guest_answers(&guest, &fuzz_own))
			continue;
		if (view->protocol != IPPROTO_TCP || connection >= PEERS)
			continue;
		known[connection].sequence = view->sequence + view->payload +
					     !!(view->flags &
						(TCP_FLAG_SYN | TCP_FLAG_FIN));
		known[connection].acknowledged = view->acknowledged;
	}
}

/* The other end. */
static void fuzz_host(const uint8_t *bytes)
{
	static uint8_t data[70000];
	const struct linger at_once = { .l_onoff = 1 };
	int *peer = &peers[bytes[1] % PEERS];
	struct sockaddr_in6 from;
	socklen_t length = sizeof(from);

	switch (bytes[0] % 7) {
	case 0:
		if (*peer < 0)
			*peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		break;
	case 1:
		(void)!send(*peer, data, (size_t)bytes[2] * bytes[3],
			    MSG_NOSIGNAL | (bytes[4] & 1 ? MSG_OOB : 0));
		break;
	case 2:
		(void)!recv(*peer, data, sizeof(data), 0);
		break;
	case 3:
		setsockopt(*peer, SOL_SOCKET, SO_LINGER, &at_once,
			   bytes[2] & 1 ? sizeof(at_once) : 0);
		close(*peer);
		*peer = -1;
		break;
	case 4:
		shutdown(*peer, bytes[2] % 3);
		break;
	case 5:
		if (recvfrom(datagrams, data, sizeof(data), 0,
			     (struct sockaddr *)&from, &length) >= 0)
			(void)!sendto(datagrams, data,
				      (size_t)bytes[2] * bytes[3], MSG_NOSIGNAL,
				      (struct sockaddr *)&from, length);
		break;
	default:
		from = (struct sockaddr_in6) {
			.sin6_family = AF_INET6,
			.sin6_port = htons(FORWARDED),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		};
		(void)!sendto(datagrams, data, bytes[2], MSG_NOSIGNAL,
			      (struct sockaddr *)&from, sizeof(from));
		if (*peer < 0)
			*peer = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK,
				       0);
		connect(*peer, (struct sockaddr *)&from, sizeof(from));
		break;
	}
}

static void fuzz_operation(const uint8_t *bytes)
{
	switch (bytes[0] % 6) {
	case 0:
	case 1:
		fuzz_tcp(bytes + 1);
		break;
	case 2:
		fuzz_ip(bytes + 1);
		break;
	case 3:
		fuzz_raw(bytes + 1);
		break;
	case 4:
		fuzz_host(bytes + 1);
		break;
	default:
		for (int turn = bytes[1] & 3; turn >= 0; turn--)
			guest_wait(&guest, 0);
		if (bytes[2] & 3)
			fuzz_take();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!ready)
		return 0;
	fuzz_set_up();
	for (; size > OPERATION_BYTES; size -= OPERATION_BYTES) {
		uint8_t bytes[OPERATION_BYTES + 1] = { 0 };

		memcpy(bytes, data, OPERATION_BYTES);
		fuzz_operation(bytes);
		data += OPERATION_BYTES;
	}
	fuzz_take();
	guest_destroy(&guest);
	for (int i = 0; i < PEERS; i++) {
		if (peers[i] >= 0)
			close(peers[i]);
		peers[i] = -1;
	}
	while ((peers[0] = accept4(listener, NULL, NULL, 0)) >= 0)
		close(peers[0]);
	return 0;
}
