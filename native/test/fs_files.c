/* SPDX-License-Identifier: MIT */
/* Files as POSIX has them: contents, modes, owners, times, attributes. */
#include <linux/falloc.h>
#include <sys/xattr.h>

#include "fake_fuse.h"
#include "host_lacks.h"
#include "tap.h"

static struct fake_fuse fuse;

static struct stat host_status(const char *name)
{
	struct stat status = { 0 };

	CHECK(fstatat(fuse.folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0);
	return status;
}

/* What a host's program reads of it. */
static int64_t host_read(const char *name, char *text, size_t size)
{
	int fd = openat(fuse.folder_fd, name, O_RDONLY);
	ssize_t got = read(fd, text, size - 1);

	text[got > 0 ? got : 0] = '\0';
	close(fd);
	return got;
}

static void create_keeps_modes_whatever_the_umask(void)
{
	static const uint32_t modes[] = { 0,    0400,  0444,  0600, 0640,
					  0644, 0664,  0755,  0666, 0777,
					  0007, 01777, 00777, 02 };
	mode_t before = umask(0077);
	char name[16];

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct fake_created file;
		struct fuse_entry_out folder;

		snprintf(name, sizeof(name), "f%zu", i);
		CHECK(fake_create(&fuse, FUSE_ROOT, name, O_RDWR, modes[i],
				  &file) == 0);
		CHECK(file.entry.attr.mode == (S_IFREG | modes[i]));
		CHECK(host_status(name).st_mode == (S_IFREG | modes[i]));
		/* Whatever the mode, its maker may go on with it. */
		CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 0, "x",
				 1, 0) == 1);
		name[0] = 'd';
		CHECK(fake_mkdir(&fuse, FUSE_ROOT, name, modes[i], &folder) ==
		      0);
		CHECK(folder.attr.mode == (S_IFDIR | modes[i]));
		CHECK(host_status(name).st_mode == (S_IFDIR | modes[i]));
	}
	umask(before);
	fake_fuse_destroy(&fuse);
}

static void the_guests_umask_counts(void)
{
	const struct fuse_create_in create = { .flags = O_RDWR,
					       .mode = S_IFREG | 0666,
					       .umask = 027 };
	const struct fuse_mkdir_in mkdir = { .mode = 0777, .umask = 077 };
	const struct fuse_mknod_in mknod = { .mode = S_IFREG | 0666,
					     .umask = 002 };
	uint8_t reply[sizeof(struct fake_created)];

	fake_fuse_create(&fuse);
	CHECK(fake_fuse_call(&fuse, FUSE_CREATE, FUSE_ROOT, &create,
			     sizeof(create), "a", NULL, reply,
			     sizeof(reply)) == 0);
	CHECK(host_status("a").st_mode == (S_IFREG | 0640));
	CHECK(fake_fuse_call(&fuse, FUSE_MKDIR, FUSE_ROOT, &mkdir,
			     sizeof(mkdir), "b", NULL, reply,
			     sizeof(reply)) == 0);
	CHECK(host_status("b").st_mode == (S_IFDIR | 0700));
	CHECK(fake_fuse_call(&fuse, FUSE_MKNOD, FUSE_ROOT, &mknod,
			     sizeof(mknod), "c", NULL, reply,
			     sizeof(reply)) == 0);
	CHECK(host_status("c").st_mode == (S_IFREG | 0664));
	fake_fuse_destroy(&fuse);
}

static void create_is_exclusive_where_asked(void)
{
	struct fake_created file;
	struct fuse_open_out opened;
	char text[8];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR | O_EXCL, 0600,
			  &file) == 0);
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 0, "keep", 4,
			 0) == 4);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR | O_EXCL | O_TRUNC,
			  0600, &file) == -EEXIST);
	/* The guest believed that there was none: it is to look again. */
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR | O_TRUNC, 0600,
			  &file) == -ESTALE);
	CHECK(host_read("a", text, sizeof(text)) == 4);
	CHECK(fake_open(&fuse, fake_node(&fuse, FUSE_ROOT, "a"),
			O_RDWR | O_TRUNC, &opened) == 0);
	CHECK(host_status("a").st_size == 0);
	CHECK(fake_create(&fuse, FUSE_ROOT, "b", O_ACCMODE, 0600, &file) ==
	      -EINVAL);
	CHECK(fake_node(&fuse, FUSE_ROOT, "b") == 0);
	fake_fuse_destroy(&fuse);
}

