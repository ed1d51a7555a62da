/* SPDX-License-Identifier: MIT */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "network.h"
#include "poller.h"

#define MODULES "/lib/modules"

enum { CONSOLE_WAIT_MS = 5000, LINE_BYTES = 4096 };

/* There is one first process: what it noted. */
static struct failure first_failure;

void boot_note(const char *step, int error, const char *subject)
{
	if (!first_failure.reason)
		failure_set(&first_failure, REASON_START, step, error,
			    subject);
}

int boot_failure(struct failure *failure)
{
	if (!first_failure.reason)
		return 0;
	*failure = first_failure;
	return -1;
}

static void mount_at(const char *type, const char *path, const char *options)
{
	/* Some kernels mount devtmpfs themselves. */
	if ((mkdir(path, 0755) && errno != EEXIST) ||
	    (mount(type, path, type, MS_NOSUID, options) && errno != EBUSY))
		boot_note("mount", errno, path);
}

/* The whole of a short file as a text, without the line's end; empty if it
 * cannot be read. */
static void read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[length > 0 ? length : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

int boot_parameter(const char *name, char *value, size_t size)
{
	char line[LINE_BYTES];
	size_t length = strlen(name);
	int found = -ENOENT;
	char *rest = line;
	const char *word;

	read_line("/proc/cmdline", line, sizeof(line));
	while ((word = strsep(&rest, " ")))
		if (!strncmp(word, name, length) && word[length] == '=') {
			snprintf(value, size, "%s", word + length + 1);
			found = 0;
		}
	return found;
}

void boot_console(char *path, size_t size)
{
	char line[LINE_BYTES];
	const char *last;

	read_line("/sys/class/tty/console/active", line, sizeof(line));
	/* The one that /dev/console stands for comes last. */
	last = strrchr(line, ' ');
	last = last ? last + 1 : line;
	snprintf(path, size, "/dev/%s", *last ? last : "console");
}

static void load_module(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), MODULES "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What is built in, or has no device here, is no failure. */
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) &&
		       errno != EEXIST && errno != ENODEV))
		boot_note("module", errno, name);
	if (fd >= 0)
		close(fd);
}

static void load_modules(FILE *order)
{
	char name[64];

	while (fscanf(order, "%63s", name) == 1)
		load_module(name);
	fclose(order);
}

static int open_news(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
				       .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		boot_note("devices", errno, NULL);
	return fd;
}

/* The console can be a device of a module, and appear a moment after its
 * driver. */
static void open_console(int news)
{
	int64_t until = poller_now_ms() + CONSOLE_WAIT_MS;
	char message[2048];
	int fd;

	while ((fd = open("/dev/console", O_RDWR | O_NOCTTY)) < 0) {
		struct pollfd wait = { .fd = news, .events = POLLIN };
		int64_t left = until - poller_now_ms();

		if (news < 0 || left <= 0 || poll(&wait, 1, (int)left) <= 0)
			return;
		while (recv(news, message, sizeof(message), 0) > 0)
			;
	}
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void greet(void)
{
	static const char line[] = "capsa: init\n";

	if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
		boot_note("console", errno, NULL);
}

int boot_run(void)
{
	FILE *order = fopen(MODULES "/order", "re");
	int news;
	int error;

	/* A kernel without modules has its console already; the time of this
	 * line is what a boot benchmark reads. */
	if (!order)
		greet();
	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mount_at("devtmpfs", "/dev", NULL);
	news = open_news();
	if (order) {
		load_modules(order);
		open_console(news);
		greet();
	}
	mount_at("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	mount_at("tmpfs", "/run", "mode=755");
	mount_at("tmpfs", "/tmp", "mode=1777");
	mount_at("cgroup2", "/sys/fs/cgroup", NULL);
	error = network_loopback_up();
	if (error)
		boot_note("network", -error, "lo");
	return news;
}
