/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void trees_open(struct trees *trees, const char *path)
{
	*trees = (struct trees) { .folder = -1 };
	mkdir(path, 0755);
	trees->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tree_write(const struct trees *trees, uint64_t tree,
		       const char *file, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%" PRIu64 "/%s", tree, file);
	fd = openat(trees->folder, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, text, 1) < 0) {
		/* The process group is what is left. */
	}
	close(fd);
}

uint64_t tree_make(struct trees *trees)
{
	char name[24];

	if (trees->folder < 0)
		return 0;
	snprintf(name, sizeof(name), "%" PRIu64, ++trees->last);
	return mkdirat(trees->folder, name, 0755) ? 0 : trees->last;
}

static int tree_open(const struct trees *trees, uint64_t tree)
{
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, tree);
	return openat(trees->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * A process that is moved between control groups waits for a grace period of
 * the kernel's RCU, of several ticks, unless another was moved just before.
 * One that is born there does not.
 */
static pid_t tree_bear(const struct trees *trees, uint64_t tree)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP,
				  .exit_signal = SIGCHLD };
	int folder = tree_open(trees, tree);
	pid_t pid;

	if (folder < 0)
		return -1;
	how.cgroup = (unsigned int)folder;
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	close(folder);
	return pid;
}

pid_t tree_fork(const struct trees *trees, uint64_t tree)
{
	pid_t pid = tree ? tree_bear(trees, tree) : -1;

	if (pid >= 0)
		return pid;
	/* Linux before 5.7 can only move it. */
	pid = fork();
	if (pid == 0 && tree)
		tree_write(trees, tree, "cgroup.procs", "0");
	return pid;
}

void tree_kill(const struct trees *trees, uint64_t tree, pid_t group)
{
	if (tree)
		tree_write(trees, tree, "cgroup.kill", "1");
	if (group > 0)
		kill(-group, SIGKILL);
}

/* A control group with processes in it refuses to go. */
static int tree_remove(const struct trees *trees, uint64_t tree)
{
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, tree);
	return unlinkat(trees->folder, name, AT_REMOVEDIR);
}

void tree_drop(struct trees *trees, uint64_t tree)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < trees->left_count; i++)
		if (tree_remove(trees, trees->left[i]))
			trees->left[kept++] = trees->left[i];
	trees->left_count = kept;
	/* Of too many, one stays until the machine ends. */
	if (tree && tree_remove(trees, tree) &&
	    kept < sizeof(trees->left) / sizeof(trees->left[0]))
		trees->left[trees->left_count++] = tree;
}
