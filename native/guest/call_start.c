/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "call.h"
#include "connection.h"
#include "descriptors.h"
#include "program.h"
#include "user.h"
#include "work.h"

/* The child's ends of what connects it; where the agent's own ends are is said
 * by the call. */
struct child_ends {
	int fds[3];
	int report;
	bool terminal;
};

static void ends_close(struct child_ends *ends)
{
	for (int i = 0; i < 3; i++)
		if (ends->fds[i] >= 0)
			close(ends->fds[i]);
	if (ends->report >= 0)
		close(ends->report);
}

/* A pipe whose end in the agent does not block. */
static int make_pipe(int *agent_end, int *child_end, bool from_child)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*agent_end = fds[from_child ? 0 : 1];
	*child_end = fds[from_child ? 1 : 0];
	fcntl(*agent_end, F_SETFL, O_NONBLOCK);
	return 0;
}

static int open_null(int *fd)
{
	*fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

static uint16_t size_in(struct msgpack_reader *reader)
{
	struct msgpack_value value;

	if (msgpack_next(reader, &value) || value.type != MSGPACK_INTEGER ||
	    value.integer < 1 || value.integer > 10000)
		return 0;
	return (uint16_t)value.integer;
}

/* Both directions of a terminal are one descriptor; the agent has it twice, to
 * close each when it is done. */
static int make_terminal(struct call *call, const struct msgpack_value *size,
			 struct child_ends *ends)
{
	struct msgpack_reader reader = msgpack_members(size);
	struct winsize window = { 0 };
	char name[32];
	int *master = &call->outputs[0].fd;

	if (size->length != 2)
		return -EINVAL;
	window.ws_col = size_in(&reader);
	window.ws_row = size_in(&reader);
	if (!window.ws_col || !window.ws_row)
		return -EINVAL;
	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (*master < 0 || grantpt(*master) || unlockpt(*master) ||
	    ptsname_r(*master, name, sizeof(name)) ||
	    ioctl(*master, TIOCSWINSZ, &window))
		return errno ? -errno : -EIO;
	call->input.fd = fcntl(*master, F_DUPFD_CLOEXEC, 0);
	if (call->input.fd < 0)
		return -errno;
	for (int i = 0; i < 3; i++) {
		ends->fds[i] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (ends->fds[i] < 0)
			return -errno;
	}
	ends->terminal = true;
	call->terminal = true;
	return 0;
}

/* The main process has the console to itself. */
static int take_console(const char *console, struct call *call,
			struct child_ends *ends)
{
	for (int i = 0; i < 3; i++) {
		ends->fds[i] = console ? open(console,
					      O_RDWR | O_NOCTTY | O_CLOEXEC)
				       : fcntl(i, F_DUPFD_CLOEXEC, 3);
		if (ends->fds[i] < 0)
			return -errno;
	}
	ends->terminal = console != NULL;
	call->input.gone = true;
	call->outputs[0].dropped = true;
	call->outputs[1].dropped = true;
	return 0;
}

static int make_pipes(struct call *call, bool input, struct child_ends *ends)
{
	int error = input ? make_pipe(&call->input.fd, &ends->fds[0], false)
			  : open_null(&ends->fds[0]);

	if (!input)
		call->input.gone = call->input.gone_told = true;
	if (!error)
		error = make_pipe(&call->outputs[0].fd, &ends->fds[1], true);
	if (!error && call->program)
		return make_pipe(&call->outputs[1].fd, &ends->fds[2], true);
	call->outputs[1].dropped = true;
	return error ? error : open_null(&ends->fds[2]);
}

static int connect_child(struct calls *calls, struct call *call,
			 const struct msgpack_value *params,
			 struct child_ends *ends)
{
	struct msgpack_value size;
	int error = make_pipe(&call->report_fd, &ends->report, true);

	if (error)
		return error;
	if (call->main)
		return take_console(calls->console, call, ends);
	if (call->program && !msgpack_find(params, "tty", MSGPACK_ARRAY, &size))
		return make_terminal(call, &size, ends);
	return make_pipes(call, work_flag(params, "stdin"), ends);
}

/* In the child from here on. */

enum { REPORT_FD = 3 };

/* Standard descriptors and the report, and nothing else. */
static void take_ends(const struct child_ends *ends)
{
	for (int i = 0; i < 3; i++)
		dup2(ends->fds[i], i);
	if (ends->report != REPORT_FD)
		dup3(ends->report, REPORT_FD, O_CLOEXEC);
	descriptors_close_from(REPORT_FD + 1);
}

static void child_prepare(const struct child_ends *ends)
{
	struct sigaction byDefault = { .sa_handler = SIG_DFL };
	sigset_t none;

	setsid();
	for (int number = 1; number < NSIG; number++)
		sigaction(number, &byDefault, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	take_ends(ends);
	if (ends->terminal)
		ioctl(0, TIOCSCTTY, 1);
}

static _Noreturn void child_run(work do_work,
				const struct msgpack_value *params,
				const struct child_ends *ends)
{
	/* One process has one call: these live as long as it. */
	static uint8_t report[REPORT_BYTES_MAX];
	static struct failure failure;
	struct msgpack_writer writer = report_begin(report, REPORT_RESULT);
	int error = -1;

	child_prepare(ends);
	if (!do_work)
		program_become(params, &failure);
	else
		error = user_assume(params, NULL, &failure) ||
			do_work(params, &writer, &failure);
	if (error) {
		writer = report_begin(report, REPORT_FAILURE);
		failure_put(&writer, &failure);
	}
	report_send(REPORT_FD, report, &writer);
	_exit(0);
}

/* In the agent. */

static void call_begin(struct call *call, struct connection *host, uint32_t id,
		       bool program)
{
	memset(call, 0, sizeof(*call));
	call->program = program;
	call->host = host;
	call->id = id;
	call->report_fd = -1;
	call->input.fd = -1;
	call->input.granted = INPUT_WINDOW;
	for (int i = 0; i < 2; i++) {
		call->outputs[i].fd = -1;
		call->outputs[i].credit = host->window;
	}
}

static int call_fork(struct calls *calls, struct call *call, work do_work,
		     const struct msgpack_value *params,
		     const struct child_ends *ends)
{
	call->tree = call->program ? tree_make(&calls->trees) : 0;
	call->pid = tree_fork(&calls->trees, call->tree);
	if (call->pid < 0)
		return -errno;
	if (call->pid == 0)
		child_run(do_work, params, ends);
	call->leader = call->pid;
	call->used = true;
	calls->has_main |= call->main;
	return 0;
}

static bool named(const struct msgpack_value *method, const char *name)
{
	return method->length == strlen(name) &&
	       !memcmp(method->bytes, name, method->length);
}

int calls_start(struct calls *calls, struct connection *host, uint32_t id,
		const struct msgpack_value *method,
		const struct msgpack_value *params, struct failure *failure)
{
	struct child_ends ends = { .fds = { -1, -1, -1 }, .report = -1 };
	work do_work = work_named(method);
	bool program = !do_work && named(method, "spawn");
	struct call *call;
	int error;

	if ((!do_work && !program) || (do_work == work_start && !calls->guest))
		return failure_set(failure, REASON_INVALID, "method", ENOSYS,
				   NULL);
	call = calls_free_slot(calls);
	if (!call)
		return failure_set(failure, REASON_BUSY, NULL, EAGAIN, NULL);
	call_begin(call, host, id, program);
	call->main = program && work_flag(params, "main");
	error = connect_child(calls, call, params, &ends);
	if (!error)
		error = call_fork(calls, call, do_work, params, &ends);
	ends_close(&ends);
	if (!error)
		return 0;
	call_close(call);
	tree_drop(&calls->trees, call->tree);
	call->used = false;
	return failure_set(failure,
			   error == -EINVAL ? REASON_INVALID : REASON_BUSY,
			   "connecting the process", -error, NULL);
}
