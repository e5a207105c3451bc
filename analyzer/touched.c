/* SPDX-License-Identifier: MIT */
/*
 * touched.c: a set of pages, and what they come to in bytes.
 */
#include "touched.h"

void touched_start(struct touched *touched, uint64_t start, uint64_t size, uint64_t page_size)
{
	/* a range that ends behind the last address comes from a damaged trace */
	if (size > UINT64_MAX - start)
		size = UINT64_MAX - start;
	*touched = (struct touched){.start = start, .size = size, .page_size = page_size};
}

void touched_free(struct touched *touched)
{
	page_set_clear(&touched->pages);
}

/* Cuts [*from, *to) down to the range. */
static void clip(const struct touched *touched, uint64_t *from, uint64_t *to)
{
	uint64_t end = touched->start + touched->size;
	if (*from < touched->start)
		*from = touched->start;
	if (*to > end)
		*to = end;
}

uint64_t touched_overlap(const struct touched *touched, uint64_t from, uint64_t to)
{
	clip(touched, &from, &to);
	return from < to ? to - from : 0;
}

/* How much of a page, counted from the first of the range, lies outside of the range. */
static uint64_t outside(const struct touched *touched, uint64_t page)
{
	uint64_t from = (touched->start / touched->page_size + page) * touched->page_size;
	uint64_t to = from + (touched->page_size - 1);
	uint64_t last = touched->start + touched->size - 1;
	uint64_t bytes = from < touched->start ? touched->start - from : 0;
	return to > last ? bytes + (to - last) : bytes;
}

/* The same of a page that is not in the set yet. */
static uint64_t new_outside(const struct touched *touched, uint64_t page)
{
	uint64_t bytes = outside(touched, page);
	return bytes > 0 && !page_set_has(&touched->pages, page) ? bytes : 0;
}

int touched_add(struct touched *touched, uint64_t from, uint64_t to, uint64_t *added)
{
	*added = 0;
	clip(touched, &from, &to);
	if (from >= to)
		return 0;
	uint64_t base = touched->start / touched->page_size;
	uint64_t first = from / touched->page_size - base;
	uint64_t last = (to - 1) / touched->page_size - base;
	uint64_t before = touched->pages.count;
	uint64_t beyond = new_outside(touched, first);
	if (last != first)
		beyond += new_outside(touched, last);
	int result = page_set_add(&touched->pages, first, last);
	if (result == 0)
		*added = (touched->pages.count - before) * touched->page_size - beyond;
	touched->bytes += *added;
	return result;
}
