/* SPDX-License-Identifier: MIT */
/* A guest behind the NAT, in a network of the test's own. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fake_guest.h"
#include "host_lacks.h"
#include "net/nat.h"
#include "net/nat_flows.h"
#include "net/nat_sockets.h"
#include "net/user.h"
#include "own_network.h"
#include "tap.h"

enum {
	GUEST = 0x0a00020f, /* 10.0.2.15 */
	GATEWAY = 0x0a000202,
	DNS = 0x0a000203,
	HOST = 0xc6336401, /* OWN_ADDRESS */
	PORT = 4000,       /* of servers of the test */
	BULK = 300000,
};

static const struct guest_address own = {
	.ipv4 = GUEST,
	.ipv6 = { 0xfd, [8] = 0, 0xca, 0x95, 0xff, 0xfe, 0xa0, 0, 1 },
};
static const uint8_t host6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
static const uint8_t gateway6[16] = { 0xfd, [15] = 2 };

static const struct timeval patience = { .tv_sec = 20 };
static struct gate *gate;
static struct guest guest;
static uint8_t bulk[BULK];
static uint8_t got[BULK];

static struct nic_config described(void)
{
	struct nic_config config = { .mode = CAPSA_NETWORK_USER };

	memcpy(config.mac, guest_mac, sizeof(guest_mac));
	return config;
}

static void set_up_with(const struct nic_config *config)
{
	struct net_port *port = NULL;
	struct capsa_error error = { 0 };

	CHECK(user_port_create(&port, config, gate, &error) == CAPSA_STATUS_OK);
	if (!port) {
		printf("# %s: %s %s\n", error.operation, error.subject,
		       error.message);
		exit(1);
	}
	guest = guest_create(port, 0);
}

/* The same with a policy that allows what flags leave open. */
static void set_up_guarded(const struct nic_config *config, uint32_t flags)
{
	const struct capsa_policy policy = {
		.size = sizeof(policy),
		.total = sizeof(policy),
		.flags = flags,
		.default_action = CAPSA_ACTION_ALLOW,
	};
	struct net_site site = user_site(config->mac);

	CHECK(gate_create(&gate, &site, &policy, NULL) == CAPSA_STATUS_OK);
	set_up_with(config);
}

static void set_up(void)
{
	const struct nic_config config = described();

	set_up_with(&config);
}

static void tear_down(void)
{
	guest_destroy(&guest);
	gate_destroy(gate);
	gate = NULL;
}

static struct guest_peer peer4(uint32_t address, uint16_t port)
{
	return (struct guest_peer) { .ipv4 = address, .port = port };
}

static struct guest_peer peer6(const uint8_t *address, uint16_t port)
{
	return (struct guest_peer) { .ipv6 = address, .port = port };
}

/* A socket that is bound, and listens with room for backlog others. */
static int server(int type, const char *address, uint16_t port, int backlog)
{
	bool ipv6 = strchr(address, ':');
	struct sockaddr_in6 address6 = { .sin6_family = AF_INET6,
					 .sin6_port = htons(port) };
	struct sockaddr_in address4 = { .sin_family = AF_INET,
					.sin_port = htons(port) };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
	int on = 1;
	int result;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Whoever it accepts has it, too. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	inet_pton(AF_INET6, address, &address6.sin6_addr);
	inet_pton(AF_INET, address, &address4.sin_addr);
	result = ipv6 ? bind(fd, (struct sockaddr *)&address6, sizeof(address6))
		      : bind(fd, (struct sockaddr *)&address4,
			     sizeof(address4));
	CHECK(result == 0);
	if (type == SOCK_STREAM)
		CHECK(listen(fd, backlog) == 0);
	return fd;
}

