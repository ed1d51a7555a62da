/* SPDX-License-Identifier: MIT */
/* Folders, names and links: what a rename, a removal or a list must keep. */
#include <dirent.h>

#include "fake_fuse.h"
#include "tap.h"

enum { NOREPLACE = 1, EXCHANGE = 2 };

static struct fake_fuse fuse;

static bool exists(const char *name)
{
	struct stat status;

	return fstatat(fuse.folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void host_file(const char *name, const char *text)
{
	int fd = openat(fuse.folder_fd, name, O_CREAT | O_WRONLY | O_TRUNC,
			0644);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Whether node can be opened and reads as text. */
static bool reads_as(uint64_t node, const char *text)
{
	struct fuse_open_out opened;
	char got[64] = "";
	bool same;

	if (fake_open(&fuse, node, O_RDONLY, &opened) < 0)
		return false;
	same = fake_read(&fuse, node, opened.fh, 0, got, 63) ==
		       (int64_t)strlen(text) &&
	       memcmp(got, text, strlen(text)) == 0;
	fake_release(&fuse, FUSE_RELEASE, node, opened.fh);
	return same;
}

/* The old defects: a file was lost by a rename, by number and by name. */
static void a_renamed_file_is_the_same_file(void)
{
	struct fuse_entry_out folder;
	uint64_t file;

	fake_fuse_create(&fuse);
	host_file("a", "text");
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "d", 0755, &folder) == 0);
	file = fake_node(&fuse, FUSE_ROOT, "a");
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "b", 0) == 0);
	CHECK(!exists("a") && exists("b"));
	CHECK(reads_as(file, "text"));
	CHECK(fake_node(&fuse, FUSE_ROOT, "b") == file);
	CHECK(fake_node(&fuse, FUSE_ROOT, "a") == 0);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "b", folder.nodeid, "c", 0) == 0);
	CHECK(reads_as(file, "text") && exists("d/c"));
	CHECK(fake_node(&fuse, folder.nodeid, "c") == file);
	/* And a folder with what is in it. */
	CHECK(fake_rename(&fuse, FUSE_ROOT, "d", FUSE_ROOT, "e", 0) == 0);
	CHECK(fake_node(&fuse, folder.nodeid, "c") == file);
	CHECK(fake_node(&fuse, FUSE_ROOT, "e") == folder.nodeid);
	CHECK(reads_as(file, "text"));
	fake_fuse_destroy(&fuse);
}

static void rename_replaces_exchanges_or_refuses(void)
{
	struct fuse_entry_out folder;
	uint64_t a;
	uint64_t b;

	fake_fuse_create(&fuse);
	host_file("a", "first");
	host_file("b", "second");
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "d", 0755, &folder) == 0);
	host_file("d/x", "inside");
	a = fake_node(&fuse, FUSE_ROOT, "a");
	b = fake_node(&fuse, FUSE_ROOT, "b");
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "b", NOREPLACE) ==
	      -EEXIST);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "c", EXCHANGE) ==
	      -ENOENT);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "b", EXCHANGE) ==
	      0);
	CHECK(fake_node(&fuse, FUSE_ROOT, "a") == b && reads_as(b, "second"));
	CHECK(fake_node(&fuse, FUSE_ROOT, "b") == a && reads_as(a, "first"));
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", folder.nodeid, "x",
			  EXCHANGE) == 0);
	CHECK(fake_node(&fuse, folder.nodeid, "x") == b);
	CHECK(reads_as(fake_node(&fuse, FUSE_ROOT, "a"), "inside"));
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "b",
			  NOREPLACE | 8) == -EINVAL);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "none", FUSE_ROOT, "b", 0) ==
	      -ENOENT);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "d", folder.nodeid, "y", 0) ==
	      -EINVAL);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "d", 0) == -EISDIR);
	CHECK(fake_rename(&fuse, FUSE_ROOT, "a", FUSE_ROOT, "b", 0) == 0);
	/* What was replaced lives on for who knows it. */
	CHECK(reads_as(a, "first") && !exists("a"));
	fake_fuse_destroy(&fuse);
}

