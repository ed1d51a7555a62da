/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "boot.h"
#include "descriptors.h"
#include "network.h"

enum {
	GRACE_MS = 5000,
	/* Without a server of addresses the shell is not held up for long. */
	SHELL_NETWORK_SECONDS = 4,
};

/* Calls `found` for each entry of a folder, of which there may be none. */
static void each_entry(const char *path,
		       void (*found)(struct guest *guest, struct agent *agent,
				     const char *name),
		       struct guest *guest, struct agent *agent)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			found(guest, agent, entry->d_name);
	if (folder)
		closedir(folder);
}

static void child_begin(void)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* The agent's virtio port, by the name that the host gave it. */
static void find_port(struct guest *guest, struct agent *agent,
		      const char *name)
{
	char path[64 + NAME_MAX];
	char label[64] = "";
	FILE *file;
	int fd;

	(void)guest;
	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%63s", label) != 1)
		label[0] = '\0';
	fclose(file);
	if (strcmp(label, AGENT_PORT_NAME) != 0)
		return;
	snprintf(path, sizeof(path), "/dev/%s", name);
	/* Busy when it is served already. */
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !agent_connect(agent, fd, true))
		close(fd);
}

static bool has_power_key(int fd)
{
	uint8_t keys[KEY_MAX / 8 + 1] = { 0 };

	return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 &&
	       keys[KEY_POWER / 8] & (1 << KEY_POWER % 8);
}

static void find_button(struct guest *guest, struct agent *agent,
			const char *name)
{
	char path[32 + NAME_MAX];
	int fd;

	(void)agent;
	if (strncmp(name, "event", 5) != 0 ||
	    guest->button_count == GUEST_BUTTONS_MAX)
		return;
	for (unsigned int i = 0; i < guest->button_count; i++)
		if (!strcmp(guest->button_names[i], name))
			return;
	snprintf(path, sizeof(path), "/dev/input/%s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!has_power_key(fd)) {
		close(fd);
		return;
	}
	guest->buttons[guest->button_count] = fd;
	snprintf(guest->button_names[guest->button_count++],
		 sizeof(guest->button_names[0]), "%.15s", name);
}

static pid_t start_keeper(const char *device)
{
	pid_t pid = fork();

	if (pid == 0) {
		child_begin();
		descriptors_close_from(STDERR_FILENO + 1);
		network_keep_lease(device);
	}
	if (pid < 0)
		boot_note("network", errno, device);
	return pid;
}

static void find_network(struct guest *guest, struct agent *agent,
			 const char *name)
{
	struct guest_network *network;

	(void)agent;
	if (!network_is_ethernet(name) ||
	    strlen(name) >= sizeof(network->device))
		return;
	for (unsigned int i = 0; i < guest->network_count; i++) {
		network = &guest->networks[i];
		if (strcmp(network->device, name) != 0)
			continue;
		/* It went away and is back. */
		if (network->keeper == 0)
			network->keeper = start_keeper(name);
		return;
	}
	if (guest->network_count == GUEST_DEVICES_MAX)
		return;
	network = &guest->networks[guest->network_count++];
	snprintf(network->device, sizeof(network->device), "%s", name);
	network->keeper = start_keeper(name);
}

static void find_devices(struct guest *guest, struct agent *agent)
{
	each_entry("/sys/class/virtio-ports", find_port, guest, agent);
	each_entry("/dev/input", find_button, guest, agent);
	each_entry("/sys/class/net", find_network, guest, agent);
}

/* Whoever sees the prompt may use the network. */
static void await_network(const struct guest *guest)
{
	char device[32];

	if (guest->network_count > 0 &&
	    network_await(SHELL_NETWORK_SECONDS, device, sizeof(device))) {
		printf("capsa: %s gets no address\n", device);
		fflush(stdout);
	}
}

/* Bash edits lines and expands "!" unless told not to: it shows and takes what
 * is typed as it is. */
