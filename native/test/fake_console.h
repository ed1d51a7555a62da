/* SPDX-License-Identifier: MIT */
/*
 * The machine's end of a console port, as a test plays it: keeps what the
 * device puts out, gives what the test types.
 */
#ifndef CAPSA_FAKE_CONSOLE_H
#define CAPSA_FAKE_CONSOLE_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "device/console_port.h"

struct fake_console {
	pthread_mutex_t lock;
	uint8_t *output; /* all of it */
	size_t output_length;
	size_t output_room;
	uint8_t input[1 << 16];
	uint32_t input_length;
	uint32_t input_taken;
};

/*
 * Guest memory may change under the copy, by design: the loop below is how
 * a machine's copy looks to a race detector that has been told so.
 */
__attribute__((no_sanitize("thread"), noinline)) static void fake_console_copy(
	uint8_t *to, const uint8_t *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((volatile uint8_t *)to)[i] =
			((const volatile uint8_t *)from)[i];
}

static inline void fake_console_output(void *owner, const uint8_t *data,
				       uint32_t length)
{
	struct fake_console *console = owner;
	size_t end;

	pthread_mutex_lock(&console->lock);
	end = console->output_length + length;
	if (end > console->output_room) {
		console->output_room = 2 * end;
		console->output = realloc(console->output,
					  console->output_room);
	}
	fake_console_copy(console->output + console->output_length, data,
			  length);
	console->output_length = end;
	pthread_mutex_unlock(&console->lock);
}

static inline uint32_t fake_console_input(void *owner, uint8_t *data,
					  uint32_t length)
{
	struct fake_console *console = owner;
	uint32_t left;

	pthread_mutex_lock(&console->lock);
	left = console->input_length - console->input_taken;
	if (length > left)
		length = left;
	fake_console_copy(data, console->input + console->input_taken, length);
	console->input_taken += length;
	pthread_mutex_unlock(&console->lock);
	return length;
}

/* The caller then tells the device. What was typed and not taken stays. */
static inline void fake_console_type(struct fake_console *console,
				     const void *data, uint32_t length)
{
	pthread_mutex_lock(&console->lock);
	memmove(console->input, console->input + console->input_taken,
		console->input_length - console->input_taken);
	console->input_length -= console->input_taken;
	console->input_taken = 0;
	if (length > sizeof(console->input) - console->input_length)
		exit(2);
	memcpy(console->input + console->input_length, data, length);
	console->input_length += length;
	pthread_mutex_unlock(&console->lock);
}

/* How much of the present input the device has taken. */
static inline uint32_t fake_console_taken(struct fake_console *console)
{
	uint32_t taken;

	pthread_mutex_lock(&console->lock);
	taken = console->input_taken;
	pthread_mutex_unlock(&console->lock);
	return taken;
}

static inline struct console_port fake_console_port(
	struct fake_console *console)
{
	return (struct console_port) { .output = fake_console_output,
				       .input = fake_console_input,
				       .owner = console };
}

static inline void fake_console_create(struct fake_console *console)
{
	memset(console, 0, sizeof(*console));
	pthread_mutex_init(&console->lock, NULL);
}

static inline void fake_console_destroy(struct fake_console *console)
{
	pthread_mutex_destroy(&console->lock);
	free(console->output);
}

#endif
