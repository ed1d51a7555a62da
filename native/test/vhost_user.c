/* SPDX-License-Identifier: MIT */
#include "virtio/vhost_user.h"

#include "fake_front.h"

enum { ECHO_CONFIG = 8 };

/* Gives every buffer back with a length of 1; counters are atomic. */
struct echo {
	struct virtio_device device;
	uint32_t activations;
	uint32_t resets;
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
	__atomic_fetch_add(&((struct echo *)device)->resets, 1,
			   __ATOMIC_SEQ_CST);
}

static void echo_config_read(struct virtio_device *device, uint32_t offset,
			     uint8_t *data, uint32_t length)
{
	(void)device;
	for (uint32_t i = 0; i < length; i++)
		data[i] = (uint8_t)(offset + i);
}

static void echo_destroy(struct virtio_device *device)
{
	*((struct echo *)device)->destroyed = true;
	free(device);
}

static const struct virtio_device_ops echo_ops = {
	.device_id = 4,
	.features = UINT64_C(1) << 5,
	.queue_count = FRONT_QUEUES,
	.queue_size_max = 64,
	.config_size = ECHO_CONFIG,
	.activate = echo_activate,
	.notify = echo_notify,
	.reset = echo_reset,
	.config_read = echo_config_read,
	.destroy = echo_destroy,
};

static struct loop *loop;
static struct echo *echo;
static bool destroyed;
static struct vhost_user *user;
static struct fake_front front;
static int served; /* the server's end of the socket */
static int farewells;

static void peer_gone(void *owner)
{
	__atomic_fetch_add((int *)owner, 1, __ATOMIC_SEQ_CST);
}

static void set_up_hidden(bool shows_config)
{
	struct vhost_user_peer peer = { .queue_count = FRONT_QUEUES,
					.shows_config = shows_config,
					.gone = peer_gone,
					.owner = &farewells };

	farewells = 0;
	destroyed = false;
	served = front_listen();
	front_create(&front, front_connect(served));
	peer.socket = served;
	echo = calloc(1, sizeof(*echo));
	echo->device.ops = &echo_ops;
	echo->destroyed = &destroyed;
	CHECK(loop_create(&loop) == 0);
	CHECK(vhost_user_create(&user, &echo->device, &peer, loop) == 0);
}

static void set_up(void)
{
	set_up_hidden(true);
}

static void tear_down(void)
{
	vhost_user_destroy(user);
	CHECK(destroyed && farewells == 1);
	loop_destroy(loop);
	front_destroy(&front);
	close(served);
}

/* Waits for the answer to a request, whose notification is up to the caller. */
static bool answered(uint32_t index, uint16_t head)
{
	struct vring_used_elem element;

	return front_await(&front, index, &element) && element.id == head &&
	       element.len == 1;
}

static void offer(uint32_t index, uint16_t head)
{
	fake_descriptor(&front.queues[index].descriptors[head], FRONT_DATA, 16,
			VRING_DESC_F_WRITE, 0);
	fake_offer(&front.queues[index], head);
}

static void requests_are_served(void)
{
	set_up();
	CHECK(front_ask(&front, VHOST_USER_GET_FEATURES) >> 5 & 1);
	front_bring_up(&front);
	for (uint16_t i = 0; i < 100; i++) {
		uint32_t index = i % FRONT_QUEUES;

		offer(index, i % FRONT_SIZE);
		eventfd_write(front.kick_fds[index], 1);
		CHECK(answered(index, i % FRONT_SIZE));
	}
	tear_down();
}

/* What was offered before the rings run is served when they do. */
static void nothing_is_served_too_early(void)
{
	struct vring_used_elem element;

	set_up();
	front_greet(&front);
	CHECK(front_takes_memory(&front));
	offer(0, 3);
	front_start_queue(&front, 0, 0);
	eventfd_write(front.kick_fds[0], 1);
	fake_loop_turn(loop);
	CHECK(!fake_collect(&front.queues[0], &element));
	front_start_queue(&front, 1, 0);
	CHECK(answered(0, 3));
	CHECK(echo->activations == 1);
	tear_down();
}

/* A monitor that pauses takes the rings back, and gives them again. */
static void rings_go_on_where_they_were(void)
{
	struct vhost_user_vring vring = { 0, 0 };

	set_up();
	front_bring_up(&front);
	for (uint16_t round = 0; round < 5; round++) {
		struct vring_used_elem element;

		offer(0, round);
		eventfd_write(front.kick_fds[0], 1);
		CHECK(answered(0, round));
		vring = (struct vhost_user_vring) { 0, 0 };
		front_tell(&front, VHOST_USER_GET_VRING_BASE, 0, &vring,
			   sizeof(vring), NULL, 0);
		CHECK(front_hear(&front, VHOST_USER_GET_VRING_BASE, &vring,
				 sizeof(vring)));
		CHECK(vring.index == 0 && vring.value == 2 * round + 1u);
		offer(0, (uint16_t)(round + 8));
		eventfd_write(front.kick_fds[0], 1);
		fake_loop_turn(loop);
		CHECK(!fake_collect(&front.queues[0], &element));
		front_start_queue(&front, 0, vring.value);
		CHECK(answered(0, (uint16_t)(round + 8)));
	}
	tear_down();
}

