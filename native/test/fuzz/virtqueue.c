/* SPDX-License-Identifier: MIT */
/*
 * Any ring, any descriptors, in any order of calls: what a queue hands out is
 * sound, and what it publishes is what was pushed.
 *
 * Input: size and features (two bytes), then operations of six bytes. Most
 * values are picked from tables of plausible ones, so that many chains pass
 * the checks and the deep ones are reached.
 */
#include "fake_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 6,
	RING = 0x10000,
	TABLE = 0x20000,
	TABLE_ENTRIES = 300,
};

static const uint64_t addresses[] = {
	0x30000,        RING,           TABLE,
	TABLE + 1,      FAKE_RANGE - 1, FAKE_RANGE - 16,
	FAKE_RANGE,     FAKE_HIGH - 1,  FAKE_HIGH,
	FAKE_HIGH + 77, UINT64_MAX,     UINT64_MAX - 4095,
	RING + 0x2000,  RING + 0x3000,  FAKE_HIGH + FAKE_RANGE - 32,
	1ull << 32,
};

static const uint32_t lengths[] = {
	1,  16, 32,       48,         64,   4096,       16 * TABLE_ENTRIES,
	0,  15, 17,       FAKE_RANGE, 2000, UINT32_MAX, 16 * 65535,
	31, 8,  1u << 31,
};

static struct memory memory;
static struct fake_queue driver;
static struct virtqueue queue;

static void fuzz_descriptor(struct vring_desc *descriptor, const uint8_t *bytes)
{
	descriptor->addr = addresses[bytes[2] % 16];
	descriptor->len = lengths[bytes[3] % 17];
	descriptor->flags = bytes[4] & 7;
	/* Mostly small. */
	descriptor->next = (uint16_t)(bytes[5] * (bytes[5] > 0xf8 ? 257u : 1u));
}

static void fuzz_pop(void)
{
	struct virtqueue_chain chain;
	uint8_t bytes[80];
	int result = virtqueue_pop(&queue, &chain);

	if (result <= 0)
		return;
	if (!fake_chain_is_sound(&memory, &chain, driver.layout.size))
		__builtin_trap();
	virtqueue_chain_write(
		&chain, bytes,
		virtqueue_chain_read(&chain, bytes, sizeof(bytes)));
}

static void fuzz_push(uint16_t head, uint32_t written)
{
	uint16_t before = queue.next_used;
	bool expected = head < queue.size &&
			(queue.in_flight[head / 64] >> (head % 64) & 1);

	virtqueue_push(&queue, head, written);
	if ((queue.next_used != before) != expected)
		__builtin_trap();
	if (expected && (driver.used->idx != queue.next_used ||
			 driver.used->ring[before % queue.size].id != head ||
			 driver.used->ring[before % queue.size].len != written))
		__builtin_trap();
}

static void fuzz_operation(const uint8_t *bytes)
{
	uint32_t argument = bytes[1];
	uint8_t *table = memory_at(&memory, TABLE, 16 * TABLE_ENTRIES);
	struct vring_desc entry;

	switch (bytes[0] % 9) {
	case 0:
		fuzz_descriptor(&driver.descriptors[argument], bytes);
		break;
	case 1:
		fuzz_descriptor(&entry, bytes);
		memcpy(table + 16 * argument, &entry, sizeof(entry));
		break;
	case 2:
		fake_offer(&driver, (uint16_t)(argument *
					       (bytes[2] > 0xf0 ? 257u : 1u)));
		break;
	case 3:
		memcpy(memory_at(&memory, RING + argument + 256u * bytes[2], 8),
		       bytes + 3, 3);
		break;
	case 4:
		fuzz_pop();
		break;
	case 5:
		fuzz_push((uint16_t)argument, bytes[2]);
		break;
	case 6:
		virtqueue_needs_interrupt(&queue);
		break;
	case 7:
		virtqueue_disable_notify(&queue);
		break;
	default:
		virtqueue_enable_notify(&queue);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (!memory.mapping)
		fake_memory_create(&memory);
	driver = fake_queue(&memory, RING, 1u << data[0] % 9);
	/* Room for 256 descriptors is there, whatever the size. */
	if (virtqueue_start(&queue, &memory, &driver.layout, 256,
			    (uint64_t)(data[1] & 3)
				    << VIRTIO_RING_F_INDIRECT_DESC) < 0)
		__builtin_trap();
	data += 2;
	size -= 2;
	for (; size >= OPERATION_BYTES; size -= OPERATION_BYTES) {
		fuzz_operation(data);
		data += OPERATION_BYTES;
	}
	virtqueue_stop(&queue);
	return 0;
}
