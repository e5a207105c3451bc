/* SPDX-License-Identifier: MIT */
/*
 * export_firefox.c: a processed profile for the Firefox Profiler (profiler.firefox.com), version 60
 * of its format; it brings older ones up to date itself. A thread has
 *
 *     samples            a fault each: the call tree counts faults
 *     nativeAllocations  the bytes that each fault brought in: the call tree counts memory
 *     markers            a fault or an allocation each, with all that is known of it
 *
 * and a process a counter of the memory that it has touched and not given back. All these are
 * tables of columns by thread, where the trace has rows of all threads: rows wait in spools until
 * the end.
 */
#include "code_names.h"
#include "command.h"
#include "export_text.h"
#include "firefox_tables.h"
#include "memory_counter.h"
#include "row_spool.h"

#include <errno.h>
#include <stdlib.h>

#define FORMAT_VERSION 60
#define GECKO_VERSION  31 /* of the browser's own format, which this could have been made from */

/* Of a thread. Strings live as long as the trace. */
struct event_row {
	int64_t time_ns;
	uint64_t address, bytes;
	/* of a fault, "" for none; of an allocation the function that made it */
	const char *source;
	uint32_t stack; /* the trace's index, or FIREFOX_NO_STACK */
	uint8_t is_allocation, access, kind, origin;
};

/* Of a process. */
struct memory_row {
	int64_t time_ns;
	int64_t change; /* bytes */
};

struct firefox {
	const struct export_job *export;
	struct firefox_tables tables;
	struct memory_counter *counter;
	struct row_spool *events; /* struct event_row; lists by the index of trace_thread */
	struct row_spool *memory; /* struct memory_row; lists by the index of trace_process */
	int64_t fault_name, allocation_name; /* strings */
	int result;			     /* of reading rows: 0 or the last negative errno */
};

static void destroy(void *state)
{
	struct firefox *firefox = state;
	firefox_tables_clear(&firefox->tables);
	memory_counter_destroy(firefox->counter);
	row_spool_destroy(firefox->events);
	row_spool_destroy(firefox->memory);
	free(firefox);
}

static void *start(const struct export_job *export)
{
	struct firefox *firefox = calloc(1, sizeof(*firefox));
	if (!firefox)
		return NULL;
	firefox->export = firefox->tables.export = export;
	firefox->counter = memory_counter_create(export->trace);
	if (firefox->counter)
		return firefox;
	destroy(firefox);
	return NULL;
}

/* Spools are made when they are needed, where an error can be told. */
static int add_row(struct row_spool **spool, uint32_t list, const void *row, size_t size)
{
	int result = *spool ? 0 : row_spool_create(spool, size);
	return result < 0 ? result : row_spool_add(*spool, list, row);
}

static int take_event(struct firefox *firefox, const struct trace_thread *thread,
    const struct trace_stack *stack, struct event_row *row)
{
	row->stack = stack ? stack->index : FIREFOX_NO_STACK;
	firefox->tables.has_stackless |= !stack;
	int result = used_stacks_add(&firefox->tables.used, stack);
	if (result == 0 && thread)
		result = add_row(&firefox->events, thread->index, row, sizeof(*row));
	return result;
}

static int take(void *state, const struct trace_event *event)
{
	struct firefox *firefox = state;
	struct memory_change change;
	int result = memory_counter_take(firefox->counter, event, &change);
	if (result == 0 && change.process) {
		struct memory_row row = {
		    event->time_ns, (int64_t)change.now - (int64_t)change.before};
		result = add_row(&firefox->memory, change.process->index, &row, sizeof(row));
	}
	if (result == 0 && event->type == TRACE_FAULT) {
		const struct trace_fault *fault = &event->fault;
		struct event_row row = {.time_ns = event->time_ns,
		    .address = fault->addr,
		    .bytes = fault->bytes,
		    .source = fault->region ? fault->region->source : "",
		    .access = (uint8_t)fault->access,
		    .kind = (uint8_t)fault->kind,
		    .origin = (uint8_t)fault->origin};
		result = take_event(firefox, fault->thread, fault->stack, &row);
	}
	if (result == 0 && event->type == TRACE_ALLOC) {
		const struct trace_alloc *alloc = event->alloc;
		struct event_row row = {.time_ns = event->time_ns,
		    .address = alloc->addr,
		    .bytes = alloc->size,
		    .source = alloc->func,
		    .is_allocation = true};
		result = take_event(firefox, alloc->thread, alloc->stack, &row);
	}
	return result;
}

