/* SPDX-License-Identifier: MIT */
#include "block/engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "block/image.h"
#include "block/ring.h"
#include "host_lacks.h"
#include "scratch.h"
#include "tap.h"

enum {
	SECTORS = 4096,
	SIZE = SECTORS * 512,
	REQUESTS = 64,
	SEGMENTS = 4,
	REQUEST_BYTES = 16384,
};

/* Faults of the host, put in the way of the library's system calls. */
static int setup_error;        /* of io_uring_setup */
static uint32_t setup_largest; /* ENOMEM for more; 0: any */
static uint32_t enter_errors;  /* of io_uring_enter, that many times */
static int enter_error;
static bool enter_takes_one;
static struct io_uring_sqe *entries; /* NULL: leave them alone */
static bool cut_short;               /* ask for half of what is asked */
static bool never_wait;              /* fail instead, as if interrupted */
static uint32_t enters;

/* What is asked of the kernel is changed behind the library's back. */
static void meddle(void)
{
	for (uint32_t i = 0; entries && i < 256; i++) {
		struct io_uring_sqe *entry = &entries[i];

		if (entry->opcode != IORING_OP_READ &&
		    entry->opcode != IORING_OP_WRITE)
			continue;
		if (cut_short && entry->len >= 1024)
			entry->len = entry->len / 1024 * 512;
		if (never_wait)
			entry->rw_flags = RWF_NOWAIT;
	}
}

typedef long syscall_function(long number, ...);

