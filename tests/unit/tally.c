/* SPDX-License-Identifier: MIT */
/*
 * tally.c: what a page keeps of faults: sums that stay exact and pages that stay covered, however
 * little room there is, and runs that say exactly which pages where there is room for that.
 */
#include "html/tally.h"
#include "html/runs.h"

#include "check.h"

#define FAULTS	   20000
#define THREADS	   3
#define PLACES	   10
#define PAGES	   4096 /* of each of a few regions */
#define REGIONS	   5
#define FIRST_PAGE 0x7f0000000
#define MS	   1000000

struct fault {
	int64_t time_ns;
	uint64_t page;
	uint32_t thread, place;
};

static struct fault faults[FAULTS];
static uint64_t state = 1;

static uint64_t any(uint64_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % below;
}

/* Half of them go through their region page by page, as programs do, the others anywhere. */
static void make_faults(void)
{
	for (size_t i = 0; i < FAULTS; i++) {
		uint64_t region = any(REGIONS), page = i % 2 ? any(PAGES) : i / 2 % PAGES;
		faults[i] = (struct fault){(int64_t)(i * MS / 10 + (i % 2 ? any(2 * MS) : 0)),
		    FIRST_PAGE + (i % 2 ? region : 0) * 10 * PAGES + page,
		    (uint32_t)(i % 2 ? 1 + any(THREADS) : 1), (uint32_t)(i % 2 ? any(PLACES) : 0)};
	}
}

static bool fill(struct tally *tally, size_t limit)
{
	if (!CHECK(tally_start(tally, limit, TALLY_MAP) == 0, "no memory"))
		return false;
	for (size_t i = 0; i < FAULTS; i++) {
		const struct tally_row row = {
		    .key = {.thread = faults[i].thread, .place = faults[i].place},
		    .count = 1,
		    .bytes = 4096,
		};
		if (!CHECK(tally_map(tally, &row, faults[i].time_ns, faults[i].page, 1) == 0,
			"no memory"))
			return false;
	}
	return true;
}

/* Each thread and place has as many faults as it had, and each fault lies in a row. */
static void check_rows(const struct tally *tally)
{
	static uint64_t sums[THREADS + 1][PLACES], wanted[THREADS + 1][PLACES];
	memset(sums, 0, sizeof(sums));
	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < tally->count; i++) {
		const struct tally_row *row = &tally->rows[i];
		sums[row->key.thread][row->key.place] += row->count;
		CHECK(row->bytes == row->count * 4096, "row %zu has %llu bytes", i,
		    (unsigned long long)row->bytes);
		CHECK(row->key.step >= tally->first_step && row->key.step <= tally->last_step,
		    "row %zu is of no step", i);
	}
	for (size_t i = 0; i < FAULTS; i++)
		wanted[faults[i].thread][faults[i].place]++;
	CHECK(memcmp(sums, wanted, sizeof(sums)) == 0, "sums of threads and places differ");
}

static bool lies_in(
    const struct tally *tally, const struct fault *fault, const struct tally_row *row)
{
	uint64_t part = fault->page >> tally->block_shift;
	return row->key.thread == fault->thread && row->key.place == fault->place &&
	       row->key.step == (uint64_t)fault->time_ns >> tally->step_shift &&
	       row->key.block == part / TALLY_BLOCK_PARTS &&
	       row->parts >> part % TALLY_BLOCK_PARTS & 1;
}

static void check_places(const struct tally *tally)
{
	for (size_t i = 0; i < FAULTS; i += 97) {
		size_t row = 0;
		while (row < tally->count && !lies_in(tally, &faults[i], &tally->rows[row]))
			row++;
		CHECK(row < tally->count, "fault %zu lies in no row", i);
	}
}

static void roomy(void)
{
	struct tally tally;
	if (fill(&tally, FAULTS)) {
		CHECK(tally.block_shift == 0, "blocks of %u", tally.block_shift);
		CHECK(tally.last_step - tally.first_step < TALLY_MOST_STEPS, "too many steps");
		CHECK(tally.last_step - tally.first_step >= 1024 - 1, "steps are too coarse");
		check_rows(&tally);
		check_places(&tally);
	}
	tally_free(&tally);
}

