/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk behind its transport, driven by any accesses, rings and
 * requests: nothing outside of guest memory is touched, an image that may not
 * change does not, every request ends, and so does every reset.
 *
 * Requests are well formed unless the input says otherwise, so that most get
 * far. Input: a byte of options (bit 0: io_uring instead of threads, bit 1:
 * read-only, bit 2: with an overlay, bit 3: bring the device up first), then
 * operations of eight bytes.
 */
#include <linux/virtio_blk.h>
#include <sys/mman.h>

#include "fake_driver.h"
#include "fuzz/fuzz_access.h"
#include "scratch.h"
#include "virtio/blk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 8,
	RING = 0x10000,
	HEADERS = 0x20000,
	STATUSES = 0x30000,
	TABLES = 0x40000,
	QUEUE = 64,
	SLOTS = QUEUE / 4,
	SECTORS = 75,
	SIZE = SECTORS * 512 + 100,
};

static const uint64_t addresses[] = {
	FAKE_HIGH,      FAKE_HIGH + 8,  HEADERS,       RING,
	FAKE_RANGE - 8, FAKE_HIGH - 1,  UINT64_MAX,    RING + 0x3000,
	FAKE_HIGH + 1,  FAKE_RANGE / 2, FAKE_HIGH * 2, STATUSES,
};
static const uint32_t lengths[] = { 512, 4096, 16,  1,      0,
				    513, 8192, 511, 300000, 1024 };
static const uint32_t types[] = { 0, 1, 0, 1, 4, 8, 11, 13, 11, 13, 2, 99 };
static const uint64_t sectors[] = {
	0,       1,           8,          SECTORS - 1,
	SECTORS, SECTORS - 8, UINT64_MAX, UINT64_C(1) << 55,
};

static struct memory memory;
static struct loop *loop;
static struct workers *workers;
static struct io_engine *engines[2];
static int irq_fd;
static int image_fd;
static char image_path[32];
static uint8_t content[SIZE];
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queue;

static void fuzz_create_once(void)
{
	if (loop)
		return;
	fake_memory_create(&memory);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	image_fd = memfd_create("image", MFD_CLOEXEC);
	snprintf(image_path, sizeof(image_path), "/proc/self/fd/%d", image_fd);
	scratch_fill(content, 0, SIZE);
	if (ftruncate(image_fd, SIZE) < 0 || loop_create(&loop) < 0 ||
	    workers_create(&workers, "waiting", 8) < 0 ||
	    io_engine_create(&engines[0], IO_ENGINE_THREADS, loop, workers) <
		    0 ||
	    io_engine_create(&engines[1], IO_ENGINE_BEST, loop, workers) < 0)
		__builtin_trap();
}

static void fuzz_lay_ring(uint32_t size)
{
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	queue = fake_queue(&memory, RING, size);
}

static void fuzz_create(uint8_t options)
{
	const struct disk_config config = {
		.path = image_path,
		.read_only = options & 2,
		.overlay = options & 4 ? (char *)"/dev/shm" : NULL,
	};
	struct image image;

	fuzz_create_once();
	if (pwrite(image_fd, content, SIZE, 0) != SIZE ||
	    image_open(&image, &config, 0, NULL) != CAPSA_STATUS_OK ||
	    virtio_blk_create(&device, &image, "fuzz", engines[options & 1]) <
		    0 ||
	    virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) < 0)
		__builtin_trap();
	fuzz_lay_ring(QUEUE);
}

