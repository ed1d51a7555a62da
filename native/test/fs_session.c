/* SPDX-License-Identifier: MIT */
/* A share's session, the form of requests, and what read-only means. */
#include "fs/server.h"

#include "fake_fuse.h"
#include "tap.h"

static struct fake_fuse fuse;

static void open_share(enum capsa_share_cache cache)
{
	const struct share_config share = { .cache = cache };

	fake_fuse_create_as(&fuse, &share, 256 << 20);
	/* The session is begun by the tests. */
	fake_fuse_call(&fuse, FUSE_DESTROY, 0, NULL, 0, NULL, NULL, NULL, 0);
}

static void init_agrees_on_the_older_version(void)
{
	struct fuse_init_out out;

	open_share(CAPSA_SHARE_CACHE_AUTO);
	CHECK(fake_init(&fuse, 45, FUSE_ALL_FLAGS, &out) == 0);
	CHECK(out.major == 7 && out.minor == 38);
	CHECK(out.max_write == 1 << 20 && out.max_pages == 256);
	CHECK(out.max_readahead == 128 * 1024 && out.time_gran == 1);
	CHECK(out.flags & FUSE_MAX_PAGES && out.flags & FUSE_PARALLEL_DIROPS);
	CHECK(out.flags & FUSE_DO_READDIRPLUS && out.flags & FUSE_ASYNC_READ);
	CHECK(out.flags & FUSE_ATOMIC_O_TRUNC);
	CHECK(out.flags & FUSE_AUTO_INVAL_DATA);
	CHECK(!(out.flags &
		(FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
		 FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_EXPORT_SUPPORT |
		 FUSE_SETXATTR_EXT)));
	fake_fuse_destroy(&fuse);

	open_share(CAPSA_SHARE_CACHE_ALWAYS);
	CHECK(fake_init(&fuse, 31, FUSE_MAX_PAGES, &out) == 0);
	CHECK(out.minor == 31 && out.flags == FUSE_MAX_PAGES);
	fake_fuse_destroy(&fuse);
}

static void init_refuses_what_it_cannot_speak(void)
{
	struct fuse_init_in in = { .major = 8, .minor = 1 };
	struct fuse_init_out out;
	struct fuse_attr attr;

	open_share(CAPSA_SHARE_CACHE_AUTO);
	/* A newer one is told our version, and no session begins. */
	CHECK(fake_fuse_call(&fuse, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL,
			     &out, sizeof(out)) == 0);
	CHECK(out.major == 7);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == -EPROTO);
	CHECK(fake_init(&fuse, 30, 0, &out) == -EPROTO);
	in.major = 6;
	CHECK(fake_fuse_call(&fuse, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL,
			     &out, sizeof(out)) == -EPROTO);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == -EPROTO);
	CHECK(fake_init(&fuse, 31, 0, &out) == 0);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == 0);
	/* Nor does a second one before the first has ended. */
	CHECK(fake_init(&fuse, 31, 0, &out) == -EINVAL);
	fake_fuse_destroy(&fuse);
}

static void destroy_forgets_all(void)
{
	struct fake_created file;
	struct fuse_init_out out;
	struct fuse_attr attr;
	char byte;

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0644, &file) == 0);
	CHECK(fake_fuse_call(&fuse, FUSE_DESTROY, 0, NULL, 0, NULL, NULL, NULL,
			     0) == 0);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == -EPROTO);
	CHECK(fake_init(&fuse, 38, FUSE_ALL_FLAGS, &out) == 0);
	CHECK(fake_getattr(&fuse, file.entry.nodeid, &attr) == -ESTALE);
	CHECK(fake_read(&fuse, file.entry.nodeid, file.open.fh, 0, &byte, 1) ==
	      -EBADF);
	/* Numbers of the old session are not given out again. */
	CHECK(fake_node(&fuse, FUSE_ROOT, "a") > file.entry.nodeid);
	fake_fuse_destroy(&fuse);
}

