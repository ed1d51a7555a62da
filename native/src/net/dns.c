/* SPDX-License-Identifier: MIT */
#include "net/dns.h"

#include <errno.h>

#include "net/packet.h"

enum {
	/* RFC 1035, 4.1.1: what of the flags tells messages apart */
	DNS_KIND = 0xf800, /* QR and OPCODE */
	DNS_KIND_QUERY = 0x0000,
	DNS_KIND_ANSWER = 0x8000,
	DNS_RCODE = 0x000f,

	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_CLASS_IN = 1,

	DNS_NAME_BYTES_MAX = 255, /* RFC 1035, 2.3.4 */
	/*
	 * A pointer must lead backwards, so that names end; but a long message
	 * of pointers to pointers would still cost much for each name.
	 */
	DNS_POINTERS_MAX = 128,
};

struct dns_record {
	uint16_t type;
	uint32_t ttl_s;
	uint32_t owner; /* offsets in the message */
	uint32_t data;
};

struct dns_message {
	const uint8_t *bytes;
	uint32_t length;
};

/*
 * Reads the name at an offset; returns the offset behind it, or -EBADMSG.
 * *is_strange is set if a label is none of a host.
 */
static int64_t dns_name(const struct dns_message *message, uint32_t at,
			struct domain *name, bool *is_strange)
{
	uint32_t end = 0;
	uint32_t lowest = at;
	uint32_t pointers = 0;
	uint32_t total = 1; /* the root's */

	*name = (struct domain) { 0 };
	*is_strange = false;
	while (at < message->length) {
		uint32_t byte = message->bytes[at];

		if (byte == 0)
			return end ? end : at + 1;
		if (byte > DOMAIN_LABEL_MAX) {
			/* RFC 1035, 4.1.4 */
			if ((byte & 0xc0) != 0xc0 || message->length - at < 2 ||
			    ++pointers > DNS_POINTERS_MAX)
				return -EBADMSG;
			if (!end)
				end = at + 2;
			at = packet_get16(message->bytes + at) & 0x3fff;
			if (at >= lowest)
				return -EBADMSG;
			lowest = at;
			continue;
		}
		total += byte + 1;
		if (total > DNS_NAME_BYTES_MAX || byte >= message->length - at)
			return -EBADMSG;
		if (!domain_append(name, message->bytes + at + 1, byte))
			*is_strange = true;
		at += byte + 1;
	}
	return -EBADMSG;
}

static int dns_question(struct dns_question *question,
			const struct dns_message *message, uint32_t kind)
{
	const uint8_t *bytes = message->bytes;
	int64_t end;

	if (message->length < DNS_HEADER ||
	    (packet_get16(bytes + 2) & DNS_KIND) != kind ||
	    packet_get16(bytes + 4) != 1)
		return -EBADMSG;
	question->id = packet_get16(bytes);
	end = dns_name(message, DNS_HEADER, &question->name,
		       &question->is_strange);
	if (end < 0 || message->length - (uint32_t)end < 4 ||
	    packet_get16(bytes + end + 2) != DNS_CLASS_IN)
		return -EBADMSG;
	question->type = packet_get16(bytes + end);
	question->end = (uint32_t)end + 4;
	return 0;
}

/* Behind the question of a query: nothing, or one OPT record of the root. */
static int dns_options(struct dns_question *question,
		       const struct dns_message *message)
{
	const uint8_t *record = message->bytes + question->end;
	uint32_t left = message->length - question->end;
	uint32_t count = packet_get16(message->bytes + 10);

	question->is_extended = count == 1;
	if (count == 0)
		return left == 0 ? 0 : -EBADMSG;
	if (count > 1 || left < 11 || record[0] != 0 ||
	    packet_get16(record + 1) != DNS_TYPE_OPT ||
	    packet_get16(record + 9) != left - 11)
		return -EBADMSG;
	return 0;
}

int dns_read_query(struct dns_question *question, const uint8_t *bytes,
		   uint32_t length)
{
	const struct dns_message message = { bytes, length };

	*question = (struct dns_question) { 0 };
	if (dns_question(question, &message, DNS_KIND_QUERY) < 0 ||
	    packet_get32(bytes + 6) != 0)
		return -EBADMSG;
	/*
	 * A pointer could only lead into the header, where not every server
	 * finds the same name.
	 */
	if (!question->is_strange &&
	    question->end != DNS_HEADER + 4 + 1 +
				     (question->name.length > 0
					      ? question->name.length + 1u
					      : 0))
		return -EBADMSG;
	return dns_options(question, &message);
}

static bool dns_is_wanted(uint16_t type, uint16_t class, uint32_t data_length)
{
	if (class != DNS_CLASS_IN)
		return false;
	return type == DNS_TYPE_CNAME ||
	       (type == DNS_TYPE_A && data_length == 4) ||
	       (type == DNS_TYPE_AAAA && data_length == 16);
}

