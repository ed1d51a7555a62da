/* SPDX-License-Identifier: MIT */
#include "virtio/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "fake_driver.h"
#include "host_lacks.h"
#include "scratch.h"
#include "tap.h"

enum {
	SECTORS = 1024,
	SIZE = SECTORS * 512,
	QUEUE = 256,
	RING = 0x10000, /* addresses in guest memory */
	HEADERS = 0x20000,
	STATUSES = 0x30000,
	TABLES = 0x40000, /* of indirect descriptors */
	TABLE_BYTES = 16 * 16,
	DATA = FAKE_HIGH,
	UNTOUCHED = 0xee,
};

#define BIT(feature) (UINT64_C(1) << (feature))

static const uint64_t ALL = FAKE_FEATURES | BIT(VIRTIO_BLK_F_FLUSH);

static struct scratch scratch;
static enum io_engine_kind kind;
static struct memory memory;
static struct loop *loop;
static struct workers *workers;
static struct io_engine *engine;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queue;
static int irq_fd;

/* Faults of the host, put in the way of the library's system calls. */
static sem_t *gate; /* NULL: threads may read at once */
static uint32_t at_gate;
static uint32_t durable_writes;
static uint32_t flushes;

ssize_t preadv2(int fd, const struct iovec *buffers, int count, off_t offset,
		int flags)
{
	sem_t *closed = __atomic_load_n(&gate, __ATOMIC_SEQ_CST);

	if (closed) {
		__atomic_fetch_add(&at_gate, 1, __ATOMIC_SEQ_CST);
		sem_wait(closed);
	}
	return syscall(SYS_preadv2, fd, buffers, count, offset, 0, flags);
}

ssize_t pwritev2(int fd, const struct iovec *buffers, int count, off_t offset,
		 int flags)
{
	if (flags & RWF_DSYNC)
		__atomic_fetch_add(&durable_writes, 1, __ATOMIC_SEQ_CST);
	return syscall(SYS_pwritev2, fd, buffers, count, offset, 0, flags);
}

int fdatasync(int fd)
{
	__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	return (int)syscall(SYS_fdatasync, fd);
}

enum { WRITABLE = 0, READ_ONLY = 1, OVERLAY = 2 };

