/* SPDX-License-Identifier: MIT */
#include "virtio/net.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fake_driver.h"
#include "tap.h"

enum {
	RECEIVE,
	TRANSMIT,
	QUEUES,
	SIZE = 16,
	RING = 0x10000, /* addresses in guest memory */
	DATA = FAKE_HIGH,
	HEADER = 12,
	MTU = 9000,
	KEPT_MAX = 64,
};

static const uint64_t MERGEABLE = UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF;
static const uint64_t CSUM = UINT64_C(1) << VIRTIO_NET_F_CSUM;
static const uint64_t TSO4 = UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4;
static const uint64_t OFFLOADS = UINT64_C(1) << VIRTIO_NET_F_CSUM |
				 UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 |
				 UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 |
				 UINT64_C(1) << VIRTIO_NET_F_HOST_ECN;

/* What carries the frames: it keeps those of the guest. Device's lock. */
struct fake_port {
	struct net_port port;
	bool started;
	bool full;
	uint32_t starts;
	uint32_t flushes;
	uint32_t peeks;
	uint32_t polls;
	uint64_t features;
	uint32_t sent_count;
	uint32_t sent_length[KEPT_MAX];
	struct virtio_net_hdr_v1 sent_header[KEPT_MAX];
	uint8_t sent[NET_FRAME_MAX]; /* the last */
	/* For the guest: this many of this length, with a number in each */
	uint32_t waiting;
	uint32_t length;
	uint32_t dropped; /* taken by the device */
	struct net_frame frame;
	struct iovec part;
	uint8_t bytes[NET_FRAME_MAX];
	bool *destroyed;
};

static struct memory memory;
static struct loop *loop;
static struct fake_port *fake;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];
static int irq_fd;
static bool destroyed;

static void fake_start(struct net_port *port, uint64_t features)
{
	struct fake_port *to = (struct fake_port *)port;

	to->started = true;
	to->starts++;
	to->features = features;
}

static void fake_stop(struct net_port *port)
{
	eventfd_t count;

	((struct fake_port *)port)->started = false;
	eventfd_read(port->fd, &count);
}

static void fake_poll(struct net_port *port)
{
	eventfd_t count;

	eventfd_read(port->fd, &count);
	((struct fake_port *)port)->polls++;
}

static bool fake_send(struct net_port *port, const struct net_frame *frame)
{
	struct fake_port *to = (struct fake_port *)port;
	uint32_t index = to->sent_count % KEPT_MAX;

	if (to->full)
		return false;
	to->sent_count++;
	to->sent_length[index] = net_frame_read(frame, 0, to->sent,
						sizeof(to->sent));
	to->sent_header[index] = frame->header;
	if (to->sent_length[index] != frame->length)
		to->sent_length[index] = 0;
	return true;
}

static void fake_flush(struct net_port *port)
{
	((struct fake_port *)port)->flushes++;
}

/* Of all its bytes, so that whatever is wrong is seen. */
static uint8_t fake_byte(uint32_t number, uint32_t offset)
{
	return (uint8_t)(number * 131 + offset * 7 + (offset >> 8));
}

static const struct net_frame *fake_peek(struct net_port *port)
{
	struct fake_port *from = (struct fake_port *)port;

	from->peeks++;
	if (from->waiting == 0)
		return NULL;
	for (uint32_t i = 0; i < from->length; i++)
		from->bytes[i] = fake_byte(from->dropped, i);
	from->part = (struct iovec) { .iov_base = from->bytes,
				      .iov_len = from->length };
	from->frame = (struct net_frame) {
		.header = { .flags = VIRTIO_NET_HDR_F_DATA_VALID },
		.parts = &from->part,
		.part_count = 1,
		.length = from->length,
	};
	return &from->frame;
}

static void fake_drop(struct net_port *port)
{
	struct fake_port *from = (struct fake_port *)port;

	from->waiting--;
	from->dropped++;
}

static void fake_destroy(struct net_port *port)
{
	*((struct fake_port *)port)->destroyed = true;
	close(port->fd);
	free(port);
}

static const struct net_port_ops fake_ops = {
	.start = fake_start,
	.stop = fake_stop,
	.poll = fake_poll,
	.send = fake_send,
	.flush = fake_flush,
	.peek = fake_peek,
	.drop = fake_drop,
	.destroy = fake_destroy,
};

