/* SPDX-License-Identifier: MIT */
/*
 * cmd_report.c: `faultline report` reads a trace and says what touched which memory.
 */
#include "message.h"
#include "report.h"
#include "trace_request.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sections of a report that asks for none. */
static const struct report_section *const default_sections[] = {
    &report_site, &report_alloc, &report_thread, NULL};

static const struct fl_option report_options[] = {
    {.flag = "by",
	.argument = "SECTIONS",
	.shown_default = "site,alloc,thread",
	.help = "all, or site, stack, alloc, region, ... (below)"},
    {.flag = "sort", .argument = "KEY", .help = "sort by a key of the JSON: bytes, faults, name"},
    {.flag = "limit",
	.letter = 'n',
	.argument = "N",
	.shown_default = "15; stack 40, time 20",
	.help = "rows of each section; all: every row"},
    {.flag = "min-percent",
	.argument = "P",
	.shown_default = "0; stack 1",
	.help = "leave out what has less of all bytes"},
    {.flag = "upwards", .help = "stack: from what touched memory to its callers"},
    {.flag = "json", .help = "the same as JSON, sizes in bytes"},
    {.flag = NULL},
};

static const struct option_group *const groups[] = {&filter_options, &location_options, NULL};

/* What the command line says, but for filters and the trace. */
struct own {
	struct report_request report;
	struct location_request locations;
};

static int take_percent(const char *value, double *percent)
{
	char *end;
	double number = strtod(value, &end);
	if (strspn(value, "0123456789.") != strlen(value) || *end != '\0' || end == value ||
	    number > 100) {
		message("report: --min-percent=%s: must be a number from 0 to 100", value);
		return -EINVAL;
	}
	*percent = number;
	return 0;
}

/* The bit of a section's name; 0: there is none such. */
static unsigned section_bit(const char *name, size_t length)
{
	for (size_t i = 0; report_sections[i]; i++)
		if (strlen(report_sections[i]->name) == length &&
		    memcmp(report_sections[i]->name, name, length) == 0)
			return 1u << i;
	return 0;
}

static int take_sections(const char *value, unsigned *sections)
{
	for (const char *at = value;; at++) {
		size_t length = strcspn(at, ",");
		unsigned bit = section_bit(at, length);
		if (length == 3 && memcmp(at, "all", 3) == 0)
			bit = UINT_MAX;
		if (bit == 0) {
			message("report: --by=%s: must be all, or a list of site, stack, alloc, "
				"region, thread, process, time",
			    value);
			return -EINVAL;
		}
		*sections |= bit;
		at += length;
		if (*at == '\0')
			return 0;
	}
}

static int take_option(void *context, const struct arguments *arguments)
{
	struct own *own = context;
	const char *flag = arguments->option->flag;
	int taken = location_option(&own->locations, arguments);
	if (taken != 0)
		return taken < 0 ? taken : 0;
	if (strcmp(flag, "by") == 0)
		return take_sections(arguments->value, &own->report.sections);
	if (strcmp(flag, "limit") == 0)
		return arguments_limit(arguments, &own->report.limit);
	if (strcmp(flag, "min-percent") == 0)
		return take_percent(arguments->value, &own->report.min_percent);
	if (strcmp(flag, "sort") == 0)
		own->report.sort = arguments->value;
	else if (strcmp(flag, "upwards") == 0)
		own->report.upwards = true;
	else
		own->report.json = true;
	return 0;
}

static bool has_key(const struct report_section *section, const char *key)
{
	for (size_t i = 0; i < REPORT_TABLES; i++)
		for (size_t j = 0; j < section->tables[i].column_count; j++) {
			const char *name = section->tables[i].columns[j].key;
			if (name && strcmp(name, key) == 0)
				return true;
		}
	return false;
}