static void a_folder_that_cannot_be_shared_is_refused(void)
{
	struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO };
	char folder[64];
	char path[128];
	struct fs_server *server;

	fake_folder_create(folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/none", folder);
	share.path = path;
	CHECK(fs_server_create(&server, &share, 1 << 20) == -ENOENT);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CHECK(fs_server_create(&server, &share, 1 << 20) == -ENOTDIR);
	fake_folder_remove(folder);
}

/* What is there by a relative path, and behind a link, is shared as well. */
static void roots_may_be_relative_and_linked(void)
{
	struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO };
	char folder[64];
	char path[128];
	char relative[256] = "..";
	struct fuse_init_out out;
	struct fuse_entry_out entry;

	fake_folder_create(folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/real", folder);
	CHECK(mkdir(path, 0755) == 0);
	snprintf(path, sizeof(path), "%s/real/file", folder);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/link", folder);
	CHECK(symlink("real", path) == 0);
	for (int i = 0; i < 30; i++)
		strcat(relative, "/..");
	strcat(relative, path);
	share.path = relative;
	CHECK(fs_server_create(&fuse.server, &share, 1 << 20) == 0);
	CHECK(fake_init(&fuse, 38, 0, &out) == 0);
	/* It stays the folder that it was. */
	CHECK(unlink(path) == 0 && symlink("/etc", path) == 0);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "file", &entry) == 0);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "passwd", &entry) == -ENOENT);
	fs_server_destroy(fuse.server);
	fake_folder_remove(folder);
}

static void unknown_operations_are_told_apart_from_bad_ones(void)
{
	const struct fuse_lk_in lock = { 0 };
	const struct fuse_ioctl_in ioctl = { .cmd = 0x5401 };
	const uint32_t absent[] = { 0,
				    7,
				    19,
				    FUSE_GETLK,
				    FUSE_SETLK,
				    FUSE_SETLKW,
				    FUSE_ACCESS,
				    FUSE_BMAP,
				    FUSE_POLL,
				    FUSE_NOTIFY_REPLY,
				    FUSE_SETUPMAPPING,
				    FUSE_REMOVEMAPPING,
				    FUSE_TMPFILE,
				    52,
				    63,
				    CUSE_INIT,
				    UINT32_MAX };
	uint8_t reply[64];

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		CHECK(fake_fuse_call(&fuse, absent[i], FUSE_ROOT, &lock,
				     sizeof(lock), NULL, NULL, reply,
				     sizeof(reply)) == -ENOSYS);
	/* What isatty() expects of a file. */
	CHECK(fake_fuse_call(&fuse, FUSE_IOCTL, FUSE_ROOT, &ioctl,
			     sizeof(ioctl), NULL, NULL, reply,
			     sizeof(reply)) == -ENOTTY);
	fake_fuse_destroy(&fuse);
}

/* A request of so many bytes with so much room; how many the reply has. */
static uint32_t send(uint32_t opcode, uint32_t claimed, size_t length,
		     size_t room, int *error)
{
	uint8_t request[8192] = { 0 };
	uint8_t reply[8192];
	struct fuse_in_header header = { .len = claimed,
					 .opcode = opcode,
					 .unique = 7,
					 .nodeid = FUSE_ROOT };
	struct fuse_out_header answer = { 0 };
	uint32_t written;

	memcpy(request, &header, sizeof(header));
	written = fake_fuse_send(&fuse, request, length, reply, room);
	CHECK(written <= room);
	if (written >= sizeof(answer)) {
		memcpy(&answer, reply, sizeof(answer));
		CHECK(answer.len == written);
	}
	*error = answer.error;
	return written;
}

