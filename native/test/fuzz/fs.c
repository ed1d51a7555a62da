/* SPDX-License-Identifier: MIT */
/*
 * A guest that speaks FUSE to a share in any way: every reply has its form and
 * fits, nothing is kept that grows, and what lies beside the share stays what
 * it was.
 *
 * Input: a byte of options (bits 0-1: cache, 2: read-only, 3: one owner, 4:
 * buffers in pieces), then operations of ten bytes: mostly good requests about
 * what earlier ones have told, rarely one that breaks a rule.
 */
#include <linux/falloc.h>

#include "fake_fuse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPERATION_BYTES = 10,
	OPERATIONS_MAX = 200,
	KNOWN = 16, /* nodes, and handles, that are remembered */
	ROOM = 8192,
	REQUEST = 8192,
};

static const char *const names[] = { "a", "b", "c", "d", "link", "long name" };

static const char *const bad_names[] = {
	"",     ".",         "..",    "/",      "a/b", "../capsa-canary",
	"/etc", "a/../../x", "a/..b", "../../", "/",   "..",
};

static const char *const targets[] = { "a", "..", "../capsa-canary", "/",
				       "link" };

static const uint32_t opcodes[] = {
	FUSE_LOOKUP,
	FUSE_LOOKUP,
	FUSE_LOOKUP,
	FUSE_FORGET,
	FUSE_BATCH_FORGET,
	FUSE_GETATTR,
	FUSE_SETATTR,
	FUSE_READLINK,
	FUSE_SYMLINK,
	FUSE_MKNOD,
	FUSE_MKDIR,
	FUSE_UNLINK,
	FUSE_RMDIR,
	FUSE_RENAME,
	FUSE_RENAME2,
	FUSE_LINK,
	FUSE_OPEN,
	FUSE_READ,
	FUSE_WRITE,
	FUSE_STATFS,
	FUSE_RELEASE,
	FUSE_FSYNC,
	FUSE_SETXATTR,
	FUSE_GETXATTR,
	FUSE_LISTXATTR,
	FUSE_REMOVEXATTR,
	FUSE_FLUSH,
	FUSE_OPENDIR,
	FUSE_READDIR,
	FUSE_READDIRPLUS,
	FUSE_RELEASEDIR,
	FUSE_FSYNCDIR,
	FUSE_CREATE,
	FUSE_CREATE,
	FUSE_FALLOCATE,
	FUSE_LSEEK,
	FUSE_COPY_FILE_RANGE,
	FUSE_INTERRUPT,
	FUSE_INIT,
	FUSE_DESTROY,
	FUSE_ACCESS,
	FUSE_IOCTL,
};

enum { OPCODES = sizeof(opcodes) / sizeof(opcodes[0]) };

static const uint64_t numbers[] = {
	0,
	1,
	2,
	4096,
	65536,
	1 << 20,
	1 << 21,
	UINT32_MAX,
	INT64_MAX,
	UINT64_MAX,
	INT64_MAX - 4096,
	3,
};

static struct fake_fuse fuse;
static uint64_t nodes[KNOWN];
static uint64_t handles[KNOWN];
static uint32_t node_count;
static uint32_t handle_count;
static uint8_t request[REQUEST];
static uint8_t reply[ROOM];
static size_t length;

static void add(const void *bytes, size_t count)
{
	if (count > 0)
		memcpy(request + length, bytes, count);
	length += count;
}

static void add_text(const char *text)
{
	add(text, strlen(text) + 1);
}

static uint64_t number(uint8_t byte)
{
	return byte < 200 ? byte : numbers[byte % 12];
}

static const char *name(uint8_t byte)
{
	return byte < 250 ? names[byte % 6] : bad_names[byte % 12];
}

static uint64_t handle(uint8_t byte)
{
	return byte < 250 ? handles[byte % KNOWN] : number(byte);
}

static uint64_t node(uint8_t byte)
{
	return byte < 250 ? nodes[byte % KNOWN] : number(byte);
}

/* What follows the header of each operation's request. */
static void add_open_body(uint32_t opcode, const uint8_t *op)
{
	static const uint32_t flags[] = { O_RDONLY,        O_WRONLY,
					  O_RDWR,          O_RDWR | O_TRUNC,
					  O_RDWR | O_EXCL, O_RDONLY | O_TRUNC,
					  O_ACCMODE,       UINT32_MAX };

	if (opcode == FUSE_CREATE) {
		const struct fuse_create_in in = { .flags = flags[op[5] % 8],
						   .mode = op[6] * 257u,
						   .umask = op[7] };

		add(&in, sizeof(in));
		add_text(name(op[2]));
	} else {
		const struct fuse_open_in in = { .flags = flags[op[5] % 8] };

		add(&in, sizeof(in));
	}
}

