/* SPDX-License-Identifier: MIT */
/* A machine's description: the caller's, checked for form and copied. */
#ifndef CAPSA_MACHINE_CONFIG_H
#define CAPSA_MACHINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa.h"
#include "net/dhcp.h"

enum {
	DISK_SERIAL_MAX = 20, /* virtio 1.2, section 5.2.6.1 */
	SHARE_TAG_MAX = 36,   /* virtio 1.2, section 5.11.4 */
};

/* Texts are owned; NULL: absent. */
struct disk_config {
	char *path;
	char *serial;
	char *overlay; /* folder */
	bool read_only;
	bool block_device;
};

struct share_config {
	char *path;
	char *tag;
	enum capsa_share_cache cache;
	bool read_only;
	bool has_owner;
	uint32_t owner;
};

struct forward_config {
	enum capsa_protocol protocol;
	uint16_t host_port;
	uint16_t guest_port;
	char *address;
};

struct nic_config {
	enum capsa_network_mode mode;
	uint8_t mac[NET_MAC_BYTES];
	uint32_t network;
	uint32_t address; /* 10.0.3.5 is 0x0a000305; 0: absent */
	char *device;
	uint32_t dns_count;
	uint32_t dns[CAPSA_DNS_SERVERS_MAX];
	uint32_t search_length;
	uint8_t search[DHCP_SEARCH_MAX]; /* as DHCP tells it */
	uint32_t forward_count;
	struct forward_config forwards[CAPSA_FORWARDS_MAX];
	struct capsa_policy *policy; /* its buffer; NULL: absent */
};

/* The same. */
struct machine_config {
	uint64_t memory_bytes;
	uint32_t cpus;
	enum capsa_discovery discovery;
	enum capsa_console console;
	char *kernel;
	char *initrd;
	char *cmdline;
	bool balloon;
	uint32_t disk_count;
	struct disk_config disks[CAPSA_DISKS_MAX];
	uint32_t share_count;
	struct share_config shares[CAPSA_SHARES_MAX];
	bool has_nic;
	struct nic_config nic;
	char *vsock; /* path of the socket; NULL: no device */
};

/* What is described: the rules differ. */
enum machine_kind {
	MACHINE_GUEST,
	MACHINE_SERVICE, /* devices for a guest of another monitor */
};

/*
 * Status: OK, INVALID_ARGUMENT (error names the field), NO_MEMORY. To be freed
 * in any case.
 */
enum capsa_status machine_config_copy(struct machine_config *copy,
				      enum machine_kind kind,
				      const struct capsa_machine_config *config,
				      struct capsa_error *error);
/* Safe on a zeroed one. */
void machine_config_free(struct machine_config *config);

#endif