static void create(uint32_t options, const char *serial)
{
	struct disk_config config = {
		.path = scratch.file,
		.read_only = options & READ_ONLY,
		.overlay = options & OVERLAY ? scratch.folder : NULL,
	};
	struct capsa_error error;
	struct image image;

	scratch_write(&scratch, SIZE);
	fake_memory_create(&memory);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(workers_create(&workers, "waiting", 8) == 0);
	CHECK(io_engine_create(&engine, kind, loop, workers) == 0);
	CHECK(image_open(&image, &config, 0, &error) == CAPSA_STATUS_OK);
	CHECK(virtio_blk_create(&device, &image, serial, engine) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
}

static void bring_up(uint64_t features)
{
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	queue = fake_queue(&memory, RING, QUEUE);
	CHECK(fake_bring_up(mmio, features, &queue, 1) == 0xf);
}

static void set_up(uint32_t options)
{
	create(options, "serial-1");
	bring_up(ALL);
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	workers_destroy(workers);
	io_engine_destroy(engine);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
}

static uint8_t *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

/* A request as a driver builds it; a slot is three descriptors and a header. */
struct request {
	uint32_t slot;
	uint32_t type;
	uint64_t sector;
	uint64_t data; /* address */
	uint32_t length;
	bool data_writable;
};

static uint16_t head_of(uint32_t slot)
{
	return (uint16_t)(slot * 3);
}

static uint8_t status_of(uint32_t slot)
{
	return __atomic_load_n(guest(STATUSES + slot), __ATOMIC_SEQ_CST);
}

static void put_header(uint64_t address, uint32_t type, uint64_t sector)
{
	uint32_t *header = memory_at(&memory, address, 16);

	__atomic_store_n(header, type, __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(void *)(header + 2), sector,
			 __ATOMIC_RELAXED);
}

static void offer(const struct request *request)
{
	uint16_t head = head_of(request->slot);
	uint64_t header = HEADERS + request->slot * 16;
	struct vring_desc *first = &queue.descriptors[head];
	bool data = request->length > 0;

	put_header(header, request->type, request->sector);
	*guest(STATUSES + request->slot) = UNTOUCHED;
	fake_descriptor(first, header, 16, VRING_DESC_F_NEXT,
			(uint16_t)(head + (data ? 1 : 2)));
	fake_descriptor(
		first + 1, request->data, request->length,
		VRING_DESC_F_NEXT |
			(request->data_writable ? VRING_DESC_F_WRITE : 0),
		(uint16_t)(head + 2));
	fake_descriptor(first + 2, STATUSES + request->slot, 1,
			VRING_DESC_F_WRITE, 0);
	fake_offer(&queue, head);
}

static void notify(void)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static bool await(struct vring_used_elem *element)
{
	return fake_await(mmio, irq_fd, &queue, element);
}

/* Offers what starts at head, and waits; the used length. */
static uint32_t serve(uint16_t head)
{
	struct vring_used_elem element;

	fake_offer(&queue, head);
	notify();
	CHECK(await(&element) && element.id == head);
	return element.len;
}

/* One request of slot 0; its status. */
static uint8_t ask(uint32_t type, uint64_t sector, uint64_t data,
		   uint32_t length, uint32_t *used)
{
	const struct request request = {
		.type = type,
		.sector = sector,
		.data = data,
		.length = length,
		.data_writable = type == VIRTIO_BLK_T_IN ||
				 type == VIRTIO_BLK_T_GET_ID,
	};
	struct vring_used_elem element = { 0 };

	offer(&request);
	notify();
	CHECK(await(&element) && element.id == 0);
	*used = element.len;
	return status_of(0);
}

/* DISCARD or WRITE_ZEROES of one segment. */
static uint8_t clear(uint32_t type, uint64_t sector, uint32_t count,
		     uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes segment = {
		.sector = sector,
		.num_sectors = count,
		.flags = flags,
	};
	uint32_t used;
	uint8_t status;

	memcpy(guest(DATA), &segment, sizeof(segment));
	status = ask(type, 0, DATA, sizeof(segment), &used);
	CHECK(used == 1);
	return status;
}

static bool is_failed(void)
{
	return fake_read32(mmio, VIRTIO_MMIO_STATUS) &
	       VIRTIO_CONFIG_S_NEEDS_RESET;
}

static struct virtio_blk_config config(void)
{
	struct virtio_blk_config config = { 0 };
	uint8_t bytes[sizeof(config)];

	for (uint32_t i = 0; i < sizeof(bytes); i += 4)
		virtio_mmio_bus_ops.read(mmio, VIRTIO_MMIO_CONFIG + i,
					 bytes + i, 4);
	memcpy(&config, bytes, sizeof(config));
	return config;
}

static uint64_t offered(void)
{
	uint64_t features;

	fake_write32(mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features = fake_read32(mmio, VIRTIO_MMIO_DEVICE_FEATURES);
	return features;
}

static void it_tells_what_it_is(void)
{
	const uint64_t changing = BIT(VIRTIO_BLK_F_DISCARD) |
				  BIT(VIRTIO_BLK_F_WRITE_ZEROES);

	create(WRITABLE, "serial-1");
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 2);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_QUEUE_NUM_MAX) == QUEUE);
	CHECK(virtio_mmio_queue_count(mmio) == 1);
	CHECK((offered() & changing) == changing);
	CHECK(!(offered() & BIT(VIRTIO_BLK_F_RO)));
	CHECK(offered() & BIT(VIRTIO_BLK_F_FLUSH));
	CHECK(config().capacity == SECTORS);
	CHECK(config().seg_max == QUEUE - 2);
	CHECK(config().blk_size == 512);
	CHECK(config().max_discard_seg == 1);
	CHECK(config().max_write_zeroes_seg == 1);
	tear_down();
	create(READ_ONLY, NULL);
	CHECK(offered() & BIT(VIRTIO_BLK_F_RO));
	CHECK(!(offered() & changing));
	tear_down();
}

