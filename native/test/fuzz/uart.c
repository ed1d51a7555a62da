/* SPDX-License-Identifier: MIT */
/*
 * A UART under any accesses: what it has to report it has interrupted for,
 * no more than its FIFO holds is taken from the host, and a driver that then
 * does the usual gets everything that is left, in order.
 *
 * Input: operations of two bytes: register (bits 0-2), direction (3-5) and
 * whether to look for interrupts (6); value.
 */
#include <linux/serial_reg.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/uart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIFO = 16 };

struct fuzz_host {
	uint32_t typed;
	uint32_t taken;
	uint8_t sink;
};

static struct fuzz_host host;
static struct uart *uart;
static int irq_fd = -1;
static bool interrupted; /* since nothing was pending */

static void fuzz_output(void *owner, const uint8_t *bytes, uint32_t length)
{
	struct fuzz_host *to = owner;

	for (uint32_t i = 0; i < length; i++)
		to->sink ^= bytes[i];
}

/* The n-th byte typed is n. */
static uint32_t fuzz_input(void *owner, uint8_t *bytes, uint32_t length)
{
	struct fuzz_host *from = owner;
	uint32_t count = 0;

	if (length == 0 || length > FIFO)
		__builtin_trap();
	while (count < length && from->taken < from->typed)
		bytes[count++] = (uint8_t)from->taken++;
	return count;
}

static uint8_t in(uint64_t offset)
{
	uint8_t value = 0;

	uart_bus_ops.read(uart, offset, &value, 1);
	return value;
}

static void out(uint64_t offset, uint8_t value)
{
	uart_bus_ops.write(uart, offset, &value, 1);
}

/* What an interrupt controller that listens for edges has seen. */
static void fuzz_check_interrupt(void)
{
	eventfd_t count;
	uint8_t id;

	if (eventfd_read(irq_fd, &count) == 0)
		interrupted = true;
	id = in(UART_IIR);
	if (eventfd_read(irq_fd, &count) == 0)
		interrupted = true;
	if (id & UART_IIR_NO_INT)
		interrupted = false;
	else if (!interrupted)
		__builtin_trap();
}

static void fuzz_operation(uint8_t what, uint8_t value)
{
	uint8_t wide[8] = { value, value, value, value };
	uint64_t offset = what & 7;

	switch (what >> 3 & 7) {
	case 0:
	case 1:
	case 2:
		out(offset, value);
		break;
	case 3:
	case 4:
		in(offset);
		break;
	case 5:
		uart_bus_ops.write(uart, offset, wide,
				   1 + value % (8 - (uint32_t)offset));
		break;
	case 6:
		uart_bus_ops.read(uart, offset, wide,
				  1 + value % (8 - (uint32_t)offset));
		break;
	default:
		host.typed += value;
		uart_input(uart);
		break;
	}
	if (what & 0x40)
		fuzz_check_interrupt();
}

/* Set up afresh as a driver would; then all that is left comes, in order. */
static void fuzz_drain(void)
{
	uint32_t next;

	out(UART_LCR, UART_LCR_WLEN8);
	out(UART_IER, 0);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	next = host.taken;
	out(UART_IER, UART_IER_RDI);
	while (next < host.typed)
		if (!(in(UART_LSR)&UART_LSR_DR) ||
		    in(UART_RX) != (uint8_t)next++)
			__builtin_trap();
	if (in(UART_LSR)&UART_LSR_DR)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct console_port port = {
		.output = fuzz_output,
		.input = fuzz_input,
		.owner = &host,
	};
	eventfd_t count;

	if (irq_fd < 0)
		irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_read(irq_fd, &count);
	host = (struct fuzz_host) { 0 };
	interrupted = false;
	if (uart_create(&uart, &port, irq_fd) < 0)
		return 0;
	for (size_t i = 0; i + 1 < size; i += 2)
		fuzz_operation(data[i], data[i + 1]);
	fuzz_drain();
	uart_destroy(uart);
	return 0;
}
