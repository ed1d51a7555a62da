/* SPDX-License-Identifier: MIT */
/* The structs of capsa.h in words, for callers that lay them out themselves. */
#include <stddef.h>
#include <stdio.h>

#include "capsa.h"

struct layout_line {
	const char *name; /* "struct.field", or "struct" with its size only */
	uint32_t offset;
	uint32_t size;
};

#define STRUCT(type)                                                           \
	{                                                                      \
		.name = #type, .size = sizeof(struct type)                     \
	}
#define FIELD(type, field)                                                     \
	{                                                                      \
		.name = #type "." #field,                                      \
		.offset = offsetof(struct type, field),                        \
		.size = sizeof(((struct type *)0)->field)                      \
	}

static const struct layout_line layout_lines[] = {
	STRUCT(capsa_error),
	FIELD(capsa_error, status),
	FIELD(capsa_error, system_errno),
	FIELD(capsa_error, operation),
	FIELD(capsa_error, subject),
	FIELD(capsa_error, field),
	FIELD(capsa_error, message),
	STRUCT(capsa_machine_config),
	FIELD(capsa_machine_config, total),
	FIELD(capsa_machine_config, memory_bytes),
	FIELD(capsa_machine_config, cpus),
	FIELD(capsa_machine_config, discovery),
	FIELD(capsa_machine_config, console),
	FIELD(capsa_machine_config, console_bytes),
	FIELD(capsa_machine_config, kernel),
	FIELD(capsa_machine_config, initrd),
	FIELD(capsa_machine_config, cmdline),
	FIELD(capsa_machine_config, disks),
	FIELD(capsa_machine_config, shares),
	FIELD(capsa_machine_config, nics),
	FIELD(capsa_machine_config, flags),
	FIELD(capsa_machine_config, vsock),
	STRUCT(capsa_disk),
	FIELD(capsa_disk, flags),
	FIELD(capsa_disk, path),
	FIELD(capsa_disk, serial),
	FIELD(capsa_disk, overlay),
	STRUCT(capsa_share),
	FIELD(capsa_share, flags),
	FIELD(capsa_share, cache),
	FIELD(capsa_share, owner),
	FIELD(capsa_share, path),
	FIELD(capsa_share, tag),
	STRUCT(capsa_nic),
	FIELD(capsa_nic, mode),
	FIELD(capsa_nic, mac),
	FIELD(capsa_nic, network),
	FIELD(capsa_nic, address),
	FIELD(capsa_nic, device),
	FIELD(capsa_nic, forwards),
	FIELD(capsa_nic, dns_servers),
	FIELD(capsa_nic, dns_search),
	FIELD(capsa_nic, policy),
	STRUCT(capsa_forward),
	FIELD(capsa_forward, protocol),
	FIELD(capsa_forward, host_port),
	FIELD(capsa_forward, guest_port),
	FIELD(capsa_forward, address),
	STRUCT(capsa_network_config),
	FIELD(capsa_network_config, flags),
	FIELD(capsa_network_config, subnet),
	STRUCT(capsa_event),
	FIELD(capsa_event, kind),
	FIELD(capsa_event, code),
	FIELD(capsa_event, gic),
	FIELD(capsa_event, time_ns),
	FIELD(capsa_event, value),
	FIELD(capsa_event, error),
	STRUCT(capsa_drained),
	FIELD(capsa_drained, machine),
	FIELD(capsa_drained, event_count),
	FIELD(capsa_drained, console_bytes),
	FIELD(capsa_drained, console_lost),
	FIELD(capsa_drained, events),
	STRUCT(capsa_stats),
	FIELD(capsa_stats, cpus),
	FIELD(capsa_stats, exits),
	FIELD(capsa_stats, memory_bytes),
	FIELD(capsa_stats, resident_bytes),
	FIELD(capsa_stats, console_output),
	FIELD(capsa_stats, console_input),
	FIELD(capsa_stats, console_lost),
	FIELD(capsa_stats, disk_read),
	FIELD(capsa_stats, disk_written),
	FIELD(capsa_stats, share_requests),
	FIELD(capsa_stats, balloon_held),
	FIELD(capsa_stats, balloon_reported),
	FIELD(capsa_stats, guest_total),
	FIELD(capsa_stats, guest_free),
	FIELD(capsa_stats, guest_available),
	FIELD(capsa_stats, vsock_connections),
	FIELD(capsa_stats, vsock_sent),
	FIELD(capsa_stats, vsock_received),
	FIELD(capsa_stats, network_mtu),
	STRUCT(capsa_address),
	FIELD(capsa_address, family),
	FIELD(capsa_address, bytes),
	STRUCT(capsa_rule),
	FIELD(capsa_rule, action),
	FIELD(capsa_rule, protocol),
	FIELD(capsa_rule, port_first),
	FIELD(capsa_rule, port_last),
	FIELD(capsa_rule, address),
	FIELD(capsa_rule, prefix),
	FIELD(capsa_rule, domain),
	STRUCT(capsa_policy),
	FIELD(capsa_policy, total),
	FIELD(capsa_policy, flags),
	FIELD(capsa_policy, default_action),
	FIELD(capsa_policy, rules),
	STRUCT(capsa_flow),
	FIELD(capsa_flow, protocol),
	FIELD(capsa_flow, guest),
	FIELD(capsa_flow, remote),
	FIELD(capsa_flow, guest_port),
	FIELD(capsa_flow, remote_port),
	STRUCT(capsa_decision),
	FIELD(capsa_decision, action),
	FIELD(capsa_decision, reason),
	FIELD(capsa_decision, rule),
	FIELD(capsa_decision, closed),
	FIELD(capsa_decision, server_name),
	FIELD(capsa_decision, time_ms),
	FIELD(capsa_decision, missed),
	FIELD(capsa_decision, flow),
	FIELD(capsa_decision, name),
};

uint32_t capsa_layout(char *text, uint32_t capacity)
{
	char line[80];
	uint32_t length = 0;

	for (size_t i = 0; i < sizeof(layout_lines) / sizeof(*layout_lines);
	     i++) {
		int bytes = snprintf(
			line, sizeof(line), "%s %u %u\n", layout_lines[i].name,
			layout_lines[i].offset, layout_lines[i].size);

		for (int at = 0; at < bytes; at++, length++) {
			if (text && length < capacity)
				text[length] = line[at];
		}
	}
	return length;
}