/* Access modes hold, whoever this process is. */
static void handles_do_what_they_were_opened_for(void)
{
	struct fake_created file;
	struct fuse_open_out opened;
	uint64_t node;
	char text[8];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_WRONLY, 0600, &file) == 0);
	node = file.entry.nodeid;
	CHECK(fake_write(&fuse, node, file.open.fh, 0, "text", 4, 0) == 4);
	CHECK(fake_read(&fuse, node, file.open.fh, 0, text, 8) == -EBADF);
	CHECK(fake_open(&fuse, node, O_RDONLY, &opened) == 0);
	CHECK(fake_read(&fuse, node, opened.fh, 0, text, 8) == 4);
	CHECK(fake_write(&fuse, node, opened.fh, 0, "x", 1, 0) == -EBADF);
	CHECK(fake_open(&fuse, FUSE_ROOT, O_RDONLY, &opened) == -EISDIR);
	CHECK(fake_opendir(&fuse, node, &opened) == -ENOTDIR);
	CHECK(fake_open(&fuse, node, O_ACCMODE, &opened) == -EINVAL);
	fake_fuse_destroy(&fuse);
}

static void reads_and_writes_are_exact(void)
{
	enum { SIZE = (1 << 20) + 12345 };
	uint8_t *data = malloc(SIZE);
	uint8_t *back = malloc(SIZE);
	struct fake_created file;
	uint64_t node;
	uint64_t handle;
	uint32_t done = 0;
	uint32_t seed = 1;

	fake_fuse_create(&fuse);
	fuse.piece = 4096;
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	node = file.entry.nodeid;
	handle = file.open.fh;
	for (uint32_t i = 0; i < SIZE; i++) {
		seed = seed * 1103515245 + 12345;
		data[i] = (uint8_t)(seed >> 16);
	}
	while (done < SIZE) {
		uint32_t part = SIZE - done < 1 << 20 ? SIZE - done : 1 << 20;

		CHECK(fake_write(&fuse, node, handle, done, data + done, part,
				 0) == part);
		done += part;
	}
	for (uint32_t at = 0; at < SIZE; at += 99991)
		CHECK(fake_read(&fuse, node, handle, at, back + at,
				SIZE - at < 99991 ? SIZE - at : 99991) ==
		      (SIZE - at < 99991 ? SIZE - at : 99991));
	CHECK(memcmp(data, back, SIZE) == 0);
	/* A short answer is the end of the file, and none is behind it. */
	CHECK(fake_read(&fuse, node, handle, SIZE - 10, back, 4096) == 10);
	CHECK(fake_read(&fuse, node, handle, SIZE, back, 4096) == 0);
	CHECK(fake_read(&fuse, node, handle, INT64_MAX - 4096, back, 4096) ==
	      0);
	free(data);
	free(back);
	fake_fuse_destroy(&fuse);
}

static void ranges_are_checked(void)
{
	struct fuse_read_in in = { .size = (1 << 20) + 1 };
	struct fuse_write_in out = { .size = 5 };
	struct fuse_fallocate_in fallocate = { .offset = INT64_MAX,
					       .length = 2 };
	struct fuse_setattr_in set = { .valid = FATTR_SIZE,
				       .size = UINT64_MAX };
	struct fake_created file;
	uint8_t *reply = malloc((1 << 20) + 1);
	struct fake_part parts[] = { { &out, sizeof(out) }, { "text", 4 } };
	uint64_t node;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	node = file.entry.nodeid;
	in.fh = out.fh = fallocate.fh = file.open.fh;
#define READ(room)                                                             \
	fake_fuse_call(&fuse, FUSE_READ, node, &in, sizeof(in), NULL, NULL,    \
		       reply, room)
	CHECK(READ((1 << 20) + 1) == -EINVAL); /* too much at once */
	in.size = UINT32_MAX;
	CHECK(READ(4096) == -EINVAL);
	in.size = 4096;
	CHECK(READ(4095) == -EINVAL); /* more than there is room */
	in.offset = INT64_MAX;
	CHECK(READ(4096) == -EINVAL);
	in.offset = UINT64_MAX;
	CHECK(READ(4096) == -EINVAL);
#undef READ
	/* Less and more than it says. */
	CHECK(fake_fuse_ask(&fuse, FUSE_WRITE, node, parts, 2, reply, 8) ==
	      -EINVAL);
	out.size = 3;
	CHECK(fake_fuse_ask(&fuse, FUSE_WRITE, node, parts, 2, reply, 8) ==
	      -EINVAL);
	out.size = 4;
	out.offset = INT64_MAX - 3;
	CHECK(fake_fuse_ask(&fuse, FUSE_WRITE, node, parts, 2, reply, 8) ==
	      -EFBIG);
	out.offset = UINT64_MAX;
	CHECK(fake_fuse_ask(&fuse, FUSE_WRITE, node, parts, 2, reply, 8) ==
	      -EFBIG);
	CHECK(fake_fuse_call(&fuse, FUSE_FALLOCATE, node, &fallocate,
			     sizeof(fallocate), NULL, NULL, NULL, 0) == -EFBIG);
	CHECK(fake_setattr(&fuse, node, &set, NULL) == -EFBIG);
	CHECK(host_status("a").st_size == 0);
	free(reply);
	fake_fuse_destroy(&fuse);
}

