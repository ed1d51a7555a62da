/* SPDX-License-Identifier: MIT */
/*
 * Messages of DNS: nothing is read outside of them, and what is read of them
 * is made of names that hosts can have.
 *
 * Input: a message.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_name(const struct domain *name)
{
	struct domain again;

	if (name->text[name->length] != '\0' ||
	    strlen(name->text) != name->length)
		__builtin_trap();
	for (uint32_t i = 0; i < name->length; i++)
		if (!islower((unsigned char)name->text[i]) &&
		    !isdigit((unsigned char)name->text[i]) &&
		    !strchr("-_.", name->text[i]))
			__builtin_trap();
	/* It is what it reads as. */
	if (name->length > 0 &&
	    (!domain_read(&again, (const uint8_t *)name->text, name->length) ||
	     !domain_is(&again, name)))
		__builtin_trap();
}

static void fuzz_answer(const struct dns_answer *answer)
{
	if (answer->chain_count < 1 || answer->chain_count > DNS_CHAIN_MAX ||
	    answer->address_count > DNS_RECORDS_MAX ||
	    !domain_is(&answer->chain[0].name, &answer->question.name))
		__builtin_trap();
	for (uint32_t i = 0; i < answer->chain_count; i++)
		fuzz_name(&answer->chain[i].name);
	for (uint32_t i = 0; i < answer->address_count; i++) {
		const struct dns_address *given = &answer->addresses[i];

		if (given->depth >= answer->chain_count ||
		    given->address.family == 0 ||
		    dns_ttl_s(answer, given, 0) > given->ttl_s)
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_answer answer;
	struct dns_question question;

	if (size > UINT16_MAX)
		return 0;
	if (dns_read_query(&question, data, (uint32_t)size) == 0) {
		if (question.end > size)
			__builtin_trap();
		if (!question.is_strange)
			fuzz_name(&question.name);
	}
	if (dns_read_answer(&answer, data, (uint32_t)size) == 0)
		fuzz_answer(&answer);
	return 0;
}