static void requests_do_what_they_say(void)
{
	static const uint32_t options[] = { WRITABLE, OVERLAY };
	uint8_t bytes[4096];
	uint8_t should[4096];
	uint32_t used;

	for (uint32_t i = 0; i < 2; i++) {
		uint64_t read = 0;
		uint64_t written = 0;

		set_up(options[i]);
		CHECK(ask(VIRTIO_BLK_T_IN, 3, DATA, 4096, &used) == 0);
		CHECK(used == 4097);
		scratch_fill(should, 3 * 512, 4096);
		CHECK(memcmp(guest(DATA), should, 4096) == 0);
		memset(guest(DATA), 7, 4096);
		CHECK(ask(VIRTIO_BLK_T_OUT, SECTORS - 8, DATA, 4096, &used) ==
		      0);
		CHECK(used == 1);
		CHECK(ask(VIRTIO_BLK_T_FLUSH, 0, DATA, 0, &used) == 0);
		CHECK(used == 1);
		CHECK(ask(VIRTIO_BLK_T_IN, SECTORS - 8, DATA + 4096, 4096,
			  &used) == 0);
		CHECK(memcmp(guest(DATA), guest(DATA + 4096), 4096) == 0);
		CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 1, 0) == 0);
		CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 2, 1, 1) == 0);
		CHECK(clear(VIRTIO_BLK_T_DISCARD, 64, 64, 0) == 0);
		CHECK(clear(VIRTIO_BLK_T_DISCARD, 64, 0, 0) == 0);
		CHECK(ask(VIRTIO_BLK_T_IN, SECTORS - 3, DATA, 1536, &used) ==
		      0);
		memset(should, 0, sizeof(should));
		memset(should, 7, 512);
		CHECK(memcmp(guest(DATA), should, 1536) == 0);
		virtio_blk_count(device, &read, &written);
		CHECK(read == 4096 + 4096 + 1536 && written == 4096);
		tear_down();
		scratch_read(&scratch, bytes, (SECTORS - 3) * 512, 1536);
		CHECK(options[i] == OVERLAY ||
		      memcmp(bytes, should, 1536) == 0);
		CHECK(options[i] != OVERLAY ||
		      scratch_is_untouched(&scratch, 0, SIZE));
	}
}

/* Header, data and status in pieces of any size, direct and indirect. */
static void any_framing_is_the_same(void)
{
	enum { BYTES = 16 + 1024, LENGTH = 1024 };
	uint64_t seed = 5;

	set_up(WRITABLE);
	for (uint32_t round = 0; round < 120; round++) {
		bool write = round & 1;
		bool indirect = round & 2;
		uint32_t largest = 1 + scratch_random(&seed) % 700;
		struct vring_desc *descriptors = queue.descriptors;
		uint64_t at = HEADERS;
		uint64_t middle = HEADERS + 16 + (write ? LENGTH : 0);
		uint64_t end = HEADERS + BYTES + 1;
		uint32_t sector = scratch_random(&seed) % (SECTORS - 2);
		uint8_t bytes[LENGTH];
		uint16_t count = indirect ? 0 : 1;
		uint32_t used;

		if (indirect)
			descriptors = (void *)guest(TABLES);
		put_header(HEADERS, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
			   sector);
		for (uint32_t i = 0; i < LENGTH; i++)
			*guest(HEADERS + 16 +
			       i) = write ? (uint8_t)scratch_random(&seed) : 0;
		*guest(end - 1) = UNTOUCHED;
		while (at < end) {
			uint64_t stop = at < middle ? middle : end;
			uint32_t part = 1 + scratch_random(&seed) % largest;

			if (part > stop - at || count >= 200)
				part = (uint32_t)(stop - at);
			fake_descriptor(
				&descriptors[count], at, part,
				(uint16_t)((at < middle ? 0
							: VRING_DESC_F_WRITE) |
					   (at + part < end ? VRING_DESC_F_NEXT
							    : 0)),
				(uint16_t)(count + 1));
			count++;
			at += part;
		}
		if (indirect)
			fake_descriptor(&queue.descriptors[1], TABLES,
					count * 16, VRING_DESC_F_INDIRECT, 0);
		used = serve(1);
		CHECK(used == (write ? 1 : LENGTH + 1));
		CHECK(*guest(end - 1) == VIRTIO_BLK_S_OK);
		scratch_read(&scratch, bytes, sector * 512, LENGTH);
		CHECK(memcmp(guest(HEADERS + 16), bytes, LENGTH) == 0);
	}
	tear_down();
}

/* A driver that knows no flush need not ask for one. */
static void without_flush_writes_are_durable(void)
{
	uint32_t used;

	create(WRITABLE, NULL);
	bring_up(FAKE_FEATURES);
	durable_writes = 0;
	flushes = 0;
	CHECK(ask(VIRTIO_BLK_T_OUT, 0, DATA, 512, &used) == 0);
	CHECK(kind == IO_ENGINE_RING || durable_writes == 1);
	CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, 8, 0) == 0);
	CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0) == 0);
	CHECK(flushes == 2);
	bring_up(ALL);
	CHECK(ask(VIRTIO_BLK_T_OUT, 0, DATA, 512, &used) == 0);
	CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, 8, 0) == 0);
	CHECK(kind == IO_ENGINE_RING || durable_writes == 1);
	CHECK(flushes == 2);
	tear_down();
}

