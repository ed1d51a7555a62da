/* SPDX-License-Identifier: MIT */
/*
 * In place of the C library's fork() and kill(): the agent's calls get children
 * that never ran. Whatever a test or a fuzzer has the agent start, no program
 * is, and no process hears a signal.
 */
#ifndef CAPSA_FAKE_CHILDREN_H
#define CAPSA_FAKE_CHILDREN_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

/* No kernel gives such a number to a process. */
enum { FAKE_PID_FIRST = 1 << 23 };

static pid_t fake_pid_next = FAKE_PID_FIRST;
/* The last signal. */
static struct {
	pid_t pid;
	int number;
} fake_kill;

/* Only the parent returns. */
__attribute__((visibility("default"))) pid_t fork(void)
{
	return fake_pid_next++;
}

__attribute__((visibility("default"))) int kill(pid_t pid, int number)
{
	fake_kill.pid = pid;
	fake_kill.number = number;
	return 0;
}

#endif