static int client(int type, const char *address, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static void the_guest_is_given_an_address(void)
{
	static const uint8_t discover[] = { 53, 1, 1, 255 };
	const struct guest_address nobody = { 0 };
	const struct guest_peer everybody = peer4(INADDR_BROADCAST, 67);
	uint8_t message[240 + sizeof(discover)] = { 1, 1, 6 };
	struct nic_config config = described();
	const uint8_t *answer;

	config.dns_count = 1;
	config.dns[0] = 0x01020304;
	set_up_with(&config);
	memcpy(message + 28, guest_mac, sizeof(guest_mac));
	frame_write32(message + 236, 0x63825363);
	memcpy(message + 240, discover, sizeof(discover));
	guest_udp(&guest, &nobody, &everybody, 68, message, sizeof(message));
	CHECK(guest_await(&guest, &own, IPPROTO_UDP));
	answer = guest_payload(&guest);
	CHECK(guest.view.destination_port == 68);
	CHECK(frame_read32(answer + 16) == GUEST);
	CHECK(memmem(answer + 240, guest.view.payload - 240,
		     (const uint8_t[]) { 3, 4, 10, 0, 2, 2 }, 6));
	CHECK(memmem(answer + 240, guest.view.payload - 240,
		     (const uint8_t[]) { 6, 4, 1, 2, 3, 4 }, 6));
	tear_down();
}

static void the_gateway_answers(void)
{
	const struct guest_peer gateway = peer4(GATEWAY, 0);
	uint8_t frame[64];

	set_up();
	guest_arp(frame, 1, GUEST, NULL, GATEWAY);
	guest_send(&guest, frame, 42);
	while (guest_take(&guest) && guest.view.kind != FRAME_ARP)
		;
	CHECK(guest.view.kind == FRAME_ARP);
	CHECK(memcmp(guest.view.sender,
		     (const uint8_t[]) { 0x52, 0x55, 10, 0, 2, 2 }, 6) == 0);

	guest_ping(&guest, &own, &gateway, 77, 56);
	CHECK(guest_await(&guest, &own, IPPROTO_ICMP));
	CHECK(guest.view.type == 0);
	CHECK(frame_read16(guest.frame + guest.view.transport + 4) == 77);
	CHECK(frame_read32(guest.view.source) == GATEWAY);
	tear_down();
}

static void the_host_can_be_pinged(void)
{
	const struct guest_peer host = peer4(HOST, 0);

	set_up();
	guest_ping(&guest, &own, &host, 78, 1400);
	CHECK(guest_await(&guest, &own, IPPROTO_ICMP));
	CHECK(guest.view.type == 0);
	CHECK(frame_read16(guest.frame + guest.view.transport + 4) == 78);
	CHECK(frame_read32(guest.view.source) == HOST);
	tear_down();
}

/* Sends length bytes to an echo server and compares what comes back. */
static bool echoes(int fd, const struct guest_peer *peer, uint32_t length)
{
	struct sockaddr_storage from;
	socklen_t from_length = sizeof(from);
	ssize_t bytes;

	guest_udp(&guest, &own, peer, 5000, bulk, length);
	bytes = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from,
			 &from_length);
	if (bytes != (ssize_t)length || memcmp(got, bulk, length) != 0)
		return false;
	if (sendto(fd, got, length, 0, (struct sockaddr *)&from, from_length) <
	    0)
		return false;
	return guest_await(&guest, &own, IPPROTO_UDP) &&
	       guest.view.source_port == peer->port &&
	       guest.view.destination_port == 5000 &&
	       guest.view.payload == length &&
	       memcmp(guest_payload(&guest), bulk, length) == 0;
}

static void datagrams_of_any_length_come_back(void)
{
	const struct guest_peer peer = peer4(HOST, PORT);
	const struct guest_peer peer_ipv6 = peer6(host6, PORT);
	int fd = server(SOCK_DGRAM, OWN_ADDRESS, PORT, 0);
	int fd6 = server(SOCK_DGRAM, OWN_ADDRESS6, PORT, 0);

	set_up();
	for (uint32_t length = 1; length <= 1472; length += 7)
		CHECK(echoes(fd, &peer, length));
	CHECK(echoes(fd, &peer, 1472));
	CHECK(echoes(fd, &peer, NAT_MTU - 28)); /* all that there is room for */
	for (uint32_t length = 1; length <= 1452; length += 131)
		CHECK(echoes(fd6, &peer_ipv6, length));
	tear_down();
	close(fd);
	close(fd6);
}

static void names_are_asked_of_the_hosts_resolver(void)
{
	const struct guest_peer resolver = peer4(DNS, 53);
	int fd = server(SOCK_DGRAM, OWN_RESOLVER, 53, 0);

	set_up();
	CHECK(echoes(fd, &resolver, 300));
	CHECK(frame_read32(guest.view.source) == DNS);
	tear_down();
	close(fd);
}