static void add_make_body(uint32_t opcode, const uint8_t *op)
{
	const struct fuse_mknod_in mknod = { .mode = op[5] & 1 ? S_IFREG | op[6]
							       : op[6] * 257u };
	/* Folders stay this user's to remove. */
	const struct fuse_mkdir_in mkdir = { .mode = 0700 | op[6] * 17u };
	const struct fuse_link_in link = { .oldnodeid = node(op[3]) };
	const struct fuse_rename_in rename = { .newdir = node(op[3]) };
	const struct fuse_rename2_in rename2 = { .newdir = node(op[3]),
						 .flags = op[5] & 7 };

	switch (opcode) {
	case FUSE_MKNOD:
		add(&mknod, sizeof(mknod));
		break;
	case FUSE_MKDIR:
		add(&mkdir, sizeof(mkdir));
		break;
	case FUSE_LINK:
		add(&link, sizeof(link));
		break;
	case FUSE_RENAME:
		add(&rename, sizeof(rename));
		break;
	case FUSE_RENAME2:
		add(&rename2, sizeof(rename2));
		break;
	default:
		break;
	}
	add_text(name(op[2]));
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2)
		add_text(name(op[4]));
	if (opcode == FUSE_SYMLINK)
		add_text(targets[op[4] % 5]);
}

static void add_file_body(uint32_t opcode, const uint8_t *op)
{
	const struct fuse_read_in read = { .fh = handle(op[3]),
					   .offset = number(op[6]),
					   .size = (uint32_t)number(op[7]) };
	const struct fuse_write_in write = { .fh = handle(op[3]),
					     .offset = number(op[6]),
					     .size = op[7],
					     .write_flags = op[5] & 7,
					     .flags = op[5] & 8 ? O_APPEND
								: 0 };
	const struct fuse_fallocate_in fallocate = {
		.fh = handle(op[3]),
		.offset = number(op[6]) & 0xffffff,
		.length = number(op[7]) & 0xffffff,
		.mode = op[5] & 0x1f,
	};
	const struct fuse_lseek_in lseek = { .fh = handle(op[3]),
					     .offset = number(op[6]),
					     .whence = op[5] & 7 };
	const struct fuse_copy_file_range_in copy = {
		.fh_in = handle(op[3]),
		.off_in = number(op[6]),
		.nodeid_out = node(op[4]),
		.fh_out = handle(op[5]),
		.off_out = op[7],
		.len = number(op[7]),
	};
	static const uint8_t text[256] = "contents";

	switch (opcode) {
	case FUSE_WRITE:
		add(&write, sizeof(write));
		add(text, op[7]);
		break;
	case FUSE_FALLOCATE:
		add(&fallocate, sizeof(fallocate));
		break;
	case FUSE_LSEEK:
		add(&lseek, sizeof(lseek));
		break;
	case FUSE_COPY_FILE_RANGE:
		add(&copy, sizeof(copy));
		break;
	default:
		add(&read, sizeof(read));
		break;
	}
}

static void add_attribute_body(uint32_t opcode, const uint8_t *op)
{
	static const char *const attributes[] = { "user.a",     "user.b",
						  "user.",      "trusted.a",
						  "security.x", "" };
	const struct fuse_setattr_in setattr = {
		.valid = op[5] | (uint32_t)(op[4] & 15) << 8,
		.fh = handle(op[3]),
		.size = number(op[6]) & 0xffffff,
		.mode = 0700 | op[7] * 257u,
		.uid = op[6],
		.gid = op[7],
		.atime = number(op[6]),
		.mtime = number(op[7]),
		.atimensec = (uint32_t)number(op[7]),
	};
	const struct fuse_setxattr_in setxattr = { .size = op[7],
						   .flags = op[5] & 3 };
	const struct fuse_getxattr_in getxattr = { .size = (uint32_t)number(
							   op[7]) };
	static const uint8_t value[256];

	if (opcode == FUSE_SETATTR) {
		add(&setattr, sizeof(setattr));
		return;
	}
	if (opcode == FUSE_SETXATTR)
		add(&setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE);
	if (opcode == FUSE_GETXATTR || opcode == FUSE_LISTXATTR)
		add(&getxattr, sizeof(getxattr));
	if (opcode != FUSE_LISTXATTR)
		add_text(attributes[op[2] % 6]);
	if (opcode == FUSE_SETXATTR)
		add(value, op[7]);
}

static void add_end_body(uint32_t opcode, const uint8_t *op)
{
	const struct fuse_release_in release = { .fh = handle(op[3]) };
	const struct fuse_flush_in flush = { .fh = handle(op[3]) };
	const struct fuse_fsync_in fsync = { .fh = handle(op[3]),
					     .fsync_flags = op[5] };
	const struct fuse_forget_in forget = { .nlookup = number(op[6]) };
	const struct fuse_batch_forget_in batch = { .count = op[6] & 3 };
	const struct fuse_forget_one one = { .nodeid = node(op[3]),
					     .nlookup = op[7] };
	const struct fuse_init_in init = { .major = 7,
					   .minor = 28u + (op[5] & 15),
					   .flags = UINT32_MAX };
	const uint64_t unique = 1;

	switch (opcode) {
	case FUSE_FLUSH:
		add(&flush, sizeof(flush));
		break;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		add(&fsync, sizeof(fsync));
		break;
	case FUSE_FORGET:
		add(&forget, sizeof(forget));
		break;
	case FUSE_BATCH_FORGET:
		add(&batch, sizeof(batch));
		for (uint32_t i = 0; i < (op[7] & 3u); i++)
			add(&one, sizeof(one));
		break;
	case FUSE_INIT:
		add(&init, sizeof(init));
		break;
	case FUSE_INTERRUPT:
		add(&unique, sizeof(unique));
		break;
	default:
		add(&release, sizeof(release));
		break;
	}
}

