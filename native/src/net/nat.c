/* SPDX-License-Identifier: MIT */
#include "net/nat_state.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "net/port.h"

enum {
	/* After that long without a frame or a socket, time runs slower. */
	NAT_QUIET_MS = 5000,
	NAT_QUIET_TICK_MS = 1000,
	NAT_DATAGRAMS_TURN = 32,
};

uint64_t nat_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A frame for libslirp, as soon as it can take one. */
static void nat_wait(struct nat *nat, const uint8_t *frame, uint32_t length)
{
	struct nat_waiting *waiting = &nat->waiting[nat->waiting_count];

	if (length == 0 || nat->waiting_count == NAT_WAITING_MAX)
		return;
	nat->waiting_count++;
	waiting->length = length;
	memcpy(waiting->frame, frame, length);
}

_Static_assert((int)NAT_RESET_MAX <= (int)NET_NAT_ANSWER_MAX,
	       "a reset fits where frames wait");

/* libslirp has a frame for the guests. */
static ssize_t nat_send_packet(const void *frame, size_t length, void *opaque)
{
	struct nat *nat = opaque;
	enum net_verdict verdict = NET_PASS;
	struct net_answer answer;
	struct frame_view view;
	struct nat_reset reset;

	answer.guest_length = 0;
	answer.nat_length = 0;
	if (length > NET_FRAME_MAX)
		return (ssize_t)length;
	if (frame_parse(&view, frame, (uint32_t)length, (uint32_t)length) ==
		    0 &&
	    view.kind != FRAME_ARP && view.kind != FRAME_FRAGMENT) {
		nat_flows_to_guest(&nat->flows, &view, nat->now_ms, &reset);
		nat_wait(nat, reset.frame, reset.length);
	}
	if (nat->filter) {
		verdict = nat->filter->to_guest(nat->filter, frame,
						(uint32_t)length, nat->now_ms,
						&answer);
		nat_wait(nat, answer.nat, answer.nat_length);
	}
	if (verdict == NET_PASS)
		nat->client.output(nat->client.owner, frame, (uint32_t)length);
	if (answer.guest_length > 0)
		nat->client.output(nat->client.owner, answer.guest,
				   answer.guest_length);
	return (ssize_t)length;
}

static void nat_guest_error(const char *message, void *opaque)
{
	(void)message; /* of what the guest did wrong: its own affair */
	(void)opaque;
}

static int64_t nat_clock_get_ns(void *opaque)
{
	const struct nat *nat = opaque;

	return (int64_t)nat->now_ms * 1000000;
}

static void *nat_timer_new(SlirpTimerCb run, void *run_opaque, void *opaque)
{
	struct nat *nat = opaque;

	for (uint32_t i = 0; i < NAT_TIMERS; i++) {
		if (nat->timers[i].run)
			continue;
		nat->timers[i] = (struct nat_timer) { .run = run,
						      .opaque = run_opaque };
		return &nat->timers[i];
	}
	return NULL;
}

static void nat_timer_free(void *timer, void *opaque)
{
	(void)opaque;
	if (timer)
		*(struct nat_timer *)timer = (struct nat_timer) { 0 };
}

static void nat_timer_mod(void *timer, int64_t expires_ms, void *opaque)
{
	(void)opaque;
	if (timer)
		((struct nat_timer *)timer)->expires_ms = (uint64_t)expires_ms;
}

static void nat_register(int fd, void *opaque)
{
	nat_sockets_add(&((struct nat *)opaque)->sockets, fd);
}

static void nat_unregister(int fd, void *opaque)
{
	nat_sockets_remove(&((struct nat *)opaque)->sockets, fd);
}

static void nat_notify(void *opaque)
{
	(void)opaque; /* what libslirp wants is asked after every turn */
}

const SlirpCb nat_callbacks = {
	.send_packet = nat_send_packet,
	.guest_error = nat_guest_error,
	.clock_get_ns = nat_clock_get_ns,
	.timer_new = nat_timer_new,
	.timer_free = nat_timer_free,
	.timer_mod = nat_timer_mod,
	.register_poll_fd = nat_register,
	.unregister_poll_fd = nat_unregister,
	.notify = nat_notify,
};

