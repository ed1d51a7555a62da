/* SPDX-License-Identifier: MIT */
/*
 * What a guest must not reach: anything by a name that is none, by a number
 * that it was not given, by a link, by a special file; and on a share that is
 * read-only, any change.
 */
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "fake_fuse.h"
#include "tap.h"

static struct fake_fuse fuse;

static void make_file(const char *name, const char *text)
{
	int fd = openat(fuse.folder_fd, name, O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 &&
	      write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool exists(const char *name)
{
	struct stat status;

	return fstatat(fuse.folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* How many entries the share has on the host, all folders together. */
static int counted;

static int count_one(const char *path, const struct stat *status, int kind,
		     struct FTW *place)
{
	(void)path;
	(void)status;
	(void)kind;
	(void)place;
	counted++;
	return 0;
}

static int count_entries(void)
{
	counted = 0;
	nftw(fuse.folder, count_one, 16, FTW_PHYS);
	return counted;
}

struct bad_name {
	const char *bytes;
	size_t length; /* with what ends it */
	int error;
};

static char long_name[4097];
static char too_long[257];

static const struct bad_name bad_names[] = {
	{ "", 1, -EINVAL },
	{ "", 0, -EINVAL },
	{ ".", 2, -EINVAL },
	{ "..", 3, -EINVAL },
	{ "/", 2, -EINVAL },
	{ "/etc", 5, -EINVAL },
	{ "/etc/passwd", 12, -EINVAL },
	{ "a/b", 4, -EINVAL },
	{ "a/", 3, -EINVAL },
	{ "../canary", 10, -EINVAL },
	{ "folder/../../canary", 20, -EINVAL },
	{ "folder/./file", 14, -EINVAL },
	{ "a\0b", 4, -EINVAL },
	{ "a\0", 3, -EINVAL },
	{ "a", 1, -EINVAL }, /* no NUL */
	{ too_long, sizeof(too_long), -ENAMETOOLONG },
	{ long_name, sizeof(long_name), -ENAMETOOLONG },
};

enum { BAD_NAMES = sizeof(bad_names) / sizeof(bad_names[0]) };

/* Asks with the body, good text before it, the name, good text behind it. */
static int ask_name(uint32_t opcode, const void *body, size_t size,
		    const char *before, const struct bad_name *name,
		    const char *behind)
{
	const struct fake_part parts[] = {
		{ body, size },
		{ before, before ? strlen(before) + 1 : 0 },
		{ name->bytes, name->length },
		{ behind, behind ? strlen(behind) + 1 : 0 },
	};
	uint8_t reply[512];

	return fake_fuse_ask(&fuse, opcode, FUSE_ROOT, parts, 4, reply,
			     sizeof(reply));
}

/* A name that isn't ended runs into the next text: either way it is none. */
static bool is_refused(int error, const struct bad_name *name)
{
	return error == name->error || error == -EINVAL;
}

static void names_that_are_none_are_refused(void)
{
	const struct fuse_mknod_in mknod = { .mode = S_IFREG | 0644 };
	const struct fuse_mkdir_in mkdir = { .mode = 0755 };
	const struct fuse_create_in create = { .flags = O_RDWR,
					       .mode = S_IFREG | 0644 };
	const struct fuse_rename_in rename = { .newdir = FUSE_ROOT };
	const struct fuse_rename2_in rename2 = { .newdir = FUSE_ROOT };
	struct fuse_link_in link = { 0 };
	int before;

	fake_fuse_create(&fuse);
	memset(long_name, 'n', sizeof(long_name) - 1);
	memset(too_long, 'n', sizeof(too_long) - 1);
	make_file("file", "text");
	CHECK(mkdirat(fuse.folder_fd, "folder", 0755) == 0);
	before = count_entries();
	link.oldnodeid = fake_node(&fuse, FUSE_ROOT, "file");
	for (size_t i = 0; i < BAD_NAMES; i++) {
		const struct bad_name *name = &bad_names[i];

		CHECK(ask_name(FUSE_LOOKUP, NULL, 0, NULL, name, NULL) ==
		      name->error);
		CHECK(ask_name(FUSE_UNLINK, NULL, 0, NULL, name, NULL) ==
		      name->error);
		CHECK(ask_name(FUSE_RMDIR, NULL, 0, NULL, name, NULL) ==
		      name->error);
		CHECK(ask_name(FUSE_MKNOD, &mknod, sizeof(mknod), NULL, name,
			       NULL) == name->error);
		CHECK(ask_name(FUSE_MKDIR, &mkdir, sizeof(mkdir), NULL, name,
			       NULL) == name->error);
		CHECK(ask_name(FUSE_CREATE, &create, sizeof(create), NULL, name,
			       NULL) == name->error);
		CHECK(ask_name(FUSE_LINK, &link, sizeof(link), NULL, name,
			       NULL) == name->error);
		CHECK(is_refused(
			ask_name(FUSE_SYMLINK, NULL, 0, NULL, name, "file"),
			name));
		CHECK(is_refused(ask_name(FUSE_RENAME, &rename, sizeof(rename),
					  NULL, name, "x"),
				 name));
		CHECK(is_refused(ask_name(FUSE_RENAME, &rename, sizeof(rename),
					  "file", name, NULL),
				 name));
		CHECK(is_refused(ask_name(FUSE_RENAME2, &rename2,
					  sizeof(rename2), NULL, name, "x"),
				 name));
		CHECK(is_refused(ask_name(FUSE_RENAME2, &rename2,
					  sizeof(rename2), "file", name, NULL),
				 name));
	}
	/* And nothing has come of it. */
	CHECK(count_entries() == before);
	fake_fuse_destroy(&fuse);
}

static void names_of_any_other_bytes_are_fine(void)
{
	static const char *const names[] = { "...",      "..a", " ",
					     "\\..\\",   "\n",  "%2f",
					     "\xff\xfe", "*",   "-rf" };
	char longest[256];
	struct fuse_entry_out entry;
	struct fake_created file;

	fake_fuse_create(&fuse);
	memset(longest, 'l', 255);
	longest[255] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(fake_create(&fuse, FUSE_ROOT, names[i], O_RDWR, 0644,
				  &file) == 0);
		CHECK(fake_lookup(&fuse, FUSE_ROOT, names[i], &entry) == 0);
		CHECK(entry.nodeid == file.entry.nodeid);
		CHECK(exists(names[i]));
	}
	CHECK(fake_create(&fuse, FUSE_ROOT, longest, O_RDWR, 0644, &file) == 0);
	CHECK(exists(longest));
	fake_fuse_destroy(&fuse);
}

static void numbers_that_were_not_given_are_refused(void)
{
	uint64_t made_up[] = {
		0, 2, 3, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX
	};
	struct fake_created file;
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	struct fuse_attr attr;
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0 };
	uint64_t stale;
	char text[64];

	fake_fuse_create(&fuse);
	make_file("file", "text");
	for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++) {
		uint64_t node = made_up[i];

		CHECK(fake_getattr(&fuse, node, &attr) == -ESTALE);
		CHECK(fake_setattr(&fuse, node, &set, NULL) == -ESTALE);
		CHECK(fake_lookup(&fuse, node, "file", &entry) == -ESTALE);
		CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == -ESTALE);
		CHECK(fake_opendir(&fuse, node, &opened) == -ESTALE);
		CHECK(fake_mkdir(&fuse, node, "x", 0755, &entry) == -ESTALE);
		CHECK(fake_symlink(&fuse, node, "x", "y", &entry) == -ESTALE);
		CHECK(fake_link(&fuse, node, FUSE_ROOT, "x", &entry) ==
		      -ESTALE);
		CHECK(fake_remove(&fuse, FUSE_UNLINK, node, "x") == -ESTALE);
		CHECK(fake_rename(&fuse, node, "x", FUSE_ROOT, "y", 0) ==
		      -ESTALE);
		CHECK(fake_rename(&fuse, FUSE_ROOT, "file", node, "y", 0) ==
		      -ESTALE);
		CHECK(fake_fuse_call(&fuse, FUSE_READLINK, node, NULL, 0, NULL,
				     NULL, text, sizeof(text)) == -ESTALE);
		CHECK(fake_getxattr(&fuse, node, "user.a", text, 64) ==
		      -ESTALE);
		CHECK(fake_setxattr(&fuse, node, "user.a", "v", 1, 0) ==
		      -ESTALE);
		CHECK(fake_create(&fuse, node, "x", O_RDWR, 0644, &file) ==
		      -ESTALE);
	}
	/* One that was forgotten is none any more. */
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	stale = entry.nodeid;
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	fake_forget(&fuse, stale, 1);
	CHECK(fake_getattr(&fuse, stale, &attr) == 0);
	fake_forget(&fuse, stale, UINT64_MAX);
	CHECK(fake_getattr(&fuse, stale, &attr) == -ESTALE);
	fake_forget(&fuse, stale, 1);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	CHECK(entry.nodeid > stale);
	/* The root can't be. */
	fake_forget(&fuse, FUSE_ROOT, UINT64_MAX);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == 0);
	fake_fuse_destroy(&fuse);
}

