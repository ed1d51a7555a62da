/* SPDX-License-Identifier: MIT */
/*
 * New files, folders and links. Each is made with rights for its owner alone,
 * who at first is this process; then it gets the owner that it is to have,
 * and last its mode, whatever the process's umask. So nobody ever has more
 * rights than in the end.
 */
#include <errno.h>
#include <unistd.h>

#include "fs/state.h"

enum { CREATE_OWNER = S_IRWXU };

/* What was asked for, and what has become of it. */
struct creation {
	struct fs_inode *parent;
	const char *name;
	uint32_t type;
	mode_t mode; /* without the guest's umask */
	uid_t user;  /* -1: as it comes */
	gid_t group;
	int path_fd; /* O_PATH */
	struct statx status;
	struct fs_inode *inode; /* in use */
	uint64_t id;
};

/* Takes the parent, and settles mode and owner. */
static int create_begin(struct fs_server *server, const struct fs_call *call,
			struct creation *made, uint32_t type, uint32_t mode)
{
	struct statx status;
	int error = fs_name_check(call->names[0]);

	made->name = call->names[0];
	made->type = type;
	if (error == 0)
		error = fs_inodes_get(&server->inodes, call->header.nodeid,
				      &made->parent);
	if (error != 0)
		return error;
	error = fs_host_stat(made->parent->fd, &status);
	if (error < 0) {
		fs_inodes_put(&server->inodes, made->parent);
		return error;
	}
	made->mode = fs_mode(type, mode);
	made->user = call->header.uid;
	made->group = call->header.gid;
	/* In such a folder the group is the folder's, as it comes. */
	if (status.stx_mode & S_ISGID) {
		made->group = (gid_t)-1;
		made->mode |= S_ISDIR(type) ? S_ISGID : 0;
	}
	if (server->has_owner) {
		made->user = (uid_t)-1;
		made->group = (gid_t)-1;
	}
	return 0;
}

static void create_end(struct fs_server *server, struct creation *made)
{
	if (made->inode)
		fs_inodes_put(&server->inodes, made->inode);
	fs_inodes_put(&server->inodes, made->parent);
}

/* Only who may give files away does; else they are the process's own. */
static int create_give_away(const struct creation *made)
{
	if (fchownat(made->path_fd, "", made->user, made->group,
		     AT_EMPTY_PATH) < 0 &&
	    errno != EPERM && errno != EINVAL)
		return -errno;
	return 0;
}

/*
 * Owner, mode and status of what path_fd is. A folder or a link was looked up
 * by its name, so it may be another by now: somebody else's is left alone.
 */
static int create_adopt(const struct fs_server *server, struct creation *made)
{
	int error = fs_host_stat(made->path_fd, &made->status);

	if (error < 0)
		return error;
	if ((made->status.stx_mode & S_IFMT) != made->type)
		return -ESTALE;
	if (!S_ISREG(made->type) && made->status.stx_uid != geteuid())
		return 0;
	error = create_give_away(made);
	if (error == 0 && !S_ISLNK(made->type))
		error = fs_host_chmod(&server->host, made->path_fd, made->mode);
	if (error == 0)
		error = fs_host_stat(made->path_fd, &made->status);
	return error;
}

/*
 * Makes an inode of what has been made; without one the guest could not be
 * told of it, and it is removed again.
 */
static int create_intern(struct fs_server *server, struct creation *made)
{
	int flags = S_ISDIR(made->type) ? AT_REMOVEDIR : 0;
	int error = made->path_fd;

	if (made->path_fd >= 0)
		error = create_adopt(server, made);
	if (error == 0)
		error = fs_inodes_found(&server->inodes, made->parent,
					made->name, made->path_fd,
					&made->status, &made->id, &made->inode);
	else if (made->path_fd >= 0)
		close(made->path_fd);
	if (error < 0 && error != -ESTALE)
		unlinkat(made->parent->fd, made->name, flags);
	return error;
}

static int create_reply(const struct fs_server *server, struct fs_call *call,
			const struct creation *made)
{
	const struct fuse_entry_out entry = fs_entry(server, made->id,
						     &made->status);

	return fs_call_reply(call, &entry, sizeof(entry));
}

