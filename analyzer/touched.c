/* SPDX-License-Identifier: MIT */
/*
 * touched.c: bitmaps of pages. Ranges that are too large for a bitmap (or when there is no memory
 * for one) count every touch, up to their size.
 */
#include "touched.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS  64
#define PAGE_LIMIT (1ull << 32) /* a bitmap of 512 MiB, nearly all of it never touched */

static uint64_t page_count(const struct touched *touched)
{
	if (touched->size == 0)
		return 0;
	return (touched->start + touched->size - 1) / touched->page_bytes -
	       touched->start / touched->page_bytes + 1;
}

void touched_start(struct touched *touched, uint64_t start, uint64_t size, uint64_t page_bytes)
{
	/* a range that ends behind the last address comes from a damaged trace */
	if (size > UINT64_MAX - start)
		size = UINT64_MAX - start;
	*touched = (struct touched){.start = start, .size = size, .page_bytes = page_bytes};
}

void touched_free(struct touched *touched)
{
	free(touched->many);
	touched->many = NULL;
}

uint64_t touched_overlap(const struct touched *touched, uint64_t address)
{
	uint64_t from = address - address % touched->page_bytes;
	uint64_t to = from + touched->page_bytes;
	uint64_t end = touched->start + touched->size;
	if (to < from || to > end)
		to = end;
	if (from < touched->start)
		from = touched->start;
	return from < to ? to - from : 0;
}

/* Sets the bit of a page: was it clear? With no memory for bits it always was. */
static bool set_bit(struct touched *touched, uint64_t page, uint64_t pages)
{
	uint64_t *word = &touched->few;
	if (pages > WORD_BITS) {
		if (!touched->many && pages <= PAGE_LIMIT)
			touched->many = calloc((pages + WORD_BITS - 1) / WORD_BITS, sizeof(*word));
		if (!touched->many)
			return true;
		word = &touched->many[page / WORD_BITS];
	}
	uint64_t bit = 1ull << (page % WORD_BITS);
	bool was_clear = !(*word & bit);
	*word |= bit;
	return was_clear;
}

uint64_t touched_add(struct touched *touched, uint64_t address)
{
	uint64_t overlap = touched_overlap(touched, address);
	if (overlap == 0)
		return 0;
	uint64_t page = address / touched->page_bytes - touched->start / touched->page_bytes;
	if (!set_bit(touched, page, page_count(touched)))
		return 0;
	if (overlap > touched->size - touched->bytes)
		overlap = touched->size - touched->bytes;
	touched->bytes += overlap;
	return overlap;
}

void touched_move(struct touched *touched, uint64_t start, uint64_t size)
{
	struct touched moved;
	touched_start(&moved, start, size, touched->page_bytes);
	uint64_t before = page_count(touched), pages = page_count(&moved);
	moved.bytes = touched->bytes < moved.size ? touched->bytes : moved.size;
	moved.few = touched->few;
	if (touched->many || (pages > WORD_BITS && touched->few != 0)) {
		size_t words = (size_t)((pages + WORD_BITS - 1) / WORD_BITS);
		size_t old_words = (size_t)((before + WORD_BITS - 1) / WORD_BITS);
		const uint64_t *from = touched->many ? touched->many : &touched->few;
		if (pages > WORD_BITS && pages <= PAGE_LIMIT)
			moved.many = calloc(words, sizeof(uint64_t));
		uint64_t *to = moved.many ? moved.many : &moved.few;
		if (pages <= WORD_BITS || moved.many)
			memcpy(
			    to, from, (old_words < words ? old_words : words) * sizeof(uint64_t));
	}
	free(touched->many);
	*touched = moved;
}
