/* SPDX-License-Identifier: MIT */
#include "virtio/virtqueue.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "fake_driver.h"
#include "tap.h"

enum {
	SIZE = 8,
	RING = 0x10000, /* addresses in guest memory */
	DATA = 0x20000,
	TABLE = 0x30000,
};

static const uint16_t NEXT = VRING_DESC_F_NEXT;
static const uint16_t WRITE = VRING_DESC_F_WRITE;
static const uint16_t INDIRECT = VRING_DESC_F_INDIRECT;

static struct memory memory;
static struct fake_queue driver;
static struct virtqueue queue;
static struct virtqueue_chain chain;

static void set_up_with(uint32_t size, uint64_t features)
{
	fake_memory_create(&memory);
	driver = fake_queue(&memory, RING, size);
	CHECK(virtqueue_start(&queue, &memory, &driver.layout, size,
			      features) == 0);
}

static void set_up(void)
{
	set_up_with(SIZE, FAKE_FEATURES);
}

static void tear_down(void)
{
	virtqueue_stop(&queue);
	fake_memory_destroy(&memory);
}

static void descriptor(uint16_t index, uint64_t address, uint32_t length,
		       uint16_t flags, uint16_t next)
{
	fake_descriptor(&driver.descriptors[index], address, length, flags,
			next);
}

/* An entry of an indirect table at a guest address of any alignment. */
static void table_entry(uint64_t table, uint16_t index, uint64_t address,
			uint32_t length, uint16_t flags, uint16_t next)
{
	struct vring_desc entry = {
		.addr = address, .len = length, .flags = flags, .next = next
	};

	memcpy(memory_at(&memory, table + 16u * index, 16), &entry, 16);
}

static void good_chains_are_translated(void)
{
	set_up();
	descriptor(3, DATA, 100, NEXT, 1);
	descriptor(1, FAKE_HIGH + 5, 7, NEXT, 6);
	descriptor(6, DATA + 0x1000, 200, NEXT | WRITE, 0);
	descriptor(0, FAKE_RANGE - 1, 1, WRITE, 99);
	fake_offer(&driver, 3);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(chain.head == 3);
	CHECK(chain.readable == 2 && chain.writable == 2);
	CHECK(chain.readable_bytes == 107 && chain.writable_bytes == 201);
	CHECK(chain.buffers[0].iov_base == memory_at(&memory, DATA, 100));
	CHECK(chain.buffers[0].iov_len == 100);
	CHECK(chain.buffers[1].iov_base ==
	      memory_at(&memory, FAKE_HIGH + 5, 7));
	CHECK(chain.buffers[3].iov_base ==
	      memory_at(&memory, FAKE_RANGE - 1, 1));
	CHECK(virtqueue_pop(&queue, &chain) == 0);
	tear_down();
}

static void pushes_are_published_exactly(void)
{
	struct vring_used_elem element;

	set_up();
	for (uint16_t i = 0; i < SIZE; i++)
		fake_buffer(&driver, i, DATA, 64, WRITE);
	for (uint16_t i = 0; i < SIZE; i++)
		CHECK(virtqueue_pop(&queue, &chain) == 1 && chain.head == i);
	CHECK(!fake_collect(&driver, &element));
	virtqueue_push(&queue, 5, 17);
	virtqueue_push(&queue, 2, 0);
	CHECK(fake_collect(&driver, &element));
	CHECK(element.id == 5 && element.len == 17);
	CHECK(fake_collect(&driver, &element));
	CHECK(element.id == 2 && element.len == 0);
	/* Neither twice nor what never was there. */
	virtqueue_push(&queue, 5, 17);
	virtqueue_push(&queue, SIZE, 17);
	virtqueue_push(&queue, UINT16_MAX, 17);
	CHECK(!fake_collect(&driver, &element));
	tear_down();
}

static void a_stopped_queue_does_nothing(void)
{
	struct virtqueue stopped = { 0 };

	CHECK(virtqueue_pop(&stopped, &chain) == 0);
	virtqueue_push(&stopped, 0, 0);
	CHECK(!virtqueue_needs_interrupt(&stopped));
	virtqueue_disable_notify(&stopped);
	CHECK(!virtqueue_enable_notify(&stopped));
	set_up();
	fake_buffer(&driver, 0, DATA, 64, WRITE);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	virtqueue_stop(&queue);
	virtqueue_push(&queue, 0, 1);
	CHECK(driver.used->idx == 0);
	tear_down();
}

