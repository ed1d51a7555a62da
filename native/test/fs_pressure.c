/* SPDX-License-Identifier: MIT */
/*
 * More files than descriptors, more than a guest may know, deeper than a path
 * can say: what was given up is found again, or is told to be gone.
 */
#include <dirent.h>
#include <sys/resource.h>

#include "fake_fuse.h"
#include "tap.h"

enum {
	/* Descriptors of the process; 16 of them are for inodes, the least
	 * there may be, and 32 for handles. */
	DESCRIPTORS = 128,
	INODE_FDS = 16,
	HANDLES = 32,
	MANY = 200, /* files that push all others out */
};

static struct fake_fuse fuse;
static struct rlimit usual;

static void set_up(uint64_t memory_bytes)
{
	const struct share_config share = { .cache = CAPSA_SHARE_CACHE_AUTO };
	struct rlimit few = { .rlim_cur = DESCRIPTORS,
			      .rlim_max = usual.rlim_max };

	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	fake_fuse_create_as(&fuse, &share, memory_bytes);
	CHECK(mkdirat(fuse.folder_fd, "many", 0755) == 0);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/%d", i);
		close(openat(fuse.folder_fd, name, O_CREAT | O_WRONLY, 0644));
	}
}

static void tear_down(void)
{
	setrlimit(RLIMIT_NOFILE, &usual);
	fake_fuse_destroy(&fuse);
}

static uint32_t open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint32_t count = 0;

	if (!folder)
		return UINT32_MAX;
	while (readdir(folder))
		count++;
	closedir(folder);
	return count - 3; /* ".", ".." and its own */
}

/* Uses so many files that every idle descriptor of before is given up. */
static void push_out(void)
{
	uint64_t many = fake_node(&fuse, FUSE_ROOT, "many");

	for (int i = 0; i < MANY; i++) {
		char name[16];
		struct fuse_entry_out entry;

		snprintf(name, sizeof(name), "%d", i);
		CHECK(fake_lookup(&fuse, many, name, &entry) == 0);
		fake_forget(&fuse, entry.nodeid, 1);
		CHECK(fake_lookup(&fuse, many, name, &entry) == 0);
	}
}

static void host_file(const char *name, const char *text)
{
	int fd = openat(fuse.folder_fd, name, O_CREAT | O_WRONLY | O_TRUNC,
			0644);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Reads node whole: "ESTALE" if it is gone, "?" on any other failure. */
static const char *text_of(uint64_t node)
{
	static char text[64];
	struct fuse_open_out opened;
	int64_t got = fake_open(&fuse, node, O_RDONLY, &opened);

	if (got == -ESTALE)
		return "ESTALE";
	if (got == 0) {
		got = fake_read(&fuse, node, opened.fh, 0, text, 63);
		fake_release(&fuse, FUSE_RELEASE, node, opened.fh);
	}
	if (got < 0)
		return "?";
	text[got] = '\0';
	return text;
}

static void is(uint64_t node, const char *text)
{
	const char *got = text_of(node);

	if (strcmp(got, text) != 0)
		printf("# \"%s\" is not \"%s\"\n", got, text);
	CHECK(strcmp(got, text) == 0);
}

static void what_was_given_up_is_found_again(void)
{
	uint64_t folder;
	uint64_t file;
	uint64_t link;
	char target[16];

	set_up(1 << 20);
	CHECK(mkdirat(fuse.folder_fd, "d", 0755) == 0);
	CHECK(mkdirat(fuse.folder_fd, "d/e", 0755) == 0);
	host_file("d/e/f", "text");
	CHECK(symlinkat("target", fuse.folder_fd, "d/l") == 0);
	folder = fake_node(&fuse, FUSE_ROOT, "d");
	link = fake_node(&fuse, folder, "l");
	file = fake_node(&fuse, fake_node(&fuse, folder, "e"), "f");
	push_out();
	is(file, "text");
	push_out();
	CHECK(fake_fuse_call(&fuse, FUSE_READLINK, link, NULL, 0, NULL, NULL,
			     target, sizeof(target)) == 0);
	CHECK(fuse.replied == 6 && memcmp(target, "target", 6) == 0);
	tear_down();
}

static void renames_are_followed(void)
{
	uint64_t d;
	uint64_t e;
	uint64_t file;
	uint64_t other;

	set_up(1 << 20);
	CHECK(mkdirat(fuse.folder_fd, "d", 0755) == 0);
	CHECK(mkdirat(fuse.folder_fd, "d/e", 0755) == 0);
	host_file("d/e/f", "text");
	host_file("g", "other");
	d = fake_node(&fuse, FUSE_ROOT, "d");
	e = fake_node(&fuse, d, "e");
	file = fake_node(&fuse, e, "f");
	other = fake_node(&fuse, FUSE_ROOT, "g");
	push_out();
	/* A folder above it, the file, and both at once. */
	CHECK(fake_rename(&fuse, FUSE_ROOT, "d", FUSE_ROOT, "D", 0) == 0);
	push_out();
	is(file, "text");
	CHECK(fake_rename(&fuse, e, "f", FUSE_ROOT, "F", 0) == 0);
	push_out();
	is(file, "text");
	CHECK(fake_rename(&fuse, FUSE_ROOT, "F", FUSE_ROOT, "g", 2) == 0);
	push_out();
	is(file, "text");
	push_out();
	is(other, "other");
	/* Over another, which is known and without a descriptor. */
	push_out();
	CHECK(fake_rename(&fuse, FUSE_ROOT, "g", FUSE_ROOT, "F", 0) == 0);
	is(other, "other");
	push_out();
	is(file, "text");
	tear_down();
}

/* So many that they can't all be kept. */
static void every_renamed_file_is_found(void)
{
	uint64_t nodes[MANY];
	char name[32];
	char other[32];

	set_up(1 << 20);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "old%d", i);
		host_file(name, name + 3);
		nodes[i] = fake_node(&fuse, FUSE_ROOT, name);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "old%d", i);
		snprintf(other, sizeof(other), "new%d", i);
		CHECK(fake_rename(&fuse, FUSE_ROOT, name, FUSE_ROOT, other,
				  0) == 0);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%d", i);
		is(nodes[i], name);
	}
	/* Each half for the other. */
	for (int i = 0; i < MANY / 2; i++) {
		snprintf(name, sizeof(name), "new%d", i);
		snprintf(other, sizeof(other), "new%d", i + MANY / 2);
		CHECK(fake_rename(&fuse, FUSE_ROOT, name, FUSE_ROOT, other,
				  2) == 0);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%d", i);
		is(nodes[i], name);
	}
	tear_down();
}

