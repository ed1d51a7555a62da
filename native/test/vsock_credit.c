/* SPDX-License-Identifier: MIT */
#include "vsock/credit.h"

#include <errno.h>

#include "tap.h"

static void room_is_what_the_guest_says(void)
{
	struct vsock_credit credit = { 0 };

	CHECK(vsock_credit_left(&credit) == 0);
	CHECK(vsock_credit_hear(&credit, 100, 0) == 0);
	CHECK(vsock_credit_left(&credit) == 100);
	credit.sent = 60;
	CHECK(vsock_credit_left(&credit) == 40);
	CHECK(vsock_credit_hear(&credit, 100, 50) == 0);
	CHECK(vsock_credit_left(&credit) == 90);
	CHECK(vsock_credit_hear(&credit, 100, 60) == 0);
	CHECK(vsock_credit_left(&credit) == 100);
}

static void a_buffer_may_shrink_while_it_is_full(void)
{
	struct vsock_credit credit = { .sent = 1000 };

	CHECK(vsock_credit_hear(&credit, 1000, 0) == 0);
	CHECK(vsock_credit_left(&credit) == 0);
	CHECK(vsock_credit_hear(&credit, 10, 0) == 0);
	CHECK(vsock_credit_left(&credit) == 0);
	CHECK(vsock_credit_hear(&credit, 10, 995) == 0);
	CHECK(vsock_credit_left(&credit) == 5);
	CHECK(vsock_credit_hear(&credit, 0, 1000) == 0);
	CHECK(vsock_credit_left(&credit) == 0);
}

static void what_was_never_sent_cannot_be_taken(void)
{
	struct vsock_credit credit = { .sent = 1000 };

	CHECK(vsock_credit_hear(&credit, 100, 1001) == -EPROTO);
	CHECK(vsock_credit_hear(&credit, 100, 1000u + INT32_MAX) == -EPROTO);
	CHECK(vsock_credit_left(&credit) == 0);
}

static void an_older_count_changes_nothing(void)
{
	struct vsock_credit credit = { .sent = 1000 };

	CHECK(vsock_credit_hear(&credit, 500, 800) == 0);
	CHECK(vsock_credit_hear(&credit, 500, 700) == 0);
	CHECK(vsock_credit_hear(&credit, 500, UINT32_MAX) == 0);
	CHECK(vsock_credit_left(&credit) == 300);
}

static void counters_go_round(void)
{
	struct vsock_credit credit = { .sent = UINT32_MAX - 9,
				       .guest_taken = UINT32_MAX - 9,
				       .received = UINT32_MAX - 5,
				       .taken = UINT32_MAX - 5,
				       .told = UINT32_MAX - 5 };

	CHECK(vsock_credit_hear(&credit, 50, UINT32_MAX - 9) == 0);
	CHECK(vsock_credit_left(&credit) == 50);
	credit.sent += 30; /* past 0 */
	CHECK(vsock_credit_left(&credit) == 20);
	CHECK(vsock_credit_hear(&credit, 50, 10) == 0);
	CHECK(vsock_credit_left(&credit) == 40);
	CHECK(vsock_credit_hear(&credit, 50, 21) == -EPROTO);

	CHECK(vsock_credit_receive(&credit, VSOCK_BUFFER_BYTES) == 0);
	CHECK(vsock_credit_receive(&credit, 1) == -EPROTO);
	credit.taken += VSOCK_BUFFER_BYTES / 4 - 1;
	CHECK(!vsock_credit_is_news(&credit));
	credit.taken++;
	CHECK(vsock_credit_is_news(&credit));
	CHECK(vsock_credit_receive(&credit, VSOCK_BUFFER_BYTES / 4) == 0);
	CHECK(vsock_credit_receive(&credit, 1) == -EPROTO);
}

/* However large the guest says its buffer is, the counters keep their sense. */
static void a_buffer_is_at_most_half_of_all_numbers(void)
{
	struct vsock_credit credit = { 0 };

	CHECK(vsock_credit_hear(&credit, UINT32_MAX, 0) == 0);
	CHECK(vsock_credit_left(&credit) == INT32_MAX);
	credit.sent = INT32_MAX;
	CHECK(vsock_credit_left(&credit) == 0);
	CHECK(vsock_credit_hear(&credit, UINT32_MAX, 0) == 0);
	CHECK(vsock_credit_hear(&credit, UINT32_MAX, INT32_MAX) == 0);
	CHECK(vsock_credit_left(&credit) == INT32_MAX);
}

static void too_much_at_once_is_refused(void)
{
	struct vsock_credit credit = { 0 };

	CHECK(vsock_credit_receive(&credit, VSOCK_BUFFER_BYTES + 1) == -EPROTO);
	CHECK(vsock_credit_receive(&credit, UINT32_MAX) == -EPROTO);
	CHECK(vsock_credit_receive(&credit, 0) == 0);
	CHECK(credit.received == 0);
}

int main(void)
{
	TEST(room_is_what_the_guest_says);
	TEST(a_buffer_may_shrink_while_it_is_full);
	TEST(what_was_never_sent_cannot_be_taken);
	TEST(an_older_count_changes_nothing);
	TEST(counters_go_round);
	TEST(a_buffer_is_at_most_half_of_all_numbers);
	TEST(too_much_at_once_is_refused);
	return tap_done();
}