/* Appending goes to the end by now; a page of a mapping to its own place. */
static void appending_and_mappings_go_together(void)
{
	struct fake_created file;
	struct fuse_write_in page = { .size = 4,
				      .offset = 0,
				      .write_flags = FUSE_WRITE_CACHE,
				      .flags = O_APPEND };
	struct fake_part parts[] = { { &page, sizeof(page) }, { "PAGE", 4 } };
	struct fuse_write_out out;
	char text[32];
	int fd;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR | O_APPEND, 0600,
			  &file) == 0);
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 0, "one.", 4,
			 O_RDWR | O_APPEND) == 4);
	fd = openat(fuse.folder_fd, "a", O_WRONLY | O_APPEND);
	CHECK(write(fd, "host", 4) == 4);
	close(fd);
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 4, "two.", 4,
			 O_RDWR | O_APPEND) == 4);
	page.fh = file.open.fh;
	CHECK(fake_fuse_ask(&fuse, FUSE_WRITE, file.entry.nodeid, parts, 2,
			    &out, sizeof(out)) == 0);
	CHECK(host_read("a", text, sizeof(text)) == 12);
	CHECK(strcmp(text, "PAGEhosttwo.") == 0);
	/* O_SYNC and O_DSYNC of the guest's file are those of the write. */
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 12, "s", 1,
			 O_RDWR | O_SYNC) == 1);
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 13, "d", 1,
			 O_RDWR | O_DSYNC) == 1);
	CHECK(host_status("a").st_size == 14);
	fake_fuse_destroy(&fuse);
}

static int64_t seek(uint64_t node, uint64_t handle, uint64_t offset,
		    uint32_t whence)
{
	const struct fuse_lseek_in in = { .fh = handle,
					  .offset = offset,
					  .whence = whence };
	struct fuse_lseek_out out;
	int error = fake_fuse_call(&fuse, FUSE_LSEEK, node, &in, sizeof(in),
				   NULL, NULL, &out, sizeof(out));

	return error < 0 ? error : (int64_t)out.offset;
}

