/* SPDX-License-Identifier: MIT */
/* The device of a machine's share, whoever shows it to a guest. */
#ifndef CAPSA_SHARE_H
#define CAPSA_SHARE_H

#include <stdint.h>

#include "capsa.h"
#include "virtio/device.h"

struct machine;

/*
 * Opens the folder of share number index of the machine's description. *out is
 * owned by the caller until it is given to a transport.
 */
enum capsa_status share_create(struct virtio_device **out,
			       struct machine *machine, uint32_t index,
			       struct capsa_error *error);

#endif
