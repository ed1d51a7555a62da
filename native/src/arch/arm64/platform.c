/* SPDX-License-Identifier: MIT */
/*
 * The fixed devices of the arm64 machine. Power and reset are calls that KVM
 * itself answers (PSCI).
 */
#include <errno.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "device/uart.h"
#include "layout.h"
#include "pl031.h"

#define PVPANIC_PANICKED 0x01u

struct arch_platform {
	struct arch_platform_host host;
	struct uart *uart;
	struct pl031 rtc;
};

static void pvpanic_read(void *device, uint64_t offset, uint8_t *data,
			 uint32_t length)
{
	(void)device;
	(void)length;
	if (offset == 0)
		data[0] = PVPANIC_PANICKED; /* the event that it understands */
}

static void pvpanic_write(void *device, uint64_t offset, const uint8_t *data,
			  uint32_t length)
{
	const struct arch_platform *platform = device;

	(void)length;
	if (offset == 0 && data[0] & PVPANIC_PANICKED)
		platform->host.exit(platform->host.owner, CAPSA_EXIT_PANIC);
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
};

int arch_platform_create(struct arch_platform **out,
			 const struct arch_platform_host *host, struct bus *pio,
			 struct bus *mmio)
{
	struct arch_platform *platform = calloc(1, sizeof(*platform));
	int error;

	(void)pio;
	if (!platform)
		return -ENOMEM;
	platform->host = *host;
	error = uart_create(&platform->uart, &host->console, host->uart_irq_fd);
	if (error == 0)
		error = bus_add(mmio, ARM64_UART, UART_PORTS, &uart_bus_ops,
				platform->uart);
	if (error == 0)
		error = bus_add(mmio, ARM64_RTC, PL031_SIZE, &pl031_bus_ops,
				&platform->rtc);
	if (error == 0)
		error = bus_add(mmio, ARM64_PVPANIC, ARM64_PVPANIC_SIZE,
				&pvpanic_bus_ops, platform);
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
