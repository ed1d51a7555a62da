/* SPDX-License-Identifier: MIT */
#include "net/domain.h"

#include <string.h>

/* The byte of a comparable name, or 0. */
static char domain_fold(uint8_t byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (char)(byte - 'A' + 'a');
	if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
	    byte == '-' || byte == '_')
		return (char)byte;
	return '\0';
}

bool domain_append(struct domain *domain, const uint8_t *label, uint32_t length)
{
	uint32_t at = domain->length;

	if (at > 0)
		at++;
	if (length < 1 || length > DOMAIN_LABEL_MAX ||
	    length > CAPSA_DOMAIN_MAX - at)
		return false;
	if (at > 0)
		domain->text[at - 1] = '.';
	for (uint32_t i = 0; i < length; i++) {
		char folded = domain_fold(label[i]);

		if (folded == '\0')
			return false;
		domain->text[at++] = folded;
	}
	domain->text[at] = '\0';
	domain->length = (uint8_t)at;
	return true;
}

bool domain_read(struct domain *domain, const uint8_t *text, uint32_t length)
{
	*domain = (struct domain) { 0 };
	if (length > 0 && text[length - 1] == '.')
		length--;
	for (uint32_t start = 0; start <= length;) {
		uint32_t end = start;

		while (end < length && text[end] != '.')
			end++;
		if (!domain_append(domain, text + start, end - start))
			return false;
		start = end + 1;
	}
	return true;
}

bool domain_is(const struct domain *a, const struct domain *b)
{
	return a->length == b->length &&
	       memcmp(a->text, b->text, a->length) == 0;
}

bool domain_is_below(const struct domain *domain, const struct domain *parent)
{
	uint32_t start;

	if (domain->length <= parent->length)
		return false;
	start = (uint32_t)domain->length - parent->length;
	return domain->text[start - 1] == '.' &&
	       memcmp(domain->text + start, parent->text, parent->length) == 0;
}
