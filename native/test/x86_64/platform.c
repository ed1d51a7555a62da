/* SPDX-License-Identifier: MIT */
#include <linux/serial_reg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "fake_console.h"
#include "tap.h"

static struct fake_console console;
static struct arch_platform *platform;
static struct bus pio;
static struct bus mmio;
static int irq_fd;
static int exits;
static enum capsa_exit last_exit;

static void note_exit(void *owner, enum capsa_exit reason)
{
	CHECK(owner == &exits);
	exits++;
	last_exit = reason;
}

static void set_up(void)
{
	struct arch_platform_host host = { .exit = note_exit, .owner = &exits };

	fake_console_create(&console);
	irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	host.console = fake_console_port(&console);
	host.uart_irq_fd = irq_fd;
	pio = (struct bus) { 0 };
	mmio = (struct bus) { 0 };
	exits = 0;
	CHECK(arch_platform_create(&platform, &host, &pio, &mmio) == 0);
}

static void tear_down(void)
{
	arch_platform_destroy(platform);
	close(irq_fd);
	fake_console_destroy(&console);
}

static uint8_t in(uint64_t port)
{
	uint8_t value;

	bus_read(&pio, port, &value, 1);
	return value;
}

static void out(uint64_t port, unsigned int value)
{
	const uint8_t byte = (uint8_t)value;

	bus_write(&pio, port, &byte, 1);
}

/* Whether the write ends the machine that way, and with one word. */
static bool exits_with(uint64_t port, unsigned int value,
		       enum capsa_exit reason)
{
	int before = exits;

	out(port, value);
	return exits == before + 1 && last_exit == reason;
}

static void sleep_control_powers_off(void)
{
	set_up();
	for (unsigned int value = 0; value < 256; value++) {
		bool off = (value & 0x3c) == 0x34; /* enabled, type 5 */
		int before = exits;

		out(X86_PORT_SLEEP_CONTROL, value);
		CHECK(exits - before == off);
	}
	CHECK(last_exit == CAPSA_EXIT_POWER_OFF);
	out(X86_PORT_SLEEP_STATUS, 0x80); /* Linux, before it sleeps */
	CHECK(in(X86_PORT_SLEEP_STATUS) == 0);
	CHECK(in(X86_PORT_SLEEP_CONTROL) == 0);
	tear_down();
}

static void reset_register_resets(void)
{
	set_up();
	out(X86_PORT_RESET, 0);
	out(X86_PORT_RESET, 2);
	CHECK(exits == 0);
	CHECK(exits_with(X86_PORT_RESET, 1, CAPSA_EXIT_RESET));
	CHECK(in(X86_PORT_RESET) == 0);
	tear_down();
}

static void keyboard_controller_resets_and_is_absent(void)
{
	set_up();
	for (unsigned int value = 0; value < 256; value++) {
		bool reset = value >= 0xf0 && value % 2 == 0;
		int before = exits;

		out(X86_PORT_I8042_COMMAND, value);
		CHECK(exits - before == reset);
	}
	CHECK(last_exit == CAPSA_EXIT_RESET);
	for (int i = 0; i < 100; i++) {
		CHECK(!(in(X86_PORT_I8042_COMMAND)&0x02)); /* takes input */
		CHECK(in(X86_PORT_I8042_COMMAND)&0x01);
		CHECK(in(X86_PORT_I8042_DATA) == 0xff);
	}
	tear_down();
}

static void panic_is_told(void)
{
	set_up();
	CHECK(in(X86_PORT_PVPANIC) == 1);
	out(X86_PORT_PVPANIC, 0);
	out(X86_PORT_PVPANIC, 2);
	CHECK(exits == 0);
	CHECK(exits_with(X86_PORT_PVPANIC, 1, CAPSA_EXIT_PANIC));
	CHECK(exits_with(X86_PORT_PVPANIC, 3, CAPSA_EXIT_PANIC));
	tear_down();
}

static void system_control_lets_no_kernel_wait(void)
{
	uint8_t before;

	set_up();
	out(X86_PORT_SYSTEM_CONTROL, 0xff);
	before = in(X86_PORT_SYSTEM_CONTROL);
	CHECK((before & 0x2f) == 0x2f && !(before & 0xc0));
	for (int i = 0; i < 10; i++) {
		uint8_t now = in(X86_PORT_SYSTEM_CONTROL);

		CHECK((now ^ before) == 0x10);
		before = now;
	}
	tear_down();
}

static void the_uart_is_there(void)
{
	eventfd_t count;

	set_up();
	out(X86_PORT_UART + UART_TX, '!');
	CHECK(console.output_length == 1 && console.output[0] == '!');
	out(X86_PORT_UART + UART_IER, UART_IER_RDI);
	fake_console_type(&console, "?", 1);
	arch_platform_input(platform);
	CHECK(eventfd_read(irq_fd, &count) == 0);
	CHECK(in(X86_PORT_UART + UART_RX) == '?');
	CHECK(arch_gsi_uart() == X86_GSI_UART);
	CHECK(arch_gsi_power_button() == X86_GSI_POWER_BUTTON);
	tear_down();
}

static void other_ports_float(void)
{
	set_up();
	for (uint64_t port = 0; port < 0x10000; port++) {
		bool ours = (port >= 0x3f8 && port < 0x400) || port == 0x61 ||
			    port == 0x64 || port == X86_PORT_PVPANIC ||
			    (port >= 0x600 && port <= 0x602);
		uint8_t wide[4];

		CHECK(ours || in(port) == 0xff);
		bus_read(&pio, port, wide, 4);
		if (!ours && port > 0x65)
			out(port, 0xff);
	}
	CHECK(exits == 0);
	tear_down();
}

static void a_taken_port_is_an_error(void)
{
	struct arch_platform_host host = { .exit = note_exit, .owner = &exits };
	struct arch_platform *second = NULL;

	set_up();
	CHECK(arch_platform_create(&second, &host, &pio, &mmio) < 0);
	CHECK(!second);
	arch_platform_destroy(NULL);
	tear_down();
}

int main(void)
{
	TEST(sleep_control_powers_off);
	TEST(reset_register_resets);
	TEST(keyboard_controller_resets_and_is_absent);
	TEST(panic_is_told);
	TEST(system_control_lets_no_kernel_wait);
	TEST(the_uart_is_there);
	TEST(other_ports_float);
	TEST(a_taken_port_is_an_error);
	return tap_done();
}
