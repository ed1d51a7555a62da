/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_TICKS_H
#define CAPSA_TICKS_H

#include <stdint.h>

/* The processor's counter and the time at which it was read. */
void ticks_read(uint64_t *ticks, uint64_t *time_ns);

#endif
