/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock: stream sockets between host and guest (virtio 1.2, section
 * 5.10). On the host they are Unix sockets: see vsock/host.h.
 */
#ifndef CAPSA_VIRTIO_VSOCK_H
#define CAPSA_VIRTIO_VSOCK_H

#include "loop.h"
#include "virtio/device.h"
#include "vsock/hub.h"

/*
 * *out is owned by the caller until it is given to a transport, whose loop
 * this is too. The path is there at once, but programs that connect to it wait
 * until the driver is ready. 0 or -errno: -EADDRINUSE if something is at the
 * path, -ENAMETOOLONG.
 */
int virtio_vsock_create(struct virtio_device **out,
			const struct vsock_config *config, struct loop *loop);

/*
 * The guest is no more: every connection ends, and the path goes. Any thread,
 * without the device's lock, while its transport exists.
 */
void virtio_vsock_end(struct virtio_device *device);

/* Takes no lock. Any thread, while the device exists. */
struct vsock_counts virtio_vsock_counts(struct virtio_device *device);

#endif