static int nat_no_events(int index, void *opaque)
{
	(void)index;
	(void)opaque;
	return 0;
}

static int nat_get_events(int index, void *opaque)
{
	struct nat *nat = opaque;

	return nat->client.has_room(nat->client.owner)
		       ? nat_sockets_ready(&nat->sockets, index, nat->now_ms)
		       : 0;
}

static int nat_add_poll(int fd, int events, void *opaque)
{
	struct nat *nat = opaque;

	return nat_sockets_want(&nat->sockets, fd, events, nat->now_ms);
}

/* Hands over what could not be while libslirp was at work. */
static void nat_hand_over(struct nat *nat)
{
	/* Each may lead to others, but resets are not answered. */
	for (uint32_t i = 0; i < nat->waiting_count; i++)
		nat->library.input(nat->slirp, nat->waiting[i].frame,
				   (int)nat->waiting[i].length);
	nat->waiting_count = 0;
}

/* libslirp learns of the time when it is polled only. */
static void nat_begin_turn(struct nat *nat)
{
	if (nat->turning)
		return;
	nat->turning = true;
	nat->now_ms = nat_clock_ms();
	nat->active_ms = nat->now_ms;
	nat->library.poll(nat->slirp, 1, nat_no_events, nat);
}

static void nat_run_timers(struct nat *nat)
{
	for (uint32_t i = 0; i < NAT_TIMERS; i++) {
		struct nat_timer *timer = &nat->timers[i];

		if (!timer->run || timer->expires_ms == 0 ||
		    timer->expires_ms > nat->now_ms)
			continue;
		timer->expires_ms = 0;
		timer->run(timer->opaque);
	}
}

static void nat_sooner(uint64_t *first, uint64_t due_ms)
{
	if (due_ms != 0 && (*first == 0 || due_ms < *first))
		*first = due_ms;
}

/*
 * When libslirp must be polled although nothing happens; 0: never. It asks for
 * two turns a second while there is any socket. Those of forwarded ports need
 * none; and where nothing has happened for long, one a second is enough: its
 * timers count turns, and those of connections that rest may be late.
 */
static uint64_t nat_due(struct nat *nat, uint32_t timeout_ms)
{
	bool quiet = nat->now_ms - nat->active_ms > NAT_QUIET_MS;
	uint64_t due = nat_sockets_settle(&nat->sockets, nat->now_ms);

	if (quiet && timeout_ms < NAT_QUIET_TICK_MS)
		timeout_ms = NAT_QUIET_TICK_MS;
	if (nat->sockets.passing > 0 && timeout_ms != UINT32_MAX)
		nat_sooner(&due, nat->now_ms + timeout_ms);
	for (uint32_t i = 0; i < NAT_TIMERS; i++)
		if (nat->timers[i].run)
			nat_sooner(&due, nat->timers[i].expires_ms);
	return due;
}

/* An alarm that goes off early does no harm, and saves setting it often. */
static void nat_arm(struct nat *nat, uint64_t due_ms)
{
	struct itimerspec alarm = {
		.it_value = { .tv_sec = (time_t)(due_ms / 1000),
			      .tv_nsec = (long)(due_ms % 1000) * 1000000 },
	};

	if (due_ms == 0 || (nat->armed_ms != 0 && nat->armed_ms <= due_ms))
		return;
	timerfd_settime(nat->timer_fd, TFD_TIMER_ABSTIME, &alarm, NULL);
	nat->armed_ms = due_ms;
}

uint32_t nat_ask(struct nat *nat)
{
	uint32_t timeout_ms = UINT32_MAX;

	nat_sockets_begin(&nat->sockets);
	nat->library.fill(nat->slirp, &timeout_ms, nat_add_poll, nat);
	nat_sockets_end(&nat->sockets);
	return timeout_ms;
}

/* With the library's lock. */
static void nat_end_turn(struct nat *nat)
{
	nat_hand_over(nat);
	nat->due_ms = nat_due(nat, nat_ask(nat));
	nat->turning = false;
}

