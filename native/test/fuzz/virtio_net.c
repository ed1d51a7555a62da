/* SPDX-License-Identifier: MIT */
/*
 * A virtio-net behind its transport, driven by any accesses, rings and frames:
 * nothing outside of guest memory is touched, turns stay bounded, frames for
 * the guest are taken from the port once.
 *
 * The loop's thread is kept busy, so that its work is done here, where the
 * input says. Input: a byte of options (bit 0: bring the device up first, bit
 * 1: with buffers that merge), then operations of eight bytes.
 */
#include <semaphore.h>

#include "fake_driver.h"
#include "virtio/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	QUEUES = 2,
	RING = 0x10000,
	FRAMES = 0x30000,
	SIZE = 32,
	TURN_BYTES = 512 * 1024 + NET_FRAME_MAX,
};

static const uint64_t addresses[] = {
	FRAMES,  FRAMES + 12,    FRAMES + 11,   RING,       FAKE_HIGH,
	0x50000, FAKE_RANGE - 8, FAKE_HIGH - 1, UINT64_MAX, RING + 0x3000,
};

static const uint32_t lengths[] = { 1,  12, 13,     26,   0,
				    60, 11, 300000, 4096, NET_FRAME_MAX + 12 };

struct fuzz_port {
	struct net_port port;
	bool full;
	bool started;
	uint32_t waiting;
	uint32_t length;
	uint64_t bytes; /* in both directions */
	uint8_t sink;
	struct net_frame frame;
	struct iovec part;
};

static struct memory memory;
static struct loop *loop;
static int irq_fd;
static struct fuzz_port port;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];

static void fuzz_start(struct net_port *to, uint64_t features)
{
	(void)to;
	(void)features;
	if (port.started)
		__builtin_trap();
	port.started = true;
}

static void fuzz_nothing(struct net_port *to)
{
	(void)to;
}

static void fuzz_stop(struct net_port *to)
{
	(void)to;
	port.started = false;
}

static bool fuzz_send(struct net_port *to, const struct net_frame *frame)
{
	static uint8_t bytes[NET_FRAME_MAX];

	(void)to;
	if (!port.started || frame->length < 14 ||
	    frame->length > NET_FRAME_MAX)
		__builtin_trap();
	if (port.full)
		return false;
	if (net_frame_read(frame, 0, bytes, sizeof(bytes)) != frame->length)
		__builtin_trap();
	port.sink ^= bytes[frame->length - 1];
	port.bytes += frame->length;
	return true;
}

static const struct net_frame *fuzz_peek(struct net_port *from)
{
	static uint8_t bytes[NET_FRAME_MAX];

	(void)from;
	if (!port.started)
		__builtin_trap();
	if (port.waiting == 0)
		return NULL;
	port.part = (struct iovec) { .iov_base = bytes,
				     .iov_len = port.length };
	port.frame = (struct net_frame) { .parts = &port.part,
					  .part_count = 1,
					  .length = port.length };
	return &port.frame;
}

static void fuzz_drop(struct net_port *from)
{
	(void)from;
	if (port.waiting == 0)
		__builtin_trap();
	port.waiting--;
	port.bytes += port.length;
}

static void fuzz_destroy(struct net_port *gone)
{
	close(gone->fd);
}

static const struct net_port_ops fuzz_ops = {
	.start = fuzz_start,
	.stop = fuzz_stop,
	.poll = fuzz_nothing,
	.send = fuzz_send,
	.flush = fuzz_nothing,
	.peek = fuzz_peek,
	.drop = fuzz_drop,
	.destroy = fuzz_destroy,
};

static void fuzz_lay_rings(uint32_t size)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       size);
}

static void block_ready(struct loop_source *source)
{
	sem_t never;

	(void)source;
	sem_init(&never, 0, 0);
	sem_wait(&never);
}

