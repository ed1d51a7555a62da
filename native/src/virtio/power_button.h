/* SPDX-License-Identifier: MIT */
/*
 * virtio-input (virtio 1.2, section 5.8): a keyboard whose only key is the
 * power button.
 */
#ifndef CAPSA_VIRTIO_POWER_BUTTON_H
#define CAPSA_VIRTIO_POWER_BUTTON_H

#include "virtio/device.h"

/* *out is owned by the caller until it is given to a transport. 0 or -ENOMEM.
 */
int virtio_power_button_create(struct virtio_device **out);

/*
 * Presses and releases it. What the driver has not taken yet counts once; a
 * driver that starts later takes it then. Takes no lock and never blocks. Any
 * thread, while the device exists.
 */
void virtio_power_button_press(struct virtio_device *device);

#endif
