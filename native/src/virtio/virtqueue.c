/* SPDX-License-Identifier: MIT */
#include "virtio/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stddef.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "ring fields are used as they are: little-endian");

/* Of all its buffers, which may overlap (virtio 1.2, section 2.7.5.2). */
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32)

static uint16_t *queue_used_event(const struct virtqueue *queue)
{
	return &queue->available->ring[queue->size];
}

static uint16_t *queue_avail_event(const struct virtqueue *queue)
{
	return (uint16_t *)(void *)&queue->used->ring[queue->size];
}

/* The ring part, or NULL when it is misaligned or not wholly in RAM. */
static void *queue_part(const struct memory *memory, uint64_t address,
			uint64_t length, uint64_t alignment)
{
	return address % alignment == 0 ? memory_at(memory, address, length)
					: NULL;
}

int virtqueue_start(struct virtqueue *queue, const struct memory *memory,
		    const struct virtqueue_layout *layout, uint32_t size_max,
		    uint64_t features)
{
	uint32_t size = layout->size;
	struct virtqueue started = {
		.memory = memory,
		.size = (uint16_t)size,
		.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1,
		.event_index = features >> VIRTIO_RING_F_EVENT_IDX & 1,
	};

	if (size == 0 || size > size_max || size > VIRTQUEUE_SIZE_MAX ||
	    (size & (size - 1)) != 0)
		return -EINVAL;
	started.descriptors = queue_part(memory, layout->descriptors,
					 (uint64_t)sizeof(struct vring_desc) *
						 size,
					 VRING_DESC_ALIGN_SIZE);
	/* Both with the event index behind the ring. */
	started.available = queue_part(memory, layout->available,
				       sizeof(struct vring_avail) +
					       sizeof(uint16_t) * (size + 1),
				       VRING_AVAIL_ALIGN_SIZE);
	started.used = queue_part(memory, layout->used,
				  sizeof(struct vring_used) +
					  sizeof(struct vring_used_elem) *
						  size +
					  sizeof(uint16_t),
				  VRING_USED_ALIGN_SIZE);
	if (!started.descriptors || !started.available || !started.used)
		return -EINVAL;
	*queue = started;
	return 0;
}

/*
 * Tells the driver something before the device looks at what it says itself.
 * An exchange, as that is a whole barrier everywhere: between a sequentially
 * consistent store and load arm64 needs none, so that QEMU's TCG lets the load
 * overtake the store on x86_64, and on such a host wake-ups were lost.
 */
static void queue_tell(uint16_t *shared, uint16_t value)
{
	(void)__atomic_exchange_n(shared, value, __ATOMIC_SEQ_CST);
}

void virtqueue_go_on(struct virtqueue *queue, uint16_t position)
{
	queue->next_available = position;
	queue->next_used = position;
}

void virtqueue_stop(struct virtqueue *queue)
{
	*queue = (struct virtqueue) { 0 };
}

static bool queue_in_flight(const struct virtqueue *queue, uint16_t head)
{
	return queue->in_flight[head / 64] >> (head % 64) & 1;
}

/* Descriptors that follow each other by index. */
struct descriptor_table {
	const uint8_t *start; /* in guest memory, at any alignment */
	uint32_t count;
	bool indirect;
};

/*
 * Byte by byte, as guest structures may lie at any address; atomically, as
 * the guest may be writing. What is torn is its own fault, and checked like
 * anything else.
 */
static void guest_read(void *out, const uint8_t *shared, size_t length)
{
	uint8_t *copy = out;

	for (size_t i = 0; i < length; i++)
		copy[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
}

static void guest_write(uint8_t *shared, const void *data, size_t length)
{
	const uint8_t *copy = data;

	for (size_t i = 0; i < length; i++)
		__atomic_store_n(&shared[i], copy[i], __ATOMIC_RELAXED);
}

/* Enters the table that a descriptor of an outer one names. */
static int table_enter(const struct virtqueue *queue,
		       struct descriptor_table *table,
		       const struct vring_desc *descriptor)
{
	uint32_t count = descriptor->len / (uint32_t)sizeof(*descriptor);

	if (!queue->indirect || table->indirect ||
	    descriptor->flags & VRING_DESC_F_NEXT)
		return -EPROTO;
	if (count == 0 || count > UINT16_MAX ||
	    descriptor->len % sizeof(*descriptor) != 0)
		return -EPROTO;
	table->start = memory_at(queue->memory, descriptor->addr,
				 descriptor->len);
	table->count = count;
	table->indirect = true;
	return table->start ? 0 : -EPROTO;
}

static int chain_add(const struct virtqueue *queue,
		     struct virtqueue_chain *chain,
		     const struct vring_desc *descriptor)
{
	bool writable = descriptor->flags & VRING_DESC_F_WRITE;
	void *host;

	if (descriptor->len == 0)
		return 0;
	/* What the device reads comes before what it writes (2.7.4.2). */
	if (!writable && chain->writable > 0)
		return -EPROTO;
	host = memory_at(queue->memory, descriptor->addr, descriptor->len);
	if (!host)
		return -EPROTO;
	chain->buffers[chain->readable + chain->writable] =
		(struct iovec) { .iov_base = host, .iov_len = descriptor->len };
	if (writable) {
		chain->writable++;
		chain->writable_bytes += descriptor->len;
	} else {
		chain->readable++;
		chain->readable_bytes += descriptor->len;
	}
	return chain->readable_bytes + chain->writable_bytes > CHAIN_BYTES_MAX
		       ? -EPROTO
		       : 0;
}

/*
 * Follows the chain. It may not be longer than the queue (2.7.5.3.1), which
 * is also what ends a loop; an indirect table is entered once at most.
 */
static int chain_collect(const struct virtqueue *queue,
			 struct virtqueue_chain *chain, uint16_t head)
{
	struct descriptor_table table = {
		.start = (const uint8_t *)queue->descriptors,
		.count = queue->size,
	};
	uint16_t index = head;
	uint32_t left = queue->size;

	chain->head = head;
	chain->readable = 0;
	chain->writable = 0;
	chain->readable_bytes = 0;
	chain->writable_bytes = 0;
	while (index < table.count && left > 0) {
		struct vring_desc descriptor;
		int result;

		guest_read(&descriptor,
			   table.start + sizeof(descriptor) * index,
			   sizeof(descriptor));
		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			result = table_enter(queue, &table, &descriptor);
			index = 0;
		} else {
			result = chain_add(queue, chain, &descriptor);
			index = descriptor.next;
			left--;
		}
		if (result < 0)
			return result;
		if (!(descriptor.flags &
		      (VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT)))
			return 0;
	}
	return -EPROTO;
}