static void a_save_by_rename_leaves_the_new_file(void)
{
	char name[32];

	fake_fuse_create(&fuse);
	for (int i = 0; i < 200; i++) {
		struct fake_created file;
		char text[32];

		snprintf(name, sizeof(name), ".doc.%d", i);
		snprintf(text, sizeof(text), "version %d", i);
		CHECK(fake_create(&fuse, FUSE_ROOT, name, O_RDWR | O_EXCL, 0644,
				  &file) == 0);
		CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 0,
				 text, (uint32_t)strlen(text),
				 0) == (int64_t)strlen(text));
		CHECK(fake_rename(&fuse, FUSE_ROOT, name, FUSE_ROOT, "doc",
				  0) == 0);
		CHECK(fake_release(&fuse, FUSE_RELEASE, file.entry.nodeid,
				   file.open.fh) == 0);
		CHECK(fake_node(&fuse, FUSE_ROOT, "doc") == file.entry.nodeid);
		CHECK(reads_as(file.entry.nodeid, text));
		fake_forget(&fuse, file.entry.nodeid, 2);
	}
	fake_fuse_destroy(&fuse);
}

/* The old defects: the second name was lost with the first, and so was a new
 * file that got the number of a removed one. */
static void hard_links_are_one_file(void)
{
	struct fuse_entry_out link;
	struct fuse_entry_out found;
	uint64_t file;

	fake_fuse_create(&fuse);
	host_file("a", "text");
	file = fake_node(&fuse, FUSE_ROOT, "a");
	CHECK(fake_link(&fuse, file, FUSE_ROOT, "b", &link) == 0);
	CHECK(link.nodeid == file && link.attr.nlink == 2);
	CHECK(fake_link(&fuse, file, FUSE_ROOT, "b", &link) == -EEXIST);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "b", &found) == 0);
	CHECK(found.nodeid == file);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "a") == 0);
	CHECK(reads_as(file, "text"));
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "b", &found) == 0);
	CHECK(found.nodeid == file && found.attr.nlink == 1);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "b") == 0);
	CHECK(reads_as(file, "text"));
	for (int i = 0; i < 100; i++) {
		char text[16];

		snprintf(text, sizeof(text), "new %d", i);
		host_file("a", text);
		file = fake_node(&fuse, FUSE_ROOT, "a");
		CHECK(reads_as(file, text));
		CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "a") == 0);
		fake_forget(&fuse, file, 1);
	}
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "d", 0755, &found) == 0);
	CHECK(fake_link(&fuse, found.nodeid, FUSE_ROOT, "e", &link) == -EPERM);
	fake_fuse_destroy(&fuse);
}

static void links_say_what_they_were_given(void)
{
	static const char *const targets[] = { "a", "../../etc/passwd", "/",
					       "b", "not there" };
	char longest[4096];
	char text[4096];
	struct fuse_entry_out entry;

	fake_fuse_create(&fuse);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		char name[8];

		snprintf(name, sizeof(name), "l%zu", i);
		CHECK(fake_symlink(&fuse, FUSE_ROOT, name, targets[i],
				   &entry) == 0);
		CHECK(S_ISLNK(entry.attr.mode));
		CHECK(fake_fuse_call(&fuse, FUSE_READLINK, entry.nodeid, NULL,
				     0, NULL, NULL, text, sizeof(text)) == 0);
		CHECK(fuse.replied == strlen(targets[i]) &&
		      memcmp(text, targets[i], fuse.replied) == 0);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK(fake_symlink(&fuse, FUSE_ROOT, "l", longest, &entry) == 0);
	CHECK(fake_fuse_call(&fuse, FUSE_READLINK, entry.nodeid, NULL, 0, NULL,
			     NULL, text, sizeof(text)) == 0);
	CHECK(fuse.replied == 4095);
	CHECK(fake_fuse_call(&fuse, FUSE_READLINK, entry.nodeid, NULL, 0, NULL,
			     NULL, text, 100) == -ERANGE);
	CHECK(fake_symlink(&fuse, FUSE_ROOT, "m", "", &entry) == -ENOENT);
	CHECK(fake_symlink(&fuse, FUSE_ROOT, "l", "again", &entry) == -EEXIST);
	CHECK(fake_fuse_call(&fuse, FUSE_READLINK, FUSE_ROOT, NULL, 0, NULL,
			     NULL, text, sizeof(text)) == -EINVAL);
	/* A link to a link's own inode. */
	CHECK(fake_link(&fuse, fake_node(&fuse, FUSE_ROOT, "l0"), FUSE_ROOT,
			"hard", &entry) == 0);
	CHECK(S_ISLNK(entry.attr.mode) && entry.attr.nlink == 2);
	fake_fuse_destroy(&fuse);
}

