/* SPDX-License-Identifier: MIT */
/*
 * A disk's content: a raw image in a file, or a block device of the host, with
 * an overlay if what is written goes with the machine. What a file holds is
 * never looked at: the guest can write what it likes.
 *
 * Operations are as in file.h, from any threads, any number at once. Offsets
 * and lengths lie within size.
 */
#ifndef CAPSA_BLOCK_IMAGE_H
#define CAPSA_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/file.h"
#include "capsa.h"
#include "machine_config.h"

enum { IMAGE_SECTOR = 512 };

struct overlay;

struct image {
	int fd;        /* owned */
	uint64_t size; /* bytes, in whole sectors */
	bool read_only;
	bool block_device;
	struct overlay *overlay; /* owned; NULL: writes go to fd */
};

/*
 * Opens the disk that is index-th in its machine. On failure nothing is open;
 * status: DISK_FILE, or as error_system().
 */
enum capsa_status image_open(struct image *image,
			     const struct disk_config *config, uint32_t index,
			     struct capsa_error *error);
void image_close(struct image *image);

int image_read(const struct image *image, struct file_buffers *buffers,
	       uint64_t offset, uint64_t length);
/* What changes the image is -EROFS where it is read-only. */
int image_write(const struct image *image, struct file_buffers *buffers,
		uint64_t offset, uint64_t length, bool durable);
int image_discard(const struct image *image, uint64_t offset, uint64_t length,
		  bool durable);
int image_zero(const struct image *image, uint64_t offset, uint64_t length,
	       bool unmap, bool durable);
int image_flush(const struct image *image);
/* Whether there is anything to keep: not with an overlay, or without writes. */
bool image_needs_flush(const struct image *image);

/*
 * The descriptor on which the same read or write does the same; -1: there is
 * none. Waits for nothing.
 */
int image_direct_read(const struct image *image, uint64_t offset,
		      uint64_t length);
int image_direct_write(const struct image *image, uint64_t offset,
		       uint64_t length);

#endif
