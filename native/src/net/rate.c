/* SPDX-License-Identifier: MIT */
#include "net/rate.h"

bool rate_take(struct rate *rate, uint64_t now_ms, uint32_t per_second,
	       uint32_t burst)
{
	uint64_t step_ms = 1000 / per_second;
	uint64_t back = (now_ms - rate->since_ms) / step_ms;

	if (back >= rate->used) {
		rate->used = 0;
		rate->since_ms = now_ms;
	} else {
		rate->used -= (uint32_t)back;
		rate->since_ms += back * step_ms;
	}
	if (rate->used >= burst)
		return false;
	rate->used++;
	return true;
}
