/* SPDX-License-Identifier: MIT */
/*
 * What the first process does before all else: file systems, modules, a
 * console. A step that fails is noted, for the host to hear of, and the next
 * one is taken.
 */
#ifndef CAPSA_GUEST_BOOT_H
#define CAPSA_GUEST_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "report.h"

/* Comes first: from now on nothing else gets the numbers that the console has,
 * or will have, and parameters can be read. Whether there is a console yet. */
bool boot_begin(void);

/* Whether it has modules to load: asking the kernel for what comes by one would
 * have it look for a program that loads it. */
bool boot_has_modules(void);

/* Gives a socket that tells of new devices from now on, or -1. */
int boot_run(bool has_console);

/* The first step that failed: -1 with the failure; 0 if none did. */
int boot_failure(struct failure *failure);

void boot_note(const char *step, int error, const char *subject);

/* The device behind the kernel's console, which a session can own. */
void boot_console(char *path, size_t size);

/* The value of a word of the kernel's command line, with a NUL; -ENOENT. */
int boot_parameter(const char *name, char *value, size_t size);

#endif
