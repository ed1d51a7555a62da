/* SPDX-License-Identifier: MIT */
#include "poller.h"

#include <limits.h>
#include <time.h>

int64_t poller_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void poller_begin(struct poller *poller)
{
	poller->count = 0;
	poller->deadline_ms = -1;
}

void poller_add(struct poller *poller, int fd, short events, poller_ready ready,
		void *owner, int detail)
{
	unsigned int index = poller->count;

	if (index == POLLER_WATCHES_MAX)
		return;
	poller->fds[index] = (struct pollfd) { .fd = fd, .events = events };
	poller->watches[index] = (struct poller_watch) { ready, owner, detail };
	poller->count++;
}

void poller_wake_at(struct poller *poller, int64_t deadline_ms)
{
	if (poller->deadline_ms < 0 || deadline_ms < poller->deadline_ms)
		poller->deadline_ms = deadline_ms;
}

void poller_turn(struct poller *poller)
{
	int64_t wait_ms = -1;

	if (poller->deadline_ms >= 0) {
		wait_ms = poller->deadline_ms - poller_now_ms();
		wait_ms = wait_ms < 0 ? 0 : wait_ms;
		wait_ms = wait_ms > INT_MAX ? INT_MAX : wait_ms;
	}
	if (poll(poller->fds, poller->count, (int)wait_ms) <= 0)
		return;
	for (unsigned int i = 0; i < poller->count; i++) {
		const struct poller_watch *watch = &poller->watches[i];
		short events = poller->fds[i].revents;

		if (events)
			watch->ready(watch->owner, events, watch->detail);
	}
}
