/* SPDX-License-Identifier: MIT */
/*
 * cmd_top.c: `faultline top` shows the report of a trace while that is recorded. One loop reads;
 * whenever it has read all that there is, or a while has passed, it looks after the screen.
 */
#include "message.h"
#include "report_options.h"
#include "screen.h"
#include "trace_input.h"
#include "trace_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS	       100 /* between looks at the file */
#define DRAW_NS	       (INT64_C(250) * 1000000)
#define DRAW_SHARE     20   /* drawing takes at most one part in so many of the time */
#define EVENTS_AT_ONCE 1024 /* between looks at the clock */
#define LEAST_NICE     19

static const struct fl_option top_options[] = {
    {.flag = "exit", .help = "leave when the recording has ended"},
    {.flag = NULL},
};

static const struct option_group *const groups[] = {&report_options, &filter_options, NULL};

/* What the command line says, but for filters and the trace. */
struct own {
	struct report_request report;
	bool exits;
};

struct top {
	struct profile *profile; /* NULL: the first line is not there yet */
	struct report report;
	char *text;   /* of the report as it was last drawn, owned */
	size_t first; /* line of it that is shown first */
	bool changed; /* since then */
	bool ended;   /* the trace has its last line */
	bool quits;   /* the user wants to */
	int error;    /* of drawing; 0: none */
	int64_t drawn_ns, cost_ns, looked_ns;
};

static int take_option(void *context, const struct arguments *arguments)
{
	struct own *own = context;
	int taken = report_option(&own->report, arguments);
	if (taken == 0)
		own->exits = true;
	return taken < 0 ? taken : 0;
}

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What `faultline report` would print now; NULL without memory. glibc's stdout is a variable. */
static char *make_text(const struct report *report)
{
	char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size), *real = stdout;
	if (!memory)
		return NULL;
	stdout = memory;
	int result = report_print(report);
	stdout = real;
	if (fclose(memory) != 0 || result < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;
	for (; *text != '\0'; text++)
		count += *text == '\n';
	return count;
}

/* Shows the text that there is, as far as it has been scrolled to. */
static void show(struct top *top)
{
	char status[256];
	size_t all = top->text ? count_lines(top->text) : 0, room = screen_lines();
	size_t last = all > room ? all - room : 0;
	if (top->first > last)
		top->first = last;
	snprintf(status, sizeof(status), " %s   q: quit%s",
	    !top->profile ? "waiting for the recording"
	    : top->ended  ? "the recording has ended"
			  : "recording",
	    last > 0 ? "   arrows, space, b: scroll" : "");
	screen_draw(top->text ? top->text : "", top->first, status);
}

/* Makes the text anew. */
static void draw(struct top *top)
{
	int64_t start = now_ns();
	char *text = top->profile ? make_text(&top->report) : NULL;
	if (top->profile && !text) {
		top->error = -ENOMEM;
		return;
	}
	free(top->text);
	top->text = text;
	top->changed = false;
	show(top);
	top->drawn_ns = now_ns();
	top->cost_ns = top->drawn_ns - start;
}

static void draw_if_due(struct top *top)
{
	int64_t since = now_ns() - top->drawn_ns;
	if (top->changed && since >= DRAW_NS && since >= top->cost_ns * DRAW_SHARE)
		draw(top);
}

static void take_key(struct top *top, enum screen_key key)
{
	size_t page = screen_lines();
	switch (key) {
	case SCREEN_NONE:
		return;
	case SCREEN_QUIT:
		top->quits = true;
		return;
	case SCREEN_UP:
		top->first -= top->first > 0;
		break;
	case SCREEN_DOWN:
		top->first++;
		break;
	case SCREEN_PAGE_UP:
		top->first -= top->first < page ? top->first : page;
		break;
	case SCREEN_PAGE_DOWN:
		top->first += page;
		break;
	case SCREEN_HOME:
		top->first = 0;
		break;
	case SCREEN_END:
		top->first = SIZE_MAX / 2;
		break;
	case SCREEN_RESIZED:
		/* lines have another width now */
		draw(top);
		return;
	}
	show(top);
}

/* Looks after the screen, and waits that long for a key. False: no more is to be read. */
static bool look(struct top *top, int milliseconds)
{
	draw_if_due(top);
	if (!top->quits)
		take_key(top, screen_wait(milliseconds));
	top->looked_ns = now_ns();
	return !top->quits && top->error == 0;
}

