/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART (National Semiconductor PC16550D), wired to the console.
 *
 * Nothing is sent over a line: a written byte is at the host at once, so the
 * transmitter is always empty. Received bytes wait in the host's buffer until
 * the guest asks for them (receive interrupt enabled, or RTS asserted) and
 * the 16-byte FIFO has room; beyond it nothing is buffered here.
 */
#ifndef CAPSA_UART_H
#define CAPSA_UART_H

#include "bus.h"
#include "device/console_port.h"

enum { UART_PORTS = 8 }; /* registers, one byte each */

struct uart;

extern const struct bus_ops uart_bus_ops; /* device: struct uart */

/*
 * irq_fd, an eventfd that stays the caller's, is signalled when a reason to
 * interrupt comes up (an edge). The port is called with the UART's lock held:
 * whoever calls uart_input() must not hold a lock the port takes.
 * 0 or -ENOMEM.
 */
int uart_create(struct uart **out, const struct console_port *port, int irq_fd);

/* No access may be running. NULL is fine. */
void uart_destroy(struct uart *uart);

/* The port has input. Any thread. */
void uart_input(struct uart *uart);

#endif
