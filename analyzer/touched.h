/* SPDX-License-Identifier: MIT */
/*
 * touched.h: which pages of a range of memory were touched, each counted once. A bit a page; the
 * bits of a huge range that is hardly touched cost hardly any memory.
 */
#ifndef FAULTLINE_TOUCHED_H
#define FAULTLINE_TOUCHED_H

#include <stdint.h>

struct touched {
	uint64_t start, size; /* bytes */
	uint64_t page_bytes;  /* the unit: what one fault brings in */
	uint64_t bytes;	      /* of the range that were touched, at most `size` */
	uint64_t few;	      /* the bits of ranges of up to 64 pages */
	uint64_t *many;	      /* those of others, NULL until the first touch */
};

/* page_bytes must not be 0. */
void touched_start(struct touched *touched, uint64_t start, uint64_t size, uint64_t page_bytes);
void touched_free(struct touched *touched);

/*
 * The page at `address` was touched. Returns how many bytes of the range that adds: 0 when the
 * page was touched before or lies outside.
 */
uint64_t touched_add(struct touched *touched, uint64_t address);

/* How much of the page at `address` lies in the range, bytes. */
uint64_t touched_overlap(const struct touched *touched, uint64_t address);

/* The range moved or changed its size; its pages keep their bits as far as they still exist. */
void touched_move(struct touched *touched, uint64_t start, uint64_t size);

#endif
