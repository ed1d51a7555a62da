/* SPDX-License-Identifier: MIT */
/*
 * Devices of a machine's description that are the same whoever shows them to a
 * guest: a machine of ours, or another monitor (service.h).
 *
 * What each function makes is owned by the caller until it is given to a
 * transport, which has to use the same loop.
 */
#ifndef CAPSA_MACHINE_DEVICES_H
#define CAPSA_MACHINE_DEVICES_H

#include <stdint.h>

#include "capsa.h"
#include "virtio/device.h"

struct machine;

/* Opens the folder of share number index. */
enum capsa_status machine_create_share(struct virtio_device **out,
				       struct machine *machine, uint32_t index,
				       struct capsa_error *error);

/* Takes what the network device has of the host: ports, a TAP device. */
enum capsa_status machine_create_net(struct virtio_device **out,
				     struct machine *machine, struct loop *loop,
				     struct capsa_error *error);

/* Makes the Unix socket behind the vsock device. */
enum capsa_status machine_create_vsock(struct virtio_device **out,
				       struct machine *machine,
				       struct loop *loop,
				       struct capsa_error *error);

#endif