static void the_serial_fits_any_buffer(void)
{
	static const char *const serials[] = { "serial-1", NULL,
					       "twenty-bytes-exactly" };
	static const uint32_t lengths[] = { 20, 0, 5, 19, 21, 600 };
	uint32_t used;

	for (uint32_t i = 0; i < 3; i++) {
		char should[20] = { 0 };

		if (serials[i])
			memcpy(should, serials[i], strlen(serials[i]));
		create(WRITABLE, serials[i]);
		bring_up(ALL);
		for (uint32_t j = 0; j < 6; j++) {
			uint32_t length = lengths[j];
			uint32_t part = length < 20 ? length : 20;

			memset(guest(DATA), UNTOUCHED, 601);
			CHECK(ask(VIRTIO_BLK_T_GET_ID, 0, DATA, length,
				  &used) == 0);
			CHECK(used == part + (length <= 20));
			CHECK(memcmp(guest(DATA), should, part) == 0);
			CHECK(*guest(DATA + part) == UNTOUCHED);
		}
		tear_down();
	}
}

static void what_reaches_beyond_the_disk_is_refused(void)
{
	static const struct {
		uint64_t sector;
		uint32_t count;
	} cases[] = {
		{ SECTORS, 1 },
		{ SECTORS - 1, 2 },
		{ SECTORS + 1, 0 },
		{ UINT64_C(1) << 55, 1 },
		{ (UINT64_C(1) << 55) - 1, 1 },
		{ UINT64_MAX / 512, 2 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },
		{ UINT64_MAX - 1, 2 },
		{ INT64_MAX, 1 },
	};
	uint32_t used;

	set_up(WRITABLE);
	memset(guest(DATA), UNTOUCHED, 2048);
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t sector = cases[i].sector;
		uint32_t count = cases[i].count;

		CHECK(ask(VIRTIO_BLK_T_IN, sector, DATA + 4096, count * 512,
			  &used) == VIRTIO_BLK_S_IOERR);
		CHECK(used == (count == 0));
		CHECK(ask(VIRTIO_BLK_T_OUT, sector, DATA + 4096, count * 512,
			  &used) == VIRTIO_BLK_S_IOERR);
		CHECK(used == 1);
		CHECK(clear(VIRTIO_BLK_T_DISCARD, sector, count, 0) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, sector, count, 0) ==
		      VIRTIO_BLK_S_IOERR);
	}
	/* The last sector is there, and behind it there is nothing to do. */
	CHECK(ask(VIRTIO_BLK_T_IN, SECTORS - 1, DATA, 512, &used) == 0);
	CHECK(ask(VIRTIO_BLK_T_IN, SECTORS, DATA, 0, &used) == 0);
	CHECK(used == 1);
	CHECK(ask(VIRTIO_BLK_T_OUT, SECTORS, DATA, 0, &used) == 0);
	CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0) ==
	      VIRTIO_BLK_S_IOERR);
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static void odd_lengths_are_refused(void)
{
	static const uint32_t lengths[] = { 1, 511, 513, 4095, 1000 };
	uint32_t used;

	set_up(WRITABLE);
	for (uint32_t i = 0; i < 5; i++) {
		CHECK(ask(VIRTIO_BLK_T_IN, 0, DATA, lengths[i], &used) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(used == 0);
		CHECK(ask(VIRTIO_BLK_T_OUT, 0, DATA, lengths[i], &used) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(used == 1);
	}
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static void segments_are_checked(void)
{
	static const uint32_t lengths[] = { 0, 1, 8, 15, 17, 24, 32, 48, 160 };
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES };
	uint32_t used;

	set_up(WRITABLE);
	memset(guest(DATA), 0, 256);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t j = 0; j < 9; j++) {
			CHECK(ask(types[i], 0, DATA, lengths[j], &used) ==
			      VIRTIO_BLK_S_IOERR);
			CHECK(used == 1);
		}
	CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, 8, 1) == VIRTIO_BLK_S_UNSUPP);
	CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, 8, 2) == VIRTIO_BLK_S_UNSUPP);
	CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2) == VIRTIO_BLK_S_UNSUPP);
	CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0x80000001) ==
	      VIRTIO_BLK_S_UNSUPP);
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static void unknown_requests_are_unsupported(void)
{
	static const uint32_t types[] = {
		2, 3, 5, 7, 9, 10, 12, 14, 15, 24, 0x80000000, UINT32_MAX
	};
	uint32_t used;

	set_up(WRITABLE);
	for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		CHECK(ask(types[i], 0, DATA, 512, &used) ==
		      VIRTIO_BLK_S_UNSUPP);
		CHECK(used == 1);
	}
	CHECK(ask(VIRTIO_BLK_T_IN, 0, DATA, 512, &used) == 0);
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

