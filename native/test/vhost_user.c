/* SPDX-License-Identifier: MIT */
#include "virtio/vhost_user.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/socket.h>

#include "fake_driver.h"
#include "tap.h"
#include "virtio/vhost_user_protocol.h"

enum {
	QUEUES = 2,
	SIZE = 16,
	RING = 0x10000, /* guest physical, as all below */
	DATA = 0x40000,
	MEMORY = 0x100000,
	USER = 0x7000000, /* what the peer calls address 0 */
};

/* Gives every buffer back with a length of 1; counters are atomic. */
struct echo {
	struct virtio_device device;
	uint32_t activations;
	bool *destroyed;
};

static void echo_activate(struct virtio_device *device)
{
	__atomic_fetch_add(&((struct echo *)device)->activations, 1,
			   __ATOMIC_SEQ_CST);
}

static void echo_notify(struct virtio_device *device, uint32_t index)
{
	struct virtqueue *queue = &device->queues[index];
	struct virtqueue_chain chain;
	int result;

	while ((result = virtqueue_pop(queue, &chain)) > 0)
		virtqueue_push(queue, chain.head, 1);
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

static void echo_reset(struct virtio_device *device)
{
	(void)device;
}

static void echo_destroy(struct virtio_device *device)
{
	*((struct echo *)device)->destroyed = true;
	free(device);
}

static const struct virtio_device_ops echo_ops = {
	.device_id = 4,
	.features = UINT64_C(1) << 5,
	.queue_count = QUEUES,
	.queue_size_max = 64,
	.activate = echo_activate,
	.notify = echo_notify,
	.reset = echo_reset,
	.destroy = echo_destroy,
};

static struct loop *loop;
static struct echo *echo;
static bool destroyed;
static struct vhost_user *user;
static int peer;   /* our end of the socket */
static int served; /* the server's */
static int farewells;
static int memory_fd;
static struct memory memory; /* the guest's, as the peer sees it */
static int kick_fds[QUEUES];
static int call_fds[QUEUES];
static struct fake_queue queues[QUEUES];

static int make_memory(uint64_t size, int seals)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	CHECK(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void peer_gone(void *owner)
{
	__atomic_fetch_add((int *)owner, 1, __ATOMIC_SEQ_CST);
}

static void set_up(void)
{
	struct vhost_user_peer description = { .gone = peer_gone,
					       .owner = &farewells };
	int pair[2];

	farewells = 0;
	destroyed = false;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	peer = pair[0];
	served = pair[1];
	description.socket = served;
	memory_fd = make_memory(MEMORY, F_SEAL_SHRINK);
	memory = (struct memory) { .fd = -1, .range_count = 1 };
	memory.ranges[0] = (struct memory_range) {
		.size = MEMORY,
		.host = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			     memory_fd, 0),
	};
	for (uint32_t i = 0; i < QUEUES; i++) {
		kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		call_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       SIZE);
	}
	echo = calloc(1, sizeof(*echo));
	echo->device.ops = &echo_ops;
	echo->destroyed = &destroyed;
	CHECK(loop_create(&loop) == 0);
	CHECK(vhost_user_create(&user, &echo->device, QUEUES, &description,
				loop) == 0);
}

static void tear_down(void)
{
	vhost_user_destroy(user);
	CHECK(destroyed && farewells == 1);
	loop_destroy(loop);
	close(peer);
	close(served);
	close(memory_fd);
	munmap(memory.ranges[0].host, MEMORY);
	for (uint32_t i = 0; i < QUEUES; i++) {
		close(kick_fds[i]);
		close(call_fds[i]);
	}
}

/* Sends a message with descriptors. */
static void tell(uint32_t request, uint32_t flags, const void *payload,
		 uint32_t size, const int *fds, uint32_t fd_count)
{
	struct vhost_user_header header = { request, 1 | flags, size };
	uint8_t bytes[sizeof(header) + 512];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control = { 0 };
	struct iovec buffer = { bytes, sizeof(header) + size };
	struct msghdr message = { .msg_iov = &buffer, .msg_iovlen = 1 };

	memcpy(bytes, &header, sizeof(header));
	if (size > 0)
		memcpy(bytes + sizeof(header), payload, size);
	if (fd_count > 0) {
		struct cmsghdr *part = &control.align;

		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(part), fds, sizeof(int) * fd_count);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	}
	(void)!sendmsg(peer, &message, MSG_NOSIGNAL);
}