static void rest(uint32_t index)
{
	struct vhost_user_vring vring = { index, 0 };

	front_tell(&front, VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring),
		   NULL, 0);
	CHECK(front_hear(&front, VHOST_USER_GET_VRING_BASE, &vring,
			 sizeof(vring)));
}

/* The front-end does not say why. */
static void rings_that_rest_are_a_reset_unless_it_is_told(void)
{
	set_up();
	front_bring_up(&front);
	CHECK(echo->resets == 0);
	rest(0);
	CHECK(echo->resets == 1);
	front_start_queue(&front, 0, 0);
	vhost_user_hold(user, true);
	rest(0);
	rest(1);
	CHECK(echo->resets == 1);
	vhost_user_hold(user, false);
	front_start_queue(&front, 0, 0);
	front_start_queue(&front, 1, 0);
	CHECK(echo->resets == 1);
	rest(1);
	CHECK(echo->resets == 2);
	tear_down();
}

static bool shows(uint32_t offset, uint32_t size)
{
	struct vhost_user_config config = { .offset = offset, .size = size };
	const uint32_t bytes = 12 + size;

	front_tell(&front, VHOST_USER_GET_CONFIG, 0, &config, bytes, NULL, 0);
	memset(&config, 0xff, sizeof(config));
	if (!front_hear(&front, VHOST_USER_GET_CONFIG, &config, bytes))
		return false;
	CHECK(config.offset == offset && config.size == size);
	for (uint32_t i = 0; i < size; i++)
		CHECK(config.bytes[i] == (uint8_t)(offset + i));
	return true;
}

static void configuration_is_shown_to_who_asks(void)
{
	static const uint32_t outside[][2] = {
		{ 0, ECHO_CONFIG + 1 },       { 1, ECHO_CONFIG },
		{ ECHO_CONFIG + 1, 0 },       { UINT32_MAX, 2 },
		{ 0, VHOST_USER_CONFIG_MAX },
	};

	set_up();
	CHECK(front_ask(&front, VHOST_USER_GET_PROTOCOL_FEATURES) >>
		      VHOST_USER_PROTOCOL_F_CONFIG &
	      1);
	CHECK(shows(0, ECHO_CONFIG) && shows(3, 2) && shows(ECHO_CONFIG, 0));
	tear_down();
	for (uint32_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		set_up();
		CHECK(!shows(outside[i][0], outside[i][1]));
		tear_down();
	}
	set_up_hidden(false);
	CHECK((front_ask(&front, VHOST_USER_GET_PROTOCOL_FEATURES) >>
		       VHOST_USER_PROTOCOL_F_CONFIG &
	       1) == 0);
	CHECK(!shows(0, 1));
	tear_down();
}

/* About when somebody has connected, and after. */
static void shutting_it_down_ends_it(void)
{
	for (int round = 0; round < 200; round++) {
		set_up();
		if (round % 2 > 0)
			(void)front_ask(&front, VHOST_USER_GET_FEATURES);
		shutdown(served, SHUT_RDWR);
		CHECK(!front_takes_number(&front, VHOST_USER_SET_FEATURES,
					  FAKE_FEATURES) ||
		      round % 2 == 0);
		tear_down();
	}
}

static void memory_may_change_while_it_runs(void)
{
	set_up();
	front_bring_up(&front);
	for (uint16_t i = 0; i < 20; i++) {
		CHECK(front_takes_memory(&front));
		offer(1, i % FRONT_SIZE);
		eventfd_write(front.kick_fds[1], 1);
		CHECK(answered(1, i % FRONT_SIZE));
	}
	tear_down();
}

