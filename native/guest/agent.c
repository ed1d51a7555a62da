/* SPDX-License-Identifier: MIT */
#include "agent.h"

/* Before vm_sockets.h, which relies on it in older kernels. */
#include <sys/socket.h>

#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

enum {
	GRACE_MS = 5000,
	KILL_MS = 2000,
	LEAVE_MS = 1000,
};

int agent_open(struct agent *agent)
{
	static const int read[] = { SIGCHLD, SIGTERM, SIGINT,
				    SIGUSR1, SIGUSR2, SIGPWR };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		sigaddset(&set, read[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	agent->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return agent->signals < 0 ? -errno : 0;
}

bool agent_connect(struct agent *agent, int fd, bool port)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (agent->connections[i])
			continue;
		agent->connections[i] = malloc(sizeof(struct connection));
		if (!agent->connections[i])
			return false;
		connection_open(agent->connections[i], &agent->calls, fd, port);
		return true;
	}
	return false;
}

/* The guest's own processes must not be served: they would be root. */
static bool is_host(const struct sockaddr_storage *peer)
{
	struct sockaddr_vm address;

	if (peer->ss_family != AF_VSOCK)
		return peer->ss_family == AF_UNIX;
	memcpy(&address, peer, sizeof(address));
	return address.svm_cid == VMADDR_CID_HOST;
}

static void listener_ready(void *owner, short events, int detail)
{
	struct agent *agent = owner;
	struct sockaddr_storage peer = { 0 };
	socklen_t length = sizeof(peer);
	int fd = accept4(agent->listener, (struct sockaddr *)&peer, &length,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	(void)detail;
	if (fd >= 0 && (!is_host(&peer) || !agent_connect(agent, fd, false)))
		close(fd);
}

/* Every end of a process, also of those that nobody else waits for. */
static void reap(struct agent *agent)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!calls_reaped(&agent->calls, pid, status) && agent->guest)
			guest_reaped(agent->guest, agent, pid);
}

static void signals_ready(void *owner, short events, int detail)
{
	struct agent *agent = owner;
	struct signalfd_siginfo signal;

	(void)events;
	(void)detail;
	while (read(agent->signals, &signal, sizeof(signal)) == sizeof(signal))
		if (signal.ssi_signo != SIGCHLD)
			agent_stop(agent, GRACE_MS);
	reap(agent);
}

void agent_stop(struct agent *agent, uint32_t grace_ms)
{
	int64_t deadline_ms = poller_now_ms() + grace_ms;

	/* Of several, the shortest grace counts. */
	if (agent->stage == AGENT_ASKS && deadline_ms < agent->deadline_ms)
		agent->deadline_ms = deadline_ms;
	if (agent->stage != AGENT_SERVES)
		return;
	agent->stage = AGENT_ASKS;
	agent->deadline_ms = deadline_ms;
	if (agent->guest)
		guest_signal_all(agent->guest, SIGTERM);
	else
		calls_signal_all(&agent->calls, SIGTERM);
}

static bool all_ended(const struct agent *agent)
{
	siginfo_t info;

	if (!agent->guest)
		return !calls_any_alive(&agent->calls);
	/* Whoever lives has the first process as an ancestor. */
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
	       errno == ECHILD;
}

static bool all_said(const struct agent *agent)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (agent->connections[i] &&
		    agent->connections[i]->output.length > 0)
			return false;
	return true;
}

static void enter(struct agent *agent, enum agent_stage stage, int64_t ms)
{
	agent->stage = stage;
	agent->deadline_ms = poller_now_ms() + ms;
}

/* Ends what has to end. True when all has. */
static bool advance(struct agent *agent)
{
	bool late = agent->stage != AGENT_SERVES &&
		    poller_now_ms() >= agent->deadline_ms;

	if (agent->stage == AGENT_SERVES && agent->calls.main_ended)
		agent_stop(agent, GRACE_MS);
	if (((agent->stage == AGENT_ASKS || agent->stage == AGENT_KILLS) &&
	     all_ended(agent)) ||
	    (agent->stage == AGENT_KILLS && late)) {
		enter(agent, AGENT_LEAVES, LEAVE_MS);
	} else if (agent->stage == AGENT_ASKS && late) {
		if (agent->guest)
			guest_signal_all(agent->guest, SIGKILL);
		else
			calls_signal_all(&agent->calls, SIGKILL);
		enter(agent, AGENT_KILLS, KILL_MS);
	}
	return agent->stage == AGENT_LEAVES && (late || all_said(agent));
}

static void hear_hosts(struct agent *agent)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = agent->connections[i];

		if (!connection)
			continue;
		connection_hear(connection);
		if (connection->wants_shutdown)
			agent_stop(agent, connection->shutdown_ms);
		if (connection->state == CONNECTION_CLOSED) {
			free(connection);
			agent->connections[i] = NULL;
		}
	}
}

static void watch_hosts(struct agent *agent)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (agent->connections[i])
			connection_watch(agent->connections[i], &agent->poller);
}

static void leave_hosts(struct agent *agent)
{
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		if (agent->connections[i])
			connection_leave(agent->connections[i]);
}

void agent_run(struct agent *agent)
{
	struct poller *poller = &agent->poller;

	for (;;) {
		poller_begin(poller);
		poller_add(poller, agent->signals, POLLIN, signals_ready, agent,
			   0);
		if (agent->listener >= 0)
			poller_add(poller, agent->listener, POLLIN,
				   listener_ready, agent, 0);
		if (agent->guest)
			guest_watch(agent->guest, agent, poller);
		hear_hosts(agent);
		calls_watch(&agent->calls, poller);
		watch_hosts(agent);
		if (advance(agent)) {
			leave_hosts(agent);
			return;
		}
		if (agent->stage != AGENT_SERVES)
			poller_wake_at(poller, agent->deadline_ms);
		poller_turn(poller);
	}
}
