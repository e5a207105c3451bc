/* SPDX-License-Identifier: MIT */
/*
 * runs.h: a tally of faults as a page shows it: pages in a row that were touched in the same step
 * of time, by the same thread from the same place, are one run.
 */
#ifndef FAULTLINE_HTML_RUNS_H
#define FAULTLINE_HTML_RUNS_H

#include "tally.h"

struct run {
	struct tally_key key; /* `block` means nothing here */
	uint64_t page, pages; /* page numbers */
	uint64_t faults, bytes;
};

struct runs {
	struct run *rows; /* by time */
	size_t count;
	uint64_t holes; /* runs with pages in them that were not touched */
};

/*
 * Makes at most `limit` runs, when the tally has no more rows than that. Where all are not too
 * many, runs have no holes. The tally must be sorted. 0 or -ENOMEM.
 */
int runs_make(struct runs *runs, const struct tally *tally, size_t limit);
void runs_free(struct runs *runs);

#endif
