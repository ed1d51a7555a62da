/* SPDX-License-Identifier: MIT */
/*
 * Why a test cannot run: what its host lacks, which may be an emulator of a
 * processor. NULL: nothing.
 */
#ifndef CAPSA_TEST_HOST_LACKS_H
#define CAPSA_TEST_HOST_LACKS_H

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capsa.h"
#include "net/slirp_library.h"

/* With it comes preadv2(). */
static inline const char *host_lacks_pwritev2(void)
{
	if (syscall(SYS_pwritev2, -1L, NULL, 0L, 0L, 0L, 0L) < 0 &&
	    errno == ENOSYS)
		return "this host has no pwritev2()";
	return NULL;
}

static inline const char *host_lacks_libslirp(void)
{
	struct slirp_library library;
	struct capsa_error error;

	if (slirp_library_open(&library, &error) != CAPSA_STATUS_OK)
		return "this host has no libslirp";
	return NULL;
}

#endif