static const uint8_t mac[NET_MAC_BYTES] = { 2, 1, 2, 3, 4, 5 };

static void lay_rings(void)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       SIZE);
}

static void set_up(uint64_t features)
{
	fake_memory_create(&memory);
	destroyed = false;
	fake = calloc(1, sizeof(*fake));
	fake->destroyed = &destroyed;
	fake->port = (struct net_port) {
		.ops = &fake_ops,
		.features = OFFLOADS,
		.mtu = MTU,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_net_create(&device, &fake->port, mac, loop) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES | features, queues, QUEUES) ==
	      0xf);
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	CHECK(destroyed);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
}

static uint8_t *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

static void notify(uint32_t queue)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static bool await(uint32_t queue, struct vring_used_elem *element)
{
	return fake_await(mmio, irq_fd, &queues[queue], element);
}

/* After it all that was asked of the loop is done. */
static void settle(void)
{
	for (int i = 0; i < 4; i++)
		fake_loop_turn(loop);
}

static bool needs_reset(void)
{
	settle();
	return fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	       VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Frames for the guest, of which the port tells. */
static void bring(uint32_t count, uint32_t length)
{
	pthread_mutex_lock(&device->lock);
	fake->waiting += count;
	fake->length = length;
	pthread_mutex_unlock(&device->lock);
	eventfd_write(fake->port.fd, 1);
}

/* What the port has counted by now. */
static uint32_t seen(const uint32_t *counter)
{
	uint32_t count;

	pthread_mutex_lock(&device->lock);
	count = *counter;
	pthread_mutex_unlock(&device->lock);
	return count;
}

static void it_offers_what_its_port_can(void)
{
	struct virtio_net_config config = { 0 };
	uint64_t offered;

	set_up(0);
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG, (uint8_t *)&config,
				 8);
	virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + 8,
				 (uint8_t *)&config + 8, 4);
	CHECK(memcmp(config.mac, mac, sizeof(mac)) == 0);
	CHECK(config.mtu == MTU);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 1);
	fake_write32(mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	offered = fake_read32(mmio, VIRTIO_MMIO_DEVICE_FEATURES);
	CHECK((offered & OFFLOADS) == OFFLOADS);
	CHECK(offered & MERGEABLE);
	CHECK(offered >> VIRTIO_NET_F_MAC & 1);
	CHECK(offered >> VIRTIO_NET_F_MTU & 1);
	CHECK(!(offered >> VIRTIO_NET_F_GUEST_CSUM & 1));
	CHECK(!(offered >> VIRTIO_NET_F_CTRL_VQ & 1));
	tear_down();
}

static void the_port_learns_what_the_driver_took(void)
{
	set_up(MERGEABLE | CSUM);
	settle();
	CHECK(fake->started && seen(&fake->starts) == 1);
	CHECK(fake->features & CSUM && !(fake->features & TSO4));
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	CHECK(!fake->started);
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) == 0xf);
	CHECK(fake->started && seen(&fake->starts) == 2);
	tear_down();
}

/* Sends length bytes at DATA, header included, in so many parts. */
static bool transmit(uint32_t length, uint32_t parts)
{
	struct vring_used_elem element;
	uint32_t done = 0;

	for (uint32_t i = 0; i < parts; i++) {
		bool last = i == parts - 1;
		uint32_t bytes = last ? length - done : length / parts;

		fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA + done,
				bytes, last ? 0 : VRING_DESC_F_NEXT,
				(uint16_t)(i + 1));
		done += bytes;
	}
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	return await(TRANSMIT, &element) && element.id == 0 && element.len == 0;
}

static void frames_are_exact(void)
{
	static const uint32_t lengths[] = { 14,   15,    42,
					    60,   1514,  4096,
					    9014, 40000, NET_FRAME_MAX };
	uint32_t count = 0;
	size_t wrong = 0;

	set_up(0);
	for (uint32_t i = 0; i < FAKE_RANGE; i++)
		guest(DATA)[i] = i < HEADER ? 0 : (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (uint32_t parts = 1; parts <= 14; parts++) {
			uint32_t length = lengths[i];

			CHECK(transmit(HEADER + length, parts));
			CHECK(seen(&fake->sent_count) == ++count);
			CHECK(fake->sent_length[(count - 1) % KEPT_MAX] ==
			      length);
			for (uint32_t j = 0; j < length; j++)
				wrong += fake->sent[j] !=
					 guest(DATA)[HEADER + j];
		}
	}
	CHECK(wrong == 0);
	CHECK(seen(&fake->flushes) > 0);
	tear_down();
}