/* Is there a section to sort by that key? Says which keys there are when not. */
static int check_sort(const struct report_request *request)
{
	char keys[512] = "";
	size_t used = 0;
	if (!request->sort)
		return 0;
	for (size_t i = 0; report_sections[i]; i++) {
		if (!(request->sections >> i & 1))
			continue;
		if (has_key(report_sections[i], request->sort))
			return 0;
		const struct report_table_kind *table = &report_sections[i]->tables[0];
		for (size_t j = 0; j < table->column_count; j++)
			if (table->columns[j].key && !strstr(keys, table->columns[j].key) &&
			    used < sizeof(keys))
				used += (size_t)snprintf(
				    keys + used, sizeof(keys) - used, " %s", table->columns[j].key);
	}
	message("report: --sort=%s: must be one of:%s", request->sort, keys);
	return -EINVAL;
}

static int make_report(struct trace *trace, const char *path, const struct own *own)
{
	unsigned flags = 0;
	for (size_t i = 0; report_sections[i]; i++)
		if (report_sections[i] == &report_region && own->report.sections >> i & 1)
			flags |= PROFILE_REGIONS;
	struct profile *profile = profile_create(trace, flags);
	struct locations *locations = locations_create(&own->locations);
	struct report report = {
	    .request = &own->report,
	    .profile = profile,
	    .locations = locations,
	    .name = trace_request_name(path),
	};
	int result = profile && locations ? profile_read(profile, trace) : -ENOMEM;
	if (result == -EBADMSG)
		message("%s", trace_error(trace));
	if (result == 0) {
		trace_request_warn(trace, path);
		result = report_print(&report);
	}
	if (result == -ENOMEM)
		message("report: out of memory");
	locations_destroy(locations);
	profile_destroy(profile);
	return result;
}

static int report_trace(const struct trace_request *request, const struct own *own)
{
	struct trace *trace = NULL;
	int result = trace_open(&trace, request->traces[0], request->filter, 0);
	if (result < 0)
		message("%s", trace_error(trace));
	else
		result = make_report(trace, request->traces[0], own);
	trace_close(trace);
	return result < 0 ? STATUS_FAILED : finish_output();
}

static int run_report(const struct command *command, int argc, char **argv)
{
	struct own own = {.report.min_percent = -1};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	bool told = own.report.sections != 0;
	for (size_t i = 0; !told && default_sections[i]; i++)
		own.report.sections |=
		    section_bit(default_sections[i]->name, strlen(default_sections[i]->name));
	if (status < 0 && check_sort(&own.report) < 0)
		status = command->usage_status;
	if (status < 0)
		status = report_trace(&request, &own);
	trace_request_free(&request);
	return status;
}

const struct command report_command = {
    .name = "report",
    .operands = "TRACE",
    .summary = "what touched which memory, as text or JSON",
    .details = "TRACE is a file, plain or zstd, or - for standard input. SECTIONS are\n"
	       "\n"
	       "    site     code that touched memory\n"
	       "    stack    the tree of calls that led there\n"
	       "    alloc    code that asked for memory, and what became of it\n"
	       "    region   regions\n"
	       "    thread   threads, and who touched whose memory\n"
	       "    process  processes\n"
	       "    time     pieces of time\n"
	       "\n"
	       "Code is named by one frame of each stack: the innermost one outside the runtime\n"
	       "of C, C++ and Rust. That is libc, the loader, libpthread, libm, libstdc++,\n"
	       "libc++, libgcc_s, the vdso, the shim, the allocators jemalloc, tcmalloc and\n"
	       "mimalloc, the namespaces std and __gnu_cxx, and the crates core, alloc, std and\n"
	       "hashbrown, wherever they are. When that frame has no name, the next outer named\n"
	       "frame of the same file stands for it, as long as no other file lies between;\n"
	       "else the file and the offset in it. A stack that is all runtime is named by its\n"
	       "innermost frame.\n"
	       "\n"
	       "MiB counts the pages that faults brought in. By who asked for it, memory is what\n"
	       "was written, only read, there already from an earlier use, and never touched.\n"
	       "Rows of a heap (brk, arena) contain the allocations that are listed by\n"
	       "themselves.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read; 2 for wrong usage.\n",
    .options = report_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_report,
};