static _Noreturn void become_shell(const struct guest *guest)
{
	static char *const sh[] = { "sh", NULL };
	static char *const bash[] = { "bash", "--norc", "--noediting", "+H",
				      NULL };
	static char *const env[] = { "HOME=/",
				     "PATH=/sbin:/bin:/usr/sbin:/usr/bin",
				     "PS1=capsa# ", NULL };
	int fd;

	child_begin();
	fd = open(guest->console, O_RDWR);
	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	ioctl(0, TIOCSCTTY, 1);
	await_network(guest);
	execve("/bin/bash", bash, env);
	execve("/bin/sh", sh, env);
	_exit(127);
}

static void start_shell(struct guest *guest)
{
	if (access("/bin/sh", X_OK))
		return;
	guest->shell = fork();
	if (guest->shell == 0)
		become_shell(guest);
	if (guest->shell < 0) {
		boot_note("shell", errno, NULL);
		guest->shell = 0;
	}
}

void guest_open(struct guest *guest, struct agent *agent, int news)
{
	memset(guest, 0, sizeof(*guest));
	guest->news = news;
	boot_console(guest->console, sizeof(guest->console));
	agent->guest = guest;
	agent->calls.console = guest->console;
	/* Whoever sees the prompt may press the button. */
	find_devices(guest, agent);
	start_shell(guest);
}

static void news_ready(void *owner, short events, int detail)
{
	struct agent *agent = owner;
	char message[2048];
	bool ours = false;
	ssize_t length;

	(void)events;
	(void)detail;
	/* "ACTION@PATH", then "KEY=VALUE" each with a NUL. */
	while ((length = recv(agent->guest->news, message, sizeof(message) - 1,
			      0)) > 0) {
		message[length] = '\0';
		for (char *at = message; at < message + length;
		     at += strlen(at) + 1)
			ours |= !strcmp(at, "SUBSYSTEM=virtio-ports") ||
				!strcmp(at, "SUBSYSTEM=input") ||
				!strcmp(at, "SUBSYSTEM=net");
	}
	/* Some may have been lost in a storm of them. */
	if (ours || (length < 0 && errno == ENOBUFS))
		find_devices(agent->guest, agent);
}

static void button_ready(void *owner, short events, int index)
{
	struct agent *agent = owner;
	struct guest *guest = agent->guest;
	struct input_event event;
	ssize_t length;

	(void)events;
	while ((length = read(guest->buttons[index], &event, sizeof(event))) ==
	       sizeof(event))
		if (event.type == EV_KEY && event.code == KEY_POWER &&
		    event.value == 1)
			agent_stop(agent, GRACE_MS);
	if (length < 0 && errno == EAGAIN)
		return;
	/* It was taken out. */
	close(guest->buttons[index]);
	guest->buttons[index] = -1;
}

void guest_watch(struct guest *guest, struct agent *agent,
		 struct poller *poller)
{
	if (guest->news >= 0)
		poller_add(poller, guest->news, POLLIN, news_ready, agent, 0);
	for (unsigned int i = 0; i < guest->button_count; i++)
		if (guest->buttons[i] >= 0)
			poller_add(poller, guest->buttons[i], POLLIN,
				   button_ready, agent, (int)i);
	/* The main process has the console to itself. */
	if (guest->shell > 0 && agent->calls.has_main) {
		kill(-guest->shell, SIGKILL);
		guest->shell = -1;
	}
}

void guest_reaped(struct guest *guest, struct agent *agent, pid_t pid)
{
	/* The machine ends with its shell. */
	if (pid == guest->shell)
		agent_stop(agent, GRACE_MS);
	for (unsigned int i = 0; i < guest->network_count; i++)
		if (guest->networks[i].keeper == pid)
			guest->networks[i].keeper = 0;
}

void guest_signal_all(struct guest *guest, int number)
{
	/* A shell with a terminal obeys no SIGTERM. */
	if (guest->shell > 0)
		kill(guest->shell, SIGHUP);
	kill(-1, number);
	kill(-1, SIGCONT);
}
