/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "thread.h"

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct worker_job *first;
	struct worker_job *last;
	bool closing;
	uint32_t thread_count;
	pthread_t threads[WORKERS_MAX];
};

static struct worker_job *workers_wait(struct workers *workers)
{
	struct worker_job *job;

	pthread_mutex_lock(&workers->lock);
	while (!workers->first && !workers->closing)
		pthread_cond_wait(&workers->arrived, &workers->lock);
	job = workers->first;
	if (job)
		workers->first = job->next;
	pthread_mutex_unlock(&workers->lock);
	return job;
}

static void *workers_main(void *argument)
{
	struct worker_job *job;

	while ((job = workers_wait(argument)))
		job->run(job);
	return NULL;
}

int workers_create(struct workers **out, const char *name, uint32_t count)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	int result = 0;

	if (!workers)
		return -ENOMEM;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->arrived, NULL);
	while (result == 0 && workers->thread_count < count) {
		result = thread_create(&workers->threads[workers->thread_count],
				       name, workers_main, workers);
		if (result == 0)
			workers->thread_count++;
	}
	if (result < 0) {
		workers_destroy(workers);
		return result;
	}
	*out = workers;
	return 0;
}

void workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->closing = true;
	pthread_cond_broadcast(&workers->arrived);
	pthread_mutex_unlock(&workers->lock);
	for (uint32_t i = 0; i < workers->thread_count; i++)
		pthread_join(workers->threads[i], NULL);
	pthread_cond_destroy(&workers->arrived);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}

void workers_queue(struct workers *workers, struct worker_job *job)
{
	pthread_mutex_lock(&workers->lock);
	job->next = NULL;
	if (workers->first)
		workers->last->next = job;
	else
		workers->first = job;
	workers->last = job;
	pthread_cond_signal(&workers->arrived);
	pthread_mutex_unlock(&workers->lock);
}