/* Whatever the driver says that it knows of read-only disks. */
static void a_read_only_disk_cannot_be_changed(void)
{
	static const uint64_t features[] = { 0, BIT(VIRTIO_BLK_F_RO) };
	uint8_t should[512];
	uint32_t used;

	create(READ_ONLY, NULL);
	for (uint32_t i = 0; i < 2; i++) {
		bring_up(ALL | features[i]);
		memset(guest(DATA), 7, 512);
		CHECK(ask(VIRTIO_BLK_T_OUT, 0, DATA, 512, &used) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(ask(VIRTIO_BLK_T_OUT, 0, DATA, 0, &used) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(clear(VIRTIO_BLK_T_DISCARD, 0, 8, 0) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(clear(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1) ==
		      VIRTIO_BLK_S_IOERR);
		CHECK(ask(VIRTIO_BLK_T_FLUSH, 0, DATA, 0, &used) == 0);
		CHECK(ask(VIRTIO_BLK_T_IN, 9, DATA, 512, &used) == 0);
		scratch_fill(should, 9 * 512, 512);
		CHECK(memcmp(guest(DATA), should, 512) == 0);
	}
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

/* A request that has no room for an answer, or none for a question. */
static void broken_requests_are_given_back(void)
{
	struct vring_desc *table;

	set_up(WRITABLE);
	table = queue.descriptors;
	put_header(HEADERS, VIRTIO_BLK_T_OUT, 0);
	/* No status: nothing that can be written. */
	fake_descriptor(&table[0], HEADERS, 16, VRING_DESC_F_NEXT, 1);
	fake_descriptor(&table[1], DATA, 512, VRING_DESC_F_NEXT, 2);
	fake_descriptor(&table[2], STATUSES, 1, 0, 0);
	*guest(STATUSES) = UNTOUCHED;
	CHECK(serve(0) == 0);
	CHECK(*guest(STATUSES) == UNTOUCHED);
	fake_descriptor(&table[0], HEADERS, 16, 0, 0);
	CHECK(serve(0) == 0);
	/* No bytes at all. */
	fake_descriptor(&table[0], HEADERS, 0, 0, 0);
	CHECK(serve(0) == 0);
	/* A status of no length is none. */
	fake_descriptor(&table[0], HEADERS, 16, VRING_DESC_F_NEXT, 1);
	fake_descriptor(&table[1], STATUSES, 0, VRING_DESC_F_WRITE, 0);
	CHECK(serve(0) == 0);
	/* A header that is too short, or not there. */
	fake_descriptor(&table[0], HEADERS, 15, VRING_DESC_F_NEXT, 1);
	fake_descriptor(&table[1], STATUSES, 1, VRING_DESC_F_WRITE, 0);
	CHECK(serve(0) == 1);
	CHECK(*guest(STATUSES) == VIRTIO_BLK_S_IOERR);
	*guest(STATUSES) = UNTOUCHED;
	CHECK(serve(1) == 1);
	CHECK(*guest(STATUSES) == VIRTIO_BLK_S_IOERR);
	/* What a write wants beside its status is left alone. */
	fake_descriptor(&table[0], HEADERS, 16, VRING_DESC_F_NEXT, 1);
	fake_descriptor(&table[1], DATA, 512, VRING_DESC_F_WRITE, 0);
	memset(guest(DATA), UNTOUCHED, 512);
	CHECK(serve(0) == 0);
	CHECK(*guest(DATA + 510) == UNTOUCHED);
	CHECK(*guest(DATA + 511) == VIRTIO_BLK_S_OK);
	CHECK(!is_failed());
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static void broken_rings_fail_the_device(void)
{
	for (uint32_t i = 0; i < 6; i++) {
		struct vring_desc *table;
		uint16_t head = 0;

		set_up(WRITABLE);
		table = queue.descriptors;
		put_header(HEADERS, VIRTIO_BLK_T_IN, 0);
		fake_descriptor(&table[0], HEADERS, 16, VRING_DESC_F_NEXT, 1);
		fake_descriptor(&table[1], STATUSES, 1, VRING_DESC_F_WRITE, 0);
		if (i == 0)
			fake_descriptor(&table[1], STATUSES, 1,
					VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
					0);
		if (i == 1)
			fake_descriptor(&table[1], FAKE_RANGE - 1, 2,
					VRING_DESC_F_WRITE, 0);
		if (i == 2)
			fake_descriptor(&table[1], DATA, UINT32_MAX,
					VRING_DESC_F_WRITE, 0);
		if (i == 3)
			head = QUEUE;
		if (i == 4)
			fake_descriptor(&table[1], DATA, 24,
					VRING_DESC_F_INDIRECT, 0);
		if (i == 5)
			fake_descriptor(&table[0], HEADERS, 16,
					VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
					1);
		if (i == 5)
			fake_descriptor(&table[1], STATUSES, 1, 0, 0);
		fake_offer(&queue, head);
		notify();
		fake_loop_turn(loop);
		fake_loop_turn(loop);
		CHECK(is_failed());
		/* A reset mends it. */
		bring_up(ALL);
		CHECK(!is_failed());
		tear_down();
	}
}

/* A whole ring at a time: each request once, with the right data. */
static void a_full_ring_is_served(void)
{
	enum { SLOTS = 85 }; /* of three descriptors */

	for (uint32_t options = 0; options <= OVERLAY; options += OVERLAY) {
		set_up(options);
		for (uint32_t round = 0; round < 30; round++) {
			bool write = round & 1;
			uint8_t seen[SLOTS] = { 0 };
			uint32_t wrong = 0;

			for (uint32_t i = 0; i < SLOTS; i++) {
				struct request request = {
					.slot = i,
					.type = write,
					.sector = i * 12,
					.data = DATA + i * 6144,
					.length = 6144,
					.data_writable = !write,
				};

				memset(guest(request.data),
				       write ? (int)(i + round) : UNTOUCHED,
				       6144);
				offer(&request);
			}
			notify();
			for (uint32_t i = 0; i < SLOTS; i++) {
				struct vring_used_elem element = { 0 };

				CHECK(await(&element));
				wrong += element.id % 3 != 0;
				wrong += element.len != (write ? 1 : 6145);
				wrong += status_of(element.id / 3) != 0;
				wrong += seen[element.id / 3]++ > 0;
			}
			for (uint32_t i = 0; round > 0 && i < SLOTS; i++)
				for (uint32_t j = 0; j < 6144; j += 100)
					wrong += *guest(DATA + i * 6144 + j) !=
						 (uint8_t)(i + round - !write);
			CHECK(wrong == 0);
		}
		tear_down();
	}
}

/* Each head with a table of its own: as many at once as the queue has. */
static void a_ring_of_tables_is_served(void)
{
	enum { PIECES = 14, BYTES = PIECES * 512 };
	uint8_t should[BYTES];
	uint32_t wrong = 0;

	set_up(WRITABLE);
	for (uint32_t i = 0; i < QUEUE; i++) {
		uint64_t at = TABLES + i * TABLE_BYTES;
		struct vring_desc *table = (void *)guest(at);

		put_header(HEADERS + i * 16, VIRTIO_BLK_T_IN, i);
		*guest(STATUSES + i) = UNTOUCHED;
		fake_descriptor(&table[0], HEADERS + i * 16, 16,
				VRING_DESC_F_NEXT, 1);
		for (uint16_t j = 0; j < PIECES; j++)
			fake_descriptor(&table[j + 1],
					DATA + i * 3584 + j % 7 * 512u, 512,
					VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
					(uint16_t)(j + 2));
		fake_descriptor(&table[PIECES + 1], STATUSES + i, 1,
				VRING_DESC_F_WRITE, 0);
		fake_descriptor(&queue.descriptors[i], at, TABLE_BYTES,
				VRING_DESC_F_INDIRECT, 0);
		fake_offer(&queue, (uint16_t)i);
	}
	notify();
	for (uint32_t i = 0; i < QUEUE; i++) {
		struct vring_used_elem element = { 0 };

		CHECK(await(&element));
		wrong += element.len != BYTES + 1;
		wrong += status_of(element.id) != 0;
		/* Its buffers overlap: the second seven sectors stay. */
		scratch_fill(should, (element.id + 7) * 512, 3584);
		wrong += memcmp(guest(DATA + element.id * 3584), should,
				3584) != 0;
	}
	CHECK(wrong == 0);
	tear_down();
}

/* A batch that the kernel serves at once interrupts the driver once. */
static void a_batch_is_one_interrupt(void)
{
	struct vring_used_elem element;
	eventfd_t interrupts;

	set_up(WRITABLE);
	for (uint32_t i = 0; i < 32; i++) {
		const struct request request = {
			.slot = i,
			.type = VIRTIO_BLK_T_GET_ID,
			.data = DATA,
			.length = 20,
			.data_writable = true,
		};

		offer(&request);
	}
	fake_want_interrupt(&queue, 0);
	notify();
	fake_loop_turn(loop);
	fake_loop_turn(loop);
	CHECK(eventfd_read(irq_fd, &interrupts) == 0 && interrupts == 1);
	for (uint32_t i = 0; i < 32; i++)
		CHECK(fake_collect(&queue, &element));
	tear_down();
}

static void hold_threads(sem_t *closed)
{
	sem_init(closed, 0, 0);
	__atomic_store_n(&at_gate, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&gate, closed, __ATOMIC_SEQ_CST);
}

static void let_threads_go(sem_t *closed, uint32_t count)
{
	__atomic_store_n(&gate, NULL, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < count; i++)
		sem_post(closed);
}

static void await_threads(uint32_t count)
{
	while (__atomic_load_n(&at_gate, __ATOMIC_SEQ_CST) < count)
		sched_yield();
}

static void offer_reads(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct request request = {
			.slot = i,
			.type = VIRTIO_BLK_T_IN,
			.sector = i,
			.data = DATA + i * 4096,
			.length = 4096,
			.data_writable = true,
		};

		offer(&request);
	}
	notify();
}

/* While its disk hangs the device answers, and so do others on its loop. */
static void a_hanging_disk_holds_up_nobody(void)
{
	struct vring_used_elem element;
	sem_t closed;

	set_up(WRITABLE);
	hold_threads(&closed);
	offer_reads(20);
	await_threads(4);
	fake_loop_turn(loop);
	CHECK(config().capacity == SECTORS);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0xf);
	offer(&(struct request) { .slot = 30, .type = VIRTIO_BLK_T_GET_ID });
	notify();
	CHECK(await(&element) && element.id == head_of(30));
	let_threads_go(&closed, 4);
	for (uint32_t i = 0; i < 20; i++)
		CHECK(await(&element) && element.len == 4097);
	sem_destroy(&closed);
	tear_down();
}

/* A head that is offered again while it is under way. */
static void a_head_is_under_way_once(void)
{
	sem_t closed;
	struct vring_used_elem element;

	set_up(WRITABLE);
	hold_threads(&closed);
	offer_reads(1);
	await_threads(1);
	fake_offer(&queue, 0);
	notify();
	fake_loop_turn(loop);
	fake_loop_turn(loop);
	CHECK(is_failed());
	let_threads_go(&closed, 1);
	/* What ends now is not told: the device has stopped. */
	bring_up(ALL);
	CHECK(!fake_collect(&queue, &element));
	CHECK(status_of(0) == UNTOUCHED);
	sem_destroy(&closed);
	tear_down();
}

static void *reset_run(void *done)
{
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	memset(guest(DATA), UNTOUCHED, FAKE_RANGE);
	__atomic_store_n((uint32_t *)done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool is_canary(void)
{
	for (uint32_t i = 0; i < FAKE_RANGE; i += 8) {
		const uint64_t canary = UINT64_C(0xeeeeeeeeeeeeeeee);

		if (memcmp(guest(DATA + i), &canary, 8) != 0)
			return false;
	}
	return true;
}

static bool is_active(void)
{
	bool active;

	pthread_mutex_lock(&device->lock);
	active = device->active;
	pthread_mutex_unlock(&device->lock);
	return active;
}

/* A reset waits for what is under way, and lets other vCPUs look meanwhile. */
static void a_reset_waits(void)
{
	uint32_t done = 0;
	pthread_t thread;
	sem_t closed;

	set_up(WRITABLE);
	hold_threads(&closed);
	offer_reads(20);
	await_threads(4);
	CHECK(pthread_create(&thread, NULL, reset_run, &done) == 0);
	while (is_active())
		sched_yield();
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0xf);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 1);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0xf);
	notify();
	fake_loop_turn(loop);
	CHECK(!__atomic_load_n(&done, __ATOMIC_SEQ_CST));
	let_threads_go(&closed, 4);
	pthread_join(thread, NULL);
	CHECK(done && is_canary());
	CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0);
	bring_up(ALL);
	CHECK(is_canary());
	offer_reads(1);
	fake_loop_turn(loop);
	sem_destroy(&closed);
	tear_down();
}

/* After a reset the driver's memory is its own, however busy it was. */
static void nothing_is_written_after_a_reset(void)
{
	uint32_t broken = 0;

	set_up(WRITABLE);
	for (uint32_t round = 0; round < 1000; round++) {
		/* Some of it in no cache, so that it takes its time. */
		if (round % 16 == 0) {
			int fd = open(scratch.file, O_RDWR | O_CLOEXEC);

			fsync(fd);
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
			close(fd);
		}
		offer_reads(64);
		if (round % 3 == 0)
			fake_loop_turn(loop);
		fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
		memset(guest(DATA), UNTOUCHED, FAKE_RANGE);
		memset(guest(STATUSES), UNTOUCHED, QUEUE);
		if (round % 5 == 0)
			sched_yield();
		queue = fake_queue(&memory, RING, QUEUE);
		fake_bring_up(mmio, ALL, &queue, 1);
		broken += !is_canary() || status_of(0) != UNTOUCHED ||
			  queue.used->idx != 0;
	}
	CHECK(broken == 0);
	tear_down();
}

static void destroying_waits_too(void)
{
	for (uint32_t round = 0; round < 50; round++) {
		set_up(round & 1 ? OVERLAY : WRITABLE);
		offer_reads(80);
		if (round % 3)
			fake_loop_turn(loop);
		tear_down();
	}
}

struct racer {
	pthread_t thread;
	uint32_t stop;
};

/* Rewrites headers and descriptors while the device reads them. */
static void *racer_run(void *argument)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 5, 0 };
	static const uint64_t sectors[] = { 0, 8, SECTORS - 1, UINT64_MAX };
	struct racer *racer = argument;
	uint64_t seed = 3;

	while (!__atomic_load_n(&racer->stop, __ATOMIC_SEQ_CST)) {
		uint32_t slot = scratch_random(&seed) % 64;
		uint32_t *header = (void *)guest(HEADERS + slot * 16);
		struct vring_desc *data = &queue.descriptors[slot * 3 + 1];

		__atomic_store_n(header, types[scratch_random(&seed) % 8],
				 __ATOMIC_RELAXED);
		__atomic_store_n((uint64_t *)(void *)(header + 2),
				 sectors[scratch_random(&seed) % 4],
				 __ATOMIC_RELAXED);
		__atomic_store_n(&data->len, 1 << scratch_random(&seed) % 14,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&data->addr,
				 DATA + scratch_random(&seed) % 4 * 4096,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever changes under it, the device answers or stops; nothing else. */
static void a_racing_driver_harms_itself(void)
{
	struct racer racer = { 0 };

	set_up(OVERLAY);
	CHECK(pthread_create(&racer.thread, NULL, racer_run, &racer) == 0);
	for (uint32_t round = 0; round < 400; round++) {
		uint32_t taken = 0;

		for (uint32_t i = 0; i < 64; i++) {
			const struct request request = {
				.slot = i,
				.type = i & 1,
				.sector = i,
				.data = DATA + i * 4096,
				.length = 4096,
				.data_writable = !(i & 1),
			};

			offer(&request);
		}
		notify();
		while (taken < 64 && !is_failed()) {
			struct vring_used_elem element;

			taken += fake_collect(&queue, &element);
		}
		if (is_failed())
			bring_up(ALL);
	}
	__atomic_store_n(&racer.stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(racer.thread, NULL);
	tear_down();
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static void both_engines(enum io_engine_kind wanted)
{
	kind = wanted;
	TEST(requests_do_what_they_say);
	TEST(any_framing_is_the_same);
	TEST(without_flush_writes_are_durable);
	TEST(what_reaches_beyond_the_disk_is_refused);
	TEST(odd_lengths_are_refused);
	TEST(segments_are_checked);
	TEST(a_read_only_disk_cannot_be_changed);
	TEST(a_full_ring_is_served);
	TEST(a_ring_of_tables_is_served);
	TEST(nothing_is_written_after_a_reset);
	TEST(destroying_waits_too);
	TEST(a_racing_driver_harms_itself);
}

static bool has_ring(void)
{
	struct io_engine *ring = NULL;

	CHECK(loop_create(&loop) == 0);
	(void)io_engine_create(&ring, IO_ENGINE_RING, loop, NULL);
	io_engine_destroy(ring);
	loop_destroy(loop);
	return ring;
}

int main(void)
{
	const char *cause = host_lacks_pwritev2();

	if (cause) {
		TEST_SKIP(disks_are_read_and_written, cause);
		return tap_done();
	}
	scratch_create(&scratch);
	printf("# threads\n");
	both_engines(IO_ENGINE_THREADS);
	TEST(a_hanging_disk_holds_up_nobody);
	TEST(a_head_is_under_way_once);
	TEST(a_reset_waits);
	kind = IO_ENGINE_BEST;
	TEST(it_tells_what_it_is);
	TEST(the_serial_fits_any_buffer);
	TEST(unknown_requests_are_unsupported);
	TEST(broken_requests_are_given_back);
	TEST(broken_rings_fail_the_device);
	TEST(a_batch_is_one_interrupt);
	if (has_ring()) {
		printf("# io_uring\n");
		both_engines(IO_ENGINE_RING);
	} else {
		TEST_SKIP(io_uring, "this host has or allows no io_uring");
	}
	scratch_destroy(&scratch);
	return tap_done();
}
