/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes whose names begin with "user.": all others mean
 * something to the host (rights, labels, an overlay's bookkeeping), so a guest
 * has none of them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/state.h"

#define XATTR_USER "user."

/* -EOPNOTSUPP also tells the guest's kernel that there is no such attribute. */
static int xattr_check(const char *name)
{
	const size_t prefix = sizeof(XATTR_USER) - 1;

	if (strncmp(name, XATTR_USER, prefix) != 0)
		return -EOPNOTSUPP;
	if (name[prefix] == '\0')
		return -EINVAL;
	return strlen(name) > XATTR_NAME_MAX ? -ERANGE : 0;
}

/*
 * A descriptor of the file, whose owner alone needs to be able to open it.
 * Links and devices have no attributes of users.
 */
static int xattr_open_inode(const struct fs_server *server,
			    const struct fs_inode *inode)
{
	int fd;

	if (!S_ISREG(inode->key.type) && !S_ISDIR(inode->key.type))
		return -EOPNOTSUPP;
	fd = fs_host_open(&server->host, inode->fd, O_RDONLY);
	if (fd == -EACCES && S_ISREG(inode->key.type) && !server->read_only)
		fd = fs_host_open(&server->host, inode->fd, O_WRONLY);
	return fd;
}

static int xattr_open(struct fs_server *server, const struct fs_call *call)
{
	struct fs_inode *inode;
	int result = fs_inodes_get(&server->inodes, call->header.nodeid,
				   &inode);

	if (result < 0)
		return result;
	result = xattr_open_inode(server, inode);
	fs_inodes_put(&server->inodes, inode);
	return result;
}

/* The request's name and value, which is the rest of it. */
static int xattr_split(char *text, size_t length, size_t value_length)
{
	size_t name_length;

	if (value_length > XATTR_SIZE_MAX)
		return -E2BIG;
	text[length] = '\0';
	name_length = strlen(text);
	if (name_length + 1 + value_length != length)
		return -EINVAL;
	return xattr_check(text);
}

static int xattr_set(struct fs_server *server, const struct fs_call *call,
		     const char *text)
{
	const struct fuse_setxattr_in *in = &call->body.setxattr;
	const char *value = text + strlen(text) + 1;
	int fd = xattr_open(server, call);
	int result;

	if (fd < 0)
		return fd;
	result = fsetxattr(fd, text, value, in->size, (int)in->flags) < 0
			 ? -errno
			 : 0;
	close(fd);
	return result;
}

int fs_setxattr(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_setxattr_in *in = &call->body.setxattr;
	size_t length = call->in.left;
	char *text;
	int error;

	if (length > XATTR_NAME_MAX + 1 + XATTR_SIZE_MAX)
		return -E2BIG;
	if (in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	text = malloc(length + 1);
	if (!text)
		return -ENOMEM;
	error = fs_call_take(call, text, length);
	if (error == 0)
		error = xattr_split(text, length, in->size);
	if (error == 0)
		error = xattr_set(server, call, text);
	free(text);
	return error;
}

/* Replies with length bytes of a value or list, or how many there are. */
static int xattr_reply(struct fs_call *call, const void *value, size_t length)
{
	const struct fuse_getxattr_out out = { .size = (uint32_t)length };
	uint32_t asked = call->body.getxattr.size;

	if (asked == 0)
		return fs_call_reply(call, &out, sizeof(out));
	return length > asked ? -ERANGE : fs_call_reply(call, value, length);
}

/* name NULL: the list of names. */
static ssize_t xattr_read(int fd, const char *name, char *value)
{
	ssize_t length = name ? fgetxattr(fd, name, value, XATTR_SIZE_MAX)
			      : flistxattr(fd, value, XATTR_LIST_MAX);

	return length < 0 ? -errno : length;
}

/* Leaves only those names of a list that a guest may see; its length. */
static size_t xattr_filter(char *list, size_t length)
{
	size_t kept = 0;

	for (size_t at = 0; at < length;) {
		size_t size = strlen(list + at) + 1;

		if (xattr_check(list + at) == 0) {
			memmove(list + kept, list + at, size);
			kept += size;
		}
		at += size;
	}
	return kept;
}

_Static_assert(XATTR_LIST_MAX <= XATTR_SIZE_MAX, "one buffer is for both");

static int xattr_get(struct fs_server *server, struct fs_call *call,
		     const char *name)
{
	int fd = xattr_open(server, call);
	char *value;
	ssize_t length = -ENOMEM;
	int error;

	if (fd == -EOPNOTSUPP && !name)
		return xattr_reply(call, "", 0);
	if (fd < 0)
		return fd;
	/* So that a list that is cut nowhere has its last NUL. */
	value = malloc(XATTR_SIZE_MAX + 1);
	if (value)
		length = xattr_read(fd, name, value);
	close(fd);
	if (length > 0 && !name) {
		value[length] = '\0';
		length = (ssize_t)xattr_filter(value, (size_t)length);
	}
	error = length < 0 ? (int)length
			   : xattr_reply(call, value, (size_t)length);
	free(value);
	return error;
}

int fs_getxattr(struct fs_server *server, struct fs_call *call)
{
	int error = fs_call_texts(call, 1);

	if (error == 0)
		error = xattr_check(call->names[0]);
	return error < 0 ? error : xattr_get(server, call, call->names[0]);
}

int fs_listxattr(struct fs_server *server, struct fs_call *call)
{
	return xattr_get(server, call, NULL);
}

int fs_removexattr(struct fs_server *server, struct fs_call *call)
{
	int fd;
	int error = fs_call_texts(call, 1);

	if (error == 0)
		error = xattr_check(call->names[0]);
	if (error < 0)
		return error;
	fd = xattr_open(server, call);
	if (fd < 0)
		return fd;
	error = fremovexattr(fd, call->names[0]) < 0 ? -errno : 0;
	close(fd);
	return error;
}
