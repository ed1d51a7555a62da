/* SPDX-License-Identifier: MIT */
#include "block/image.h"

#include <errno.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "host_lacks.h"
#include "scratch.h"
#include "tap.h"

enum { SIZE = 300 * 512 + 7, SECTORS = 300, CAPACITY = SECTORS * 512 };

static struct scratch scratch;

/* Faults of the host, put in the way of the library's system calls. */
static uint32_t interruptions;
static uint32_t moved_at_most;
static bool fallocate_missing;
static bool writes_fail;
static int tmpfile_error;
static uint32_t durable_writes;
static uint32_t flushes;

static ssize_t transfer(long number, int fd, const struct iovec *buffers,
			int count, off_t offset, int flags)
{
	struct iovec first = buffers[0];

	if (__atomic_load_n(&interruptions, __ATOMIC_SEQ_CST) > 0) {
		__atomic_fetch_sub(&interruptions, 1, __ATOMIC_SEQ_CST);
		errno = EINTR;
		return -1;
	}
	if (moved_at_most > 0) {
		if (first.iov_len > moved_at_most)
			first.iov_len = moved_at_most;
		return syscall(number, fd, &first, 1, offset, 0, flags);
	}
	return syscall(number, fd, buffers, count, offset, 0, flags);
}

ssize_t preadv2(int fd, const struct iovec *buffers, int count, off_t offset,
		int flags)
{
	return transfer(SYS_preadv2, fd, buffers, count, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *buffers, int count, off_t offset,
		 int flags)
{
	if (flags & RWF_DSYNC)
		__atomic_fetch_add(&durable_writes, 1, __ATOMIC_SEQ_CST);
	if (writes_fail) {
		errno = ENOSPC;
		return -1;
	}
	return transfer(SYS_pwritev2, fd, buffers, count, offset, flags);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	if (fallocate_missing) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fdatasync(int fd)
{
	flushes++;
	if (interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int open(const char *path, int flags, ...)
{
	va_list list;
	int mode;

	va_start(list, flags);
	mode = va_arg(list, int);
	va_end(list);
	if (tmpfile_error && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = tmpfile_error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static struct disk_config disk(void)
{
	return (struct disk_config) { .path = scratch.file };
}

static struct image opened(bool read_only, bool overlay)
{
	struct disk_config config = disk();
	struct capsa_error error;
	struct image image;

	config.read_only = read_only;
	config.overlay = overlay ? scratch.folder : NULL;
	CHECK(image_open(&image, &config, 0, &error) == CAPSA_STATUS_OK);
	return image;
}

static int read_at(const struct image *image, void *bytes, uint64_t offset,
		   size_t length)
{
	struct iovec buffer = { .iov_base = bytes, .iov_len = length };
	struct file_buffers buffers = { .first = &buffer, .count = 1 };

	return image_read(image, &buffers, offset, length);
}

static int write_at(const struct image *image, const void *bytes,
		    uint64_t offset, size_t length, bool durable)
{
	struct iovec buffer = { .iov_base = (void *)bytes, .iov_len = length };
	struct file_buffers buffers = { .first = &buffer, .count = 1 };

	return image_write(image, &buffers, offset, length, durable);
}

static void a_file_opens_in_whole_sectors(void)
{
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, false);
	CHECK(image.size == CAPACITY);
	CHECK((fcntl(image.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDWR);
	CHECK(fcntl(image.fd, F_GETFD) & FD_CLOEXEC);
	image_close(&image);
	CHECK(image.fd == -1);
	image = opened(true, false);
	CHECK((fcntl(image.fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	image_close(&image);
	image = opened(false, true);
	CHECK((fcntl(image.fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHECK(image.overlay);
	image_close(&image);
	image = opened(true, true);
	CHECK(!image.overlay);
	image_close(&image);
}

static void check_refused(const struct disk_config *config, const char *field,
			  const char *subject, int system_errno)
{
	struct capsa_error error = { 0 };
	struct image image;

	CHECK(image_open(&image, config, 3, &error) == CAPSA_STATUS_DISK_FILE);
	CHECK(error.status == CAPSA_STATUS_DISK_FILE);
	CHECK(strcmp(error.field, field) == 0);
	CHECK(strcmp(error.subject, subject) == 0);
	CHECK(error.system_errno == system_errno);
	CHECK(error.operation[0] && error.message[0]);
	CHECK(image.fd == -1 && !image.overlay);
}

static void what_is_no_file_is_refused(void)
{
	struct disk_config config = disk();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(scratch.file);
	check_refused(&config, "disks.3.path", scratch.file, ENOENT);
	CHECK(mkfifo(scratch.file, 0600) == 0);
	check_refused(&config, "disks.3.path", scratch.file, 0);
	config.read_only = true;
	check_refused(&config, "disks.3.path", scratch.file, 0);
	unlink(scratch.file);
	strcpy(address.sun_path, scratch.file);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) ==
	      0);
	check_refused(&config, "disks.3.path", scratch.file, ENXIO);
	close(listener);
	config.path = (char *)"/dev/null";
	check_refused(&config, "disks.3.path", "/dev/null", 0);
	config.path = scratch.folder;
	check_refused(&config, "disks.3.path", scratch.folder, 0);
	config.read_only = false;
	check_refused(&config, "disks.3.path", scratch.folder, EISDIR);
	unlink(scratch.file);
}

static void what_is_no_block_device_is_refused(void)
{
	struct disk_config config = disk();

	scratch_write(&scratch, SIZE);
	config.block_device = true;
	check_refused(&config, "disks.3.path", scratch.file, 0);
	config.path = (char *)"/dev/null";
	check_refused(&config, "disks.3.path", "/dev/null", 0);
}

static void less_than_a_sector_is_refused(void)
{
	struct disk_config config = disk();

	scratch_write(&scratch, 511);
	check_refused(&config, "disks.3.path", scratch.file, 0);
	scratch_write(&scratch, 0);
	check_refused(&config, "disks.3.path", scratch.file, 0);
}

static void an_overlay_needs_a_folder(void)
{
	struct disk_config config = disk();

	scratch_write(&scratch, SIZE);
	config.overlay = scratch.file;
	check_refused(&config, "disks.3.overlay", scratch.file, ENOTDIR);
	config.overlay = (char *)"/nowhere";
	check_refused(&config, "disks.3.overlay", "/nowhere", ENOENT);
}

static void a_read_only_image_refuses_changes(void)
{
	const uint8_t bytes[512] = { 1 };
	uint8_t back[512];
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(true, false);
	CHECK(write_at(&image, bytes, 0, 512, false) == -EROFS);
	CHECK(image_discard(&image, 0, 4096, false) == -EROFS);
	CHECK(image_zero(&image, 0, 4096, true, false) == -EROFS);
	CHECK(image_flush(&image) == 0 && !image_needs_flush(&image));
	CHECK(image_direct_write(&image, 0, 512) == -1);
	CHECK(image_direct_read(&image, 0, 512) == image.fd);
	CHECK(read_at(&image, back, 512, 512) == 0);
	CHECK(back[1] == scratch_byte(513));
	image_close(&image);
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

/* Any buffers, any offsets, and a host that does less than it is asked. */
static void pieces_come_together(void)
{
	static const uint32_t limits[] = { 0, 1000, 1 };
	uint8_t bytes[9000];
	uint8_t back[9000];
	uint64_t seed = 1;
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, false);
	for (uint32_t round = 0; round < 90; round++) {
		size_t length = 1 + scratch_random(&seed) % sizeof(bytes);
		uint64_t offset = scratch_random(&seed) % (CAPACITY - length);
		struct iovec pieces[40];
		struct file_buffers buffers = { .first = pieces };
		size_t done = 0;

		while (done < length) {
			size_t part = 1 + scratch_random(&seed) % 997;

			if (part > length - done || buffers.count == 39)
				part = length - done;
			pieces[buffers.count++] = (struct iovec) {
				.iov_base = bytes + done, .iov_len = part
			};
			done += part;
		}
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)scratch_random(&seed);
		moved_at_most = limits[round % 3];
		interruptions = round % 4;
		if (moved_at_most == 1 && length > 900)
			moved_at_most = 50;
		CHECK(image_write(&image, &buffers, offset, length, false) ==
		      0);
		CHECK(buffers.count == 0);
		CHECK(read_at(&image, back, offset, length) == 0);
		CHECK(memcmp(bytes, back, length) == 0);
	}
	moved_at_most = 0;
	interruptions = 0;
	image_close(&image);
}

static void a_file_that_was_cut_is_an_error(void)
{
	uint8_t bytes[4096];
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, false);
	CHECK(truncate(scratch.file, 1000) == 0);
	CHECK(read_at(&image, bytes, 512, 1024) == -EIO);
	CHECK(read_at(&image, bytes, 0, 512) == 0);
	image_close(&image);
}

static void durable_changes_are_flushed(void)
{
	const uint8_t bytes[512] = { 1 };
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, false);
	durable_writes = 0;
	flushes = 0;
	CHECK(write_at(&image, bytes, 0, 512, false) == 0);
	CHECK(durable_writes == 0);
	CHECK(write_at(&image, bytes, 0, 512, true) == 0);
	CHECK(durable_writes == 1);
	CHECK(image_discard(&image, 0, 4096, false) == 0);
	CHECK(image_zero(&image, 0, 4096, false, false) == 0);
	CHECK(flushes == 0);
	interruptions = 1;
	CHECK(image_flush(&image) == 0 && image_needs_flush(&image));
	CHECK(flushes == 2);
	CHECK(image_discard(&image, 0, 4096, true) == 0);
	CHECK(flushes == 3);
	CHECK(image_zero(&image, 0, 4096, true, true) == 0);
	CHECK(flushes == 4);
	image_close(&image);
	image = opened(false, true);
	CHECK(image_flush(&image) == 0 && !image_needs_flush(&image));
	CHECK(flushes == 4);
	image_close(&image);
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Zeroes an odd range and looks at it and at both sides of it. */
static void check_zero(const struct image *image, bool unmap)
{
	const uint64_t start = 3 * 512;
	const size_t length = 180 * 512;
	uint8_t bytes[180 * 512];

	CHECK(image_zero(image, start, length, unmap, false) == 0);
	CHECK(read_at(image, bytes, start, length) == 0);
	CHECK(is_zero(bytes, length));
	CHECK(read_at(image, bytes, 0, start) == 0);
	CHECK(bytes[start - 1] == scratch_byte(start - 1));
	CHECK(read_at(image, bytes, start + length, 512) == 0);
	CHECK(bytes[0] == scratch_byte(start + length));
}

static void zeroes_are_zeroes(void)
{
	for (uint32_t i = 0; i < 8; i++) {
		struct image image;

		scratch_write(&scratch, SIZE);
		image = opened(false, i & 4);
		fallocate_missing = i & 1;
		interruptions = i & 1 ? 0 : 1;
		check_zero(&image, i & 2);
		fallocate_missing = false;
		image_close(&image);
		CHECK(!(i & 4) || scratch_is_untouched(&scratch, 0, SIZE));
	}
}

static blkcnt_t blocks(void)
{
	struct stat status = { 0 };

	CHECK(stat(scratch.file, &status) == 0);
	return status.st_blocks;
}

static void discarding_frees_space(void)
{
	struct image image;
	blkcnt_t before;

	scratch_write(&scratch, 64 << 10);
	image = opened(false, false);
	CHECK(image_flush(&image) == 0);
	before = blocks();
	CHECK(image_discard(&image, 8192, 32768, true) == 0);
	CHECK(blocks() <= before - 64);
	CHECK(image_zero(&image, 40960, 8192, true, true) == 0);
	CHECK(blocks() <= before - 80);
	/* A hint that the host cannot take. */
	fallocate_missing = true;
	CHECK(image_discard(&image, 0, 4096, false) == 0);
	fallocate_missing = false;
	image_close(&image);
	CHECK(scratch_is_untouched(&scratch, 0, 4096));
}

/* What a disk should hold, and a disk whose every operation is checked. */
struct model {
	uint8_t bytes[CAPACITY];
	bool open[SECTORS]; /* discarded: it may hold anything */
};

static void model_create(struct model *model)
{
	scratch_fill(model->bytes, 0, CAPACITY);
	memset(model->open, 0, sizeof(model->open));
}

static void model_step(struct model *model, const struct image *image,
		       uint64_t *seed)
{
	uint8_t bytes[40 * 512];
	uint32_t count = 1 + scratch_random(seed) % 40;
	uint32_t first = scratch_random(seed) % (SECTORS - count + 1);
	size_t length = count * 512;
	uint64_t offset = first * 512;
	uint32_t kind = scratch_random(seed) % 8;
	size_t wrong = 0;

	switch (kind) {
	case 0:
		CHECK(image_discard(image, offset, length, false) == 0);
		for (uint32_t i = 0; i < count; i++)
			model->open[first + i] = true;
		break;
	case 1:
	case 2:
		CHECK(image_zero(image, offset, length, kind == 1, false) == 0);
		memset(model->bytes + offset, 0, length);
		memset(model->open + first, 0, count);
		break;
	case 3:
	case 4:
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)scratch_random(seed);
		CHECK(write_at(image, bytes, offset, length, false) == 0);
		memcpy(model->bytes + offset, bytes, length);
		memset(model->open + first, 0, count);
		break;
	default:
		CHECK(read_at(image, bytes, offset, length) == 0);
		for (uint32_t i = 0; i < count; i++) {
			uint8_t *is = bytes + i * 512;
			uint8_t *should = model->bytes + offset + i * 512;

			/* What it holds it goes on to hold. */
			if (model->open[first + i])
				memcpy(should, is, 512);
			model->open[first + i] = false;
			wrong += memcmp(is, should, 512) != 0;
		}
		CHECK(wrong == 0);
		break;
	}
}

/* Where one descriptor will do, it gives what the image gives. */
static void model_check_direct(const struct model *model,
			       const struct image *image, uint64_t *seed)
{
	uint8_t bytes[16 * 512];
	uint32_t count = 1 + scratch_random(seed) % 16;
	uint32_t first = scratch_random(seed) % (SECTORS - count + 1);
	uint64_t offset = first * 512;
	size_t length = count * 512;
	int fd = image_direct_read(image, offset, length);

	for (uint32_t i = 0; i < count; i++)
		if (model->open[first + i])
			return;
	if (fd < 0)
		return;
	CHECK(pread(fd, bytes, length, (off_t)offset) == (ssize_t)length);
	CHECK(memcmp(bytes, model->bytes + offset, length) == 0);
	fd = image_direct_write(image, offset, length);
	if (fd < 0)
		return;
	/* The same again changes nothing that is seen. */
	CHECK(fd != image->fd || !image->overlay);
	CHECK(pwrite(fd, bytes, length, (off_t)offset) == (ssize_t)length);
}

static void any_operations_are_as_on_a_model(void)
{
	static struct model model;

	for (uint64_t round = 1; round <= 40; round++) {
		struct image image;
		uint64_t seed = round;

		scratch_write(&scratch, SIZE);
		image = opened(false, round % 4 > 0);
		fallocate_missing = round % 5 == 0;
		model_create(&model);
		for (uint32_t step = 0; step < 120; step++) {
			model_step(&model, &image, &seed);
			model_check_direct(&model, &image, &seed);
		}
		fallocate_missing = false;
		image_close(&image);
		CHECK(round % 4 == 0 ||
		      scratch_is_untouched(&scratch, 0, SIZE));
	}
}

enum { THREADS = 4, STEPS = 1500 };

struct owner {
	pthread_t thread;
	const struct image *image;
	uint32_t number;
	uint32_t wrong;
};

/* Writes, zeroes and reads only sectors of its own, in everybody's clusters. */
static void *owner_run(void *argument)
{
	struct owner *owner = argument;
	static _Thread_local uint8_t holds[SECTORS];
	static _Thread_local bool written[SECTORS];
	uint64_t seed = owner->number + 77;
	uint8_t bytes[512];

	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t sector = scratch_random(&seed) % (SECTORS / THREADS) *
					  THREADS +
				  owner->number;
		uint64_t offset = sector * 512;
		uint32_t kind = scratch_random(&seed) % 5;

		if (kind < 2) {
			holds[sector] = (uint8_t)(step * 7 + owner->number + 1);
			written[sector] = true;
			memset(bytes, holds[sector], 512);
			owner->wrong += write_at(owner->image, bytes, offset,
						 512, false) != 0;
		} else if (kind == 2) {
			holds[sector] = 0;
			written[sector] = true;
			owner->wrong += image_zero(owner->image, offset, 512,
						   step & 1, false) != 0;
		} else {
			owner->wrong += read_at(owner->image, bytes, offset,
						512) != 0;
			for (uint32_t i = 0; i < 512; i++)
				owner->wrong +=
					bytes[i] !=
					(written[sector]
						 ? holds[sector]
						 : scratch_byte(offset + i));
		}
	}
	return NULL;
}

/* No copy of a cluster lands on what another thread has written into it. */
static void neighbours_do_not_disturb(void)
{
	for (uint32_t round = 0; round < 12; round++) {
		struct owner owners[THREADS];
		struct image image;

		scratch_write(&scratch, SIZE);
		image = opened(false, round > 0);
		for (uint32_t i = 0; i < THREADS; i++) {
			owners[i] = (struct owner) { .image = &image,
						     .number = i };
			CHECK(pthread_create(&owners[i].thread, NULL, owner_run,
					     &owners[i]) == 0);
		}
		for (uint32_t i = 0; i < THREADS; i++) {
			pthread_join(owners[i].thread, NULL);
			CHECK(owners[i].wrong == 0);
		}
		image_close(&image);
	}
}

struct flipper {
	pthread_t thread;
	const struct image *image;
	bool whole;
};

enum { FLIP_CLUSTERS = 16 };

/* Writes clusters that hold their own number, in whole or in parts. */
static void *flipper_run(void *argument)
{
	struct flipper *flipper = argument;
	size_t part = flipper->whole ? 4096 : 1024;
	uint8_t bytes[4096];

	for (uint32_t i = 0; i < FLIP_CLUSTERS; i++) {
		memset(bytes, (int)i + 1, sizeof(bytes));
		for (size_t done = 0; done < 4096; done += part)
			write_at(flipper->image, bytes, i * 4096 + done, part,
				 false);
	}
	return NULL;
}

/* A reader sees what was there before or what is there after; never a hole. */
static void readers_see_old_or_new(void)
{
	for (uint32_t round = 0; round < 60; round++) {
		struct flipper flipper = { .whole = round & 1 };
		uint8_t bytes[512];
		uint32_t seen = 0;
		uint32_t wrong = 0;
		struct image image;

		scratch_write(&scratch, SIZE);
		image = opened(false, true);
		flipper.image = &image;
		CHECK(pthread_create(&flipper.thread, NULL, flipper_run,
				     &flipper) == 0);
		for (uint32_t turn = 0; seen < FLIP_CLUSTERS; turn++) {
			uint32_t cluster = turn % FLIP_CLUSTERS;
			uint64_t offset = cluster * 4096 + turn % 8 * 512;

			CHECK(read_at(&image, bytes, offset, 512) == 0);
			if (bytes[0] == cluster + 1 && cluster == seen)
				seen++;
			for (uint32_t i = 1; i < 512; i++)
				wrong += bytes[i] != cluster + 1 &&
					 bytes[i] != scratch_byte(offset + i);
		}
		CHECK(wrong == 0);
		pthread_join(flipper.thread, NULL);
		image_close(&image);
	}
}

/* A write that fails leaves what was there. */
static void a_full_host_changes_nothing(void)
{
	uint8_t bytes[8192] = { 0 };
	uint32_t wrong = 0;
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, true);
	writes_fail = true;
	CHECK(write_at(&image, bytes, 512, 8192, false) == -ENOSPC);
	CHECK(image_zero(&image, 512, 1024, true, false) == -ENOSPC);
	CHECK(image_zero(&image, 512, 8192, true, false) == -ENOSPC);
	writes_fail = false;
	CHECK(read_at(&image, bytes, 0, 8192) == 0);
	for (uint32_t i = 0; i < 8192; i++)
		wrong += bytes[i] != scratch_byte(i);
	CHECK(wrong == 0);
	/* Nor does it leave anything where a hole must be. */
	CHECK(image_zero(&image, 0, 16384, true, false) == 0);
	CHECK(read_at(&image, bytes, 4096, 8192) == 0);
	CHECK(is_zero(bytes, 8192));
	image_close(&image);
}

static void an_overlay_has_no_name(void)
{
	const uint8_t bytes[512] = { 1 };
	struct image image;

	scratch_write(&scratch, SIZE);
	image = opened(false, true);
	CHECK(write_at(&image, bytes, 0, 512, false) == 0);
	/* Else the folder could not be removed. */
	CHECK(unlink(scratch.file) == 0);
	CHECK(rmdir(scratch.folder) == 0);
	CHECK(mkdir(scratch.folder, 0700) == 0);
	image_close(&image);
}

/* On file systems, and by kernels, that know no other file without a name. */
static void an_overlay_loses_its_name(void)
{
	static const int errors[] = { EOPNOTSUPP, EISDIR };
	struct disk_config config = disk();

	config.overlay = (char *)"/nowhere";
	for (uint32_t i = 0; i < 2; i++) {
		tmpfile_error = errors[i];
		an_overlay_has_no_name();
		scratch_write(&scratch, SIZE);
		check_refused(&config, "disks.3.overlay", "/nowhere", ENOENT);
	}
	tmpfile_error = EMFILE;
	check_refused(&config, "disks.3.overlay", "/nowhere", EMFILE);
	tmpfile_error = 0;
}

static void a_large_disk_costs_what_is_written(void)
{
	const uint64_t end = UINT64_C(4) << 40;
	uint8_t bytes[1024];
	struct image image;

	scratch_write(&scratch, 0);
	if (truncate(scratch.file, (off_t)end) < 0)
		CHECK(errno == EFBIG);
	image = opened(false, true);
	memset(bytes, 7, sizeof(bytes));
	CHECK(write_at(&image, bytes, image.size - 1024, 1024, false) == 0);
	CHECK(image_discard(&image, 512, UINT64_C(1) << 31, false) == 0);
	memset(bytes, 0, sizeof(bytes));
	CHECK(read_at(&image, bytes, image.size - 1024, 1024) == 0);
	CHECK(bytes[0] == 7 && bytes[1023] == 7);
	CHECK(blocks() == 0);
	image_close(&image);
}

/* A loop device over the file, or -1. */
static int loop_attach(char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int file = open(scratch.file, O_RDWR | O_CLOEXEC);
	int device = -1;

	if (number >= 0) {
		snprintf(path, size, "/dev/loop%d", number);
		device = open(path, O_RDWR | O_CLOEXEC);
	}
	if (device >= 0 && ioctl(device, LOOP_SET_FD, file) < 0) {
		close(device);
		device = -1;
	}
	close(file);
	if (control >= 0)
		close(control);
	return device;
}

static char loop_path[32];

static void a_block_device_is_a_disk_when_told(void)
{
	struct disk_config config = { .path = loop_path };
	uint8_t bytes[4096];
	struct capsa_error error;
	struct image image;

	check_refused(&config, "disks.3.path", loop_path, 0);
	config.block_device = true;
	CHECK(image_open(&image, &config, 0, &error) == CAPSA_STATUS_OK);
	CHECK(image.size == 128 << 10);
	check_zero(&image, false);
	memset(bytes, 9, sizeof(bytes));
	CHECK(write_at(&image, bytes, 8192, 4096, true) == 0);
	CHECK(image_discard(&image, 16384, 4096, true) == 0);
	CHECK(image_flush(&image) == 0);
	/* Its own sectors may be larger than the guest's. */
	CHECK(ioctl(image.fd, LOOP_SET_BLOCK_SIZE, 4096) == 0);
	CHECK(image_discard(&image, 24576 + 512, 512, false) == 0);
	CHECK(image_zero(&image, 24576 + 512, 512, false, false) == 0);
	CHECK(read_at(&image, bytes, 24576, 4096) == 0);
	CHECK(is_zero(bytes, 4096));
	memset(bytes, 9, sizeof(bytes));
	CHECK(write_at(&image, bytes, 99 << 10, 512, false) == 0);
	CHECK(image_zero(&image, (99 << 10) + 512, 512, false, false) == 0);
	CHECK(read_at(&image, bytes, 99 << 10, 1024) == 0);
	CHECK(bytes[511] == 9 && is_zero(bytes + 512, 512));
	CHECK(image_flush(&image) == 0);
	image_close(&image);
	scratch_read(&scratch, bytes, 8192, 512);
	CHECK(bytes[0] == 9 && bytes[511] == 9);
	config.overlay = scratch.folder;
	CHECK(image_open(&image, &config, 0, &error) == CAPSA_STATUS_OK);
	CHECK(write_at(&image, bytes, 0, 512, false) == 0);
	CHECK(image_zero(&image, 120 << 10, 4096, true, false) == 0);
	image_close(&image);
	CHECK(scratch_is_untouched(&scratch, 0, 1536));
	CHECK(scratch_is_untouched(&scratch, 120 << 10, 4096));
}

int main(void)
{
	int device;
	const char *cause = host_lacks_pwritev2();

	if (cause) {
		TEST_SKIP(images_are_read_and_written, cause);
		return tap_done();
	}
	scratch_create(&scratch);
	TEST(a_file_opens_in_whole_sectors);
	TEST(what_is_no_file_is_refused);
	TEST(what_is_no_block_device_is_refused);
	TEST(less_than_a_sector_is_refused);
	TEST(an_overlay_needs_a_folder);
	TEST(a_read_only_image_refuses_changes);
	TEST(pieces_come_together);
	TEST(a_file_that_was_cut_is_an_error);
	TEST(durable_changes_are_flushed);
	TEST(zeroes_are_zeroes);
	TEST(discarding_frees_space);
	TEST(any_operations_are_as_on_a_model);
	TEST(neighbours_do_not_disturb);
	TEST(readers_see_old_or_new);
	TEST(a_full_host_changes_nothing);
	TEST(an_overlay_has_no_name);
	TEST(an_overlay_loses_its_name);
	TEST(a_large_disk_costs_what_is_written);
	scratch_write(&scratch, 128 << 10);
	device = loop_attach(loop_path, sizeof(loop_path));
	if (device >= 0) {
		TEST(a_block_device_is_a_disk_when_told);
		ioctl(device, LOOP_CLR_FD);
		close(device);
	} else {
		TEST_SKIP(a_block_device_is_a_disk_when_told,
			  "there is no loop device to be had");
	}
	scratch_destroy(&scratch);
	return tap_done();
}
