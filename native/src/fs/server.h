/* SPDX-License-Identifier: MIT */
/*
 * Serves a folder of the host to a guest that speaks FUSE (linux/fuse.h), and
 * nothing outside of it. It knows buffers and no ring: virtio/fs.h has that.
 */
#ifndef CAPSA_FS_SERVER_H
#define CAPSA_FS_SERVER_H

#include <stdint.h>
#include <sys/uio.h>

#include "machine_config.h"

struct fs_server;

/*
 * Opens the folder of share, once and for all; share may be freed. memory_bytes
 * is what the guest has: it bounds how many files it can know at a time. 0 or
 * -errno.
 */
int fs_server_create(struct fs_server **out, const struct share_config *share,
		     uint64_t memory_bytes);
void fs_server_destroy(struct fs_server *server);

/* Forgets the guest: the next request must be FUSE_INIT. No request runs. */
void fs_server_reset(struct fs_server *server);

/*
 * Serves one request, which in holds, and puts the reply into out: how many
 * bytes, from the first; 0 where none is due, or possible. May wait for the
 * host's disks. Any thread, several at a time. The guest may change the
 * buffers meanwhile.
 */
uint32_t fs_server_serve(struct fs_server *server, const struct iovec *in,
			 uint32_t in_count, const struct iovec *out,
			 uint32_t out_count);

/* Requests served so far. */
uint64_t fs_server_requests(const struct fs_server *server);

#endif