static void holes_are_found_and_made(void)
{
	struct fake_created file;
	struct fuse_fallocate_in in = { .offset = 1 << 20,
					.length = 1 << 20,
					.mode = FALLOC_FL_PUNCH_HOLE |
						FALLOC_FL_KEEP_SIZE };
	uint64_t node;
	uint64_t handle;
	uint8_t *block = malloc(1 << 20);

	fake_fuse_create(&fuse);
	memset(block, 'b', 1 << 20);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	node = file.entry.nodeid;
	handle = file.open.fh;
	in.fh = handle;
	CHECK(fake_write(&fuse, node, handle, 4 << 20, block, 1 << 20, 0) ==
	      1 << 20);
	CHECK(seek(node, handle, 0, SEEK_DATA) == 4 << 20);
	CHECK(seek(node, handle, 4 << 20, SEEK_HOLE) == 5 << 20);
	CHECK(seek(node, handle, 5 << 20, SEEK_DATA) == -ENXIO);
	CHECK(seek(node, handle, 0, SEEK_SET) == -EINVAL);
	CHECK(seek(node, handle, 0, SEEK_END) == -EINVAL);
	CHECK(seek(node, handle, 0, 99) == -EINVAL);
	CHECK(seek(node, handle, UINT64_MAX, SEEK_DATA) == -EINVAL);
	CHECK(host_status("a").st_blocks * 512 < 2 << 20);
#define FALLOCATE()                                                            \
	fake_fuse_call(&fuse, FUSE_FALLOCATE, node, &in, sizeof(in), NULL,     \
		       NULL, NULL, 0)
	for (uint64_t at = 0; at < 4; at++)
		CHECK(fake_write(&fuse, node, handle, at << 20, block, 1 << 20,
				 0) == 1 << 20);
	CHECK(FALLOCATE() == 0);
	CHECK(seek(node, handle, 0, SEEK_HOLE) == 1 << 20);
	CHECK(seek(node, handle, 1 << 20, SEEK_DATA) == 2 << 20);
	CHECK(host_status("a").st_size == 5 << 20);
	in = (struct fuse_fallocate_in) { .fh = handle, .length = 6 << 20 };
	CHECK(FALLOCATE() == 0);
	CHECK(host_status("a").st_size == 6 << 20);
	in.length = 8 << 20;
	in.mode = FALLOC_FL_KEEP_SIZE;
	CHECK(FALLOCATE() == 0);
	CHECK(host_status("a").st_size == 6 << 20);
	in.mode = FALLOC_FL_COLLAPSE_RANGE;
	CHECK(FALLOCATE() == -EOPNOTSUPP);
	in.mode = 0x80000000u;
	CHECK(FALLOCATE() == -EOPNOTSUPP);
#undef FALLOCATE
	free(block);
	fake_fuse_destroy(&fuse);
}

static void ranges_are_copied_on_the_host(void)
{
	struct fake_created from;
	struct fake_created to;
	struct fuse_copy_file_range_in in = { .off_in = 2,
					      .off_out = 1,
					      .len = 3 };
	struct fuse_write_out out;
	char text[16];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &from) == 0);
	CHECK(fake_create(&fuse, FUSE_ROOT, "b", O_RDWR, 0600, &to) == 0);
	CHECK(fake_write(&fuse, from.entry.nodeid, from.open.fh, 0, "0123456",
			 7, 0) == 7);
	in.fh_in = from.open.fh;
	in.fh_out = to.open.fh;
	in.nodeid_out = to.entry.nodeid;
#define COPY()                                                                 \
	fake_fuse_call(&fuse, FUSE_COPY_FILE_RANGE, from.entry.nodeid, &in,    \
		       sizeof(in), NULL, NULL, &out, sizeof(out))
	CHECK(COPY() == 0 && out.size == 3);
	CHECK(host_read("b", text, sizeof(text)) == 4);
	CHECK(memcmp(text,
		     "\0"
		     "234",
		     4) == 0);
	in.len = UINT64_MAX; /* to the end */
	CHECK(COPY() == 0 && out.size == 5);
	in.flags = 1;
	CHECK(COPY() == -EINVAL);
	in.flags = 0;
	in.off_in = UINT64_MAX;
	CHECK(COPY() == -EINVAL);
	in.off_in = 0;
	in.nodeid_out = from.entry.nodeid;
	CHECK(COPY() == -EBADF);
#undef COPY
	fake_fuse_destroy(&fuse);
}

static void attributes_change_as_told(void)
{
	struct fake_created file;
	struct fuse_attr attr;
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
		.mode = S_IFREG | 0604,
		.size = 10,
		.atime = 1000000000,
		.atimensec = 123456789,
		.mtime = (uint64_t)-5, /* before 1970 */
		.mtimensec = 999999999,
	};

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, &attr) == 0);
	CHECK(attr.mode == (S_IFREG | 0604) && attr.size == 10);
	CHECK(attr.atime == 1000000000 && attr.atimensec == 123456789);
	CHECK(attr.mtime == (uint64_t)-5 && attr.mtimensec == 999999999);
	CHECK(attr.nlink == 1 && attr.ino == host_status("a").st_ino);
	in = (struct fuse_setattr_in) { .valid = FATTR_MTIME | FATTR_MTIME_NOW,
					.mtimensec = 5 };
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, &attr) == 0);
	CHECK(attr.mtime > 1500000000 && attr.mtime < (uint64_t)INT64_MAX);
	CHECK(attr.atime == 1000000000);
	in.valid = FATTR_ATIME;
	in.atimensec = 1000000000;
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, &attr) == -EINVAL);
	in.atimensec = UTIME_NOW;
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, &attr) == -EINVAL);
	fake_fuse_destroy(&fuse);
}

