/* SPDX-License-Identifier: MIT */
#include "aml.h"

#include <string.h>

/* ACPI 6.4, section 20.3 */
enum {
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_EXTENDED = 0x5b,
	AML_EXTENDED_DEVICE = 0x82,
	AML_NOTIFY = 0x86,
	AML_METHOD_SERIALIZED = 0x08,
};

/* ACPI 6.4, section 6.4 */
enum {
	AML_PORT = 0x47,
	AML_PORT_DECODE16 = 0x01,
	AML_MEMORY32_FIXED = 0x86,
	AML_MEMORY32_FIXED_LENGTH = 9,
	AML_MEMORY_WRITABLE = 0x01,
	AML_INTERRUPT = 0x89,
	AML_INTERRUPT_LENGTH = 6,
	AML_INTERRUPT_CONSUMER_EDGE = 0x03,
	AML_END_TAG = 0x79,
};

/*
 * A length of three bytes, 20 bits: its size is the same whatever it holds,
 * so that it can be filled in afterwards.
 */
enum {
	AML_LENGTH_SIZE = 3,
	AML_LENGTH_MARK = 0x80,
	AML_LENGTH_MAX = 1 << 20,
};

/* A buffer's size is a word constant; see aml_begin_resources(). */
enum { AML_BUFFER_SIZE = 3 };

void aml_bytes(struct aml *aml, const void *bytes, size_t length)
{
	if (length > aml->capacity - aml->length) {
		aml->full = true;
		return;
	}
	memcpy(aml->bytes + aml->length, bytes, length);
	aml->length += length;
}

void aml_number(struct aml *aml, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));

		aml_bytes(aml, &byte, 1);
	}
}

static size_t aml_begin(struct aml *aml)
{
	size_t begin = aml->length;

	aml_number(aml, 0, AML_LENGTH_SIZE);
	return begin;
}

void aml_end(struct aml *aml, size_t begin)
{
	size_t length = aml->length - begin;

	if (length >= AML_LENGTH_MAX)
		aml->full = true;
	if (aml->full)
		return;
	aml->bytes[begin] = (uint8_t)(AML_LENGTH_MARK | (length & 0x0f));
	aml->bytes[begin + 1] = (uint8_t)(length >> 4);
	aml->bytes[begin + 2] = (uint8_t)(length >> 12);
}

static void aml_path(struct aml *aml, const char *name)
{
	aml_bytes(aml, name, strlen(name));
}

size_t aml_begin_scope(struct aml *aml, const char *name)
{
	size_t begin;

	aml_number(aml, AML_SCOPE, 1);
	begin = aml_begin(aml);
	aml_path(aml, name);
	return begin;
}

size_t aml_begin_device(struct aml *aml, const char *name)
{
	size_t begin;

	aml_number(aml, AML_EXTENDED, 1);
	aml_number(aml, AML_EXTENDED_DEVICE, 1);
	begin = aml_begin(aml);
	aml_path(aml, name);
	return begin;
}

size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments)
{
	size_t begin;

	aml_number(aml, AML_METHOD, 1);
	begin = aml_begin(aml);
	aml_path(aml, name);
	aml_number(aml, AML_METHOD_SERIALIZED | arguments, 1);
	return begin;
}

size_t aml_begin_package(struct aml *aml, uint8_t count)
{
	size_t begin;

	aml_number(aml, AML_PACKAGE, 1);
	begin = aml_begin(aml);
	aml_number(aml, count, 1);
	return begin;
}

void aml_name(struct aml *aml, const char *name)
{
	aml_number(aml, AML_NAME, 1);
	aml_path(aml, name);
}

void aml_integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) {
		aml_number(aml, value, 1); /* ZeroOp, OneOp */
	} else if (value <= UINT8_MAX) {
		aml_number(aml, AML_BYTE, 1);
		aml_number(aml, value, 1);
	} else {
		aml_number(aml, AML_DWORD, 1);
		aml_number(aml, value, 4);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_number(aml, AML_STRING, 1);
	aml_bytes(aml, text, strlen(text) + 1);
}

void aml_notify(struct aml *aml, const char *name, uint8_t value)
{
	aml_number(aml, AML_NOTIFY, 1);
	aml_path(aml, name);
	aml_integer(aml, value);
}

size_t aml_begin_resources(struct aml *aml)
{
	size_t begin;

	aml_number(aml, AML_BUFFER, 1);
	begin = aml_begin(aml);
	aml_number(aml, AML_WORD, 1);
	aml_number(aml, 0, 2);
	return begin;
}

void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count)
{
	aml_number(aml, AML_PORT, 1);
	aml_number(aml, AML_PORT_DECODE16, 1);
	aml_number(aml, port, 2); /* lowest base */
	aml_number(aml, port, 2); /* highest base */
	aml_number(aml, 1, 1);    /* alignment */
	aml_number(aml, count, 1);
}

void aml_resource_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_number(aml, AML_MEMORY32_FIXED, 1);
	aml_number(aml, AML_MEMORY32_FIXED_LENGTH, 2);
	aml_number(aml, AML_MEMORY_WRITABLE, 1);
	aml_number(aml, base, 4);
	aml_number(aml, size, 4);
}

void aml_resource_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_number(aml, AML_INTERRUPT, 1);
	aml_number(aml, AML_INTERRUPT_LENGTH, 2);
	aml_number(aml, AML_INTERRUPT_CONSUMER_EDGE, 1);
	aml_number(aml, 1, 1); /* one interrupt */
	aml_number(aml, gsi, 4);
}

void aml_end_resources(struct aml *aml, size_t begin)
{
	size_t content = begin + AML_LENGTH_SIZE + AML_BUFFER_SIZE;
	size_t size;

	aml_number(aml, AML_END_TAG, 1);
	aml_number(aml, 0, 1); /* no checksum */
	if (aml->full)
		return;
	size = aml->length - content;
	aml->bytes[content - 2] = (uint8_t)size;
	aml->bytes[content - 1] = (uint8_t)(size >> 8);
	aml_end(aml, begin);
}
