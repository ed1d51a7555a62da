/* SPDX-License-Identifier: MIT */
/*
 * The host's programs swap folders and files for links to a place outside,
 * all the time, while two guests do everything that a guest can: nothing
 * outside is read or changed.
 *
 * CAPSA_FS_ROUNDS: what each guest does; 100,000 if it is not set.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "fake_fuse.h"
#include "tap.h"

enum {
	ROUNDS = 100000,
	GUESTS = 2,
	DESCRIPTORS = 128, /* so few that most inodes are found again */
	CANARIES = 2,
	EXCHANGE = 2,
};

static const char canary[] = "CANARY";
static const char *const canaries[CANARIES] = { "x", "y" };

static struct fake_fuse fuse;
static char outside[128];
static int outside_fd;
static struct stat before[CANARIES + 1];
static atomic_bool over;
static atomic_uint_fast64_t swaps;
static uint64_t rounds = ROUNDS;

struct guest {
	struct fake_fuse fuse;
	uint32_t seed;
	uint64_t links; /* seen where a folder or a file may be, too */
	uint64_t folders;
	uint64_t reads;
	uint64_t stale;
	uint64_t escapes; /* what must not happen */
};

static uint32_t pick(struct guest *guest, uint32_t count)
{
	guest->seed = guest->seed * 1664525 + 1013904223;
	return (guest->seed >> 8) % count;
}

