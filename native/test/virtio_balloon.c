/* SPDX-License-Identifier: MIT */
#include "virtio/balloon.h"

#include <linux/virtio_balloon.h>
#include <time.h>

#include "fake_driver.h"
#include "stopped_loop.h"
#include "tap.h"

enum {
	INFLATE,
	DEFLATE,
	STATS,
	REPORTS,
	QUEUES,
	SIZE = 128,
	PAGE = 4096,
	RING = 0x10000, /* addresses in guest memory */
	LIST = 0x30000,
	TABLE = 0x40000,
	DATA = FAKE_HIGH,
	DATA_PAGE = DATA / PAGE,
	TURN_MAX = 8 << 20, /* bytes */
	REQUEST_PAGES = 1024,
};

static const uint64_t WITH_STATS = UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ;
static const uint64_t WITH_REPORTS = UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING;

static struct memory memory;
static struct loop *loop;
static struct virtio_device *device;
static struct virtio_mmio *mmio;
static struct fake_queue queues[QUEUES];
static int irq_fd;

static uint8_t *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

static void bring_up(uint64_t features)
{
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = fake_queue(&memory, RING + i * FAKE_RING_BYTES,
				       SIZE);
	CHECK(fake_bring_up(mmio, FAKE_FEATURES | features, queues, QUEUES) ==
	      0xf);
}

static void set_up(void)
{
	fake_memory_create(&memory);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(loop_create(&loop) == 0);
	CHECK(virtio_balloon_create(&device) == 0);
	CHECK(virtio_mmio_create(&mmio, device, &memory, loop, irq_fd) == 0);
	bring_up(WITH_STATS | WITH_REPORTS);
	memset(guest(DATA), 'd', FAKE_RANGE);
}

static void tear_down(void)
{
	virtio_mmio_destroy(mmio);
	loop_destroy(loop);
	close(irq_fd);
	fake_memory_destroy(&memory);
}