/* Datagrams of a forwarded port, as many as one turn allows. */
static void nat_take_datagrams(struct nat *nat, uint32_t index)
{
	for (uint32_t turn = NAT_DATAGRAMS_TURN;
	     turn > 0 && nat->client.has_room(nat->client.owner); turn--) {
		int32_t length = nat_datagrams_receive(&nat->datagrams, index);

		if (length < 0)
			return;
		if (length > 0)
			nat_send_packet(nat->datagrams.frame, (size_t)length,
					nat);
	}
}

void nat_poll(struct nat *nat)
{
	uint64_t datagrams[2] = { 0 };
	uint64_t expirations;

	slirp_library_lock();
	nat->now_ms = nat_clock_ms();
	if (nat->armed_ms != 0 && nat->armed_ms <= nat->now_ms) {
		(void)!read(nat->timer_fd, &expirations, sizeof(expirations));
		nat->armed_ms = 0;
	}
	if (nat_sockets_collect(&nat->sockets, datagrams))
		nat->active_ms = nat->now_ms;
	for (uint32_t i = 0; i < nat->datagrams.count; i++)
		if (datagrams[i / 64] >> (i % 64) & 1)
			nat_take_datagrams(nat, i);
	nat->library.poll(nat->slirp, 0, nat_get_events, nat);
	nat_run_timers(nat);
	nat_end_turn(nat);
	slirp_library_unlock();
	nat_arm(nat, nat->due_ms);
}

/* Whether there may be one more flow of the frame's kind. */
static bool nat_has_place(struct nat *nat, const struct frame_view *view)
{
	if (view->kind == FRAME_ARP)
		return true;
	if (view->protocol == IPPROTO_ICMP)
		return nat->sockets.echoes < NAT_ECHOES_MAX;
	return view->protocol != IPPROTO_TCP ||
	       (view->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != TCP_FLAG_SYN ||
	       nat->sockets.streams < NAT_STREAMS_MAX;
}

/* With the library's lock: a frame that is admitted and passed. */
static void nat_give(struct nat *nat, const uint8_t *frame,
		     const struct frame_view *view)
{
	struct nat_reset reset = { 0 };

	if (!nat_has_place(nat, view) ||
	    (view->protocol == IPPROTO_UDP &&
	     nat_datagrams_send(&nat->datagrams, frame, view)))
		return;
	if ((view->protocol == IPPROTO_TCP || view->protocol == IPPROTO_UDP) &&
	    !nat_flows_from_guest(&nat->flows, view, nat->now_ms, &reset))
		return;
	if (reset.length > 0)
		nat->library.input(nat->slirp, reset.frame, (int)reset.length);
	/* Without padding, which libslirp would keep. */
	nat->library.input(nat->slirp, frame, (int)view->end);
}

void nat_input(struct nat *nat, uint8_t *frame, uint32_t length)
{
	enum net_verdict verdict = NET_PASS;
	struct net_answer answer;
	struct frame_view view;

	if (frame_parse(&view, frame, length, length) < 0 ||
	    !nat_guard_admits(&nat->site, frame, &view))
		return;
	nat_guard_calm(frame, &view);
	if (view.kind == FRAME_IPV6 && nat_guard_is_guest6(view.source))
		memcpy(nat->datagrams.guest6, view.source,
		       sizeof(nat->datagrams.guest6));
	slirp_library_lock();
	nat_begin_turn(nat);
	answer.guest_length = 0;
	answer.nat_length = 0;
	if (nat->filter)
		verdict = nat->filter->from_guest(nat->filter, frame, view.end,
						  nat->now_ms, &answer);
	if (verdict == NET_PASS)
		nat_give(nat, frame, &view);
	nat_wait(nat, answer.nat, answer.nat_length);
	nat_hand_over(nat);
	if (answer.guest_length > 0)
		nat->client.output(nat->client.owner, answer.guest,
				   answer.guest_length);
	slirp_library_unlock();
}

void nat_flush(struct nat *nat)
{
	if (!nat->turning)
		return;
	slirp_library_lock();
	/* Frames that waited for an address the guests have told by now */
	nat->library.poll(nat->slirp, 1, nat_no_events, nat);
	nat_end_turn(nat);
	slirp_library_unlock();
	nat_arm(nat, nat->due_ms);
}

int nat_fd(const struct nat *nat)
{
	return nat->sockets.epoll_fd;
}
