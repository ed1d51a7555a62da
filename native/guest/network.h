/* SPDX-License-Identifier: MIT */
/*
 * The guest's network: the loopback device, and for each Ethernet device a
 * process that leases an address and keeps it. Each says how far it came in a
 * file of its own.
 */
#ifndef CAPSA_GUEST_NETWORK_H
#define CAPSA_GUEST_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

int network_loopback_up(void);

/* Whether a device is Ethernet. */
bool network_is_ethernet(const char *device);

/* Leases an address for the device and keeps it as long as it is there. */
_Noreturn void network_keep_lease(const char *device);

/* Waits until each device has an address. 0, -ENODEV, or why it has none, with
 * the device's name. */
int network_await(int seconds, char *device, size_t size);

#endif
