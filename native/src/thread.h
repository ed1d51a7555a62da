/* SPDX-License-Identifier: MIT */
/* Threads of the library: named, and deaf to all signals. */
#ifndef CAPSA_THREAD_H
#define CAPSA_THREAD_H

#include <pthread.h>

/*
 * Starts a thread in which every signal is blocked, so that the process's own
 * handlers never run on it. name has at most 15 characters. 0 or -errno.
 */
int thread_create(pthread_t *thread, const char *name, void *(*run)(void *),
		  void *argument);

#endif
