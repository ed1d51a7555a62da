/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <errno.h>
#include <string.h>

static void error_copy(char *out, size_t size, const char *text)
{
	size_t length = text ? strnlen(text, size - 1) : 0;

	if (length > 0)
		memcpy(out, text, length);
	out[length] = '\0';
}

enum capsa_status error_set(struct capsa_error *error, enum capsa_status status,
			    int system_errno, const char *operation,
			    const char *subject, const char *field,
			    const char *message)
{
	if (!error)
		return status;
	memset(error, 0, sizeof(*error));
	error->size = sizeof(*error);
	error->status = status;
	error->system_errno = system_errno;
	error_copy(error->operation, sizeof(error->operation), operation);
	error_copy(error->subject, sizeof(error->subject), subject);
	error_copy(error->field, sizeof(error->field), field);
	error_copy(error->message, sizeof(error->message), message);
	return status;
}

enum capsa_status error_system(struct capsa_error *error, int system_errno,
			       const char *operation, const char *subject)
{
	enum capsa_status status = system_errno == ENOMEM
					   ? CAPSA_STATUS_NO_MEMORY
					   : CAPSA_STATUS_HOST;

	return error_set(error, status, system_errno, operation, subject, NULL,
			 "a system call failed");
}
