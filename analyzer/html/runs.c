/* SPDX-License-Identifier: MIT */
/*
 * runs.c: goes through the rows of a tally twice: once to count, once to keep.
 */
#include "runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool goes_on(const struct run *last, const struct run *next)
{
	return last->page + last->pages == next->page &&
	       memcmp(&last->key.step, &next->key.step,
		   sizeof(last->key) - offsetof(struct tally_key, step)) == 0;
}

/* Adds a run, to the last one where it goes on there. Without `rows` they are only counted. */
static void put(struct runs *runs, struct run *last, const struct run *run)
{
	if (runs->count > 0 && goes_on(last, run)) {
		last->pages += run->pages;
		last->faults += run->faults;
		last->bytes += run->bytes;
	} else {
		*last = *run;
		runs->count++;
	}
	if (runs->rows)
		runs->rows[runs->count - 1] = *last;
}

/* Can each part of the row be told how much it has of what the row has? */
static bool is_even(const struct tally *tally, const struct tally_row *row)
{
	uint64_t parts = (uint64_t)__builtin_popcountll(row->parts);
	return tally->block_shift == 0 && row->lead == row->count && row->count == parts &&
	       row->bytes % parts == 0;
}

static void put_row(struct runs *runs, struct run *last, const struct tally *tally,
    const struct tally_row *row, bool split)
{
	uint64_t parts = row->parts, first = row->key.block * TALLY_BLOCK_PARTS;
	uint64_t all = (uint64_t)__builtin_popcountll(parts);
	bool even = split && is_even(tally, row);
	struct run run = {.key = row->key, .faults = row->count, .bytes = row->bytes};
	while (parts != 0) {
		unsigned from = (unsigned)__builtin_ctzll(parts);
		uint64_t rest = ~(parts >> from);
		unsigned size = rest == 0 ? TALLY_BLOCK_PARTS : (unsigned)__builtin_ctzll(rest);
		if (!even) {
			unsigned end = TALLY_BLOCK_PARTS - (unsigned)__builtin_clzll(parts);
			runs->holes += size != end - from;
			size = end - from;
		}
		run.page = (first + from) << tally->block_shift;
		run.pages = (uint64_t)size << tally->block_shift;
		if (even) {
			run.faults = size;
			run.bytes = row->bytes / all * size;
		}
		put(runs, last, &run);
		parts =
		    from + size >= TALLY_BLOCK_PARTS ? 0 : parts >> (from + size) << (from + size);
	}
}

static void put_all(struct runs *runs, const struct tally *tally, bool split)
{
	struct run last = {0};
	runs->count = 0;
	runs->holes = 0;
	for (size_t i = 0; i < tally->count; i++)
		put_row(runs, &last, tally, &tally->rows[i], split);
}

int runs_make(struct runs *runs, const struct tally *tally, size_t limit)
{
	*runs = (struct runs){0};
	put_all(runs, tally, true);
	bool split = runs->count <= limit;
	if (!split)
		put_all(runs, tally, false);
	runs->rows = malloc((runs->count + 1) * sizeof(*runs->rows));
	if (!runs->rows)
		return -ENOMEM;
	put_all(runs, tally, split);
	return 0;
}

void runs_free(struct runs *runs)
{
	free(runs->rows);
	*runs = (struct runs){0};
}
