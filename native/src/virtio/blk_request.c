/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "virtio/blk_state.h"

_Static_assert((int)IMAGE_SECTOR == 1 << 9,
	       "sectors are those of virtio 1.2, section 5.2.4");

/* What is copied of a request, once; the second half of DISCARD and alike. */
struct blk_command {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes segment;
};

_Static_assert(sizeof(struct blk_command) == 32, "as the driver lays it out");

/* Of a request that has room for it. */
static struct blk_answer blk_answer_of(const struct virtqueue_chain *chain)
{
	const struct iovec *last =
		&chain->buffers[chain->readable + chain->writable - 1];

	return (struct blk_answer) {
		.head = chain->head,
		.status = (uint8_t *)last->iov_base + last->iov_len - 1,
		.status_offset = chain->writable_bytes - 1,
	};
}

/*
 * The used length counts from the first byte that the driver offered (virtio
 * 1.2, section 2.7.8.2); the status, the last of them, only if all before it
 * is written.
 */
static void blk_give_back(struct blk *blk, const struct blk_answer *answer,
			  uint8_t status, uint64_t written)
{
	__atomic_store_n(answer->status, status, __ATOMIC_RELAXED);
	if (written == answer->status_offset)
		written++;
	virtqueue_push(&blk->device.queues[0], answer->head, (uint32_t)written);
}

/* Answers the request in chain at once. */
static void blk_reply(struct blk *blk, uint8_t status, uint64_t written)
{
	const struct blk_answer answer = blk_answer_of(&blk->chain);

	blk_give_back(blk, &answer, status, written);
}

/* Of the one in chain; it is under way from here on. */
static struct blk_request *blk_new_request(struct blk *blk,
					   enum io_operation operation)
{
	struct blk_request *request = blk->free[--blk->free_count];

	request->io = (struct io_request) {
		.client = &blk->client,
		.operation = operation,
		/* Without flushes every change is one (5.2.6.2). */
		.durable = !(blk->device.features >> VIRTIO_BLK_F_FLUSH & 1),
	};
	request->answer = blk_answer_of(&blk->chain);
	request->bytes = 0;
	return request;
}

void blk_done(struct io_request *io, int result)
{
	struct blk_request *request = (struct blk_request *)io;
	struct blk *blk = blk_of_client(io->client);
	bool read = io->operation == IO_READ;

	if (result == 0 && request->bytes > 0)
		__atomic_fetch_add(read ? &blk->read : &blk->written,
				   request->bytes, __ATOMIC_RELAXED);
	/* After a failure or a reset the driver's memory is its own. */
	if (blk->device.active)
		blk_give_back(blk, &request->answer,
			      result == 0 ? VIRTIO_BLK_S_OK
					  : VIRTIO_BLK_S_IOERR,
			      result == 0 && read ? request->bytes : 0);
	blk->free[blk->free_count++] = request;
	if (blk->free_count == BLK_QUEUE_SIZE)
		pthread_cond_broadcast(&blk->idle);
}

static bool blk_is_within(const struct blk *blk, uint64_t sector,
			  uint64_t count)
{
	uint64_t capacity = blk->image.size / IMAGE_SECTOR;

	return sector <= capacity && count <= capacity - sector;
}

/* The data of the request in chain: all but the header and the status. */
static struct file_buffers blk_data(struct blk *blk,
				    struct blk_request *request, bool read)
{
	const struct virtqueue_chain *chain = &blk->chain;
	uint32_t count = read ? chain->writable : chain->readable;
	struct file_buffers data = {
		.first = count <= BLK_SEGMENTS_FEW
				 ? request->few
				 : blk->buffers[request - blk->requests],
		.count = count,
	};

	memcpy(data.first, &chain->buffers[read ? chain->readable : 0],
	       count * sizeof(*data.first));
	if (!read)
		file_buffers_skip(&data, sizeof(struct virtio_blk_outhdr));
	else if (--data.first[count - 1].iov_len == 0)
		data.count--;
	return data;
}

