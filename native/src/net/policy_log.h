/* SPDX-License-Identifier: MIT */
/*
 * What a policy has to tell its host: a bounded queue. Each rule, and each
 * reason without a rule, has a rate of its own, so that a guest that provokes
 * one of them does not drown the others.
 */
#ifndef CAPSA_NET_POLICY_LOG_H
#define CAPSA_NET_POLICY_LOG_H

#include "capsa.h"
#include "net/rate.h"

enum {
	POLICY_LOG_MAX = 256,
	POLICY_LOG_PER_SECOND = 10,
	POLICY_LOG_BURST = 20,
	POLICY_LOG_REASONS = CAPSA_REASON_ENDED + 1,
};

struct policy_log_limit {
	struct rate rate;
	uint32_t missed; /* since the last that was told */
};

/* Zeroed, it is empty. */
struct policy_log {
	uint32_t first;
	uint32_t count;
	struct capsa_decision list[POLICY_LOG_MAX];
	struct policy_log_limit limits[CAPSA_RULES_MAX + POLICY_LOG_REASONS];
};

/* Keeps a copy unless there are too many like it or the queue is full. */
void policy_log_add(struct policy_log *log,
		    const struct capsa_decision *decision);
/* Takes up to capacity of the oldest; returns how many. */
uint32_t policy_log_take(struct policy_log *log, struct capsa_decision *out,
			 uint32_t capacity);
/* Rules have got other numbers. */
void policy_log_renumber(struct policy_log *log);

#endif
