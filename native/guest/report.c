/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <unistd.h>

#include "errno_name.h"

int failure_set(struct failure *failure, const char *reason, const char *step,
		int error, const char *subject)
{
	failure->reason = reason;
	failure->step = step;
	failure->error = error;
	snprintf(failure->subject, sizeof(failure->subject), "%s",
		 subject ? subject : "");
	return -1;
}

void failure_put(struct msgpack_writer *writer, const struct failure *failure)
{
	msgpack_put_map(writer, 1u + (failure->step != NULL) +
					(failure->error != 0) +
					(failure->subject[0] != '\0'));
	msgpack_put_str(writer, "reason");
	msgpack_put_str(writer, failure->reason);
	if (failure->step) {
		msgpack_put_str(writer, "step");
		msgpack_put_str(writer, failure->step);
	}
	if (failure->error) {
		msgpack_put_str(writer, "errno");
		msgpack_put_str(writer, errno_name(failure->error));
	}
	if (failure->subject[0] != '\0') {
		msgpack_put_str(writer, "subject");
		msgpack_put_str(writer, failure->subject);
	}
}

struct msgpack_writer report_begin(uint8_t *report, uint8_t kind)
{
	report[0] = kind;
	return (struct msgpack_writer) {
		.at = report + 1,
		.end = report + REPORT_BYTES_MAX,
	};
}

void report_send(int fd, const uint8_t *report,
		 const struct msgpack_writer *writer)
{
	ssize_t written = write(fd, report, (size_t)(writer->at - report));

	(void)written;
}
