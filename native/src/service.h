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

struct machine;

struct service {
	struct machine *machine;
	uint32_t count;                /* of sockets */
	int sockets[CAPSA_SHARES_MAX]; /* owned, and there until it is freed */
	atomic_uint under_way;         /* peers, and opening the folders */
	uint32_t served;               /* of the following */
	struct virtio_device *shares[CAPSA_SHARES_MAX]; /* their users' */
	struct vhost_user *users[CAPSA_SHARES_MAX];
};

/*
 * Makes the sockets for the shares of machine's description; the peers' ends
 * are the caller's.
 */
enum capsa_status service_create(struct service **out, struct machine *machine,
				 int32_t *peers, struct capsa_error *error);

/*
 * Opens the folders and serves. Reports STARTED, or ends with the error. It may
 * end, and be freed, at once.
 */
void service_run(struct service *service);

/* Hangs up; machine_ended() follows when all that is under way is done. */
void service_stop(struct service *service);

/* Frees it: it has ended, or was never run. NULL is fine. */
void service_destroy(struct service *service);

/* Fills in what the devices count. Only after STARTED. */
void service_stats(const struct service *service, struct capsa_stats *stats);

#endif