static void a_name_that_goes_leaves_the_file(void)
{
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	uint64_t file;
	uint64_t gone;
	char text[8];

	set_up(1 << 20);
	host_file("a", "text");
	host_file("c", "gone");
	file = fake_node(&fuse, FUSE_ROOT, "a");
	gone = fake_node(&fuse, FUSE_ROOT, "c");
	CHECK(fake_open(&fuse, gone, O_RDONLY, &opened) == 0);
	CHECK(fake_link(&fuse, file, FUSE_ROOT, "b", &entry) == 0);
	push_out();
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "a") == 0);
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "c") == 0);
	push_out();
	/* By its other name, which was the last that was told. */
	is(file, "text");
	/* By none, but open. */
	is(gone, "gone");
	CHECK(fake_read(&fuse, gone, opened.fh, 0, text, 8) == 4);
	/* The name it is remembered by goes: it is kept while others, which
	 * can be found again, are given up. */
	push_out();
	CHECK(fake_link(&fuse, file, FUSE_ROOT, "d", &entry) == 0);
	push_out();
	CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, "d") == 0);
	push_out();
	is(file, "text");
	tear_down();
}

/* Of many that no name leads to, most are gone; looked up again they are not.
 */
static void descriptors_are_bounded_whatever_is_removed(void)
{
	uint64_t nodes[MANY];
	uint32_t before;
	uint32_t stale = 0;
	uint32_t right = 0;

	set_up(1 << 20);
	before = open_descriptors();
	for (int i = 0; i < MANY; i++) {
		struct fake_created file;
		struct fuse_entry_out entry;
		char name[16];
		char link[16];

		snprintf(name, sizeof(name), "u%d", i);
		snprintf(link, sizeof(link), "l%d", i);
		CHECK(fake_create(&fuse, FUSE_ROOT, name, O_RDWR, 0644,
				  &file) == 0);
		nodes[i] = file.entry.nodeid;
		CHECK(fake_write(&fuse, nodes[i], file.open.fh, 0, name,
				 (uint32_t)strlen(name), 0) > 0);
		CHECK(fake_release(&fuse, FUSE_RELEASE, nodes[i],
				   file.open.fh) == 0);
		CHECK(fake_link(&fuse, nodes[i], FUSE_ROOT, link, &entry) == 0);
		CHECK(fake_remove(&fuse, FUSE_UNLINK, FUSE_ROOT, link) == 0);
	}
	CHECK(open_descriptors() <= before + INODE_FDS);
	for (int i = 0; i < MANY; i++) {
		char name[16];
		const char *text;

		snprintf(name, sizeof(name), "u%d", i);
		text = text_of(nodes[i]);
		stale += strcmp(text, "ESTALE") == 0;
		right += strcmp(text, name) == 0;
	}
	CHECK(stale + right == MANY && stale > 0 && right > 0);
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%d", i);
		CHECK(fake_node(&fuse, FUSE_ROOT, name) == nodes[i]);
		is(nodes[i], name);
	}
	tear_down();
}

