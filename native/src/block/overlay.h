/* SPDX-License-Identifier: MIT */
/*
 * What is written to a disk that goes with its machine: a file without a name
 * beside the image, which stays as it is.
 *
 * The file has the image's size and holds what was written at its place; a
 * bit for each cluster says which of the two to read. Any threads, any number
 * at once. Lengths are as in file.h.
 */
#ifndef CAPSA_BLOCK_OVERLAY_H
#define CAPSA_BLOCK_OVERLAY_H

#include <stdint.h>

#include "block/file.h"

struct overlay;

/*
 * For an image of size bytes, borrowed and open for reading as image_fd. The
 * file is made in folder. 0 or -errno.
 */
int overlay_create(struct overlay **out, const char *folder, int image_fd,
		   uint64_t size);
/* NULL is fine. */
void overlay_destroy(struct overlay *overlay);

int overlay_read(struct overlay *overlay, struct file_buffers *buffers,
		 uint64_t offset, uint64_t length);
int overlay_write(struct overlay *overlay, struct file_buffers *buffers,
		  uint64_t offset, uint64_t length);
int overlay_discard(struct overlay *overlay, uint64_t offset, uint64_t length);
int overlay_zero(struct overlay *overlay, uint64_t offset, uint64_t length);

/*
 * The descriptor that a read or write of the range can go to as it is, with
 * no other effect; -1: there is none. Waits for nothing.
 */
int overlay_direct(struct overlay *overlay, bool write, uint64_t offset,
		   uint64_t length);

#endif
