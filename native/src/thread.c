/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <signal.h>

int thread_create(pthread_t *thread, const char *name, void *(*run)(void *),
		  void *argument)
{
	sigset_t all;
	sigset_t before;
	int result;

	/* The new thread inherits the mask; ours is blocked for that long. */
	sigfillset(&all);
	result = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (result != 0)
		return -result;
	result = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0)
		return -result;
	/* A name is a convenience for people; it may fail. */
	(void)pthread_setname_np(*thread, name);
	return 0;
}
