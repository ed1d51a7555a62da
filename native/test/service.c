/* SPDX-License-Identifier: MIT */
/* Devices for another monitor's machine, through capsa.h. */
#include <dirent.h>
#include <linux/virtio_net.h>
#include <linux/virtio_vsock.h>
#include <poll.h>

#include "capsa.h"
#include "fake_front.h"
#include "fake_fuse.h"
#include "host_lacks.h"
#include "tap.h"

enum {
	REQUESTS = 1, /* the queue of them */
	RECEIVE = 0,  /* of frames and packets, as the guest sees it */
	TRANSMIT = 1,
	REQUEST = FRONT_DATA,
	REPLY = FRONT_DATA + 0x1000,
	SHARES = 2,
	DEVICES = SHARES + 2,
	MEMORY_BYTES = 64 << 20,
};

struct config {
	struct capsa_machine_config head;
	struct capsa_share shares[SHARES];
	struct capsa_nic nic;
	char tag[4];
	char paths[SHARES][64];
	char vsock[80];
};

/* What has been drained of one service. */
struct diary {
	bool started;
	bool exited;
	bool released;
	uint32_t exit;
	struct capsa_error error;
};

static struct capsa *capsa;
static struct config config;
static char folder[64]; /* of the sockets */
static char prefix[80]; /* of their names */
static int sockets[DEVICES];
static uint32_t service;
static struct diary diary;

static void describe_share(uint32_t index)
{
	struct capsa_share *share = &config.shares[index];
	char *path = config.paths[index];

	fake_folder_create(path, sizeof(config.paths[index]));
	*share = (struct capsa_share) {
		.size = sizeof(*share),
		.cache = CAPSA_SHARE_CACHE_AUTO,
		.path = { (uint32_t)(path - (char *)&config),
			  (uint32_t)strlen(path) },
		.tag = { offsetof(struct config, tag), 4 },
	};
}

static void open_library(void)
{
	config = (struct config) { .tag = "data" };
	config.head = (struct capsa_machine_config) {
		.size = sizeof(config.head),
		.total = sizeof(config),
		.memory_bytes = MEMORY_BYTES,
		.shares = { offsetof(struct config, shares),
			    sizeof(config.shares) },
	};
	for (uint32_t i = 0; i < SHARES; i++)
		describe_share(i);
	fake_folder_create(folder, sizeof(folder));
	(void)snprintf(prefix, sizeof(prefix), "%s/device", folder);
	diary = (struct diary) { 0 };
	CHECK(capsa_open(&capsa, NULL) == CAPSA_STATUS_OK);
}

/* Beside the shares. */
static void describe_others(void)
{
	(void)snprintf(config.vsock, sizeof(config.vsock), "%s/vsock", folder);
	config.nic = (struct capsa_nic) {
		.size = sizeof(config.nic),
		.mode = CAPSA_NETWORK_USER,
		.mac = { 2, 1, 2, 3, 4, 5 },
	};
	config.head.nics = (struct capsa_slice) {
		offsetof(struct config, nic),
		sizeof(config.nic),
	};
	config.head.vsock = (struct capsa_slice) {
		offsetof(struct config, vsock),
		(uint32_t)strlen(config.vsock),
	};
}

/* -1: nobody listens there. */
static int connect_to(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	return front_connect_to(&name, sizeof(name));
}

static int connect_to_device(uint32_t index)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s%u", prefix, index);
	return connect_to(path);
}

/* Also connects to all devices. */
static void serve_devices(uint32_t count)
{
	CHECK(capsa_serve(capsa, &config.head, prefix, &service, NULL) ==
	      CAPSA_STATUS_OK);
	for (uint32_t i = 0; i < count; i++) {
		sockets[i] = connect_to_device(i);
		CHECK(sockets[i] >= 0);
	}
}

static void serve(void)
{
	serve_devices(SHARES);
}

static void note(const struct capsa_event *event)
{
	switch (event->kind) {
	case CAPSA_EVENT_STAGE:
		CHECK(event->code == CAPSA_STAGE_STARTED && !diary.exited);
		diary.started = true;
		break;
	case CAPSA_EVENT_EXIT:
		CHECK(!diary.exited && !diary.released);
		diary.exited = true;
		diary.exit = event->code;
		diary.error = event->error;
		break;
	default:
		CHECK(event->kind == CAPSA_EVENT_RELEASED && diary.exited);
		diary.released = true;
		break;
	}
}

