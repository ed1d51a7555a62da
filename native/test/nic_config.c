/* SPDX-License-Identifier: MIT */
/* The network device of a machine's description. */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "machine_config.h"
#include "tap.h"

struct networked {
	struct capsa_machine_config head;
	uint8_t padding; /* arrays need not be aligned */
	uint8_t nics[2 * sizeof(struct capsa_nic)];
	uint8_t forwards[(CAPSA_FORWARDS_MAX + 1) *
			 sizeof(struct capsa_forward)];
	uint8_t policy[sizeof(struct capsa_policy)];
	char texts[400];
};

static struct networked networked;
static struct capsa_nic nic;
static struct capsa_forward forward;
static struct capsa_policy policy;
static uint32_t text_end;
static struct capsa_error error;

#define PLACE(field) ((uint32_t)offsetof(struct networked, field))

static struct capsa_slice text(const char *words)
{
	struct capsa_slice slice = {
		.offset = PLACE(texts) + text_end,
		.length = (uint32_t)strlen(words),
	};

	if (text_end + slice.length > sizeof(networked.texts))
		abort();
	memcpy(networked.texts + text_end, words, slice.length);
	text_end += slice.length;
	return slice;
}

static void describe(enum capsa_network_mode mode)
{
	text_end = 0;
	memset(&networked, 0, sizeof(networked));
	networked.head = (struct capsa_machine_config) {
		.size = sizeof(networked.head),
		.total = sizeof(networked),
		.memory_bytes = 16 << 20,
		.cpus = 1,
		.discovery = CAPSA_DISCOVERY_CMDLINE,
		.console = CAPSA_CONSOLE_VIRTIO,
		.console_bytes = 4096,
		.kernel = text("/kernel"),
		.nics = { PLACE(nics), sizeof(nic) },
	};
	nic = (struct capsa_nic) {
		.size = sizeof(nic),
		.mode = mode,
		.mac = { 2, 1, 2, 3, 4, 5 },
		.network = 65,
	};
	forward = (struct capsa_forward) {
		.size = sizeof(forward),
		.protocol = CAPSA_PROTOCOL_UDP,
		.host_port = 8080,
		.guest_port = 80,
		.address = text("127.0.0.1"),
	};
	policy = (struct capsa_policy) {
		.size = sizeof(policy),
		.total = sizeof(policy),
		.default_action = CAPSA_ACTION_DENY,
	};
	if (mode == CAPSA_NETWORK_USER) {
		nic.forwards = (struct capsa_slice) { PLACE(forwards),
						      2 * sizeof(forward) };
		nic.policy = (struct capsa_slice) { PLACE(policy),
						    sizeof(policy) };
	} else if (mode == CAPSA_NETWORK_TAP) {
		nic.device = text("tap0");
	}
}

static enum capsa_status copy_to(struct machine_config *copy)
{
	memcpy(networked.nics, &nic, sizeof(nic));
	for (uint32_t i = 0; i <= CAPSA_FORWARDS_MAX; i++)
		memcpy(networked.forwards + i * sizeof(forward), &forward,
		       sizeof(forward));
	memcpy(networked.policy, &policy, sizeof(policy));
	memset(&error, 0, sizeof(error));
	return machine_config_copy(copy, MACHINE_GUEST, &networked.head,
				   &error);
}

/* The field that is refused, or an empty text. */
static const char *refused(void)
{
	static struct machine_config copy;
	enum capsa_status status = copy_to(&copy);

	machine_config_free(&copy);
	if (status == CAPSA_STATUS_OK)
		return "";
	return status == CAPSA_STATUS_INVALID_ARGUMENT ? error.field : "?";
}

static bool is_refused(const char *field)
{
	return strcmp(refused(), field) == 0;
}

static void a_copy_outlives_its_original(void)
{
	static struct machine_config copy;
	const uint8_t search[] = "\7example\3org";

	describe(CAPSA_NETWORK_USER);
	nic.dns_servers = text("192.0.2.1 192.0.2.2");
	nic.dns_search = text("example.org");
	CHECK(copy_to(&copy) == CAPSA_STATUS_OK);
	memset(&networked, 0xff, sizeof(networked));
	CHECK(copy.has_nic && copy.nic.mode == CAPSA_NETWORK_USER);
	CHECK(memcmp(copy.nic.mac, nic.mac, NET_MAC_BYTES) == 0);
	CHECK(copy.nic.dns_count == 2 && copy.nic.dns[1] == 0xc0000202);
	CHECK(copy.nic.search_length == sizeof(search) &&
	      memcmp(copy.nic.search, search, sizeof(search)) == 0);
	CHECK(copy.nic.forward_count == 2);
	CHECK(copy.nic.forwards[1].protocol == CAPSA_PROTOCOL_UDP &&
	      copy.nic.forwards[1].host_port == 8080 &&
	      copy.nic.forwards[1].guest_port == 80 &&
	      strcmp(copy.nic.forwards[1].address, "127.0.0.1") == 0);
	CHECK(copy.nic.policy->default_action == CAPSA_ACTION_DENY);
	machine_config_free(&copy);

	describe(CAPSA_NETWORK_TAP);
	CHECK(copy_to(&copy) == CAPSA_STATUS_OK);
	CHECK(strcmp(copy.nic.device, "tap0") == 0 && !copy.nic.policy);
	machine_config_free(&copy);

	describe(CAPSA_NETWORK_SHARED);
	nic.address = text("10.0.3.9");
	CHECK(copy_to(&copy) == CAPSA_STATUS_OK);
	CHECK(copy.nic.network == 65 && copy.nic.address == 0x0a000309);
	machine_config_free(&copy);
}