/* What asks by handle, with a handle that is none. */
static void expect_no_handle(uint64_t node, uint64_t handle)
{
	const struct fuse_flush_in flush = { .fh = handle };
	const struct fuse_fsync_in fsync = { .fh = handle };
	const struct fuse_lseek_in lseek = { .fh = handle,
					     .whence = SEEK_DATA };
	const struct fuse_fallocate_in fallocate = { .fh = handle,
						     .length = 1 };
	const struct fuse_copy_file_range_in copy = {
		.fh_in = handle, .nodeid_out = node, .fh_out = handle, .len = 1
	};
	const struct fuse_read_in read = { .fh = handle, .size = 4096 };
	const struct fuse_setattr_in set = { .valid = FATTR_SIZE | FATTR_FH,
					     .fh = handle };
	struct fuse_attr attr;
	uint8_t reply[4096];

	CHECK(fake_read(&fuse, node, handle, 0, reply, 8) == -EBADF);
	CHECK(fake_write(&fuse, node, handle, 0, "x", 1, 0) == -EBADF);
	CHECK(fake_setattr(&fuse, node, &set, &attr) == -EBADF);
#define ASK(opcode, in)                                                        \
	fake_fuse_call(&fuse, opcode, node, &(in), sizeof(in), NULL, NULL,     \
		       reply, sizeof(reply))
	CHECK(ASK(FUSE_FLUSH, flush) == -EBADF);
	CHECK(ASK(FUSE_FSYNC, fsync) == -EBADF);
	CHECK(ASK(FUSE_FSYNCDIR, fsync) == -EBADF);
	CHECK(ASK(FUSE_LSEEK, lseek) == -EBADF);
	CHECK(ASK(FUSE_FALLOCATE, fallocate) == -EBADF);
	CHECK(ASK(FUSE_COPY_FILE_RANGE, copy) == -EBADF);
	CHECK(ASK(FUSE_READDIR, read) == -EBADF);
	CHECK(ASK(FUSE_READDIRPLUS, read) == -EBADF);
#undef ASK
	CHECK(fake_release(&fuse, FUSE_RELEASE, node, handle) == -EBADF);
	CHECK(fake_release(&fuse, FUSE_RELEASEDIR, node, handle) == -EBADF);
}

