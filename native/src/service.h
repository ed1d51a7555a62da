/* SPDX-License-Identifier: MIT */
/*
 * The devices of a machine that another monitor runs: each is served over a
 * socket of its own (virtio/vhost_user.h). It stands where a machine of ours
 * has its VM.
 *
 * Created by a caller, run and freed on workers; it ends on the last socket's
 * thread.
 */
#ifndef CAPSA_SERVICE_H
#define CAPSA_SERVICE_H

#include <stdatomic.h>
#include <stdint.h>

#include "capsa.h"
#include "virtio/device.h"
#include "virtio/vhost_user.h"

/* Shares, a network device, and one for vsock. */
enum { SERVICE_DEVICES_MAX = CAPSA_SHARES_MAX + 2 };

struct machine;

enum service_kind { SERVICE_SHARE, SERVICE_NET, SERVICE_VSOCK };

struct service_device {
	enum service_kind kind;
	uint32_t index; /* among those of its kind */
	int socket;     /* owned, until the service is freed */
	char path[CAPSA_VSOCK_PATH_MAX + 2]; /* where it listens */
	struct virtio_device *device;        /* its user's */
	struct vhost_user *user;
};

struct service {
	struct machine *machine;
	atomic_uint under_way; /* peers, and making the devices */
	uint32_t count;
	uint32_t served; /* of the following */
	struct service_device devices[SERVICE_DEVICES_MAX];
};

/*
 * Listens for the devices of machine's description, in the order of enum
 * service_kind, at path and the number of the device.
 */
enum capsa_status service_create(struct service **out, struct machine *machine,
				 const char *path, struct capsa_error *error);

/*
 * Makes the devices and serves. Reports STARTED, or ends with the error. It may
 * end, and be freed, at once.
 */
void service_run(struct service *service);

/* Hangs up; machine_ended() follows when all that is under way is done. */
void service_stop(struct service *service);

/*
 * The guest is about to stand still, or to go on: what it had with its devices
 * stays meanwhile. Only after STARTED.
 */
void service_hold(struct service *service, bool held);

/* All peers are gone: what programs of the host have with the guest ends. */
void service_end(struct service *service);

/* Frees it: it has ended, or was never run. NULL is fine. */
void service_destroy(struct service *service);

/* Fills in what the devices count. Only after STARTED. */
void service_stats(const struct service *service, struct capsa_stats *stats);

#endif
