/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (virtio 1.2, section 5.3), with the multiport protocol. Port
 * 0 is the console.
 */
#ifndef CAPSA_VIRTIO_CONSOLE_H
#define CAPSA_VIRTIO_CONSOLE_H

#include "device/console_port.h"
#include "virtio/device.h"

/*
 * *out is owned by the caller until it is given to a transport. The port is
 * called on the loop's thread with the device's lock held. 0 or -ENOMEM.
 *
 * multiport offers the protocol by which ports have names and come and go. A
 * Linux driver then registers the console some messages after its probe,
 * which can be too late for the first process; so a machine that has nothing
 * but the console goes without.
 */
int virtio_console_create(struct virtio_device **out,
			  const struct console_port *port, bool multiport);

/*
 * The port has input. Takes no lock and never blocks. Any thread, while the
 * device exists.
 */
void virtio_console_input(struct virtio_device *device);

#endif