/* Writes the cell of a row, in the column that it is for. */
typedef void put_cell(const struct firefox *firefox, const struct event_row *row);

static void put_stack(const struct firefox *firefox, const struct event_row *row)
{
	fprintf(firefox->export->out, "%u", firefox_tables_node(&firefox->tables, row->stack));
}

static void put_time(const struct firefox *firefox, const struct event_row *row)
{
	export_decimal(firefox->export->out, row->time_ns, 6);
}

static void put_bytes(const struct firefox *firefox, const struct event_row *row)
{
	fprintf(firefox->export->out, "%llu", (unsigned long long)row->bytes);
}

static void put_name(const struct firefox *firefox, const struct event_row *row)
{
	fprintf(firefox->export->out, "%lld",
	    (long long)(row->is_allocation ? firefox->allocation_name : firefox->fault_name));
}

static void put_null(const struct firefox *firefox, const struct event_row *row)
{
	(void)row;
	fputs("null", firefox->export->out);
}

static void put_zero(const struct firefox *firefox, const struct event_row *row)
{
	(void)row;
	putc_unlocked('0', firefox->export->out);
}

/* What a marker says, by the schemas below. */
static void put_data(const struct firefox *firefox, const struct event_row *row)
{
	FILE *out = firefox->export->out;
	fprintf(out, "{\"type\":\"%s\",\"address\":\"0x%llx\",\"bytes\":%llu,\"%s\":",
	    row->is_allocation ? "Allocation" : "Fault", (unsigned long long)row->address,
	    (unsigned long long)row->bytes, row->is_allocation ? "function" : "source");
	export_json_text(out, row->source);
	if (!row->is_allocation)
		fprintf(out, ",\"access\":\"%s\",\"kind\":\"%s\",\"origin\":\"%s\"",
		    fault_access_words[row->access], fault_kind_words[row->kind],
		    fault_origin_words[row->origin]);
	if (row->stack != FIREFOX_NO_STACK)
		fprintf(out, ",\"cause\":{\"stack\":%u}",
		    firefox_tables_node(&firefox->tables, row->stack));
	putc_unlocked('}', out);
}

static const char marker_schema[] =
    "[{\"name\":\"Fault\",\"display\":[\"marker-chart\",\"marker-table\"],"
    "\"tooltipLabel\":\"First touch\","
    "\"tableLabel\":\"{marker.data.access} {marker.data.address} {marker.data.source}\","
    "\"description\":\"A page was touched for the first time.\",\"fields\":["
    "{\"key\":\"address\",\"label\":\"Address\",\"format\":\"string\"},"
    "{\"key\":\"access\",\"label\":\"Access\",\"format\":\"string\"},"
    "{\"key\":\"kind\",\"label\":\"Kind\",\"format\":\"string\"},"
    "{\"key\":\"origin\",\"label\":\"Origin\",\"format\":\"string\"},"
    "{\"key\":\"source\",\"label\":\"Source\",\"format\":\"string\"},"
    "{\"key\":\"bytes\",\"label\":\"Brought in\",\"format\":\"bytes\"}]},\n"
    "{\"name\":\"Allocation\",\"display\":[\"marker-chart\",\"marker-table\"],"
    "\"tooltipLabel\":\"Allocation\","
    "\"tableLabel\":\"{marker.data.function} {marker.data.bytes} at {marker.data.address}\","
    "\"description\":\"Memory was asked for.\",\"fields\":["
    "{\"key\":\"address\",\"label\":\"Address\",\"format\":\"string\"},"
    "{\"key\":\"function\",\"label\":\"Function\",\"format\":\"string\"},"
    "{\"key\":\"bytes\",\"label\":\"Asked for\",\"format\":\"bytes\"}]}]";

/*
 * A column: a cell for each of the thread's rows, in the order of time. The lines of a trace are
 * nearly in that order: a row that comes late is given the time of the one before it. Returns how
 * many cells there are.
 */
