/* SPDX-License-Identifier: MIT */
/*
 * diff.h: two builds of a program compared: the numbers of their reports side by side, from one
 * trace of each or from several. What is compared are lists of rows; a row of one run is that of
 * another when it has the same words, which hold no address: function, module and source.
 *
 *     diff_create, diff_add for each trace, diff_finish, then look at it
 */
#ifndef FAULTLINE_DIFF_H
#define FAULTLINE_DIFF_H

#include "arena.h"
#include "filter.h"
#include "hash_set.h"
#include "string_table.h"

#include <stdbool.h>
#include <stddef.h>

enum diff_unit { DIFF_BYTES, DIFF_COUNT, DIFF_NS };

/* What is measured: its key is the report's, or is made of it. */
struct diff_measure {
	const char *key, *title;
	enum diff_unit unit;
};
#define DIFF_MEASURES 6

enum { DIFF_TOTAL, DIFF_SOURCE, DIFF_SITE, DIFF_ALLOC, DIFF_LISTS };

struct diff_list_kind {
	const char *key, *title;
	struct diff_measure measures[DIFF_MEASURES];
	size_t measure_count;
};
extern const struct diff_list_kind diff_list_kinds[DIFF_LISTS];

/* Means of the runs of each side, and how likely their difference is by chance (NaN: not known). */
struct diff_change {
	double old_mean, new_mean, p;
};

struct diff_row {
	/* NULL: has none. Texts of one diff are equal when their addresses are. */
	const char *function, *module, *source;
	double *values; /* see diff_values; of runs in which the row is missing 0 */
	struct diff_change changes[DIFF_MEASURES];
};

struct diff_list {
	const struct diff_list_kind *kind;
	struct diff_row **rows; /* after diff_finish: what changed most first */
	size_t row_count, room;
	struct hash_set set;
};

/* One trace. */
struct diff_run {
	const char *path;
	const char *command, *time, *mode, *capture;
	uint64_t page_size, granularity;
	bool is_cut;
};

/* Runs of the old side are numbered first. */
struct diff {
	size_t old_count, run_count;
	struct diff_run *runs;
	struct diff_list lists[DIFF_LISTS];
	size_t added; /* runs */
	struct arena arena;
	struct string_table texts;
};

/* NULL without memory. */
struct diff *diff_create(size_t old_count, size_t new_count);
void diff_destroy(struct diff *diff);

/* Reads the next trace: the old ones first. 0, or negative errno after a message. */
int diff_add(struct diff *diff, const char *path, const struct filter *filter);

/* All are added: compares them. */
void diff_finish(struct diff *diff);

/* A measure of a row, run by run. */
static inline double *diff_values(
    const struct diff *diff, const struct diff_row *row, size_t measure)
{
	return &row->values[measure * diff->run_count];
}

/* Compares values, one a run. */
struct diff_change diff_compare(const struct diff *diff, const double *values);

/* Did any measure change? */
bool diff_has_changed(const struct diff_list *list, const struct diff_row *row);

#endif
