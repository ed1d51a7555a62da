/* SPDX-License-Identifier: MIT */
/* A limit on how often something is done; a zeroed one is fresh. */
#ifndef CAPSA_NET_RATE_H
#define CAPSA_NET_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t since_ms;
	uint32_t used;
};

/* Whether it may be done once more: burst times at once, per_second lasting. */
bool rate_take(struct rate *rate, uint64_t now_ms, uint32_t per_second,
	       uint32_t burst);

#endif
