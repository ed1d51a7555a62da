/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user.h"

static const char default_path[] =
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static void texts_free(char **list)
{
	for (char **text = list; list && *text; text++)
		free(*text);
	free(list);
}

/* A NULL-terminated list of the texts in an array; NULL if they are none. */
static char **texts(const struct msgpack_value *array)
{
	struct msgpack_reader reader = msgpack_members(array);
	char **list = calloc((size_t)array->length + 1, sizeof(*list));
	struct msgpack_value value;

	for (uint32_t i = 0; list && i < array->length; i++) {
		if (msgpack_next(&reader, &value) ||
		    value.type != MSGPACK_STR ||
		    memchr(value.bytes, 0, value.length) ||
		    !(list[i] = strndup((const char *)value.bytes,
					value.length))) {
			texts_free(list);
			return NULL;
		}
	}
	return list;
}

/* What every program has, then what it is given. */
static int set_environment(char **given, const struct user *user)
{
	if (clearenv() || setenv("PATH", default_path, 1) ||
	    setenv("HOME", user->home, 1) || setenv("USER", user->name, 1) ||
	    setenv("LOGNAME", user->name, 1) ||
	    (isatty(0) && setenv("TERM", "xterm-256color", 1)))
		return -1;
	for (char **variable = given; *variable; variable++)
		if (!strchr(*variable, '=') || putenv(*variable))
			return -1;
	return 0;
}

static int read_environment(const struct msgpack_value *params,
			    const struct user *user, struct failure *failure)
{
	struct msgpack_value value = { .type = MSGPACK_ARRAY };
	int found = msgpack_find(params, "env", MSGPACK_ARRAY, &value);
	char **given = found && found != -ENOENT ? NULL : texts(&value);

	return !given || set_environment(given, user)
		       ? failure_set(failure, REASON_INVALID, "env", EINVAL,
				     NULL)
		       : 0;
}

static int enter_folder(const struct msgpack_value *params,
			struct failure *failure)
{
	struct msgpack_value value;
	char folder[PATH_MAX];
	int found = msgpack_find(params, "cwd", MSGPACK_STR, &value);

	if (found == -ENOENT)
		return 0;
	if (found || msgpack_text(&value, folder, sizeof(folder)))
		return failure_set(failure, REASON_INVALID, "cwd", EINVAL,
				   NULL);
	return chdir(folder) ? failure_set(failure, REASON_UNSTARTABLE,
					   "folder", errno, folder)
			     : 0;
}

static void become(char **argv, const struct msgpack_value *params,
		   struct failure *failure)
{
	struct user user;

	if (!argv || !argv[0] || argv[0][0] == '\0') {
		failure_set(failure, REASON_INVALID, "argv", EINVAL, NULL);
		return;
	}
	if (user_assume(params, &user, failure) ||
	    enter_folder(params, failure) ||
	    read_environment(params, &user, failure))
		return;
	execvp(argv[0], argv);
	failure_set(failure, REASON_UNSTARTABLE, "program", errno, argv[0]);
}

void program_become(const struct msgpack_value *params, struct failure *failure)
{
	struct msgpack_value value;
	char **argv = NULL;

	if (!msgpack_find(params, "argv", MSGPACK_ARRAY, &value))
		argv = texts(&value);
	become(argv, params, failure);
	texts_free(argv);
}
