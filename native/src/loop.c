/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	LOOP_BATCH = 32,      /* events taken from the kernel at a time */
	LOOP_SLOTS_STEP = 16, /* the table grows by */
};

#define LOOP_STOP UINT64_MAX /* id of the descriptor that ends the thread */

/*
 * The kernel hands back a number, not a pointer: an event that was on its way
 * while its source was removed then finds nobody, even when the slot has been
 * taken by another source since.
 */
struct loop_slot {
	struct loop_source *source; /* NULL: free */
	uint32_t generation;
};

struct loop {
	int epoll_fd;
	int stop_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t idle;  /* running became NULL */
	struct loop_source *running;
	struct loop_slot *slots;
	uint32_t slot_count;
};

static struct loop_slot *loop_slot(struct loop *loop, uint64_t id)
{
	struct loop_slot *slot = &loop->slots[(uint32_t)id];

	return slot->generation == id >> 32 ? slot : NULL;
}

static void loop_dispatch(struct loop *loop, uint64_t id, uint32_t events)
{
	struct loop_slot *slot;
	struct loop_source *source;

	pthread_mutex_lock(&loop->lock);
	slot = loop_slot(loop, id);
	source = slot ? slot->source : NULL;
	loop->running = source;
	/* These can't be unsubscribed and would wake the thread for ever. */
	if (source && events & (EPOLLERR | EPOLLHUP))
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	pthread_mutex_unlock(&loop->lock);
	if (!source)
		return;

	source->ready(source);

	pthread_mutex_lock(&loop->lock);
	loop->running = NULL;
	pthread_cond_broadcast(&loop->idle);
	pthread_mutex_unlock(&loop->lock);
}

static void *loop_thread(void *argument)
{
	struct loop *loop = argument;
	struct epoll_event events[LOOP_BATCH];

	for (;;) {
		int count = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, -1);

		if (count < 0 && errno != EINTR)
			return NULL;
		for (int i = 0; i < count; i++) {
			if (events[i].data.u64 == LOOP_STOP)
				return NULL;
			loop_dispatch(loop, events[i].data.u64,
				      events[i].events);
		}
	}
}

static int loop_start_thread(struct loop *loop)
{
	sigset_t all;
	sigset_t before;
	int error;

	/* The thread inherits the mask: no signal may ever land on it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&loop->thread, NULL, loop_thread, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_setname_np(loop->thread, "capsa-io");
	return -error;
}

static void loop_free(struct loop *loop)
{
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	free(loop->slots);
	free(loop);
}

int loop_create(struct loop **out)
{
	struct epoll_event stop = { .events = EPOLLIN, .data.u64 = LOOP_STOP };
	struct loop *loop = calloc(1, sizeof(*loop));
	int error;

	if (!loop)
		return -ENOMEM;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	loop->stop_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd >= 0)
		loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->stop_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->stop_fd, &stop) < 0)
		error = -errno;
	else
		error = loop_start_thread(loop);
	if (error < 0) {
		loop_free(loop);
		return error;
	}
	*out = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	eventfd_write(loop->stop_fd, 1);
	pthread_join(loop->thread, NULL);
	loop_free(loop);
}

/* Index of a free slot, or -ENOMEM. */
static int64_t loop_free_slot(struct loop *loop)
{
	uint32_t count = loop->slot_count;
	struct loop_slot *grown;

	for (uint32_t i = 0; i < count; i++)
		if (!loop->slots[i].source)
			return i;
	grown = realloc(loop->slots,
			(count + LOOP_SLOTS_STEP) * sizeof(*loop->slots));
	if (!grown)
		return -ENOMEM;
	for (uint32_t i = count; i < count + LOOP_SLOTS_STEP; i++)
		grown[i] = (struct loop_slot) { 0 };
	loop->slots = grown;
	loop->slot_count = count + LOOP_SLOTS_STEP;
	return count;
}

static int loop_add_locked(struct loop *loop, struct loop_source *source)
{
	struct epoll_event event = { .events = EPOLLIN };
	int64_t index = loop_free_slot(loop);
	struct loop_slot *slot;

	if (index < 0)
		return (int)index;
	slot = &loop->slots[index];
	source->id = (uint64_t)slot->generation << 32 | (uint32_t)index;
	event.data.u64 = source->id;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	slot->source = source;
	return 0;
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	int result;

	pthread_mutex_lock(&loop->lock);
	result = loop_add_locked(loop, source);
	pthread_mutex_unlock(&loop->lock);
	return result;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	struct loop_slot *slot;

	pthread_mutex_lock(&loop->lock);
	slot = loop_slot(loop, source->id);
	if (slot && slot->source == source) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
		slot->source = NULL;
		slot->generation++;
	}
	while (loop->running == source)
		pthread_cond_wait(&loop->idle, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
}
