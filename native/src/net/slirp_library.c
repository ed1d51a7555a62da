/* SPDX-License-Identifier: MIT */
#include "net/slirp_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "error.h"

#define SLIRP_FILE "libslirp.so.0"

static pthread_mutex_t slirp_lock = PTHREAD_MUTEX_INITIALIZER;

struct slirp_symbol {
	const char *name;
	size_t offset; /* of its pointer in struct slirp_library */
};

static const struct slirp_symbol slirp_symbols[] = {
	{ "slirp_new", offsetof(struct slirp_library, create) },
	{ "slirp_cleanup", offsetof(struct slirp_library, destroy) },
	{ "slirp_input", offsetof(struct slirp_library, input) },
	{ "slirp_pollfds_fill", offsetof(struct slirp_library, fill) },
	{ "slirp_pollfds_poll", offsetof(struct slirp_library, poll) },
	{ "slirp_add_hostxfwd", offsetof(struct slirp_library, forward) },
};

enum capsa_status slirp_library_open(struct slirp_library *library,
				     struct capsa_error *error)
{
	void *handle = dlopen(SLIRP_FILE,
			      RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!handle)
		return error_set(error, CAPSA_STATUS_NETWORK_MISSING, 0,
				 "dlopen", SLIRP_FILE, NULL,
				 "the library cannot be loaded");
	for (size_t i = 0; i < sizeof(slirp_symbols) / sizeof(*slirp_symbols);
	     i++) {
		void *symbol = dlsym(handle, slirp_symbols[i].name);

		if (!symbol)
			return error_set(error, CAPSA_STATUS_NETWORK_MISSING, 0,
					 "dlsym", SLIRP_FILE,
					 slirp_symbols[i].name,
					 "the library is too old");
		memcpy((uint8_t *)library + slirp_symbols[i].offset, &symbol,
		       sizeof(symbol));
	}
	return CAPSA_STATUS_OK;
}

void slirp_library_lock(void)
{
	pthread_mutex_lock(&slirp_lock);
}

void slirp_library_unlock(void)
{
	pthread_mutex_unlock(&slirp_lock);
}
