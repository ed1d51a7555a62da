/* SPDX-License-Identifier: MIT */
/*
 * capsa-init: the first process of capsa's guests, and their agent.
 *
 *   /init                       in a guest
 *   capsa-init --unix PATH      an agent alone, on a socket, for tests
 *   capsa-init --version
 */
/* Before vm_sockets.h, which relies on it in older kernels. */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent.h"
#include "boot.h"
#include "guest.h"

enum { BACKLOG = 8 };

static struct agent agent; /* large, and there is one */
static struct guest guest;

static int listen_at(const struct sockaddr *address, socklen_t length)
{
	int fd = socket(address->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, address, length) || listen(fd, BACKLOG)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* A kernel without vsock, or a machine without the device, has a port. */
static int listen_vsock(void)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_PORT,
		.svm_cid = VMADDR_CID_ANY,
	};

	return listen_at((struct sockaddr *)&address, sizeof(address));
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	umask(0077);
	return listen_at((struct sockaddr *)&address, sizeof(address));
}

static int serve_unix(const char *path)
{
	int error = agent_open(&agent);

	calls_open(&agent.calls, NULL);
	if (!error) {
		agent.listener = listen_unix(path);
		error = agent.listener < 0 ? agent.listener : 0;
	}
	umask(0022);
	if (error) {
		fprintf(stderr, "capsa-init: %s: %s\n", path, strerror(-error));
		return 1;
	}
	agent_run(&agent);
	unlink(path);
	return 0;
}

/* Before the greeting on the console, at which the host connects; but not for
 * another program, and not to have the kernel look for a module. */
static int listen_early(void)
{
	char path[256];

	if (boot_has_modules() ||
	    !boot_parameter("capsa.init", path, sizeof(path)))
		return -1;
	return listen_vsock();
}

/* Another program may take over when all is prepared. */
static void become_other_init(void)
{
	static char *const env[] = { "HOME=/",
				     "PATH=/sbin:/bin:/usr/sbin:/usr/bin",
				     "PS1=capsa# ", NULL };
	char path[256];
	char *argv[] = { path, NULL };

	if (boot_parameter("capsa.init", path, sizeof(path)))
		return;
	execve(path, argv, env);
	boot_note("init", errno, path);
}

static _Noreturn void be_init(void)
{
	bool has_console = boot_begin();
	int news;
	int error;

	agent.listener = listen_early();
	news = boot_run(has_console);
	become_other_init();
	error = agent_open(&agent);
	if (error)
		boot_note("signals", -error, NULL);
	calls_open(&agent.calls, "/sys/fs/cgroup/capsa");
	agent.calls.guest = true;
	if (agent.listener < 0)
		agent.listener = listen_vsock();
	guest_open(&guest, &agent, news);
	agent_run(&agent);
	sync();
	reboot(RB_POWER_OFF);
	/* A machine that cannot is stopped by its host. */
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		be_init();
	if (argc == 3 && !strcmp(argv[1], "--unix"))
		return serve_unix(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts(AGENT_VERSION);
		return 0;
	}
	fputs("usage: capsa-init --unix PATH | --version\n", stderr);
	return 2;
}
