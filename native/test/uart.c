/* SPDX-License-Identifier: MIT */
#include "device/uart.h"

#include <linux/serial_reg.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_console.h"
#include "tap.h"

static struct fake_console console;
static struct uart *uart;
static int irq_fd;

static void set_up(void)
{
	struct console_port port = fake_console_port(&console);

	fake_console_create(&console);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(uart_create(&uart, &port, irq_fd) == 0);
}

static void tear_down(void)
{
	uart_destroy(uart);
	close(irq_fd);
	fake_console_destroy(&console);
}

static uint8_t in(uint64_t offset)
{
	uint8_t value = 0;

	uart_bus_ops.read(uart, offset, &value, 1);
	return value;
}

static void out(uint64_t offset, unsigned int value)
{
	const uint8_t byte = (uint8_t)value;

	uart_bus_ops.write(uart, offset, &byte, 1);
}

static bool interrupted(void)
{
	eventfd_t count;

	return eventfd_read(irq_fd, &count) == 0;
}

/* The host types, and says so. */
static void type(const char *text)
{
	fake_console_type(&console, text, (uint32_t)strlen(text));
	uart_input(uart);
}

/* Reads until the line status says that there is no more. */
static uint32_t read_all(uint8_t *data, uint32_t room)
{
	uint32_t count = 0;

	while (in(UART_LSR)&UART_LSR_DR && count < room)
		data[count++] = in(UART_RX);
	return count;
}

static void output_reaches_the_host_at_once(void)
{
	set_up();
	for (const char *p = "hello"; *p; p++) {
		CHECK(in(UART_LSR) == (UART_LSR_THRE | UART_LSR_TEMT));
		out(UART_TX, (uint8_t)*p);
	}
	CHECK(console.output_length == 5);
	CHECK(!memcmp(console.output, "hello", 5));
	CHECK(!interrupted());
	tear_down();
}

static void registers_hold_what_is_written(void)
{
	set_up();
	for (unsigned int value = 0; value < 256; value++) {
		out(UART_SCR, value);
		CHECK(in(UART_SCR) == value);
		out(UART_LCR, value);
		CHECK(in(UART_LCR) == value);
		out(UART_LCR, 0);
		out(UART_IER, value);
		CHECK(in(UART_IER) == (value & 0x0f));
		out(UART_MCR, value);
		CHECK(in(UART_MCR) == (value & 0x1f));
	}
	tear_down();
}

static void divisor_latch_is_apart(void)
{
	set_up();
	out(UART_LCR, UART_LCR_DLAB);
	out(UART_DLL, 0x12);
	out(UART_DLM, 0x34);
	CHECK(in(UART_DLL) == 0x12);
	CHECK(in(UART_DLM) == 0x34);
	out(UART_LCR, UART_LCR_WLEN8);
	CHECK(in(UART_IER) == 0);
	CHECK(console.output_length == 0);
	tear_down();
}

static void it_identifies_itself_as_a_16550a(void)
{
	set_up();
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK(in(UART_IIR) == (0xc0 | UART_IIR_NO_INT));
	out(UART_FCR, 0);
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	tear_down();
}

static void enabling_the_transmit_interrupt_raises_it(void)
{
	set_up();
	for (int round = 0; round < 3; round++) {
		out(UART_IER, UART_IER_THRI);
		CHECK(interrupted());
		CHECK(in(UART_IIR) == UART_IIR_THRI);
		CHECK(in(UART_IIR) == UART_IIR_NO_INT);
		CHECK(!interrupted());
		out(UART_IER, UART_IER_THRI); /* already: no news */
		CHECK(!interrupted());
		out(UART_IER, 0);
		CHECK(!interrupted());
	}
	tear_down();
}

static void every_written_byte_raises_the_transmit_interrupt_again(void)
{
	set_up();
	out(UART_IER, UART_IER_THRI);
	CHECK(in(UART_IIR) == UART_IIR_THRI);
	interrupted();
	for (int round = 0; round < 100; round++) {
		/* A driver fills the FIFO in one go: one interrupt. */
		for (int i = 0; i < 16; i++)
			out(UART_TX, 'x');
		CHECK(interrupted());
		CHECK(!interrupted());
		CHECK(in(UART_IIR) == UART_IIR_THRI);
	}
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	CHECK(console.output_length == 1600);
	tear_down();
}

static void a_masked_transmit_interrupt_is_not_sent(void)
{
	set_up();
	out(UART_TX, 'x');
	CHECK(!interrupted() && in(UART_IIR) == UART_IIR_NO_INT);
	out(UART_IER, UART_IER_THRI);
	CHECK(interrupted());
	out(UART_IER, 0);
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	tear_down();
}

