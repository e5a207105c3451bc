/* SPDX-License-Identifier: MIT */
/* row_spool.c: rows of many lists, put in any order, are read list by list in the order they came.
 */
#include "row_spool.h"
#include "check.h"

#include <errno.h>
#include <inttypes.h>

#define LISTS 300

struct row {
	uint64_t list, number;
	char filling[13]; /* no power of two */
};

/* How many rows list i gets: none, some, a full block, several blocks and a bit. */
static uint64_t rows_of(uint32_t list)
{
	static const uint64_t counts[] = {0, 1, 63, 64, 65, 128, 1000};

	return counts[list % (sizeof(counts) / sizeof(counts[0]))];
}

static void fill(struct row_spool *spool)
{
	uint64_t put[LISTS] = {0}, left = 0;

	for (uint32_t i = 0; i < LISTS; i++)
		left += rows_of(i);
	while (left > 0) {
		uint32_t list = (uint32_t)random() % LISTS;
		struct row row = {.list = list, .number = put[list]};

		if (put[list] == rows_of(list))
			continue;
		if (!CHECK(row_spool_add(spool, list, &row) == 0, "list %u", list))
			return;
		put[list]++;
		left--;
	}
}

static void read_list(struct row_spool *spool, uint32_t list)
{
	struct row row;
	uint64_t number = 0;

	row_spool_rewind(spool, list);
	while (row_spool_next(spool, &row) > 0) {
		if (!CHECK(row.list == list && row.number == number,
			"list %u, row %" PRIu64 ": %" PRIu64 ", %" PRIu64, list, number, row.list,
			row.number))
			return;
		number++;
	}
	CHECK(number == rows_of(list) && row_spool_count(spool, list) == number,
	    "list %u: %" PRIu64 " of %" PRIu64, list, number, rows_of(list));
}

static void test_lists(void)
{
	struct row_spool *spool;

	if (!CHECK(row_spool_create(&spool, sizeof(struct row)) == 0, "create"))
		return;
	fill(spool);
	for (uint32_t list = LISTS + 2; list-- > 0;)
		if (list < LISTS)
			read_list(spool, list);
		else
			CHECK(row_spool_count(spool, list) == 0, "list %u", list);
	/* again, and half of one before another */
	read_list(spool, 6);
	row_spool_rewind(spool, 13);
	for (struct row row; row_spool_next(spool, &row) > 0 && row.number < 500;)
		;
	read_list(spool, 6);
	row_spool_destroy(spool);
	row_spool_destroy(NULL);
}

static void test_no_folder(void)
{
	struct row_spool *spool;

	setenv("TMPDIR", "/nonexistent", 1);
	CHECK(row_spool_create(&spool, 8) == -ENOENT, "created");
	row_spool_destroy(spool);
	unsetenv("TMPDIR");
}

int main(void)
{
	check_case("row_spool: lists are read as they were put", test_lists);
	check_case("row_spool: says that there is no folder", test_no_folder);
	return check_result();
}
