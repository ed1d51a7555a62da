/* SPDX-License-Identifier: MIT */
/* virtio-rng: the host's entropy for the guest (virtio 1.2, section 5.4). */
#ifndef CAPSA_VIRTIO_RNG_H
#define CAPSA_VIRTIO_RNG_H

#include "virtio/device.h"

/* *out is owned by the caller until it is given to a transport. 0 or -ENOMEM.
 */
int virtio_rng_create(struct virtio_device **out);

#endif
