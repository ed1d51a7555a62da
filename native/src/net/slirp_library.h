/* SPDX-License-Identifier: MIT */
/*
 * libslirp, found when the first machine asks for a NAT: without it all else
 * works.
 */
#ifndef CAPSA_NET_SLIRP_LIBRARY_H
#define CAPSA_NET_SLIRP_LIBRARY_H

#include <slirp/libslirp.h>

#include "capsa.h"

struct slirp_library {
	Slirp *(*create)(const SlirpConfig *config, const SlirpCb *callbacks,
			 void *opaque);
	void (*destroy)(Slirp *slirp);
	void (*input)(Slirp *slirp, const uint8_t *frame, int length);
	void (*fill)(Slirp *slirp, uint32_t *timeout_ms,
		     SlirpAddPollCb add_poll, void *opaque);
	void (*poll)(Slirp *slirp, int select_error,
		     SlirpGetREventsCb get_revents, void *opaque);
	int (*forward)(Slirp *slirp, const struct sockaddr *host,
		       socklen_t host_length, const struct sockaddr *guest,
		       socklen_t guest_length, int flags);
};

/*
 * Fills in the functions. The library stays loaded: GLib, which it needs,
 * cannot be unloaded. Status: OK, NETWORK_MISSING.
 */
enum capsa_status slirp_library_open(struct slirp_library *library,
				     struct capsa_error *error);

/*
 * libslirp keeps the time, and whom to ask for names, in variables of the
 * process: only one thread may be in it.
 */
void slirp_library_lock(void);
void slirp_library_unlock(void);

#endif
