/* SPDX-License-Identifier: MIT */
#include "user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 64 };

struct identity {
	uid_t uid;
	gid_t gid;
	bool has_groups; /* those of the user's name */
	struct user user;
};

/* A number that is one from end to end. */
static bool parse_number(const char *text, uint32_t *number)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return false;
	value = strtoull(text, &end, 10);
	if (*end != '\0' || value >= UINT32_MAX)
		return false;
	*number = (uint32_t)value;
	return true;
}

static void identity_fill(struct identity *identity, const struct passwd *entry)
{
	identity->uid = entry->pw_uid;
	identity->gid = entry->pw_gid;
	identity->has_groups = true;
	snprintf(identity->user.name, sizeof(identity->user.name), "%s",
		 entry->pw_name);
	snprintf(identity->user.home, sizeof(identity->user.home), "%s",
		 entry->pw_dir);
}

/* A number needs no entry in the guest's files; a name does. */
static bool find_user(const char *name, struct identity *identity)
{
	uint32_t uid;
	bool number = parse_number(name, &uid);
	const struct passwd *entry = number ? getpwuid(uid) : getpwnam(name);

	if (entry) {
		identity_fill(identity, entry);
		return true;
	}
	if (!number && strcmp(name, "root") != 0)
		return false;
	identity->uid = identity->gid = number ? uid : 0;
	snprintf(identity->user.name, sizeof(identity->user.name), "%s", name);
	snprintf(identity->user.home, sizeof(identity->user.home), "/");
	return true;
}

static bool find_group(const char *name, struct identity *identity)
{
	uint32_t gid;
	const struct group *entry;

	identity->has_groups = false;
	if (parse_number(name, &gid)) {
		identity->gid = gid;
		return true;
	}
	entry = getgrnam(name);
	if (entry)
		identity->gid = entry->gr_gid;
	return entry != NULL;
}

static int become(const struct identity *identity)
{
	if (geteuid() == identity->uid && getegid() == identity->gid &&
	    geteuid() != 0)
		return 0;
	if (identity->has_groups
		    ? initgroups(identity->user.name, identity->gid)
		    : setgroups(1, &identity->gid))
		return -errno;
	return setgid(identity->gid) || setuid(identity->uid) ? -errno : 0;
}

int user_assume(const struct msgpack_value *params, struct user *user,
		struct failure *failure)
{
	struct identity identity = { 0 };
	struct msgpack_value value;
	char text[2 * NAME_BYTES];
	char *group;
	int found = msgpack_find(params, "user", MSGPACK_STR, &value);
	int error = 0;

	if (found == -ENOENT) {
		char uid[16];

		/* The agent's own; in a guest that is root. */
		snprintf(uid, sizeof(uid), "%u", geteuid());
		if (user)
			find_user(uid, &identity);
	} else if (found || msgpack_text(&value, text, sizeof(text))) {
		return failure_set(failure, REASON_INVALID, "user", EINVAL,
				   NULL);
	} else {
		group = strchr(text, ':');
		if (group)
			*group++ = '\0';
		if (!find_user(text, &identity))
			return failure_set(failure, REASON_UNSTARTABLE, "user",
					   ENOENT, text);
		if (group && !find_group(group, &identity))
			return failure_set(failure, REASON_UNSTARTABLE, "group",
					   ENOENT, group);
		error = become(&identity);
	}
	if (user)
		*user = identity.user;
	return error ? failure_set(failure, REASON_UNSTARTABLE, "user", -error,
				   text)
		     : 0;
}
