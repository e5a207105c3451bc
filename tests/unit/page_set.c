/* SPDX-License-Identifier: MIT */
/* page_set.c: sets of pages and the touched parts of ranges, against plain arrays of flags. */
#include "page_set.h"
#include "check.h"
#include "touched.h"

#define MOST   20000
#define ROUNDS 60
#define STEPS  200

static unsigned char flags[MOST];

static uint64_t random_below(uint64_t limit)
{
	return (uint64_t)random() % limit;
}

/* A range of pages below the limit, short ones and long ones. */
static void random_range(uint64_t limit, uint64_t *first, uint64_t *last)
{
	*first = random_below(limit);
	*last = random_below(3) == 0 ? *first + random_below(3) : random_below(limit);
	if (*last >= limit)
		*last = limit - 1;
	if (*last < *first) {
		uint64_t swap = *first;

		*first = *last;
		*last = swap;
	}
}

static uint64_t flags_in(uint64_t first, uint64_t last)
{
	uint64_t count = 0;

	for (uint64_t page = first; page <= last; page++)
		count += flags[page];
	return count;
}

static bool same_runs(const struct page_set *set, uint64_t limit)
{
	uint64_t first = 0, last, at = 0;

	for (; page_set_next(set, &first, &last); first = last + 1) {
		for (; at < first; at++)
			if (flags[at])
				return false;
		for (; at <= last; at++)
			if (!flags[at])
				return false;
	}
	return at == limit || flags_in(at, limit - 1) == 0;
}

static void test_ranges(void)
{
	/* One word, a few, one node of words, more than one. */
	static const uint64_t limits[] = {64, 200, 4200, MOST};

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t limit = limits[round % 4], first, last;
		struct page_set set = {0};

		memset(flags, 0, sizeof(flags));
		for (int step = 0; step < STEPS; step++) {
			bool add = random_below(3) > 0;

			random_range(limit, &first, &last);
			CHECK((add ? page_set_add : page_set_remove)(&set, first, last) == 0,
			    "no memory");
			memset(flags + first, add, last - first + 1);
			if (!CHECK(set.count == flags_in(0, limit - 1), "round %d step %d", round,
				step))
				return;
			random_range(limit, &first, &last);
			CHECK(page_set_count(&set, first, last) == flags_in(first, last),
			    "pages %lu to %lu", (unsigned long)first, (unsigned long)last);
			CHECK(page_set_has(&set, first) == flags[first], "page %lu",
			    (unsigned long)first);
			CHECK(same_runs(&set, limit), "runs of round %d step %d", round, step);
		}
		page_set_clear(&set);
	}
}

static void test_whole_address_space(void)
{
	struct page_set set = {0};
	uint64_t first = 1, last;

	CHECK(page_set_add(&set, PAGE_LAST - 5, PAGE_LAST) == 0, "no memory");
	CHECK(set.count == 6 && page_set_has(&set, PAGE_LAST), "the last page");
	CHECK(page_set_next(&set, &first, &last) && first == PAGE_LAST - 5, "the only run");
	CHECK(page_set_add(&set, 0, PAGE_LAST) == 0 && set.count == PAGE_LAST + 1, "all");
	CHECK(page_set_remove(&set, 7, 7) == 0 && set.count == PAGE_LAST, "all but one");
	CHECK(!page_set_has(&set, 7) && page_set_has(&set, 8), "one hole");
	CHECK(page_set_remove(&set, 0, PAGE_LAST) == 0 && set.count == 0, "none");
	page_set_clear(&set);
}

/* Bytes that lie in [start, start + size) of pages whose flag is set. */
static uint64_t expected_bytes(uint64_t start, uint64_t size)
{
	uint64_t bytes = 0;

	for (uint64_t byte = start; byte < start + size; byte++)
		bytes += flags[byte / 512];
	return bytes;
}

static void test_touched(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = random_below(100000), size = random_below(60000);
		uint64_t added, sum = 0;
		struct touched touched;

		memset(flags, 0, sizeof(flags));
		touched_start(&touched, start, size, 512);
		for (int step = 0; step < 50; step++) {
			uint64_t page = random_below(400), pages = 1 + random_below(4);

			CHECK(touched_add(&touched, page * 512, (page + pages) * 512, &added) == 0,
			    "no memory");
			memset(flags + page, 1, pages);
			sum += added;
			CHECK(touched.bytes == expected_bytes(start, size) && sum == touched.bytes,
			    "%lu bytes from %lu", (unsigned long)size, (unsigned long)start);
		}
		touched_free(&touched);
	}
}

static void test_touched_to_the_last_address(void)
{
	struct touched touched;
	uint64_t added;

	touched_start(&touched, UINT64_MAX - 100, 4096, 4096);
	CHECK(touched_add(&touched, UINT64_MAX - 4095, UINT64_MAX, &added) == 0 && added == 100,
	    "%lu bytes", (unsigned long)added);
	touched_free(&touched);
}

int main(void)
{
	check_case("ranges come and go", test_ranges);
	check_case("the whole address space", test_whole_address_space);
	check_case("touched parts of ranges", test_touched);
	check_case("a range that ends at the last address", test_touched_to_the_last_address);
	return check_result();
}