static void removal_knows_files_from_folders(void)
{
	struct fuse_entry_out folder;

	fake_fuse_create(&fuse);
	host_file("a", "text");
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "d", 0755, &folder) == 0);
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "d", 0755, &folder) == -EEXIST);
	host_file("d/x", "text");
	CHECK(fake_remove(&fuse, FUSE_RMDIR, FUSE_ROOT, "a") == -ENOTDIR);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "d") == -EISDIR);
	CHECK(fake_remove(&fuse, FUSE_RMDIR, FUSE_ROOT, "d") == -ENOTEMPTY);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, folder.nodeid, "x") == 0);
	CHECK(fake_remove(&fuse, FUSE_RMDIR, FUSE_ROOT, "d") == 0);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "d") == -ENOENT);
	/* In a folder that is gone nothing can be made. */
	CHECK(fake_mkdir(&fuse, folder.nodeid, "y", 0755, &folder) == -ENOENT);
	fake_fuse_destroy(&fuse);
}

static void an_open_file_survives_its_name(void)
{
	struct fake_created file;
	struct fuse_attr attr;
	char text[8];

	fake_fuse_create(&fuse);
	CHECK(fake_create(&fuse, FUSE_ROOT, "a", O_RDWR, 0600, &file) == 0);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "a") == 0);
	CHECK(fake_write(&fuse, file.entry.nodeid, file.open.fh, 0, "text", 4,
			 0) == 4);
	CHECK(fake_read(&fuse, file.entry.nodeid, file.open.fh, 0, text, 8) ==
	      4);
	CHECK(fake_getattr(&fuse, file.entry.nodeid, &attr) == 0);
	CHECK(attr.nlink == 0 && attr.size == 4);
	/* Also when the guest has forgotten it already. */
	fake_forget(&fuse, file.entry.nodeid, 1);
	CHECK(fake_read(&fuse, file.entry.nodeid, file.open.fh, 0, text, 8) ==
	      4);
	CHECK(fake_getattr(&fuse, file.entry.nodeid, &attr) == -ESTALE);
	CHECK(fake_release(&fuse, FUSE_RELEASE, file.entry.nodeid,
			   file.open.fh) == 0);
	fake_fuse_destroy(&fuse);
}

enum { FILES = 10000 };

struct listing {
	uint16_t seen[FILES];
	uint32_t dots;
	uint32_t others;
	uint32_t zero_numbers;
	uint32_t wrong_types;
	uint32_t without_node;
	uint64_t last_node;
};

