/* SPDX-License-Identifier: MIT */
/*
 * cmd_html.c: `faultline html` writes a trace as one page for a browser.
 */
#include "export_output.h"
#include "html/page.h"
#include "message.h"
#include "trace_request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct option_group *const groups[] = {&filter_options, &location_options, NULL};

static const struct fl_option html_options[] = {
    {.flag = "output",
	.letter = 'o',
	.argument = "FILE",
	.help = "write to FILE",
	.shown_default = "standard output"},
    {.flag = NULL},
};

/* What the command line says, but for filters and the trace. */
struct own {
	const char *output;
	struct location_request locations;
};

static int take_option(void *context, const struct arguments *arguments)
{
	struct own *own = context;
	int taken = location_option(&own->locations, arguments);
	if (taken == 0)
		own->output = arguments->value;
	return taken < 0 ? taken : 0;
}

/* Reads the trace. 0, or negative errno after a message. */
static int collect(struct collection *collection, struct trace *trace)
{
	int result = collection_start(collection, trace);
	if (result < 0)
		message("html: out of memory");
	else if ((result = collection_read(collection, trace)) < 0)
		message("%s", trace_error(trace));
	return result;
}

/* 0, or negative errno after a message. */
static int write_page(
    struct collection *collection, const struct trace_request *request, const struct own *own)
{
	const char *trace = request->traces[0];
	struct export_output *output = NULL;
	struct page_data data = {0};
	int result = export_output_open(&output, "html", own->output, trace);
	if (result < 0)
		return result;
	result = page_data_make(&data, collection, &own->locations);
	if (result == 0)
		result = page_write(
		    export_output_file(output), &data, trace_request_name(trace), request->filter);
	if (result < 0)
		message("html: out of memory");
	page_data_free(&data);
	return export_output_close(output) < 0 ? -EIO : result;
}

static int make_page(const struct trace_request *request, const struct own *own)
{
	struct trace *trace = NULL;
	struct collection collection = {0};
	int result = trace_open(&trace, request->traces[0], request->filter, 0);
	if (result < 0)
		message("%s", trace_error(trace));
	else
		result = collect(&collection, trace);
	if (result == 0) {
		trace_request_warn(trace, request->traces[0]);
		result = write_page(&collection, request, own);
	}
	collection_free(&collection);
	trace_close(trace);
	return result < 0 ? STATUS_FAILED : STATUS_OK;
}

static int run_html(const struct command *command, int argc, char **argv)
{
	struct own own = {0};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	bool to_stdout = !own.output || strcmp(own.output, "-") == 0;
	if (status < 0 && to_stdout && isatty(STDOUT_FILENO)) {
		message("html: a page is not for a terminal: name a file with --output");
		status = command->usage_status;
	} else if (status < 0) {
		status = make_page(&request, &own);
	}
	trace_request_free(&request);
	return status;
}

const struct command html_command = {
    .name = "html",
    .operands = "TRACE",
    .summary = "what touched which memory, as a page for a browser",
    .details = "TRACE is a file, plain or zstd, or - for standard input. The page is one file\n"
	       "that needs nothing else, no network either: a chart of growth in which a time\n"
	       "can be selected, a flame graph, a map of addresses, tables of code and of what\n"
	       "it asked for, and which thread touched whose memory. Large traces are put\n"
	       "together as far as the eye does not see it; the page says what was.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read or the page not be written; 2\n"
	       "for wrong usage.\n",
    .options = html_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_html,
};
