/* SPDX-License-Identifier: MIT */
/*
 * report_code.c: the sections that are about places in code: where memory is touched (site), and
 * where it is asked for (alloc). Stacks are named by their site; sites with the same function and
 * line are one row.
 */
#include "report.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct location *report_locate_stack(
    struct locations *locations, const struct trace_stack *stack)
{
	const struct trace_frame *frame = locations_site_frame(locations, stack);
	return frame ? locations_site(locations, frame) : NULL;
}

/* Rows by what makes them one: a location and, of allocations, what was called. */
struct merging {
	struct report_table *table;
	struct hash_set rows;
	size_t place, name; /* their columns; name SIZE_MAX: none */
};

struct merging_key {
	const struct location *location; /* NULL: no stack */
	const char *name;
	const struct merging *merging;
};

/* Texts of locations are kept once. With a line the offset is only one of many. */
static bool same_location(const struct location *a, const struct location *b)
{
	if (!a || !b)
		return a == b;
	return a->function == b->function && a->module == b->module && a->file == b->file &&
	       a->line == b->line && (a->file || a->offset == b->offset);
}

static uint64_t hash_location(const struct location *location)
{
	if (!location)
		return 0;
	uint64_t hash = hash_pair((uintptr_t)location->function, (uintptr_t)location->module);
	return location->file
		   ? hash_pair(hash, hash_pair((uintptr_t)location->file, (uint64_t)location->line))
		   : hash_pair(hash, location->offset);
}

static bool same_row(const void *item, const void *key)
{
	const struct report_row *row = item;
	const struct merging_key *wanted = key;
	const struct merging *merging = wanted->merging;
	return same_location(row->cells[merging->place].location, wanted->location) &&
	       (merging->name == SIZE_MAX || row->cells[merging->name].text == wanted->name);
}

/* The row, made if it is new; NULL without memory. */
static struct report_row *find_row(
    struct merging *merging, const struct location *location, const char *name)
{
	struct merging_key key = {location, name, merging};
	uint64_t hash = hash_pair(hash_location(location), (uintptr_t)name);
	struct report_row *row = hash_set_find(&merging->rows, hash, same_row, &key);
	if (row)
		return row;
	row = report_table_row(merging->table, 0);
	if (!row)
		return NULL;
	row->cells[merging->place].location = location;
	if (merging->name != SIZE_MAX)
		row->cells[merging->name].text = name;
	return hash_set_add(&merging->rows, hash, row) == 0 ? row : NULL;
}

enum { SITE_BYTES, SITE_PERCENT, SITE_FAULTS, SITE_READS, SITE_WRITES, SITE_FUNCTION, SITE_WHERE };