/* The records of the answer that matter; their count, or -EBADMSG. */
static int dns_records(struct dns_record records[DNS_RECORDS_MAX],
		       const struct dns_message *message, uint32_t at)
{
	uint32_t count = packet_get16(message->bytes + 6);
	int kept = 0;

	if (count > DNS_RECORDS_MAX)
		count = DNS_RECORDS_MAX;
	for (; count > 0; count--) {
		struct dns_record *record = &records[kept];
		const uint8_t *fields;
		struct domain name;
		bool is_strange;
		uint32_t data_length;
		int64_t end = dns_name(message, at, &name, &is_strange);

		if (end < 0 || message->length - (uint32_t)end < 10)
			return -EBADMSG;
		fields = message->bytes + end;
		data_length = packet_get16(fields + 8);
		*record = (struct dns_record) {
			.type = packet_get16(fields),
			.ttl_s = packet_get32(fields + 4),
			.owner = at,
			.data = (uint32_t)end + 10,
		};
		if (message->length - record->data < data_length)
			return -EBADMSG;
		at = record->data + data_length;
		if (record->ttl_s > INT32_MAX) /* RFC 2181, 8 */
			record->ttl_s = 0;
		if (dns_is_wanted(record->type, packet_get16(fields + 2),
				  data_length))
			kept++;
	}
	return kept;
}

static bool dns_owns(const struct dns_message *message,
		     const struct dns_record *record, const struct domain *name)
{
	struct domain owner;
	bool is_strange;

	return dns_name(message, record->owner, &owner, &is_strange) >= 0 &&
	       !is_strange && domain_is(&owner, name);
}

static bool dns_is_in_chain(const struct dns_answer *answer,
			    const struct domain *name)
{
	for (uint32_t i = 0; i < answer->chain_count; i++)
		if (domain_is(&answer->chain[i].name, name))
			return true;
	return false;
}

/* Adds the name that the last one is an alias of; false if it is none. */
static bool dns_follow(struct dns_answer *answer,
		       const struct dns_message *message,
		       const struct dns_record *records, int count)
{
	struct dns_alias *last = &answer->chain[answer->chain_count - 1];
	struct dns_alias *next = last + 1;
	bool is_strange;

	for (int i = 0; i < count; i++) {
		if (records[i].type != DNS_TYPE_CNAME ||
		    !dns_owns(message, &records[i], &last->name))
			continue;
		if (dns_name(message, records[i].data, &next->name,
			     &is_strange) < 0 ||
		    is_strange || dns_is_in_chain(answer, &next->name))
			return false;
		last->ttl_s = records[i].ttl_s;
		answer->chain_count++;
		return true;
	}
	return false;
}

static void dns_address(struct dns_answer *answer,
			const struct dns_message *message,
			const struct dns_record *record)
{
	enum capsa_address_family family = record->type == DNS_TYPE_A
						   ? CAPSA_ADDRESS_IPV4
						   : CAPSA_ADDRESS_IPV6;

	for (uint32_t i = 0; i < answer->chain_count; i++) {
		if (!dns_owns(message, record, &answer->chain[i].name))
			continue;
		answer->addresses[answer->address_count++] =
			(struct dns_address) {
				.address = net_address_of(
					family, message->bytes + record->data),
				.depth = i,
				.ttl_s = record->ttl_s,
			};
		return;
	}
}

int dns_read_answer(struct dns_answer *answer, const uint8_t *bytes,
		    uint32_t length)
{
	const struct dns_message message = { bytes, length };
	struct dns_record records[DNS_RECORDS_MAX];
	int count;

	answer->chain_count = 0;
	answer->address_count = 0;
	answer->question = (struct dns_question) { 0 };
	if (dns_question(&answer->question, &message, DNS_KIND_ANSWER) < 0 ||
	    answer->question.is_strange ||
	    (packet_get16(bytes + 2) & DNS_RCODE) != 0)
		return -EBADMSG;
	count = dns_records(records, &message, answer->question.end);
	if (count < 0)
		return -EBADMSG;
	answer->chain[0] = (struct dns_alias) { answer->question.name, 0 };
	answer->chain_count = 1;
	while (answer->chain_count < DNS_CHAIN_MAX &&
	       dns_follow(answer, &message, records, count))
		;
	for (int i = 0; i < count; i++)
		if (records[i].type != DNS_TYPE_CNAME)
			dns_address(answer, &message, &records[i]);
	return 0;
}

uint32_t dns_ttl_s(const struct dns_answer *answer,
		   const struct dns_address *address, uint32_t index)
{
	uint32_t ttl_s = address->ttl_s;

	for (; index < address->depth; index++)
		if (answer->chain[index].ttl_s < ttl_s)
			ttl_s = answer->chain[index].ttl_s;
	return ttl_s;
}