static void handles_that_are_none_are_refused(void)
{
	const uint64_t made_up[] = { 0,
				     1,
				     2,
				     64,
				     UINT32_MAX,
				     UINT64_MAX,
				     UINT64_C(1) << 32,
				     UINT64_C(3) << 32 };
	struct fake_created file;
	struct fake_created other;
	struct fuse_open_out folder;
	char byte;

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++)
		expect_no_handle(FUSE_ROOT, made_up[i]);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0644, &file) == 0);
	CHECK(fake_create(&fuse, FUSE_ROOT, "b", O_RDWR, 0644, &other) == 0);
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &folder) == 0);
	/* Of another file, of another kind, and after its release. */
	CHECK(fake_read(&fuse, other.entry.nodeid, file.open.fh, 0, &byte, 1) ==
	      -EBADF);
	CHECK(fake_read(&fuse, FUSE_ROOT, folder.fh, 0, &byte, 1) == -EBADF);
	CHECK(fake_release(&fuse, FUSE_RELEASE, FUSE_ROOT, folder.fh) ==
	      -EBADF);
	CHECK(fake_release(&fuse, FUSE_RELEASEDIR, file.entry.nodeid,
			   file.open.fh) == -EBADF);
	CHECK(fake_release(&fuse, FUSE_RELEASE, file.entry.nodeid,
			   file.open.fh) == 0);
	expect_no_handle(file.entry.nodeid, file.open.fh);
	/* The same place, another handle: the old number stays none. */
	CHECK(fake_open(&fuse, file.entry.nodeid, O_RDWR, &folder) == 0);
	CHECK(folder.fh != file.open.fh &&
	      (uint32_t)folder.fh == (uint32_t)file.open.fh);
	expect_no_handle(file.entry.nodeid, file.open.fh);
	fake_fuse_destroy(&fuse);
}