/* Waits for the answer; false: the other side has hung up. */
static bool hear(uint32_t request, void *payload, uint32_t size)
{
	struct vhost_user_header header;

	if (recv(peer, &header, sizeof(header), MSG_WAITALL) !=
	    (ssize_t)sizeof(header))
		return false;
	CHECK(header.request == request && header.flags == 5 &&
	      header.size == size);
	return recv(peer, payload, size, MSG_WAITALL) == (ssize_t)size;
}

static uint64_t ask(uint32_t request)
{
	uint64_t number = 0;

	tell(request, 0, NULL, 0, NULL, 0);
	CHECK(hear(request, &number, sizeof(number)));
	return number;
}

/* Whether a message is taken; asks for an acknowledgement. */
static bool takes(uint32_t request, const void *payload, uint32_t size,
		  const int *fds, uint32_t fd_count)
{
	uint64_t refused = 1;

	tell(request, VHOST_USER_NEED_REPLY, payload, size, fds, fd_count);
	return hear(request, &refused, sizeof(refused)) && refused == 0;
}

static bool takes_number(uint32_t request, uint64_t number)
{
	return takes(request, &number, sizeof(number), NULL, 0);
}

static bool takes_vring(uint32_t request, uint32_t index, uint32_t value)
{
	const struct vhost_user_vring vring = { index, value };

	return takes(request, &vring, sizeof(vring), NULL, 0);
}

static bool takes_fd(uint32_t request, uint64_t index, int fd)
{
	return takes(request, &index, sizeof(index), &fd, 1);
}

static struct vhost_user_table table_of(uint32_t count)
{
	struct vhost_user_table table = { .count = count };

	table.regions[0] = (struct vhost_user_region) { .size = MEMORY,
							.user = USER };
	return table;
}

static bool takes_table(const struct vhost_user_table *table, const int *fds,
			uint32_t fd_count)
{
	return takes(VHOST_USER_SET_MEM_TABLE, table,
		     (uint32_t)(8 + table->count * sizeof(table->regions[0])),
		     fds, fd_count);
}

static bool takes_memory(void)
{
	const struct vhost_user_table table = table_of(1);

	return takes_table(&table, &memory_fd, 1);
}

static bool takes_address(uint32_t index)
{
	const struct virtqueue_layout *layout = &queues[index].layout;
	const struct vhost_user_vring_address address = {
		.index = index,
		.descriptors = USER + layout->descriptors,
		.used = USER + layout->used,
		.available = USER + layout->available,
	};

	return takes(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), NULL,
		     0);
}

static void greet(void)
{
	uint64_t features = ask(VHOST_USER_GET_FEATURES);

	CHECK(features >> VHOST_USER_F_PROTOCOL_FEATURES & 1);
	CHECK(features >> 5 & 1);
	CHECK((ask(VHOST_USER_GET_PROTOCOL_FEATURES) & 9) == 9);
	CHECK(ask(VHOST_USER_GET_QUEUE_NUM) == QUEUES);
	CHECK(takes_number(VHOST_USER_SET_PROTOCOL_FEATURES, 9));
	CHECK(takes(VHOST_USER_SET_OWNER, NULL, 0, NULL, 0));
	CHECK(takes_number(VHOST_USER_SET_FEATURES, FAKE_FEATURES));
}

static void start_queue(uint32_t index, uint32_t base)
{
	CHECK(takes_vring(VHOST_USER_SET_VRING_NUM, index, SIZE));
	CHECK(takes_vring(VHOST_USER_SET_VRING_BASE, index, base));
	CHECK(takes_address(index));
	CHECK(takes_fd(VHOST_USER_SET_VRING_KICK, index, kick_fds[index]));
	CHECK(takes_fd(VHOST_USER_SET_VRING_CALL, index, call_fds[index]));
	CHECK(takes_vring(VHOST_USER_SET_VRING_ENABLE, index, 1));
}

static void bring_up(void)
{
	greet();
	CHECK(takes_memory());
	for (uint32_t i = 0; i < QUEUES; i++)
		start_queue(i, 0);
}

/* Waits for the answer to a request, whose notification is up to the caller. */
static bool answered(uint32_t index, uint16_t head)
{
	struct fake_queue *queue = &queues[index];
	struct vring_used_elem element;

	fake_want_interrupt(queue, queue->collected);
	while (!fake_collect(queue, &element)) {
		struct pollfd called = { .fd = call_fds[index],
					 .events = POLLIN };
		eventfd_t count;

		if (poll(&called, 1, FAKE_WAIT_MS) != 1)
			return false;
		eventfd_read(call_fds[index], &count);
	}
	return element.id == head && element.len == 1;
}

