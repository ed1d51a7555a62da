/* SPDX-License-Identifier: MIT */
/*
 * Whole machines through capsa.h, on the host's own /dev/kvm: payloads of a
 * few instructions, asked for everything by several threads at once.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capsa.h"
#include "tap.h"

enum {
	MACHINES = 24,
	ROUNDS = 8,
	LOAD_ADDRESS = 0x200000,
	DRAIN_MS_MAX = 60000,
};

/* mov dx, 0x3f8; mov al, 'x'; out dx, al; jmp back to the out */
static const uint8_t chatter[] = { 0x66, 0xba, 0xf8, 0x03, 0xb0,
				   0x78, 0xee, 0xeb, 0xfd };
/* mov dx, 0x600; mov al, sleep state S5; out dx, al */
static const uint8_t power_off[] = { 0x66, 0xba, 0x00, 0x06, 0xb0, 0x34, 0xee };

struct config {
	struct capsa_machine_config head;
	char kernel[32];
};

/* What the drained events of one machine were. */
struct diary {
	uint32_t handle;
	uint32_t exits;
	uint32_t releases;
	uint32_t exit_code;
	bool exit_before_release;
};

static struct capsa *capsa;

/* A vmlinux in memory that is nothing but code; its path in config. */
static int make_kernel(const uint8_t *code, size_t length,
		       struct config *config)
{
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			     ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = LOAD_ADDRESS,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	const Elf64_Phdr segment = {
		.p_type = PT_LOAD,
		.p_offset = sizeof(header) + sizeof(segment),
		.p_paddr = LOAD_ADDRESS,
		.p_filesz = length,
		.p_memsz = length,
	};
	int fd = memfd_create("payload", 0);

	CHECK(write(fd, &header, sizeof(header)) == sizeof(header));
	CHECK(write(fd, &segment, sizeof(segment)) == sizeof(segment));
	CHECK(write(fd, code, length) == (ssize_t)length);
	*config = (struct config){
		.head = {
			.size = sizeof(config->head),
			.total = sizeof(*config),
			.memory_bytes = 16 << 20,
			.cpus = 2,
			.discovery = CAPSA_DISCOVERY_FIRMWARE,
			.console = CAPSA_CONSOLE_SERIAL,
			.console_bytes = 4096,
			.flags = CAPSA_MACHINE_BALLOON,
			.kernel = { .offset = sizeof(config->head) },
		},
	};
	(void)snprintf(config->kernel, sizeof(config->kernel),
		       "/proc/self/fd/%d", fd);
	config->head.kernel.length = (uint32_t)strlen(config->kernel);
	return fd;
}

static void note(struct diary *diaries, const struct capsa_drained *drained)
{
	struct diary *diary = NULL;

	for (int i = 0; i < MACHINES; i++) {
		if (diaries[i].handle == drained->machine)
			diary = &diaries[i];
	}
	CHECK(diary);
	for (uint32_t i = 0; diary && i < drained->event_count; i++) {
		const struct capsa_event *event = &drained->events[i];

		if (event->kind == CAPSA_EVENT_EXIT) {
			diary->exits++;
			diary->exit_code = event->code;
			diary->exit_before_release = diary->releases == 0;
		}
		diary->releases += event->kind == CAPSA_EVENT_RELEASED;
	}
}

static bool all_released(const struct diary *diaries)
{
	for (int i = 0; i < MACHINES; i++) {
		if (diaries[i].releases == 0)
			return false;
	}
	return true;
}

/* Drains until every machine is released. */
static void drain(struct diary *diaries)
{
	struct pollfd wake = { .fd = capsa_wake_fd(capsa), .events = POLLIN };
	uint8_t output[512];
	uint64_t counter;
	int woken;

	while (!all_released(diaries)) {
		struct capsa_drained drained = { .size = sizeof(drained) };

		CHECK(capsa_drain(capsa, &drained, output, sizeof(output)) ==
		      CAPSA_STATUS_OK);
		if (drained.machine != 0) {
			note(diaries, &drained);
			continue;
		}
		woken = poll(&wake, 1, DRAIN_MS_MAX);
		CHECK(woken == 1);
		if (woken != 1)
			return;
		(void)!read(wake.fd, &counter, sizeof(counter));
	}
}

static void launch_all(struct diary *diaries, const struct config *config)
{
	memset(diaries, 0, MACHINES * sizeof(*diaries));
	for (int i = 0; i < MACHINES; i++)
		CHECK(capsa_launch(capsa, &config->head, &diaries[i].handle,
				   NULL) == CAPSA_STATUS_OK);
}

static void check_diaries(const struct diary *diaries)
{
	for (int i = 0; i < MACHINES; i++) {
		CHECK(diaries[i].exits == 1);
		CHECK(diaries[i].releases == 1);
		CHECK(diaries[i].exit_before_release);
		CHECK(capsa_kill(capsa, diaries[i].handle) ==
		      CAPSA_STATUS_STALE_HANDLE);
	}
}

