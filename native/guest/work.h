/* SPDX-License-Identifier: MIT */
/*
 * What the agent does itself, each in a child: it may block, and it may be
 * killed. Descriptors 0 and 1 are its input and output.
 */
#ifndef CAPSA_GUEST_WORK_H
#define CAPSA_GUEST_WORK_H

#include "msgpack.h"
#include "report.h"

/* Puts a map into the result: 0; or -1 with the failure. */
typedef int (*work)(const struct msgpack_value *params,
		    struct msgpack_writer *result, struct failure *failure);

/* By the method's name; NULL if there is none. */
work work_named(const struct msgpack_value *method);

int work_read(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure);
int work_write(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure);
int work_list(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure);
int work_stat(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure);
int work_mkdir(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure);
int work_remove(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure);
int work_rename(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure);
int work_pack(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure);
int work_unpack(const struct msgpack_value *params,
		struct msgpack_writer *result, struct failure *failure);
int work_info(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure);
int work_start(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure);

/* The parameters. A path has less than PATH_MAX bytes; a number is not
 * negative; what is not there, or of another type, is `otherwise` or false. */
int work_path(const struct msgpack_value *params, const char *key, char *path,
	      struct failure *failure);
int64_t work_number(const struct msgpack_value *params, const char *key,
		    int64_t otherwise);
bool work_flag(const struct msgpack_value *params, const char *key);

#endif