long syscall(long number, ...)
{
	static syscall_function *real;
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (uint32_t i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (number == __NR_io_uring_setup) {
		if (setup_error) {
			errno = setup_error;
			return -1;
		}
		if (setup_largest > 0 && arguments[0] > setup_largest) {
			errno = ENOMEM;
			return -1;
		}
	}
	if (number == __NR_io_uring_enter) {
		enters++;
		if (enter_errors > 0) {
			enter_errors--;
			errno = enter_error;
			return enter_error ? -1 : 0;
		}
		meddle();
		if (enter_takes_one)
			arguments[1] = 1;
	}
	return real(number, arguments[0], arguments[1], arguments[2],
		    arguments[3], arguments[4], arguments[5]);
}

static sem_t *gate; /* NULL: threads may read at once */
static uint32_t at_gate;

ssize_t preadv2(int fd, const struct iovec *buffers, int count, off_t offset,
		int flags)
{
	sem_t *closed = __atomic_load_n(&gate, __ATOMIC_SEQ_CST);

	if (closed) {
		__atomic_fetch_add(&at_gate, 1, __ATOMIC_SEQ_CST);
		sem_wait(closed);
	}
	return syscall(SYS_preadv2, (long)fd, buffers, (long)count, offset, 0L,
		       (long)flags);
}

struct request {
	struct io_request io; /* first: found from it */
	struct iovec segments[SEGMENTS];
	uint8_t bytes[REQUEST_BYTES];
	int result;
	bool under_way;
};

struct owner {
	struct io_client client;
	struct image image;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t begins;
	uint32_t ends;
	uint32_t under_way;
	struct request *requests;
	uint8_t *model;
};

static struct scratch scratch;
static enum io_engine_kind kind;
static struct loop *loop;
static struct workers *workers;
static struct io_engine *engine;

static struct owner *owner_of(struct io_client *client)
{
	return (struct owner *)((char *)client -
				offsetof(struct owner, client));
}

static void owner_begin(struct io_client *client)
{
	pthread_mutex_lock(&owner_of(client)->lock);
	owner_of(client)->begins++;
}

static void owner_done(struct io_request *io, int result)
{
	struct request *request = (struct request *)io;
	struct owner *owner = owner_of(io->client);

	CHECK(request->under_way);
	request->under_way = false;
	request->result = result;
	owner->under_way--;
	pthread_cond_broadcast(&owner->changed);
}

static void owner_end(struct io_client *client)
{
	owner_of(client)->ends++;
	pthread_mutex_unlock(&owner_of(client)->lock);
}

static void owner_create(struct owner *owner, bool overlay)
{
	struct disk_config config = {
		.path = scratch.file,
		.overlay = overlay ? scratch.folder : NULL,
	};
	struct capsa_error error;

	*owner = (struct owner) {
		.client = { .engine = engine,
			    .image = &owner->image,
			    .begin = owner_begin,
			    .done = owner_done,
			    .end = owner_end },
		.requests = calloc(REQUESTS, sizeof(*owner->requests)),
		.model = malloc(SIZE),
	};
	pthread_mutex_init(&owner->lock, NULL);
	pthread_cond_init(&owner->changed, NULL);
	scratch_fill(owner->model, 0, SIZE);
	CHECK(image_open(&owner->image, &config, 0, &error) == CAPSA_STATUS_OK);
}

static void owner_wait(struct owner *owner)
{
	pthread_mutex_lock(&owner->lock);
	while (owner->under_way > 0)
		pthread_cond_wait(&owner->changed, &owner->lock);
	pthread_mutex_unlock(&owner->lock);
}

static void owner_destroy(struct owner *owner)
{
	owner_wait(owner);
	CHECK(owner->begins == owner->ends);
	image_close(&owner->image);
	pthread_mutex_destroy(&owner->lock);
	pthread_cond_destroy(&owner->changed);
	free(owner->requests);
	free(owner->model);
}

static void set_up(void)
{
	scratch_write(&scratch, SIZE);
	CHECK(loop_create(&loop) == 0);
	CHECK(workers_create(&workers, "waiting", 8) == 0);
	CHECK(io_engine_create(&engine, kind, loop, workers) == 0);
}

static void tear_down(void)
{
	workers_destroy(workers);
	io_engine_destroy(engine);
	loop_destroy(loop);
}

/* Runs work on the loop, as a device's notifications do. */
struct turn {
	struct loop_source source;
	void (*work)(struct owner *owner);
	struct owner *owner;
	sem_t done;
};

static void turn_ready(struct loop_source *source)
{
	struct turn *turn = (struct turn *)source;
	eventfd_t count;

	eventfd_read(source->fd, &count);
	pthread_mutex_lock(&turn->owner->lock);
	turn->work(turn->owner);
	pthread_mutex_unlock(&turn->owner->lock);
	sem_post(&turn->done);
}

static void on_loop(struct owner *owner, void (*work)(struct owner *owner))
{
	struct turn turn = {
		.source = { .fd = eventfd(1, EFD_CLOEXEC),
			    .ready = turn_ready },
		.work = work,
		.owner = owner,
	};

	sem_init(&turn.done, 0, 0);
	CHECK(loop_add(loop, &turn.source) == 0);
	sem_wait(&turn.done);
	loop_remove(loop, &turn.source);
	close(turn.source.fd);
	sem_destroy(&turn.done);
}

/* A request of an owner with its lock held, in up to four pieces. */
static struct request *prepare(struct owner *owner, uint32_t index,
			       enum io_operation operation, uint64_t offset,
			       size_t length, uint32_t pieces)
{
	struct request *request = &owner->requests[index];
	size_t done = 0;

	request->io = (struct io_request) {
		.client = &owner->client,
		.operation = operation,
		.offset = offset,
		.length = length,
		.buffers = { .first = request->segments, .count = pieces },
	};
	for (uint32_t i = 0; i < pieces; i++) {
		size_t part = i == pieces - 1 ? length - done : length / pieces;

		request->segments[i] = (struct iovec) {
			.iov_base = request->bytes + done, .iov_len = part
		};
		done += part;
	}
	request->under_way = true;
	request->result = 1;
	owner->under_way++;
	return request;
}

static uint64_t seed;

/*
 * A batch of requests on ranges that do not overlap; what is read is compared
 * when all are done, by compare_batch().
 */
static void queue_batch(struct owner *owner)
{
	for (uint32_t i = 0; i < REQUESTS; i++) {
		uint32_t room = SECTORS / REQUESTS;
		uint32_t count = 1 + scratch_random(&seed) % 32;
		uint32_t first = i * room +
				 scratch_random(&seed) % (room - count);
		uint32_t chance = scratch_random(&seed) % 16;
		enum io_operation operation = chance < 6    ? IO_READ
					      : chance < 12 ? IO_WRITE
					      : chance < 14 ? IO_ZERO
							    : IO_FLUSH;
		size_t length = count * 512;
		struct request *request = prepare(
			owner, i, operation, first * 512, length,
			1 + scratch_random(&seed) % SEGMENTS);
		uint8_t *model = owner->model + first * 512;

		request->io.durable = chance == 7;
		request->io.unmap = chance == 13;
		for (uint32_t j = 0; operation == IO_WRITE && j < length; j++)
			request->bytes[j] = (uint8_t)scratch_random(&seed);
		if (operation == IO_WRITE)
			memcpy(model, request->bytes, length);
		if (operation == IO_ZERO)
			memset(model, 0, length);
		if (operation == IO_READ)
			memset(request->bytes, 0xee, length);
		io_engine_queue(&request->io);
	}
	io_engine_submit(&owner->client);
}

static void compare_batch(struct owner *owner, bool all_read)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < REQUESTS; i++) {
		struct request *request = &owner->requests[i];
		uint32_t room = SIZE / REQUESTS;
		wrong += request->result != 0 ||
			 (all_read &&
			  memcmp(request->bytes, owner->model + i * room,
				 REQUEST_BYTES) != 0);
	}
	CHECK(wrong == 0);
}

