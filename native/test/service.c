/* SPDX-License-Identifier: MIT */
/* Shares for another monitor's machine, through capsa.h. */
#include <dirent.h>
#include <poll.h>

#include "capsa.h"
#include "fake_front.h"
#include "fake_fuse.h"
#include "tap.h"

enum {
	REQUESTS = 1, /* the queue of them */
	REQUEST = FRONT_DATA,
	REPLY = FRONT_DATA + 0x1000,
	SHARES = 2,
	MEMORY_BYTES = 64 << 20,
};

struct config {
	struct capsa_machine_config head;
	struct capsa_share shares[SHARES];
	char tag[4];
	char paths[SHARES][64];
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
static int32_t sockets[SHARES];
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
	diary = (struct diary) { 0 };
	CHECK(capsa_open(&capsa, NULL) == CAPSA_STATUS_OK);
}

static void serve(void)
{
	CHECK(capsa_serve(capsa, &config.head, sockets, SHARES, &service,
			  NULL) == CAPSA_STATUS_OK);
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
	DIR *folder = opendir("/proc/self/fd");
	uint32_t count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
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
	CHECK(capsa_pause(capsa, service) == CAPSA_STATUS_STATE);
	CHECK(capsa_console_write(capsa, service, NULL, 0, &accepted) ==
	      CAPSA_STATUS_STATE);
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
	serve();
	await(&diary.exited);
	CHECK(!diary.started && diary.exit == CAPSA_EXIT_FAILED);
	CHECK(diary.error.status == CAPSA_STATUS_SHARE_FOLDER);
	CHECK(diary.error.system_errno == ENOENT);
	CHECK(strcmp(diary.error.subject, config.paths[1]) == 0);
	CHECK(requests() == 0);
	for (uint32_t i = 0; i < SHARES; i++) {
		CHECK(is_hung_up(sockets[i]));
		close(sockets[i]);
	}
	close_library();
}

static bool is_refused(const char *field)
{
	struct capsa_error error = { 0 };
	uint32_t status = capsa_serve(capsa, &config.head, sockets, SHARES,
				      &service, &error);

	return status == CAPSA_STATUS_INVALID_ARGUMENT &&
	       strcmp(error.field, field) == 0;
}

static void all_but_shares_is_refused(void)
{
	const struct capsa_slice slice = { sizeof(config.head), 4 };
	struct capsa_error error = { 0 };
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
	config.head.nics = slice;
	CHECK(is_refused("nics"));
	config.head.nics = (struct capsa_slice) { 0 };
	config.head.vsock = slice;
	CHECK(is_refused("vsock"));
	config.head.vsock = (struct capsa_slice) { 0 };
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
	for (uint32_t count = 0; count < 2 * SHARES; count++) {
		if (count == SHARES)
			continue;
		CHECK(capsa_serve(capsa, &config.head, sockets, count, &service,
				  &error) == CAPSA_STATUS_INVALID_ARGUMENT);
		CHECK(strcmp(error.subject, "count") == 0);
	}
	CHECK(capsa_serve(capsa, &config.head, NULL, SHARES, &service, NULL) ==
	      CAPSA_STATUS_INVALID_ARGUMENT);
	CHECK(descriptors() == before);
	CHECK(capsa_close(capsa) == CAPSA_STATUS_OK);
	for (uint32_t i = 0; i < SHARES; i++)
		fake_folder_remove(config.paths[i]);
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
	TEST(shares_are_served_until_all_have_hung_up);
	TEST(killing_hangs_up);
	TEST(a_folder_that_is_not_there_is_told);
	TEST(all_but_shares_is_refused);
	TEST(nothing_is_left_behind);
	return tap_done();
}
