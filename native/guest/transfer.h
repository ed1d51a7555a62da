/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_TRANSFER_H
#define CAPSA_GUEST_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

/* All of it, waiting as long as it takes: 0 or -errno. */
int transfer_write(int fd, const void *bytes, size_t length);

/* Up to `most` bytes from one descriptor to the other. How many there were, or
 * -errno. */
int64_t transfer_copy(int to, int from, int64_t most);

#endif
