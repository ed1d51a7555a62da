/* SPDX-License-Identifier: MIT */
#include "machine_devices.h"

#include "context.h"
#include "error.h"
#include "machine.h"
#include "net/network.h"
#include "net/tap.h"
#include "net/user.h"
#include "virtio/fs.h"
#include "virtio/net.h"
#include "virtio/vsock.h"

enum {
	VSOCK_GUEST_CID = 3, /* each machine has a device of its own */
	/*
	 * A guest on a busy host may take seconds to get round to its queues;
	 * who wants to know sooner has a time limit of its own.
	 */
	VSOCK_PATIENCE_MS = 10000,
};

enum capsa_status machine_create_share(struct virtio_device **out,
				       struct machine *machine, uint32_t index,
				       struct capsa_error *error)
{
	const struct machine_config *config = &machine->config;
	const struct share_config *share = &config->shares[index];
	struct workers *workers;
	int result = context_blocking(machine->capsa, &workers);

	if (result < 0)
		return error_system(error, -result, "create", "virtio-fs");
	result = virtio_fs_create(out, share, config->memory_bytes, workers);
	if (result < 0)
		return error_set(error, CAPSA_STATUS_SHARE_FOLDER, -result,
				 "open", share->path, NULL,
				 "the folder cannot be opened");
	return CAPSA_STATUS_OK;
}

/* What carries the frames of the machine's network device. */
static enum capsa_status devices_create_port(const struct machine *machine,
					     struct loop *loop,
					     struct net_port **port,
					     struct capsa_error *error)
{
	const struct nic_config *nic = &machine->config.nic;

	switch (nic->mode) {
	case CAPSA_NETWORK_USER:
		return user_port_create(port, nic, machine->gate, error);
	case CAPSA_NETWORK_TAP:
		return tap_port_create(port, nic->device, error);
	default:
		return network_join(machine->network, port, nic, loop, error);
	}
}

enum capsa_status machine_create_net(struct virtio_device **out,
				     struct machine *machine, struct loop *loop,
				     struct capsa_error *error)
{
	struct net_port *port;
	enum capsa_status status = devices_create_port(machine, loop, &port,
						       error);
	int result;

	if (status != CAPSA_STATUS_OK)
		return status;
	result = virtio_net_create(out, port, machine->config.nic.mac, loop);
	if (result < 0)
		return error_system(error, -result, "create", "virtio-net");
	return CAPSA_STATUS_OK;
}

enum capsa_status machine_create_vsock(struct virtio_device **out,
				       struct machine *machine,
				       struct loop *loop,
				       struct capsa_error *error)
{
	const struct vsock_config config = {
		.path = machine->config.vsock,
		.guest_cid = VSOCK_GUEST_CID,
		.patience_ms = VSOCK_PATIENCE_MS,
	};
	int result = virtio_vsock_create(out, &config, loop);

	if (result < 0)
		return error_system(error, -result, "bind", config.path);
	return CAPSA_STATUS_OK;
}