/* A canary beside the share, and links to it of all sorts inside. */
static void links_are_never_followed(void)
{
	static const char *const targets[] = { "../canary", "/etc/passwd",
					       "loop",      ".",
					       "..",        "/" };
	char path[128];
	char target[256];
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	struct fake_created file;
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0777 };
	int fd;

	fake_fuse_create(&fuse);
	snprintf(path, sizeof(path), "%s-canary", fuse.folder);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(write(fd, "canary", 6) == 6);
	close(fd);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		const char *name = i == 2 ? "loop" : "link";
		uint64_t node;

		(void)unlinkat(fuse.folder_fd, name, 0);
		CHECK(symlinkat(i == 0 ? path : targets[i], fuse.folder_fd,
				name) == 0);
		CHECK(fake_lookup(&fuse, FUSE_ROOT, name, &entry) == 0);
		node = entry.nodeid;
		CHECK(S_ISLNK(entry.attr.mode));
		CHECK(fake_fuse_call(&fuse, FUSE_READLINK, node, NULL, 0, NULL,
				     NULL, target, sizeof(target)) == 0);
		target[fuse.replied] = '\0';
		CHECK(strcmp(target, i == 0 ? path : targets[i]) == 0);
		CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == -ELOOP);
		CHECK(fake_opendir(&fuse, node, &opened) == -ENOTDIR);
		CHECK(fake_lookup(&fuse, node, "passwd", &entry) == -ENOTDIR);
		CHECK(fake_setattr(&fuse, node, &set, NULL) == -EOPNOTSUPP);
		CHECK(fake_getxattr(&fuse, node, "user.a", target, 8) ==
		      -EOPNOTSUPP);
		CHECK(fake_mkdir(&fuse, node, "x", 0755, &entry) == -ENOTDIR);
		/* A guest that takes the name for free is to look again. */
		CHECK(fake_create(&fuse, FUSE_ROOT, name, O_RDWR | O_TRUNC,
				  0644, &file) == -ESTALE);
		CHECK(fake_create(&fuse, FUSE_ROOT, name, O_RDWR | O_EXCL, 0644,
				  &file) == -EEXIST);
	}
	set.valid = FATTR_SIZE;
	CHECK(fake_setattr(&fuse, fake_node(&fuse, FUSE_ROOT, "link"), &set,
			   NULL) == -ELOOP);
	fd = open(path, O_RDONLY);
	CHECK(read(fd, target, sizeof(target)) == 6 &&
	      memcmp(target, "canary", 6) == 0);
	close(fd);
	unlink(path);
	fake_fuse_destroy(&fuse);
}

