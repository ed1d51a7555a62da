/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_PROGRAM_H
#define CAPSA_GUEST_PROGRAM_H

#include "msgpack.h"
#include "report.h"

/*
 * Makes the calling process the program that the parameters name: its user,
 * folder, environment and arguments. Descriptors 0 to 2 are set. Comes back
 * only with a failure.
 */
void program_become(const struct msgpack_value *params,
		    struct failure *failure);

#endif