/* All that the file has was read. */
static bool wait_for_more(void *context)
{
	struct top *top = context;
	return !top->ended && look(top, WAIT_MS);
}

/* Reads until the trace ends or the user quits. 0, or negative errno: trace_error tells. */
static int follow(struct top *top, struct trace *trace)
{
	struct trace_event event;
	int result = 1;
	for (unsigned count = 0; result > 0 && !top->quits && top->error == 0; count++) {
		result = trace_next(trace, &event);
		if (result <= 0)
			break;
		if (profile_add(top->profile, &event) < 0)
			return trace_refuse(trace, "out of memory");
		top->changed = true;
		top->ended |= event.type == TRACE_END;
		if (count % EVENTS_AT_ONCE == 0 && now_ns() - top->looked_ns >= WAIT_MS * 1000000)
			look(top, 0);
	}
	return result < 0 ? result : top->error;
}

/* The screen is there: until the user quits. 0, or negative errno; 1: trace_error tells. */
static int watch_trace(
    struct top *top, struct trace *trace, const struct own *own, const char *path)
{
	const struct location_request names = {.no_lines = true};
	top->profile = profile_create(trace, report_options_profile(&own->report));
	top->report = (struct report){
	    .request = &own->report,
	    .profile = top->profile,
	    .locations = locations_create(&names),
	    .name = trace_request_name(path),
	};
	int result = top->profile && top->report.locations ? follow(top, trace) : -ENOMEM;
	if (result == 0)
		draw(top);
	while (result == 0 && !top->quits && !own->exits && top->error == 0)
		look(top, WAIT_MS);
	return result == 0 ? top->error : result;
}

static int show_trace(const struct trace_request *request, const struct own *own)
{
	struct top top = {0};
	struct trace *trace = NULL;
	const struct trace_growth growth = {.wait = wait_for_more, .context = &top};
	if (screen_open("top") < 0)
		return STATUS_FAILED;
	/* what is watched goes first */
	if (nice(LEAST_NICE) < 0)
		errno = 0;
	show(&top);
	int result = trace_open_growing(&trace, request->traces[0], request->filter, 0, &growth);
	if (result == 0)
		result = watch_trace(&top, trace, own, request->traces[0]);
	screen_close();
	/* a trace that the user did not wait for is none that is damaged */
	if (result == -ENOMEM)
		message("top: out of memory");
	else if (result < 0 && !top.quits)
		message("%s", trace_error(trace));
	else if (top.ended)
		trace_request_warn(trace, request->traces[0]);
	locations_destroy(top.report.locations);
	profile_destroy(top.profile);
	trace_close(trace);
	free(top.text);
	return result < 0 && !top.quits ? STATUS_FAILED : STATUS_OK;
}

static int run_top(const struct command *command, int argc, char **argv)
{
	struct own own = {.report = REPORT_REQUEST_START};
	struct trace_request request = {
	    .least = 1, .most = 1, .option = take_option, .context = &own};
	int status = trace_request_read(&request, command, argc, argv);
	if (status < 0 && strcmp(request.traces[0], "-") == 0) {
		message("top: standard input is for keys: name the file of the trace");
		status = command->usage_status;
	}
	if (status < 0 && report_options_finish(&own.report, command->name) < 0)
		status = command->usage_status;
	if (status < 0)
		status = show_trace(&request, &own);
	trace_request_free(&request);
	return status;
}

const struct command top_command = {
    .name = "top",
    .operands = "TRACE",
    .summary = "the report of a trace while it is recorded",
    .details = "Follows TRACE, a file, plain or zstd, as it grows, and shows what faultline\n"
	       "report --no-lines would print now. `faultline record --live` does so while it\n"
	       "records. Keys: q quits; arrows, space, b, Home and End scroll; Ctrl-L draws the\n"
	       "screen anew.\n"
	       "\n"
	       "Exit status: 0; 1 when the trace cannot be read, or the terminal not be drawn\n"
	       "on; 2 for wrong usage.\n",
    .options = top_options,
    .groups = groups,
    .operand = OPERAND_TRACE,
    .usage_status = STATUS_USAGE,
    .run = run_top,
};