/* The host has changed what the guest knew. */
static void what_the_host_replaced_is_stale(void)
{
	uint64_t file;
	uint64_t folder;
	uint64_t inner;
	uint64_t next;
	char outside[128];

	set_up(1 << 20);
	snprintf(outside, sizeof(outside), "%s-outside", fuse.folder);
	CHECK(mkdir(outside, 0755) == 0);
	host_file("a", "text");
	CHECK(mkdirat(fuse.folder_fd, "d", 0755) == 0);
	host_file("d/x", "inside");
	file = fake_node(&fuse, FUSE_ROOT, "a");
	folder = fake_node(&fuse, FUSE_ROOT, "d");
	inner = fake_node(&fuse, folder, "x");
	push_out();
	/* Another file of that name, perhaps of the same number. */
	CHECK(unlinkat(fuse.folder_fd, "a", 0) == 0);
	host_file("a", "new");
	is(file, "ESTALE");
	next = fake_node(&fuse, FUSE_ROOT, "a");
	CHECK(next != file);
	is(next, "new");
	is(file, "ESTALE");
	/* A link in the folder's place, to one outside with the same names. */
	CHECK(renameat(fuse.folder_fd, "d", fuse.folder_fd, "e") == 0);
	CHECK(symlinkat(outside, fuse.folder_fd, "d") == 0);
	strcat(outside, "/x");
	close(open(outside, O_CREAT | O_WRONLY, 0644));
	*strrchr(outside, '/') = '\0';
	is(inner, "ESTALE");
	/* Found where it is now, it is what it was. */
	CHECK(fake_node(&fuse, FUSE_ROOT, "e") == folder);
	is(inner, "inside");
	/* Even a link to a folder that is the very same is no way. */
	push_out();
	CHECK(unlinkat(fuse.folder_fd, "d", 0) == 0);
	CHECK(renameat(fuse.folder_fd, "e", fuse.folder_fd, "real") == 0);
	CHECK(symlinkat("real", fuse.folder_fd, "e") == 0);
	is(inner, "ESTALE");
	fake_folder_remove(outside);
	tear_down();
}

/* Down to depth folders, each in the one before; the last one's node. */
static uint64_t make_deep(uint32_t depth, uint64_t *parent)
{
	uint64_t node = FUSE_ROOT;

	for (uint32_t i = 0; i < depth; i++) {
		struct fuse_entry_out entry;

		*parent = node;
		if (fake_mkdir(&fuse, node, "d", 0755, &entry) < 0)
			return 0;
		node = entry.nodeid;
	}
	return node;
}

static void deep_trees_are_walked_and_bounded(void)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t parent;
	uint64_t node;

	set_up(1 << 20);
	node = make_deep(900, &parent);
	CHECK(node != 0);
	push_out();
	CHECK(fake_getattr(&fuse, node, &attr) == 0);
	for (int i = 0; i < 300; i++) {
		CHECK(fake_mkdir(&fuse, node, "d", 0755, &entry) == 0);
		node = entry.nodeid;
	}
	push_out();
	CHECK(fake_getattr(&fuse, node, &attr) == -ESTALE);
	CHECK(fake_lookup(&fuse, node, "d", &entry) == -ESTALE);
	tear_down();
}