/* Both ways at once and in pieces, the other side a socket of the test's. */
static void talk(int fd, struct guest_tcp *tcp)
{
	static uint8_t back[BULK];
	uint32_t received = 0;

	CHECK(guest_tcp_write(tcp, bulk, 100000, 1460));
	CHECK(guest_tcp_write(tcp, bulk + 100000, BULK - 100000, 12000));
	while (received < BULK) {
		ssize_t bytes = recv(fd, got + received, BULK - received, 0);

		if (bytes <= 0)
			break;
		received += (uint32_t)bytes;
	}
	CHECK(received == BULK && memcmp(got, bulk, BULK) == 0);
	for (uint32_t sent = 0; sent < BULK; sent += 50000) {
		CHECK(send(fd, bulk + sent, 50000, 0) == 50000);
		CHECK(guest_tcp_read(tcp, back + sent, 50000) == 50000);
	}
	CHECK(memcmp(back, bulk, BULK) == 0);

	/* The guest closes its half; the other half still works. */
	guest_tcp_close(tcp);
	CHECK(recv(fd, got, 1, 0) == 0);
	CHECK(send(fd, bulk, 1000, 0) == 1000);
	CHECK(guest_tcp_read(tcp, back, 1000) == 1000);
	close(fd);
	CHECK(guest_tcp_read(tcp, back, 1) == 0 && tcp->closed);
}

static void a_connection_carries_data_both_ways(void)
{
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, 1);
	struct guest_tcp tcp;

	set_up();
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	talk(accept(listener, NULL, NULL), &tcp);
	tear_down();
	close(listener);
}

static void it_does_so_over_ipv6(void)
{
	int listener = server(SOCK_STREAM, OWN_ADDRESS6, PORT, 1);
	struct guest_tcp tcp;

	set_up();
	tcp = guest_tcp(&guest, &own, peer6(host6, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	talk(accept(listener, NULL, NULL), &tcp);
	tear_down();
	close(listener);
}

static void a_router_is_told_of(void)
{
	static const uint8_t all_routers[16] = { 0xff, 2, [15] = 2 };
	static const uint8_t own_link[16] = { 0xfe, 0x80, [15] = 9 };
	uint8_t frame[GUEST_HEADERS6 + 8];
	uint8_t *icmp = frame + GUEST_HEADERS6;

	set_up();
	guest_ipv6(frame, own_link, all_routers, IPPROTO_ICMPV6, 8);
	memset(icmp, 0, 8);
	icmp[0] = ICMP6_SOLICIT_ROUTER;
	frame_write16(icmp + 2, guest_checksum(frame + FRAME_IP + 8, 16,
					       IPPROTO_ICMPV6, icmp, 8));
	guest_send(&guest, frame, sizeof(frame));
	CHECK(guest_await(&guest, &own, IPPROTO_ICMPV6));
	CHECK(guest.view.type == ICMP6_ADVERTISE_ROUTER);
	CHECK(memmem(guest.frame, guest.length, gateway6, 8));
	tear_down();
}

static void a_refused_connection_is_reset(void)
{
	struct guest_tcp tcp;

	set_up();
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(!guest_tcp_connect(&tcp) && tcp.reset);
	/* One that nobody knows is, too. */
	tcp = (struct guest_tcp) { .guest = &guest,
				   .own = &own,
				   .peer = peer4(HOST, PORT),
				   .port = 6001 };
	guest_tcp_send(&tcp, 1, TCP_FLAG_ACK, bulk, 100);
	CHECK(guest_tcp_await(&tcp) && tcp.reset);
	tear_down();
}

/* Its queue is full, so it answers to no SYN: packets vanish there. */
struct black_hole {
	int listener;
	int waiting;
};

static struct black_hole black_hole(void)
{
	struct black_hole hole = {
		.listener = server(SOCK_STREAM, OWN_ADDRESS, PORT + 1, 0),
	};

	hole.waiting = client(SOCK_STREAM, OWN_ADDRESS, PORT + 1);
	return hole;
}

static void black_hole_close(struct black_hole *hole)
{
	close(hole->listener);
	close(hole->waiting);
}

static void a_connection_into_nothing_holds_nobody_up(void)
{
	struct black_hole hole = black_hole();
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, 1);
	struct guest_tcp tcp;

	set_up();
	guest_tcp(&guest, &own, peer4(HOST, PORT + 1), 6001);
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	talk(accept(listener, NULL, NULL), &tcp);
	tear_down();
	close(listener);
	black_hole_close(&hole);
}

/* Whether a connection to the peer comes about. */
static bool reaches(struct guest_peer peer)
{
	struct guest_tcp tcp = guest_tcp(&guest, &own, peer, 6100);
	const struct guest_peer gateway = peer4(GATEWAY, 0);

	/* What is dropped has no answer, so another must come first. */
	guest_ping(&guest, &own, &gateway, 1, 0);
	for (;;) {
		while (guest_take(&guest)) {
			if (guest_answers(&guest, &own))
				continue;
			if (guest.view.protocol == IPPROTO_TCP)
				return guest.view.flags ==
				       (TCP_FLAG_SYN | TCP_FLAG_ACK);
			if (guest.view.protocol == IPPROTO_ICMP &&
			    !(tcp.peer.ipv4 == GATEWAY && guest.view.type == 0))
				return false;
		}
		if (!guest_wait(&guest, GUEST_WAIT_MS))
			return false;
	}
}

static void the_hosts_loopback_is_closed(void)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 127, [15] = 1 };
	const struct nic_config config = described();
	int listener = server(SOCK_STREAM, "127.0.0.1", PORT, 8);
	int listener6 = server(SOCK_STREAM, "::1", PORT, 8);

	set_up();
	CHECK(!reaches(peer4(0x7f000001, PORT)));
	CHECK(!reaches(peer4(0, PORT)));
	CHECK(!reaches(peer6(loopback6, PORT)));
	CHECK(!reaches(peer6(mapped, PORT)));
	tear_down();
	set_up();
	/* That is answered: it cannot be reached. */
	guest_tcp(&guest, &own, peer4(GATEWAY, PORT), 6000);
	CHECK(guest_await(&guest, &own, IPPROTO_ICMP));
	CHECK(guest.view.type == 3);
	tear_down();

	/* Whoever has a policy is kept from it by that. */
	set_up_guarded(&config, 0);
	CHECK(!reaches(peer4(GATEWAY, PORT)));
	tear_down();
	set_up_guarded(&config, CAPSA_POLICY_OPEN);
	CHECK(reaches(peer4(GATEWAY, PORT)));
	tear_down();
	close(listener);
	close(listener6);
}