static const struct report_column site_columns[] = {
    [SITE_BYTES] = {"bytes", "MiB", REPORT_BYTES},
    [SITE_PERCENT] = {NULL, "%", REPORT_PERCENT},
    [SITE_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [SITE_READS] = {"reads", NULL, REPORT_COUNT},
    [SITE_WRITES] = {"writes", NULL, REPORT_COUNT},
    [SITE_FUNCTION] = {"function", "function", REPORT_FUNCTION},
    [SITE_WHERE] = {NULL, "where", REPORT_WHERE},
};

static int add_to_site(
    struct merging *merging, const struct location *location, const struct profile_sum *sum)
{
	if (sum->faults == 0)
		return 0;
	struct report_row *row = find_row(merging, location, NULL);
	if (!row)
		return -ENOMEM;
	row->weight += sum->bytes;
	row->cells[SITE_BYTES].number += sum->bytes;
	row->cells[SITE_PERCENT].number += sum->bytes;
	row->cells[SITE_FAULTS].number += sum->faults;
	row->cells[SITE_READS].number += sum->reads;
	row->cells[SITE_WRITES].number += sum->writes;
	row->cells[SITE_WHERE].location = location;
	return 0;
}

static int fill_site(const struct report *report, struct report_table *tables)
{
	const struct profile *profile = report->profile;
	struct merging merging = {.table = &tables[0], .place = SITE_FUNCTION, .name = SIZE_MAX};
	int result = add_to_site(&merging, NULL, &profile->no_stack);
	for (uint32_t i = 0; result == 0 && i < trace_stack_count(profile->trace); i++) {
		const struct trace_stack *stack = trace_stack_at(profile->trace, i);
		const struct profile_sum *sum = profile_of_stack(profile, stack);
		if (sum->faults == 0)
			continue;
		const struct location *site = report_locate_stack(report->locations, stack);
		result = site ? add_to_site(&merging, site, sum) : -ENOMEM;
	}
	hash_set_clear(&merging.rows);
	return result;
}

const struct report_section report_site = {
    .name = "site",
    .tables = {{
	.key = "site",
	.title = "Code that touched most memory",
	.columns = site_columns,
	.column_count = sizeof(site_columns) / sizeof(site_columns[0]),
	.sort = "bytes",
	.limit = 15,
    }},
    .fill = fill_site,
};

enum {
	ALLOC_RESERVED,
	ALLOC_TOUCHED,
	ALLOC_WRITTEN,
	ALLOC_READ,
	ALLOC_REUSED,
	ALLOC_NEVER,
	ALLOC_COUNT,
	ALLOC_FREED,
	ALLOC_PEAK,
	ALLOC_FAULTS,
	ALLOC_SOURCE,
	ALLOC_PLACE,
};

static const struct report_column alloc_columns[] = {
    [ALLOC_RESERVED] = {"reserved_bytes", "reserved", REPORT_BYTES},
    [ALLOC_TOUCHED] = {"touched_bytes", NULL, REPORT_BYTES},
    [ALLOC_WRITTEN] = {"written_bytes", "written", REPORT_BYTES},
    [ALLOC_READ] = {"read_only_bytes", "read", REPORT_BYTES},
    [ALLOC_REUSED] = {"reused_bytes", "reused", REPORT_BYTES},
    [ALLOC_NEVER] = {"untouched_bytes", "never", REPORT_BYTES},
    [ALLOC_COUNT] = {"count", "times", REPORT_COUNT},
    [ALLOC_FREED] = {"freed", NULL, REPORT_COUNT},
    [ALLOC_PEAK] = {"peak_bytes", NULL, REPORT_BYTES},
    [ALLOC_FAULTS] = {"faults", NULL, REPORT_COUNT},
    [ALLOC_SOURCE] = {"source", "by", REPORT_NAME},
    [ALLOC_PLACE] = {"function", "function", REPORT_PLACE},
};

/* What was neither touched nor there before. */
static uint64_t untouched(const struct profile_origin *origin)
{
	uint64_t used = origin->touched + origin->present;
	return used < origin->reserved ? origin->reserved - used : 0;
}

static int add_to_alloc(
    struct merging *merging, const struct location *location, const struct profile_origin *origin)
{
	struct report_row *row = find_row(merging, location, origin->source);
	if (!row)
		return -ENOMEM;
	row->weight += origin->reserved;
	row->cells[ALLOC_RESERVED].number += origin->reserved;
	row->cells[ALLOC_TOUCHED].number += origin->touched;
	row->cells[ALLOC_NEVER].number += untouched(origin);
	row->cells[ALLOC_REUSED].number += origin->present;
	row->cells[ALLOC_WRITTEN].number += origin->written;
	row->cells[ALLOC_READ].number += origin->touched - origin->written;
	row->cells[ALLOC_COUNT].number += origin->count;
	row->cells[ALLOC_FREED].number += origin->freed;
	row->cells[ALLOC_PEAK].number += origin->peak;
	row->cells[ALLOC_FAULTS].number += origin->sum.faults;
	return 0;
}

static int fill_alloc(const struct report *report, struct report_table *tables)
{
	const struct profile *profile = report->profile;
	struct merging merging = {.table = &tables[0], .place = ALLOC_PLACE, .name = ALLOC_SOURCE};
	bool *told = profile_told_origins(profile);
	int result = told ? 0 : -ENOMEM;
	for (size_t i = 0; result == 0 && i < profile->origin_count; i++) {
		const struct profile_origin *origin = profile->origins[i];
		const struct location *site = NULL;
		if (told[i])
			continue;
		if (origin->stack &&
		    !(site = report_locate_stack(report->locations, origin->stack)))
			result = -ENOMEM;
		if (result == 0)
			result = add_to_alloc(&merging, site, origin);
	}
	free(told);
	hash_set_clear(&merging.rows);
	return result;
}

const struct report_section report_alloc = {
    .name = "alloc",
    .tables = {{
	.key = "alloc",
	.title = "Memory by who asked for it, in MiB",
	.columns = alloc_columns,
	.column_count = sizeof(alloc_columns) / sizeof(alloc_columns[0]),
	.sort = "reserved_bytes",
	.limit = 15,
    }},
    .fill = fill_alloc,
};
