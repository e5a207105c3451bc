/* SPDX-License-Identifier: MIT */
/*
 * touched.h: which pages of a range of memory were touched, each counted once. A page that lies in
 * the range only partly counts with that part.
 */
#ifndef FAULTLINE_TOUCHED_H
#define FAULTLINE_TOUCHED_H

#include "page_set.h"

#include <stdint.h>

/* The range; a zeroed one has no bytes. The page size is a power of two, 512 at least. */
struct touched {
	uint64_t start, size;  /* bytes */
	uint64_t page_size;    /* bytes */
	uint64_t bytes;	       /* of the range that were touched, at most `size` */
	struct page_set pages; /* the first page of the range is number 0 */
};

/* The range is cut at the last address. */
void touched_start(struct touched *touched, uint64_t start, uint64_t size, uint64_t page_size);
void touched_free(struct touched *touched);

/*
 * The pages from address `from` to `to` (not included) were touched, as far as they lie in the
 * range. *added becomes the bytes of it that were not touched before. 0 or -ENOMEM.
 */
int touched_add(struct touched *touched, uint64_t from, uint64_t to, uint64_t *added);

/* How many bytes of [from, to) lie in the range. */
uint64_t touched_overlap(const struct touched *touched, uint64_t from, uint64_t to);

#endif