/* The header in twelve descriptors, the frame behind them. */
static void a_header_may_be_in_pieces(void)
{
	struct vring_used_elem element;

	set_up(CSUM);
	memset(guest(DATA), 0, 200);
	guest(DATA)[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	guest(DATA)[6] = 34;
	guest(DATA)[8] = 6;
	for (uint16_t i = 0; i < HEADER; i++)
		fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA + i, 1,
				VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	fake_descriptor(&queues[TRANSMIT].descriptors[HEADER], DATA + HEADER,
			60, 0, 0);
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element));
	CHECK(seen(&fake->sent_count) == 1 && fake->sent_length[0] == 60);
	CHECK(fake->sent_header[0].csum_start == 34);
	CHECK(fake->sent_header[0].csum_offset == 6);
	tear_down();
}

static void what_is_no_frame_is_dropped(void)
{
	static const uint32_t lengths[] = {
		1,      2,         11, 12, 13, 25, HEADER + NET_FRAME_MAX + 1,
		200000, FAKE_RANGE
	};
	struct vring_used_elem element;

	set_up(0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		CHECK(transmit(lengths[i], 1));
	/* As long as there can be one, in buffers that overlap */
	for (uint16_t i = 0; i < SIZE; i++)
		fake_descriptor(&queues[TRANSMIT].descriptors[i], DATA,
				FAKE_RANGE,
				i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
				(uint16_t)(i + 1));
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element) && element.len == 0);
	/* One to be written to, and one of no buffers at all */
	fake_buffer(&queues[TRANSMIT], 3, DATA, 1000, VRING_DESC_F_WRITE);
	fake_buffer(&queues[TRANSMIT], 4, DATA, 0, 0);
	notify(TRANSMIT);
	CHECK(await(TRANSMIT, &element) && element.id == 3 && element.len == 0);
	CHECK(await(TRANSMIT, &element) && element.id == 4 && element.len == 0);
	CHECK(seen(&fake->sent_count) == 0);
	memset(guest(DATA), 0, HEADER);
	CHECK(transmit(HEADER + 100, 2));
	CHECK(seen(&fake->sent_count) == 1);
	tear_down();
}

static void a_looping_frame_ends_the_service(void)
{
	set_up(0);
	fake_descriptor(&queues[TRANSMIT].descriptors[0], DATA, 100,
			VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queues[TRANSMIT].descriptors[1], DATA, 100,
			VRING_DESC_F_NEXT, 0);
	fake_offer(&queues[TRANSMIT], 0);
	notify(TRANSMIT);
	CHECK(needs_reset());
	CHECK(seen(&fake->sent_count) == 0);
	/* What the port tells then is for nobody, and wakes nobody again. */
	bring(1, 100);
	settle();
	CHECK(!fake->started);
	tear_down();
}

/* Whether a frame of 100 bytes with this header reaches the port. */
static bool passes(struct virtio_net_hdr_v1 header)
{
	uint32_t before = seen(&fake->sent_count);

	memcpy(guest(DATA), &header, sizeof(header));
	CHECK(transmit(HEADER + 100, 1));
	return seen(&fake->sent_count) == before + 1;
}

static void what_drivers_leave_to_others_is_checked(void)
{
	const struct virtio_net_hdr_v1 none = { 0 };
	const struct virtio_net_hdr_v1 partial = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = 34,
		.csum_offset = 16,
	};
	const struct virtio_net_hdr_v1 segments = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1460,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct virtio_net_hdr_v1 header;

	set_up(0); /* without a feature, nothing is left to others */
	CHECK(passes(none));
	CHECK(!passes(partial));
	CHECK(!passes(segments));
	tear_down();

	set_up(OFFLOADS & ~(UINT64_C(1) << VIRTIO_NET_F_HOST_ECN));
	CHECK(passes(partial));
	CHECK(passes(segments));
	header = partial;
	header.csum_start = 82; /* the last place for it is 98 */
	CHECK(passes(header));
	header.csum_start = 83;
	CHECK(!passes(header));
	header.csum_start = UINT16_MAX;
	header.csum_offset = UINT16_MAX;
	CHECK(!passes(header));
	header = segments;
	header.flags = 0;
	CHECK(!passes(header));
	header = segments;
	header.gso_size = 0;
	CHECK(!passes(header));
	header = segments;
	header.hdr_len = 101;
	CHECK(!passes(header));
	header = segments;
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	CHECK(passes(header));
	header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	CHECK(!passes(header));
	header.gso_type = VIRTIO_NET_HDR_GSO_ECN;
	CHECK(!passes(header));
	header.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	CHECK(!passes(header));
	header.gso_type = 5; /* a later one, of UDP */
	CHECK(!passes(header));
	/* What is not the driver's to say is not passed on. */
	header = none;
	header.flags = VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_RSC_INFO;
	CHECK(passes(header));
	CHECK(fake->sent_header[(seen(&fake->sent_count) - 1) % KEPT_MAX]
		      .flags == 0);
	tear_down();
}

