/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void make_room(uint8_t *bytes, uint32_t *start, uint32_t length)
{
	if (*start > 0 && length > 0)
		memmove(bytes, bytes + *start, length);
	*start = 0;
}

ssize_t frame_input_fill(struct frame_input *input, int fd)
{
	ssize_t count;
	size_t room;

	make_room(input->bytes, &input->start, input->length);
	room = sizeof(input->bytes) - input->length;
	if (room == 0)
		return -EAGAIN;
	count = read(fd, input->bytes + input->length, room);
	if (count < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	input->length += (uint32_t)count;
	return count;
}

int frame_input_peek(const struct frame_input *input, const uint8_t **body,
		     uint32_t *length)
{
	const uint8_t *head = input->bytes + input->start;

	if (input->length < FRAME_HEAD_BYTES)
		return 0;
	*length = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 |
		  (uint32_t)head[2] << 8 | head[3];
	if (*length == 0 || *length > FRAME_BYTES_MAX)
		return -EPROTO;
	*body = head + FRAME_HEAD_BYTES;
	return input->length - FRAME_HEAD_BYTES >= *length;
}

void frame_input_take(struct frame_input *input, uint32_t length)
{
	input->start += length;
	input->length -= length;
}

static uint32_t output_room(const struct frame_output *output)
{
	return (uint32_t)sizeof(output->bytes) - output->length;
}

bool frame_output_has_room(const struct frame_output *output)
{
	return output_room(output) >= FRAME_ROOM_REPLY;
}

bool frame_output_has_data_room(const struct frame_output *output)
{
	return output_room(output) >= FRAME_ROOM_DATA + 4 * FRAME_ROOM_REPLY;
}

struct msgpack_writer frame_output_begin(struct frame_output *output)
{
	uint8_t *tail;

	make_room(output->bytes, &output->start, output->length);
	tail = output->bytes + output->length;
	return (struct msgpack_writer) {
		.at = tail + FRAME_HEAD_BYTES,
		.end = output->bytes + sizeof(output->bytes),
	};
}

void frame_output_end(struct frame_output *output,
		      const struct msgpack_writer *writer)
{
	uint8_t *head = output->bytes + output->start + output->length;
	uint32_t length = (uint32_t)(writer->at - head) - FRAME_HEAD_BYTES;

	head[0] = (uint8_t)(length >> 24);
	head[1] = (uint8_t)(length >> 16);
	head[2] = (uint8_t)(length >> 8);
	head[3] = (uint8_t)length;
	output->length += FRAME_HEAD_BYTES + length;
}

int frame_output_flush(struct frame_output *output, int fd)
{
	ssize_t count;

	if (output->length == 0)
		return 0;
	count = write(fd, output->bytes + output->start, output->length);
	if (count < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	output->start += (uint32_t)count;
	output->length -= (uint32_t)count;
	return 0;
}