static void fuzz_create(void)
{
	static struct loop_source block = { .ready = block_ready };
	const uint8_t mac[NET_MAC_BYTES] = { 2 };

	if (!loop) {
		fake_memory_create(&memory);
		block.fd = eventfd(1, EFD_CLOEXEC);
		irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (loop_create(&loop) < 0 || loop_add(loop, &block) < 0)
			__builtin_trap();
	}
	port = (struct fuzz_port) {
		.port = { .ops = &fuzz_ops,
			  .features = UINT64_C(1) << VIRTIO_NET_F_CSUM |
				      UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4,
			  .mtu = 1500,
			  .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) },
		.length = 60,
	};
	memset(memory_at(&memory, FRAMES, 64), 0, 64);
	fuzz_lay_rings(SIZE);
	if (virtio_net_create(&device, &port.port, mac, loop) < 0 ||
	    virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) < 0)
		__builtin_trap();
}

/* What the loop would do for the queues that were kicked; one turn. */
static void fuzz_turn(void)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		uint64_t before = port.bytes;
		eventfd_t count;

		if (eventfd_read(virtio_mmio_notify_fd(mmio, i), &count) < 0)
			continue;
		pthread_mutex_lock(&device->lock);
		if (device->active)
			device->ops->notify(device, i);
		pthread_mutex_unlock(&device->lock);
		/* Sending leads to receiving. */
		if (port.bytes - before > 2 * TURN_BYTES)
			__builtin_trap();
	}
}

static void fuzz_header(const uint8_t *bytes)
{
	const struct virtio_net_hdr_v1 header = {
		.flags = bytes[2] & 7,
		.gso_type = bytes[2] >> 3,
		.hdr_len = bytes[3],
		.gso_size = bytes[4],
		.csum_start = (uint16_t)(bytes[5] * 257),
		.csum_offset = (uint16_t)(bytes[6] * 257),
	};

	memcpy(memory_at(&memory, addresses[bytes[1] % 3], sizeof(header)),
	       &header, sizeof(header));
}

static void fuzz_access(const uint8_t *bytes)
{
	uint64_t offset = bytes[1] * 4u + (bytes[2] & 3u);
	uint32_t length = 1 + (bytes[2] >> 2 & 7);
	uint8_t value[8] = { bytes[4], bytes[5], bytes[6], bytes[7] };

	if (bytes[3] & 1)
		virtio_mmio_bus_ops.read(mmio, offset, value, length);
	else
		virtio_mmio_bus_ops.write(mmio, offset, value, length);
}

static void fuzz_operation(const uint8_t *bytes)
{
	struct fake_queue *queue = &queues[bytes[1] % QUEUES];
	uint16_t index = bytes[2] % SIZE;

	switch (bytes[0] % 10) {
	case 0:
		fake_descriptor(&queue->descriptors[index],
				addresses[bytes[3] % 10],
				lengths[bytes[4] % 10], bytes[5] & 7,
				bytes[6] % (SIZE + 1));
		break;
	case 1:
		fake_offer(queue, bytes[2] % (SIZE + 1));
		break;
	case 2:
		fuzz_header(bytes);
		break;
	case 3:
		fuzz_access(bytes);
		break;
	case 4:
		fake_write32(mmio, bytes[1] % 64 * 4u,
			     bytes[2] | (uint32_t)bytes[3] << 8 |
				     (uint32_t)bytes[4] << 16 |
				     (uint32_t)bytes[5] << 24);
		break;
	case 5:
		port.waiting += bytes[1];
		if (port.waiting == bytes[1])
			port.length = 14 + (uint32_t)(bytes[2] * 257) %
						   (NET_FRAME_MAX - 13);
		virtio_device_kick(device, 0);
		break;
	case 6:
		port.full = bytes[1] & 1;
		virtio_device_kick(device, bytes[2] % QUEUES);
		break;
	case 7:
	case 8:
		fuzz_turn();
		break;
	default:
		fuzz_lay_rings(SIZE >> (bytes[1] & 3));
		fake_bring_up(mmio,
			      FAKE_FEATURES |
				      (uint64_t)(bytes[2] & 1)
					      << VIRTIO_NET_F_MRG_RXBUF |
				      (bytes[2] & 2 ? port.port.features : 0),
			      queues, QUEUES);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t bring_up[OPERATION_BYTES] = { 9, 0,
						    size > 0 ? data[0] >> 1
							     : 0 };

	if (size == 0)
		return 0;
	fuzz_create();
	if (data[0] & 1)
		fuzz_operation(bring_up);
	for (size_t i = 1; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	fuzz_turn();
	virtio_mmio_destroy(mmio);
	return 0;
}
