/* SPDX-License-Identifier: MIT */
/*
 * The rings of a share. The loop's thread only starts jobs; these take
 * requests from a ring, serve them without the device's lock, for they wait
 * for the host's disks, and give them back.
 *
 * One queue of requests is enough: each request is one descriptor of its
 * ring, four threads take from it, and all queues of a device would raise the
 * same interrupt. A Linux driver before 6.10 uses only the first anyway.
 */
#include "virtio/fs.h"

#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/server.h"

enum {
	FS_HIPRIO, /* queues, by section 5.11.2 */
	FS_REQUESTS,
	FS_QUEUES,
	/* More than a megabyte of pages with the headers, which is all that a
	 * request may have: drivers take it from other monitors (virtqueue.h).
	 */
	FS_QUEUE_SIZE = VIRTQUEUE_SIZE_MAX,
	/* The first is for FS_HIPRIO: what the guest forgets must not wait
	 * behind what it reads. Of the threads for all devices the others
	 * leave half to other machines. */
	FS_JOBS = 5,
	/* Requests that a job serves before others have the thread. */
	FS_TURN = 64,
};

struct virtio_fs;

struct virtio_fs_job {
	struct worker_job job;
	struct virtio_fs *fs;
	uint32_t queue;
	bool busy; /* by the device's lock; chain is the job's while it is */
	struct virtqueue_chain chain;
};

struct virtio_fs {
	struct virtio_device device; /* first: found from it */
	struct fs_server *server;
	struct workers *workers;
	struct virtio_fs_config config;
	pthread_cond_t rested; /* no job is busy */
	uint32_t busy;
	struct virtio_fs_job jobs[FS_JOBS];
};

static struct virtio_fs *virtio_fs_of(struct virtio_device *device)
{
	return (struct virtio_fs *)device;
}

static struct virtio_fs_job *virtio_fs_free_job(struct virtio_fs *fs,
						uint32_t queue)
{
	for (uint32_t i = 0; i < FS_JOBS; i++)
		if (fs->jobs[i].queue == queue && !fs->jobs[i].busy)
			return &fs->jobs[i];
	return NULL;
}

static void virtio_fs_start(struct virtio_fs *fs, struct virtio_fs_job *job)
{
	job->busy = true;
	fs->busy++;
	workers_queue(fs->workers, &job->job);
}

/* Notifications that find no free job are for those that are busy. */
static void virtio_fs_notify(struct virtio_device *device, uint32_t queue)
{
	struct virtio_fs *fs = virtio_fs_of(device);
	struct virtio_fs_job *job = virtio_fs_free_job(fs, queue);

	if (job)
		virtio_fs_start(fs, job);
}

/*
 * While a job serves, the next request must find another: one that is started
 * now, or by a notification.
 */
static void virtio_fs_watch(struct virtio_fs *fs, uint32_t queue)
{
	struct virtio_fs_job *job = virtio_fs_free_job(fs, queue);

	if (job && virtqueue_enable_notify(&fs->device.queues[queue]))
		virtio_fs_start(fs, job);
}

/* With the lock held, but for the serving. */
static void virtio_fs_serve(struct virtio_fs_job *job)
{
	struct virtio_fs *fs = job->fs;
	struct virtqueue_chain *chain = &job->chain;
	uint32_t written;

	virtio_fs_watch(fs, job->queue);
	pthread_mutex_unlock(&fs->device.lock);
	written = fs_server_serve(fs->server, chain->buffers, chain->readable,
				  chain->buffers + chain->readable,
				  chain->writable);
	pthread_mutex_lock(&fs->device.lock);
	virtqueue_push(&fs->device.queues[job->queue], chain->head, written);
	virtio_device_interrupt(&fs->device, job->queue);
}

/* Takes the next request. As virtqueue_pop(); 0 only if a next one notifies. */
static int virtio_fs_take(struct virtio_fs_job *job)
{
	struct virtqueue *queue = &job->fs->device.queues[job->queue];
	int result = virtqueue_pop(queue, &job->chain);

	if (result == 0 && virtqueue_enable_notify(queue))
		result = virtqueue_pop(queue, &job->chain);
	return result;
}

static void virtio_fs_run(struct worker_job *worker_job)
{
	struct virtio_fs_job *job = (struct virtio_fs_job *)worker_job;
	struct virtio_fs *fs = job->fs;
	int result = 1;

	pthread_mutex_lock(&fs->device.lock);
	for (uint32_t turn = FS_TURN; turn > 0 && result > 0; turn--) {
		result = fs->device.active ? virtio_fs_take(job) : 0;
		if (result > 0)
			virtio_fs_serve(job);
	}
	if (result < 0)
		virtio_device_fail(&fs->device);
	if (result > 0) {
		workers_queue(fs->workers, &job->job);
	} else {
		job->busy = false;
		fs->busy--;
		if (fs->busy == 0)
			pthread_cond_broadcast(&fs->rested);
	}
	pthread_mutex_unlock(&fs->device.lock);
}

static void virtio_fs_activate(struct virtio_device *device)
{
	(void)device;
}

static void virtio_fs_drain(struct virtio_device *device)
{
	struct virtio_fs *fs = virtio_fs_of(device);

	while (fs->busy > 0)
		pthread_cond_wait(&fs->rested, &device->lock);
}

static void virtio_fs_reset(struct virtio_device *device)
{
	fs_server_reset(virtio_fs_of(device)->server);
}

static void virtio_fs_config_read(struct virtio_device *device, uint32_t offset,
				  uint8_t *data, uint32_t length)
{
	memcpy(data, (const uint8_t *)&virtio_fs_of(device)->config + offset,
	       length);
}

static void virtio_fs_destroy(struct virtio_device *device)
{
	struct virtio_fs *fs = virtio_fs_of(device);

	fs_server_destroy(fs->server);
	pthread_cond_destroy(&fs->rested);
	free(fs);
}

static const struct virtio_device_ops virtio_fs_ops = {
	.device_id = VIRTIO_ID_FS,
	.queue_count = FS_QUEUES,
	.queue_size_max = FS_QUEUE_SIZE,
	.config_size = sizeof(struct virtio_fs_config),
	.activate = virtio_fs_activate,
	.notify = virtio_fs_notify,
	.drain = virtio_fs_drain,
	.reset = virtio_fs_reset,
	.config_read = virtio_fs_config_read,
	.destroy = virtio_fs_destroy,
};

int virtio_fs_create(struct virtio_device **out,
		     const struct share_config *share, uint64_t memory_bytes,
		     struct workers *workers)
{
	struct virtio_fs *fs = calloc(1, sizeof(*fs));
	int error;

	if (!fs)
		return -ENOMEM;
	error = fs_server_create(&fs->server, share, memory_bytes);
	if (error < 0) {
		free(fs);
		return error;
	}
	fs->device.ops = &virtio_fs_ops;
	fs->workers = workers;
	fs->config.num_request_queues = FS_QUEUES - FS_REQUESTS;
	memcpy(fs->config.tag, share->tag,
	       strnlen(share->tag, sizeof(fs->config.tag)));
	pthread_cond_init(&fs->rested, NULL);
	for (uint32_t i = 0; i < FS_JOBS; i++) {
		fs->jobs[i].job.run = virtio_fs_run;
		fs->jobs[i].fs = fs;
		fs->jobs[i].queue = i == 0 ? FS_HIPRIO : FS_REQUESTS;
	}
	*out = &fs->device;
	return 0;
}

uint64_t virtio_fs_requests(const struct virtio_device *device)
{
	return fs_server_requests(((const struct virtio_fs *)device)->server);
}