static void a_receive_interrupt_does_not_hide_the_transmit_one(void)
{
	set_up();
	out(UART_IER, UART_IER_RDI);
	type("a");
	CHECK(interrupted());
	out(UART_IER, UART_IER_RDI | UART_IER_THRI);
	CHECK(interrupted());
	CHECK(in(UART_IIR) == UART_IIR_RDI);
	CHECK(in(UART_RX) == 'a');
	CHECK(in(UART_IIR) == UART_IIR_THRI);
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	tear_down();
}

static void input_waits_until_the_guest_listens(void)
{
	uint8_t data[8];

	set_up();
	type("typed early");
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	CHECK(in(UART_RX) == 0);
	/* What a driver does when it opens the port. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	out(UART_FCR, 0);
	CHECK(console.input_taken == 0 && !interrupted());
	out(UART_IER, UART_IER_RDI);
	CHECK(interrupted());
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK(read_all(data, 5) == 5 && !memcmp(data, "typed", 5));
	tear_down();
}

static void a_polling_guest_receives(void)
{
	uint8_t data[8];

	set_up();
	type("poll");
	for (int i = 0; i < 100 && !(in(UART_LSR)&UART_LSR_DR); i++)
		;
	CHECK(read_all(data, sizeof(data)) == 4 && !memcmp(data, "poll", 4));
	CHECK(!interrupted());
	tear_down();
}

/* As Linux starts a port: it reads the receiver to be rid of what is there. */
static void opening_the_port_takes_no_input(void)
{
	uint8_t data[8];

	set_up();
	type("early");
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS);
	for (int i = 0; i < 2; i++) {
		(void)in(UART_LSR);
		CHECK(in(UART_RX) == 0);
		(void)in(UART_IIR);
		(void)in(UART_MSR);
	}
	CHECK(console.input_taken == 0);
	out(UART_IER, UART_IER_RDI);
	CHECK(read_all(data, sizeof(data)) == 5 && !memcmp(data, "early", 5));
	tear_down();
}

static void receive_levels_are_told_by_the_identification(void)
{
	static const struct {
		unsigned int bits;
		uint32_t level;
	} triggers[] = { { UART_FCR_TRIGGER_1, 1 },
			 { UART_FCR_TRIGGER_4, 4 },
			 { UART_FCR_TRIGGER_8, 8 },
			 { UART_FCR_TRIGGER_14, 14 } };

	for (int i = 0; i < 4; i++) {
		set_up();
		out(UART_FCR, UART_FCR_ENABLE_FIFO | triggers[i].bits);
		out(UART_IER, UART_IER_RDI);
		for (uint32_t count = 1; count <= 16; count++) {
			unsigned int id = count < triggers[i].level
						  ? UART_IIR_RX_TIMEOUT
						  : UART_IIR_RDI;

			type("x");
			CHECK(interrupted());
			CHECK(in(UART_IIR) == (0xc0 | id));
		}
		tear_down();
	}
}

/* Nothing beyond the FIFO is taken, nothing is lost, each batch interrupts. */
static void a_long_paste_arrives_whole(void)
{
	enum { LENGTH = 40000 };
	static uint8_t sent[LENGTH];
	static uint8_t received[LENGTH];
	uint32_t count = 0;

	set_up();
	for (uint32_t i = 0; i < LENGTH; i++)
		sent[i] = (uint8_t)(i * 7 + i / 256);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(UART_IER, UART_IER_RDI);
	fake_console_type(&console, sent, LENGTH);
	uart_input(uart);
	CHECK(console.input_taken == 16);
	while (count < LENGTH && interrupted()) {
		uint32_t part = read_all(received + count, 13);

		if (part == 0)
			break;
		count += part;
		/* The driver goes on while the device says so. */
		while (!(in(UART_IIR)&UART_IIR_NO_INT) && count < LENGTH)
			count += read_all(received + count, 13);
		uart_input(uart);
	}
	CHECK(count == LENGTH);
	CHECK(!memcmp(sent, received, LENGTH));
	tear_down();
}

static void a_driver_that_stops_early_is_interrupted_again(void)
{
	uint8_t data[16];

	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	fake_console_type(&console, "0123456789abcdefghij", 20);
	uart_input(uart);
	CHECK(interrupted());
	CHECK(read_all(data, 16) == 16);
	/* It leaves its handler here; four bytes have come in meanwhile. */
	CHECK(interrupted());
	CHECK(read_all(data, 16) == 4);
	CHECK(!interrupted());
	tear_down();
}

