/* SPDX-License-Identifier: MIT */
/*
 * export_sums.c: one sum for each key, found by its hash and chained as it came.
 */
#include "export_sums.h"

#include "hash.h"

#include <errno.h>

static bool equal_sums(const void *item, const void *key)
{
	const struct export_sum *a = item, *b = key;
	return a->thread == b->thread && a->stack == b->stack && a->access == b->access &&
	       a->source == b->source;
}

/* The sum with the key's thread, stack, access and source; NULL without memory. */
static struct export_sum *find_sum(struct export_sums *sums, const struct export_sum *key)
{
	uint64_t hash = hash_pair(hash_pair((uintptr_t)key->thread, (uintptr_t)key->stack),
	    hash_pair((uint64_t)key->access, (uintptr_t)key->source));
	struct export_sum *sum = hash_set_find(&sums->set, hash, equal_sums, key);
	if (sum)
		return sum;
	sum = arena_alloc(&sums->arena, sizeof(*sum));
	if (!sum || hash_set_add(&sums->set, hash, sum) < 0)
		return NULL;
	*sum = *key;
	if (sums->last)
		sums->last->next = sum;
	else
		sums->first = sum;
	sums->last = sum;
	return sum;
}

int export_sums_take(struct export_sums *sums, const struct trace_event *event)
{
	struct export_sum key = {0};
	if (event->type == TRACE_FAULT) {
		const struct trace_fault *fault = &event->fault;
		key.thread = fault->thread;
		key.stack = fault->stack;
		if (sums->by_access_and_source) {
			key.access = fault->access;
			key.source = fault->region ? fault->region->source : "";
		}
	} else if (event->type == TRACE_ALLOC) {
		key.thread = event->alloc->thread;
		key.stack = event->alloc->stack;
		if (sums->by_access_and_source)
			key.source = event->alloc->func;
	} else {
		return 0;
	}
	struct export_sum *sum = find_sum(sums, &key);
	if (!sum)
		return -ENOMEM;
	if (event->type == TRACE_FAULT) {
		sum->values[EXPORT_FAULTS]++;
		sum->values[EXPORT_TOUCHED] += event->fault.bytes;
	} else {
		sum->values[EXPORT_ALLOCATED] += event->alloc->size;
	}
	return 0;
}

void export_sums_clear(struct export_sums *sums)
{
	arena_clear(&sums->arena);
	hash_set_clear(&sums->set);
	*sums = (struct export_sums){.by_access_and_source = sums->by_access_and_source};
}
