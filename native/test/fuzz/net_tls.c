/* SPDX-License-Identifier: MIT */
/*
 * First words of TLS clients: nothing is read outside of them, and how they
 * are cut into pieces, or what follows, changes nothing.
 *
 * Input: what a client sends; its last byte says where to cut.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tls_result fuzz_read(struct tls_hello *hello, const uint8_t *data,
				 uint32_t length)
{
	uint8_t *exact = malloc(length ? length : 1);
	enum tls_result result;

	memcpy(exact, data, length);
	result = tls_read_hello(hello, exact, length);
	free(exact);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_hello hello;
	struct tls_hello part;
	enum tls_result result;
	enum tls_result earlier;
	uint32_t length = (uint32_t)size;
	uint32_t cut;

	if (size == 0 || size > 64 * 1024)
		return 0;
	cut = data[size - 1] * length / 256;
	result = fuzz_read(&hello, data, length);
	earlier = fuzz_read(&part, data, cut);
	/* A verdict once reached stays. */
	if (earlier != TLS_MORE && earlier != result)
		__builtin_trap();
	if (result != TLS_HELLO && result != TLS_OTHER)
		return 0;
	if (hello.length > length || hello.length == 0 ||
	    (earlier == TLS_MORE) != (cut < hello.length))
		__builtin_trap();
	if (hello.name.text[hello.name.length] != '\0' ||
	    strlen(hello.name.text) != hello.name.length)
		__builtin_trap();
	if (fuzz_read(&part, data, hello.length) != result ||
	    !domain_is(&part.name, &hello.name) ||
	    part.is_encrypted != hello.is_encrypted)
		__builtin_trap();
	return 0;
}
