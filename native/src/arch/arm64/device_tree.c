/* SPDX-License-Identifier: MIT */
/*
 * Words and numbers as the bindings of Linux have them
 * (Documentation/devicetree/bindings).
 */
#include "device_tree.h"

#include <stdio.h>
#include <string.h>

#include "device/uart.h"
#include "fdt.h"
#include "layout.h"
#include "pl031.h"

/* Phandles: how nodes name each other */
enum {
	TREE_INTERRUPT_CONTROLLER = 1,
	TREE_CLOCK = 2,
};

/* Cells of an interrupt */
enum {
	TREE_SPI = 0,
	TREE_PPI = 1,
	TREE_EDGE_RISING = 1,
	TREE_LEVEL_HIGH = 4,
	TREE_GICV2_CPUS_SHIFT = 8, /* whose private interrupt it is */
};

enum {
	TREE_NAME_MAX = 32,
	TREE_CLOCK_HERTZ = 24000000, /* of devices that want to be told one */
	TREE_UART_HERTZ = 1843200,
};

static void tree_open(struct fdt *fdt, const char *name, uint64_t address)
{
	char full[TREE_NAME_MAX];

	(void)snprintf(full, sizeof(full), "%s@%llx", name,
		       (unsigned long long)address);
	fdt_node(fdt, full);
}

static void tree_registers(struct fdt *fdt, uint64_t address, uint64_t size)
{
	const uint64_t range[] = { address, size };

	fdt_wide(fdt, "reg", range, 2);
}

/*
 * Interrupts of ours are edges: an eventfd lowers a line as soon as it has
 * raised it.
 */
static void tree_interrupt(struct fdt *fdt, uint32_t gsi)
{
	const uint32_t cells[] = { TREE_SPI, gsi, TREE_EDGE_RISING };

	fdt_cells(fdt, "interrupts", cells, 3);
}

static void tree_chosen(struct fdt *fdt, const struct device_tree *tree)
{
	const uint64_t end = tree->initrd + tree->initrd_size;
	char console[TREE_NAME_MAX];

	(void)snprintf(console, sizeof(console), "/serial@%x", ARM64_UART);
	fdt_node(fdt, "chosen");
	fdt_text(fdt, "bootargs", tree->cmdline);
	fdt_text(fdt, "stdout-path", console);
	if (tree->initrd_size > 0) {
		fdt_wide(fdt, "linux,initrd-start", &tree->initrd, 1);
		fdt_wide(fdt, "linux,initrd-end", &end, 1);
	}
	fdt_wide(fdt, "kaslr-seed", &tree->layout_seed, 1);
	fdt_bytes(fdt, "rng-seed", tree->seed, sizeof(tree->seed));
	fdt_end_node(fdt);
}

static void tree_memory(struct fdt *fdt, const struct memory *memory)
{
	const struct memory_range *range = &memory->ranges[0];

	tree_open(fdt, "memory", range->address);
	fdt_text(fdt, "device_type", "memory");
	tree_registers(fdt, range->address, range->size);
	fdt_end_node(fdt);
}

static void tree_cpus(struct fdt *fdt, uint32_t cpus)
{
	fdt_node(fdt, "cpus");
	fdt_cell(fdt, "#address-cells", 1);
	fdt_cell(fdt, "#size-cells", 0);
	for (uint32_t i = 0; i < cpus; i++) {
		tree_open(fdt, "cpu", ARM64_AFFINITY(i));
		fdt_text(fdt, "device_type", "cpu");
		fdt_text(fdt, "compatible", "arm,armv8");
		fdt_cell(fdt, "reg", ARM64_AFFINITY(i));
		fdt_text(fdt, "enable-method", "psci");
		fdt_end_node(fdt);
	}
	fdt_end_node(fdt);
}

static void tree_psci(struct fdt *fdt)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	fdt_node(fdt, "psci");
	fdt_bytes(fdt, "compatible", compatible, sizeof(compatible));
	fdt_text(fdt, "method", "hvc");
	fdt_end_node(fdt);
}

static void tree_timer(struct fdt *fdt, uint32_t cpus, uint32_t gic)
{
	static const uint32_t timers[] = { ARM64_PPI_SECURE_TIMER,
					   ARM64_PPI_PHYSICAL_TIMER,
					   ARM64_PPI_VIRTUAL_TIMER,
					   ARM64_PPI_HYPERVISOR_TIMER };
	enum { TIMERS = sizeof(timers) / sizeof(timers[0]) };
	uint32_t served = cpus < ARM64_GICV2_CPUS_MAX ? cpus
						      : ARM64_GICV2_CPUS_MAX;
	uint32_t whose = gic == 2
				 ? ((1u << served) - 1) << TREE_GICV2_CPUS_SHIFT
				 : 0;
	uint32_t cells[3 * TIMERS];

	for (size_t i = 0; i < TIMERS; i++) {
		cells[3 * i] = TREE_PPI;
		cells[3 * i + 1] = timers[i];
		cells[3 * i + 2] = TREE_LEVEL_HIGH | whose;
	}
	fdt_node(fdt, "timer");
	fdt_text(fdt, "compatible", "arm,armv8-timer");
	fdt_cells(fdt, "interrupts", cells, sizeof(cells) / sizeof(cells[0]));
	fdt_flag(fdt, "always-on");
	fdt_end_node(fdt);
}