static struct nic_config forwarding(enum capsa_protocol protocol,
				    const char *address)
{
	static char text[64];
	struct nic_config config = described();

	(void)snprintf(text, sizeof(text), "%s", address);
	config.forward_count = 1;
	config.forwards[0] = (struct forward_config) {
		.protocol = protocol,
		.host_port = PORT,
		.guest_port = 80,
		.address = text,
	};
	return config;
}

/* Takes the connection that somebody makes to the guest's port 80. */
static struct guest_tcp taken(const struct guest_address *address)
{
	struct guest_tcp tcp = {
		.guest = &guest, .own = address, .port = 80, .next = 1000
	};

	CHECK(guest_tcp_await(&tcp));
	CHECK(guest.view.flags == TCP_FLAG_SYN);
	tcp.peer = peer4(frame_read32(guest.view.source),
			 guest.view.source_port);
	tcp.expected = guest.view.sequence + 1;
	guest_tcp_send(&tcp, tcp.next++, TCP_FLAG_SYN | TCP_FLAG_ACK, NULL, 0);
	CHECK(guest_tcp_await(&tcp));
	return tcp;
}

static void a_forwarded_port_leads_to_the_guest(void)
{
	const struct nic_config config = forwarding(CAPSA_PROTOCOL_TCP,
						    "127.0.0.1");
	struct guest_tcp tcp;
	int fd;

	set_up_with(&config);
	fd = client(SOCK_STREAM, "127.0.0.1", PORT);
	tcp = taken(&own);
	CHECK(tcp.peer.ipv4 == GATEWAY);
	talk(fd, &tcp);
	tear_down();
}

static void many_may_come_at_once(void)
{
	const struct nic_config config = forwarding(CAPSA_PROTOCOL_TCP,
						    "0.0.0.0");
	int fds[50];

	set_up_with(&config);
	for (int i = 0; i < 50; i++)
		fds[i] = client(SOCK_STREAM, OWN_ADDRESS, PORT);
	for (int i = 0; i < 50; i++) {
		struct guest_tcp tcp = taken(&own);

		CHECK(tcp.peer.ipv4 == HOST);
	}
	for (int i = 0; i < 50; i++)
		close(fds[i]);
	tear_down();
}