static void *ask_everything(void *argument)
{
	const struct diary *diaries = argument;
	struct capsa_stats stats = { .size = sizeof(stats) };
	uint32_t accepted;

	for (int i = 0; i < MACHINES; i++) {
		uint32_t handle = diaries[i].handle;

		(void)capsa_pause(capsa, handle);
		(void)capsa_console_write(
			capsa, handle, (const uint8_t *)"input", 5, &accepted);
		(void)capsa_stats(capsa, handle, &stats);
		(void)capsa_resume(capsa, handle);
		(void)capsa_power_button(capsa, handle);
		if (i % 2)
			(void)capsa_kill(capsa, handle);
		/* Nobody drains yet, so the number is still the machine's. */
		CHECK(capsa_release(capsa, handle) == CAPSA_STATUS_OK);
	}
	return NULL;
}

static void machines_end_once_whoever_asks(void)
{
	struct diary diaries[MACHINES];
	struct config config;
	int fd = make_kernel(chatter, sizeof(chatter), &config);

	for (int round = 0; round < ROUNDS; round++) {
		pthread_t askers[2];

		launch_all(diaries, &config);
		for (int i = 0; i < 2; i++)
			CHECK(pthread_create(&askers[i], NULL, ask_everything,
					     diaries) == 0);
		for (int i = 0; i < 2; i++)
			pthread_join(askers[i], NULL);
		drain(diaries);
		check_diaries(diaries);
	}
	close(fd);
}

static void a_guest_that_switches_off_ends_as_power_off(void)
{
	struct diary diaries[MACHINES];
	struct config config;
	int fd = make_kernel(power_off, sizeof(power_off), &config);
	struct capsa_drained drained = { .size = sizeof(drained) };
	struct pollfd wake = { .fd = capsa_wake_fd(capsa), .events = POLLIN };
	int exits = 0;

	launch_all(diaries, &config);
	while (exits < MACHINES) {
		CHECK(capsa_drain(capsa, &drained, NULL, 0) == CAPSA_STATUS_OK);
		if (drained.machine == 0) {
			if (poll(&wake, 1, DRAIN_MS_MAX) != 1)
				break;
			(void)!read(wake.fd, &(uint64_t) { 0 }, 8);
			continue;
		}
		note(diaries, &drained);
		for (uint32_t i = 0; i < drained.event_count; i++)
			exits += drained.events[i].kind == CAPSA_EVENT_EXIT;
	}
	CHECK(exits == MACHINES);
	CHECK(capsa_close(capsa) == CAPSA_STATUS_STATE);
	for (int i = 0; i < MACHINES; i++) {
		CHECK(diaries[i].exit_code == CAPSA_EXIT_POWER_OFF);
		CHECK(capsa_release(capsa, diaries[i].handle) ==
		      CAPSA_STATUS_OK);
		CHECK(capsa_release(capsa, diaries[i].handle) ==
		      CAPSA_STATUS_OK);
	}
	drain(diaries);
	check_diaries(diaries);
	close(fd);
}

static void a_probe_answers_and_is_released(void)
{
	struct diary diaries[MACHINES] = { 0 };
	struct capsa_drained drained = { .size = sizeof(drained) };
	struct pollfd wake = { .fd = capsa_wake_fd(capsa), .events = POLLIN };
	uint32_t verdict = 0;

	CHECK(capsa_probe(capsa, &diaries[0].handle, NULL) == CAPSA_STATUS_OK);
	while (verdict == 0 && poll(&wake, 1, DRAIN_MS_MAX) == 1) {
		(void)!read(wake.fd, &(uint64_t) { 0 }, 8);
		CHECK(capsa_drain(capsa, &drained, NULL, 0) == CAPSA_STATUS_OK);
		for (uint32_t i = 0; i < drained.event_count; i++) {
			if (drained.events[i].kind == CAPSA_EVENT_PROBED)
				verdict = drained.events[i].code;
		}
	}
	CHECK(verdict == CAPSA_VERDICT_HARDWARE ||
	      verdict == CAPSA_VERDICT_EMULATED);
	for (int i = 1; i < MACHINES; i++)
		diaries[i].releases = 1;
	CHECK(capsa_release(capsa, diaries[0].handle) == CAPSA_STATUS_OK);
	drain(diaries);
	CHECK(diaries[0].releases == 1 && diaries[0].exits == 0);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		const char *cause = strerror(errno);

		TEST_SKIP(machines_end_once_whoever_asks, cause);
		TEST_SKIP(a_guest_that_switches_off_ends_as_power_off, cause);
		TEST_SKIP(a_probe_answers_and_is_released, cause);
		return tap_done();
	}
	close(kvm);
	if (capsa_open(&capsa, NULL) != CAPSA_STATUS_OK)
		return 1;
	TEST(machines_end_once_whoever_asks);
	TEST(a_guest_that_switches_off_ends_as_power_off);
	TEST(a_probe_answers_and_is_released);
	if (capsa_close(capsa) != CAPSA_STATUS_OK)
		return 1;
	return tap_done();
}