static void tree_interrupt_controller(struct fdt *fdt, uint32_t cpus,
				      uint32_t gic)
{
	const uint64_t version3[] = { ARM64_GIC_DISTRIBUTOR,
				      ARM64_GIC_DISTRIBUTOR_SIZE,
				      ARM64_GIC_REDISTRIBUTORS,
				      (uint64_t)cpus *
					      ARM64_GIC_REDISTRIBUTOR_SIZE };
	const uint64_t version2[] = { ARM64_GIC_DISTRIBUTOR, 0x1000,
				      ARM64_GICV2_CPU_INTERFACE,
				      ARM64_GICV2_CPU_INTERFACE_SIZE };

	tree_open(fdt, "interrupt-controller", ARM64_GIC_DISTRIBUTOR);
	fdt_text(fdt, "compatible",
		 gic == 2 ? "arm,cortex-a15-gic" : "arm,gic-v3");
	fdt_wide(fdt, "reg", gic == 2 ? version2 : version3, 4);
	fdt_flag(fdt, "interrupt-controller");
	fdt_cell(fdt, "#interrupt-cells", 3);
	fdt_cell(fdt, "#address-cells", 0); /* it has no children */
	fdt_cell(fdt, "phandle", TREE_INTERRUPT_CONTROLLER);
	fdt_end_node(fdt);
}

static void tree_uart(struct fdt *fdt)
{
	tree_open(fdt, "serial", ARM64_UART);
	fdt_text(fdt, "compatible", "ns16550a");
	tree_registers(fdt, ARM64_UART, UART_PORTS);
	tree_interrupt(fdt, ARM64_GSI_UART);
	fdt_cell(fdt, "clock-frequency", TREE_UART_HERTZ);
	fdt_end_node(fdt);
}

static void tree_rtc(struct fdt *fdt)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";

	tree_open(fdt, "rtc", ARM64_RTC);
	fdt_bytes(fdt, "compatible", compatible, sizeof(compatible));
	tree_registers(fdt, ARM64_RTC, PL031_SIZE);
	fdt_cell(fdt, "clocks", TREE_CLOCK);
	fdt_text(fdt, "clock-names", "apb_pclk");
	fdt_end_node(fdt);
}

static void tree_clock(struct fdt *fdt)
{
	fdt_node(fdt, "apb-pclk");
	fdt_text(fdt, "compatible", "fixed-clock");
	fdt_cell(fdt, "#clock-cells", 0);
	fdt_cell(fdt, "clock-frequency", TREE_CLOCK_HERTZ);
	fdt_cell(fdt, "phandle", TREE_CLOCK);
	fdt_end_node(fdt);
}

static void tree_pvpanic(struct fdt *fdt)
{
	tree_open(fdt, "pvpanic", ARM64_PVPANIC);
	fdt_text(fdt, "compatible", "qemu,pvpanic-mmio");
	tree_registers(fdt, ARM64_PVPANIC, ARM64_PVPANIC_SIZE);
	fdt_end_node(fdt);
}

/* The device sees what the processors' caches hold: we are a program there. */
static void tree_virtio(struct fdt *fdt, const struct arch_virtio_slot *slot)
{
	tree_open(fdt, "virtio_mmio", slot->base);
	fdt_text(fdt, "compatible", "virtio,mmio");
	tree_registers(fdt, slot->base, ARM64_VIRTIO_SIZE);
	tree_interrupt(fdt, slot->gsi);
	fdt_flag(fdt, "dma-coherent");
	fdt_end_node(fdt);
}

size_t device_tree_build(const struct device_tree *tree, uint32_t gic,
			 uint8_t out[DEVICE_TREE_SIZE_MAX])
{
	const struct arch_shape *shape = tree->shape;
	struct fdt fdt;

	fdt_begin(&fdt, out, DEVICE_TREE_SIZE_MAX);
	fdt_text(&fdt, "compatible", "linux,dummy-virt");
	fdt_cell(&fdt, "#address-cells", 2);
	fdt_cell(&fdt, "#size-cells", 2);
	fdt_cell(&fdt, "interrupt-parent", TREE_INTERRUPT_CONTROLLER);
	tree_chosen(&fdt, tree);
	tree_memory(&fdt, tree->memory);
	tree_cpus(&fdt, shape->cpus);
	tree_psci(&fdt);
	tree_timer(&fdt, shape->cpus, gic);
	tree_interrupt_controller(&fdt, shape->cpus, gic);
	tree_clock(&fdt);
	tree_uart(&fdt);
	tree_rtc(&fdt);
	tree_pvpanic(&fdt);
	for (uint32_t i = 0; i < shape->virtio_count; i++)
		tree_virtio(&fdt, &shape->virtio[i]);
	return fdt_finish(&fdt);
}