/* Names that make a folder its own ancestor, as moves of the host can. */
static void circles_are_not_believed(void)
{
	uint64_t a;
	uint64_t b;
	struct fuse_attr attr;

	set_up(1 << 20);
	CHECK(mkdirat(fuse.folder_fd, "a", 0755) == 0);
	CHECK(mkdirat(fuse.folder_fd, "a/b", 0755) == 0);
	a = fake_node(&fuse, FUSE_ROOT, "a");
	b = fake_node(&fuse, a, "b");
	CHECK(renameat(fuse.folder_fd, "a/b", fuse.folder_fd, "b") == 0);
	CHECK(renameat(fuse.folder_fd, "a", fuse.folder_fd, "b/a") == 0);
	CHECK(fake_node(&fuse, b, "a") == a);
	push_out();
	/* One is kept instead, the other is not where it was. */
	CHECK(fake_getattr(&fuse, a, &attr) == 0);
	CHECK(fake_getattr(&fuse, b, &attr) == -ESTALE);
	CHECK(fake_node(&fuse, FUSE_ROOT, "b") == b);
	CHECK(fake_node(&fuse, b, "a") == a);
	CHECK(fake_getattr(&fuse, a, &attr) == 0);
	push_out();
	CHECK(fake_getattr(&fuse, a, &attr) == 0);
	fake_forget(&fuse, b, UINT64_MAX);
	fake_forget(&fuse, a, UINT64_MAX);
	CHECK(fake_getattr(&fuse, a, &attr) == -ESTALE);
	tear_down();
}

static void handles_are_bounded(void)
{
	struct fuse_open_out opened[HANDLES + 1];
	struct fake_created file;
	uint64_t node;

	set_up(1 << 20);
	host_file("a", "text");
	node = fake_node(&fuse, FUSE_ROOT, "a");
	for (int i = 0; i < HANDLES; i++)
		CHECK(fake_open(&fuse, node, O_RDONLY, &opened[i]) == 0);
	CHECK(fake_open(&fuse, node, O_RDWR | O_TRUNC, &opened[HANDLES]) ==
	      -ENFILE);
	CHECK(fake_opendir(&fuse, FUSE_ROOT, &opened[HANDLES]) == -ENFILE);
	CHECK(fake_create(&fuse, FUSE_ROOT, "b", O_RDWR, 0644, &file) ==
	      -ENFILE);
	/* And nothing was done: not truncated, not made. */
	CHECK(fake_node(&fuse, FUSE_ROOT, "b") == 0);
	is(node, "?");
	CHECK(fake_release(&fuse, FUSE_RELEASE, node, opened[7].fh) == 0);
	is(node, "text");
	tear_down();
}

/* The process has no descriptors left but those that are given up. */
static void shortage_is_survived(void)
{
	struct fake_created file;
	uint64_t node;
	int taken[DESCRIPTORS];
	int count = 0;

	set_up(1 << 20);
	host_file("a", "text");
	node = fake_node(&fuse, FUSE_ROOT, "a");
	push_out();
	while ((taken[count] = dup(0)) >= 0)
		count++;
	is(node, "text");
	CHECK(fake_node(&fuse, FUSE_ROOT, "many") != 0);
	CHECK(fake_create(&fuse, FUSE_ROOT, "b", O_RDWR, 0644, &file) == 0 ||
	      fake_node(&fuse, FUSE_ROOT, "b") == 0);
	while (count > 0)
		close(taken[--count]);
	tear_down();
}

/* A guest of 1 MiB may know 65,536 files. */
static void inodes_are_bounded(void)
{
	enum { LIMIT = 65536 };
	const struct fuse_read_in in = { .size = 4096 };
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	struct fuse_attr attr;
	uint8_t reply[4096];
	uint64_t first = 0;
	char name[32];
	uint32_t known = 2; /* the root, and "many" */

	set_up(1 << 20);
	CHECK(fake_node(&fuse, FUSE_ROOT, "many") != 0);
	for (int i = 0; known <= LIMIT; i++) {
		int error;

		snprintf(name, sizeof(name), "%d", i);
		error = fake_mknod(&fuse, FUSE_ROOT, name, S_IFREG | 0600,
				   &entry);
		if (error < 0) {
			CHECK(error == -ENFILE);
			break;
		}
		if (first == 0)
			first = entry.nodeid;
		known++;
	}
	CHECK(known == LIMIT);
	/* What could not be told of is not left behind. */
	CHECK(faccessat(fuse.folder_fd, name, F_OK, 0) < 0);
	CHECK(fake_mkdir(&fuse, FUSE_ROOT, "x", 0755, &entry) == -ENFILE);
	CHECK(faccessat(fuse.folder_fd, "x", F_OK, 0) < 0);
	close(openat(fuse.folder_fd, "x", O_CREAT | O_WRONLY, 0600));
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "x", &entry) == -ENFILE);
	/* A list goes on without telling of more. */
	CHECK(fake_opendir(&fuse, fake_node(&fuse, FUSE_ROOT, "many"),
			   &opened) == 0);
	{
		struct fuse_read_in list = in;

		list.fh = opened.fh;
		CHECK(fake_fuse_call(&fuse, FUSE_READDIRPLUS,
				     fake_node(&fuse, FUSE_ROOT, "many"), &list,
				     sizeof(list), NULL, NULL, reply,
				     sizeof(reply)) == 0);
		CHECK(fuse.replied > 1000);
	}
	CHECK(fake_getattr(&fuse, first, &attr) == 0);
	fake_forget(&fuse, first, 1);
	CHECK(fake_lookup(&fuse, FUSE_ROOT, "x", &entry) == 0);
	tear_down();
}