static void special_files_are_seen_and_never_opened(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fuse_setattr_in set = { .valid = FATTR_SIZE };
	struct fuse_open_out opened;
	struct fuse_entry_out entry;
	char value[8];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char *const names[] = { "fifo", "socket", "device" };

	fake_fuse_create(&fuse);
	CHECK(mkfifoat(fuse.folder_fd, "fifo", 0666) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket",
		 fuse.folder);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	/* The device of all zeroes, where root may make one. */
	if (mknodat(fuse.folder_fd, "device", S_IFCHR | 0666, makedev(1, 5)) <
	    0)
		printf("# no device nodes: not root\n");
	for (size_t i = 0; i < 3; i++) {
		uint64_t node = fake_node(&fuse, FUSE_ROOT, names[i]);

		if (i == 2 && !exists("device"))
			continue;
		CHECK(node != 0);
		CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == -EPERM);
		CHECK(fake_open(&fuse, node, O_WRONLY, &opened) == -EPERM);
		CHECK(fake_open(&fuse, node, O_RDWR | O_TRUNC, &opened) ==
		      -EPERM);
		CHECK(fake_opendir(&fuse, node, &opened) == -ENOTDIR);
		CHECK(fake_setattr(&fuse, node, &set, NULL) == -EPERM);
		CHECK(fake_getxattr(&fuse, node, "user.a", value, 8) ==
		      -EOPNOTSUPP);
		CHECK(fake_getxattr(&fuse, node, NULL, value, 8) == 0);
		set.valid = FATTR_MODE;
		set.mode = 0600;
		CHECK(fake_setattr(&fuse, node, &set, NULL) == 0);
		set.valid = FATTR_SIZE;
	}
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "fifo", &entry) == 0);
	CHECK(entry.attr.mode == (S_IFIFO | 0600));
	if (fake_lookup(&fuse, FUSE_ROOT, "device", &entry) == 0)
		CHECK(entry.attr.rdev == (1 << 8 | 5));
	close(fd);
	fake_fuse_destroy(&fuse);
}

static void special_files_cannot_be_made(void)
{
	static const uint32_t types[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK,
					  S_IFDIR, S_IFLNK,  S_IFMT };
	struct fuse_entry_out entry;

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		CHECK(fake_mknod(&fuse, FUSE_ROOT, "x", types[i] | 0666,
				 &entry) == -EPERM);
	CHECK(!exists("x"));
	CHECK(fake_mknod(&fuse, FUSE_ROOT, "x", S_IFREG | 0640, &entry) == 0);
	CHECK(entry.attr.mode == (S_IFREG | 0640));
	CHECK(fake_mknod(&fuse, FUSE_ROOT, "y", 0600, &entry) == 0);
	CHECK(entry.attr.mode == (S_IFREG | 0600));
	/* The node of a hole in an overlay is made by a rename, too. */
	CHECK(fake_rename(&fuse, FUSE_ROOT, "x", FUSE_ROOT, "z", 4) == -EINVAL);
	CHECK(exists("x") && !exists("z"));
	fake_fuse_destroy(&fuse);
}

static void attributes_of_the_host_stay_out_of_reach(void)
{
	static const char *const names[] = { "security.capability",
					     "security.selinux",
					     "trusted.overlay.opaque",
					     "system.posix_acl_access",
					     "USER.a",
					     "usera",
					     "",
					     "user" };
	struct fake_created file;
	char value[64];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0644, &file) == 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t node = file.entry.nodeid;

		CHECK(fake_setxattr(&fuse, node, names[i], "v", 1, 0) ==
		      -EOPNOTSUPP);
		CHECK(fake_getxattr(&fuse, node, names[i], value, 64) ==
		      -EOPNOTSUPP);
		CHECK(fake_remove(&fuse, FUSE_REMOVEXATTR, node, names[i]) ==
		      -EOPNOTSUPP);
	}
	CHECK(fake_setxattr(&fuse, file.entry.nodeid, "user.", "v", 1, 0) ==
	      -EINVAL);
	fake_fuse_destroy(&fuse);
}