/* Takes what there is; the wake descriptor is read first. */
static void drain(void)
{
	struct capsa_drained drained = { .size = sizeof(drained) };
	eventfd_t wakes;

	(void)eventfd_read(capsa_wake_fd(capsa), &wakes);
	do {
		CHECK(capsa_drain(capsa, &drained, NULL, 0) == CAPSA_STATUS_OK);
		for (uint32_t i = 0; i < drained.event_count; i++)
			note(&drained.events[i]);
	} while (drained.machine != 0);
}

/* Drains until *happened. */
static void await(const bool *happened)
{
	struct pollfd wake = { .fd = capsa_wake_fd(capsa), .events = POLLIN };

	for (drain(); !*happened; drain())
		if (poll(&wake, 1, FAKE_WAIT_MS) != 1)
			break;
	CHECK(*happened);
}

static void close_library(void)
{
	CHECK(capsa_release(capsa, service) == CAPSA_STATUS_OK);
	await(&diary.released);
	CHECK(capsa_kill(capsa, service) == CAPSA_STATUS_STALE_HANDLE);
	CHECK(capsa_close(capsa) == CAPSA_STATUS_OK);
	for (uint32_t i = 0; i < SHARES; i++)
		fake_folder_remove(config.paths[i]);
	/* Nothing is left in it. */
	CHECK(rmdir(folder) == 0);
}

/* Offers FUSE_INIT to a share's guest queue. */
static void offer_init(struct fake_front *front)
{
	struct fake_queue *queue = &front->queues[REQUESTS];
	const struct fuse_in_header header = {
		.len = sizeof(header) + sizeof(struct fuse_init_in),
		.opcode = FUSE_INIT,
		.unique = 7,
	};
	const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
					   .minor = FUSE_KERNEL_MINOR_VERSION };
	uint8_t *request = memory_at(&front->memory, REQUEST, header.len);

	memcpy(request, &header, sizeof(header));
	memcpy(request + sizeof(header), &init, sizeof(init));
	fake_descriptor(&queue->descriptors[0], REQUEST, header.len,
			VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queue->descriptors[1], REPLY, 4096, VRING_DESC_F_WRITE,
			0);
	fake_offer(queue, 0);
	eventfd_write(front->kick_fds[REQUESTS], 1);
}

static void init_is_answered(struct fake_front *front)
{
	struct vring_used_elem element;
	struct fuse_out_header answer;

	offer_init(front);
	CHECK(front_await(front, REQUESTS, &element));
	memcpy(&answer, memory_at(&front->memory, REPLY, sizeof(answer)),
	       sizeof(answer));
	CHECK(answer.error == 0 && answer.unique == 7 &&
	      answer.len == element.len);
}

static uint64_t requests(void)
{
	struct capsa_stats stats = { .size = sizeof(stats) };

	CHECK(capsa_stats(capsa, service, &stats) == CAPSA_STATUS_OK);
	CHECK(stats.memory_bytes == MEMORY_BYTES && stats.cpus == 0);
	return stats.share_requests;
}

static bool is_hung_up(int socket)
{
	struct pollfd closed = { .fd = socket, .events = POLLIN };
	uint8_t byte;

	return poll(&closed, 1, FAKE_WAIT_MS) == 1 &&
	       recv(socket, &byte, 1, 0) <= 0;
}

/* Descriptors of this process. */
static uint32_t descriptors(void)
{
	DIR *listed = opendir("/proc/self/fd");
	uint32_t count = 0;

	while (readdir(listed))
		count++;
	closedir(listed);
	return count;
}

/* Whether the guest's memory is mapped by somebody still. */
static bool memory_is_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, "memfd:guest") != NULL;
	(void)fclose(maps);
	return found;
}

