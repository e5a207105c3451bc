/* SPDX-License-Identifier: MIT */
/*
 * cmd_report.c: `faultline report` reads a trace and says what touched which memory.
 */
#include "message.h"
#include "report_options.h"
#include "trace_request.h"

#include <errno.h>

static const struct fl_option own_options[] = {
    {.flag = "json", .help = "the same as JSON, sizes in bytes"},
    {.flag = NULL},
};

static const struct option_group *const groups[] = {
    &report_options, &filter_options, &location_options, NULL};

/* What the command line says, but for filters and the trace. */
struct own {
	struct report_request report;
	struct location_request locations;
};

static int take_option(void *context, const struct arguments *arguments)
{
	struct own *own = context;
	int taken = location_option(&own->locations, arguments);
	if (taken == 0)
		taken = report_option(&own->report, arguments);
	if (taken == 0)
		own->report.json = true;
	return taken < 0 ? taken : 0;
}

static int make_report(struct trace *trace, const char *path, const struct own *own)
{
	struct profile *profile = profile_create(trace, report_options_profile(&own->report));
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
	struct own own = {.report = REPORT_REQUEST_START};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0 && report_options_finish(&own.report, command->name) < 0)
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
    .options = own_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_report,
};
