/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	work run;
} works[] = {
	{ "read", work_read },     { "write", work_write },
	{ "list", work_list },     { "stat", work_stat },
	{ "mkdir", work_mkdir },   { "remove", work_remove },
	{ "rename", work_rename }, { "pack", work_pack },
	{ "unpack", work_unpack }, { "info", work_info },
	{ "start", work_start },
};

work work_named(const struct msgpack_value *method)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (method->length == strlen(works[i].name) &&
		    !memcmp(method->bytes, works[i].name, method->length))
			return works[i].run;
	return NULL;
}

int work_path(const struct msgpack_value *params, const char *key, char *path,
	      struct failure *failure)
{
	struct msgpack_value value;

	if (msgpack_find(params, key, MSGPACK_STR, &value) ||
	    msgpack_text(&value, path, PATH_MAX))
		return failure_set(failure, REASON_INVALID, key, EINVAL, NULL);
	return 0;
}

int64_t work_number(const struct msgpack_value *params, const char *key,
		    int64_t otherwise)
{
	struct msgpack_value value;

	return msgpack_find(params, key, MSGPACK_INTEGER, &value) ||
			       value.integer < 0
		       ? otherwise
		       : value.integer;
}

bool work_flag(const struct msgpack_value *params, const char *key)
{
	struct msgpack_value value;

	return !msgpack_find(params, key, MSGPACK_BOOLEAN, &value) &&
	       value.boolean;
}
