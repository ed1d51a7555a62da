/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon (virtio 1.2, section 5.5): the guest gives memory that it
 * does not use back to the host, and says how much it has left.
 *
 * The host never asks for memory (num_pages stays 0). What the guest hands
 * over all the same, it gets back by touching it.
 */
#ifndef CAPSA_VIRTIO_BALLOON_H
#define CAPSA_VIRTIO_BALLOON_H

#include "virtio/device.h"

/* In bytes; all but reported are what the guest says, true or not. */
struct virtio_balloon_stats {
	uint64_t held;
	uint64_t reported; /* given back because unused, in total */
	uint64_t total;    /* 0: the guest has not told, like the next two */
	uint64_t free;
	uint64_t available;
};

/* *out is owned by the caller until it is given to a transport. 0 or -ENOMEM.
 */
int virtio_balloon_create(struct virtio_device **out);

/*
 * What is known now; the guest is asked, at most once a second, what to say
 * next time. Takes no lock and never blocks. One thread at a time, while the
 * device exists.
 */
void virtio_balloon_stats(struct virtio_device *device,
			  struct virtio_balloon_stats *stats);

#endif
