/* SPDX-License-Identifier: MIT */
/*
 * page_set.h: a set of page numbers. A tree of 64-way nodes, in which a part that is full or empty
 * costs nothing: memory grows with what is in the set, wherever that lies and however many pages
 * one fault brings in. Ranges are [first, last], both included and at most PAGE_LAST.
 *
 *     root, height 2      mask    which children there are, packed in an array
 *      |                  full    which children hold all their pages, and need no memory
 *     node ... node
 *      |
 *     64 bits ... 64 bits          a page each
 */
#ifndef FAULTLINE_PAGE_SET_H
#define FAULTLINE_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

/* The largest number: what ten levels hold, and more than there are pages in 64 bits of address. */
#define PAGE_LAST ((UINT64_C(1) << 60) - 1)

union page_child {
	uint64_t bits;		/* of the lowest level */
	struct page_node *node; /* of the others */
};

/* A zeroed set is empty. */
struct page_set {
	union page_child root;
	unsigned height; /* of the root: it spans 64^(height + 1) pages */
	uint64_t count;	 /* pages in the set */
};

void page_set_clear(struct page_set *set);

bool page_set_has(const struct page_set *set, uint64_t page);

/* How many pages of the range are in the set. */
uint64_t page_set_count(const struct page_set *set, uint64_t first, uint64_t last);

/*
 * Adds or removes the pages of the range. 0, or -ENOMEM with some of them done. set->count tells
 * how many it made a difference to.
 */
int page_set_add(struct page_set *set, uint64_t first, uint64_t last);
int page_set_remove(struct page_set *set, uint64_t first, uint64_t last);

/*
 * The next run of pages that are in the set, from *first on, which a caller sets to where to look
 * (0 for all): *first and *last become its ends, as far as they lie in one leaf or full part (the
 * next call may go on where it ends). False when there is none.
 */
bool page_set_next(const struct page_set *set, uint64_t *first, uint64_t *last);

#endif
