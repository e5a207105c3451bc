/* SPDX-License-Identifier: MIT */
/*
 * string_table.h: texts that an output names by their number, counted from 0, each kept once.
 */
#ifndef FAULTLINE_STRING_TABLE_H
#define FAULTLINE_STRING_TABLE_H

#include "arena.h"
#include "hash_set.h"

#include <stdint.h>

/* A zeroed table is empty. */
struct string_table {
	struct arena arena;
	struct hash_set set;
	const char **texts; /* by number */
	size_t count, room;
};

/* The number of the text, which is copied when it is new; or -ENOMEM. */
int64_t string_table_add(struct string_table *table, const char *text);

void string_table_clear(struct string_table *table);

#endif