static void fuzz_bring_up(const uint8_t *bytes)
{
	uint64_t features = FAKE_FEATURES;

	if (bytes[2] & 1)
		features |= UINT64_C(1) << VIRTIO_BLK_F_FLUSH;
	if (bytes[2] & 2)
		features &= ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	if (bytes[2] & 4)
		features &= ~(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	fuzz_lay_ring(QUEUE >> (bytes[1] & 3));
	fake_bring_up(mmio, features, &queue, 1);
}

/* A request in four descriptors; bytes[6] breaks one of its rules. */
static void fuzz_request(const uint8_t *bytes)
{
	uint32_t slot = bytes[1] % SLOTS;
	uint16_t head = (uint16_t)(slot * 4);
	struct vring_desc *table = &queue.descriptors[head];
	const struct virtio_blk_outhdr header = {
		.type = types[bytes[2] % 12],
		.sector = sectors[bytes[3] % 8],
	};
	const struct virtio_blk_discard_write_zeroes segment = {
		.sector = sectors[bytes[3] >> 3 & 7],
		.num_sectors = bytes[4],
		.flags = bytes[5] & 1,
	};
	bool clears = header.type >= VIRTIO_BLK_T_DISCARD;
	uint32_t length = clears ? 16 : 512u << (bytes[4] % 5);
	uint64_t data = FAKE_HIGH + slot * 0x2000;
	uint16_t write = header.type & 1 || clears ? 0 : VRING_DESC_F_WRITE;

	memcpy(memory_at(&memory, HEADERS + slot * 16, 16), &header, 16);
	if (clears)
		memcpy(memory_at(&memory, data, 16), &segment, 16);
	if (bytes[6] == 1)
		length = lengths[bytes[7] % 10];
	if (bytes[6] == 2)
		data = addresses[bytes[7] % 12];
	if (bytes[6] == 3)
		write ^= VRING_DESC_F_WRITE;
	fake_descriptor(&table[0], HEADERS + slot * 16,
			bytes[6] == 4 ? bytes[7] % 32 : 16, VRING_DESC_F_NEXT,
			(uint16_t)(head + 1));
	fake_descriptor(&table[1], data, length, write | VRING_DESC_F_NEXT,
			(uint16_t)(head + (bytes[5] & 2 ? 2 : 3)));
	fake_descriptor(&table[2], data, length, write | VRING_DESC_F_NEXT,
			(uint16_t)(head + 3));
	fake_descriptor(&table[3], STATUSES + slot, bytes[6] == 5 ? 0 : 1,
			bytes[6] == 6 ? 0 : VRING_DESC_F_WRITE, 0);
	fake_offer(&queue, head);
}

/* The same behind one descriptor. */
static void fuzz_indirect(const uint8_t *bytes)
{
	uint16_t head = (uint16_t)(bytes[1] % SLOTS * 4);
	struct vring_desc *table = memory_at(&memory, TABLES, 64);

	fuzz_request(bytes);
	queue.offered--;
	memcpy(table, &queue.descriptors[head], 64);
	for (uint16_t i = 0; i < 3; i++)
		table[i].next = (uint16_t)(table[i].next - head);
	fake_descriptor(&queue.descriptors[head], TABLES,
			bytes[6] == 7 ? bytes[7] : 64, VRING_DESC_F_INDIRECT,
			0);
	fake_offer(&queue, head);
}

static void fuzz_operation(const uint8_t *bytes)
{
	uint32_t size = queue.layout.size;

	switch (bytes[0] % 10) {
	case 0:
	case 1:
		fuzz_request(bytes);
		break;
	case 2:
		fuzz_indirect(bytes);
		break;
	case 3:
		fake_descriptor(&queue.descriptors[bytes[1] % QUEUE],
				addresses[bytes[2] % 12],
				lengths[bytes[3] % 10], bytes[4] & 7,
				bytes[5] % (QUEUE + 1));
		break;
	case 4:
		fake_offer(&queue, (uint16_t)(bytes[1] % (size + 1)));
		break;
	case 5:
		fuzz_access(mmio, bytes);
		break;
	case 6:
		fake_write32(mmio, bytes[1] % 64 * 4u,
			     bytes[2] | (uint32_t)bytes[3] << 8 |
				     (uint32_t)bytes[4] << 16 |
				     (uint32_t)bytes[5] << 24);
		break;
	case 7:
	case 8:
		fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		if (bytes[1] & 1)
			fake_loop_turn(loop);
		break;
	default:
		fuzz_bring_up(bytes);
		break;
	}
}

/* What has no writer holds what it held. */
static void fuzz_check(void)
{
	static uint8_t now[SIZE];

	if (pread(image_fd, now, SIZE, 0) != SIZE ||
	    memcmp(now, content, SIZE) != 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bring_up[OPERATION_BYTES] = { 9, 0, 1 };

	if (size == 0)
		return 0;
	fuzz_create(data[0]);
	if (data[0] & 8)
		fuzz_operation(bring_up);
	for (size_t i = 1; size - i >= OPERATION_BYTES; i += OPERATION_BYTES)
		fuzz_operation(data + i);
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake_loop_turn(loop);
	virtio_mmio_destroy(mmio);
	if (data[0] & 6)
		fuzz_check();
	return 0;
}
