/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_ENTRY_H
#define CAPSA_GUEST_ENTRY_H

#include <sys/stat.h>

#include "msgpack.h"

/* Puts what is known of a file as a map: name, type, size, mode, owner, time of
 * the last change, and where a link leads. `path` is below the open folder. */
void entry_put(struct msgpack_writer *writer, int folder, const char *path,
	       const char *name, const struct stat *status);

#endif
