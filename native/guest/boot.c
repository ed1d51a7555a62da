/* SPDX-License-Identifier: MIT */
#include "boot.h"

#include <ctype.h>
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
#define ORDER   MODULES "/order"

enum { CONSOLE_WAIT_MS = 5000, LINE_BYTES = 4096 };

/* There is one first process: what it noted. */
static struct failure first_failure;

void boot_note(const char *step, int error, const char *subject)
{
	if (!first_failure.reason)
		failure_set(&first_failure, REASON_START, step, error, subject);
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

/* The next word of the kernel's command line that is NAME=, without that; NULL
 * when there is no more. */
static const char *next_value(char **line, const char *name)
{
	size_t length = strlen(name);
	const char *word;

	while ((word = strsep(line, " ")))
		if (!strncmp(word, name, length) && word[length] == '=')
			return word + length + 1;
	return NULL;
}

int boot_parameter(const char *name, char *value, size_t size)
{
	char line[LINE_BYTES];
	int found = -ENOENT;
	char *rest = line;
	const char *word;

	read_line("/proc/cmdline", line, sizeof(line));
	while ((word = next_value(&rest, name))) {
		snprintf(value, size, "%s", word);
		found = 0;
	}
	return found;
}

/* Some bytes of a path are written as %XX. */
static void decode_path(const char *text, char *path, size_t size)
{
	size_t length = 0;

	while (*text && length + 1 < size) {
		unsigned int byte = (uint8_t)*text++;
		unsigned int code;

		if (byte == '%' && isxdigit((uint8_t)text[0]) &&
		    isxdigit((uint8_t)text[1]) &&
		    sscanf(text, "%2x", &code) == 1) {
			byte = code;
			text += 2;
		}
		path[length++] = (char)byte;
	}
	path[length] = '\0';
}

static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
		*slash++ = '/';
	}
}

/* TAG:ro|rw:PATH, a folder of the host. */
static void mount_share(const char *share)
{
	char tag[64] = "";
	char mode[4] = "";
	char path[PATH_MAX] = "";
	int start = 0;
	int error = EINVAL;

	if (sscanf(share, "%63[^:]:%3[^:]:%n", tag, mode, &start) == 2 &&
	    share[start] == '/') {
		decode_path(share + start, path, sizeof(path));
		error = -make_folders(path);
		if (!error && mount(tag, path, "virtiofs",
				    strcmp(mode, "ro") ? 0 : MS_RDONLY, NULL))
			error = errno;
	}
	if (!error)
		return;
	printf("capsa: share %s does not mount at %s\n", tag, path);
	fflush(stdout);
	boot_note("mount", error, path);
}

static void mount_shares(void)
{
	char line[LINE_BYTES];
	char *rest = line;
	const char *share;

	read_line("/proc/cmdline", line, sizeof(line));
	while ((share = next_value(&rest, "capsa.share")))
		mount_share(share);
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

/* The kernel could not: the console can be a device of a module, and appear a
 * moment after its driver. */
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

bool boot_begin(void)
{
	bool has_console = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	int fd;

	do
		fd = open("/", O_RDONLY | O_DIRECTORY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	mount_at("proc", "/proc", NULL);
	return has_console;
}

bool boot_has_modules(void)
{
	return !access(ORDER, F_OK);
}

int boot_run(bool has_console)
{
	FILE *order;
	int news;
	int error;

	/* The time of this line is what a boot benchmark reads. */
	if (has_console)
		greet();
	order = fopen(ORDER, "re");
	mount_at("sysfs", "/sys", NULL);
	mount_at("devtmpfs", "/dev", NULL);
	news = open_news();
	if (order)
		load_modules(order);
	if (!has_console) {
		open_console(news);
		greet();
	}
	mount_at("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	mount_at("tmpfs", "/run", "mode=755");
	mount_at("tmpfs", "/tmp", "mode=1777");
	mount_at("cgroup2", "/sys/fs/cgroup", NULL);
	mount_shares();
	error = network_loopback_up();
	if (error)
		boot_note("network", -error, "lo");
	return news;
}
