/* SPDX-License-Identifier: MIT */
/*
 * The devices of one machine, and how its guest reaches them: the buses that
 * its vCPUs' accesses go to, and the eventfds by which KVM passes
 * notifications in and interrupts out.
 *
 * Made and freed on a worker thread while no vCPU runs.
 */
#ifndef CAPSA_BOARD_H
#define CAPSA_BOARD_H

#include "arch/arch.h"
#include "bus.h"
#include "capsa.h"
#include "loop.h"
#include "machine_config.h"
#include "memory.h"
#include "virtio/mmio.h"

struct machine;

struct board {
	struct machine *machine; /* all three are borrowed */
	const struct arch_shape *shape;
	const struct memory *memory;

	struct bus pio;
	struct bus mmio;
	struct arch_platform *platform;
	uint32_t virtio_count; /* of those that are there */
	struct virtio_mmio *virtio[ARCH_VIRTIO_MAX];
	struct virtio_device *console;      /* these are their transports' */
	struct virtio_device *power_button; /* NULL: an interrupt */
	struct virtio_device *balloon;      /* NULL: none */
	uint32_t disk_count;
	struct virtio_device *disks[CAPSA_DISKS_MAX];
	uint32_t share_count;
	struct virtio_device *shares[CAPSA_SHARES_MAX];
	struct virtio_device *vsock; /* NULL: none */
	int uart_irq_fd; /* owned, like every descriptor here; -1: none */
	int power_irq_fd;
	int virtio_irq_fds[ARCH_VIRTIO_MAX];
};

/* How a machine with these devices looks to its firmware tables. */
struct arch_shape board_shape(const struct machine_config *config);

/* An empty one; memory need not exist yet. */
void board_init(struct board *board, struct machine *machine,
		const struct arch_shape *shape, const struct memory *memory);

/* Creates the devices and connects them to KVM's vm_fd and to loop. */
enum capsa_status board_create(struct board *board, int vm_fd,
			       struct loop *loop, struct capsa_error *error);

/* Frees what there is, also when creating failed. */
void board_destroy(struct board *board);

/* Presses the power button. Only after board_create(), like the next. */
void board_press_power(struct board *board);

/* The guest is no more: what programs of the host have with it ends. */
void board_end(struct board *board);

/* Host input has come for the console. */
void board_console_input(struct board *board);

/* Fills in what the devices count. One thread at a time. */
void board_stats(struct board *board, struct capsa_stats *stats);

#endif
