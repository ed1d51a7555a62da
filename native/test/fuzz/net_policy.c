/* SPDX-License-Identifier: MIT */
/*
 * A guest and a NAT that send anything: frames go on only where the rules
 * let them, and answers are good frames. Rules are any bytes, too.
 *
 * Input: its first byte says whether the rest is a policy as it crosses the
 * ABI, or operations of twelve bytes: who sends what (0), to whom (1), flags
 * (2), port (3), sequence and acknowledgement (4-7), a change of the frame
 * (8-10), time (11); and a payload of 20 or 200 bytes, or of what is left.
 */
#include "fake_message.h"
#include "net/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION = 12,
	PAYLOAD_MAX = 200,
	OPERATIONS_MAX = 200,
};

/* No rule below opens the last three, whatever DNS says. */
static const char *const remotes[] = {
	"192.0.2.7",    "192.0.2.8",       "2600::7", "198.51.100.7",
	"198.51.100.8", "10.0.2.2",        DNS4,      "127.0.0.1",
	"::1",          "169.254.169.254",
};
enum { REMOTES = 10, REMOTES_NAT = 6 /* that a NAT may send from */ };

static struct fake_net net;

/* Whether what the guest sent and what went on was for a good address. */
static void fuzz_passed(const struct net_packet *packet)
{
	if (packet->kind != PACKET_TCP && packet->kind != PACKET_UDP &&
	    packet->kind != PACKET_ECHO_REQUEST)
		return;
	for (int i = REMOTES - 3; i < REMOTES; i++) {
		struct net_address address = fake_address(remotes[i]);

		if (net_address_is(&packet->destination, &address))
			__builtin_trap();
	}
	if (!packet_is_sound(packet))
		__builtin_trap();
}

static void fuzz_answer(const uint8_t *frame, uint32_t length, uint32_t room)
{
	struct net_packet packet;

	if (length == 0)
		return;
	if (length > room || packet_parse(&packet, frame, length) < 0 ||
	    !packet_is_sound(&packet) || packet.ip_length + 14 != length)
		__builtin_trap();
}

/* As far as there is something to sum up; the version may have changed. */
static void fuzz_seal(void)
{
	if (net.length >= 54 + 20)
		fake_seal(&net);
}

static void fuzz_make(const uint8_t *operation, const uint8_t *payload,
		      uint32_t length)
{
	bool from_guest = operation[0] & 1;
	const char *remote =
		remotes[operation[1] % (from_guest ? REMOTES : REMOTES_NAT)];
	struct fake_tcp tcp = {
		.remote = remote,
		.guest_port = 1000u + operation[3] % 4,
		.remote_port = operation[3] & 0x40   ? 53
			       : operation[3] & 0x20 ? 443
						     : 80,
		.guest_next = 0xfffffff0 + fake_get16(operation + 4),
		.nat_next = 0x10000 + fake_get16(operation + 6),
	};

	switch (operation[0] >> 1 & 3) {
	case 0:
		fake_make_udp(&net, from_guest, remote, tcp.guest_port,
			      tcp.remote_port, payload, length);
		break;
	case 1:
		fake_echo(&net, from_guest, remote, operation[3]);
		break;
	default:
		fake_make_tcp(&net, from_guest, &tcp, operation[2], payload,
			      length);
		break;
	}
	/* Change a byte of the headers, before or after the sums. */
	if (operation[0] & 8)
		net.frame[operation[8] % 80] ^= operation[9];
	if (!(operation[0] & 16))
		fuzz_seal();
	if (operation[0] & 32)
		net.frame[operation[8] % 80] ^= operation[9];
	if (operation[0] & 64 && net.length > operation[10])
		net.length -= operation[10];
}

static void fuzz_operation(const uint8_t *operation, const uint8_t *payload,
			   uint32_t length)
{
	struct net_packet packet;
	uint8_t *exact;
	enum net_verdict verdict;
	bool from_guest = operation[0] & 1;

	net.now_ms += (uint64_t)operation[11] * operation[11];
	fuzz_make(operation, payload, length);
	exact = malloc(net.length ? net.length : 1);
	memcpy(exact, net.frame, net.length);
	verdict = (from_guest ? net.filter->from_guest : net.filter->to_guest)(
		net.filter, exact, net.length, net.now_ms, &net.answer);
	if (from_guest && verdict == NET_PASS &&
	    packet_parse(&packet, exact, net.length) == 0)
		fuzz_passed(&packet);
	if (verdict == NET_PASS &&
	    net.answer.guest_length + net.answer.nat_length > 0)
		__builtin_trap();
	fuzz_answer(net.answer.guest, net.answer.guest_length,
		    sizeof(net.answer.guest));
	fuzz_answer(net.answer.nat, net.answer.nat_length,
		    sizeof(net.answer.nat));
	free(exact);
}

static void fuzz_frames(const uint8_t *data, size_t size)
{
	static const char *const rules[] = {
		"deny; log; allow 192.0.2.0/24; allow 2600::/16; "
		"allow a.example; allow 10.0.2.2 80",
		"deny; deny tcp 443 192.0.2.7; deny b.example; allow *.example; "
		"allow 198.51.100.0/24",
	};
	struct capsa_decision lines[4];

	fake_net_open(&net, rules[0]);
	policy_forward_udp(net.policy, 1001);
	fake_resolve(&net, "a.example", "198.51.100.7", 20);
	for (int i = 0; i < OPERATIONS_MAX && size >= OPERATION; i++) {
		uint32_t length = 20;

		if (data[0] & 0x80)
			length = PAYLOAD_MAX;
		if (length > size - OPERATION)
			length = (uint32_t)(size - OPERATION);
		fuzz_operation(data, data + OPERATION, length);
		if (data[2] == 0xff)
			fake_net_replace(&net, rules[data[3] & 1], data[3] & 2);
		data += OPERATION + length;
		size -= OPERATION + length;
	}
	policy_take_log(net.policy, lines, 4);
	fake_net_close(&net);
}

static void fuzz_rules(const uint8_t *data, size_t size)
{
	struct capsa_policy *policy = malloc(sizeof(*policy) + size);
	struct rules *rules;

	if (size >= sizeof(*policy)) {
		memcpy(policy, data, size);
		policy->total = (uint32_t)size;
		if (rules_copy(&rules, policy, NULL) == CAPSA_STATUS_OK) {
			fake_net_open(&net, "allow");
			policy_replace(net.policy, rules, net.now_ms);
			fake_syn(&net, "192.0.2.7", 443);
			fake_udp(&net, true, "2600::7", 4000, 9);
			fake_resolve(&net, "a.example", "192.0.2.7", 9);
			fake_syn(&net, "192.0.2.7", 443);
			fake_net_close(&net);
		}
	}
	free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 64 * 1024)
		return 0;
	if (data[0] == 0xff)
		fuzz_rules(data + 1, size - 1);
	else
		fuzz_frames(data + 1, size - 1);
	return 0;
}