/* The host replaces what a guest has looked up; it never gets the new thing. */
static void what_takes_a_place_is_not_what_was_there(void)
{
	struct fuse_entry_out folder;
	struct fuse_entry_out secret;
	struct fuse_entry_out again;
	struct fuse_open_out opened;
	char outside[128];
	char text[16];

	fake_fuse_create(&fuse);
	snprintf(outside, sizeof(outside), "%s-outside", fuse.folder);
	CHECK(mkdir(outside, 0755) == 0);
	strcat(outside, "/secret");
	close(open(outside, O_CREAT | O_WRONLY, 0644));
	*strrchr(outside, '/') = '\0';
	CHECK(mkdirat(fuse.folder_fd, "d", 0755) == 0);
	make_file("d/secret", "inside");
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "d", &folder) == 0);
	CHECK(fake_lookup(&fuse, folder.nodeid, "secret", &secret) == 0);
	CHECK(renameat(fuse.folder_fd, "d", fuse.folder_fd, "e") == 0);
	CHECK(symlinkat(outside, fuse.folder_fd, "d") == 0);
	/* The old numbers are the old files, wherever they are by now. */
	CHECK(fake_open(&fuse, secret.nodeid, O_RDWR, &opened) == 0);
	CHECK(fake_read(&fuse, secret.nodeid, opened.fh, 0, text, 16) == 6);
	CHECK(memcmp(text, "inside", 6) == 0);
	CHECK(fake_lookup(&fuse, folder.nodeid, "secret", &again) == 0);
	CHECK(again.nodeid == secret.nodeid);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "d", &again) == 0);
	CHECK(S_ISLNK(again.attr.mode) && again.nodeid != folder.nodeid);
	CHECK(fake_lookup(&fuse, again.nodeid, "secret", &again) == -ENOTDIR);
	fake_folder_remove(outside);
	fake_fuse_destroy(&fuse);
}

static void read_only_shares_refuse_every_change(void)
{
	const struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO,
					    .read_only = true };
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = 0777 };
	const struct fuse_fallocate_in fallocate = { .length = 100 };
	const struct fuse_copy_file_range_in copy = { .len = 1 };
	const struct fuse_rename_in rename = { .newdir = FUSE_ROOT };
	static const uint32_t flags[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC,
					  O_RDWR | O_APPEND,
					  O_WRONLY | O_TRUNC };
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	struct fake_created file;
	uint64_t node;
	char text[8];
	uint32_t mode;
	int before;

	fake_fuse_create_as(&fuse, &share, 1 << 20);
	make_file("file", "text");
	CHECK(mkdirat(fuse.folder_fd, "folder", 0755) == 0);
	before = count_entries();
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	node = entry.nodeid;
	mode = entry.attr.mode;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		CHECK(fake_open(&fuse, node, flags[i], &opened) == -EROFS);
	CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == 0);
	CHECK(fake_read(&fuse, node, opened.fh, 0, text, 8) == 4);
	for (uint32_t valid = 1; valid <= FATTR_KILL_SUIDGID; valid <<= 1) {
		set.valid = valid;
		CHECK(fake_setattr(&fuse, node, &set, NULL) == -EROFS);
	}
	CHECK(fake_write(&fuse, node, opened.fh, 0, "x", 1, 0) == -EROFS);
	CHECK(fake_create(&fuse, FUSE_ROOT, "x", O_RDONLY, 0644, &file) ==
	      -EROFS);
	CHECK(fake_create(&fuse, FUSE_ROOT, "file", O_RDONLY, 0644, &file) ==
	      -EROFS);
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "x", 0755, &entry) == -EROFS);
	CHECK(fake_mknod(&fuse, FUSE_ROOT, "x", S_IFREG, &entry) == -EROFS);
	CHECK(fake_symlink(&fuse, FUSE_ROOT, "x", "y", &entry) == -EROFS);
	CHECK(fake_link(&fuse, node, FUSE_ROOT, "x", &entry) == -EROFS);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "file") == -EROFS);
	CHECK(fake_remove(&fuse, FUSE_RMDIR, FUSE_ROOT, "folder") == -EROFS);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "file", FUSE_ROOT, "x", 0) ==
	      -EROFS);
	CHECK(fake_fuse_call(&fuse, FUSE_RENAME, FUSE_ROOT, &rename,
			     sizeof(rename), "file", "x", NULL, 0) == -EROFS);
	CHECK(fake_setxattr(&fuse, node, "user.a", "v", 1, 0) == -EROFS);
	CHECK(fake_remove(&fuse, FUSE_REMOVEXATTR, node, "user.a") == -EROFS);
	CHECK(fake_fuse_call(&fuse, FUSE_FALLOCATE, node, &fallocate,
			     sizeof(fallocate), NULL, NULL, NULL, 0) == -EROFS);
	CHECK(fake_fuse_call(&fuse, FUSE_COPY_FILE_RANGE, node, &copy,
			     sizeof(copy), NULL, NULL, text, 8) == -EROFS);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	CHECK(entry.attr.size == 4 && entry.attr.mode == mode);
	CHECK(count_entries() == before);
	fake_fuse_destroy(&fuse);
}