static void add_body(uint32_t opcode, const uint8_t *op)
{
	static const struct fuse_getattr_in getattr;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_LINK:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		add_make_body(opcode, op);
		break;
	case FUSE_GETATTR:
		add(&getattr, sizeof(getattr));
		break;
	case FUSE_SETATTR:
	case FUSE_SETXATTR:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_REMOVEXATTR:
		add_attribute_body(opcode, op);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
	case FUSE_CREATE:
		add_open_body(opcode, op);
		break;
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_FALLOCATE:
	case FUSE_LSEEK:
	case FUSE_COPY_FILE_RANGE:
		add_file_body(opcode, op);
		break;
	case FUSE_READLINK:
	case FUSE_STATFS:
	case FUSE_DESTROY:
		break;
	default:
		add_end_body(opcode, op);
		break;
	}
}

/* Remembers what a good reply has told. */
static void learn(uint32_t opcode)
{
	const uint8_t *body = reply + sizeof(struct fuse_out_header);
	struct fuse_entry_out entry;
	struct fuse_open_out opened;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_CREATE:
		memcpy(&entry, body, sizeof(entry));
		if (entry.nodeid == 0)
			break;
		nodes[1 + node_count++ % (KNOWN - 1)] = entry.nodeid;
		body += sizeof(entry);
		break;
	default:
		break;
	}
	if (opcode == FUSE_CREATE || opcode == FUSE_OPEN ||
	    opcode == FUSE_OPENDIR) {
		memcpy(&opened, body, sizeof(opened));
		handles[handle_count++ % KNOWN] = opened.fh;
	}
}

static void fuzz_operation(const uint8_t *op)
{
	struct fuse_in_header header = {
		.opcode = op[0] < 252 ? opcodes[op[0] % OPCODES] : op[1],
		.unique = 77,
		.nodeid = node(op[1]),
		.uid = op[8] & 3,
		.gid = op[8] & 1,
	};
	struct fuse_out_header answer;
	size_t room = op[9] < 240 ? ROOM : op[9] - 240u;
	uint32_t written;

	length = sizeof(header);
	add_body(header.opcode, op);
	/* Shorter, longer, or other than it says. */
	if (op[8] >= 250 && length > 4)
		length -= 1 + op[8] % 4;
	else if (op[8] >= 245)
		length += op[8] % 8;
	header.len = (uint32_t)length + (op[8] == 244);
	memcpy(request, &header, sizeof(header));
	written = fake_fuse_send(&fuse, request, length, reply, room);
	if (written > room)
		__builtin_trap();
	if (written < sizeof(answer)) {
		if (written != 0)
			__builtin_trap();
		return;
	}
	memcpy(&answer, reply, sizeof(answer));
	if (answer.len != written || answer.unique != 77 || answer.error > 0 ||
	    answer.error <= -512 || (answer.error < 0 && written != 16))
		__builtin_trap();
	if (answer.error == 0)
		learn(header.opcode);
}

static void fuzz_create(uint8_t options)
{
	const struct share_config share = {
		.cache = (enum capsa_share_cache)(1 + (options & 3) % 3),
		.read_only = options >> 2 & 1,
		.has_owner = options >> 3 & 1,
		.owner = 1000,
	};

	if (!getenv("TMPDIR"))
		setenv("TMPDIR", "/dev/shm", 1);
	fake_fuse_create_as(&fuse, &share, 1 << 20);
	fuse.piece = options >> 4 & 1 ? 13 : 0;
	node_count = 0;
	handle_count = 0;
	for (uint32_t i = 0; i < KNOWN; i++) {
		nodes[i] = FUSE_ROOT;
		handles[i] = 0;
	}
	close(openat(fuse.folder_fd, "a", O_CREAT | O_WRONLY, 0644));
	mkdirat(fuse.folder_fd, "d", 0755);
	symlinkat("../capsa-canary", fuse.folder_fd, "link");
}

/* Beside the share nothing has come into being, or gone. */
static void fuzz_check(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/../capsa-canary", fuse.folder);
	if (access(path, F_OK) == 0)
		__builtin_trap();
	if (access(fuse.folder, F_OK) < 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	fuzz_create(data[0]);
	for (size_t i = 1, k = 0;
	     size - i >= OPERATION_BYTES && k < OPERATIONS_MAX;
	     i += OPERATION_BYTES, k++)
		fuzz_operation(data + i);
	fuzz_check();
	fake_fuse_destroy(&fuse);
	return 0;
}