/* A file open for writing can be cut although its mode forbids it by now. */
static void truncation_by_handle_needs_no_mode(void)
{
	struct fake_created file;
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0400 };
	struct fuse_setattr_in size = { .valid = FATTR_SIZE | FATTR_FH,
					.size = 3 };
	struct fuse_open_out reading;
	struct fuse_attr attr;
	uint64_t node;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	node = file.entry.nodeid;
	CHECK(fake_write(&fuse, node, file.open.fh, 0, "text", 4, 0) == 4);
	CHECK(fake_setattr(&fuse, node, &mode, NULL) == 0);
	size.fh = file.open.fh;
	CHECK(fake_setattr(&fuse, node, &size, &attr) == 0 && attr.size == 3);
	CHECK(fake_open(&fuse, node, O_RDONLY, &reading) == 0);
	size.fh = reading.fh;
	CHECK(fake_setattr(&fuse, node, &size, &attr) == -EINVAL);
	fake_fuse_destroy(&fuse);
}

static void new_files_belong_to_who_made_them(void)
{
	const struct fuse_setattr_in chown = { .valid = FATTR_UID | FATTR_GID,
					       .uid = 77,
					       .gid = 88 };
	struct fake_created file;
	struct fuse_entry_out entry;
	struct fuse_attr attr;

	fake_fuse_create(&fuse);
	fuse.user = 1234;
	fuse.group = 4321;
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0640, &file) == 0);
	CHECK(file.entry.attr.uid == 1234 && file.entry.attr.gid == 4321);
	CHECK(host_status("a").st_uid == 1234);
	CHECK(host_status("a").st_mode == (S_IFREG | 0640));
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "b", 0750, &entry) == 0);
	CHECK(entry.attr.uid == 1234 && entry.attr.gid == 4321);
	CHECK(fake_symlink(&fuse, FUSE_ROOT, "c", "target", &entry) == 0);
	CHECK(entry.attr.uid == 1234 && entry.attr.gid == 4321);
	CHECK(fake_mknod(&fuse, FUSE_ROOT, "d", S_IFREG | 0600, &entry) == 0);
	CHECK(entry.attr.uid == 1234 && entry.attr.gid == 4321);
	CHECK(fake_setattr(&fuse, entry.nodeid, &chown, &attr) == 0);
	CHECK(attr.uid == 77 && attr.gid == 88);
	/* In a folder of a group, the group is the folder's. */
	CHECK(fchownat(fuse.folder_fd, "b", 0, 99, 0) == 0);
	CHECK(fchmodat(fuse.folder_fd, "b", 02777, 0) == 0);
	CHECK(fake_create(&fuse, fake_node(&fuse, FUSE_ROOT, "b"), "e", O_RDWR,
			  0640, &file) == 0);
	CHECK(file.entry.attr.uid == 1234 && file.entry.attr.gid == 99);
	CHECK(fake_mkdir(&fuse, fake_node(&fuse, FUSE_ROOT, "b"), "f", 0750,
			 &entry) == 0);
	CHECK(entry.attr.gid == 99 &&
	      entry.attr.mode == (S_IFDIR | S_ISGID | 0750));
	fake_fuse_destroy(&fuse);
}

static void who_may_not_give_files_away_keeps_them(void)
{
	struct fuse_setattr_in chown = { .valid = FATTR_UID, .uid = 77 };
	struct fake_created file;

	fake_fuse_create(&fuse);
	CHECK(fchmod(fuse.folder_fd, 0777) == 0);
	CHECK(setegid(1001) == 0 && seteuid(1000) == 0);
	fuse.user = 0;
	fuse.group = 0;
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	CHECK(file.entry.attr.uid == 1000 && file.entry.attr.gid == 1001);
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &chown, NULL) == -EPERM);
	/* No more than this user could do himself. */
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "b", 0, &file.entry) == 0);
	CHECK(fake_create(&fuse, file.entry.nodeid, "c", O_RDWR, 0600, &file) ==
	      -EACCES);
	CHECK(seteuid(0) == 0 && setegid(0) == 0);
	fake_fuse_destroy(&fuse);
}