/* The tree that is walked: FOLDERS of files each. */
enum { FOLDERS = 200, PER_FOLDER = 1000 };

struct walk {
	uint64_t folder;
	uint64_t sum; /* of all numbers */
	uint32_t files;
	uint32_t unread;
	uint64_t *nodes; /* to be looked at when the reply is done */
	uint32_t count;
};

static void walk_one(void *owner, const struct fuse_dirent *dirent,
		     const struct fuse_entry_out *plus)
{
	struct walk *walk = owner;

	if (dirent->name[0] == '.')
		return;
	walk->files++;
	walk->sum += plus->nodeid;
	walk->nodes[walk->count++] = plus->nodeid;
}

/* Reads the folder, and every so many of its files. */
static void walk_folder(struct walk *walk)
{
	struct fuse_open_out opened;
	uint64_t offset = 0;

	CHECK(fake_opendir(&fuse, walk->folder, &opened) == 0);
	do {
		walk->count = 0;
		offset = fake_readdir(&fuse, walk->folder, opened.fh, offset,
				      true, 4096, walk_one, walk);
		for (uint32_t i = 0; i < walk->count; i += 7) {
			struct fuse_attr attr;

			if (fake_getattr(&fuse, walk->nodes[i], &attr) < 0 ||
			    strcmp(text_of(walk->nodes[i]), "x") != 0)
				walk->unread++;
		}
	} while (offset != 0);
	CHECK(fake_release(&fuse, FUSE_RELEASEDIR, walk->folder, opened.fh) ==
	      0);
}

static uint64_t resident_kib(void)
{
	uint64_t pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file)
		return 0;
	(void)!fscanf(file, "%*u %lu", &pages);
	fclose(file);
	return pages * 4;
}

static void large_trees_are_walked_with_few_descriptors(void)
{
	struct walk walks[2] = { { .files = 0 } };
	uint64_t nodes[100];
	uint32_t before;
	uint64_t memory;

	set_up(UINT64_C(256) << 20);
	for (uint32_t i = 0; i < FOLDERS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/d%u", i);
		CHECK(mkdirat(fuse.folder_fd, name, 0755) == 0);
		for (uint32_t k = 0; k < PER_FOLDER; k++) {
			snprintf(name, sizeof(name), "many/d%u/%u", i, k);
			host_file(name, "x");
		}
	}
	before = open_descriptors();
	memory = resident_kib();
	for (int round = 0; round < 2; round++) {
		struct walk *walk = &walks[round];
		uint64_t many = fake_node(&fuse, FUSE_ROOT, "many");

		walk->nodes = nodes;
		for (uint32_t i = 0; i < FOLDERS; i++) {
			char name[32];

			snprintf(name, sizeof(name), "d%u", i);
			walk->folder = fake_node(&fuse, many, name);
			walk_folder(walk);
			CHECK(open_descriptors() <= before + INODE_FDS);
		}
		printf("# round %d: %u files, %u descriptors more, "
		       "%lu KiB more resident\n",
		       round + 1, walk->files, open_descriptors() - before,
		       resident_kib() - memory);
		CHECK(walk->files == FOLDERS * PER_FOLDER);
		CHECK(walk->unread == 0);
	}
	CHECK(walks[0].sum == walks[1].sum);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
	/* 200,000 inodes with their names. */
	CHECK(resident_kib() - memory < 256 * 1024);
#endif
	tear_down();
}

int main(void)
{
	getrlimit(RLIMIT_NOFILE, &usual);
	TEST(what_was_given_up_is_found_again);
	TEST(renames_are_followed);
	TEST(every_renamed_file_is_found);
	TEST(a_name_that_goes_leaves_the_file);
	TEST(descriptors_are_bounded_whatever_is_removed);
	TEST(what_the_host_replaced_is_stale);
	TEST(deep_trees_are_walked_and_bounded);
	TEST(circles_are_not_believed);
	TEST(handles_are_bounded);
	TEST(shortage_is_survived);
	TEST(inodes_are_bounded);
	TEST(large_trees_are_walked_with_few_descriptors);
	return tap_done();
}
