/* SPDX-License-Identifier: MIT */
/*
 * page_places.h: the code that a page speaks of. Places stand for stacks, origins for what was
 * asked for there:
 *
 *   place ----> node of the tree of calls, and
 *        \----> site: the function and line that stand for the stack
 *   origin ---> place
 *
 * Keys of tallies have their numbers. Both can be cut down: then several become one, and the
 * tallies are given the new numbers.
 */
#ifndef FAULTLINE_HTML_PAGE_PLACES_H
#define FAULTLINE_HTML_PAGE_PLACES_H

#include "call_tree.h"
#include "collection.h"

/* Stacks with the same function and line have one. */
struct page_site {
	const struct code_function *function; /* NULL: of the sites that were cut */
	int line;			      /* 0: not known */
	uint64_t offset;		      /* in the module, where no line is known */
};

struct page_place {
	uint32_t node, site;
};

/* Number 0: not told. */
struct page_origin {
	uint32_t place;
	const char *how; /* the function that was called, or the source of the region */
	bool is_allocation;
	bool is_told; /* a mapping that malloc made for an allocation, which is told as that one */
};

struct page_places {
	struct code_names *names;
	struct call_tree tree;
	struct page_site *sites;
	struct page_place *places;
	struct page_origin *origins;
	uint32_t site_count, place_count, origin_count;
	uint32_t cut_sites; /* how many became one */
};

/* Of a collection whose keys are as it made them. 0 or -ENOMEM. */
int page_places_make(struct page_places *places, const struct collection *collection,
    const struct location_request *locations);

/*
 * Keeps so many of the heaviest nodes and sites, and gives the collection's keys the numbers that
 * places and origins then have. Can be done again, with less. 0 or -ENOMEM.
 */
int page_places_cut(
    struct page_places *places, struct collection *collection, uint32_t nodes, uint32_t sites);

void page_places_free(struct page_places *places);

#endif
