/* SPDX-License-Identifier: MIT */
#include "net/policy_log.h"

#include <string.h>

void policy_log_add(struct policy_log *log,
		    const struct capsa_decision *decision)
{
	uint32_t index = decision->rule >= 0
				 ? (uint32_t)decision->rule
				 : CAPSA_RULES_MAX + decision->reason;
	struct policy_log_limit *limit = &log->limits[index];
	struct capsa_decision *copy;

	if (log->count == POLICY_LOG_MAX ||
	    !rate_take(&limit->rate, decision->time_ms, POLICY_LOG_PER_SECOND,
		       POLICY_LOG_BURST)) {
		if (limit->missed < UINT32_MAX)
			limit->missed++;
		return;
	}
	copy = &log->list[(log->first + log->count) % POLICY_LOG_MAX];
	*copy = *decision;
	copy->missed = limit->missed;
	limit->missed = 0;
	log->count++;
}

uint32_t policy_log_take(struct policy_log *log, struct capsa_decision *out,
			 uint32_t capacity)
{
	uint32_t count = log->count < capacity ? log->count : capacity;

	for (uint32_t i = 0; i < count; i++)
		out[i] = log->list[(log->first + i) % POLICY_LOG_MAX];
	log->first = (log->first + count) % POLICY_LOG_MAX;
	log->count -= count;
	return count;
}

void policy_log_renumber(struct policy_log *log)
{
	memset(log->limits, 0, sizeof(log->limits));
}
