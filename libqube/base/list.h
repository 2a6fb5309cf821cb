/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Intrusive doubly linked list. */
#ifndef QUBE_BASE_LIST_H
#define QUBE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct qube__list {
	struct qube__list *next;
	struct qube__list *prev;
};

static inline void qube__list_init(struct qube__list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool qube__list_empty(const struct qube__list *l)
{
	return l->next == l;
}

static inline void qube__list_append(struct qube__list *head, struct qube__list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

/* The item is left empty, so a second removal is harmless. */
static inline void qube__list_remove(struct qube__list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	qube__list_init(item);
}

#define qube__container_of(ptr, type, member)                                                      \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define qube__list_foreach(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)
/* pos may be removed inside the loop. */
#define qube__list_foreach_safe(pos, tmp, head)                                                    \
	for (pos = (head)->next, tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

#endif