static void list_one(void *owner, const struct fuse_dirent *dirent,
		     const struct fuse_entry_out *plus)
{
	struct listing *listing = owner;
	char name[256];
	uint32_t index;
	char end;

	memcpy(name, dirent->name, dirent->namelen);
	name[dirent->namelen] = '\0';
	listing->zero_numbers += dirent->ino == 0;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		listing->dots++;
		listing->wrong_types += dirent->type != DT_DIR;
		return;
	}
	if (sscanf(name, "file-%u%c", &index, &end) != 1 || index >= FILES) {
		listing->others++;
		return;
	}
	listing->seen[index]++;
	listing->wrong_types += dirent->type != DT_REG;
	if (plus) {
		listing->without_node += plus->nodeid == 0 ||
					 plus->attr.ino != dirent->ino ||
					 !S_ISREG(plus->attr.mode);
		listing->last_node = plus->nodeid;
	}
}

static struct listing listing;

/* Lists the root from one end to the other. */
static void list_root(bool plus, uint32_t size)
{
	struct fuse_open_out opened;
	uint64_t offset = 0;

	memset(&listing, 0, sizeof(listing));
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
	do
		offset = fake_readdir(&fuse, FUSE_ROOT, opened.fh, offset, plus,
				      size, list_one, &listing);
	while (offset != 0);
	CHECK(fake_release(&fuse, FUSE_RELEASEDIR, FUSE_ROOT, opened.fh) == 0);
}

static uint32_t seen(uint16_t times)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FILES; i++)
		count += listing.seen[i] == times;
	return count;
}

static void make_files(void)
{
	char name[32];

	for (uint32_t i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		close(openat(fuse.folder_fd, name, O_CREAT | O_WRONLY, 0644));
	}
}

static void every_entry_is_listed_once(void)
{
	static const uint32_t sizes[] = { 400, 1000, 4096, 32768, 131072 };

	fake_fuse_create(&fuse);
	make_files();
	for (int plus = 0; plus < 2; plus++) {
		for (size_t i = 0; i < 5; i++) {
			/* With a lookup an entry takes up to 2,000 bytes. */
			list_root(plus,
				  sizes[i] < 2000 && plus ? 2000 : sizes[i]);
			CHECK(seen(1) == FILES && listing.dots == 2);
			CHECK(listing.others == 0);
			CHECK(listing.zero_numbers == 0);
			CHECK(listing.wrong_types == 0);
			CHECK(listing.without_node == 0);
		}
	}
	/* Its lookups count: each of five lists has told of it. */
	fake_forget(&fuse, listing.last_node, 4);
	{
		struct fuse_attr attr;

		CHECK(fake_getattr(&fuse, listing.last_node, &attr) == 0);
		fake_forget(&fuse, listing.last_node, 1);
		CHECK(fake_getattr(&fuse, listing.last_node, &attr) == -ESTALE);
	}
	fake_fuse_destroy(&fuse);
}

/* Entries come and go while the list is read; the others stay in it, once. */
static void a_list_is_stable_while_entries_come_and_go(void)
{
	struct fuse_open_out opened;
	uint64_t offset = 0;
	uint32_t round = 0;
	char name[32];

	fake_fuse_create(&fuse);
	make_files();
	memset(&listing, 0, sizeof(listing));
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
	do {
		/* One of the first half goes, one of others' comes. */
		snprintf(name, sizeof(name), "file-%u", round);
		if (round < FILES / 2)
			CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT,
					  name) == 0);
		snprintf(name, sizeof(name), "other-%u", round++);
		close(openat(fuse.folder_fd, name, O_CREAT | O_WRONLY, 0644));
		offset = fake_readdir(&fuse, FUSE_ROOT, opened.fh, offset,
				      round & 1, 4096, list_one, &listing);
	} while (offset != 0);
	for (uint32_t i = FILES / 2; i < FILES; i++)
		CHECK(listing.seen[i] == 1);
	CHECK(seen(0) + seen(1) == FILES);
	fake_fuse_destroy(&fuse);
}