static void blk_transfer(struct blk *blk, uint64_t sector, bool read)
{
	const struct virtqueue_chain *chain = &blk->chain;
	uint64_t bytes = read ? chain->writable_bytes - 1
			      : chain->readable_bytes -
					 sizeof(struct virtio_blk_outhdr);
	struct blk_request *request;

	if ((!read && blk->image.read_only) || bytes % IMAGE_SECTOR != 0 ||
	    !blk_is_within(blk, sector, bytes / IMAGE_SECTOR)) {
		blk_reply(blk, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	if (bytes == 0) {
		blk_reply(blk, VIRTIO_BLK_S_OK, 0);
		return;
	}
	request = blk_new_request(blk, read ? IO_READ : IO_WRITE);
	request->bytes = bytes;
	request->io.offset = sector * IMAGE_SECTOR;
	request->io.length = bytes;
	request->io.buffers = blk_data(blk, request, read);
	io_engine_queue(&request->io);
}

static void blk_flush(struct blk *blk)
{
	if (image_needs_flush(&blk->image))
		io_engine_queue(&blk_new_request(blk, IO_FLUSH)->io);
	else
		blk_reply(blk, VIRTIO_BLK_S_OK, 0);
}

/* DISCARD and WRITE_ZEROES, with exactly one segment. */
static uint8_t blk_check_segment(const struct blk *blk,
				 const struct blk_command *command,
				 bool discard)
{
	const struct virtio_blk_discard_write_zeroes *segment =
		&command->segment;
	uint32_t max = discard ? BLK_DISCARD_SECTORS_MAX : BLK_ZERO_SECTORS_MAX;
	uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (blk->image.read_only ||
	    blk->chain.readable_bytes != sizeof(*command))
		return VIRTIO_BLK_S_IOERR;
	if (segment->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	return segment->num_sectors <= max &&
			       blk_is_within(blk, segment->sector,
					     segment->num_sectors)
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

static void blk_clear(struct blk *blk, const struct blk_command *command,
		      bool discard)
{
	const struct virtio_blk_discard_write_zeroes *segment =
		&command->segment;
	uint8_t status = blk_check_segment(blk, command, discard);
	struct io_request *io;

	if (status != VIRTIO_BLK_S_OK || segment->num_sectors == 0) {
		blk_reply(blk, status, 0);
		return;
	}
	io = &blk_new_request(blk, discard ? IO_DISCARD : IO_ZERO)->io;
	io->unmap = segment->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	io->offset = segment->sector * IMAGE_SECTOR;
	io->length = (uint64_t)segment->num_sectors * IMAGE_SECTOR;
	io_engine_queue(io);
}

static void blk_identify(struct blk *blk)
{
	uint64_t room = blk->chain.writable_bytes - 1;
	uint32_t length = room < sizeof(blk->serial)
				  ? (uint32_t)room
				  : (uint32_t)sizeof(blk->serial);

	virtqueue_chain_write(&blk->chain, blk->serial, length);
	blk_reply(blk, VIRTIO_BLK_S_OK, length);
}

void blk_handle(struct blk *blk)
{
	struct blk_command command = { 0 };
	uint32_t length = virtqueue_chain_read(&blk->chain, &command,
					       sizeof(command));

	/* Nowhere to put a status: all that can be given is the buffers. */
	if (blk->chain.writable_bytes == 0) {
		virtqueue_push(&blk->device.queues[0], blk->chain.head, 0);
		return;
	}
	if (length < sizeof(command.header)) {
		blk_reply(blk, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	switch (command.header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		blk_transfer(blk, command.header.sector,
			     command.header.type == VIRTIO_BLK_T_IN);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(blk);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_identify(blk);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_clear(blk, &command,
			  command.header.type == VIRTIO_BLK_T_DISCARD);
		break;
	default:
		blk_reply(blk, VIRTIO_BLK_S_UNSUPP, 0);
		break;
	}
}