static void one_owner_can_seem_to_have_all(void)
{
	const struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO,
					    .has_owner = true,
					    .owner = 1000 };
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID,
				      .uid = 1000,
				      .gid = 1000 };
	struct fake_created file;
	struct fuse_attr attr;
	uid_t before;

	fake_fuse_create_as(&fuse, &share, 1 << 20);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == 0);
	CHECK(attr.uid == 1000 && attr.gid == 1000);
	fuse.user = 55;
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	CHECK(file.entry.attr.uid == 1000 && file.entry.attr.gid == 1000);
	before = host_status("a").st_uid;
	CHECK(before == getuid());
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, &attr) == 0);
	CHECK(attr.uid == 1000 && host_status("a").st_uid == before);
	in.uid = 0;
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, NULL) == -EPERM);
	in.valid = FATTR_GID;
	in.gid = 5;
	CHECK(fake_setattr(&fuse, file.entry.nodeid, &in, NULL) == -EPERM);
	CHECK(host_status("a").st_uid == before);
	fake_fuse_destroy(&fuse);
}

static void users_attributes_work(void)
{
	struct fake_created file;
	uint64_t node;
	char value[64];
	uint8_t *large = malloc(70000);

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	node = file.entry.nodeid;
	CHECK(fake_setxattr(&fuse, node, "user.one", "value", 5, 0) == 0);
	CHECK(fake_setxattr(&fuse, node, "user.two", "", 0, 0) == 0);
	CHECK(fake_getxattr(&fuse, node, "user.one", NULL, 0) == 5);
	CHECK(fake_getxattr(&fuse, node, "user.one", value, 64) == 5);
	CHECK(memcmp(value, "value", 5) == 0);
	CHECK(fake_getxattr(&fuse, node, "user.one", value, 4) == -ERANGE);
	CHECK(fake_getxattr(&fuse, node, "user.two", value, 64) == 0);
	CHECK(fake_getxattr(&fuse, node, "user.none", value, 64) == -ENODATA);
	CHECK(fake_setxattr(&fuse, node, "user.one", "x", 1, XATTR_CREATE) ==
	      -EEXIST);
	CHECK(fake_setxattr(&fuse, node, "user.none", "x", 1, XATTR_REPLACE) ==
	      -ENODATA);
	CHECK(fake_setxattr(&fuse, node, "user.one", "x", 1, 8) == -EINVAL);
	CHECK(fake_getxattr(&fuse, node, NULL, NULL, 0) == 18);
	CHECK(fake_getxattr(&fuse, node, NULL, value, 17) == -ERANGE);
	CHECK(fake_getxattr(&fuse, node, NULL, value, 64) == 18);
	CHECK(memmem(value, 18, "user.one", 9) &&
	      memmem(value, 18, "user.two", 9));
	CHECK(fake_remove(&fuse, FUSE_REMOVEXATTR, node, "user.one") == 0);
	CHECK(fake_remove(&fuse, FUSE_REMOVEXATTR, node, "user.one") ==
	      -ENODATA);
	CHECK(fake_getxattr(&fuse, node, NULL, value, 64) == 9);
	CHECK(fake_setxattr(&fuse, FUSE_ROOT, "user.folder", "v", 1, 0) == 0);
	/* More than any file system takes. */
	memset(large, 'v', 70000);
	CHECK(fake_setxattr(&fuse, node, "user.l", large, 65537, 0) == -E2BIG);
	CHECK(fake_setxattr(&fuse, node, "user.l", large, 70000, 0) == -E2BIG);
	free(large);
	fake_fuse_destroy(&fuse);
}

/* Those of the system are not even listed. */
static void lists_hold_users_attributes_only(void)
{
	struct fake_created file;
	char value[64];
	char path[128];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	snprintf(path, sizeof(path), "%s/a", fuse.folder);
	CHECK(setxattr(path, "trusted.secret", "v", 1, 0) == 0);
	CHECK(fake_setxattr(&fuse, file.entry.nodeid, "user.one", "v", 1, 0) ==
	      0);
	CHECK(fake_getxattr(&fuse, file.entry.nodeid, NULL, value, 64) == 9);
	CHECK(strcmp(value, "user.one") == 0);
	fake_fuse_destroy(&fuse);
}