/* Reading on at an offset of before, as after seekdir(), and from the start. */
static void a_list_can_be_read_on_anywhere(void)
{
	struct fuse_open_out opened;
	uint64_t middle;
	uint32_t rest;

	fake_fuse_create(&fuse);
	make_files();
	memset(&listing, 0, sizeof(listing));
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
	middle = fake_readdir(&fuse, FUSE_ROOT, opened.fh, 0, false, 32768,
			      list_one, &listing);
	rest = seen(0);
	for (int i = 0; i < 3; i++) {
		uint64_t offset = middle;

		memset(&listing, 0, sizeof(listing));
		while (offset != 0)
			offset = fake_readdir(&fuse, FUSE_ROOT, opened.fh,
					      offset, false, 32768, list_one,
					      &listing);
		CHECK(seen(1) == rest && seen(0) == FILES - rest);
		CHECK(listing.dots < 2);
	}
	memset(&listing, 0, sizeof(listing));
	for (uint64_t offset = 0;;) {
		offset = fake_readdir(&fuse, FUSE_ROOT, opened.fh, offset,
				      false, 32768, list_one, &listing);
		if (offset == 0)
			break;
	}
	CHECK(seen(1) == FILES);
	fake_fuse_destroy(&fuse);
}

static void lists_check_what_they_are_asked(void)
{
	struct fuse_read_in in = { .size = 4096 };
	struct fuse_open_out opened;
	uint8_t reply[4096];

	fake_fuse_create(&fuse);
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
	in.fh = opened.fh;
#define READDIR(room)                                                          \
	fake_fuse_call(&fuse, FUSE_READDIR, FUSE_ROOT, &in, sizeof(in), NULL,  \
		       NULL, reply, room)
	CHECK(READDIR(4095) == -EINVAL);
	in.size = UINT32_MAX;
	CHECK(READDIR(4096) == -EINVAL);
	in.size = 0;
	CHECK(READDIR(4096) == -EINVAL);
	in.size = 10; /* not one entry fits */
	CHECK(READDIR(4096) == -EINVAL);
	in.size = 4096;
	in.offset = UINT64_MAX;
	(void)READDIR(4096); /* the host's affair, but an answer */
	in.offset = 0;
	CHECK(READDIR(4096) == 0 && fuse.replied > 0);
#undef READDIR
	fake_fuse_destroy(&fuse);
}

/* The root's own number stands for what lies above it. */
static uint64_t dot_numbers[2];

static void find_dots(void *owner, const struct fuse_dirent *dirent,
		      const struct fuse_entry_out *plus)
{
	(void)owner;
	if (dirent->namelen == 1 && dirent->name[0] == '.')
		dot_numbers[0] = dirent->ino;
	if (dirent->namelen == 2 && memcmp(dirent->name, "..", 2) == 0)
		dot_numbers[1] = dirent->ino;
	if (plus)
		CHECK(plus->nodeid == 0);
}

static void nothing_is_told_of_what_is_above(void)
{
	struct fuse_open_out opened;
	struct fuse_attr attr;

	fake_fuse_create(&fuse);
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened) == 0);
	CHECK(fake_getattr(&fuse, FUSE_ROOT, &attr) == 0);
	fake_readdir(&fuse, FUSE_ROOT, opened.fh, 0, true, 4096, find_dots,
		     NULL);
	CHECK(dot_numbers[0] == attr.ino && dot_numbers[1] == attr.ino);
	fake_fuse_destroy(&fuse);
}

int main(void)
{
	TEST(a_renamed_file_is_the_same_file);
	TEST(rename_replaces_exchanges_or_refuses);
	TEST(a_save_by_rename_leaves_the_new_file);
	TEST(hard_links_are_one_file);
	TEST(links_say_what_they_were_given);
	TEST(removal_knows_files_from_folders);
	TEST(an_open_file_survives_its_name);
	TEST(every_entry_is_listed_once);
	TEST(a_list_is_stable_while_entries_come_and_go);
	TEST(a_list_can_be_read_on_anywhere);
	TEST(lists_check_what_they_are_asked);
	TEST(nothing_is_told_of_what_is_above);
	return tap_done();
}