static void make_file(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	CHECK(fd >= 0 &&
	      write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void set_up(void)
{
	static const char *const folders[] = { "a", "b" };

	snprintf(outside, sizeof(outside), "%s-outside", fuse.folder);
	CHECK(mkdir(outside, 0755) == 0);
	outside_fd = open(outside, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < CANARIES; i++)
		make_file(outside_fd, canaries[i], canary);
	for (int i = 0; i < 2; i++) {
		char name[16];
		char target[160];

		CHECK(mkdirat(fuse.folder_fd, folders[i], 0755) == 0);
		for (int k = 0; k < CANARIES; k++) {
			snprintf(name, sizeof(name), "%s/%s", folders[i],
				 canaries[k]);
			make_file(fuse.folder_fd, name, "inside");
			snprintf(name, sizeof(name), "%s/l%s", folders[i],
				 canaries[k]);
			snprintf(target, sizeof(target), "%s/%s", outside,
				 canaries[k]);
			CHECK(symlinkat(target, fuse.folder_fd, name) == 0);
		}
		snprintf(name, sizeof(name), "l%s", folders[i]);
		CHECK(symlinkat(outside, fuse.folder_fd, name) == 0);
	}
	for (int i = 0; i < CANARIES; i++)
		CHECK(fstatat(outside_fd, canaries[i], &before[i], 0) == 0);
	CHECK(fstat(outside_fd, &before[CANARIES]) == 0);
}

static int exchange(const char *one, const char *other)
{
	return renameat2(fuse.folder_fd, one, fuse.folder_fd, other, EXCHANGE);
}

/* The host: links take the places of folders and files, and give them back. */
static void *swap(void *argument)
{
	(void)argument;
	while (!atomic_load(&over)) {
		exchange("a", "la");
		exchange("b/x", "b/lx");
		exchange("a/y", "a/ly");
		exchange("b", "lb");
		exchange("la/x", "la/lx");
		exchange("a", "b");
		exchange("a", "la");
		exchange("b/y", "b/ly");
		exchange("b", "lb");
		atomic_fetch_add(&swaps, 9);
	}
	return NULL;
}

static void check_entry(struct guest *guest, const struct fuse_entry_out *entry)
{
	for (int i = 0; i <= CANARIES; i++)
		guest->escapes += entry->attr.ino == before[i].st_ino;
	guest->links += S_ISLNK(entry->attr.mode);
	guest->folders += S_ISDIR(entry->attr.mode);
}

static void do_contents(struct guest *guest, uint64_t node)
{
	static const uint32_t flags[] = { O_RDONLY, O_RDWR, O_RDWR | O_TRUNC };
	struct fuse_open_out opened;
	char text[16] = "";
	int error = fake_open(&guest->fuse, node, flags[pick(guest, 3)],
			      &opened);

	guest->stale += error == -ESTALE;
	if (error < 0)
		return;
	if (fake_read(&guest->fuse, node, opened.fh, 0, text, 15) > 0)
		guest->reads++;
	guest->escapes += strcmp(text, canary) == 0;
	fake_write(&guest->fuse, node, opened.fh, 0, "inside", 6, 0);
	fake_release(&guest->fuse, FUSE_RELEASE, node, opened.fh);
}

static void do_attributes(struct guest *guest, uint64_t node)
{
	static const struct fuse_setattr_in changes[] = {
		{ .valid = FATTR_SIZE, .size = 3 },
		{ .valid = FATTR_MODE, .mode = 0600 },
		{ .valid = FATTR_MTIME | FATTR_ATIME, .mtime = 1 },
		{ .valid = FATTR_UID | FATTR_GID, .uid = 1, .gid = 1 },
	};
	char value[32];

	fake_setattr(&guest->fuse, node, &changes[pick(guest, 4)], NULL);
	fake_setxattr(&guest->fuse, node, "user.guest", "v", 1, 0);
	fake_getxattr(&guest->fuse, node, "user.guest", value, 32);
}

static void do_names(struct guest *guest, uint64_t folder, uint64_t node)
{
	struct fake_created file;
	struct fuse_entry_out entry;
	char name[16];

	snprintf(name, sizeof(name), "new%u", pick(guest, 4));
	switch (pick(guest, 7)) {
	case 0:
		if (fake_create(&guest->fuse, folder, name, O_RDWR, 0644,
				&file) == 0)
			fake_release(&guest->fuse, FUSE_RELEASE,
				     file.entry.nodeid, file.open.fh);
		break;
	case 1:
		fake_mkdir(&guest->fuse, folder, name, 0755, &entry);
		break;
	case 2:
		fake_symlink(&guest->fuse, folder, name, outside, &entry);
		break;
	case 3:
		fake_link(&guest->fuse, node, folder, name, &entry);
		break;
	case 4:
		fake_rename(&guest->fuse, folder, name, FUSE_ROOT, name,
			    pick(guest, 3));
		break;
	case 5:
		fake_remove(&guest->fuse, FUSE_UNLINK,
			    pick(guest, 2) ? folder : FUSE_ROOT, name);
		break;
	default:
		fake_remove(&guest->fuse, FUSE_RMDIR,
			    pick(guest, 2) ? folder : FUSE_ROOT, name);
		break;
	}
}

static void list_one(void *owner, const struct fuse_dirent *dirent,
		     const struct fuse_entry_out *plus)
{
	struct guest *guest = owner;

	(void)dirent;
	if (plus->nodeid == 0)
		return;
	check_entry(guest, plus);
	if (pick(guest, 2))
		fake_forget(&guest->fuse, plus->nodeid, 1);
}

static void do_list(struct guest *guest, uint64_t folder)
{
	struct fuse_open_out opened;

	if (fake_opendir(&guest->fuse, folder, &opened) < 0)
		return;
	fake_readdir(&guest->fuse, folder, opened.fh, 0, true, 4096, list_one,
		     guest);
	fake_release(&guest->fuse, FUSE_RELEASEDIR, folder, opened.fh);
}

static void do_round(struct guest *guest)
{
	static const char *const folders[] = { "a", "b", "la", "lb" };
	static const char *const files[] = { "x", "y", "lx", "ly" };
	struct fuse_entry_out folder;
	struct fuse_entry_out file;

	if (fake_lookup(&guest->fuse, FUSE_ROOT, folders[pick(guest, 4)],
			&folder) < 0)
		return;
	check_entry(guest, &folder);
	if (fake_lookup(&guest->fuse, folder.nodeid, files[pick(guest, 4)],
			&file) < 0)
		return;
	check_entry(guest, &file);
	switch (pick(guest, 4)) {
	case 0:
		do_contents(guest, file.nodeid);
		break;
	case 1:
		do_attributes(guest, file.nodeid);
		break;
	case 2:
		do_names(guest, folder.nodeid, file.nodeid);
		break;
	default:
		do_list(guest, folder.nodeid);
		break;
	}
	if (pick(guest, 3) == 0)
		fake_forget(&guest->fuse, file.nodeid, 1 + pick(guest, 3));
	if (pick(guest, 3) == 0)
		fake_forget(&guest->fuse, folder.nodeid, 1 + pick(guest, 3));
}

static void *play(void *argument)
{
	struct guest *guest = argument;

	for (uint64_t i = 0; i < rounds; i++)
		do_round(guest);
	return NULL;
}

/* The canaries are byte for byte what they were, and alone. */
static void check_outside(void)
{
	struct stat now;

	for (int i = 0; i < CANARIES; i++) {
		char text[16] = "";
		int fd = openat(outside_fd, canaries[i], O_RDONLY);

		CHECK(read(fd, text, 15) == (ssize_t)strlen(canary));
		CHECK(strcmp(text, canary) == 0);
		CHECK(fstat(fd, &now) == 0);
		CHECK(now.st_mode == before[i].st_mode &&
		      now.st_uid == before[i].st_uid &&
		      now.st_nlink == before[i].st_nlink &&
		      now.st_ctim.tv_sec == before[i].st_ctim.tv_sec &&
		      now.st_ctim.tv_nsec == before[i].st_ctim.tv_nsec);
		close(fd);
	}
	CHECK(fstat(outside_fd, &now) == 0);
	CHECK(now.st_ctim.tv_sec == before[CANARIES].st_ctim.tv_sec &&
	      now.st_ctim.tv_nsec == before[CANARIES].st_ctim.tv_nsec &&
	      now.st_mtim.tv_nsec == before[CANARIES].st_mtim.tv_nsec);
}

static void nothing_outside_is_reached(void)
{
	static struct guest guests[GUESTS];
	struct rlimit usual;
	struct rlimit few;
	pthread_t threads[GUESTS];
	pthread_t swapper;

	getrlimit(RLIMIT_NOFILE, &usual);
	few = usual;
	few.rlim_cur = DESCRIPTORS;
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	fake_fuse_create(&fuse);
	set_up();
	CHECK(pthread_create(&swapper, NULL, swap, NULL) == 0);
	for (uint32_t i = 0; i < GUESTS; i++) {
		guests[i].fuse = fuse;
		guests[i].seed = i + 1;
		CHECK(pthread_create(&threads[i], NULL, play, &guests[i]) == 0);
	}
	for (int i = 0; i < GUESTS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&over, true);
	pthread_join(swapper, NULL);
	for (int i = 0; i < GUESTS; i++) {
		const struct guest *guest = &guests[i];

		printf("# guest %d: %lu rounds, %lu links, %lu folders, "
		       "%lu reads, %lu stale\n",
		       i, rounds, guest->links, guest->folders, guest->reads,
		       guest->stale);
		CHECK(guest->escapes == 0);
		/* It was a race: each side has won some. */
		CHECK(guest->links > 0 && guest->folders > 0 &&
		      guest->reads > 0);
	}
	printf("# %lu swaps\n", atomic_load(&swaps));
	CHECK(atomic_load(&swaps) > 0);
	check_outside();
	close(outside_fd);
	fake_fuse_destroy(&fuse);
	fake_folder_remove(outside);
	setrlimit(RLIMIT_NOFILE, &usual);
}

int main(void)
{
	const char *wanted = getenv("CAPSA_FS_ROUNDS");

	if (wanted)
		rounds = strtoull(wanted, NULL, 10);
	TEST(nothing_outside_is_reached);
	return tap_done();
}