/* Each is sent to a server of its own, which must hang up. */
static void memory_that_is_not_safe_is_refused(void)
{
	struct vhost_user_table table;
	int fds[9];

	set_up();
	front_greet(&front);
	fds[0] = front_memory(FRONT_MEMORY, 0);
	table = front_table(1);
	CHECK(!front_takes_table(&front, &table, fds, 1));
	close(fds[0]);
	tear_down();

	set_up();
	fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	table = front_table(1);
	CHECK(!front_takes_table(&front, &table, fds, 1));
	close(fds[0]);
	tear_down();

	for (uint32_t i = 0; i < 7; i++) {
		set_up();
		table = front_table(1);
		switch (i) {
		case 0:
			table.regions[0].size = FRONT_MEMORY + 4096;
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
		fds[0] = fds[1] = front.memory_fd;
		CHECK(!front_takes_table(&front, &table, fds, table.count));
		tear_down();
	}

	set_up();
	table = front_table(1);
	CHECK(!front_takes_table(&front, &table, NULL, 0));
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
		CHECK(send(front.socket, headers[i], sizeof(huge),
			   MSG_NOSIGNAL) > 0);
		CHECK(recv(front.socket, &byte, 1, 0) <= 0);
		tear_down();
	}
	set_up();
	CHECK(!front_takes(&front, VHOST_USER_SET_FEATURES, NULL, 0, NULL, 0));
	tear_down();
	set_up();
	CHECK(!front_takes_number(&front, VHOST_USER_SET_FEATURES, UINT64_MAX));
	tear_down();
	set_up();
	CHECK(!front_takes_number(&front, VHOST_USER_SET_FEATURES, 0));
	tear_down();
	set_up();
	CHECK(!front_takes_vring(&front, VHOST_USER_SET_VRING_NUM, FRONT_QUEUES,
				 FRONT_SIZE));
	tear_down();
	set_up();
	CHECK(!front_takes_vring(&front, VHOST_USER_SET_VRING_BASE, 0, 65536));
	tear_down();
	set_up();
	front_tell(&front, VHOST_USER_GET_VRING_BASE, 0,
		   "\xff\xff\xff\xff\0\0\0\0", 8, NULL, 0);
	CHECK(recv(front.socket, &byte, 1, 0) <= 0);
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
		CHECK(!front_takes_fd(&front, request, 0, pipes[0]));
		tear_down();
		set_up();
		CHECK(!front_takes_number(&front, request, 0));
		tear_down();
		set_up();
		CHECK(!front_takes_fd(&front, request, FRONT_QUEUES,
				      front.kick_fds[0]));
		tear_down();
		set_up();
		CHECK(!front_takes_fd(&front, request, VHOST_USER_VRING_NO_FD,
				      front.kick_fds[0]));
		tear_down();
		set_up();
		CHECK(front_takes_number(&front, request,
					 VHOST_USER_VRING_NO_FD));
		tear_down();
	}
	close(pipes[0]);
	close(pipes[1]);
}

static void rings_outside_of_memory_are_refused(void)
{
	struct vhost_user_vring_address address = {
		.index = 0,
		.descriptors = FRONT_USER + FRONT_MEMORY - 16,
		.used = FRONT_USER + front.queues[0].layout.used,
		.available = FRONT_USER + front.queues[0].layout.available,
	};

	set_up();
	front_bring_up(&front);
	CHECK(!front_takes(&front, VHOST_USER_SET_VRING_ADDR, &address,
			   sizeof(address), NULL, 0));
	tear_down();
	set_up();
	front_bring_up(&front);
	address.descriptors = 0;
	CHECK(!front_takes(&front, VHOST_USER_SET_VRING_ADDR, &address,
			   sizeof(address), NULL, 0));
	tear_down();
	set_up();
	front_bring_up(&front);
	CHECK(!front_takes_vring(&front, VHOST_USER_SET_VRING_NUM, 0, 3));
	tear_down();
}

/* Descriptors that nobody wants are closed. */
static void descriptors_do_not_pile_up(void)
{
	const int fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
	int before;
	int after;

	set_up();
	front_greet(&front);
	before = dup(0);
	for (int i = 0; i < 100; i++)
		CHECK(front_takes(&front, VHOST_USER_SET_OWNER, NULL, 0, fds,
				  8));
	/* They are closed after the answer, before the next message. */
	CHECK(front_ask(&front, VHOST_USER_GET_QUEUE_NUM) == FRONT_QUEUES);
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
		front_bring_up(&front);
		for (uint16_t i = 0; i < FRONT_SIZE; i++)
			offer(0, i);
		eventfd_write(front.kick_fds[0], 1);
		if (round % 2)
			shutdown(front.socket, SHUT_RDWR);
		tear_down();
	}
}

int main(void)
{
	TEST(requests_are_served);
	TEST(nothing_is_served_too_early);
	TEST(rings_go_on_where_they_were);
	TEST(rings_that_rest_are_a_reset_unless_it_is_told);
	TEST(configuration_is_shown_to_who_asks);
	TEST(shutting_it_down_ends_it);
	TEST(memory_may_change_while_it_runs);
	TEST(memory_that_is_not_safe_is_refused);
	TEST(broken_messages_end_the_talk);
	TEST(notifications_must_be_eventfds);
	TEST(rings_outside_of_memory_are_refused);
	TEST(descriptors_do_not_pile_up);
	TEST(it_ends_with_requests_under_way);
	return tap_done();
}