static void datagrams_are_forwarded_both_ways(void)
{
	const struct nic_config config = forwarding(CAPSA_PROTOCOL_UDP,
						    "127.0.0.1");
	struct guest_peer peer;
	int fd;

	set_up_with(&config);
	fd = client(SOCK_DGRAM, "127.0.0.1", PORT);
	for (uint32_t length = 1; length < 1472; length += 300) {
		CHECK(send(fd, bulk, length, 0) == (ssize_t)length);
		CHECK(guest_await(&guest, &own, IPPROTO_UDP));
		CHECK(guest.view.payload == length);
		CHECK(guest.view.destination_port == 80);
		peer = peer4(frame_read32(guest.view.source),
			     guest.view.source_port);
		guest_udp(&guest, &own, &peer, 80, bulk + 1, length);
		CHECK(recv(fd, got, sizeof(got), 0) == (ssize_t)length);
		CHECK(memcmp(got, bulk + 1, length) == 0);
	}
	close(fd);
	tear_down();
}

static void a_taken_port_is_an_error(void)
{
	const struct {
		enum capsa_protocol protocol;
		int type;
	} kinds[] = { { CAPSA_PROTOCOL_TCP, SOCK_STREAM },
		      { CAPSA_PROTOCOL_UDP, SOCK_DGRAM } };

	for (int i = 0; i < 2; i++) {
		const struct nic_config config = forwarding(kinds[i].protocol,
							    "0.0.0.0");
		int taken_fd = server(kinds[i].type, "127.0.0.1", PORT, 1);
		struct capsa_error error = { 0 };
		struct net_port *port = NULL;

		CHECK(user_port_create(&port, &config, NULL, &error) ==
		      CAPSA_STATUS_PORT);
		CHECK(error.system_errno == EADDRINUSE);
		CHECK(strstr(error.subject, "port 4000 of 0.0.0.0"));
		close(taken_fd);
		/* Nothing of it was kept. */
		CHECK(user_port_create(&port, &config, NULL, NULL) ==
		      CAPSA_STATUS_OK);
		port->ops->destroy(port);
	}
}

static void a_port_may_be_one_of_ipv6(void)
{
	const struct nic_config config = forwarding(CAPSA_PROTOCOL_TCP, "::");
	static const uint8_t everybody[16] = { 0xff, 2, [15] = 1 };
	uint8_t frame[GUEST_HEADERS6 + 32];
	uint8_t *icmp = frame + GUEST_HEADERS6;
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons(PORT),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct guest_tcp tcp;
	int fd;

	set_up_with(&config);
	/* The NAT learns of the guest's address from what it says. */
	guest_ipv6(frame, own.ipv6, everybody, IPPROTO_ICMPV6, 32);
	memset(icmp, 0, 32);
	icmp[0] = ICMP6_ADVERTISE_NEIGHBOUR;
	memcpy(icmp + 8, own.ipv6, 16);
	icmp[24] = 2;
	icmp[25] = 1;
	memcpy(icmp + 26, guest_mac, 6);
	frame_write16(icmp + 2, guest_checksum(frame + FRAME_IP + 8, 16,
					       IPPROTO_ICMPV6, icmp, 32));
	guest_send(&guest, frame, sizeof(frame));
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	tcp = (struct guest_tcp) { .guest = &guest, .own = &own, .port = 80 };
	CHECK(guest_tcp_await(&tcp));
	CHECK(guest.view.kind == FRAME_IPV6);
	CHECK(guest.view.flags == TCP_FLAG_SYN);
	close(fd);
	fd = client(SOCK_STREAM, "127.0.0.1", PORT);
	taken(&own);
	close(fd);
	tear_down();
}