static void malformed_requests_are_refused(void)
{
	/* Bodies, and the room that a reply needs at least. */
	static const struct {
		uint32_t opcode;
		uint32_t body;
		uint32_t reply;
	} forms[] = {
		{ FUSE_GETATTR, 16, 104 },   { FUSE_SETATTR, 88, 104 },
		{ FUSE_STATFS, 0, 80 },      { FUSE_OPEN, 8, 16 },
		{ FUSE_OPENDIR, 8, 16 },     { FUSE_RELEASE, 24, 0 },
		{ FUSE_READ, 40, 0 },        { FUSE_READDIR, 40, 0 },
		{ FUSE_FLUSH, 24, 0 },       { FUSE_FSYNC, 16, 0 },
		{ FUSE_LSEEK, 24, 8 },       { FUSE_FALLOCATE, 32, 0 },
		{ FUSE_READDIRPLUS, 40, 0 }, { FUSE_COPY_FILE_RANGE, 56, 8 },
	};
	int error;

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		uint32_t opcode = forms[i].opcode;
		uint32_t whole = 40 + forms[i].body;

		/* Shorter and longer than its body. */
		if (forms[i].body > 0)
			CHECK(send(opcode, whole - 1, whole - 1, 4096,
				   &error) == 16 &&
			      error == -EINVAL);
		CHECK(send(opcode, whole + 1, whole + 1, 4096, &error) == 16 &&
		      error == -EINVAL);
		/* Another length than it says. */
		CHECK(send(opcode, whole + 8, whole, 4096, &error) == 16 &&
		      error == -EINVAL);
		CHECK(send(opcode, whole - 8, whole, 4096, &error) == 16 &&
		      error == -EINVAL);
		/* A reply that does not fit, or not even an error does. */
		if (forms[i].reply > 0)
			CHECK(send(opcode, whole, whole,
				   16 + forms[i].reply - 1, &error) == 16 &&
			      error == -EINVAL);
		CHECK(send(opcode, whole, whole, 15, &error) == 0);
		CHECK(send(opcode, whole, whole, 0, &error) == 0);
	}
	for (size_t length = 0; length < 40; length++)
		CHECK(send(FUSE_GETATTR, (uint32_t)length, length, 4096,
			   &error) == 0);
	fake_fuse_destroy(&fuse);
}

static void what_has_no_room_for_its_reply_is_not_done(void)
{
	uint8_t request[64] = { 0 };
	const struct fuse_in_header header = { .len = 42,
					       .opcode = FUSE_UNLINK,
					       .nodeid = FUSE_ROOT };

	fake_fuse_create(&fuse);
	close(openat(fuse.folder_fd, "a", O_CREAT | O_WRONLY, 0600));
	memcpy(request, &header, sizeof(header));
	request[40] = 'a';
	CHECK(fake_fuse_send(&fuse, request, 42, NULL, 0) == 0);
	CHECK(faccessat(fuse.folder_fd, "a", F_OK, 0) == 0);
	fake_fuse_destroy(&fuse);
}

/* Requests and replies whose every byte may lie in a buffer of its own. */
static void buffers_may_be_cut_anywhere(void)
{
	static const size_t pieces[] = { 1, 3, 7, 16, 40, 41, 4096 };
	uint8_t data[400];
	uint8_t back[400];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct fake_created file;
		struct fuse_attr attr;

		fake_fuse_create(&fuse);
		fuse.piece = pieces[i];
		for (size_t k = 0; k < sizeof(data); k++)
			data[k] = (uint8_t)(k * 7 + i);
		CHECK(fake_create(&fuse, FUSE_ROOT, "file", O_RDWR, 0640,
				  &file) == 0);
		CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 3,
				 data, sizeof(data), 0) == sizeof(data));
		CHECK(fake_read(&fuse, file.entry.nodeid, file.open.fh, 3, back,
				sizeof(back)) == sizeof(back));
		CHECK(memcmp(data, back, sizeof(data)) == 0);
		CHECK(fake_getattr(&fuse, file.entry.nodeid, &attr) == 0);
		CHECK(attr.size == 403);
		fake_fuse_destroy(&fuse);
	}
}

