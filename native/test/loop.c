/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tap.h"

struct counter {
	struct loop_source source;
	sem_t called;
	char thread_name[16];
	bool signals_blocked;
	uint32_t calls; /* atomic */
};

static void counter_ready(struct loop_source *source)
{
	struct counter *counter = (struct counter *)source;
	eventfd_t count;
	sigset_t mask;

	eventfd_read(source->fd, &count);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	counter->signals_blocked = sigismember(&mask, SIGTERM) == 1 &&
				   sigismember(&mask, SIGUSR1) == 1;
	prctl(PR_GET_NAME, counter->thread_name);
	__atomic_fetch_add(&counter->calls, 1, __ATOMIC_SEQ_CST);
	sem_post(&counter->called);
}

static void counter_create(struct counter *counter)
{
	*counter = (struct counter) {
		.source = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			    .ready = counter_ready },
	};
	sem_init(&counter->called, 0, 0);
}

static void counter_destroy(struct counter *counter)
{
	close(counter->source.fd);
	sem_destroy(&counter->called);
}

static void ready_sources_are_called(void)
{
	struct loop *loop;
	struct counter counters[40];

	CHECK(loop_create(&loop) == 0);
	for (int i = 0; i < 40; i++) {
		counter_create(&counters[i]);
		CHECK(loop_add(loop, &counters[i].source) == 0);
	}
	for (int i = 0; i < 40; i++)
		eventfd_write(counters[i].source.fd, 1);
	for (int i = 0; i < 40; i++)
		sem_wait(&counters[i].called);
	CHECK(!strcmp(counters[7].thread_name, "capsa-io"));
	CHECK(counters[7].signals_blocked);
	for (int i = 0; i < 40; i++) {
		loop_remove(loop, &counters[i].source);
		CHECK(counters[i].calls == 1);
		counter_destroy(&counters[i]);
	}
	loop_destroy(loop);
}

static void what_is_ready_when_added_is_called(void)
{
	struct loop *loop;
	struct counter counter;

	CHECK(loop_create(&loop) == 0);
	counter_create(&counter);
	eventfd_write(counter.source.fd, 1);
	CHECK(loop_add(loop, &counter.source) == 0);
	sem_wait(&counter.called);
	loop_remove(loop, &counter.source);
	eventfd_write(counter.source.fd, 1);
	CHECK(loop_add(loop, &counter.source) == 0);
	sem_wait(&counter.called);
	loop_remove(loop, &counter.source);
	counter_destroy(&counter);
	loop_destroy(loop);
}

static void a_bad_descriptor_is_refused(void)
{
	struct loop *loop;
	struct loop_source source = { .fd = -1, .ready = counter_ready };

	CHECK(loop_create(&loop) == 0);
	CHECK(loop_add(loop, &source) < 0);
	loop_destroy(loop);
	loop_destroy(NULL);
}

/* Freed right after its removal: a late call would be seen by a sanitizer. */
struct victim {
	struct loop_source source;
	sem_t *entered;
	bool inside; /* atomic */
};

static void victim_ready(struct loop_source *source)
{
	struct victim *victim = (struct victim *)source;

	__atomic_store_n(&victim->inside, true, __ATOMIC_SEQ_CST);
	sem_post(victim->entered);
	sched_yield(); /* let the removal come in between */
	__atomic_store_n(&victim->inside, false, __ATOMIC_SEQ_CST);
}

static void removal_waits_for_a_running_call(void)
{
	struct loop *loop;
	sem_t entered;

	CHECK(loop_create(&loop) == 0);
	sem_init(&entered, 0, 0);
	for (int i = 0; i < 10000; i++) {
		struct victim *victim = calloc(1, sizeof(*victim));

		victim->entered = &entered;
		victim->source.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		victim->source.ready = victim_ready;
		CHECK(loop_add(loop, &victim->source) == 0);
		sem_wait(&entered); /* it stays ready: called over and over */
		loop_remove(loop, &victim->source);
		CHECK(!__atomic_load_n(&victim->inside, __ATOMIC_SEQ_CST));
		close(victim->source.fd);
		free(victim);
	}
	sem_destroy(&entered);
	loop_destroy(loop);
}

struct churn {
	struct loop *loop;
	int rounds;
};

