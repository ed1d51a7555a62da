/* SPDX-License-Identifier: MIT */
/*
 * The fixed devices of the x86_64 machine. Apart from the UART they remember
 * next to nothing: what the guest writes there is an event for the machine.
 */
#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "device/uart.h"

/* ACPI 6.4, section 4.8.3.7: sleep control register */
#define SLEEP_ENABLE     0x20u
#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK  0x7u

#define PVPANIC_PANICKED 0x01u

#define I8042_OUTPUT_FULL 0x01u
#define I8042_PULSE       0xf0u /* a set bit below leaves its line alone */
#define I8042_PULSE_RESET 0x01u

#define CONTROL_WRITABLE 0x0fu
#define CONTROL_REFRESH  0x10u
#define CONTROL_TIMER2   0x20u

enum { PLATFORM_RANGES = 3 };

/* What a range on the bus belongs to, and its first port. */
struct platform_ports {
	struct arch_platform *platform;
	uint64_t first;
};

struct arch_platform {
	struct arch_platform_host host;
	struct uart *uart;
	struct platform_ports ports[PLATFORM_RANGES];
	uint8_t system_control; /* atomic, like all that ports share */
};

static void platform_exit(const struct arch_platform *platform,
			  enum capsa_exit reason)
{
	platform->host.exit(platform->host.owner, reason);
}

/*
 * Memory refresh toggles with every look and timer 2 has always run out:
 * kernels that calibrate against one of them would wait for ever otherwise.
 */
static uint8_t platform_system_control(struct arch_platform *platform)
{
	return __atomic_fetch_xor(&platform->system_control, CONTROL_REFRESH,
				  __ATOMIC_RELAXED) |
	       CONTROL_TIMER2;
}

static void platform_set_system_control(struct arch_platform *platform,
					uint8_t value)
{
	__atomic_store_n(&platform->system_control, value & CONTROL_WRITABLE,
			 __ATOMIC_RELAXED);
}

static uint8_t platform_port_read(struct arch_platform *platform, uint64_t port)
{
	switch (port) {
	case X86_PORT_SYSTEM_CONTROL:
		return platform_system_control(platform);
	case X86_PORT_I8042_COMMAND:
		/*
		 * Ready for a command, with output that never ends: Linux
		 * takes it for no controller within a millisecond, where an
		 * empty one would be waited for.
		 */
		return I8042_OUTPUT_FULL;
	case X86_PORT_SLEEP_CONTROL:
	case X86_PORT_SLEEP_STATUS:
	case X86_PORT_RESET:
		return 0;
	case X86_PORT_PVPANIC:
		return PVPANIC_PANICKED;
	default:
		return 0xff;
	}
}

static void platform_port_write(struct arch_platform *platform, uint64_t port,
				uint8_t value)
{
	switch (port) {
	case X86_PORT_SYSTEM_CONTROL:
		platform_set_system_control(platform, value);
		break;
	case X86_PORT_I8042_COMMAND:
		if ((value & I8042_PULSE) == I8042_PULSE &&
		    !(value & I8042_PULSE_RESET))
			platform_exit(platform, CAPSA_EXIT_RESET);
		break;
	case X86_PORT_PVPANIC:
		if (value & PVPANIC_PANICKED)
			platform_exit(platform, CAPSA_EXIT_PANIC);
		break;
	case X86_PORT_SLEEP_CONTROL:
		if (value & SLEEP_ENABLE &&
		    (value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) ==
			    X86_SLEEP_TYPE_S5)
			platform_exit(platform, CAPSA_EXIT_POWER_OFF);
		break;
	case X86_PORT_RESET:
		if (value == X86_RESET_VALUE)
			platform_exit(platform, CAPSA_EXIT_RESET);
		break;
	default:
		break;
	}
}

/* A wider access is what the bus makes of it: one byte after the other. */
static void platform_read(void *device, uint64_t offset, uint8_t *data,
			  uint32_t length)
{
	const struct platform_ports *ports = device;

	for (uint32_t i = 0; i < length; i++)
		data[i] = platform_port_read(ports->platform,
					     ports->first + offset + i);
}

static void platform_write(void *device, uint64_t offset, const uint8_t *data,
			   uint32_t length)
{
	const struct platform_ports *ports = device;

	for (uint32_t i = 0; i < length; i++)
		platform_port_write(ports->platform, ports->first + offset + i,
				    data[i]);
}

static const struct bus_ops platform_ops = {
	.read = platform_read,
	.write = platform_write,
};

static int platform_connect(struct arch_platform *platform, struct bus *pio)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[PLATFORM_RANGES] = {
		{ X86_PORT_I8042_DATA, X86_PORT_I8042_COMMAND },
		{ X86_PORT_PVPANIC, X86_PORT_PVPANIC },
		{ X86_PORT_SLEEP_CONTROL, X86_PORT_RESET },
	};
	int error = bus_add(pio, X86_PORT_UART, UART_PORTS, &uart_bus_ops,
			    platform->uart);

	for (uint32_t i = 0; i < PLATFORM_RANGES && error == 0; i++) {
		struct platform_ports *ports = &platform->ports[i];

		ports->platform = platform;
		ports->first = ranges[i].first;
		error = bus_add(pio, ranges[i].first,
				ranges[i].last - ranges[i].first + 1,
				&platform_ops, ports);
	}
	return error;
}

int arch_platform_create(struct arch_platform **out,
			 const struct arch_platform_host *host, struct bus *pio,
			 struct bus *mmio)
{
	struct arch_platform *platform = calloc(1, sizeof(*platform));
	int error;

	(void)mmio; /* all of them are ports */
	if (!platform)
		return -ENOMEM;
	platform->host = *host;
	error = uart_create(&platform->uart, &host->console, host->uart_irq_fd);
	if (error == 0)
		error = platform_connect(platform, pio);
	if (error < 0) {
		arch_platform_destroy(platform);
		return error;
	}
	*out = platform;
	return 0;
}

void arch_platform_destroy(struct arch_platform *platform)
{
	if (!platform)
		return;
	uart_destroy(platform->uart);
	free(platform);
}

void arch_platform_input(struct arch_platform *platform)
{
	uart_input(platform->uart);
}
