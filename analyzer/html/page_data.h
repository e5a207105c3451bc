/* SPDX-License-Identifier: MIT */
/*
 * page_data.h: a collection cut down to what fits on a page. All sums stay; what was put together
 * is noted.
 */
#ifndef FAULTLINE_HTML_PAGE_DATA_H
#define FAULTLINE_HTML_PAGE_DATA_H

#include "collection.h"
#include "numbering.h"
#include "page_places.h"
#include "runs.h"

struct page_data {
	/*
	 * Borrowed. Its tallies have the numbers of `places`, and of `threads` + 1 (0: none), and
	 * are in the order of time.
	 */
	struct collection *collection;
	struct page_places places;
	struct numbering threads, processes;   /* of indices of the trace */
	struct runs runs;		       /* of the map */
	const struct profile_region **regions; /* by process and address */
	size_t region_count, region_total;     /* on the page; that were touched at all */
	/*
	 * Steps are 2^shift ns. Time begins and ends where one of the longest steps does; each of
	 * those is made of whole steps of every tally.
	 */
	unsigned shortest_shift, longest_shift;
	uint64_t start_ns, end_ns;
};

/* 0 or -ENOMEM. */
int page_data_make(struct page_data *data, struct collection *collection,
    const struct location_request *locations);
void page_data_free(struct page_data *data);

#endif