static void a_port_without_room_is_asked_again(void)
{
	struct vring_used_elem element;

	set_up(0);
	settle();
	memset(guest(DATA), 0, 1000);
	pthread_mutex_lock(&device->lock);
	fake->full = true;
	pthread_mutex_unlock(&device->lock);
	for (uint16_t i = 0; i < 5; i++)
		fake_buffer(&queues[TRANSMIT], i, DATA, HEADER + 50u + i, 0);
	notify(TRANSMIT);
	settle();
	CHECK(!fake_collect(&queues[TRANSMIT], &element));
	notify(TRANSMIT);
	settle();
	CHECK(seen(&fake->sent_count) == 0);
	pthread_mutex_lock(&device->lock);
	fake->full = false;
	pthread_mutex_unlock(&device->lock);
	eventfd_write(fake->port.fd, 1);
	for (uint16_t i = 0; i < 5; i++) {
		CHECK(await(TRANSMIT, &element) && element.id == i);
		CHECK(fake->sent_length[i] == 50u + i);
	}
	/* A reset forgets the one that waits. */
	fake->full = true;
	fake_buffer(&queues[TRANSMIT], 0, DATA, HEADER + 50, 0);
	notify(TRANSMIT);
	settle();
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES, queues, QUEUES) == 0xf);
	fake->full = false;
	eventfd_write(fake->port.fd, 1);
	settle();
	CHECK(seen(&fake->sent_count) == 5);
	tear_down();
}

/* Offers buffers of so many bytes each, from DATA on, without gaps. */
static void offer(uint32_t count, uint32_t bytes)
{
	struct fake_queue *queue = &queues[RECEIVE];

	for (uint32_t i = 0; i < count; i++) {
		uint16_t index = (uint16_t)(queue->offered % SIZE);

		fake_buffer(queue, index, DATA + (uint64_t)index * bytes, bytes,
			    VRING_DESC_F_WRITE);
	}
}

/* Whether the next used buffers hold the frame of that number. */
static bool received(uint32_t number, uint32_t length, uint32_t bytes)
{
	static uint8_t whole[HEADER + NET_FRAME_MAX];
	struct virtio_net_hdr_v1 header;
	struct vring_used_elem element;
	uint32_t total = HEADER + length;
	uint32_t done = 0;
	uint16_t count = 0;

	while (done < total) {
		if (!await(RECEIVE, &element) || element.len > bytes ||
		    element.len !=
			    (total - done < bytes ? total - done : bytes))
			return false;
		memcpy(whole + done, guest(DATA + (uint64_t)element.id * bytes),
		       element.len);
		done += element.len;
		count++;
	}
	memcpy(&header, whole, sizeof(header));
	for (uint32_t i = 0; i < length; i++)
		if (whole[HEADER + i] != fake_byte(number, i))
			return false;
	return header.num_buffers == count &&
	       header.flags == VIRTIO_NET_HDR_F_DATA_VALID &&
	       header.gso_type == 0;
}

static void a_frame_fills_the_buffers_that_it_needs(void)
{
	static const uint32_t buffers[] = { 12,  13,   14,   23,
					    100, 1526, 4096, 65562 };
	uint32_t number = 0;

	set_up(MERGEABLE);
	for (size_t i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) {
		uint32_t most = SIZE * buffers[i] - HEADER;
		uint32_t step = most / 13 + 1;

		for (uint32_t length = 14;
		     length <= most && length <= NET_FRAME_MAX;
		     length += step) {
			uint32_t needed = (HEADER + length + buffers[i] - 1) /
					  buffers[i];

			offer(needed, buffers[i]);
			bring(1, length);
			CHECK(received(number, length, buffers[i]));
			number++;
		}
	}
	CHECK(seen(&fake->dropped) == number);
	tear_down();
}

