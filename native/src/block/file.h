/* SPDX-License-Identifier: MIT */
/*
 * Whole operations on a file or block device: what a system call leaves
 * undone is done by the next one. They wait for the host's disks. Offsets and
 * lengths lie within the file. 0 or -errno.
 */
#ifndef CAPSA_BLOCK_FILE_H
#define CAPSA_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* Memory to read into or write from. The entries are changed on the way. */
struct file_buffers {
	struct iovec *first;
	uint32_t count;
};

/* The first length bytes, at most what there is, are done with. */
void file_buffers_skip(struct file_buffers *buffers, uint64_t length);

/*
 * Moves length bytes, and buffers past them. durable: they are on stable
 * storage then. A file that has become shorter is -EIO.
 */
int file_read(int fd, struct file_buffers *buffers, uint64_t offset,
	      uint64_t length);
int file_write(int fd, struct file_buffers *buffers, uint64_t offset,
	       uint64_t length, bool durable);

/* What was written before is on stable storage. */
int file_flush(int fd);

/*
 * Gives the space back where that is possible; what the range reads as
 * afterwards is open. device: fd is a block device.
 */
int file_discard(int fd, bool device, uint64_t offset, uint64_t length);

/*
 * Makes the range read as zeroes, by writing them where there is no better
 * way; unmap: its space should be given back.
 */
int file_zero(int fd, bool device, uint64_t offset, uint64_t length,
	      bool unmap);

#endif
