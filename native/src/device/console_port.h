/* SPDX-License-Identifier: MIT */
/*
 * The seam between a console device (UART, virtio-console) and the machine's
 * console: where a device puts what the guest wrote and takes what the host
 * typed. Implemented by the machine, or by a test.
 */
#ifndef CAPSA_CONSOLE_PORT_H
#define CAPSA_CONSOLE_PORT_H

#include <stdint.h>

struct console_port {
	/* Takes all of it and never blocks. Any thread. */
	void (*output)(void *owner, const uint8_t *data, uint32_t length);
	/* Gives up to length bytes of input; 0: none now. Any thread. */
	uint32_t (*input)(void *owner, uint8_t *data, uint32_t length);
	void *owner;
};

#endif
