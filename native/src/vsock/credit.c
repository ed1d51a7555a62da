/* SPDX-License-Identifier: MIT */
#include "vsock/credit.h"

#include <errno.h>

int vsock_credit_hear(struct vsock_credit *credit, uint32_t room,
		      uint32_t taken)
{
	/* More than half of the numbers away is behind: it was never sent. */
	if (credit->sent - taken > INT32_MAX)
		return -EPROTO;
	/* A guest with several processors may send an older count later. */
	if (taken - credit->guest_taken <= INT32_MAX)
		credit->guest_taken = taken;
	/* So that the difference above keeps its meaning. */
	credit->guest_room = room < INT32_MAX ? room : INT32_MAX;
	return 0;
}

uint32_t vsock_credit_left(const struct vsock_credit *credit)
{
	uint32_t under_way = credit->sent - credit->guest_taken;

	/* The guest may have made its buffer smaller meanwhile. */
	return credit->guest_room > under_way ? credit->guest_room - under_way
					      : 0;
}

int vsock_credit_receive(struct vsock_credit *credit, uint32_t length)
{
	uint32_t kept = credit->received - credit->taken;

	if (length > VSOCK_BUFFER_BYTES - kept)
		return -EPROTO;
	credit->received += length;
	return 0;
}

bool vsock_credit_is_news(const struct vsock_credit *credit)
{
	return credit->taken - credit->told >= VSOCK_BUFFER_BYTES / 4;
}
