/* SPDX-License-Identifier: MIT */
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
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
	fake_console_destroy(&console);
	close(irq_fd);
}

static uint32_t get(uint64_t address, uint32_t length)
{
	uint8_t data[4] = { 0 };
	uint32_t value;

	bus_read(&mmio, address, data, length);
	memcpy(&value, data, sizeof(value));
	return value;
}

static void put(uint64_t address, uint32_t value, uint32_t length)
{
	uint8_t data[4];

	memcpy(data, &value, sizeof(data));
	bus_write(&mmio, address, data, length);
}

static void the_uart_is_in_memory(void)
{
	set_up();
	put(ARM64_UART + UART_TX, 'x', 1);
	CHECK(console.output_length == 1 && console.output[0] == 'x');
	CHECK(get(ARM64_UART + UART_LSR, 1) & UART_LSR_THRE);
	CHECK(arch_gsi_uart() == ARM64_GSI_UART);
	CHECK(pio.count == 0);
	tear_down();
}

static void the_clock_shows_the_hosts_time(void)
{
	uint32_t before;
	uint32_t shown;

	set_up();
	before = (uint32_t)time(NULL);
	shown = get(ARM64_RTC, 4);
	CHECK(shown >= before && shown <= (uint32_t)time(NULL));
	CHECK(get(ARM64_RTC + 0x0c, 4) == 1);
	tear_down();
}

static void the_clock_can_be_set(void)
{
	uint32_t shown;

	set_up();
	put(ARM64_RTC + 0x08, 1000, 4);
	CHECK(get(ARM64_RTC + 0x08, 4) == 1000);
	shown = get(ARM64_RTC, 4);
	/* It goes on from there, even to the end of its numbers and over. */
	CHECK(shown >= 1000 && shown < 2000);
	put(ARM64_RTC + 0x08, UINT32_MAX, 4);
	shown = get(ARM64_RTC, 4);
	CHECK(shown == UINT32_MAX || shown < 1000);
	tear_down();
}

/* What a driver of the Arm bus looks for; 0xfe0 and up, a byte in each. */
static void the_clock_says_what_it_is(void)
{
	uint64_t identity = 0;

	set_up();
	for (int i = 7; i >= 0; i--) {
		uint32_t byte = get(ARM64_RTC + 0xfe0 + 4u * (uint32_t)i, 4);

		CHECK(byte <= 0xff);
		identity = identity << 8 | byte;
	}
	CHECK(identity == 0xb105f00d00041031);
	tear_down();
}

static void other_accesses_to_the_clock_are_nothing(void)
{
	set_up();
	put(ARM64_RTC + 0x08, 5, 4);
	for (uint32_t offset = 0; offset < 0x1000; offset++) {
		if (offset % 4 != 0)
			CHECK(get(ARM64_RTC + offset, offset > 0xffc ? 1 : 4) ==
			      0);
		CHECK(get(ARM64_RTC + offset, 1) == 0);
		if (offset != 0x08)
			put(ARM64_RTC + offset, 77, 4);
		put(ARM64_RTC + offset, 77, 1);
	}
	CHECK(get(ARM64_RTC + 0x08, 4) == 5);
	tear_down();
}

static void a_panic_is_told(void)
{
	set_up();
	CHECK(get(ARM64_PVPANIC, 1) == 1);
	put(ARM64_PVPANIC, 2, 1);
	put(ARM64_PVPANIC + 1, 1, 1);
	CHECK(exits == 0);
	put(ARM64_PVPANIC, 1, 1);
	CHECK(exits == 1 && last_exit == CAPSA_EXIT_PANIC);
	tear_down();
}

static void a_taken_place_is_an_error(void)
{
	struct arch_platform_host host = { .exit = note_exit, .owner = &exits };
	struct arch_platform *second = NULL;

	set_up();
	host.uart_irq_fd = irq_fd;
	CHECK(arch_platform_create(&second, &host, &pio, &mmio) < 0);
	CHECK(second == NULL);
	arch_platform_destroy(NULL);
	tear_down();
}

int main(void)
{
	TEST(the_uart_is_in_memory);
	TEST(the_clock_shows_the_hosts_time);
	TEST(the_clock_can_be_set);
	TEST(the_clock_says_what_it_is);
	TEST(other_accesses_to_the_clock_are_nothing);
	TEST(a_panic_is_told);
	TEST(a_taken_place_is_an_error);
	return tap_done();
}