static uint64_t put_column(
    struct firefox *firefox, uint32_t thread, const char *name, bool is_of_faults, put_cell *put)
{
	FILE *out = firefox->export->out;
	struct event_row row;
	int64_t latest_ns = INT64_MIN;
	uint64_t count = 0;
	int result;
	fprintf(out, "\"%s\":[", name);
	row_spool_rewind(firefox->events, thread);
	while ((result = row_spool_next(firefox->events, &row)) > 0) {
		if (row.is_allocation && is_of_faults)
			continue;
		if (row.time_ns < latest_ns)
			row.time_ns = latest_ns;
		latest_ns = row.time_ns;
		if (count++ > 0)
			putc_unlocked(',', out);
		put(firefox, &row);
	}
	fputs("],\n", out);
	if (result < 0)
		firefox->result = result;
	return count;
}

static void put_tables(struct firefox *firefox, uint32_t thread)
{
	FILE *out = firefox->export->out;
	fputs("\"samples\":{", out);
	uint64_t faults = put_column(firefox, thread, "stack", true, put_stack);
	put_column(firefox, thread, "time", true, put_time);
	fprintf(out, "\"weight\":null,\"weightType\":\"samples\",\"length\":%llu},\n",
	    (unsigned long long)faults);
	fputs("\"nativeAllocations\":{", out);
	put_column(firefox, thread, "stack", true, put_stack);
	put_column(firefox, thread, "time", true, put_time);
	put_column(firefox, thread, "weight", true, put_bytes);
	fprintf(out, "\"weightType\":\"bytes\",\"length\":%llu},\n", (unsigned long long)faults);
	fputs("\"markers\":{", out);
	uint64_t markers = put_column(firefox, thread, "data", false, put_data);
	put_column(firefox, thread, "name", false, put_name);
	put_column(firefox, thread, "startTime", false, put_time);
	put_column(firefox, thread, "endTime", false, put_null);
	put_column(firefox, thread, "phase", false, put_zero);
	put_column(firefox, thread, "category", false, put_zero);
	fprintf(out, "\"length\":%llu}", (unsigned long long)markers);
}

static void put_milliseconds(FILE *out, const char *key, int64_t time_ns)
{
	fprintf(out, "\"%s\":", key);
	if (time_ns < 0)
		fputs("null", out);
	else
		export_decimal(out, time_ns, 6);
	putc_unlocked(',', out);
}

static void put_thread(struct firefox *firefox, const struct trace_thread *thread)
{
	FILE *out = firefox->export->out;
	const struct trace_process *process = thread->process;
	char name[EXPORT_NAME_SIZE];
	fputs("{\"name\":", out);
	export_json_text(out, export_thread_name(thread, name));
	fputs(",\"processName\":", out);
	export_json_text(out, code_base_name(process->exe));
	fprintf(out, ",\"pid\":\"%lld\",\"tid\":%lld,\"isMainThread\":%s,", (long long)process->pid,
	    (long long)thread->tid, thread->tid == process->pid ? "true" : "false");
	fputs("\"processType\":\"default\",\"pausedRanges\":[],", out);
	put_milliseconds(out, "processStartupTime", process->start_ns < 0 ? 0 : process->start_ns);
	put_milliseconds(out, "processShutdownTime", process->end_ns);
	put_milliseconds(out, "registerTime", 0);
	put_milliseconds(out, "unregisterTime", -1);
	put_tables(firefox, thread->index);
	putc_unlocked('}', out);
}

/* Threads without a row are left out. */
static bool is_told(const struct firefox *firefox, const struct trace_thread *thread)
{
	return firefox->events && row_spool_count(firefox->events, thread->index) > 0;
}

static void put_threads(struct firefox *firefox)
{
	const struct trace *trace = firefox->export->trace;
	const char *separator = "";
	fputs("\"threads\":[", firefox->export->out);
	for (uint32_t i = 0; i < trace_thread_count(trace); i++) {
		const struct trace_thread *thread = trace_thread_at(trace, i);
		if (!is_told(firefox, thread))
			continue;
		fputs(separator, firefox->export->out);
		separator = ",\n";
		put_thread(firefox, thread);
	}
	putc_unlocked(']', firefox->export->out);
}

/* The place in "threads" of a process's first thread; -1 when it has none there. */
static int64_t main_thread(const struct firefox *firefox, const struct trace_process *process)
{
	const struct trace *trace = firefox->export->trace;
	int64_t place = 0;
	for (uint32_t i = 0; i < trace_thread_count(trace); i++) {
		const struct trace_thread *thread = trace_thread_at(trace, i);
		if (!is_told(firefox, thread))
			continue;
		if (thread->process == process)
			return place;
		place++;
	}
	return -1;
}

