/* SPDX-License-Identifier: MIT */
/*
 * Frames: a big-endian length of four bytes, then so many bytes. Both buffers
 * have a fixed size; whoever fills them looks at the room first.
 */
#ifndef CAPSA_GUEST_FRAME_H
#define CAPSA_GUEST_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "msgpack.h"
#include "protocol.h"

enum {
	FRAME_HEAD_BYTES = 4,
	/* For a frame that answers: the largest has a report. */
	FRAME_ROOM_REPLY = REPORT_BYTES_MAX + 64,
	FRAME_ROOM_DATA = FRAME_HEAD_BYTES + DATA_BYTES_MAX + 32,
};

struct frame_input {
	uint32_t start;
	uint32_t length;
	uint8_t bytes[2 * (FRAME_HEAD_BYTES + FRAME_BYTES_MAX)];
};

/* Reads once from a descriptor. The number of bytes, 0 at the end, or -errno;
 * -EAGAIN also when there is no room before frames have been taken. */
ssize_t frame_input_fill(struct frame_input *input, int fd);

/* Looks at the first frame: 1 when it is whole, 0 when it is not, -EPROTO when
 * its length is none. */
int frame_input_peek(const struct frame_input *input, const uint8_t **body,
		     uint32_t *length);

/* Removes bytes from the front. */
void frame_input_take(struct frame_input *input, uint32_t length);

struct frame_output {
	uint32_t start;
	uint32_t length;
	/* Replies have room even when data takes all that it may. */
	uint8_t bytes[FRAME_BYTES_MAX + 4 * FRAME_ROOM_REPLY];
};

/* Room for one reply, or for one more frame of data on top of what is kept for
 * replies. */
bool frame_output_has_room(const struct frame_output *output);
bool frame_output_has_data_room(const struct frame_output *output);

/* A writer for the body of a frame, which `frame_output_end` closes. The caller
 * has looked whether there is room. */
struct msgpack_writer frame_output_begin(struct frame_output *output);
void frame_output_end(struct frame_output *output,
		      const struct msgpack_writer *writer);

/* Writes once to a descriptor. 0, or -errno other than -EAGAIN. */
int frame_output_flush(struct frame_output *output, int fd);

#endif