static void shares_are_served_until_all_have_hung_up(void)
{
	struct fake_front fronts[SHARES];
	const uint8_t byte[1] = { 7 };
	uint32_t accepted;

	open_library();
	serve();
	await(&diary.started);
	CHECK(requests() == 0);
	for (uint32_t i = 0; i < SHARES; i++) {
		front_create(&fronts[i], sockets[i]);
		front_bring_up(&fronts[i]);
		init_is_answered(&fronts[i]);
	}
	CHECK(requests() == 2);
	CHECK(capsa_power_button(capsa, service) == CAPSA_STATUS_STATE);
	CHECK(capsa_pause(capsa, service) == CAPSA_STATUS_OK);
	CHECK(capsa_resume(capsa, service) == CAPSA_STATUS_OK);
	CHECK(capsa_console_write(capsa, service, byte, 1, &accepted) ==
		      CAPSA_STATUS_OK &&
	      accepted == 0);
	front_destroy(&fronts[0]);
	CHECK(front_ask(&fronts[1], VHOST_USER_GET_QUEUE_NUM) == FRONT_QUEUES);
	drain();
	CHECK(!diary.exited);
	CHECK(memory_is_mapped());
	front_destroy(&fronts[1]);
	await(&diary.exited);
	CHECK(diary.exit == CAPSA_EXIT_POWER_OFF);
	/* That of the guest is gone before anybody releases anything. */
	CHECK(!memory_is_mapped());
	CHECK(requests() == 2);
	CHECK(capsa_kill(capsa, service) == CAPSA_STATUS_OK);
	CHECK(capsa_pause(capsa, service) == CAPSA_STATUS_STATE);
	CHECK(capsa_console_write(capsa, service, byte, 1, &accepted) ==
	      CAPSA_STATUS_STATE);
	close_library();
}

static void killing_hangs_up(void)
{
	open_library();
	serve();
	await(&diary.started);
	CHECK(capsa_kill(capsa, service) == CAPSA_STATUS_OK);
	await(&diary.exited);
	CHECK(diary.exit == CAPSA_EXIT_KILLED);
	for (uint32_t i = 0; i < SHARES; i++) {
		CHECK(is_hung_up(sockets[i]));
		close(sockets[i]);
	}
	close_library();
}

/* The folder that is there is not served either. */
static void a_folder_that_is_not_there_is_told(void)
{
	open_library();
	fake_folder_remove(config.paths[1]);
	serve_devices(0);
	/* The service may have ended before, and taken its sockets away. */
	for (uint32_t i = 0; i < SHARES; i++)
		sockets[i] = connect_to_device(i);
	await(&diary.exited);
	CHECK(!diary.started && diary.exit == CAPSA_EXIT_FAILED);
	CHECK(diary.error.status == CAPSA_STATUS_SHARE_FOLDER);
	CHECK(diary.error.system_errno == ENOENT);
	CHECK(strcmp(diary.error.subject, config.paths[1]) == 0);
	CHECK(requests() == 0);
	for (uint32_t i = 0; i < SHARES; i++) {
		if (sockets[i] < 0)
			continue;
		CHECK(is_hung_up(sockets[i]));
		close(sockets[i]);
	}
	close_library();
}

static bool is_refused(const char *field)
{
	struct capsa_error error = { 0 };
	uint32_t status = capsa_serve(capsa, &config.head, prefix, &service,
				      &error);

	return status == CAPSA_STATUS_INVALID_ARGUMENT &&
	       strcmp(error.field, field) == 0;
}