static void queue_all_reads(struct owner *owner)
{
	for (uint32_t i = 0; i < REQUESTS; i++)
		io_engine_queue(&prepare(owner, i, IO_READ,
					 i * (SIZE / REQUESTS), REQUEST_BYTES,
					 1 + i % SEGMENTS)
					 ->io);
	io_engine_submit(&owner->client);
}

static void work_in_batches(struct owner *owner, uint32_t rounds)
{
	for (uint32_t round = 0; round < rounds; round++) {
		on_loop(owner, queue_batch);
		owner_wait(owner);
		compare_batch(owner, false);
		on_loop(owner, queue_all_reads);
		owner_wait(owner);
		compare_batch(owner, true);
	}
}

static void what_is_written_is_read(void)
{
	for (uint32_t overlay = 0; overlay < 2; overlay++) {
		struct owner owner;

		set_up();
		owner_create(&owner, overlay);
		work_in_batches(&owner, 40);
		owner_destroy(&owner);
		tear_down();
	}
	CHECK(scratch_is_untouched(&scratch, 0, SIZE));
}

static struct owner *second;

static void queue_second_then_first(struct owner *owner)
{
	pthread_mutex_lock(&second->lock);
	queue_batch(second);
	pthread_mutex_unlock(&second->lock);
	queue_batch(owner);
}

static void clients_do_not_mix(void)
{
	struct owner owners[2];

	set_up();
	for (uint32_t i = 0; i < 2; i++)
		owner_create(&owners[i], true);
	second = &owners[1];
	for (uint32_t round = 0; round < 40; round++) {
		on_loop(&owners[0], queue_second_then_first);
		for (uint32_t i = 0; i < 2; i++) {
			owner_wait(&owners[i]);
			compare_batch(&owners[i], false);
		}
	}
	for (uint32_t i = 0; i < 2; i++) {
		on_loop(&owners[i], queue_all_reads);
		owner_wait(&owners[i]);
		compare_batch(&owners[i], true);
		owner_destroy(&owners[i]);
	}
	tear_down();
}

static void queue_broken(struct owner *owner)
{
	io_engine_queue(&prepare(owner, 0, IO_READ, 1024, 4096, 2)->io);
	io_engine_queue(&prepare(owner, 1, IO_READ, 0, 1024, 1)->io);
	io_engine_queue(&prepare(owner, 2, IO_WRITE, 0, 1024, 1)->io);
	io_engine_queue(&prepare(owner, 3, IO_FLUSH, 0, 0, 0)->io);
	io_engine_submit(&owner->client);
}

