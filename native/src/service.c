/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "context.h"
#include "error.h"
#include "machine.h"
#include "machine_devices.h"
#include "virtio/fs.h"
#include "virtio/net.h"
#include "virtio/vsock.h"

/* How a kind of device is served. */
static const struct {
	uint32_t queues;   /* those that the other monitor leaves to us */
	bool shows_config; /* whether it asks for it */
} service_kinds[] = {
	/* High priority and requests; it shows no more. */
	[SERVICE_SHARE] = { .queues = 2 },
	[SERVICE_NET] = { .queues = 2 },
	/* The third, for events, is its own affair. */
	[SERVICE_VSOCK] = { .queues = 2, .shows_config = true },
};

static int service_listen(struct service_device *device)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, device->path, strlen(device->path));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 1) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	device->socket = fd;
	return 0;
}

static enum capsa_status service_add_socket(struct service *service,
					    enum service_kind kind,
					    uint32_t index, const char *path,
					    struct capsa_error *error)
{
	struct service_device *device = &service->devices[service->count];
	int result;

	*device = (struct service_device) { .kind = kind, .index = index };
	(void)snprintf(device->path, sizeof(device->path), "%s%u", path,
		       service->count);
	result = service_listen(device);
	if (result < 0)
		return error_system(error, -result, "bind", device->path);
	service->count++;
	return CAPSA_STATUS_OK;
}

enum capsa_status service_create(struct service **out, struct machine *machine,
				 const char *path, struct capsa_error *error)
{
	const struct machine_config *config = &machine->config;
	struct service *service;
	enum capsa_status status = CAPSA_STATUS_OK;

	if (strlen(path) > CAPSA_VSOCK_PATH_MAX)
		return error_set(error, CAPSA_STATUS_INVALID_ARGUMENT, 0,
				 "check", "path", NULL, "it is too long");
	service = calloc(1, sizeof(*service));
	if (!service)
		return error_system(error, ENOMEM, "calloc", NULL);
	service->machine = machine;
	while (status == CAPSA_STATUS_OK &&
	       service->count < config->share_count)
		status = service_add_socket(service, SERVICE_SHARE,
					    service->count, path, error);
	if (status == CAPSA_STATUS_OK && config->has_nic)
		status = service_add_socket(service, SERVICE_NET, 0, path,
					    error);
	if (status == CAPSA_STATUS_OK && config->vsock)
		status = service_add_socket(service, SERVICE_VSOCK, 0, path,
					    error);
	if (status != CAPSA_STATUS_OK) {
		service_destroy(service);
		return status;
	}
	*out = service;
	return CAPSA_STATUS_OK;
}

/* A part of what is under way is over; the last one ends the machine. */
static void service_part_over(void *owner)
{
	struct service *service = owner;
	struct machine *machine = service->machine;

	if (atomic_fetch_sub_explicit(&service->under_way, 1,
				      memory_order_acq_rel) > 1)
		return;
	machine_stop(machine, CAPSA_EXIT_POWER_OFF, NULL);
	machine_ended(machine);
}

static enum capsa_status service_create_device(struct service_device *device,
					       struct machine *machine,
					       struct loop *loop,
					       struct capsa_error *error)
{
	struct virtio_device **out = &device->device;

	switch (device->kind) {
	case SERVICE_SHARE:
		return machine_create_share(out, machine, device->index, error);
	case SERVICE_NET:
		return machine_create_net(out, machine, loop, error);
	default:
		return machine_create_vsock(out, machine, loop, error);
	}
}

static enum capsa_status service_add_device(struct service *service,
					    struct capsa_error *error)
{
	struct machine *machine = service->machine;
	struct service_device *device = &service->devices[service->served];
	const struct vhost_user_peer peer = {
		.socket = device->socket,
		.queue_count = service_kinds[device->kind].queues,
		.shows_config = service_kinds[device->kind].shows_config,
		.gone = service_part_over,
		.owner = service,
	};
	struct loop *loop = context_loop(machine->capsa, machine->handle);
	enum capsa_status status = service_create_device(device, machine, loop,
							 error);
	int result;

	if (status != CAPSA_STATUS_OK)
		return status;
	atomic_fetch_add_explicit(&service->under_way, 1, memory_order_relaxed);
	result = vhost_user_create(&device->user, device->device, &peer, loop);
	if (result < 0) {
		atomic_fetch_sub_explicit(&service->under_way, 1,
					  memory_order_relaxed);
		return error_system(error, -result, "create", "vhost-user");
	}
	service->served++;
	return CAPSA_STATUS_OK;
}

/* Hangs up on who has connected for what is not there; nobody else can. */
static void service_refuse(const struct service *service)
{
	for (uint32_t i = service->served; i < service->count; i++) {
		int connection = accept4(service->devices[i].socket, NULL, NULL,
					 SOCK_CLOEXEC);

		if (connection >= 0)
			close(connection);
	}
}

void service_run(struct service *service)
{
	struct machine *machine = service->machine;
	enum capsa_status status = CAPSA_STATUS_OK;
	struct capsa_error error;

	/* This is a part, too: no peer that goes early ends it before. */
	atomic_store(&service->under_way, 1);
	while (status == CAPSA_STATUS_OK && service->served < service->count)
		status = service_add_device(service, &error);
	if (status == CAPSA_STATUS_OK) {
		machine_loaded(machine);
		mailbox_post(&machine->box, MAIL_STARTED);
	} else {
		machine_stop(machine, CAPSA_EXIT_FAILED, &error);
		service_refuse(service);
	}
	service_part_over(service);
}

void service_stop(struct service *service)
{
	for (uint32_t i = 0; i < service->count; i++)
		shutdown(service->devices[i].socket, SHUT_RDWR);
}

void service_hold(struct service *service, bool held)
{
	for (uint32_t i = 0; i < service->served; i++)
		vhost_user_hold(service->devices[i].user, held);
}

void service_end(struct service *service)
{
	for (uint32_t i = 0; i < service->served; i++)
		if (service->devices[i].kind == SERVICE_VSOCK)
			virtio_vsock_end(service->devices[i].device);
}

void service_destroy(struct service *service)
{
	if (!service)
		return;
	for (uint32_t i = 0; i < service->served; i++)
		vhost_user_destroy(service->devices[i].user);
	for (uint32_t i = 0; i < service->count; i++) {
		close(service->devices[i].socket);
		unlink(service->devices[i].path);
	}
	free(service);
}

static void service_count_vsock(struct virtio_device *device,
				struct capsa_stats *stats)
{
	const struct vsock_counts counts = virtio_vsock_counts(device);

	stats->vsock_connections = counts.connections;
	stats->vsock_sent = counts.to_guest;
	stats->vsock_received = counts.from_guest;
}

void service_stats(const struct service *service, struct capsa_stats *stats)
{
	for (uint32_t i = 0; i < service->served; i++) {
		struct virtio_device *device = service->devices[i].device;

		switch (service->devices[i].kind) {
		case SERVICE_SHARE:
			stats->share_requests += virtio_fs_requests(device);
			break;
		case SERVICE_NET:
			stats->network_mtu = virtio_net_mtu(device);
			break;
		case SERVICE_VSOCK:
			service_count_vsock(device, stats);
			break;
		}
	}
}
