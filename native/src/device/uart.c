/* SPDX-License-Identifier: MIT */
#include "device/uart.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
	UART_FIFO_BYTES = 16,
	UART_IER_USED = 0x0f,
	UART_MCR_USED = 0x1f,
	UART_MSR_LINES = 0xf0,
	UART_POLLS = 8, /* of the line status in a row: more than drivers do */
};

struct uart {
	pthread_mutex_t lock; /* of all below */
	struct console_port port;
	int irq_fd;

	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t msr;
	uint8_t scr;
	uint8_t divisor[2];
	uint32_t polls; /* of the line status, since anything else */
	bool polled;    /* input was taken so, and nothing set up since */
	bool overrun;
	bool thre; /* transmitter ran empty and nobody has been told */

	uint8_t received[UART_FIFO_BYTES]; /* oldest first */
	uint32_t received_count;

	uint8_t reasons; /* to interrupt, as IER bits, at the last look */
};

static bool uart_fifo_enabled(const struct uart *uart)
{
	return uart->fcr & UART_FCR_ENABLE_FIFO;
}

static uint32_t uart_capacity(const struct uart *uart)
{
	return uart_fifo_enabled(uart) ? UART_FIFO_BYTES : 1;
}

static uint8_t uart_reasons(const struct uart *uart)
{
	unsigned int reasons = 0;

	if (uart->overrun)
		reasons |= UART_IER_RLSI;
	if (uart->received_count > 0)
		reasons |= UART_IER_RDI;
	if (uart->thre)
		reasons |= UART_IER_THRI;
	if (uart->msr & UART_MSR_ANY_DELTA)
		reasons |= UART_IER_MSI;
	return (uint8_t)(reasons & uart->ier);
}

/*
 * The interrupt is an edge: one is sent for each reason that comes up, also
 * while another is pending, so that a driver which serves one reason an
 * interrupt misses none.
 */
static void uart_update(struct uart *uart)
{
	uint8_t reasons = uart_reasons(uart);
	bool raised = reasons & ~uart->reasons;

	uart->reasons = reasons;
	if (raised)
		eventfd_write(uart->irq_fd, 1);
}

/*
 * Takes input from the host. Before the guest has shown that it listens, the
 * bytes are better off in the host's buffer: drivers clear the FIFO and read
 * the receiver when they open the port. Who listens has the interrupt enabled
 * or looks at the line status again and again.
 */
static void uart_fill(struct uart *uart)
{
	bool listens = uart->ier & UART_IER_RDI || uart->polled ||
		       uart->polls >= UART_POLLS;
	uint32_t room;
	uint32_t count;

	if (!listens || uart->mcr & UART_MCR_LOOP ||
	    uart->received_count >= uart_capacity(uart))
		return;
	room = uart_capacity(uart) - uart->received_count;
	count = uart->port.input(uart->port.owner,
				 uart->received + uart->received_count, room);
	uart->received_count += count;
	/* New bytes are a new edge, whatever became of the last one. */
	if (count > 0)
		uart->reasons &= (uint8_t)~UART_IER_RDI;
}

static uint8_t uart_receive(struct uart *uart)
{
	uint8_t byte = uart->received[0];

	if (uart->received_count == 0)
		return 0;
	uart->polled = true;
	uart->received_count--;
	memmove(uart->received, uart->received + 1, uart->received_count);
	if (uart->received_count == 0)
		uart_fill(uart);
	return byte;
}

static void uart_transmit(struct uart *uart, uint8_t byte)
{
	if (!(uart->mcr & UART_MCR_LOOP))
		uart->port.output(uart->port.owner, &byte, 1);
	else if (uart->received_count < uart_capacity(uart))
		uart->received[uart->received_count++] = byte;
	else
		uart->overrun = true;
	uart->thre = true;
}

/* Interrupt identification: the pending reason of highest priority. */
static uint8_t uart_identify(struct uart *uart)
{
	static const uint8_t trigger_levels[] = { 1, 4, 8, 14 };
	uint8_t reasons = uart_reasons(uart);
	unsigned int id = UART_IIR_NO_INT;

	if (reasons & UART_IER_RLSI) {
		id = UART_IIR_RLSI;
	} else if (reasons & UART_IER_RDI) {
		/* Below the trigger level it is the time-out that reports. */
		bool timeout = uart_fifo_enabled(uart) &&
			       uart->received_count <
				       trigger_levels[uart->fcr >> 6];

		id = timeout ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
	} else if (reasons & UART_IER_THRI) {
		id = UART_IIR_THRI;
		uart->thre = false; /* reading it is the acknowledgement */
	} else if (reasons & UART_IER_MSI) {
		id = UART_IIR_MSI;
	}
	return (uint8_t)(id | (uart_fifo_enabled(uart) ? 0xc0u : 0u));
}

