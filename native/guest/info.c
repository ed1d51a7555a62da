/* SPDX-License-Identifier: MIT */
/* What there is to know of the guest. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

enum { ADDRESSES_MAX = 15, MOUNTS_MAX = 64, LINE_BYTES = 512 };

static void put_text(struct msgpack_writer *writer, const char *key,
		     const char *text)
{
	msgpack_put_str(writer, key);
	msgpack_put_str(writer, text);
}

static void put_number(struct msgpack_writer *writer, const char *key,
		       int64_t number)
{
	msgpack_put_str(writer, key);
	msgpack_put_integer(writer, number);
}

static bool is_outward(const struct ifaddrs *address)
{
	return address->ifa_addr && address->ifa_addr->sa_family == AF_INET &&
	       !(address->ifa_flags & IFF_LOOPBACK);
}

static void put_addresses(struct msgpack_writer *writer)
{
	struct ifaddrs *all = NULL;
	uint32_t count = 0;

	if (getifaddrs(&all))
		all = NULL;
	for (struct ifaddrs *at = all; at; at = at->ifa_next)
		count += is_outward(at) && count < ADDRESSES_MAX;
	msgpack_put_str(writer, "addresses");
	msgpack_put_array(writer, count);
	for (struct ifaddrs *at = all; at && count > 0; at = at->ifa_next) {
		struct sockaddr_in address;
		char text[INET_ADDRSTRLEN];

		if (!is_outward(at))
			continue;
		memcpy(&address, at->ifa_addr, sizeof(address));
		inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
		msgpack_put_map(writer, 2);
		put_text(writer, "device", at->ifa_name);
		put_text(writer, "address", text);
		count--;
	}
	freeifaddrs(all);
}

/* Lines that make up no more than their share of a report. */
static uint32_t read_mounts(char lines[MOUNTS_MAX][LINE_BYTES])
{
	FILE *file = fopen("/proc/mounts", "re");
	size_t total = 0;
	uint32_t count = 0;

	while (file && count < MOUNTS_MAX &&
	       fgets(lines[count], LINE_BYTES, file)) {
		total += strlen(lines[count]) + 32;
		if (total > REPORT_BYTES_MAX / 2)
			break;
		count++;
	}
	if (file)
		fclose(file);
	return count;
}

static void put_mounts(struct msgpack_writer *writer)
{
	static char lines[MOUNTS_MAX][LINE_BYTES];
	uint32_t count = read_mounts(lines);

	msgpack_put_str(writer, "mounts");
	msgpack_put_array(writer, count);
	for (uint32_t i = 0; i < count; i++) {
		char *rest = lines[i];
		const char *source = strsep(&rest, " ");
		const char *target = strsep(&rest, " ");
		const char *type = strsep(&rest, " ");

		msgpack_put_map(writer, 3);
		put_text(writer, "source", source);
		put_text(writer, "target", target ? target : "");
		put_text(writer, "type", type ? type : "");
	}
}

int work_info(const struct msgpack_value *params, struct msgpack_writer *result,
	      struct failure *failure)
{
	struct utsname names;
	struct sysinfo system;
	struct timespec now;

	(void)params;
	(void)failure;
	uname(&names);
	sysinfo(&system);
	clock_gettime(CLOCK_REALTIME, &now);
	msgpack_put_map(result, 11);
	put_text(result, "agent", AGENT_VERSION);
	put_text(result, "kernel", names.release);
	put_text(result, "architecture", names.machine);
	put_text(result, "hostname", names.nodename);
	put_number(result, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	put_number(result, "memoryBytes",
		   (int64_t)system.totalram * system.mem_unit);
	put_number(result, "freeBytes",
		   (int64_t)system.freeram * system.mem_unit);
	put_number(result, "uptimeSeconds", (int64_t)system.uptime);
	put_number(result, "clockMs",
		   (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	put_addresses(result);
	put_mounts(result);
	return 0;
}
