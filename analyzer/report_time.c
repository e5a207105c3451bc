/* SPDX-License-Identifier: MIT */
/*
 * report_time.c: the section about when memory was touched.
 */
#include "report.h"

#include <errno.h>

#define DEFAULT_ROWS 20

enum { TIME_FROM, TIME_TO, TIME_BYTES, TIME_PERCENT, TIME_FAULTS, TIME_RESIDENT, TIME_BAR };

static const struct report_column time_columns[] = {
    [TIME_FROM] = {"from_ns", "from", REPORT_NS},
    [TIME_TO] = {"to_ns", NULL, REPORT_NS},
    [TIME_BYTES] = {"bytes", "MiB", REPORT_BYTES},
    [TIME_PERCENT] = {NULL, "%", REPORT_PERCENT},
    [TIME_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [TIME_RESIDENT] = {"resident_bytes", "at once", REPORT_BYTES},
    [TIME_BAR] = {NULL, "", REPORT_BAR},
};

/* Buckets [first, end) as one row. */
static int add_row(
    struct report_table *table, const struct profile_time *time, size_t first, size_t end)
{
	struct report_row *row = report_table_row(table, 0);
	if (!row)
		return -ENOMEM;
	row->cells[TIME_FROM].number = (uint64_t)time->bucket_ns * first;
	row->cells[TIME_TO].number = (uint64_t)time->bucket_ns * end;
	for (size_t i = first; i < end && i < time->count; i++) {
		const struct profile_bucket *bucket = &time->buckets[i];
		row->cells[TIME_BYTES].number += bucket->sum.bytes;
		row->cells[TIME_FAULTS].number += bucket->sum.faults;
		if (row->cells[TIME_RESIDENT].number < bucket->resident_bytes)
			row->cells[TIME_RESIDENT].number = bucket->resident_bytes;
	}
	row->weight = row->cells[TIME_BYTES].number;
	row->cells[TIME_PERCENT].number = row->weight;
	row->cells[TIME_BAR].number = row->weight;
	return 0;
}

static int fill_time(const struct report *report, struct report_table *tables)
{
	const struct profile_time *time = &report->profile->time;
	size_t most = report->request->limit == 0 ? DEFAULT_ROWS : report->request->limit;
	size_t together = time->count > most ? (time->count + most - 1) / most : 1;
	for (size_t first = 0; first < time->count; first += together)
		if (add_row(&tables[0], time, first, first + together) < 0)
			return -ENOMEM;
	return 0;
}

const struct report_section report_time = {
    .name = "time",
    .tables = {{
	.key = "time",
	.title = "Memory touched over time, in MiB and seconds",
	.columns = time_columns,
	.column_count = sizeof(time_columns) / sizeof(time_columns[0]),
	.limit = DEFAULT_ROWS,
    }},
    .fill = fill_time,
};
