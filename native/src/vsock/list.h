/* SPDX-License-Identifier: MIT */
/* A list whose links are embedded in its entries. */
#ifndef CAPSA_VSOCK_LIST_H
#define CAPSA_VSOCK_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct vsock_link {
	struct vsock_link *next; /* NULL: in no list */
	struct vsock_link *before;
};

static inline void vsock_list_init(struct vsock_link *list)
{
	list->next = list;
	list->before = list;
}

/* The first entry's link, or NULL. */
static inline struct vsock_link *vsock_list_first(const struct vsock_link *list)
{
	return list->next == list ? NULL : list->next;
}

static inline bool vsock_link_is_in(const struct vsock_link *link)
{
	return link->next != NULL;
}

static inline void vsock_list_append(struct vsock_link *list,
				     struct vsock_link *link)
{
	link->next = list;
	link->before = list->before;
	list->before->next = link;
	list->before = link;
}

/* Nothing happens to one that is in no list. */
static inline void vsock_link_remove(struct vsock_link *link)
{
	if (!vsock_link_is_in(link))
		return;
	link->before->next = link->next;
	link->next->before = link->before;
	link->next = NULL;
}

#endif