static void what_a_service_has_not_is_refused(void)
{
	const struct capsa_slice slice = { sizeof(config.head), 4 };
	struct capsa_error error = { 0 };
	char longest[CAPSA_VSOCK_PATH_MAX + 2] = { 0 };
	uint32_t before;

	open_library();
	before = descriptors();
	config.head.cpus = 1;
	CHECK(is_refused("cpus"));
	config.head.cpus = 0;
	config.head.discovery = CAPSA_DISCOVERY_FIRMWARE;
	CHECK(is_refused("discovery"));
	config.head.discovery = 0;
	config.head.console = CAPSA_CONSOLE_SERIAL;
	CHECK(is_refused("console"));
	config.head.console = 0;
	config.head.console_bytes = 4096;
	CHECK(is_refused("console_bytes"));
	config.head.console_bytes = 0;
	config.head.kernel = slice;
	CHECK(is_refused("kernel"));
	config.head.kernel = (struct capsa_slice) { 0 };
	config.head.initrd = slice;
	CHECK(is_refused("initrd"));
	config.head.initrd = (struct capsa_slice) { 0 };
	config.head.cmdline = slice;
	CHECK(is_refused("cmdline"));
	config.head.cmdline = (struct capsa_slice) { 0 };
	config.head.disks = slice;
	CHECK(is_refused("disks"));
	config.head.disks = (struct capsa_slice) { 0 };
	config.head.flags = CAPSA_MACHINE_BALLOON;
	CHECK(is_refused("flags"));
	config.head.flags = 0;
	config.head.shares.length = 0;
	CHECK(is_refused("shares"));
	config.head.shares.length = sizeof(config.shares);
	config.head.size--;
	CHECK(is_refused("size"));
	config.head.size++;
	config.shares[1].tag.length = 0;
	CHECK(is_refused("shares"));
	config.shares[1].tag.length = 4;
	describe_others();
	config.nic.mode = CAPSA_NETWORK_SHARED;
	config.nic.network = 65;
	CHECK(is_refused("nics.network"));
	CHECK(capsa_serve(capsa, &config.head, NULL, &service, NULL) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	config.head.nics.length = 0;
	memset(longest, 'a', sizeof(longest) - 1);
	CHECK(capsa_serve(capsa, &config.head, longest, &service, &error) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(strcmp(error.subject, "path") == 0);
	(void)snprintf(longest, sizeof(longest), "%s/none/device", folder);
	CHECK(capsa_serve(capsa, &config.head, longest, &service, &error) ==
	      CAPSA_STATUS_HOST);
	CHECK(error.system_errno == ENOENT);
	CHECK(descriptors() == before);
	CHECK(capsa_close(capsa) == CAPSA_STATUS_OK);
	for (uint32_t i = 0; i < SHARES; i++)
		fake_folder_remove(config.paths[i]);
	CHECK(rmdir(folder) == 0);
}

/* Puts a buffer into a guest queue, and tells. */
static void offer_buffer(const struct fake_front *front, uint32_t index,
			 uint64_t address, uint32_t length, uint16_t flags)
{
	struct fake_queue *queue = (struct fake_queue *)&front->queues[index];

	fake_descriptor(&queue->descriptors[0], address, length, flags, 0);
	fake_offer(queue, 0);
	eventfd_write(front->kick_fds[index], 1);
}

/* The NAT answers for its gateway. */
static void frames_are_answered(struct fake_front *front)
{
	static const uint8_t question[12 + 42] = {
		[12] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  1, 2, 3,  4,
		5,           8,    6,    0,    1,    8,    0,  6, 4, 0,  1,
		2,           1,    2,    3,    4,    5,    10, 0, 2, 15, 0,
		0,           0,    0,    0,    0,    10,   0,  2, 2,
	};
	static const uint8_t gateway[] = { 0x52, 0x55, 10, 0, 2, 2 };
	const uint8_t *answer = memory_at(&front->memory, REPLY, 2048);
	struct vring_used_elem element;

	memcpy(memory_at(&front->memory, REQUEST, sizeof(question)), question,
	       sizeof(question));
	offer_buffer(front, RECEIVE, REPLY, 2048, VRING_DESC_F_WRITE);
	offer_buffer(front, TRANSMIT, REQUEST, sizeof(question), 0);
	CHECK(front_await(front, TRANSMIT, &element));
	CHECK(front_await(front, RECEIVE, &element));
	CHECK(element.len >= sizeof(question));
	CHECK(memcmp(answer + 12 + 6, gateway, sizeof(gateway)) == 0);
	CHECK(answer[12 + 21] == 2); /* a reply */
}

static uint64_t guest_cid(const struct fake_front *front)
{
	struct vhost_user_config ask = { .size = sizeof(uint64_t) };
	uint64_t cid;

	front_tell(front, VHOST_USER_GET_CONFIG, 0, &ask, 12 + sizeof(cid),
		   NULL, 0);
	CHECK(front_hear(front, VHOST_USER_GET_CONFIG, &ask, 12 + sizeof(cid)));
	memcpy(&cid, ask.bytes, sizeof(cid));
	return cid;
}

/* Who asks on the host for a port asks the guest. */
static int guest_is_asked(struct fake_front *front)
{
	static const char ask[] = "CONNECT 5\n";
	struct virtio_vsock_hdr packet;
	struct vring_used_elem element;
	int client = connect_to(config.vsock);

	CHECK(client >= 0 && send(client, ask, 10, 0) == 10);
	offer_buffer(front, RECEIVE, REPLY, 4096, VRING_DESC_F_WRITE);
	CHECK(front_await(front, RECEIVE, &element));
	memcpy(&packet, memory_at(&front->memory, REPLY, sizeof(packet)),
	       sizeof(packet));
	CHECK(packet.op == VIRTIO_VSOCK_OP_REQUEST && packet.dst_cid == 3 &&
	      packet.dst_port == 5);
	return client;
}

static struct capsa_stats counted(void)
{
	struct capsa_stats stats = { .size = sizeof(stats) };

	CHECK(capsa_stats(capsa, service, &stats) == CAPSA_STATUS_OK);
	return stats;
}

static void what_is_decided_is_explained(void)
{
	const struct capsa_flow flow = {
		.size = sizeof(flow),
		.protocol = CAPSA_PROTOCOL_TCP,
		.guest = { CAPSA_ADDRESS_IPV4, { 10, 0, 2, 15 } },
		.remote = { CAPSA_ADDRESS_IPV4, { 198, 51, 100, 1 } },
		.remote_port = 80,
	};
	const struct capsa_policy none = {
		.size = sizeof(none),
		.total = sizeof(none),
		.default_action = CAPSA_ACTION_DENY,
	};
	struct capsa_decision decision = { .size = sizeof(decision) };
	uint32_t lines = 1;

	CHECK(capsa_policy_explain(capsa, service, &flow, NULL, &decision) ==
		      CAPSA_STATUS_OK &&
	      decision.action == CAPSA_ACTION_ALLOW);
	CHECK(capsa_policy_replace(capsa, service, &none, NULL) ==
	      CAPSA_STATUS_OK);
	CHECK(capsa_policy_explain(capsa, service, &flow, NULL, &decision) ==
		      CAPSA_STATUS_OK &&
	      decision.action == CAPSA_ACTION_DENY);
	CHECK(capsa_policy_log(capsa, service, NULL, 0, &lines) ==
		      CAPSA_STATUS_OK &&
	      lines == 0);
}

static void network_and_vsock_are_served(void)
{
	struct fake_front fronts[DEVICES];
	int client;

	open_library();
	describe_others();
	serve_devices(DEVICES);
	await(&diary.started);
	CHECK(counted().network_mtu > 1500);
	for (uint32_t i = 0; i < DEVICES; i++)
		front_create(&fronts[i], sockets[i]);
	front_bring_up(&fronts[SHARES]);
	frames_are_answered(&fronts[SHARES]);
	what_is_decided_is_explained();
	CHECK(guest_cid(&fronts[SHARES + 1]) == 3);
	front_bring_up(&fronts[SHARES + 1]);
	client = guest_is_asked(&fronts[SHARES + 1]);
	CHECK(counted().vsock_connections == 1);
	for (uint32_t i = 0; i < DEVICES; i++)
		front_destroy(&fronts[i]);
	/* Its guest is gone, and so is its path. */
	await(&diary.exited);
	CHECK(diary.exit == CAPSA_EXIT_POWER_OFF);
	CHECK(access(config.vsock, F_OK) < 0);
	close(client);
	close_library();
}

/* Whoever asked for it before anybody has connected. */
static void what_nobody_connects_to_ends_when_it_is_killed(void)
{
	open_library();
	describe_others();
	serve_devices(0);
	await(&diary.started);
	CHECK(capsa_kill(capsa, service) == CAPSA_STATUS_OK);
	await(&diary.exited);
	CHECK(diary.exit == CAPSA_EXIT_KILLED);
	CHECK(access(config.vsock, F_OK) < 0);
	close_library();
}

/* Ended in every way, at every moment, with requests under way. */
static void nothing_is_left_behind(void)
{
	uint32_t before = descriptors();

	for (int round = 0; round < 120; round++) {
		struct fake_front front;

		open_library();
		serve();
		front_create(&front, sockets[0]);
		if (round % 3 > 0)
			await(&diary.started);
		if (round % 3 > 1) {
			front_bring_up(&front);
			offer_init(&front);
		}
		if (round / 3 % 4 == 0)
			CHECK(capsa_kill(capsa, service) == CAPSA_STATUS_OK);
		if (round / 3 % 4 == 1) {
			shutdown(front.socket, SHUT_RDWR);
			close(sockets[1]);
			await(&diary.exited);
			CHECK(diary.exit == CAPSA_EXIT_POWER_OFF);
		}
		close_library();
		if (round / 3 % 4 != 1)
			close(sockets[1]);
		front_destroy(&front);
	}
	CHECK(descriptors() == before);
	CHECK(!memory_is_mapped());
}

int main(void)
{
	const char *cause = host_lacks_libslirp();

	TEST(shares_are_served_until_all_have_hung_up);
	if (cause) {
		TEST_SKIP(network_and_vsock_are_served, cause);
		TEST_SKIP(what_nobody_connects_to_ends_when_it_is_killed,
			  cause);
	} else {
		TEST(network_and_vsock_are_served);
		TEST(what_nobody_connects_to_ends_when_it_is_killed);
	}
	TEST(killing_hangs_up);
	TEST(a_folder_that_is_not_there_is_told);
	TEST(what_a_service_has_not_is_refused);
	TEST(nothing_is_left_behind);
	return tap_done();
}
