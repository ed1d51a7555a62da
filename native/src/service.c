/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"
#include "error.h"
#include "machine.h"
#include "share.h"
#include "virtio/fs.h"

/* High priority and requests; the other monitor shows no more. */
enum { SERVICE_SHARE_QUEUES = 2 };

enum capsa_status service_create(struct service **out, struct machine *machine,
				 int32_t *peers, struct capsa_error *error)
{
	struct service *service = calloc(1, sizeof(*service));

	if (!service)
		return error_system(error, ENOMEM, "calloc", NULL);
	service->machine = machine;
	while (service->count < machine->config.share_count) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) <
		    0) {
			int cause = errno;

			for (uint32_t i = 0; i < service->count; i++)
				close(peers[i]);
			service_destroy(service);
			return error_system(error, cause, "socketpair", NULL);
		}
		service->sockets[service->count] = pair[0];
		peers[service->count++] = pair[1];
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

static enum capsa_status service_add_share(struct service *service,
					   struct capsa_error *error)
{
	struct machine *machine = service->machine;
	uint32_t index = service->served;
	const struct vhost_user_peer peer = {
		.socket = service->sockets[index],
		.gone = service_part_over,
		.owner = service,
	};
	struct loop *loop = context_loop(machine->capsa, machine->handle);
	enum capsa_status status;
	int result;

	status = share_create(&service->shares[index], machine, index, error);
	if (status != CAPSA_STATUS_OK)
		return status;
	atomic_fetch_add_explicit(&service->under_way, 1, memory_order_relaxed);
	result = vhost_user_create(&service->users[index],
				   service->shares[index], SERVICE_SHARE_QUEUES,
				   &peer, loop);
	if (result < 0) {
		atomic_fetch_sub_explicit(&service->under_way, 1,
					  memory_order_relaxed);
		return error_system(error, -result, "create", "vhost-user");
	}
	service->served++;
	return CAPSA_STATUS_OK;
}

void service_run(struct service *service)
{
	struct machine *machine = service->machine;
	enum capsa_status status = CAPSA_STATUS_OK;
	struct capsa_error error;

	/* This is a part, too: no peer that goes early ends it before. */
	atomic_store(&service->under_way, 1);
	while (status == CAPSA_STATUS_OK && service->served < service->count)
		status = service_add_share(service, &error);
	if (status == CAPSA_STATUS_OK) {
		machine_loaded(machine);
		mailbox_post(&machine->box, MAIL_STARTED);
	} else {
		machine_stop(machine, CAPSA_EXIT_FAILED, &error);
	}
	service_part_over(service);
}

void service_stop(struct service *service)
{
	for (uint32_t i = 0; i < service->count; i++)
		shutdown(service->sockets[i], SHUT_RDWR);
}

void service_destroy(struct service *service)
{
	if (!service)
		return;
	for (uint32_t i = 0; i < service->served; i++)
		vhost_user_destroy(service->users[i]);
	for (uint32_t i = 0; i < service->count; i++)
		close(service->sockets[i]);
	free(service);
}

void service_stats(const struct service *service, struct capsa_stats *stats)
{
	for (uint32_t i = 0; i < service->served; i++)
		stats->share_requests += virtio_fs_requests(service->shares[i]);
}
