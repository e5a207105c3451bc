/* SPDX-License-Identifier: MIT */
/*
 * export_sums.h: faults and memory added up by thread and stack, for formats that do not tell one
 * fault from another.
 */
#ifndef FAULTLINE_EXPORT_SUMS_H
#define FAULTLINE_EXPORT_SUMS_H

#include "arena.h"
#include "export.h"
#include "hash_set.h"

struct export_sum {
	const struct trace_thread *thread;
	const struct trace_stack *stack; /* NULL: none */
	enum touch_access access;	 /* NONE unless by access and source, and of allocations */
	const char *source; /* of the region, or the function that allocated; NULL as `access` */
	uint64_t values[EXPORT_VALUE_COUNT];
	struct export_sum *next;
};

/* A zeroed one is empty. */
struct export_sums {
	bool by_access_and_source;	 /* apart from those, too */
	struct export_sum *first, *last; /* as they came */
	struct arena arena;
	struct hash_set set;
};

/* Adds a fault or an allocation; passes over other events. 0 or -ENOMEM. */
int export_sums_take(struct export_sums *sums, const struct trace_event *event);

void export_sums_clear(struct export_sums *sums);

#endif