static void offer(uint32_t index, uint16_t head)
{
	fake_descriptor(&queues[index].descriptors[head], DATA, 16,
			VRING_DESC_F_WRITE, 0);
	fake_offer(&queues[index], head);
}

static void requests_are_served(void)
{
	set_up();
	bring_up();
	for (uint16_t i = 0; i < 100; i++) {
		uint32_t index = i % QUEUES;

		offer(index, i % SIZE);
		eventfd_write(kick_fds[index], 1);
		CHECK(answered(index, i % SIZE));
	}
	tear_down();
}

/* What was offered before the rings run is served when they do. */
static void nothing_is_served_too_early(void)
{
	struct vring_used_elem element;

	set_up();
	greet();
	CHECK(takes_memory());
	offer(0, 3);
	start_queue(0, 0);
	eventfd_write(kick_fds[0], 1);
	fake_loop_turn(loop);
	CHECK(!fake_collect(&queues[0], &element));
	start_queue(1, 0);
	CHECK(answered(0, 3));
	CHECK(echo->activations == 1);
	tear_down();
}

/* A monitor that pauses takes the rings back, and gives them again. */
static void rings_go_on_where_they_were(void)
{
	struct vhost_user_vring vring = { 0, 0 };

	set_up();
	bring_up();
	for (uint16_t round = 0; round < 5; round++) {
		struct vring_used_elem element;

		offer(0, round);
		eventfd_write(kick_fds[0], 1);
		CHECK(answered(0, round));
		vring = (struct vhost_user_vring) { 0, 0 };
		tell(VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring), NULL,
		     0);
		CHECK(hear(VHOST_USER_GET_VRING_BASE, &vring, sizeof(vring)));
		CHECK(vring.index == 0 && vring.value == 2 * round + 1u);
		offer(0, (uint16_t)(round + 8));
		eventfd_write(kick_fds[0], 1);
		fake_loop_turn(loop);
		CHECK(!fake_collect(&queues[0], &element));
		start_queue(0, vring.value);
		CHECK(answered(0, (uint16_t)(round + 8)));
	}
	tear_down();
}

static void memory_may_change_while_it_runs(void)
{
	set_up();
	bring_up();
	for (uint16_t i = 0; i < 20; i++) {
		CHECK(takes_memory());
		offer(1, i % SIZE);
		eventfd_write(kick_fds[1], 1);
		CHECK(answered(1, i % SIZE));
	}
	tear_down();
}

/* Each is sent to a server of its own, which must hang up. */
static void memory_that_is_not_safe_is_refused(void)
{
	struct vhost_user_table table;
	int fds[9];

	set_up();
	greet();
	fds[0] = make_memory(MEMORY, 0);
	table = table_of(1);
	CHECK(!takes_table(&table, fds, 1));
	close(fds[0]);
	tear_down();

	set_up();
	fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	table = table_of(1);
	CHECK(!takes_table(&table, fds, 1));
	close(fds[0]);
	tear_down();

	for (uint32_t i = 0; i < 7; i++) {
		set_up();
		table = table_of(1);
		switch (i) {
		case 0:
			table.regions[0].size = MEMORY + 4096;
			break;
		case 1:
			table.regions[0].offset = UINT64_MAX;
			break;
		case 2:
			table.regions[0].address = UINT64_MAX - 4096;
			break;
		case 3:
			table.regions[0].user = UINT64_MAX - 4096;
			break;
		case 4:
			table.regions[0].size = 0;
			break;
		case 5:
			table.regions[0].offset = 1;
			table.regions[0].size = 4096;
			break;
		default:
			table.count = 2; /* overlapping itself */
			table.regions[1] = table.regions[0];
			break;
		}
		fds[0] = fds[1] = memory_fd;
		CHECK(!takes_table(&table, fds, table.count));
		tear_down();
	}

	set_up();
	table = table_of(1);
	CHECK(!takes_table(&table, NULL, 0));
	tear_down();
}