static void *churn_thread(void *argument)
{
	const struct churn *churn = argument;

	for (int i = 0; i < churn->rounds; i++) {
		struct counter counter;

		counter_create(&counter);
		eventfd_write(counter.source.fd, 1);
		if (loop_add(churn->loop, &counter.source) < 0)
			abort();
		if (i % 2)
			sem_wait(&counter.called);
		loop_remove(churn->loop, &counter.source);
		counter_destroy(&counter);
	}
	return NULL;
}

/* Slots are taken again at once: an old event must not find the new source. */
static void sources_come_and_go_on_many_threads(void)
{
	struct churn churn = { .rounds = 2000 };
	pthread_t threads[4];

	CHECK(loop_create(&churn.loop) == 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn_thread, &churn);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	loop_destroy(churn.loop);
}

/* Stands still in its call until told to go on. */
struct gate {
	struct loop_source source;
	sem_t entered;
	sem_t go_on;
};

static void gate_ready(struct loop_source *source)
{
	struct gate *gate = (struct gate *)source;
	eventfd_t count;

	eventfd_read(source->fd, &count);
	sem_post(&gate->entered);
	sem_wait(&gate->go_on);
}

static void gate_create(struct gate *gate)
{
	gate->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	gate->source.ready = gate_ready;
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->go_on, 0, 0);
}

static void gate_destroy(struct gate *gate)
{
	close(gate->source.fd);
	sem_destroy(&gate->entered);
	sem_destroy(&gate->go_on);
}

/* The kernel has reported both; the second is replaced during the first. */
static void an_event_on_its_way_finds_no_successor(void)
{
	struct loop *loop;
	struct gate first;
	struct gate second;
	struct counter removed;
	struct counter successor;

	CHECK(loop_create(&loop) == 0);
	gate_create(&first);
	gate_create(&second);
	counter_create(&removed);
	counter_create(&successor);
	loop_add(loop, &first.source);
	loop_add(loop, &second.source);
	loop_add(loop, &removed.source);
	eventfd_write(first.source.fd, 1);
	sem_wait(&first.entered);
	eventfd_write(second.source.fd, 1);
	eventfd_write(removed.source.fd, 1);
	sem_post(&first.go_on);
	sem_wait(&second.entered);
	loop_remove(loop, &removed.source);
	loop_add(loop, &successor.source);
	sem_post(&second.go_on);
	/* A turn later: */
	eventfd_write(first.source.fd, 1);
	sem_wait(&first.entered);
	CHECK(removed.calls == 0 && successor.calls == 0);
	sem_post(&first.go_on);
	loop_remove(loop, &first.source);
	loop_remove(loop, &second.source);
	loop_remove(loop, &successor.source);
	gate_destroy(&first);
	gate_destroy(&second);
	counter_destroy(&removed);
	counter_destroy(&successor);
	loop_destroy(loop);
}

static void silent_ready(struct loop_source *source)
{
	struct counter *counter = (struct counter *)source;

	__atomic_fetch_add(&counter->calls, 1, __ATOMIC_SEQ_CST);
	sem_post(&counter->called);
}

static void a_hung_up_source_is_called_once(void)
{
	struct loop *loop;
	struct counter broken;
	struct counter other;
	int ends[2];

	CHECK(pipe(ends) == 0);
	CHECK(loop_create(&loop) == 0);
	counter_create(&other);
	counter_create(&broken);
	close(broken.source.fd);
	broken.source.fd = ends[0];
	broken.source.ready = silent_ready;
	CHECK(loop_add(loop, &broken.source) == 0);
	CHECK(loop_add(loop, &other.source) == 0);
	close(ends[1]);
	sem_wait(&broken.called);
	/* The loop has had many chances to call it again. */
	for (int i = 0; i < 100; i++) {
		eventfd_write(other.source.fd, 1);
		sem_wait(&other.called);
	}
	loop_remove(loop, &broken.source);
	loop_remove(loop, &other.source);
	CHECK(broken.calls == 1);
	counter_destroy(&broken);
	counter_destroy(&other);
	loop_destroy(loop);
}

int main(void)
{
	TEST(ready_sources_are_called);
	TEST(what_is_ready_when_added_is_called);
	TEST(a_bad_descriptor_is_refused);
	TEST(removal_waits_for_a_running_call);
	TEST(sources_come_and_go_on_many_threads);
	TEST(an_event_on_its_way_finds_no_successor);
	TEST(a_hung_up_source_is_called_once);
	return tap_done();
}