static void failures_are_told(void)
{
	struct owner owner;
	int good;

	set_up();
	owner_create(&owner, false);
	CHECK(truncate(scratch.file, 2048) == 0);
	on_loop(&owner, queue_broken);
	owner_wait(&owner);
	CHECK(owner.requests[0].result == -EIO);
	for (uint32_t i = 1; i < 4; i++)
		CHECK(owner.requests[i].result == 0);
	good = owner.image.fd;
	owner.image.fd = open(scratch.file, O_RDONLY | O_CLOEXEC);
	on_loop(&owner, queue_broken);
	owner_wait(&owner);
	CHECK(owner.requests[1].result == 0);
	CHECK(owner.requests[2].result == -EBADF);
	close(owner.image.fd);
	owner.image.fd = open(scratch.file, O_PATH | O_CLOEXEC);
	on_loop(&owner, queue_broken);
	owner_wait(&owner);
	for (uint32_t i = 0; i < 4; i++)
		CHECK(owner.requests[i].result == -EBADF);
	close(owner.image.fd);
	owner.image.fd = good;
	owner_destroy(&owner);
	tear_down();
}

enum { FLOOD = 9000 };

static struct request *flood;

static void queue_flood(struct owner *owner)
{
	struct request *mine = owner->requests;

	owner->requests = flood;
	for (uint32_t i = 0; i < FLOOD; i++)
		io_engine_queue(
			&prepare(owner, i, IO_READ, i % SECTORS * 512, 512, 1)
				 ->io);
	owner->requests = mine;
	io_engine_submit(&owner->client);
}

/* More than the queues of the kernel hold. */
static void a_flood_is_served(void)
{
	struct owner owner;
	uint32_t wrong = 0;

	set_up();
	owner_create(&owner, false);
	flood = calloc(FLOOD, sizeof(*flood));
	on_loop(&owner, queue_flood);
	owner_wait(&owner);
	for (uint32_t i = 0; i < FLOOD; i++)
		wrong += flood[i].result != 0 ||
			 memcmp(flood[i].bytes, owner.model + i % SECTORS * 512,
				512) != 0;
	CHECK(wrong == 0);
	owner_destroy(&owner);
	free(flood);
	tear_down();
}

static void queue_twenty(struct owner *owner)
{
	for (uint32_t i = 0; i < 20; i++)
		io_engine_queue(
			&prepare(owner, i, IO_READ, i * 512, 512, 1)->io);
	io_engine_submit(&owner->client);
}

/* A disk that hangs takes only some of the threads, and nothing of the loop. */
static void a_disk_that_hangs_hangs_alone(void)
{
	struct owner owners[2];
	sem_t closed;

	kind = IO_ENGINE_THREADS;
	set_up();
	sem_init(&closed, 0, 0);
	owner_create(&owners[0], false);
	owner_create(&owners[1], false);
	__atomic_store_n(&gate, &closed, __ATOMIC_SEQ_CST);
	on_loop(&owners[0], queue_twenty);
	while (__atomic_load_n(&at_gate, __ATOMIC_SEQ_CST) < 4)
		sched_yield();
	__atomic_store_n(&gate, NULL, __ATOMIC_SEQ_CST);
	work_in_batches(&owners[1], 2);
	CHECK(owners[0].under_way == 20);
	for (uint32_t i = 0; i < 4; i++)
		sem_post(&closed);
	owner_destroy(&owners[0]);
	owner_destroy(&owners[1]);
	sem_destroy(&closed);
	tear_down();
}

/* Where the ring's operations are, so that they can be tampered with. */
static struct io_uring_sqe *find_entries(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct io_uring_sqe *found = NULL;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start;
		unsigned long offset;

		if (strstr(line, "io_uring") &&
		    sscanf(line, "%lx-%*x %*s %lx", &start, &offset) == 2 &&
		    offset == IORING_OFF_SQES)
			found = (struct io_uring_sqe *)start;
	}
	fclose(maps);
	return found;
}

static void what_is_cut_short_is_completed(void)
{
	struct owner owner;

	set_up();
	owner_create(&owner, false);
	entries = find_entries();
	CHECK(entries);
	cut_short = true;
	work_in_batches(&owner, 20);
	cut_short = false;
	owner_destroy(&owner);
	tear_down();
	entries = NULL;
}

