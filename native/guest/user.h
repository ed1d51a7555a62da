/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_USER_H
#define CAPSA_GUEST_USER_H

#include "msgpack.h"
#include "report.h"

struct user {
	char name[64];
	char home[PATH_MAX];
};

/*
 * Makes the calling process that of the parameters' `user`: "name", "uid",
 * "name:group" or "uid:gid". Says who it is now, unless `user` is NULL. 0, or
 * -1 with the failure.
 */
int user_assume(const struct msgpack_value *params, struct user *user,
		struct failure *failure);

#endif
