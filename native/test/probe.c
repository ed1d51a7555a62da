/* SPDX-License-Identifier: MIT */
/*
 * The probe on the host's own /dev/kvm. Every call passes through this
 * program's ioctl(), which is linked instead of the C library's.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

/* Runs of the vCPU that a signal is to interrupt. */
static uint32_t interruptions;

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == KVM_RUN && interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

static void an_interrupted_probe_goes_on(void)
{
	struct capsa_error error = { 0 };
	struct probe_result result = { 0 };
	enum capsa_verdict verdict;

	interruptions = 3;
	verdict = probe_run(&result, &error);
	CHECK(interruptions == 0);
	CHECK(verdict == CAPSA_VERDICT_HARDWARE ||
	      verdict == CAPSA_VERDICT_EMULATED);
	CHECK(result.picoseconds > 0);
	CHECK(error.system_errno == 0);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		TEST_SKIP(an_interrupted_probe_goes_on, strerror(errno));
		return tap_done();
	}
	/* A program for another processor, emulated, opens it, and no more. */
	if (syscall(SYS_ioctl, kvm, KVM_GET_API_VERSION, 0) !=
	    KVM_API_VERSION) {
		close(kvm);
		TEST_SKIP(an_interrupted_probe_goes_on,
			  "KVM does not answer this program");
		return tap_done();
	}
	close(kvm);
	TEST(an_interrupted_probe_goes_on);
	return tap_done();
}
