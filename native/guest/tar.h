/* SPDX-License-Identifier: MIT */
/*
 * Archives as POSIX has them (pax), in a stream. Written: ustar headers, with
 * an extended one before where a value does not fit. Read: these, and the long
 * names of GNU tar.
 */
#ifndef CAPSA_GUEST_TAR_H
#define CAPSA_GUEST_TAR_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

enum { TAR_BLOCK = 512 };

enum tar_type {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_LINK = '2',
	TAR_DEVICE = '3', /* both kinds, and what else cannot be a file */
	TAR_FOLDER = '5',
};

struct tar_entry {
	enum tar_type type;
	uint32_t mode;
	int64_t size; /* of the content that follows; only files have some */
	int64_t seconds;
	char path[PATH_MAX];
	char target[PATH_MAX];
};

/* 0 or -errno. */
int tar_write_entry(int fd, const struct tar_entry *entry);
/* After a content of this size. */
int tar_write_padding(int fd, int64_t size);
int tar_write_end(int fd);

struct tar_reader {
	/* Like read(2), but -errno. */
	ssize_t (*read)(void *from, void *bytes, size_t length);
	void *from;
	int64_t left;    /* of the last entry's content */
	int64_t padding; /* after it */
};

/* The next entry; what was left of the last one is skipped. 1; 0 at the end;
 * -EPROTO for what is no archive, -ENAMETOOLONG, or an error of reading. */
int tar_read_entry(struct tar_reader *reader, struct tar_entry *entry);

/* Some of its content; 0 at its end. -EPROTO if the archive ends before. */
ssize_t tar_read_content(struct tar_reader *reader, void *bytes, size_t length);

#endif