static void layouts_are_checked(void)
{
	static const struct {
		struct virtqueue_layout layout;
		int result;
	} cases[] = {
		{ { 8, RING, RING + 0x2000, RING + 0x3000 }, 0 },
		{ { 1, RING, RING + 0x2000, RING + 0x3000 }, 0 },
		{ { 128, RING, RING + 0x2000, RING + 0x3000 }, 0 },
		/* size */
		{ { 0, RING, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		{ { 3, RING, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		{ { 256, RING, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		{ { 0x10008, RING, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		{ { 0x80000000, RING, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		/* alignment */
		{ { 8, RING + 8, RING + 0x2000, RING + 0x3000 }, -EINVAL },
		{ { 8, RING, RING + 0x2001, RING + 0x3000 }, -EINVAL },
		{ { 8, RING, RING + 0x2002, RING + 0x3000 }, 0 },
		{ { 8, RING, RING + 0x2000, RING + 0x3002 }, -EINVAL },
		{ { 8, RING, RING + 0x2000, RING + 0x3004 }, 0 },
		/* the end of a range: 128, 22 and 70 bytes are needed */
		{ { 8, FAKE_RANGE - 128, RING, RING + 0x1000 }, 0 },
		{ { 8, FAKE_RANGE - 112, RING, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, FAKE_RANGE - 22, RING + 0x1000 }, 0 },
		{ { 8, RING, FAKE_RANGE - 20, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, RING + 0x1000, FAKE_RANGE - 72 }, 0 },
		{ { 8, RING, RING + 0x1000, FAKE_RANGE - 68 }, -EINVAL },
		/* the hole, and around the end of numbers */
		{ { 8, FAKE_RANGE, RING, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, FAKE_HIGH - 2, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, RING + 0x1000, FAKE_HIGH }, 0 },
		{ { 8, -(uint64_t)16, RING, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, -(uint64_t)2, RING + 0x1000 }, -EINVAL },
		{ { 8, RING, RING + 0x1000, -(uint64_t)4 }, -EINVAL },
		/* on top of each other: foolish, and harmless */
		{ { 8, RING, RING, RING }, 0 },
	};

	set_up();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtqueue tried = { 0 };
		int result = virtqueue_start(&tried, &memory, &cases[i].layout,
					     128, FAKE_FEATURES);

		if (result != cases[i].result)
			printf("# case %zu: %d\n", i, result);
		CHECK(result == cases[i].result);
		CHECK((tried.memory != NULL) == (result == 0));
	}
	tear_down();
}

/* What makes a chain of one or two descriptors a broken one. */
static void broken_descriptors_are_refused(void)
{
	static const struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags;
		uint16_t next;
	} cases[] = {
		{ FAKE_RANGE - 1, 2, 0, 0 },            /* into the hole */
		{ FAKE_RANGE, 1, 0, 0 },                /* in the hole */
		{ FAKE_HIGH - 1, 2, 0, 0 },             /* out of the hole */
		{ 0, FAKE_HIGH + 1, 0, 0 },             /* over the hole */
		{ FAKE_HIGH, FAKE_RANGE + 1, 0, 0 },    /* over the end */
		{ UINT64_MAX, 1, 0, 0 },                /* far away */
		{ UINT64_MAX, 2, 0, 0 },                /* wraps */
		{ UINT64_MAX - 0xffff, 0x20000, 0, 0 }, /* wraps into RAM */
		{ 0, UINT32_MAX, 0, 0 },
		{ DATA, 1, VRING_DESC_F_NEXT, SIZE }, /* next is outside */
		{ DATA, 1, VRING_DESC_F_NEXT, UINT16_MAX },
		{ DATA, 1, VRING_DESC_F_NEXT, 0 }, /* a loop of one */
		{ DATA, 0, VRING_DESC_F_NEXT, 0 }, /* of nothing */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up();
		descriptor(0, cases[i].address, cases[i].length, cases[i].flags,
			   cases[i].next);
		fake_offer(&driver, 0);
		CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
		/* And still so when asked again. */
		CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
		CHECK(driver.used->idx == 0);
		tear_down();
	}
}

static void what_is_read_comes_first(void)
{
	set_up();
	descriptor(0, DATA, 1, WRITE | NEXT, 1);
	descriptor(1, DATA, 1, 0, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();
}

static void empty_descriptors_count_for_nothing(void)
{
	set_up();
	descriptor(0, UINT64_MAX, 0, NEXT, 1);
	descriptor(1, DATA, 5, NEXT, 2);
	descriptor(2, FAKE_RANGE, 0, WRITE, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(chain.readable == 1 && chain.writable == 0);
	CHECK(chain.readable_bytes == 5);
	fake_buffer(&driver, 3, 0, 0, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(chain.readable == 0 && chain.writable == 0);
	tear_down();
}

static void loops_end(void)
{
	set_up();
	descriptor(0, DATA, 1, NEXT, 1);
	descriptor(1, DATA, 1, NEXT, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();

	set_up_with(256, FAKE_FEATURES);
	for (uint16_t i = 0; i < 256; i++)
		descriptor(i, DATA, 0, NEXT, (uint16_t)((i + 1) % 256));
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();
}

static void a_chain_may_be_as_long_as_the_queue(void)
{
	set_up();
	for (uint16_t i = 0; i < SIZE; i++)
		descriptor(i, DATA + i, 1, NEXT, (uint16_t)(i + 1));
	descriptor(SIZE - 1, DATA, 1, 0, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(chain.readable == SIZE);
	tear_down();
}

static void a_chain_of_4_gib_is_the_longest(void)
{
	const uint32_t quarter = FAKE_RANGE;
	struct virtqueue_chain *found = &chain;

	/* No queue holds 4096 entries, so each one must be large. */
	set_up_with(256, FAKE_FEATURES);
	for (uint16_t i = 0; i < 256; i++)
		descriptor(i, 0, quarter, NEXT, (uint16_t)(i + 1));
	descriptor(255, 0, quarter, 0, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, found) == 1);
	CHECK(found->readable_bytes == (uint64_t)quarter * 256);
	tear_down();

	/* A memory that claims to be larger than it is; nothing is touched. */
	set_up_with(256, FAKE_FEATURES);
	memory.ranges[1].size = UINT64_C(1) << 31;
	descriptor(0, FAKE_HIGH, 1u << 31, NEXT, 1);
	descriptor(1, FAKE_HIGH, 1u << 31, 0, 0);
	descriptor(2, FAKE_HIGH, 1u << 31, NEXT, 3);
	descriptor(3, FAKE_HIGH, 1u << 31, NEXT | WRITE, 4);
	descriptor(4, FAKE_HIGH, 1, WRITE, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, found) == 1);
	CHECK(found->readable_bytes == UINT64_C(1) << 32);
	fake_offer(&driver, 2);
	CHECK(virtqueue_pop(&queue, found) == -EPROTO);
	tear_down();
}

static void heads_are_checked(void)
{
	static const uint16_t heads[] = { SIZE, SIZE + 1, 0x8000, UINT16_MAX };

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		set_up();
		fake_offer(&driver, heads[i]);
		CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
		CHECK(driver.used->idx == 0);
		tear_down();
	}
}

static void a_head_in_flight_is_refused(void)
{
	set_up();
	fake_buffer(&driver, 4, DATA, 1, 0);
	fake_buffer(&driver, 4, DATA, 1, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	virtqueue_push(&queue, 4, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	tear_down();
}

static void the_available_index_may_not_jump(void)
{
	for (uint32_t jump = 0; jump <= UINT16_MAX; jump++) {
		int expected = jump == 0 ? 0 : jump <= SIZE ? 1 : -EPROTO;

		if (jump > 32 && jump % 97 != 0 && jump != UINT16_MAX)
			continue;
		set_up();
		descriptor(0, DATA, 1, 0, 0);
		driver.available->idx = (uint16_t)jump;
		CHECK(virtqueue_pop(&queue, &chain) == expected);
		tear_down();
	}
}

static void indirect_chains_are_followed(void)
{
	/* Tables lie where they like; also after direct descriptors. */
	for (uint64_t offset = 0; offset < 16; offset++) {
		set_up();
		descriptor(0, DATA, 3, NEXT, 1);
		descriptor(1, TABLE + offset, 48, INDIRECT | WRITE, 77);
		table_entry(TABLE + offset, 0, DATA, 10, NEXT, 2);
		table_entry(TABLE + offset, 2, DATA, 20, NEXT | WRITE, 1);
		table_entry(TABLE + offset, 1, DATA, 30, WRITE, 0);
		fake_offer(&driver, 0);
		CHECK(virtqueue_pop(&queue, &chain) == 1);
		CHECK(chain.head == 0);
		CHECK(chain.readable == 2 && chain.writable == 2);
		CHECK(chain.readable_bytes == 13);
		CHECK(chain.writable_bytes == 50);
		tear_down();
	}
	/* As long as the queue, the descriptor that names it aside. */
	set_up();
	descriptor(0, TABLE, 16 * SIZE, INDIRECT, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		table_entry(TABLE, i, DATA, 1, i < SIZE - 1 ? NEXT : 0,
			    (uint16_t)(i + 1));
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(chain.readable == SIZE);
	tear_down();
}

static void indirect_misuse_is_refused(void)
{
	static const struct {
		uint64_t table;
		uint32_t length;
		uint16_t flags;
		uint16_t entry_flags;
		uint16_t entry_next;
		bool refused;
	} cases[] = {
		{ TABLE, 32, VRING_DESC_F_INDIRECT, 0, 0, false },
		{ TABLE, 0, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ TABLE, 15, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ TABLE, 17, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ TABLE, 31, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ 0, 16 * 65535, VRING_DESC_F_INDIRECT, 0, 0, false },
		{ 0, 16 * 65536, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ TABLE, 0xfffffff0, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ FAKE_RANGE - 16, 32, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ FAKE_RANGE, 16, VRING_DESC_F_INDIRECT, 0, 0, true },
		{ UINT64_MAX - 15, 32, VRING_DESC_F_INDIRECT, 0, 0, true },
		/* together with NEXT */
		{ TABLE, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 0, 0,
		  true },
		/* nested */
		{ TABLE, 32, VRING_DESC_F_INDIRECT, VRING_DESC_F_INDIRECT, 0,
		  true },
		/* leaving the table, and round and round in it */
		{ TABLE, 32, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, 2,
		  true },
		{ TABLE, 32, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT,
		  UINT16_MAX, true },
		{ TABLE, 32, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, 0,
		  true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t table = cases[i].table;
		int expected = cases[i].refused ? -EPROTO : 1;

		set_up();
		descriptor(0, table, cases[i].length, cases[i].flags, 1);
		descriptor(1, DATA, 1, 0, 0);
		if (memory_at(&memory, table, 16))
			table_entry(table, 0, DATA, 32, cases[i].entry_flags,
				    cases[i].entry_next);
		fake_offer(&driver, 0);
		CHECK(virtqueue_pop(&queue, &chain) == expected);
		tear_down();
	}
	/* a -> b -> a, inside */
	set_up();
	descriptor(0, TABLE, 32, INDIRECT, 0);
	table_entry(TABLE, 0, DATA, 1, NEXT, 1);
	table_entry(TABLE, 1, DATA, 1, NEXT, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();
	/* longer than the queue together with what comes before it */
	set_up();
	descriptor(0, DATA, 1, NEXT, 1);
	descriptor(1, TABLE, 16 * SIZE, INDIRECT, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		table_entry(TABLE, i, DATA, 1, i < SIZE - 1 ? NEXT : 0,
			    (uint16_t)(i + 1));
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();
	/* not negotiated */
	set_up_with(SIZE, 0);
	descriptor(0, TABLE, 16, INDIRECT, 0);
	table_entry(TABLE, 0, DATA, 1, 0, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == -EPROTO);
	tear_down();
}

/* The table that holds itself and the ring: odd, and legal. */
static void buffers_may_lie_on_the_ring(void)
{
	set_up();
	descriptor(0, RING, 128, NEXT, 1);
	descriptor(1, RING + 0x3000, 64, WRITE, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(virtqueue_chain_write(&chain, "0123456789abcdef", 16) == 16);
	virtqueue_push(&queue, chain.head, 16);
	CHECK(driver.used->idx == 1);
	tear_down();
}

static void headers_are_gathered_and_scattered(void)
{
	uint8_t out[16] = { 0 };
	uint8_t *data;

	set_up();
	data = memory_at(&memory, DATA, 0x100);
	memcpy(data, "abc..defg", 9);
	descriptor(0, DATA, 3, NEXT, 1);
	descriptor(1, DATA + 5, 4, NEXT, 2);
	descriptor(2, DATA + 0x20, 2, NEXT | WRITE, 3);
	descriptor(3, DATA + 0x30, 3, WRITE, 0);
	fake_offer(&driver, 0);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(virtqueue_chain_read(&chain, out, 5) == 5);
	CHECK(!memcmp(out, "abcde", 6));
	CHECK(virtqueue_chain_read(&chain, out, 16) == 7);
	CHECK(!memcmp(out, "abcdefg", 8));
	CHECK(virtqueue_chain_write(&chain, "12345678", 4) == 4);
	CHECK(!memcmp(data + 0x20, "12\0", 3));
	CHECK(!memcmp(data + 0x30, "34\0", 3));
	CHECK(virtqueue_chain_write(&chain, "12345678", 8) == 5);
	CHECK(!memcmp(data + 0x30, "345\0", 4));
	tear_down();
}

static void indices_wrap(void)
{
	struct vring_used_elem element;

	set_up();
	for (uint32_t i = 0; i < 0x20003; i++) {
		uint16_t head = (uint16_t)(i * 3 % SIZE);

		fake_buffer(&driver, head, DATA, 4, WRITE);
		CHECK(virtqueue_pop(&queue, &chain) == 1);
		CHECK(virtqueue_pop(&queue, &chain) == 0);
		virtqueue_push(&queue, chain.head, i);
		CHECK(driver.used->idx == (uint16_t)(i + 1));
		CHECK(fake_collect(&driver, &element));
		CHECK(element.id == head && element.len == i);
	}
	tear_down();
}

/* As the specification has it: virtq_need_event() in appendix A. */
static bool spec_need_event(uint16_t event, uint16_t new_index,
			    uint16_t old_index)
{
	return (uint16_t)(new_index - event - 1) <
	       (uint16_t)(new_index - old_index);
}

static void interrupts_follow_the_event_index(void)
{
	static const uint16_t pushed[] = { 1, 2, 7, 8, 255, 256, 0x7fff };
	static const uint16_t indices[] = { 0,      1,      5,     0x7fff,
					    0x8000, 0xfffe, 0xffff };

	set_up();
	for (size_t p = 0; p < sizeof(pushed) / sizeof(pushed[0]); p++) {
		for (size_t n = 0; n < sizeof(indices) / sizeof(indices[0]);
		     n++) {
			int wrong = 0;

			for (uint32_t event = 0; event <= UINT16_MAX; event++) {
				uint16_t now = indices[n];
				uint16_t old = (uint16_t)(now - pushed[p]);

				driver.available->ring[SIZE] = (uint16_t)event;
				queue.next_used = now;
				queue.unsignalled = pushed[p];
				wrong += virtqueue_needs_interrupt(&queue) !=
					 spec_need_event((uint16_t)event, now,
							 old);
				wrong += virtqueue_needs_interrupt(&queue);
			}
			CHECK(wrong == 0);
		}
	}
	/* All indices have passed: whatever the event, it was among them. */
	queue.unsignalled = UINT16_MAX + 1u;
	CHECK(virtqueue_needs_interrupt(&queue));
	tear_down();
}

static void interrupts_follow_the_flag(void)
{
	set_up_with(SIZE, 0);
	fake_buffer(&driver, 0, DATA, 4, WRITE);
	fake_buffer(&driver, 1, DATA, 4, WRITE);
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	CHECK(!virtqueue_needs_interrupt(&queue));
	virtqueue_push(&queue, chain.head, 0);
	CHECK(virtqueue_needs_interrupt(&queue));
	CHECK(!virtqueue_needs_interrupt(&queue));
	driver.available->flags = VRING_AVAIL_F_NO_INTERRUPT;
	CHECK(virtqueue_pop(&queue, &chain) == 1);
	virtqueue_push(&queue, chain.head, 0);
	CHECK(!virtqueue_needs_interrupt(&queue));
	tear_down();
}

static void notifications_are_switched_off_and_on(void)
{
	set_up_with(SIZE, 0);
	virtqueue_disable_notify(&queue);
	CHECK(driver.used->flags == VRING_USED_F_NO_NOTIFY);
	CHECK(!virtqueue_enable_notify(&queue));
	CHECK(driver.used->flags == 0);
	virtqueue_disable_notify(&queue);
	fake_buffer(&driver, 0, DATA, 4, WRITE);
	CHECK(virtqueue_enable_notify(&queue)); /* it came in between */
	driver.available->idx = 1000;
	CHECK(virtqueue_enable_notify(&queue)); /* to find it broken */
	tear_down();

	set_up();
	virtqueue_disable_notify(&queue);
	CHECK(driver.used->flags == 0);
	for (uint16_t i = 0; i < 3; i++) {
		fake_buffer(&driver, i, DATA, 4, WRITE);
		CHECK(virtqueue_enable_notify(&queue));
		CHECK(virtqueue_pop(&queue, &chain) == 1);
		CHECK(!virtqueue_enable_notify(&queue));
		CHECK(fake_avail_event(&driver) == i + 1);
	}
	tear_down();
}

enum { RACE_ROUNDS = 100000 };

/*
 * A guest that scribbles over ring and descriptors all the time, with values
 * near the valid ones so that many chains pass.
 */
static uint32_t scribbles; /* atomic */

static void *scribbler_thread(void *argument)
{
	static const uint64_t addresses[] = { DATA, FAKE_RANGE - 8, FAKE_HIGH,
					      RING, UINT64_MAX,     TABLE + 3 };
	const bool *stop = argument;
	uint32_t random = 1;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		uint16_t index;

		random = random * 1664525 + 1013904223;
		index = random >> 8 & (SIZE - 1);
		fake_descriptor(&driver.descriptors[index],
				addresses[(random >> 12) % 6],
				random >> 16 & 31, random >> 24 & 7,
				random >> 27 & 15);
		__atomic_store_n(&driver.available->ring[index],
				 random >> 20 & 7, __ATOMIC_RELAXED);
		__atomic_store_n(&driver.available->idx,
				 (uint16_t)(__atomic_load_n(&driver.used->idx,
							    __ATOMIC_RELAXED) +
					    (random >> 29)),
				 __ATOMIC_RELAXED);
		/* The event index, or where the driver's flags are. */
		__atomic_store_n(&driver.available->ring[SIZE],
				 (uint16_t)random, __ATOMIC_RELAXED);
		__atomic_fetch_add(&scribbles, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_scribbling_guest_harms_nobody(void)
{
	bool stop = false;
	uint32_t chains = 0;
	pthread_t thread;

	set_up();
	pthread_create(&thread, NULL, scribbler_thread, &stop);
	for (uint32_t round = 0; round < RACE_ROUNDS; round++) {
		uint32_t seen = __atomic_load_n(&scribbles, __ATOMIC_RELAXED);
		int result = virtqueue_pop(&queue, &chain);

		if (result < 0) {
			/* What a reset does; the ring stays as it is. */
			uint16_t used = __atomic_load_n(&driver.used->idx,
							__ATOMIC_RELAXED);

			virtqueue_start(&queue, &memory, &driver.layout, SIZE,
					FAKE_FEATURES);
			queue.next_available = used;
			queue.next_used = used;
		} else if (result > 0) {
			uint8_t data[64];

			chains++;
			CHECK(fake_chain_is_sound(&memory, &chain, SIZE));
			virtqueue_chain_read(&chain, data, sizeof(data));
			virtqueue_push(&queue, chain.head, 0);
			virtqueue_needs_interrupt(&queue);
		}
		virtqueue_enable_notify(&queue);
		/* Not the same again. */
		while (__atomic_load_n(&scribbles, __ATOMIC_RELAXED) == seen)
			sched_yield();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %u of %d rounds had a valid chain\n", chains, RACE_ROUNDS);
	CHECK(chains > RACE_ROUNDS / 100 && chains < RACE_ROUNDS);
	tear_down();
}

int main(void)
{
	TEST(good_chains_are_translated);
	TEST(pushes_are_published_exactly);
	TEST(a_stopped_queue_does_nothing);
	TEST(layouts_are_checked);
	TEST(broken_descriptors_are_refused);
	TEST(what_is_read_comes_first);
	TEST(empty_descriptors_count_for_nothing);
	TEST(loops_end);
	TEST(a_chain_may_be_as_long_as_the_queue);
	TEST(a_chain_of_4_gib_is_the_longest);
	TEST(heads_are_checked);
	TEST(a_head_in_flight_is_refused);
	TEST(the_available_index_may_not_jump);
	TEST(indirect_chains_are_followed);
	TEST(indirect_misuse_is_refused);
	TEST(buffers_may_lie_on_the_ring);
	TEST(headers_are_gathered_and_scattered);
	TEST(indices_wrap);
	TEST(interrupts_follow_the_event_index);
	TEST(interrupts_follow_the_flag);
	TEST(notifications_are_switched_off_and_on);
	TEST(a_scribbling_guest_harms_nobody);
	return tap_done();
}