static void times_of_trust_follow_the_cache_mode(void)
{
	static const struct {
		enum capsa_share_cache cache;
		uint64_t seconds;
		uint32_t file_flags;
		uint32_t folder_flags;
	} modes[] = {
		{ CAPSA_SHARE_CACHE_NONE, 0, FOPEN_DIRECT_IO, 0 },
		{ CAPSA_SHARE_CACHE_AUTO, 1, 0, 0 },
		{ CAPSA_SHARE_CACHE_ALWAYS, 86400, FOPEN_KEEP_CACHE,
		  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
	};

	for (size_t i = 0; i < 3; i++) {
		const struct share_config share = { .cache = modes[i].cache };
		struct fuse_entry_out entry;
		struct fuse_open_out opened;
		int nothing;

		fake_fuse_create_as(&fuse, &share, 256 << 20);
		close(openat(fuse.folder_fd, "a", O_CREAT | O_WRONLY, 0600));
		CHECK(fake_lookup(&fuse, FUSE_ROOT, "a", &entry) == 0);
		CHECK(entry.entry_valid == modes[i].seconds);
		CHECK(entry.attr_valid == modes[i].seconds);
		CHECK(fake_open(&fuse, entry.nodeid, O_RDONLY, &opened) == 0);
		CHECK(opened.open_flags ==
		      (modes[i].file_flags | FOPEN_NOFLUSH));
		/* Closing what was written may fail, and has to be told. */
		CHECK(fake_open(&fuse, entry.nodeid, O_RDWR, &opened) == 0);
		CHECK(opened.open_flags == modes[i].file_flags);
		CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
		CHECK(opened.open_flags == modes[i].folder_flags);
		/* Only who is alone may remember that there is nothing. */
		nothing = fake_lookup(&fuse, FUSE_ROOT, "none", &entry);
		if (modes[i].cache == CAPSA_SHARE_CACHE_ALWAYS)
			CHECK(nothing == 0 && entry.nodeid == 0 &&
			      entry.entry_valid == 86400);
		else
			CHECK(nothing == -ENOENT);
		fake_fuse_destroy(&fuse);
	}
}

static void statfs_tells_of_the_host(void)
{
	struct fuse_statfs_out out;

	fake_fuse_create(&fuse);
	CHECK(fake_fuse_call(&fuse, FUSE_STATFS, FUSE_ROOT, NULL, 0, NULL, NULL,
			     &out, sizeof(out)) == 0);
	CHECK(out.st.blocks > 0 && out.st.bsize > 0 && out.st.namelen == 255);
	CHECK(fake_fuse_call(&fuse, FUSE_STATFS, 99, NULL, 0, NULL, NULL, &out,
			     sizeof(out)) == -ESTALE);
	fake_fuse_destroy(&fuse);
}

static void requests_are_counted(void)
{
	uint64_t before;
	struct fuse_attr attr;

	fake_fuse_create(&fuse);
	before = fs_server_requests(fuse.server);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == 0);
	fake_forget(&fuse, 77, 1);
	CHECK(fs_server_requests(fuse.server) == before + 2);
	fake_fuse_destroy(&fuse);
}

int main(void)
{
	TEST(init_agrees_on_the_older_version);
	TEST(init_refuses_what_it_cannot_speak);
	TEST(destroy_forgets_all);
	TEST(a_folder_that_cannot_be_shared_is_refused);
	TEST(roots_may_be_relative_and_linked);
	TEST(unknown_operations_are_told_apart_from_bad_ones);
	TEST(malformed_requests_are_refused);
	TEST(what_has_no_room_for_its_reply_is_not_done);
	TEST(buffers_may_be_cut_anywhere);
	TEST(times_of_trust_follow_the_cache_mode);
	TEST(statfs_tells_of_the_host);
	TEST(requests_are_counted);
	return tap_done();
}