/* Values that are not what their length says, and names that do not end. */
static void malformed_attributes_are_refused(void)
{
	struct fuse_setxattr_in in = { .size = 4 };
	struct fake_part parts[] = {
		{ &in, FUSE_COMPAT_SETXATTR_IN_SIZE },
		{ "user.a", 7 },
		{ "val", 3 },
	};

	fake_fuse_create(&fuse);
#define SET(count)                                                             \
	fake_fuse_ask(&fuse, FUSE_SETXATTR, FUSE_ROOT, parts, count, NULL, 0)
	CHECK(SET(3) == -EINVAL);
	in.size = 2;
	CHECK(SET(3) == -EINVAL);
	in.size = UINT32_MAX;
	CHECK(SET(3) == -E2BIG);
	in.size = 0;
	CHECK(SET(1) == -EINVAL);
	parts[1].length = 6; /* no NUL */
	CHECK(SET(2) == -EINVAL);
#undef SET
	fake_fuse_destroy(&fuse);
}

static void flushing_and_syncing_succeed(void)
{
	const struct fuse_syncfs_in syncfs = { 0 };
	struct fuse_flush_in flush = { 0 };
	struct fuse_fsync_in fsync = { 0 };
	struct fuse_open_out folder;
	struct fake_created file;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &folder) == 0);
	flush.fh = fsync.fh = file.open.fh;
#define ASK(opcode, node, in)                                                  \
	fake_fuse_call(&fuse, opcode, node, &(in), sizeof(in), NULL, NULL,     \
		       NULL, 0)
	CHECK(ASK(FUSE_FLUSH, file.entry.nodeid, flush) == 0);
	CHECK(ASK(FUSE_FSYNC, file.entry.nodeid, fsync) == 0);
	fsync.fsync_flags = FUSE_FSYNC_FDATASYNC;
	CHECK(ASK(FUSE_FSYNC, file.entry.nodeid, fsync) == 0);
	fsync.fh = folder.fh;
	CHECK(ASK(FUSE_FSYNCDIR, FUSE_ROOT, fsync) == 0);
	CHECK(ASK(FUSE_SYNCFS, FUSE_ROOT, syncfs) == 0);
#undef ASK
	fake_fuse_destroy(&fuse);
}

/* Whether the file system of the tests has attributes of users. */
static bool has_xattrs(void)
{
	char folder[64];
	bool has;

	fake_folder_create(folder, sizeof(folder));
	has = setxattr(folder, "user.a", "v", 1, 0) == 0;
	fake_folder_remove(folder);
	return has;
}

int main(void)
{
	const char *cause = host_lacks_pwritev2();

	TEST(create_keeps_modes_whatever_the_umask);
	TEST(the_guests_umask_counts);
	TEST(create_is_exclusive_where_asked);
	TEST(handles_do_what_they_were_opened_for);
	TEST(reads_and_writes_are_exact);
	TEST(ranges_are_checked);
	if (cause)
		TEST_SKIP(appending_and_mappings_go_together, cause);
	else
		TEST(appending_and_mappings_go_together);
	TEST(holes_are_found_and_made);
	TEST(ranges_are_copied_on_the_host);
	TEST(attributes_change_as_told);
	TEST(truncation_by_handle_needs_no_mode);
	TEST(one_owner_can_seem_to_have_all);
	TEST(malformed_attributes_are_refused);
	TEST(flushing_and_syncing_succeed);
	if (has_xattrs())
		TEST(users_attributes_work);
	else
		TEST_SKIP(users_attributes_work,
			  "the file system has no extended attributes");
	if (getuid() == 0) {
		TEST(new_files_belong_to_who_made_them);
		TEST(who_may_not_give_files_away_keeps_them);
		TEST(lists_hold_users_attributes_only);
	} else {
		TEST_SKIP(new_files_belong_to_who_made_them, "not root");
		TEST_SKIP(who_may_not_give_files_away_keeps_them, "not root");
		TEST_SKIP(lists_hold_users_attributes_only, "not root");
	}
	return tap_done();
}