static void tight(void)
{
	struct tally tally;
	if (fill(&tally, 2000)) {
		CHECK(tally.count <= 2000, "%zu rows", tally.count);
		check_rows(&tally);
		check_places(&tally);
		CHECK(tally_reduce(&tally, 1200, 16), "cannot be reduced");
		CHECK(tally.count <= 1200, "%zu rows", tally.count);
		check_rows(&tally);
		check_places(&tally);
	}
	tally_free(&tally);
}

/* Less room than there are threads and places, which may not be forgotten: it grows instead of
 * joining what is not alike. */
static void too_tight(void)
{
	struct tally tally;
	if (fill(&tally, 16)) {
		CHECK(!tally_reduce(&tally, 16, 16), "what is not alike was joined");
		check_rows(&tally);
	}
	tally_free(&tally);
}

static void joined(void)
{
	struct tally tally;
	if (fill(&tally, FAULTS)) {
		uint64_t count = 0;
		for (size_t i = 0; i < tally.count; i++) {
			tally.rows[i].key.thread = tally.rows[i].key.place = 0;
			tally.rows[i].key.step = tally.first_step;
		}
		tally_join(&tally);
		for (size_t i = 0; i < tally.count; i++)
			count += tally.rows[i].count;
		CHECK(count == FAULTS, "%llu faults", (unsigned long long)count);
		CHECK(
		    tally.count <= REGIONS * (PAGES / TALLY_BLOCK_PARTS), "%zu rows", tally.count);
	}
	tally_free(&tally);
}

/* Pages in a row are one run; nothing that was not touched is in one, and nothing lacks. */
static void exact_runs(void)
{
	struct tally tally;
	struct runs runs = {0};
	uint64_t pages = 0, count = 0, bytes = 0, wanted = 0;
	if (fill(&tally, FAULTS)) {
		tally_sort(&tally);
		CHECK(runs_make(&runs, &tally, FAULTS) == 0, "no memory");
		CHECK(runs.count < FAULTS * 3 / 4, "%zu runs of %d faults", runs.count, FAULTS);
		/* the same page twice in a step leaves a hole in what is known */
		CHECK(runs.holes < FAULTS / 100, "%llu holes", (unsigned long long)runs.holes);
		for (size_t i = 0; i < runs.count; i++) {
			pages += runs.rows[i].pages;
			count += runs.rows[i].faults;
			bytes += runs.rows[i].bytes;
		}
		for (size_t i = 0; i < tally.count; i++)
			wanted += (uint64_t)__builtin_popcountll(tally.rows[i].parts);
		CHECK(count == FAULTS, "%llu faults", (unsigned long long)count);
		CHECK(bytes == (uint64_t)FAULTS * 4096, "%llu bytes", (unsigned long long)bytes);
		CHECK(pages == wanted || runs.holes > 0, "%llu pages, not %llu",
		    (unsigned long long)pages, (unsigned long long)wanted);
	}
	runs_free(&runs);
	tally_free(&tally);
}

/* A step of `pages` pages from `first` on, one fault each, but without page `hole`. */
static void walk(struct tally *tally, uint64_t first, uint64_t pages, uint64_t hole)
{
	const struct tally_row row = {.count = 1, .bytes = 4096};
	tally_start(tally, 100000, TALLY_MAP);
	for (uint64_t page = first; page < first + pages; page++)
		if (page != hole)
			tally_map(tally, &row, 5, page, 1);
	tally_sort(tally);
}

static void one_run(void)
{
	struct tally tally;
	struct runs runs = {0};
	walk(&tally, 1000, 500, 0);
	runs_make(&runs, &tally, 100);
	CHECK(runs.count == 1 && runs.rows[0].page == 1000 && runs.rows[0].pages == 500 &&
		  runs.rows[0].faults == 500 && runs.holes == 0,
	    "%zu runs", runs.count);
	runs_free(&runs);
	tally_free(&tally);

	walk(&tally, 1000, 500, 1100);
	runs_make(&runs, &tally, 100);
	CHECK(runs.count == 2 && runs.rows[0].pages == 100 && runs.rows[1].page == 1101 &&
		  runs.rows[1].faults == 399,
	    "%zu runs with a page left out", runs.count);
	runs_free(&runs);
	/* no room for two: the one that stands for both says that it has a hole */
	runs_make(&runs, &tally, 1);
	CHECK(runs.count == 1 && runs.rows[0].pages == 500 && runs.rows[0].faults == 499 &&
		  runs.holes == 1,
	    "%zu runs, %llu holes", runs.count, (unsigned long long)runs.holes);
	runs_free(&runs);
	tally_free(&tally);
}

