/* SPDX-License-Identifier: MIT */
#include "descriptors.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void descriptors_close_from(int first)
{
	struct rlimit limit;

#ifdef SYS_close_range
	if (!syscall(SYS_close_range, (unsigned int)first, UINT_MAX, 0))
		return;
#endif
	/* Kernels before 5.9. */
	if (getrlimit(RLIMIT_NOFILE, &limit))
		limit.rlim_cur = 1024;
	for (int fd = first; (rlim_t)fd < limit.rlim_cur; fd++)
		close(fd);
}
