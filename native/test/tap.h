/* SPDX-License-Identifier: MIT */
/*
 * The few words a test program needs: it prints TAP and exits with 1 if a
 * check failed.
 *
 *   int main(void) { TEST(queue_pops_in_order); return tap_done(); }
 */
#ifndef CAPSA_TAP_H
#define CAPSA_TAP_H

#include <stdio.h>

static int tap_count;
static int tap_failed;     /* tests */
static int tap_bad_checks; /* in the running test */

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			tap_bad_checks++;                                      \
			printf("# %s:%d: %s\n", __FILE__, __LINE__,            \
			       #condition);                                    \
		}                                                              \
	} while (0)

/* Runs void name(void). */
#define TEST(name)                                                             \
	do {                                                                   \
		tap_bad_checks = 0;                                            \
		name();                                                        \
		printf("%s %d - %s\n", tap_bad_checks ? "not ok" : "ok",       \
		       ++tap_count, #name);                                    \
		tap_failed += tap_bad_checks > 0;                              \
	} while (0)

/* A test that cannot run here; the cause is printed and counted. */
#define TEST_SKIP(name, cause)                                                 \
	printf("ok %d - %s # SKIP %s\n", ++tap_count, #name, cause)

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0;
}

#endif
