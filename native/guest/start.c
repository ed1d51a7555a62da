/* SPDX-License-Identifier: MIT */
/*
 * What the host wants of a guest that has come up: its name, the time, entropy,
 * and its network. The first step that fails ends it, also one of the boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "network.h"
#include "work.h"

enum { ENTROPY_BYTES_MAX = 512, NETWORK_SECONDS = 20 };

static int refuse(struct failure *failure, const char *step, int error,
		  const char *subject)
{
	return failure_set(failure, REASON_START, step, error, subject);
}

static int set_hostname(const struct msgpack_value *params,
			struct failure *failure)
{
	struct msgpack_value name;

	if (msgpack_find(params, "hostname", MSGPACK_STR, &name))
		return 0;
	if (sethostname((const char *)name.bytes, name.length))
		return refuse(failure, "hostname", errno, NULL);
	return 0;
}

static int set_clock(const struct msgpack_value *params,
		     struct failure *failure)
{
	int64_t ms = work_number(params, "clockMs", -1);
	struct timespec now = {
		.tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	if (ms >= 0 && clock_settime(CLOCK_REALTIME, &now))
		return refuse(failure, "clock", errno, NULL);
	return 0;
}

static int add_entropy(const struct msgpack_value *params,
		       struct failure *failure)
{
	/* With room for what the head announces. */
	_Alignas(struct rand_pool_info)
		uint8_t bytes[sizeof(struct rand_pool_info) +
			      ENTROPY_BYTES_MAX] = { 0 };
	struct rand_pool_info *pool = (struct rand_pool_info *)bytes;
	struct msgpack_value seed;
	int fd;
	int error = 0;

	if (msgpack_find(params, "entropy", MSGPACK_BIN, &seed) ||
	    seed.length > ENTROPY_BYTES_MAX)
		return 0;
	pool->entropy_count = (int)seed.length * 8;
	pool->buf_size = (int)seed.length;
	memcpy(pool->buf, seed.bytes, seed.length);
	fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool))
		error = errno;
	if (fd >= 0)
		close(fd);
	return error ? refuse(failure, "entropy", error, NULL) : 0;
}

static int await_network(const struct msgpack_value *params,
			 struct failure *failure)
{
	char device[32];
	int error;

	if (!work_flag(params, "network"))
		return 0;
	error = network_await(NETWORK_SECONDS, device, sizeof(device));
	return error ? refuse(failure, "network", -error, device) : 0;
}

int work_start(const struct msgpack_value *params,
	       struct msgpack_writer *result, struct failure *failure)
{
	if (boot_failure(failure) || set_hostname(params, failure) ||
	    set_clock(params, failure) || add_entropy(params, failure) ||
	    await_network(params, failure))
		return -1;
	msgpack_put_map(result, 0);
	return 0;
}