/* The header is split over buffers of one chain, and so is its count. */
static void a_buffer_may_be_in_pieces(void)
{
	struct fake_queue *queue = &queues[RECEIVE];
	struct vring_used_elem element;
	size_t wrong = 0;

	set_up(MERGEABLE);
	for (uint16_t i = 0; i < 15; i++)
		fake_descriptor(&queue->descriptors[i], DATA + 2u * i, 1,
				VRING_DESC_F_WRITE |
					(i < 14 ? VRING_DESC_F_NEXT : 0),
				(uint16_t)(i + 1));
	fake_descriptor(&queue->descriptors[15], DATA + 1000, 4000,
			VRING_DESC_F_WRITE, 0);
	fake_offer(queue, 0);
	fake_offer(queue, 15);
	bring(1, 500);
	CHECK(await(RECEIVE, &element) && element.id == 0 && element.len == 15);
	CHECK(await(RECEIVE, &element) && element.id == 15 &&
	      element.len == 500 + HEADER - 15);
	CHECK(*guest(DATA + 20) == 2 && *guest(DATA + 22) == 0);
	for (uint32_t i = 3; i < 500; i++)
		wrong += *guest(DATA + 1000 + i - 3) != fake_byte(0, i);
	CHECK(wrong == 0);
	tear_down();
}

/* Nothing of a frame is shown until there are buffers for all of it. */
static void a_frame_waits_for_buffers(void)
{
	struct vring_used_elem element;

	set_up(MERGEABLE);
	offer(3, 1000);
	bring(1, 5000);
	settle();
	CHECK(!fake_collect(&queues[RECEIVE], &element));
	CHECK(seen(&fake->dropped) == 0);
	/* It wants to know of the next buffer, now. */
	CHECK(fake_must_notify(&queues[RECEIVE], true, 3) == false);
	offer(2, 1000);
	CHECK(fake_must_notify(&queues[RECEIVE], true, 3));
	notify(RECEIVE);
	settle();
	CHECK(!fake_collect(&queues[RECEIVE], &element));
	offer(1, 1000);
	notify(RECEIVE);
	CHECK(received(0, 5000, 1000));
	tear_down();
}

static void a_reset_forgets_what_was_half_done(void)
{
	struct vring_used_elem element;

	set_up(MERGEABLE);
	offer(3, 1000);
	bring(1, 5000);
	settle();
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	/* Whoever looked at the ring would find all buffers given back. */
	for (uint32_t i = 0; i < 3; i++)
		CHECK(fake_collect(&queues[RECEIVE], &element) &&
		      element.id == i && element.len == 0);
	lay_rings();
	CHECK(fake_bring_up(mmio, FAKE_FEATURES | MERGEABLE, queues, QUEUES) ==
	      0xf);
	offer(6, 1000);
	notify(RECEIVE);
	CHECK(received(0, 5000, 1000));
	tear_down();
}

static void a_frame_too_large_for_all_buffers_is_dropped(void)
{
	struct vring_used_elem element;

	set_up(MERGEABLE);
	offer(SIZE, 100);
	bring(1, 5000);
	for (uint32_t i = 0; i < SIZE; i++)
		CHECK(await(RECEIVE, &element) && element.len == 0);
	offer(SIZE, 100);
	bring(1, 200);
	CHECK(received(1, 200, 100));
	tear_down();
}

static void a_buffer_without_room_for_a_header_ends_the_service(void)
{
	for (uint64_t features = 0; features <= MERGEABLE;
	     features += MERGEABLE) {
		set_up(features);
		offer(1, HEADER - 1);
		bring(1, 100);
		CHECK(needs_reset());
		tear_down();
		set_up(features);
		fake_buffer(&queues[RECEIVE], 0, DATA, 2000, 0);
		bring(1, 100);
		CHECK(needs_reset());
		tear_down();
	}
}

static void without_merging_a_frame_has_one_buffer(void)
{
	set_up(0);
	offer(2, 1526);
	bring(1, 1514);
	CHECK(received(0, 1514, 1526));
	/* One that does not fit is dropped, and its buffer takes the next. */
	bring(1, 1515);
	settle();
	CHECK(seen(&fake->dropped) == 2);
	bring(1, 60);
	CHECK(received(2, 60, 1526));
	tear_down();
}

