/* SPDX-License-Identifier: MIT */
#include "fs/server.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/state.h"

enum {
	/* Parts of the descriptors that the process may have. */
	SERVER_INODE_PART = 8,
	SERVER_HANDLE_PART = 4,
	SERVER_INODE_FDS_MAX = 4096,
	SERVER_HANDLES_MAX = 64 * 1024,
	SERVER_FDS_MIN = 16,
	/* A guest has more than this for each file that it knows. */
	SERVER_BYTES_PER_INODE = 1024,
	SERVER_INODES_MIN = 64 * 1024,
};

enum {
	CHANGES = 1, /* something of the host: refused when read-only */
	SILENT = 2,  /* has no reply */
	TAIL = 4,    /* more follows the body */
	SESSION = 8, /* begins or ends one */
};

struct server_operation {
	fs_operation *run;
	uint16_t body;  /* bytes of the request behind its header */
	uint16_t reply; /* bytes of the reply, or at least of room for it */
	uint8_t flags;
	uint8_t refusal; /* errno, where run is NULL; 0: ENOSYS */
};

#define BODY(type)  sizeof(struct fuse_##type##_in)
#define REPLY(type) sizeof(struct fuse_##type##_out)

/* INIT of Linux before 5.17; what was added to it is not asked for. */
#define INIT_BODY offsetof(struct fuse_init_in, flags2)

/*
 * What isn't here is answered with ENOSYS: a Linux guest then stops asking,
 * and does it itself (locks, poll) or without (O_TMPFILE, DAX).
 */
static const struct server_operation operations[] = {
	[FUSE_LOOKUP] = { fs_lookup, 0, REPLY(entry), TAIL, 0 },
	[FUSE_FORGET] = { fs_forget, BODY(forget), 0, SILENT, 0 },
	[FUSE_GETATTR] = { fs_getattr, BODY(getattr), REPLY(attr), 0, 0 },
	[FUSE_SETATTR] = { fs_setattr, BODY(setattr), REPLY(attr), CHANGES, 0 },
	[FUSE_READLINK] = { fs_readlink, 0, 0, 0, 0 },
	[FUSE_SYMLINK] = { fs_symlink, 0, REPLY(entry), CHANGES | TAIL, 0 },
	[FUSE_MKNOD] = { fs_mknod, BODY(mknod), REPLY(entry), CHANGES | TAIL,
			 0 },
	[FUSE_MKDIR] = { fs_mkdir, BODY(mkdir), REPLY(entry), CHANGES | TAIL,
			 0 },
	[FUSE_UNLINK] = { fs_unlink, 0, 0, CHANGES | TAIL, 0 },
	[FUSE_RMDIR] = { fs_rmdir, 0, 0, CHANGES | TAIL, 0 },
	[FUSE_RENAME] = { fs_rename, BODY(rename), 0, CHANGES | TAIL, 0 },
	[FUSE_LINK] = { fs_link, BODY(link), REPLY(entry), CHANGES | TAIL, 0 },
	[FUSE_OPEN] = { fs_open, BODY(open), REPLY(open), 0, 0 },
	[FUSE_READ] = { fs_read, BODY(read), 0, 0, 0 },
	[FUSE_WRITE] = { fs_write, BODY(write), REPLY(write), CHANGES | TAIL,
			 0 },
	[FUSE_STATFS] = { fs_statfs, 0, REPLY(statfs), 0, 0 },
	[FUSE_RELEASE] = { fs_release, BODY(release), 0, 0, 0 },
	[FUSE_FSYNC] = { fs_fsync, BODY(fsync), 0, 0, 0 },
	[FUSE_SETXATTR] = { fs_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, 0,
			    CHANGES | TAIL, 0 },
	[FUSE_GETXATTR] = { fs_getxattr, BODY(getxattr), 0, TAIL, 0 },
	[FUSE_LISTXATTR] = { fs_listxattr, BODY(getxattr), 0, 0, 0 },
	[FUSE_REMOVEXATTR] = { fs_removexattr, 0, 0, CHANGES | TAIL, 0 },
	[FUSE_FLUSH] = { fs_flush, BODY(flush), 0, 0, 0 },
	[FUSE_INIT] = { fs_init, INIT_BODY, REPLY(init), TAIL | SESSION, 0 },
	[FUSE_OPENDIR] = { fs_opendir, BODY(open), REPLY(open), 0, 0 },
	[FUSE_READDIR] = { fs_readdir, BODY(read), 0, 0, 0 },
	[FUSE_RELEASEDIR] = { fs_releasedir, BODY(release), 0, 0, 0 },
	[FUSE_FSYNCDIR] = { fs_fsyncdir, BODY(fsync), 0, 0, 0 },
	[FUSE_CREATE] = { fs_create, BODY(create), REPLY(entry) + REPLY(open),
			  CHANGES | TAIL, 0 },
	[FUSE_INTERRUPT] = { fs_interrupt, BODY(interrupt), 0, SILENT, 0 },
	[FUSE_DESTROY] = { fs_destroy, 0, 0, SESSION, 0 },
	[FUSE_IOCTL] = { NULL, 0, 0, TAIL, ENOTTY },
	[FUSE_BATCH_FORGET] = { fs_batch_forget, BODY(batch_forget), 0,
				SILENT | TAIL, 0 },
	[FUSE_FALLOCATE] = { fs_fallocate, BODY(fallocate), 0, CHANGES, 0 },
	[FUSE_READDIRPLUS] = { fs_readdirplus, BODY(read), 0, 0, 0 },
	[FUSE_RENAME2] = { fs_rename2, BODY(rename2), 0, CHANGES | TAIL, 0 },
	[FUSE_LSEEK] = { fs_lseek, BODY(lseek), REPLY(lseek), 0, 0 },
	[FUSE_COPY_FILE_RANGE] = { fs_copy_file_range, BODY(copy_file_range),
				   REPLY(write), CHANGES, 0 },
	[FUSE_SYNCFS] = { fs_syncfs, BODY(syncfs), 0, 0, 0 },
};

