/* SPDX-License-Identifier: MIT */
/* Filling struct capsa_error. */
#ifndef CAPSA_ERROR_H
#define CAPSA_ERROR_H

#include "capsa.h"

/*
 * Fills error, which may be NULL, and returns status, so that a failing
 * function reads "return error_set(...)". Texts may be NULL and are cut where
 * they do not fit.
 */
enum capsa_status error_set(struct capsa_error *error, enum capsa_status status,
			    int system_errno, const char *operation,
			    const char *subject, const char *field,
			    const char *message);

/* A failed system call: CAPSA_STATUS_HOST, or NO_MEMORY for ENOMEM. */
enum capsa_status error_system(struct capsa_error *error, int system_errno,
			       const char *operation, const char *subject);

#endif