static uint32_t descriptors(void)
{
	uint32_t count = 0;

	for (int fd = 0; fd < 20000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void a_guest_takes_no_more_than_its_share(void)
{
	struct rlimit limit = { .rlim_cur = 20000, .rlim_max = 20000 };
	struct black_hole hole = black_hole();
	const struct guest_peer silent = peer4(HOST, 9);
	uint32_t before;

	(void)setrlimit(RLIMIT_NOFILE, &limit);
	set_up();
	before = descriptors();
	for (uint16_t port = 10000; port < 13000; port++)
		guest_tcp(&guest, &own, peer4(HOST, PORT + 1), port);
	CHECK(descriptors() - before <= NAT_STREAMS_MAX);
	CHECK(descriptors() - before >= NAT_STREAMS_MAX - 1);
	before = descriptors();
	for (uint16_t port = 10000; port < 13000; port++)
		guest_udp(&guest, &own, &silent, port, bulk, 10);
	CHECK(descriptors() - before <= NAT_FLOWS_MAX);
	before = descriptors();
	for (uint16_t i = 0; i < 1000; i++) {
		const struct guest_peer peer = peer4(HOST, 0);

		guest_ping(&guest, &own, &peer, i, 0);
	}
	CHECK(descriptors() - before <= NAT_ECHOES_MAX);
	tear_down();
	black_hole_close(&hole);
}

/* Segments that come before their turn are kept, but not without end. */
static void segments_before_their_turn_are_bounded(void)
{
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, 1);
	struct guest_tcp tcp;
	int fd;
	ssize_t bytes;

	set_up();
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	fd = accept(listener, NULL, NULL);
	/* From behind: every second byte, then the first. */
	for (uint32_t i = 2 * NAT_SEGMENTS_MAX; i > 0; i--)
		guest_tcp_send(&tcp, tcp.next + 2 * i, TCP_FLAG_ACK, bulk, 1);
	while (guest_take(&guest))
		;
	/* A new one has no room either, until the old one is reset. */
	guest_tcp_send(&tcp, tcp.next, TCP_FLAG_ACK, bulk, 2);
	CHECK(guest_take(&guest) == false);
	guest_tcp_send(&tcp, tcp.next, TCP_FLAG_ACK | TCP_FLAG_RST, NULL, 0);
	bytes = recv(fd, got, 1, 0);
	CHECK(bytes <= 0);
	close(fd);
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6001);
	CHECK(guest_tcp_connect(&tcp));
	talk(accept(listener, NULL, NULL), &tcp);
	tear_down();
	close(listener);
}

/* Takes a frame and acknowledges it; the payload of those in their turn. */
static uint32_t take_in(struct guest_tcp *tcps)
{
	struct guest_tcp *tcp = &tcps[guest.view.destination_port - 6000];
	uint32_t bytes = guest.view.payload;

	if (guest_answers(&guest, &own) || guest.view.protocol != IPPROTO_TCP ||
	    guest.view.sequence != tcp->expected)
		return 0;
	tcp->expected += bytes;
	guest_tcp_send(tcp, tcp->next, TCP_FLAG_ACK, NULL, 0);
	return bytes;
}

/* What a guest does not take waits in the host's kernel, not with us. */
static void a_guest_that_stands_still_costs_little(void)
{
	enum { CONNECTIONS = 40, EACH = 60000 };
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, CONNECTIONS);
	struct guest_tcp tcps[CONNECTIONS];
	int fds[CONNECTIONS];
	uint32_t bytes = 0;
	int turns = 0;

	set_up();
	for (int i = 0; i < CONNECTIONS; i++) {
		tcps[i] = guest_tcp(&guest, &own, peer4(HOST, PORT),
				    (uint16_t)(6000 + i));
		CHECK(guest_tcp_connect(&tcps[i]));
		fds[i] = accept(listener, NULL, NULL);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		CHECK(send(fds[i], bulk, EACH, 0) == EACH);
	/* Its descriptor is quiet as soon as the queue is half full. */
	while (turns < 1000 && guest_wait(&guest, 0))
		turns++;
	CHECK(turns < 1000);
	/* When it goes on, all of it arrives. */
	while (bytes < CONNECTIONS * EACH) {
		while (guest_take(&guest))
			bytes += take_in(tcps);
		if (!guest_wait(&guest, GUEST_WAIT_MS))
			break;
	}
	CHECK(bytes == CONNECTIONS * EACH);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
	tear_down();
	close(listener);
}

/*
 * With two segments to a window, Linux and libslirp each wait for the other:
 * the one to find half of a window free, the other to say that it is.
 */
static void segments_are_small_beside_a_window(void)
{
	enum { BYTES = 60000, WINDOW = 65535 };
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, 1);
	struct guest_tcp tcp;
	uint32_t largest = 0;
	uint32_t bytes = 0;
	int fd;

	set_up();
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	fd = accept(listener, NULL, NULL);
	CHECK(send(fd, bulk, BYTES, 0) == BYTES);
	while (bytes < BYTES && guest_await(&guest, &own, IPPROTO_TCP)) {
		if (guest.view.payload > largest)
			largest = guest.view.payload;
		bytes += take_in(&tcp);
	}
	CHECK(bytes == BYTES);
	CHECK(largest <= WINDOW / 4);
	close(fd);
	tear_down();
	close(listener);
}