/* Reads of what is in no cache, by a kernel that will not wait. */
static void what_the_kernel_gives_up_is_done(void)
{
	struct owner owner;

	set_up();
	owner_create(&owner, false);
	entries = find_entries();
	for (uint32_t round = 0; round < 20; round++) {
		CHECK(fsync(owner.image.fd) == 0);
		posix_fadvise(owner.image.fd, 0, 0, POSIX_FADV_DONTNEED);
		never_wait = true;
		on_loop(&owner, queue_all_reads);
		owner_wait(&owner);
		never_wait = false;
		compare_batch(&owner, true);
	}
	owner_destroy(&owner);
	tear_down();
	entries = NULL;
}

/* What is not taken at all, or only bit by bit, is done all the same. */
static void a_kernel_that_takes_nothing_is_no_obstacle(void)
{
	static const int errors[] = { EAGAIN, EBUSY, EINTR, ENOMEM, 0 };
	struct owner owner;

	set_up();
	owner_create(&owner, false);
	for (uint32_t i = 0; i < 5; i++) {
		enter_error = errors[i];
		enter_errors = 3;
		work_in_batches(&owner, 3);
		CHECK(enter_errors == 0);
	}
	enter_takes_one = true;
	work_in_batches(&owner, 3);
	enter_takes_one = false;
	owner_destroy(&owner);
	tear_down();
}

/* A batch costs one call. */
static void a_turn_is_one_call(void)
{
	struct owner owner;

	set_up();
	owner_create(&owner, false);
	enters = 0;
	on_loop(&owner, queue_all_reads);
	CHECK(enters == 1);
	owner_wait(&owner);
	owner_destroy(&owner);
	tear_down();
}

static void without_io_uring_threads_serve(void)
{
	static const int errors[] = { ENOSYS, EPERM, ENOMEM };

	for (uint32_t i = 0; i < 3; i++) {
		struct owner owner;

		setup_error = errors[i];
		set_up();
		setup_error = 0;
		owner_create(&owner, false);
		enters = 0;
		work_in_batches(&owner, 2);
		CHECK(enters == 0);
		owner_destroy(&owner);
		tear_down();
	}
}

static void a_ring_that_is_asked_for_must_be_had(void)
{
	struct io_engine *none = NULL;

	setup_error = EPERM;
	CHECK(io_engine_create(&none, IO_ENGINE_RING, NULL, NULL) == -EPERM);
	CHECK(!none);
	setup_error = 0;
	io_engine_destroy(NULL);
}

static void a_ring_is_as_large_as_there_is_memory(void)
{
	struct ring ring;
	struct owner owner;

	CHECK(ring_create(&ring, 1 << 20, 1 << 22) == 0);
	CHECK(ring.size <= 1 << 20 && ring.size >= 8);
	ring_destroy(&ring);
	setup_largest = 60;
	set_up();
	owner_create(&owner, false);
	work_in_batches(&owner, 2);
	owner_destroy(&owner);
	tear_down();
	setup_largest = 0;
}

static void both_engines(enum io_engine_kind wanted)
{
	kind = wanted;
	TEST(what_is_written_is_read);
	TEST(clients_do_not_mix);
	TEST(failures_are_told);
	TEST(a_flood_is_served);
}

int main(void)
{
	struct ring ring;
	const char *cause = host_lacks_pwritev2();

	if (cause) {
		TEST_SKIP(requests_are_carried_out, cause);
		return tap_done();
	}
	scratch_create(&scratch);
	printf("# threads\n");
	both_engines(IO_ENGINE_THREADS);
	TEST(a_disk_that_hangs_hangs_alone);
	if (ring_create(&ring, 8, 16) == 0) {
		ring_destroy(&ring);
		printf("# io_uring\n");
		both_engines(IO_ENGINE_RING);
		TEST(what_is_cut_short_is_completed);
		TEST(what_the_kernel_gives_up_is_done);
		TEST(a_kernel_that_takes_nothing_is_no_obstacle);
		TEST(a_turn_is_one_call);
		TEST(a_ring_is_as_large_as_there_is_memory);
	} else {
		TEST_SKIP(io_uring, "this host has or allows no io_uring");
	}
	kind = IO_ENGINE_BEST;
	TEST(without_io_uring_threads_serve);
	TEST(a_ring_that_is_asked_for_must_be_had);
	scratch_destroy(&scratch);
	return tap_done();
}