/* A new file, open as flags say: its descriptor; with names held. */
static int create_file(struct fs_server *server, struct creation *made,
		       uint32_t flags)
{
	int fd = fs_host_create_file(&server->host, made->parent->fd,
				     made->name, (int)(flags & O_ACCMODE),
				     made->mode & CREATE_OWNER);
	int error;

	if (fd < 0)
		return fd;
	made->path_fd = fs_host_open(&server->host, fd, O_PATH);
	error = create_intern(server, made);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

/*
 * A name that the guest takes for free and that is not is no fault: it has to
 * look again, and then to check whether the caller may open what is there.
 */
static int create_open(struct fs_server *server, struct creation *made,
		       uint32_t flags)
{
	int fd;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	pthread_rwlock_rdlock(&server->inodes.names);
	fd = create_file(server, made, flags);
	pthread_rwlock_unlock(&server->inodes.names);
	return fd == -EEXIST && !(flags & O_EXCL) ? -ESTALE : fd;
}

int fs_create(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_create_in *in = &call->body.create;
	struct fuse_open_out out = {
		.open_flags = fs_open_flags(server, in->flags),
	};
	struct creation made = { .path_fd = -1 };
	struct fs_handle *handle;
	int result = fs_call_texts(call, 1);

	if (result == 0)
		result = create_begin(server, call, &made, S_IFREG,
				      in->mode & ~in->umask);
	if (result != 0)
		return result;
	result = fs_handles_add(&server->handles, false, &handle);
	if (result == 0) {
		result = create_open(server, &made, in->flags);
		if (result < 0) {
			fs_handles_close(&server->handles, handle);
		} else {
			out.fh = handle->number;
			fs_handles_open(&server->handles, handle, made.inode,
					result);
			result = create_reply(server, call, &made);
		}
		fs_handles_put(&server->handles, handle);
	}
	create_end(server, &made);
	return result < 0 ? result : fs_call_reply(call, &out, sizeof(out));
}

/* Makes one of the kinds below; 0 or -errno. */
typedef int create_maker(struct fs_server *server, const struct fs_call *call,
			 struct creation *made);

static int create_any(struct fs_server *server, struct fs_call *call,
		      uint32_t type, uint32_t mode, create_maker *make)
{
	struct creation made = { .path_fd = -1 };
	int error = create_begin(server, call, &made, type, mode);

	if (error != 0)
		return error;
	pthread_rwlock_rdlock(&server->inodes.names);
	error = make(server, call, &made);
	pthread_rwlock_unlock(&server->inodes.names);
	if (error == 0)
		error = create_reply(server, call, &made);
	create_end(server, &made);
	return error;
}

static int create_make_file(struct fs_server *server,
			    const struct fs_call *call, struct creation *made)
{
	int fd = create_file(server, made, O_RDONLY);

	(void)call;
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int fs_mknod(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_mknod_in *in = &call->body.mknod;
	int error = fs_call_texts(call, 1);

	if (error < 0)
		return error;
	/* The host's programs would trust a device or a pipe. */
	if (!S_ISREG(in->mode) && (in->mode & S_IFMT) != 0)
		return -EPERM;
	return create_any(server, call, S_IFREG, in->mode & ~in->umask,
			  create_make_file);
}

static int create_make_folder(struct fs_server *server,
			      const struct fs_call *call, struct creation *made)
{
	(void)call;
	if (mkdirat(made->parent->fd, made->name, made->mode & CREATE_OWNER) <
	    0)
		return -errno;
	made->path_fd = fs_host_look(&server->host, made->parent->fd,
				     made->name);
	return create_intern(server, made);
}

int fs_mkdir(struct fs_server *server, struct fs_call *call)
{
	const struct fuse_mkdir_in *in = &call->body.mkdir;
	int error = fs_call_texts(call, 1);

	if (error < 0)
		return error;
	return create_any(server, call, S_IFDIR, in->mode & ~in->umask,
			  create_make_folder);
}

static int create_make_link(struct fs_server *server,
			    const struct fs_call *call, struct creation *made)
{
	if (symlinkat(call->names[1], made->parent->fd, made->name) < 0)
		return -errno;
	made->path_fd = fs_host_look(&server->host, made->parent->fd,
				     made->name);
	return create_intern(server, made);
}

int fs_symlink(struct fs_server *server, struct fs_call *call)
{
	int error = fs_call_texts(call, 2);

	/* What it says is the guest's affair: nothing here follows it. */
	if (error < 0)
		return error;
	if (call->names[1][0] == '\0')
		return -ENOENT;
	return create_any(server, call, S_IFLNK, 0777, create_make_link);
}

static int create_link(struct fs_server *server, struct creation *made)
{
	const struct fs_inode *old = made->inode;
	struct fs_fd_name name = fs_host_name(old->fd);
	struct fs_inodes *inodes = &server->inodes;
	int error = 0;

	pthread_rwlock_rdlock(&inodes->names);
	if (linkat(server->host.proc_fd, name.text, made->parent->fd,
		   made->name, AT_SYMLINK_FOLLOW) < 0)
		error = -errno;
	if (error == 0)
		error = fs_host_stat(old->fd, &made->status);
	if (error == 0)
		error = fs_inodes_found(inodes, made->parent, made->name, -1,
					&made->status, &made->id, NULL);
	pthread_rwlock_unlock(&inodes->names);
	return error;
}

int fs_link(struct fs_server *server, struct fs_call *call)
{
	struct creation made = { .path_fd = -1 };
	int error = fs_call_texts(call, 1);

	if (error == 0)
		error = create_begin(server, call, &made, S_IFREG, 0);
	if (error != 0)
		return error;
	error = fs_inodes_get(&server->inodes, call->body.link.oldnodeid,
			      &made.inode);
	if (error == 0)
		error = create_link(server, &made);
	if (error == 0)
		error = create_reply(server, call, &made);
	create_end(server, &made);
	return error;
}