/* When an alarm of the process's goes off, in ms; 0: none is set. */
static uint64_t next_alarm(void)
{
	uint64_t first = 0;

	for (int fd = 0; fd < 64; fd++) {
		char path[64];
		char line[128];
		unsigned long seconds;
		unsigned long nanoseconds;
		FILE *info;

		(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		info = fopen(path, "re");
		while (info && fgets(line, sizeof(line), info)) {
			uint64_t left;

			if (sscanf(line, "it_value: (%lu, %lu)", &seconds,
				   &nanoseconds) != 2)
				continue;
			left = seconds * 1000 + nanoseconds / 1000000;
			if (left > 0 && (first == 0 || left < first))
				first = left;
		}
		if (info)
			(void)fclose(info);
	}
	return first;
}

static void nothing_ticks_where_nothing_happens(void)
{
	struct nic_config config = forwarding(CAPSA_PROTOCOL_TCP, "127.0.0.1");
	const struct guest_peer gateway = peer4(GATEWAY, 0);

	set_up_with(&config);
	guest_ping(&guest, &own, &gateway, 1, 0);
	CHECK(guest_await(&guest, &own, IPPROTO_ICMP));
	/* Router advertisements come every few minutes. */
	CHECK(next_alarm() > 100000);
	tear_down();
}

/* libslirp would read beyond what it has got. */
static void urgent_data_is_ordinary(void)
{
	int listener = server(SOCK_STREAM, OWN_ADDRESS, PORT, 1);
	struct guest_tcp tcp;
	int fd;

	set_up();
	tcp = guest_tcp(&guest, &own, peer4(HOST, PORT), 6000);
	CHECK(guest_tcp_connect(&tcp));
	fd = accept(listener, NULL, NULL);
	tcp.urgent = 1000;
	guest_tcp_send(&tcp, tcp.next, TCP_FLAG_ACK | TCP_FLAG_URG, bulk, 10);
	CHECK(recv(fd, got, sizeof(got), 0) == 10);
	CHECK(memcmp(got, bulk, 10) == 0);
	close(fd);
	tear_down();
	close(listener);
}

/* The library says nothing on our behalf. */
static int quiet_fd;

static void nothing_was_printed(void)
{
	char text[400] = "";

	(void)lseek(quiet_fd, 0, SEEK_SET);
	(void)!read(quiet_fd, text, sizeof(text) - 1);
	CHECK(strcmp(text, "") == 0);
	if (*text)
		printf("# %s\n", text);
}

int main(void)
{
	const char *cause = own_network();

	if (!cause)
		cause = host_lacks_libslirp();
	for (uint32_t i = 0; i < BULK; i++)
		bulk[i] = (uint8_t)(i * 7 >> 3);
	if (cause) {
		TEST_SKIP(a_guest_behind_the_nat, cause);
		return tap_done();
	}
	quiet_fd = memfd_create("stderr", MFD_CLOEXEC);
	dup2(quiet_fd, STDERR_FILENO);
	TEST(the_guest_is_given_an_address);
	TEST(the_gateway_answers);
	TEST(the_host_can_be_pinged);
	TEST(datagrams_of_any_length_come_back);
	TEST(names_are_asked_of_the_hosts_resolver);
	TEST(a_connection_carries_data_both_ways);
	TEST(it_does_so_over_ipv6);
	TEST(a_router_is_told_of);
	TEST(a_refused_connection_is_reset);
	TEST(a_connection_into_nothing_holds_nobody_up);
	TEST(the_hosts_loopback_is_closed);
	TEST(a_forwarded_port_leads_to_the_guest);
	TEST(many_may_come_at_once);
	TEST(datagrams_are_forwarded_both_ways);
	TEST(a_taken_port_is_an_error);
	TEST(a_port_may_be_one_of_ipv6);
	TEST(a_guest_takes_no_more_than_its_share);
	TEST(segments_before_their_turn_are_bounded);
	TEST(a_guest_that_stands_still_costs_little);
	TEST(segments_are_small_beside_a_window);
	TEST(nothing_ticks_where_nothing_happens);
	TEST(urgent_data_is_ordinary);
	TEST(nothing_was_printed);
	return tap_done();
}