/* No buffers: the port is not asked, and nothing turns in circles. */
static void without_buffers_nothing_is_done(void)
{
	uint32_t peeks;

	set_up(MERGEABLE);
	bring(10000, 60);
	settle();
	peeks = seen(&fake->peeks);
	settle();
	CHECK(seen(&fake->peeks) == peeks && peeks <= 4);
	CHECK(seen(&fake->dropped) == 0);
	/* With buffers it goes on, however long it was. */
	for (uint32_t i = 0; i < 100; i++) {
		offer(SIZE, 1526);
		notify(RECEIVE);
		for (uint32_t j = 0; j < SIZE; j++)
			CHECK(received(i * SIZE + j, 60, 1526));
	}
	tear_down();
}

/* A frame of the guest may have an answer at once. */
static void answers_follow_what_they_answer(void)
{
	set_up(MERGEABLE);
	settle();
	offer(4, 2000);
	pthread_mutex_lock(&device->lock);
	fake->waiting = 2;
	fake->length = 77;
	pthread_mutex_unlock(&device->lock);
	memset(guest(0x8000), 0, 200);
	fake_buffer(&queues[TRANSMIT], 0, 0x8000, HEADER + 60, 0);
	notify(TRANSMIT);
	CHECK(received(0, 77, 2000));
	CHECK(received(1, 77, 2000));
	CHECK(seen(&fake->polls) == 0);
	tear_down();
}

/* However many frames there are, others have their turn. */
static void a_turn_is_bounded(void)
{
	struct vring_used_elem element;
	uint32_t collected = 0;

	set_up(MERGEABLE);
	bring(100000, 60000);
	for (int turn = 0; turn < 50; turn++) {
		uint32_t before = seen(&fake->dropped);

		while (fake_collect(&queues[RECEIVE], &element))
			collected++;
		offer(SIZE - (uint16_t)(queues[RECEIVE].offered -
					queues[RECEIVE].collected),
		      65000);
		notify(RECEIVE);
		fake_loop_turn(loop);
		CHECK(seen(&fake->dropped) - before <= 2 * SIZE);
	}
	CHECK(collected > 100);
	tear_down();
}

/* Registers, rings and frames from several threads at once. */
static void *flip(void *argument)
{
	const atomic_bool *going = argument;

	while (*going) {
		fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
		fake_bring_up(mmio, FAKE_FEATURES | MERGEABLE, queues, QUEUES);
		eventfd_write(fake->port.fd, 1);
	}
	return NULL;
}

static void it_may_be_reset_at_any_time(void)
{
	atomic_bool going = true;
	pthread_t thread;

	set_up(MERGEABLE);
	memset(guest(0x8000), 0, 200);
	pthread_create(&thread, NULL, flip, &going);
	for (uint32_t i = 0; i < 3000; i++) {
		fake_buffer(&queues[TRANSMIT], i % SIZE, 0x8000, HEADER + 60,
			    0);
		fake_buffer(&queues[RECEIVE], i % SIZE, DATA, 100,
			    VRING_DESC_F_WRITE);
		bring(1, 1000);
		notify(i % QUEUES);
	}
	going = false;
	pthread_join(thread, NULL);
	tear_down();
}

int main(void)
{
	TEST(it_offers_what_its_port_can);
	TEST(the_port_learns_what_the_driver_took);
	TEST(frames_are_exact);
	TEST(a_header_may_be_in_pieces);
	TEST(what_is_no_frame_is_dropped);
	TEST(a_looping_frame_ends_the_service);
	TEST(what_drivers_leave_to_others_is_checked);
	TEST(a_port_without_room_is_asked_again);
	TEST(a_frame_fills_the_buffers_that_it_needs);
	TEST(a_buffer_may_be_in_pieces);
	TEST(a_frame_waits_for_buffers);
	TEST(a_reset_forgets_what_was_half_done);
	TEST(a_frame_too_large_for_all_buffers_is_dropped);
	TEST(a_buffer_without_room_for_a_header_ends_the_service);
	TEST(without_merging_a_frame_has_one_buffer);
	TEST(without_buffers_nothing_is_done);
	TEST(answers_follow_what_they_answer);
	TEST(a_turn_is_bounded);
	TEST(it_may_be_reset_at_any_time);
	return tap_done();
}
