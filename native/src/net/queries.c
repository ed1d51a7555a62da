/* SPDX-License-Identifier: MIT */
#include "net/queries.h"

#include <stddef.h>

static struct query *queries_find(struct queries *queries,
				  const struct net_address *server,
				  uint16_t port,
				  const struct dns_question *question)
{
	for (uint32_t i = 0; i < QUERIES_MAX; i++) {
		struct query *query = &queries->list[i];

		if (query->port == port && query->id == question->id &&
		    query->type == question->type &&
		    net_address_is(&query->server, server) &&
		    domain_is(&query->name, &question->name))
			return query;
	}
	return NULL;
}

void queries_note(struct queries *queries, const struct net_address *server,
		  uint16_t port, const struct dns_question *question,
		  uint64_t now_ms)
{
	struct query *query = queries_find(queries, server, port, question);

	if (!query) {
		query = &queries->list[queries->next];
		queries->next = (queries->next + 1) % QUERIES_MAX;
	}
	*query = (struct query) {
		.server = *server,
		.port = port,
		.id = question->id,
		.type = question->type,
		.name = question->name,
		.expires_ms = now_ms + QUERY_ANSWER_MS,
	};
}

bool queries_take(struct queries *queries, const struct net_address *server,
		  uint16_t port, const struct dns_question *question,
		  uint64_t now_ms)
{
	struct query *query = queries_find(queries, server, port, question);

	if (!query)
		return false;
	query->server.family = 0;
	return now_ms < query->expires_ms;
}