static void without_fifo_one_byte_is_held(void)
{
	set_up();
	out(UART_IER, UART_IER_RDI);
	type("abc");
	CHECK(console.input_taken == 1);
	CHECK(in(UART_IIR) == UART_IIR_RDI);
	CHECK(in(UART_RX) == 'a' && in(UART_RX) == 'b' && in(UART_RX) == 'c');
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	tear_down();
}

static void clearing_the_fifo_drops_what_it_holds(void)
{
	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	type("abc");
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	CHECK(in(UART_IIR) == (0xc0 | UART_IIR_NO_INT));
	tear_down();
}

static void loopback_stays_inside(void)
{
	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	out(UART_MCR, UART_MCR_LOOP);
	type("host");
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	for (unsigned int i = 0; i < 17; i++)
		out(UART_TX, i);
	CHECK(console.output_length == 0);
	CHECK(interrupted());
	CHECK(in(UART_IIR) == (0xc0 | UART_IIR_RLSI));
	CHECK(in(UART_LSR)&UART_LSR_OE);
	CHECK(!(in(UART_LSR)&UART_LSR_OE));
	for (unsigned int i = 0; i < 16; i++)
		CHECK(in(UART_RX) == i);
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	out(UART_MCR, 0);
	CHECK(in(UART_RX) == 'h');
	tear_down();
}

static void modem_lines_loop_back(void)
{
	const unsigned int up = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;

	set_up();
	CHECK(in(UART_MSR) == up);
	/* How Linux looks for a UART. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CHECK((in(UART_MSR)&0xf0) == (UART_MSR_DCD | UART_MSR_CTS));
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	CHECK(in(UART_MSR) == (UART_MSR_RI | UART_MSR_DSR | UART_MSR_DDCD |
			       UART_MSR_DDSR | UART_MSR_DCTS));
	CHECK(in(UART_MSR) == (UART_MSR_RI | UART_MSR_DSR));
	out(UART_IER, UART_IER_MSI);
	CHECK(!interrupted());
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR);
	CHECK(interrupted() && in(UART_IIR) == UART_IIR_MSI);
	CHECK(in(UART_MSR) == (UART_MSR_DSR | UART_MSR_TERI));
	CHECK(in(UART_IIR) == UART_IIR_NO_INT);
	out(UART_MCR, 0);
	CHECK((in(UART_MSR)&0xf0) == up);
	tear_down();
}

static void wide_accesses_are_single_ones(void)
{
	const uint8_t data[2] = { 'w', UART_IER_RDI };
	uint8_t all[8];

	set_up();
	uart_bus_ops.write(uart, UART_TX, data, 2);
	CHECK(console.output_length == 1 && console.output[0] == 'w');
	CHECK(in(UART_IER) == UART_IER_RDI);
	out(UART_SCR, 0x5a);
	uart_bus_ops.read(uart, 0, all, 8);
	CHECK(all[UART_IER] == UART_IER_RDI && all[UART_SCR] == 0x5a);
	tear_down();
}

static void *typing_thread(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20000; i++)
		type("y");
	return NULL;
}

static void host_and_guest_work_at_once(void)
{
	pthread_t thread;
	uint32_t received = 0;

	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	pthread_create(&thread, NULL, typing_thread, NULL);
	while (received < 20000) {
		if (in(UART_LSR)&UART_LSR_DR) {
			CHECK(in(UART_RX) == 'y');
			received++;
		}
		out(UART_TX, 'n');
	}
	pthread_join(thread, NULL);
	CHECK(!(in(UART_LSR)&UART_LSR_DR));
	tear_down();
}

int main(void)
{
	TEST(output_reaches_the_host_at_once);
	TEST(registers_hold_what_is_written);
	TEST(divisor_latch_is_apart);
	TEST(it_identifies_itself_as_a_16550a);
	TEST(enabling_the_transmit_interrupt_raises_it);
	TEST(every_written_byte_raises_the_transmit_interrupt_again);
	TEST(a_masked_transmit_interrupt_is_not_sent);
	TEST(a_receive_interrupt_does_not_hide_the_transmit_one);
	TEST(input_waits_until_the_guest_listens);
	TEST(a_polling_guest_receives);
	TEST(opening_the_port_takes_no_input);
	TEST(receive_levels_are_told_by_the_identification);
	TEST(a_long_paste_arrives_whole);
	TEST(a_driver_that_stops_early_is_interrupted_again);
	TEST(without_fifo_one_byte_is_held);
	TEST(clearing_the_fifo_drops_what_it_holds);
	TEST(loopback_stays_inside);
	TEST(modem_lines_loop_back);
	TEST(wide_accesses_are_single_ones);
	TEST(host_and_guest_work_at_once);
	return tap_done();
}