enum { SERVER_OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

static uint32_t server_part(uint64_t whole, uint64_t most, uint64_t least)
{
	if (whole > most)
		whole = most;
	return (uint32_t)(whole > least ? whole : least);
}

/* Inodes and handles, which get their parts of what the process may have. */
static int server_create_tables(struct fs_server *server, int root_fd,
				uint64_t memory_bytes)
{
	struct rlimit files = { .rlim_cur = 0 };
	int error;

	getrlimit(RLIMIT_NOFILE, &files);
	error = fs_inodes_create(
		&server->inodes, &server->host, root_fd,
		server_part(memory_bytes / SERVER_BYTES_PER_INODE, 1u << 30,
			    SERVER_INODES_MIN),
		server_part(files.rlim_cur / SERVER_INODE_PART,
			    SERVER_INODE_FDS_MAX, SERVER_FDS_MIN));
	if (error < 0)
		return error;
	server->host.shed = fs_inodes_shed;
	server->host.owner = &server->inodes;
	fs_handles_create(&server->handles, &server->inodes,
			  server_part(files.rlim_cur / SERVER_HANDLE_PART,
				      SERVER_HANDLES_MAX, SERVER_FDS_MIN));
	return 0;
}

static int server_open_root(struct fs_server *server, const char *path,
			    uint64_t memory_bytes)
{
	/* The host's user named it: this path may be anything. */
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = server_create_tables(server, fd, memory_bytes);
	if (error < 0) {
		close(fd);
		return error;
	}
	server->device = server->inodes.root->key.device;
	return 0;
}

int fs_server_create(struct fs_server **out, const struct share_config *share,
		     uint64_t memory_bytes)
{
	struct fs_server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->cache = share->cache;
	server->read_only = share->read_only;
	server->has_owner = share->has_owner;
	server->owner = share->owner;
	error = fs_host_init(&server->host);
	if (error == 0) {
		error = server_open_root(server, share->path, memory_bytes);
		if (error < 0)
			fs_host_destroy(&server->host);
	}
	if (error < 0) {
		free(server);
		return error;
	}
	pthread_rwlock_init(&server->session, NULL);
	*out = server;
	return 0;
}

void fs_server_destroy(struct fs_server *server)
{
	fs_handles_destroy(&server->handles);
	fs_inodes_destroy(&server->inodes);
	fs_host_destroy(&server->host);
	pthread_rwlock_destroy(&server->session);
	free(server);
}

void fs_server_reset(struct fs_server *server)
{
	server->started = false;
	fs_handles_clear(&server->handles);
	fs_inodes_clear(&server->inodes);
}

/* Whether the request has the form of its operation and may be done. */
static int server_check(const struct fs_server *server,
			const struct fs_call *call,
			const struct server_operation *operation)
{
	uint64_t more = call->in.left;

	if (!operation->run)
		return operation->refusal ? -operation->refusal : -ENOSYS;
	if (more < operation->body ||
	    (more > operation->body && !(operation->flags & TAIL)))
		return -EINVAL;
	/* Nothing is done whose reply has no room. */
	if (!(operation->flags & SILENT) &&
	    (!fs_call_is_answerable(call) || call->out.left < operation->reply))
		return -EINVAL;
	/* Without a session there is nothing but its beginning. */
	if (!server->started && !(operation->flags & SESSION))
		return -EPROTO;
	if (server->read_only && operation->flags & CHANGES)
		return -EROFS;
	return 0;
}

static int server_run(struct fs_server *server, struct fs_call *call,
		      const struct server_operation *operation)
{
	int error;

	if (operation->flags & SESSION)
		pthread_rwlock_wrlock(&server->session);
	else
		pthread_rwlock_rdlock(&server->session);
	error = server_check(server, call, operation);
	if (error == 0)
		error = fs_call_take(call, &call->body, operation->body);
	if (error == 0)
		error = operation->run(server, call);
	pthread_rwlock_unlock(&server->session);
	return error;
}

uint32_t fs_server_serve(struct fs_server *server, const struct iovec *in,
			 uint32_t in_count, const struct iovec *out,
			 uint32_t out_count)
{
	static const struct server_operation unknown = { .run = NULL };
	const struct server_operation *operation = &unknown;
	struct fs_call call;
	int error = fs_call_begin(&call, in, in_count, out, out_count);

	atomic_fetch_add_explicit(&server->requests, 1, memory_order_relaxed);
	if (error == -EPROTO)
		return 0;
	if (call.header.opcode < SERVER_OPERATIONS)
		operation = &operations[call.header.opcode];
	if (error == 0)
		error = server_run(server, &call, operation);
	return operation->flags & SILENT ? 0 : fs_call_end(&call, error);
}

uint64_t fs_server_requests(const struct fs_server *server)
{
	return atomic_load_explicit(&server->requests, memory_order_relaxed);
}

uint64_t fs_valid(const struct fs_server *server)
{
	switch (server->cache) {
	case CAPSA_SHARE_CACHE_NONE:
		return 0;
	case CAPSA_SHARE_CACHE_AUTO:
		return 1;
	default:
		return UINT64_C(24) * 60 * 60;
	}
}

/*
 * Files of other file systems below the root may have the numbers of its own,
 * and tools take files of one number for one file.
 */
uint64_t fs_number(const struct fs_server *server, uint64_t device,
		   uint64_t number)
{
	return device == server->device
		       ? number
		       : number ^ device * UINT64_C(0x9e3779b97f4a7c15);
}
