/* SPDX-License-Identifier: MIT */
/* forking.c: what a process had at the moment when it forked; see service.h. */
#include "service.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_NUMBER 2u	   /* fl_hello.forked: 1 is a child without a number */
#define KEPT_MAX     1024u /* children that were killed before their hello leave theirs behind */

struct forking {
	struct forking *next;
	uint32_t number;
	int32_t pid; /* of the parent */
	struct space *space;
	struct interval_map regions, pieces, allocations;
};

void forking_free(struct forking *forking)
{
	if (!forking)
		return;
	interval_clear(&forking->regions);
	interval_clear(&forking->pieces);
	interval_clear(&forking->allocations);
	space_release(forking->space);
	free(forking);
}

static void drop_oldest(struct service *s)
{
	struct forking **at = &s->forkings;

	for (uint32_t kept = 0; *at && kept < KEPT_MAX; kept++)
		at = &(*at)->next;
	while (*at) {
		struct forking *oldest = *at;

		*at = oldest->next;
		forking_free(oldest);
	}
}

int64_t forking_keep(struct service *s, const struct process *p)
{
	struct forking *forking = calloc(1, sizeof(*forking));

	if (!forking)
		return -ENOMEM;
	if (interval_copy(&forking->regions, &p->regions) < 0 ||
	    interval_copy(&forking->pieces, &p->pieces) < 0 ||
	    interval_copy(&forking->allocations, &p->allocations) < 0) {
		forking_free(forking);
		return -ENOMEM;
	}
	if (s->next_forking < FIRST_NUMBER)
		s->next_forking = FIRST_NUMBER;
	forking->number = s->next_forking++;
	forking->pid = p->pid;
	forking->space = space_share(p->space);
	forking->next = s->forkings;
	s->forkings = forking;
	drop_oldest(s);
	return forking->number;
}

struct forking *forking_take(struct service *s, uint32_t number)
{
	for (struct forking **at = &s->forkings; *at; at = &(*at)->next) {
		struct forking *forking = *at;

		if (forking->number == number) {
			*at = forking->next;
			return forking;
		}
	}
	return NULL;
}

void forking_inherit(struct service *s, struct process *p, const struct forking *forking)
{
	/* The parent's region names hold for what was inherited. */
	space_release(p->space);
	p->space = space_share(forking->space);
	region_inherit(s, p, &forking->regions, &forking->pieces, &forking->allocations);
}

int32_t forking_parent(const struct forking *forking)
{
	return forking->pid;
}