static void notify(uint32_t queue)
{
	fake_write32(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* Whether the next request given back, with nothing written, is head's. */
static bool given_back(uint32_t queue, uint16_t head)
{
	struct vring_used_elem element;

	return fake_await(mmio, irq_fd, &queues[queue], &element) &&
	       element.id == head && element.len == 0;
}

static struct virtio_balloon_stats told(void)
{
	struct virtio_balloon_stats stats;

	virtio_balloon_stats(device, &stats);
	return stats;
}

/* How many pages of the upper range are gone. */
static uint32_t pages_gone(void)
{
	uint32_t gone = 0;

	for (uint32_t at = 0; at < FAKE_RANGE; at += PAGE)
		gone += guest(DATA)[at] == 0;
	return gone;
}

static bool is_gone(uint32_t page)
{
	return guest(DATA + (uint64_t)page * PAGE)[0] == 0;
}

/* Writes a list of pages to LIST; its bytes. */
static uint32_t list(const uint32_t *pages, uint32_t count)
{
	memcpy(guest(LIST), pages, count * sizeof(*pages));
	return count * (uint32_t)sizeof(*pages);
}

static void it_asks_for_no_memory(void)
{
	uint32_t pages;
	uint32_t features;

	set_up();
	CHECK(fake_read32(mmio, VIRTIO_MMIO_DEVICE_ID) == 5);
	CHECK(virtio_mmio_queue_count(mmio) == QUEUES);
	fake_write32(mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features = fake_read32(mmio, VIRTIO_MMIO_DEVICE_FEATURES);
	CHECK((features & 0xffffff) == (WITH_STATS | WITH_REPORTS));
	fake_write32(mmio, VIRTIO_MMIO_CONFIG, 1000);
	pages = fake_read32(mmio, VIRTIO_MMIO_CONFIG);
	CHECK(pages == 0);
	/* What belongs to features that are not offered is not there. */
	fake_write32(mmio, VIRTIO_MMIO_CONFIG + 8, 1000);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_CONFIG + 8) == 0);
	tear_down();
}

static void it_tells_what_the_driver_holds(void)
{
	const uint8_t parts[] = { 0x78, 0x56, 0x34, 0x12 };

	set_up();
	CHECK(told().held == 0);
	fake_write32(mmio, VIRTIO_MMIO_CONFIG + 4, 5);
	CHECK(fake_read32(mmio, VIRTIO_MMIO_CONFIG + 4) == 5);
	CHECK(told().held == 5 * PAGE);
	for (uint32_t i = 0; i < sizeof(parts); i++)
		virtio_mmio_bus_ops.write(mmio, VIRTIO_MMIO_CONFIG + 4 + i,
					  &parts[i], 1);
	CHECK(told().held == UINT64_C(0x12345678) * PAGE);
	fake_write32(mmio, VIRTIO_MMIO_CONFIG + 4, UINT32_MAX);
	CHECK(told().held == (uint64_t)UINT32_MAX * PAGE);
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	CHECK(told().held == 0);
	tear_down();
}

static void inflated_pages_are_given_back(void)
{
	/* Alone, a run upwards, a run downwards, one twice */
	static const uint32_t pages[] = {
		DATA_PAGE + 1,  DATA_PAGE + 10, DATA_PAGE + 11, DATA_PAGE + 12,
		DATA_PAGE + 22, DATA_PAGE + 21, DATA_PAGE + 20, DATA_PAGE + 1,
	};
	uint32_t bytes;

	set_up();
	bytes = list(pages, 8);
	/* In buffers that cut a number. */
	fake_descriptor(&queues[INFLATE].descriptors[0], LIST, 6,
			VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queues[INFLATE].descriptors[1], LIST + 6, bytes - 6, 0,
			0);
	fake_offer(&queues[INFLATE], 0);
	notify(INFLATE);
	CHECK(given_back(INFLATE, 0));
	CHECK(pages_gone() == 7 && is_gone(1) && is_gone(11) && is_gone(21));
	/* The guest has the pages again when it uses them. */
	guest(DATA + PAGE)[0] = '*';
	fake_buffer(&queues[DEFLATE], 0, LIST, bytes, 0);
	notify(DEFLATE);
	CHECK(given_back(DEFLATE, 0));
	CHECK(pages_gone() == 6 && guest(DATA + PAGE)[0] == '*');
	CHECK(told().reported == 0);
	tear_down();
}

static void pages_that_are_not_there_are_ignored(void)
{
	static const uint32_t pages[] = {
		FAKE_RANGE / PAGE,             /* in the hole */
		DATA_PAGE - 1,                 /* before the upper range */
		DATA_PAGE + FAKE_RANGE / PAGE, /* behind it */
		0x00100000,                    /* 0 if shifted in 32 bits */
		0x00100000 + LIST / PAGE,
		UINT32_MAX - 1,
		UINT32_MAX,
		0x80000000,
		DATA_PAGE + 3,
	};

	set_up();
	fake_buffer(&queues[INFLATE], 0, LIST, list(pages, 9), 0);
	notify(INFLATE);
	CHECK(given_back(INFLATE, 0));
	CHECK(pages_gone() == 1 && is_gone(3));
	CHECK(guest(LIST)[0] == FAKE_RANGE / PAGE % 256);
	tear_down();
}

static void lists_of_no_page_are_given_back(void)
{
	static const uint32_t pages[] = { DATA_PAGE, DATA_PAGE + 1 };

	set_up();
	list(pages, 2);
	fake_buffer(&queues[INFLATE], 0, LIST, 0, 0);
	fake_buffer(&queues[INFLATE], 1, LIST, 3, 0);
	fake_buffer(&queues[INFLATE], 2, LIST, 8, VRING_DESC_F_WRITE);
	fake_buffer(&queues[INFLATE], 3, LIST, 7, 0); /* one and a part */
	notify(INFLATE);
	for (uint16_t i = 0; i < 3; i++)
		CHECK(given_back(INFLATE, i));
	CHECK(given_back(INFLATE, 3));
	CHECK(pages_gone() == 1 && is_gone(0));
	CHECK(guest(LIST)[4] == (DATA_PAGE + 1) % 256);
	tear_down();
}

/* Buffers of one chain that overlap, as many as go into it. */
static void overlap(uint32_t queue, uint64_t address, uint32_t length,
		    uint16_t flags)
{
	for (uint16_t i = 0; i < SIZE; i++)
		fake_descriptor(&queues[queue].descriptors[i], address, length,
				i < SIZE - 1 ? flags | VRING_DESC_F_NEXT
					     : flags,
				(uint16_t)(i + 1));
	fake_offer(&queues[queue], 0);
}

static void lists_are_read_up_to_a_limit(void)
{
	enum { PART = 16 }; /* pages of a buffer */
	uint32_t pages[PART];

	set_up();
	for (uint32_t i = 0; i < PART; i++)
		pages[i] = DATA_PAGE + i;
	list(pages, PART);
	pages[0] = DATA_PAGE + 200;
	memcpy(guest(LIST + PAGE), pages, sizeof(pages[0]));
	overlap(INFLATE, LIST, sizeof(pages), 0);
	/* The buffers up to the limit, and the first beyond it. */
	fake_descriptor(&queues[INFLATE].descriptors[REQUEST_PAGES / PART],
			LIST + PAGE, 4, VRING_DESC_F_NEXT,
			REQUEST_PAGES / PART + 1);
	notify(INFLATE);
	CHECK(given_back(INFLATE, 0));
	CHECK(pages_gone() == PART && !is_gone(200));
	tear_down();
}

static void a_turn_of_lists_is_bounded(void)
{
	enum { COUNT = 100, LISTS = 6 };
	struct stopped_loop stop;
	uint32_t pages[COUNT];
	uint16_t turns = 0;

	set_up();
	for (uint32_t i = 0; i < COUNT; i++)
		pages[i] = DATA_PAGE + 2 * i; /* each is a piece of its own */
	stopped_loop_begin(&stop, loop);
	stopped_loop_turn(mmio, device, INFLATE);
	for (uint16_t i = 0; i < LISTS; i++)
		fake_buffer(&queues[INFLATE], i, LIST, list(pages, COUNT), 0);
	notify(INFLATE);
	while (stopped_loop_turn(mmio, device, INFLATE)) {
		/* 128 pieces are enough, and a list is never cut. */
		turns++;
		CHECK(queues[INFLATE].used->idx == turns * 2);
	}
	CHECK(turns == LISTS / 2);
	stopped_loop_end(&stop);
	tear_down();
}

/* A guest that gives the device's rings away harms only itself. */
static void rings_can_be_given_away(void)
{
	uint32_t pages[QUEUES * FAKE_RING_BYTES / PAGE];

	set_up();
	for (uint32_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		pages[i] = RING / PAGE + i;
	fake_buffer(&queues[INFLATE], 0, LIST, list(pages, 16), 0);
	notify(INFLATE);
	fake_loop_turn(loop);
	CHECK(queues[INFLATE].used->idx <= 1);
	bring_up(WITH_STATS | WITH_REPORTS);
	fake_buffer(&queues[INFLATE], 0, LIST, 0, 0);
	notify(INFLATE);
	CHECK(given_back(INFLATE, 0));
	tear_down();
}

static void reported_memory_is_given_back(void)
{
	static const struct {
		uint32_t address, length;
		uint16_t flags;
	} parts[] = {
		{ DATA + 8 * PAGE, PAGE, 0 }, /* to be read: no report */
		{ DATA, 4 * PAGE, VRING_DESC_F_WRITE },
		{ DATA + 16 * PAGE - 1, 2 * PAGE, VRING_DESC_F_WRITE },
		{ DATA + 32 * PAGE, PAGE - 1, VRING_DESC_F_WRITE },
		{ DATA + 33 * PAGE + 1, PAGE, VRING_DESC_F_WRITE },
		{ DATA + 64 * PAGE, 64 * PAGE, VRING_DESC_F_WRITE },
	};
	enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

	set_up();
	for (uint16_t i = 0; i < PARTS; i++)
		fake_descriptor(&queues[REPORTS].descriptors[i],
				parts[i].address, parts[i].length,
				i < PARTS - 1
					? parts[i].flags | VRING_DESC_F_NEXT
					: parts[i].flags,
				(uint16_t)(i + 1));
	fake_offer(&queues[REPORTS], 0);
	notify(REPORTS);
	CHECK(given_back(REPORTS, 0));
	CHECK(pages_gone() == 4 + 1 + 64);
	CHECK(is_gone(0) && is_gone(3) && is_gone(16) && is_gone(127));
	CHECK(guest(DATA + 16 * PAGE)[-1] == 'd');
	CHECK(guest(DATA + 17 * PAGE)[0] == 'd');
	CHECK(told().reported == (4 + 1 + 64) * PAGE);
	/* The same once more is nothing new to the host, but counts. */
	fake_buffer(&queues[REPORTS], 0, DATA, 4 * PAGE, VRING_DESC_F_WRITE);
	notify(REPORTS);
	CHECK(given_back(REPORTS, 0));
	CHECK(told().reported == (4 + 1 + 64 + 4) * PAGE);
	tear_down();
}

static void reports_of_nothing_are_given_back(void)
{
	set_up();
	fake_buffer(&queues[REPORTS], 0, DATA, 0, VRING_DESC_F_WRITE);
	fake_buffer(&queues[REPORTS], 1, DATA, FAKE_RANGE, 0);
	fake_buffer(&queues[REPORTS], 2, DATA + 1, 1, VRING_DESC_F_WRITE);
	notify(REPORTS);
	for (uint16_t i = 0; i < 3; i++)
		CHECK(given_back(REPORTS, i));
	CHECK(pages_gone() == 0 && told().reported == 0);
	tear_down();
}

/* Turn by turn, how much is reported; how many turns it took. */
static uint32_t count_turns(uint64_t bytes_max)
{
	uint64_t before = told().reported;
	uint32_t turns = 0;

	while (stopped_loop_turn(mmio, device, REPORTS)) {
		uint64_t now = told().reported;

		CHECK(now - before <= bytes_max);
		before = now;
		turns++;
	}
	return turns;
}

static void a_turn_of_reports_is_bounded(void)
{
	struct stopped_loop stop;

	set_up();
	stopped_loop_begin(&stop, loop);
	stopped_loop_turn(mmio, device, REPORTS);
	overlap(REPORTS, DATA, FAKE_RANGE, VRING_DESC_F_WRITE);
	notify(REPORTS);
	CHECK(count_turns(TURN_MAX) == SIZE * (uint64_t)FAKE_RANGE / TURN_MAX);
	CHECK(given_back(REPORTS, 0));
	CHECK(told().reported == SIZE * (uint64_t)FAKE_RANGE);
	/* Small ones cost as much as a large one. */
	overlap(REPORTS, DATA + 1, 1, VRING_DESC_F_WRITE);
	fake_offer(&queues[REPORTS], 1); /* the same but for the first */
	notify(REPORTS);
	CHECK(count_turns(0) == 2);
	stopped_loop_end(&stop);
	tear_down();
}

/* No page is lost where a turn ends within a buffer. */
static void a_report_goes_on_where_it_was(void)
{
	enum { BUFFERS = 16 };

	set_up();
	fake_descriptor(&queues[REPORTS].descriptors[0], DATA + 1, 1,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	for (uint16_t i = 1; i < BUFFERS; i++)
		fake_descriptor(
			&queues[REPORTS].descriptors[i], DATA, FAKE_RANGE,
			i < BUFFERS - 1 ? VRING_DESC_F_NEXT | VRING_DESC_F_WRITE
					: VRING_DESC_F_WRITE,
			(uint16_t)(i + 1));
	fake_offer(&queues[REPORTS], 0);
	notify(REPORTS);
	CHECK(given_back(REPORTS, 0));
	CHECK(told().reported == (BUFFERS - 1) * (uint64_t)FAKE_RANGE);
	CHECK(pages_gone() == FAKE_RANGE / PAGE);
	tear_down();
}

static void a_reset_forgets_a_report_under_way(void)
{
	struct stopped_loop stop;

	set_up();
	stopped_loop_begin(&stop, loop);
	stopped_loop_turn(mmio, device, REPORTS);
	overlap(REPORTS, DATA, FAKE_RANGE, VRING_DESC_F_WRITE);
	notify(REPORTS);
	CHECK(stopped_loop_turn(mmio, device, REPORTS));
	CHECK(told().reported == TURN_MAX);
	bring_up(WITH_STATS | WITH_REPORTS);
	while (stopped_loop_turn(mmio, device, REPORTS))
		continue;
	CHECK(told().reported == TURN_MAX);
	CHECK(queues[REPORTS].used->idx == 0);
	stopped_loop_end(&stop);
	tear_down();
}

static void tell(uint32_t slot, uint16_t tag, uint64_t value)
{
	struct virtio_balloon_stat stat = { .tag = tag, .val = value };

	memcpy(guest(LIST + slot * sizeof(stat)), &stat, sizeof(stat));
}

/* Offers the first count of what tell() wrote, less so many bytes. */
static void offer_stats(uint32_t count, uint32_t less)
{
	uint32_t bytes = count * (uint32_t)sizeof(struct virtio_balloon_stat);

	fake_buffer(&queues[STATS], 0, LIST, bytes - less, 0);
	notify(STATS);
	fake_loop_turn(loop);
}

/* Asks, as often as it takes, until the device gives its buffer back. */
static bool asked_again(void)
{
	struct pollfd interrupt = { .fd = irq_fd, .events = POLLIN };
	struct vring_used_elem element;

	fake_want_interrupt(&queues[STATS], queues[STATS].collected);
	for (int left = FAKE_WAIT_MS; left > 0; left -= 50) {
		(void)told();
		if (poll(&interrupt, 1, 50) == 1)
			fake_interrupt(mmio, irq_fd);
		if (fake_collect(&queues[STATS], &element))
			return element.id == 0 && element.len == 0;
	}
	return false;
}

static void statistics_are_told(void)
{
	struct virtio_balloon_stats stats;

	set_up();
	stats = told();
	CHECK(stats.total == 0 && stats.free == 0 && stats.available == 0);
	tell(0, VIRTIO_BALLOON_S_MEMFREE, 1000);
	tell(1, 0x7fff, 1);
	tell(2, VIRTIO_BALLOON_S_AVAIL, 2000);
	tell(3, VIRTIO_BALLOON_S_SWAP_IN, 2);
	tell(4, VIRTIO_BALLOON_S_MEMTOT, UINT64_MAX);
	tell(5, UINT16_MAX, 3);
	offer_stats(6, 0);
	CHECK(asked_again());
	stats = told();
	CHECK(stats.free == 1000 && stats.available == 2000);
	CHECK(stats.total == UINT64_MAX);
	/* Only one of them, and the second cut in the middle. */
	tell(0, VIRTIO_BALLOON_S_MEMFREE, 500);
	tell(1, VIRTIO_BALLOON_S_AVAIL, 600);
	offer_stats(2, 1);
	stats = told();
	CHECK(stats.free == 500 && stats.available == 2000);
	CHECK(asked_again());
	/* Nothing of it survives a reset. */
	fake_write32(mmio, VIRTIO_MMIO_STATUS, 0);
	stats = told();
	CHECK(stats.total == 0 && stats.free == 0 && stats.available == 0);
	tear_down();
}

static void odd_statistics_are_given_back(void)
{
	static const struct {
		uint32_t length;
		uint16_t flags;
		uint16_t count; /* of buffers, which overlap */
		uint64_t free;
	} odd[] = {
		{ 0, 0, 1, 0 },       { 1, 0, 1, 0 },
		{ 9, 0, 1, 0 },       { 0x8000, VRING_DESC_F_WRITE, 1, 0 },
		{ 0x8000, 0, 1, 63 }, { 0x8000, 0, SIZE, 63 },
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		set_up();
		memset(guest(LIST), 0xff, 0x8000);
		tell(63, VIRTIO_BALLOON_S_MEMFREE, 63); /* the last one read */
		tell(64, VIRTIO_BALLOON_S_MEMFREE, 64);
		if (odd[i].count == 1)
			fake_buffer(&queues[STATS], 0, LIST, odd[i].length,
				    odd[i].flags);
		else
			overlap(STATS, LIST, odd[i].length, odd[i].flags);
		notify(STATS);
		fake_loop_turn(loop);
		CHECK(asked_again());
		CHECK(told().free == odd[i].free && told().total == 0);
		tear_down();
	}
}

static uint64_t seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec;
}

/* However often the host wants to know, and the guest answers at once. */
static void the_guest_is_asked_once_a_second(void)
{
	struct vring_used_elem element;
	uint64_t start;
	uint64_t asked = 0;

	set_up();
	tell(0, VIRTIO_BALLOON_S_MEMFREE, 1);
	offer_stats(1, 0);
	CHECK(!fake_collect(&queues[STATS], &element)); /* nobody has asked */
	start = seconds();
	for (int i = 0; i < 1000; i++) {
		(void)told();
		fake_loop_turn(loop);
		if (!fake_collect(&queues[STATS], &element))
			continue;
		asked++;
		offer_stats(1, 0);
	}
	CHECK(asked >= 1 && asked <= seconds() - start + 2);
	tear_down();
}

static void a_question_waits_for_the_driver(void)
{
	set_up();
	(void)told();
	fake_loop_turn(loop);
	tell(0, VIRTIO_BALLOON_S_MEMFREE, 7);
	offer_stats(1, 0);
	CHECK(given_back(STATS, 0));
	CHECK(told().free == 7);
	tear_down();
}

/* Drivers number the queues that there are. */
static void queues_are_counted_by_features(void)
{
	struct vring_used_elem element;

	set_up();
	bring_up(WITH_REPORTS);
	fake_buffer(&queues[STATS], 0, DATA, PAGE, VRING_DESC_F_WRITE);
	fake_buffer(&queues[REPORTS], 0, DATA, 2 * PAGE, VRING_DESC_F_WRITE);
	notify(STATS);
	notify(REPORTS);
	CHECK(given_back(STATS, 0));
	fake_loop_turn(loop);
	CHECK(pages_gone() == 1 && told().reported == PAGE);
	CHECK(!fake_collect(&queues[REPORTS], &element));
	bring_up(WITH_STATS);
	tell(0, VIRTIO_BALLOON_S_MEMFREE, 9);
	offer_stats(1, 0);
	fake_buffer(&queues[REPORTS], 0, DATA, 2 * PAGE, VRING_DESC_F_WRITE);
	notify(REPORTS);
	CHECK(asked_again());
	CHECK(pages_gone() == 1 && told().free == 9);
	bring_up(0);
	fake_buffer(&queues[STATS], 0, DATA, 2 * PAGE, VRING_DESC_F_WRITE);
	notify(STATS);
	fake_loop_turn(loop);
	CHECK(!fake_collect(&queues[STATS], &element) && pages_gone() == 1);
	tear_down();
}

static void loop_back(uint32_t queue)
{
	fake_descriptor(&queues[queue].descriptors[0], LIST, 64,
			VRING_DESC_F_NEXT, 1);
	fake_descriptor(&queues[queue].descriptors[1], LIST, 64,
			VRING_DESC_F_NEXT, 0);
	fake_offer(&queues[queue], 0);
}

static void leave_memory(uint32_t queue)
{
	fake_buffer(&queues[queue], 0, FAKE_RANGE - 1, 2, VRING_DESC_F_WRITE);
}

static void offer_no_descriptor(uint32_t queue)
{
	fake_offer(&queues[queue], SIZE);
}

/* More buffers than the queue has entries. */
static void offer_255_buffers(uint32_t queue)
{
	enum { COUNT = 255 };
	struct vring_desc *table = (void *)guest(TABLE);

	for (uint16_t i = 0; i < COUNT; i++)
		fake_descriptor(&table[i], DATA, FAKE_RANGE,
				i < COUNT - 1
					? VRING_DESC_F_WRITE | VRING_DESC_F_NEXT
					: VRING_DESC_F_WRITE,
				(uint16_t)(i + 1));
	fake_buffer(&queues[queue], 0, TABLE, COUNT * sizeof(*table),
		    VRING_DESC_F_INDIRECT);
}

static void broken_rings_break_only_the_device(void)
{
	static void (*const breaks[])(uint32_t) = {
		loop_back,
		leave_memory,
		offer_no_descriptor,
		offer_255_buffers,
	};

	set_up();
	for (uint32_t queue = 0; queue < QUEUES; queue++) {
		for (size_t i = 0; i < sizeof(breaks) / sizeof(*breaks); i++) {
			breaks[i](queue);
			notify(queue);
			fake_loop_turn(loop);
			CHECK(fake_read32(mmio, VIRTIO_MMIO_STATUS) == 0x4f);
			CHECK(pages_gone() == 0);
			bring_up(WITH_STATS | WITH_REPORTS);
		}
	}
	fake_buffer(&queues[REPORTS], 0, DATA, PAGE, VRING_DESC_F_WRITE);
	notify(REPORTS);
	CHECK(given_back(REPORTS, 0) && pages_gone() == 1);
	tear_down();
}

static void *asking_thread(void *argument)
{
	const bool *stop = argument;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		(void)told();
	return NULL;
}

/* Statistics are asked for while the loop serves and the driver resets. */
static void asking_disturbs_nobody(void)
{
	bool stop = false;
	pthread_t thread;

	set_up();
	CHECK(pthread_create(&thread, NULL, asking_thread, &stop) == 0);
	for (uint32_t round = 0; round < 500; round++) {
		tell(0, VIRTIO_BALLOON_S_MEMFREE, round);
		offer_stats(1, 0);
		fake_buffer(&queues[REPORTS], 0, DATA, FAKE_RANGE,
			    VRING_DESC_F_WRITE);
		notify(REPORTS);
		CHECK(given_back(REPORTS, 0));
		fake_write32(mmio, VIRTIO_MMIO_CONFIG + 4, round);
		bring_up(WITH_STATS | WITH_REPORTS);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(told().reported == 500 * (uint64_t)FAKE_RANGE);
	tear_down();
}

int main(void)
{
	TEST(it_asks_for_no_memory);
	TEST(it_tells_what_the_driver_holds);
	TEST(inflated_pages_are_given_back);
	TEST(pages_that_are_not_there_are_ignored);
	TEST(lists_of_no_page_are_given_back);
	TEST(lists_are_read_up_to_a_limit);
	TEST(a_turn_of_lists_is_bounded);
	TEST(rings_can_be_given_away);
	TEST(reported_memory_is_given_back);
	TEST(reports_of_nothing_are_given_back);
	TEST(a_turn_of_reports_is_bounded);
	TEST(a_report_goes_on_where_it_was);
	TEST(a_reset_forgets_a_report_under_way);
	TEST(statistics_are_told);
	TEST(odd_statistics_are_given_back);
	TEST(the_guest_is_asked_once_a_second);
	TEST(a_question_waits_for_the_driver);
	TEST(queues_are_counted_by_features);
	TEST(broken_rings_break_only_the_device);
	TEST(asking_disturbs_nobody);
	return tap_done();
}