static uint8_t uart_line_status(struct uart *uart)
{
	unsigned int status = UART_LSR_THRE | UART_LSR_TEMT;

	if (uart->polls < UART_POLLS)
		uart->polls++;
	uart_fill(uart);
	if (uart->received_count > 0)
		status |= UART_LSR_DR;
	if (uart->overrun)
		status |= UART_LSR_OE;
	uart->overrun = false;
	return (uint8_t)status;
}

/* Modem lines: the host is there and ready, or the guest's own looped back. */
static unsigned int uart_modem_lines(uint8_t mcr)
{
	if (!(mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0u) |
	       (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0u) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0u) |
	       (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0u);
}

static void uart_set_modem_control(struct uart *uart, uint8_t value)
{
	unsigned int lines = uart_modem_lines(value & UART_MCR_USED);
	unsigned int changed = (lines ^ uart->msr) & UART_MSR_LINES;

	/* The ring indicator counts only when it ends. */
	if (lines & UART_MSR_RI)
		changed &= ~(unsigned int)UART_MSR_RI;
	uart->mcr = value & UART_MCR_USED;
	uart->msr = (uint8_t)(lines | (uart->msr & UART_MSR_ANY_DELTA) |
			      changed >> 4);
	uart_fill(uart);
}

static void uart_set_interrupts(struct uart *uart, uint8_t value)
{
	unsigned int enabled = value & ~uart->ier & UART_IER_USED;

	/* The transmitter is empty: enabling its interrupt raises it. */
	if (enabled & UART_IER_THRI)
		uart->thre = true;
	uart->ier = value & UART_IER_USED;
	uart_fill(uart);
}

static void uart_set_fifo_control(struct uart *uart, uint8_t value)
{
	if (value & UART_FCR_CLEAR_RCVR)
		uart->received_count = 0;
	uart->fcr = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
	uart_fill(uart);
}

static uint8_t uart_register_read(struct uart *uart, uint64_t offset)
{
	uint8_t value;

	if (offset <= UART_DLM && uart->lcr & UART_LCR_DLAB)
		return uart->divisor[offset];
	if (offset != UART_LSR)
		uart->polls = 0;
	switch (offset) {
	case UART_RX:
		return uart_receive(uart);
	case UART_IER:
		return uart->ier;
	case UART_IIR:
		return uart_identify(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return uart_line_status(uart);
	case UART_MSR:
		value = uart->msr;
		uart->msr &= UART_MSR_LINES;
		return value;
	default:
		return uart->scr;
	}
}

static void uart_register_write(struct uart *uart, uint64_t offset,
				uint8_t value)
{
	uart->polls = 0;
	if (offset != UART_TX && offset != UART_SCR)
		uart->polled = false;
	if (offset <= UART_DLM && uart->lcr & UART_LCR_DLAB) {
		uart->divisor[offset] = value;
		return;
	}
	switch (offset) {
	case UART_TX:
		uart_transmit(uart, value);
		break;
	case UART_IER:
		uart_set_interrupts(uart, value);
		break;
	case UART_FCR:
		uart_set_fifo_control(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart_set_modem_control(uart, value);
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* A wider access is what the bus makes of it: one byte after the other. */
static void uart_read(void *device, uint64_t offset, uint8_t *data,
		      uint32_t length)
{
	struct uart *uart = device;

	pthread_mutex_lock(&uart->lock);
	for (uint32_t i = 0; i < length; i++)
		data[i] = uart_register_read(uart, offset + i);
	uart_update(uart);
	pthread_mutex_unlock(&uart->lock);
}

static void uart_write(void *device, uint64_t offset, const uint8_t *data,
		       uint32_t length)
{
	struct uart *uart = device;

	pthread_mutex_lock(&uart->lock);
	for (uint32_t i = 0; i < length; i++)
		uart_register_write(uart, offset + i, data[i]);
	uart_update(uart);
	pthread_mutex_unlock(&uart->lock);
}

const struct bus_ops uart_bus_ops = { .read = uart_read, .write = uart_write };

void uart_input(struct uart *uart)
{
	pthread_mutex_lock(&uart->lock);
	uart_fill(uart);
	uart_update(uart);
	pthread_mutex_unlock(&uart->lock);
}

int uart_create(struct uart **out, const struct console_port *port, int irq_fd)
{
	struct uart *uart = calloc(1, sizeof(*uart));

	if (!uart)
		return -ENOMEM;
	pthread_mutex_init(&uart->lock, NULL);
	uart->port = *port;
	uart->irq_fd = irq_fd;
	uart->msr = (uint8_t)uart_modem_lines(0);
	*out = uart;
	return 0;
}

void uart_destroy(struct uart *uart)
{
	if (!uart)
		return;
	pthread_mutex_destroy(&uart->lock);
	free(uart);
}