/* Whatever a guest writes runs with nobody's rights on the host. */
static void files_never_get_set_id_bits(void)
{
	struct fuse_setattr_in set = { .valid = FATTR_MODE,
				       .mode = S_IFREG | 06755 };
	struct fake_created file;
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	struct fuse_attr attr;
	uint64_t node;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 06755, &file) == 0);
	CHECK(file.entry.attr.mode == (S_IFREG | 0755));
	CHECK(fake_mknod(&fuse, FUSE_ROOT, "b", S_IFREG | 06711, &entry) == 0);
	CHECK(entry.attr.mode == (S_IFREG | 0711));
	CHECK(fake_setattr(&fuse, entry.nodeid, &set, &attr) == 0);
	CHECK(attr.mode == (S_IFREG | 0755));
	/* Those that the host has set go when a guest opens for writing. */
	for (int truncate = 0; truncate < 2; truncate++) {
		CHECK(fchmodat(fuse.folder_fd, "b", 06755, 0) == 0);
		node = fake_node(&fuse, FUSE_ROOT, "b");
		CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == 0);
		CHECK(fake_getattr(&fuse, node, &attr) == 0);
		CHECK(attr.mode == (S_IFREG | 06755));
		set.valid = FATTR_SIZE;
		if (truncate)
			CHECK(fake_setattr(&fuse, node, &set, NULL) == 0);
		else
			CHECK(fake_open(&fuse, node, O_WRONLY, &opened) == 0);
		CHECK(fake_getattr(&fuse, node, &attr) == 0);
		CHECK(attr.mode == (S_IFREG | 0755));
	}
	fake_fuse_destroy(&fuse);
}

/* Nor those that lend rights in other ways. */
static void writing_takes_capabilities_away(void)
{
	const struct vfs_cap_data cap = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data = { { .permitted = 1 } },
	};
	struct fuse_open_out opened;
	char path[128];
	uint64_t node;

	fake_fuse_create(&fuse);
	make_file("a", "text");
	snprintf(path, sizeof(path), "%s/a", fuse.folder);
	CHECK(setxattr(path, "security.capability", &cap, sizeof(cap), 0) == 0);
	node = fake_node(&fuse, FUSE_ROOT, "a");
	CHECK(fake_open(&fuse, node, O_RDWR, &opened) == 0);
	CHECK(fake_write(&fuse, node, opened.fh, 0, "x", 1, 0) == 1);
	CHECK(getxattr(path, "security.capability", NULL, 0) < 0 &&
	      errno == ENODATA);
	fake_fuse_destroy(&fuse);
}

int main(void)
{
	TEST(names_that_are_none_are_refused);
	TEST(names_of_any_other_bytes_are_fine);
	TEST(numbers_that_were_not_given_are_refused);
	TEST(handles_that_are_none_are_refused);
	TEST(links_are_never_followed);
	TEST(special_files_are_seen_and_never_opened);
	TEST(special_files_cannot_be_made);
	TEST(attributes_of_the_host_stay_out_of_reach);
	TEST(what_takes_a_place_is_not_what_was_there);
	TEST(read_only_shares_refuse_every_change);
	TEST(files_never_get_set_id_bits);
	if (getuid() == 0)
		TEST(writing_takes_capabilities_away);
	else
		TEST_SKIP(writing_takes_capabilities_away, "not root");
	return tap_done();
}
