/* SPDX-License-Identifier: MIT */
/*
 * report_who.c: the sections about threads, processes and regions.
 */
#include "report.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	THREAD_BYTES,
	THREAD_PERCENT,
	THREAD_FAULTS,
	THREAD_OWN,
	THREAD_OTHERS,
	THREAD_GIVEN,
	THREAD_PID,
	THREAD_TID,
	THREAD_NAME,
};

static const struct report_column thread_columns[] = {
    [THREAD_BYTES] = {"bytes", "MiB", REPORT_BYTES},
    [THREAD_PERCENT] = {NULL, "%", REPORT_PERCENT},
    [THREAD_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [THREAD_OWN] = {"own_bytes", "own", REPORT_BYTES},
    [THREAD_OTHERS] = {"others_bytes", "others'", REPORT_BYTES},
    [THREAD_GIVEN] = {"given_bytes", "given", REPORT_BYTES},
    [THREAD_PID] = {"pid", "pid", REPORT_ID},
    [THREAD_TID] = {"tid", "tid", REPORT_ID},
    [THREAD_NAME] = {"name", "name", REPORT_NAME},
};

enum {
	SHARE_BYTES,
	SHARE_FAULTS,
	SHARE_PID,
	SHARE_TID,
	SHARE_NAME,
	SHARE_OWNER_PID,
	SHARE_OWNER_TID,
	SHARE_OWNER_NAME,
};

static const struct report_column share_columns[] = {
    [SHARE_BYTES] = {"bytes", "MiB", REPORT_BYTES},
    [SHARE_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [SHARE_PID] = {"pid", NULL, REPORT_ID},
    [SHARE_TID] = {"tid", "tid", REPORT_ID},
    [SHARE_NAME] = {"name", "touched by", REPORT_NAME},
    [SHARE_OWNER_PID] = {"owner_pid", NULL, REPORT_ID},
    [SHARE_OWNER_TID] = {"owner_tid", "tid", REPORT_ID},
    [SHARE_OWNER_NAME] = {"owner_name", "asked for by", REPORT_NAME},
};

/* Memory that one thread asked for and another touched. */
static int add_shares(const struct report *report, struct report_table *table)
{
	for (size_t i = 0; i < report->profile->share_count; i++) {
		const struct profile_share *share = report->profile->shares[i];
		if (share->toucher == share->owner)
			continue;
		struct report_row *row = report_table_row(table, share->bytes);
		if (!row)
			return -ENOMEM;
		row->cells[SHARE_BYTES].number = share->bytes;
		row->cells[SHARE_FAULTS].number = share->faults;
		row->cells[SHARE_PID].number = (uint64_t)share->toucher->process->pid;
		row->cells[SHARE_TID].number = (uint64_t)share->toucher->tid;
		row->cells[SHARE_NAME].text = share->toucher->name;
		row->cells[SHARE_OWNER_PID].number = (uint64_t)share->owner->process->pid;
		row->cells[SHARE_OWNER_TID].number = (uint64_t)share->owner->tid;
		row->cells[SHARE_OWNER_NAME].text = share->owner->name;
	}
	return 0;
}

static int fill_thread(const struct report *report, struct report_table *tables)
{
	const struct profile *profile = report->profile;
	for (size_t i = 0; i < profile->thread_room; i++) {
		const struct profile_thread *thread = &profile->threads[i];
		if (!thread->thread || !thread->thread->kept)
			continue;
		struct report_row *row = report_table_row(&tables[0], thread->sum.bytes);
		if (!row)
			return -ENOMEM;
		row->cells[THREAD_BYTES].number = thread->sum.bytes;
		row->cells[THREAD_PERCENT].number = thread->sum.bytes;
		row->cells[THREAD_FAULTS].number = thread->sum.faults;
		row->cells[THREAD_OWN].number = thread->own_bytes;
		row->cells[THREAD_OTHERS].number = thread->others_bytes;
		row->cells[THREAD_GIVEN].number = thread->given_bytes;
		row->cells[THREAD_PID].number = (uint64_t)thread->thread->process->pid;
		row->cells[THREAD_TID].number = (uint64_t)thread->thread->tid;
		row->cells[THREAD_NAME].text = thread->thread->name;
	}
	return add_shares(report, &tables[1]);
}

const struct report_section report_thread = {
    .name = "thread",
    .tables = {{
		   .key = "thread",
		   .title = "Threads: what they touched, of their own memory and of others'",
		   .columns = thread_columns,
		   .column_count = COUNT(thread_columns),
		   .sort = "bytes",
		   .limit = 15,
	       },
	{
	    .key = "thread_share",
	    .title = "Memory that one thread asked for and another touched first",
	    .columns = share_columns,
	    .column_count = COUNT(share_columns),
	    .sort = "bytes",
	    .limit = 15,
	}},
    .fill = fill_thread,
};

enum {
	PROCESS_BYTES,
	PROCESS_PEAK,
	PROCESS_FAULTS,
	PROCESS_REGIONS,
	PROCESS_ALLOCS,
	PROCESS_START,
	PROCESS_END,
	PROCESS_PID,
	PROCESS_PPID,
	PROCESS_NS_PID,
	PROCESS_STATUS,
	PROCESS_SIGNAL,
	PROCESS_ENDED_BY,
	PROCESS_EXE,
	PROCESS_COMMAND,
};

static const struct report_column process_columns[] = {
    [PROCESS_BYTES] = {"bytes", "MiB", REPORT_BYTES},
    [PROCESS_PEAK] = {"peak_bytes", "at once", REPORT_BYTES},
    [PROCESS_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [PROCESS_REGIONS] = {"regions", NULL, REPORT_COUNT},
    [PROCESS_ALLOCS] = {"allocs", NULL, REPORT_COUNT},
    [PROCESS_START] = {"start_ns", "from", REPORT_NS},
    [PROCESS_END] = {"end_ns", "to", REPORT_NS},
    [PROCESS_PID] = {"pid", "pid", REPORT_ID},
    [PROCESS_PPID] = {"ppid", "parent", REPORT_ID},
    [PROCESS_NS_PID] = {"ns_pid", NULL, REPORT_ID},
    [PROCESS_STATUS] = {"status", NULL, REPORT_ID},
    [PROCESS_SIGNAL] = {"signal", NULL, REPORT_ID},
    [PROCESS_ENDED_BY] = {"ended_by", NULL, REPORT_NAME},
    [PROCESS_EXE] = {"exe", NULL, REPORT_NAME},
    [PROCESS_COMMAND] = {"command", "command", REPORT_NAME},
};

/* Negative: not told. */
static uint64_t known(int64_t number)
{
	return number < 0 ? REPORT_UNKNOWN : (uint64_t)number;
}

static uint64_t known_id(int64_t number)
{
	return number <= 0 ? REPORT_UNKNOWN : (uint64_t)number;
}

static const char *known_text(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static int fill_process(const struct report *report, struct report_table *tables)
{
	const struct profile *profile = report->profile;
	for (size_t i = 0; i < profile->process_room; i++) {
		const struct profile_process *sums = &profile->processes[i];
		const struct trace_process *process = sums->process;
		if (!process || !process->kept)
			continue;
		struct report_row *row = report_table_row(&tables[0], sums->sum.bytes);
		if (!row)
			return -ENOMEM;
		row->cells[PROCESS_BYTES].number = sums->sum.bytes;
		row->cells[PROCESS_PEAK].number = sums->peak_bytes;
		row->cells[PROCESS_FAULTS].number = sums->sum.faults;
		row->cells[PROCESS_REGIONS].number = sums->regions;
		row->cells[PROCESS_ALLOCS].number = sums->allocs;
		row->cells[PROCESS_START].number = known(process->start_ns);
		row->cells[PROCESS_END].number = known(process->end_ns);
		row->cells[PROCESS_PID].number = (uint64_t)process->pid;
		row->cells[PROCESS_PPID].number = known_id(process->ppid);
		row->cells[PROCESS_NS_PID].number = known_id(process->ns_pid);
		row->cells[PROCESS_STATUS].number = known(process->status);
		row->cells[PROCESS_SIGNAL].number = known(process->signal);
		row->cells[PROCESS_ENDED_BY].text = known_text(process->ended_by);
		row->cells[PROCESS_EXE].text = known_text(process->exe);
		row->cells[PROCESS_COMMAND].text =
		    known_text(process->command[0] != '\0' ? process->command : process->exe);
	}
	return 0;
}

const struct report_section report_process = {
    .name = "process",
    .tables = {{
	.key = "process",
	.title = "Processes, in MiB and seconds",
	.columns = process_columns,
	.column_count = COUNT(process_columns),
	.sort = "bytes",
	.limit = 15,
    }},
    .fill = fill_process,
};

enum {
	REGION_RESERVED,
	REGION_TOUCHED,
	REGION_WRITTEN,
	REGION_BYTES,
	REGION_FAULTS,
	REGION_TIME,
	REGION_END,
	REGION_SOURCE,
	REGION_MEMORY,
	REGION_PAGE_SIZE,
	REGION_ID,
	REGION_PID,
	REGION_TID,
	REGION_START,
	REGION_PLACE,
};

static const struct report_column region_columns[] = {
    [REGION_RESERVED] = {"reserved_bytes", "reserved", REPORT_BYTES},
    [REGION_TOUCHED] = {"touched_bytes", "touched", REPORT_BYTES},
    [REGION_WRITTEN] = {"written_bytes", NULL, REPORT_BYTES},
    [REGION_BYTES] = {"bytes", NULL, REPORT_BYTES},
    [REGION_FAULTS] = {"faults", "faults", REPORT_COUNT},
    [REGION_TIME] = {"time_ns", "from", REPORT_NS},
    [REGION_END] = {"end_ns", "to", REPORT_NS},
    [REGION_ID] = {"id", "id", REPORT_ID},
    [REGION_PID] = {"pid", NULL, REPORT_ID},
    [REGION_TID] = {"tid", NULL, REPORT_ID},
    [REGION_START] = {"start", NULL, REPORT_ADDRESS},
    [REGION_SOURCE] = {"source", "source", REPORT_NAME},
    [REGION_MEMORY] = {"memory", NULL, REPORT_NAME},
    [REGION_PAGE_SIZE] = {"page_size", NULL, REPORT_BYTES},
    [REGION_PLACE] = {"function", "function", REPORT_PLACE},
};

static int fill_region(const struct report *report, struct report_table *tables)
{
	const struct profile *profile = report->profile;
	for (size_t i = 0; i < profile->region_count; i++) {
		const struct profile_region *region = profile->regions[i];
		struct report_row *row = report_table_row(&tables[0], region->sum.bytes);
		if (!row)
			return -ENOMEM;
		row->cells[REGION_RESERVED].number = region->size;
		row->cells[REGION_TOUCHED].number = region->touched;
		row->cells[REGION_WRITTEN].number = region->written;
		row->cells[REGION_BYTES].number = region->sum.bytes;
		row->cells[REGION_FAULTS].number = region->sum.faults;
		row->cells[REGION_TIME].number = known(region->time_ns);
		row->cells[REGION_END].number = known(region->end_ns);
		row->cells[REGION_ID].number = (uint64_t)region->id;
		row->cells[REGION_PID].number = (uint64_t)region->process->pid;
		row->cells[REGION_TID].number =
		    region->thread ? (uint64_t)region->thread->tid : REPORT_UNKNOWN;
		row->cells[REGION_START].number = region->start;
		row->cells[REGION_SOURCE].text = region->source;
		row->cells[REGION_MEMORY].text = known_text(region->memory);
		row->cells[REGION_PAGE_SIZE].number = region->page_size;
		if (region->stack && !(row->cells[REGION_PLACE].location =
					     report_locate_stack(report->locations, region->stack)))
			return -ENOMEM;
	}
	return 0;
}

const struct report_section report_region = {
    .name = "region",
    .tables = {{
	.key = "region",
	.title = "Regions, in MiB and seconds",
	.columns = region_columns,
	.column_count = COUNT(region_columns),
	.sort = "touched_bytes",
	.limit = 15,
    }},
    .fill = fill_region,
};
