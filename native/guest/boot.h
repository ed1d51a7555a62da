/* SPDX-License-Identifier: MIT */
/*
 * What the first process does before all else: file systems, modules, a
 * console. A step that fails is noted, for the host to hear of, and the next
 * one is taken.
 */
#ifndef CAPSA_GUEST_BOOT_H
#define CAPSA_GUEST_BOOT_H

#include <stddef.h>

#include "report.h"

/* Gives a socket that tells of new devices from now on, or -1. */
int boot_run(void);

/* The first step that failed: -1 with the failure; 0 if none did. */
int boot_failure(struct failure *failure);

void boot_note(const char *step, int error, const char *subject);

/* The device behind the kernel's console, which a session can own. */
void boot_console(char *path, size_t size);

/* The value of a word of the kernel's command line, with a NUL; -ENOENT. */
int boot_parameter(const char *name, char *value, size_t size);

#endif