static void devices_are_checked(void)
{
	describe(CAPSA_NETWORK_SHARED);
	CHECK(is_refused(""));
	nic.mac[0] = 1; /* for many */
	CHECK(is_refused("nics"));
	describe(CAPSA_NETWORK_SHARED);
	nic.size--;
	CHECK(is_refused("nics"));
	describe((enum capsa_network_mode)0);
	CHECK(is_refused("nics"));
	describe((enum capsa_network_mode)(CAPSA_NETWORK_SHARED + 1));
	CHECK(is_refused("nics"));
	describe(CAPSA_NETWORK_SHARED);
	networked.head.nics.length *= 2;
	CHECK(is_refused("nics"));
	describe(CAPSA_NETWORK_SHARED);
	networked.head.nics.length--;
	CHECK(is_refused("nics"));
	networked.head.nics.length = 0;
	CHECK(is_refused(""));
}

static void forwards_are_checked(void)
{
	describe(CAPSA_NETWORK_USER);
	nic.forwards.length = CAPSA_FORWARDS_MAX * sizeof(forward);
	CHECK(is_refused(""));
	nic.forwards.length += sizeof(forward);
	CHECK(is_refused("nics.forwards"));
	nic.forwards.length = sizeof(forward);
	forward.host_port = 0;
	CHECK(is_refused("nics.forwards"));
	forward.host_port = 1;
	forward.guest_port = 0;
	CHECK(is_refused("nics.forwards"));
	forward.guest_port = 1;
	forward.protocol = CAPSA_PROTOCOL_ICMP;
	CHECK(is_refused("nics.forwards"));
	forward.protocol = CAPSA_PROTOCOL_TCP;
	CHECK(is_refused(""));
	forward.address = text("localhost");
	CHECK(is_refused("nics.forwards.address"));
	forward.address = text("::1");
	CHECK(is_refused(""));
	forward.address.offset = UINT32_MAX;
	CHECK(is_refused("nics.forwards.address"));
	forward.address.length = 0;
	CHECK(is_refused("nics.forwards"));
}

static void names_are_checked(void)
{
	describe(CAPSA_NETWORK_USER);
	nic.dns_servers = text("1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 "
			       "6.6.6.6 7.7.7.7 8.8.8.8");
	CHECK(is_refused(""));
	nic.dns_servers = text("1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4 5.5.5.5 "
			       "6.6.6.6 7.7.7.7 8.8.8.8 9.9.9.9");
	CHECK(is_refused("nics.dns_servers"));
	nic.dns_servers = text("::1");
	CHECK(is_refused("nics.dns_servers"));
	nic.dns_servers.length = 0;
	nic.dns_search = text("..");
	CHECK(is_refused("nics.dns_search"));
	describe(CAPSA_NETWORK_TAP);
	nic.device = text("a/b");
	CHECK(is_refused("nics.device"));
	nic.device = text("sixteen-byte-dev");
	CHECK(is_refused("nics.device"));
	nic.device.length = 0;
	CHECK(is_refused("nics.device"));
	describe(CAPSA_NETWORK_SHARED);
	nic.address = text("10.0.3");
	CHECK(is_refused("nics.address"));
}

static void policies_are_held_to_their_buffer(void)
{
	describe(CAPSA_NETWORK_USER);
	nic.policy.length = 0;
	CHECK(is_refused(""));
	nic.policy.length = sizeof(policy) - 1;
	CHECK(is_refused("nics.policy"));
	nic.policy.length = sizeof(policy) + 1;
	CHECK(is_refused("nics.policy"));
	policy.total++;
	CHECK(is_refused(""));
	nic.policy.length = sizeof(networked);
	CHECK(is_refused("nics.policy"));
	nic.policy.length = 1 << 20;
	CHECK(is_refused("nics.policy"));
	describe(CAPSA_NETWORK_USER);
	nic.policy.offset = 0;
	CHECK(is_refused("nics.policy"));
}

int main(void)
{
	TEST(a_copy_outlives_its_original);
	TEST(devices_are_checked);
	TEST(forwards_are_checked);
	TEST(names_are_checked);
	TEST(policies_are_held_to_their_buffer);
	return tap_done();
}
