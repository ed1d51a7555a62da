/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "call.h"
#include "connection.h"

void calls_open(struct calls *calls, const char *trees)
{
	memset(calls, 0, sizeof(*calls));
	calls->trees.folder = -1;
	if (trees)
		trees_open(&calls->trees, trees);
}

static void call_release(struct calls *calls, struct call *call)
{
	call_close(call);
	tree_drop(&calls->trees, call->tree);
	call->used = false;
}

/* Its program has ended and its host knows; what is still open belongs to
 * children that it left behind. */
static bool call_lingers(const struct call *call)
{
	return call->used && !call->host && call->pid == 0;
}

struct call *calls_free_slot(struct calls *calls)
{
	struct call *lingering = NULL;

	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		struct call *call = &calls->slots[i];

		if (!call->used)
			return call;
		if (call_lingers(call))
			lingering = call;
	}
	if (lingering)
		call_release(calls, lingering);
	return lingering;
}

bool calls_reaped(struct calls *calls, pid_t pid, int status)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		struct call *call = &calls->slots[i];

		if (!call->used || call->pid != pid)
			continue;
		call->pid = 0;
		call->status = status;
		calls->main_ended |= call->main;
		return true;
	}
	return false;
}

void call_signal(struct calls *calls, struct call *call, int number,
		 enum signal_scope scope)
{
	if (scope == SIGNAL_TREE && number == SIGKILL) {
		tree_kill(&calls->trees, call->tree, call->pid);
		scope = SIGNAL_PROCESS;
	}
	/* Once it is reaped, its number may be another's. */
	if (call->pid == 0)
		return;
	/* Before it has a group of its own it is still alone. */
	if (scope == SIGNAL_PROCESS || kill(-call->pid, number) < 0)
		kill(call->pid, number);
}

void call_cancel(struct calls *calls, struct call *call)
{
	call_signal(calls, call, SIGKILL, SIGNAL_TREE);
	for (int i = 0; i < 2; i++)
		call->outputs[i].dropped = true;
}

void call_resize(struct call *call, uint16_t columns, uint16_t rows)
{
	struct winsize size = { .ws_col = columns, .ws_row = rows };

	if (call->terminal && call->outputs[0].fd >= 0)
		ioctl(call->outputs[0].fd, TIOCSWINSZ, &size);
}

void calls_abandon(struct calls *calls, const struct connection *host)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		struct call *call = &calls->slots[i];

		if (!call->used || call->host != host)
			continue;
		call->host = NULL;
		if (call->pid != 0 && !call->main)
			call_cancel(calls, call);
	}
}

void calls_signal_all(struct calls *calls, int number)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++)
		if (calls->slots[i].used && calls->slots[i].pid != 0)
			call_signal(calls, &calls->slots[i], number,
				    number == SIGKILL ? SIGNAL_TREE
						      : SIGNAL_GROUP);
}

bool calls_any_alive(const struct calls *calls)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++)
		if (calls->slots[i].used && calls->slots[i].pid != 0)
			return true;
	return false;
}

void calls_watch(struct calls *calls, struct poller *poller)
{
	for (unsigned int i = 0; i < CALLS_MAX; i++) {
		struct call *call =
			&calls->slots[(calls->first + i) % CALLS_MAX];

		if (!call->used)
			continue;
		call_speak(call);
		if (call_is_over(call))
			call_release(calls, call);
		else
			call_watch(call, poller);
	}
	calls->first++;
}
