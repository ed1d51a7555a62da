/* SPDX-License-Identifier: MIT */
/*
 * virtio-net with one pair of queues (virtio 1.2, section 5.1). Where its
 * frames go is the port's affair.
 */
#ifndef CAPSA_VIRTIO_NET_H
#define CAPSA_VIRTIO_NET_H

#include "net/port.h"
#include "virtio/device.h"

/*
 * *out is owned by the caller until it is given to a transport, which has to
 * use the same loop. port is the device's from here on, also when it fails.
 * 0 or -ENOMEM.
 */
int virtio_net_create(struct virtio_device **out, struct net_port *port,
		      const uint8_t mac[NET_MAC_BYTES], struct loop *loop);

/* 0: the guest's own affair. Takes no lock. Any thread. */
uint16_t virtio_net_mtu(const struct virtio_device *device);

#endif
