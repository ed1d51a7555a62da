/* SPDX-License-Identifier: MIT */
/*
 * An I/O thread that stands still, so that a device's turns can be taken one
 * by one, and what each of them does be measured.
 */
#ifndef CAPSA_STOPPED_LOOP_H
#define CAPSA_STOPPED_LOOP_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "virtio/device.h"
#include "virtio/mmio.h"

struct stopped_loop {
	struct loop_source source;
	struct loop *loop;
	sem_t stopped;
	sem_t go_on;
};

static inline void stopped_loop_ready(struct loop_source *source)
{
	struct stopped_loop *stop = (struct stopped_loop *)source;
	eventfd_t count;

	eventfd_read(source->fd, &count);
	sem_post(&stop->stopped);
	sem_wait(&stop->go_on);
}

/* Returns once the thread stands still. */
static inline void stopped_loop_begin(struct stopped_loop *stop,
				      struct loop *loop)
{
	*stop = (struct stopped_loop) {
		.source = { .fd = eventfd(1, EFD_CLOEXEC),
			    .ready = stopped_loop_ready },
		.loop = loop,
	};
	sem_init(&stop->stopped, 0, 0);
	sem_init(&stop->go_on, 0, 0);
	if (loop_add(loop, &stop->source) < 0)
		exit(2);
	sem_wait(&stop->stopped);
}

static inline void stopped_loop_end(struct stopped_loop *stop)
{
	sem_post(&stop->go_on);
	loop_remove(stop->loop, &stop->source);
	close(stop->source.fd);
	sem_destroy(&stop->stopped);
	sem_destroy(&stop->go_on);
}

/*
 * What the loop would do now for a queue: a turn if it was notified or
 * kicked. False if it was not.
 */
static inline bool stopped_loop_turn(struct virtio_mmio *mmio,
				     struct virtio_device *device,
				     uint32_t queue)
{
	eventfd_t count;

	if (eventfd_read(virtio_mmio_notify_fd(mmio, queue), &count) < 0)
		return false;
	pthread_mutex_lock(&device->lock);
	if (device->active)
		device->ops->notify(device, queue);
	pthread_mutex_unlock(&device->lock);
	return true;
}

#endif