/* One fault can bring in many pages: it counts once, and covers them all. */
static void huge_page(void)
{
	struct tally tally;
	struct runs runs = {0};
	const struct tally_row row = {.count = 1, .bytes = 2 << 20};
	tally_start(&tally, 1000, TALLY_MAP);
	tally_map(&tally, &row, 5, 100, 512);
	tally_sort(&tally);
	runs_make(&runs, &tally, 100);
	CHECK(runs.count == 1 && runs.rows[0].page == 100 && runs.rows[0].pages == 512 &&
		  runs.rows[0].faults == 1 && runs.rows[0].bytes == 2 << 20,
	    "%zu runs", runs.count);
	runs_free(&runs);
	/* as only a damaged trace can have it */
	tally_map(&tally, &row, 5, 0, UINT64_MAX >> 12);
	CHECK(tally.count < 1000, "%zu rows", tally.count);
	tally_free(&tally);
}

static void any_time(void)
{
	struct tally tally;
	const struct tally_row row = {.count = 1};
	tally_start(&tally, 1000, TALLY_MAP);
	tally_map(&tally, &row, INT64_MAX, 0, 1);
	tally_map(&tally, &row, -5, 0, 1);
	tally_map(&tally, &row, INT64_MIN, 0, 1);
	CHECK(tally.last_step - tally.first_step < TALLY_MOST_STEPS && tally.first_step == 0,
	    "%u to %u", tally.first_step, tally.last_step);
	CHECK(tally.count == 2 && tally.rows[0].count + tally.rows[1].count == 3, "%zu rows",
	    tally.count);
	tally_free(&tally);
}

/* A map that forgets has a row for each step and block, and names who had most of it. */
static void leader(void)
{
	struct tally tally;
	tally_start(&tally, 1000, TALLY_MAP | TALLY_MAY_FORGET);
	for (uint32_t i = 0; i < 3000; i++) {
		const struct tally_row row = {
		    .key = {.thread = i % 3 ? 7 : 100 + i, .place = i % 3 ? 1 : i}, .count = 1};
		tally_map(&tally, &row, i % 10 * MS, i % 10 * 1000, 1);
	}
	uint64_t count = 0;
	for (size_t i = 0; i < tally.count; i++) {
		count += tally.rows[i].count;
		CHECK(tally.rows[i].key.thread == 7 && tally.rows[i].key.place == 1,
		    "thread %u leads in row %zu", tally.rows[i].key.thread, i);
	}
	CHECK(tally.forgets && tally.count <= 10, "%zu rows", tally.count);
	CHECK(count == 3000, "%llu faults", (unsigned long long)count);
	tally_free(&tally);
}

/* Others give up their threads, and only when steps alone would not do. */
static void threads_forgotten(void)
{
	struct tally tally;
	tally_start(&tally, 1000, TALLY_MAY_FORGET);
	for (uint32_t i = 0; i < 100000; i++) {
		const struct tally_row row = {
		    .key = {.thread = 1 + i % 100, .place = i % 3}, .count = 1, .touched = i};
		tally_add(&tally, &row, i * (int64_t)MS);
	}
	uint64_t count = 0, touched = 0;
	for (size_t i = 0; i < tally.count; i++) {
		count += tally.rows[i].count;
		touched += tally.rows[i].touched;
		CHECK(tally.rows[i].key.thread == 0, "row %zu has a thread", i);
	}
	CHECK(tally.forgets && tally.count <= 1000, "%zu rows", tally.count);
	CHECK(count == 100000 && touched == 100000ull * 99999 / 2, "%llu faults",
	    (unsigned long long)count);
	tally_free(&tally);
}

int main(void)
{
	make_faults();
	check_case("with room everything is exact", roomy);
	check_case("with little room sums stay", tight);
	check_case("what is not alike is not joined", too_tight);
	check_case("what has become alike is joined", joined);
	check_case("runs are the pages that were touched", exact_runs);
	check_case("pages in a row are one run", one_run);
	check_case("a huge page is one fault", huge_page);
	check_case("any time is taken", any_time);
	check_case("a cell of a map names who has most of it", leader);
	check_case("threads are forgotten when nothing else helps", threads_forgotten);
	return check_result();
}