static void broken_messages_end_the_talk(void)
{
	const struct vhost_user_header huge = { VHOST_USER_SET_MEM_TABLE, 1,
						UINT32_MAX };
	const struct vhost_user_header version = { VHOST_USER_SET_OWNER, 2, 0 };
	const struct vhost_user_header answer = { VHOST_USER_SET_OWNER, 5, 0 };
	const struct vhost_user_header *headers[] = { &huge, &version,
						      &answer };
	uint8_t byte;

	for (uint32_t i = 0; i < 3; i++) {
		set_up();
		CHECK(send(peer, headers[i], sizeof(huge), MSG_NOSIGNAL) > 0);
		CHECK(recv(peer, &byte, 1, 0) <= 0);
		tear_down();
	}
	set_up();
	CHECK(!takes(VHOST_USER_SET_FEATURES, NULL, 0, NULL, 0));
	tear_down();
	set_up();
	CHECK(!takes_number(VHOST_USER_SET_FEATURES, UINT64_MAX));
	tear_down();
	set_up();
	CHECK(!takes_number(VHOST_USER_SET_FEATURES, 0));
	tear_down();
	set_up();
	CHECK(!takes_vring(VHOST_USER_SET_VRING_NUM, QUEUES, SIZE));
	tear_down();
	set_up();
	CHECK(!takes_vring(VHOST_USER_SET_VRING_BASE, 0, 65536));
	tear_down();
	set_up();
	tell(VHOST_USER_GET_VRING_BASE, 0, "\xff\xff\xff\xff\0\0\0\0", 8, NULL,
	     0);
	CHECK(recv(peer, &byte, 1, 0) <= 0);
	tear_down();
}

/* A descriptor that could make the loop wait is not taken. */
static void notifications_must_be_eventfds(void)
{
	int pipes[2];

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t request = i == 0 ? VHOST_USER_SET_VRING_KICK
					  : VHOST_USER_SET_VRING_CALL;

		set_up();
		CHECK(!takes_fd(request, 0, pipes[0]));
		tear_down();
		set_up();
		CHECK(!takes_number(request, 0));
		tear_down();
		set_up();
		CHECK(!takes_fd(request, QUEUES, kick_fds[0]));
		tear_down();
		set_up();
		CHECK(!takes_fd(request, VHOST_USER_VRING_NO_FD, kick_fds[0]));
		tear_down();
		set_up();
		CHECK(takes_number(request, VHOST_USER_VRING_NO_FD));
		tear_down();
	}
	close(pipes[0]);
	close(pipes[1]);
}

static void rings_outside_of_memory_are_refused(void)
{
	struct vhost_user_vring_address address = {
		.index = 0,
		.descriptors = USER + MEMORY - 16,
		.used = USER + queues[0].layout.used,
		.available = USER + queues[0].layout.available,
	};

	set_up();
	bring_up();
	CHECK(!takes(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), NULL,
		     0));
	tear_down();
	set_up();
	bring_up();
	address.descriptors = 0;
	CHECK(!takes(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), NULL,
		     0));
	tear_down();
	set_up();
	bring_up();
	CHECK(!takes_vring(VHOST_USER_SET_VRING_NUM, 0, 3));
	tear_down();
}

/* Descriptors that nobody wants are closed. */
static void descriptors_do_not_pile_up(void)
{
	const int fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
	int before;
	int after;

	set_up();
	greet();
	before = dup(0);
	for (int i = 0; i < 100; i++)
		CHECK(takes(VHOST_USER_SET_OWNER, NULL, 0, fds, 8));
	/* They are closed after the answer, before the next message. */
	CHECK(ask(VHOST_USER_GET_QUEUE_NUM) == QUEUES);
	after = dup(0);
	CHECK(after == before + 1);
	close(before);
	close(after);
	tear_down();
}

static void it_ends_with_requests_under_way(void)
{
	for (int round = 0; round < 200; round++) {
		set_up();
		bring_up();
		for (uint16_t i = 0; i < SIZE; i++)
			offer(0, i);
		eventfd_write(kick_fds[0], 1);
		if (round % 2)
			shutdown(peer, SHUT_RDWR);
		tear_down();
	}
}

int main(void)
{
	TEST(requests_are_served);
	TEST(nothing_is_served_too_early);
	TEST(rings_go_on_where_they_were);
	TEST(memory_may_change_while_it_runs);
	TEST(memory_that_is_not_safe_is_refused);
	TEST(broken_messages_end_the_talk);
	TEST(notifications_must_be_eventfds);
	TEST(rings_outside_of_memory_are_refused);
	TEST(descriptors_do_not_pile_up);
	TEST(it_ends_with_requests_under_way);
	return tap_done();
}