/* How many requests the driver has made available, or -EPROTO. */
static int queue_pending(const struct virtqueue *queue)
{
	/*
	 * As an acquire it pairs with the driver's barrier between filling
	 * the ring and moving its index: what the index covers can be read.
	 * As sequentially consistent: see virtqueue_enable_notify().
	 */
	uint16_t index = __atomic_load_n(&queue->available->idx,
					 __ATOMIC_SEQ_CST);
	uint16_t pending = (uint16_t)(index - queue->next_available);

	return pending <= queue->size ? pending : -EPROTO;
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	uint16_t slot;
	uint16_t head;
	int result;

	if (!queue->memory)
		return 0;
	result = queue_pending(queue);
	if (result <= 0)
		return result;
	slot = queue->next_available & (uint16_t)(queue->size - 1);
	head = __atomic_load_n(&queue->available->ring[slot], __ATOMIC_RELAXED);
	if (head >= queue->size || queue_in_flight(queue, head))
		return -EPROTO;
	result = chain_collect(queue, chain, head);
	if (result < 0)
		return result;
	queue->in_flight[head / 64] |= UINT64_C(1) << (head % 64);
	queue->next_available++;
	return 1;
}

uint32_t virtqueue_chain_read(const struct virtqueue_chain *chain, void *out,
			      uint32_t length)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < chain->readable && done < length; i++) {
		const struct iovec *buffer = &chain->buffers[i];
		size_t part = length - done;

		if (buffer->iov_len < part)
			part = buffer->iov_len;
		guest_read((uint8_t *)out + done, buffer->iov_base, part);
		done += (uint32_t)part;
	}
	return done;
}

uint32_t virtqueue_chain_write(const struct virtqueue_chain *chain,
			       const void *data, uint32_t length)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < chain->writable && done < length; i++) {
		const struct iovec *buffer =
			&chain->buffers[chain->readable + i];
		size_t part = length - done;

		if (buffer->iov_len < part)
			part = buffer->iov_len;
		guest_write(buffer->iov_base, (const uint8_t *)data + done,
			    part);
		done += (uint32_t)part;
	}
	return done;
}

void virtqueue_push_together(struct virtqueue *queue,
			     const struct vring_used_elem *elements,
			     uint32_t count)
{
	if (!queue->memory)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t head = elements[i].id;
		struct vring_used_elem *element;

		if (head >= queue->size ||
		    !queue_in_flight(queue, (uint16_t)head))
			continue;
		queue->in_flight[head / 64] &= ~(UINT64_C(1) << (head % 64));
		element = &queue->used
				   ->ring[queue->next_used & (queue->size - 1)];
		__atomic_store_n(&element->id, head, __ATOMIC_RELAXED);
		__atomic_store_n(&element->len, elements[i].len,
				 __ATOMIC_RELAXED);
		queue->next_used++;
		queue->unsignalled++;
	}
	/*
	 * As a release it pairs with the driver's barrier after reading the
	 * index: the elements and the data are there. As sequentially
	 * consistent it is ordered before virtqueue_needs_interrupt() reads
	 * the driver's wish; the driver writes its wish, then reads this.
	 */
	queue_tell(&queue->used->idx, queue->next_used);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	const struct vring_used_elem element = { .id = head, .len = written };

	virtqueue_push_together(queue, &element, 1);
}

bool virtqueue_needs_interrupt(struct virtqueue *queue)
{
	uint32_t pushed = queue->unsignalled;
	uint16_t event;

	if (!queue->memory || pushed == 0)
		return false;
	queue->unsignalled = 0;
	/* The loads pair with the store of used->idx: see virtqueue_push(). */
	if (!queue->event_index)
		return !(__atomic_load_n(&queue->available->flags,
					 __ATOMIC_SEQ_CST) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(queue_used_event(queue), __ATOMIC_SEQ_CST);
	/* Was the index it waits for among those just passed (2.7.7.2)? */
	return (uint16_t)(queue->next_used - event - 1) < pushed;
}

void virtqueue_disable_notify(struct virtqueue *queue)
{
	/* With event indices silence needs no word: the old one is passed. */
	if (queue->memory && !queue->event_index)
		__atomic_store_n(&queue->used->flags, VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_RELAXED);
}

bool virtqueue_enable_notify(struct virtqueue *queue)
{
	if (!queue->memory)
		return false;
	/*
	 * Store, then look: the driver moves its index, then reads this. Both
	 * sequentially consistent, so one of the two sees the other's.
	 */
	if (queue->event_index)
		queue_tell(queue_avail_event(queue), queue->next_available);
	else
		queue_tell(&queue->used->flags, 0);
	/* A broken index is "something" too: the next pop reports it. */
	return queue_pending(queue) != 0;
}
