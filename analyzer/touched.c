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

/* How much of a page, counted from the first of the range, lies in the range. */
static uint64_t bytes_of_page(const struct touched *touched, uint64_t page)
{
	uint64_t from = (touched->start / touched->page_size + page) * touched->page_size;
	uint64_t to = from + (touched->page_size - 1);
	uint64_t last = touched->start + touched->size - 1;
	if (from < touched->start)
		from = touched->start;
	return (to < last ? to : last) - from + 1;
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
	bool had_first = page_set_has(&touched->pages, first);
	bool had_last = page_set_has(&touched->pages, last);
	int result = page_set_add(&touched->pages, first, last);
	uint64_t bytes = (touched->pages.count - before) * touched->page_size;
	if (result == 0 && !had_first)
		bytes -= touched->page_size - bytes_of_page(touched, first);
	if (result == 0 && !had_last && last != first)
		bytes -= touched->page_size - bytes_of_page(touched, last);
	if (result == 0)
		*added = bytes;
	touched->bytes += *added;
	return result;
}