/* A column of a counter. Returns how many cells there are. */
static uint64_t put_counter_column(
    struct firefox *firefox, uint32_t process, const char *name, bool is_time)
{
	FILE *out = firefox->export->out;
	struct memory_row row;
	int64_t latest_ns = INT64_MIN;
	uint64_t count = 0;
	int result;
	fprintf(out, "\"%s\":[", name);
	row_spool_rewind(firefox->memory, process);
	while ((result = row_spool_next(firefox->memory, &row)) > 0) {
		if (count++ > 0)
			putc_unlocked(',', out);
		if (row.time_ns > latest_ns)
			latest_ns = row.time_ns;
		if (is_time)
			export_decimal(out, latest_ns, 6);
		else
			fprintf(out, "%lld", (long long)row.change);
	}
	fputs("],\n", out);
	if (result < 0)
		firefox->result = result;
	return count;
}

static void put_counters(struct firefox *firefox)
{
	const struct trace *trace = firefox->export->trace;
	FILE *out = firefox->export->out;
	const char *separator = "";
	fputs("\"counters\":[", out);
	for (uint32_t i = 0; firefox->memory && i < trace_process_count(trace); i++) {
		const struct trace_process *process = trace_process_at(trace, i);
		int64_t thread = main_thread(firefox, process);
		if (thread < 0)
			continue;
		fprintf(out,
		    "%s{\"name\":\"touched memory\",\"category\":\"Memory\","
		    "\"description\":\"Memory touched and not given back\","
		    "\"pid\":\"%lld\",\"mainThreadIndex\":%lld,\"samples\":{",
		    separator, (long long)process->pid, (long long)thread);
		separator = ",\n";
		put_counter_column(firefox, i, "time", true);
		uint64_t count = put_counter_column(firefox, i, "count", false);
		fprintf(out, "\"length\":%llu}}", (unsigned long long)count);
	}
	putc_unlocked(']', out);
}

static void put_meta(const struct firefox *firefox)
{
	const struct trace *trace = firefox->export->trace;
	const struct trace_session *session = trace_session_of(trace);
	FILE *out = firefox->export->out;
	fprintf(out,
	    "\"meta\":{\"version\":%d,\"preprocessedProfileVersion\":%d,\"processType\":0,"
	    "\"stackwalk\":1,\"interval\":1,\"symbolicated\":true,",
	    GECKO_VERSION, FORMAT_VERSION);
	put_milliseconds(out, "startTime", export_start_time(session));
	fputs("\"importedFrom\":\"faultline " FAULTLINE_VERSION "\",\"product\":", out);
	export_json_text(out, trace_process_count(trace) > 0
				  ? code_base_name(trace_process_at(trace, 0)->exe)
				  : "faultline");
	fputs(",\"arguments\":", out);
	export_json_text(out, session->command);
	fputs(",\"platform\":\"Linux\",\"oscpu\":", out);
	export_json_text(out, session->kernel);
	fprintf(out,
	    ",\"logicalCPUs\":%lld,\"usesOnlyOneStackType\":true,"
	    "\"sourceCodeIsNotOnSearchfox\":true,\n\"categories\":%s,\n\"markerSchema\":%s}",
	    (long long)session->cpus, firefox_categories, marker_schema);
}

static int finish(void *state)
{
	struct firefox *firefox = state;
	FILE *out = firefox->export->out;
	firefox->fault_name = string_table_add(&firefox->tables.strings, "Fault");
	firefox->allocation_name = string_table_add(&firefox->tables.strings, "Allocation");
	int result = firefox_tables_settle(&firefox->tables);
	if (result < 0 || firefox->fault_name < 0 || firefox->allocation_name < 0)
		return -ENOMEM;
	putc_unlocked('{', out);
	put_meta(firefox);
	fputs(",\n", out);
	firefox_tables_put_libraries(&firefox->tables);
	fputs(",\n", out);
	put_threads(firefox);
	fputs(",\n", out);
	put_counters(firefox);
	fputs(",\n", out);
	result = firefox_tables_put_shared(&firefox->tables);
	fputs("}\n", out);
	return result < 0 ? result : firefox->result;
}

const struct export_format firefox_format = {
    .name = "firefox",
    .summary = "processed profile for the Firefox Profiler",
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
