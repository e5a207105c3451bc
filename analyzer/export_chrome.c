/* SPDX-License-Identifier: MIT */
/*
 * export_chrome.c: trace events (Google's "Trace Event Format", JSON object form) for Perfetto and
 * chrome://tracing. A fault is an instant of its thread, with its stack by the number of its
 * innermost frame in `stackFrames`; the memory that a process has touched and not given back is a
 * counter. Both are written as they come, the rest at the end.
 */
#include "code_names.h"
#include "command.h"
#include "export.h"
#include "export_text.h"
#include "memory_counter.h"
#include "used_stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct chrome {
	const struct export_job *export;
	struct memory_counter *counter;
	const char *separator;	 /* before the next event */
	struct used_stacks used; /* for stackFrames */
};

static void destroy(void *state)
{
	struct chrome *chrome = state;
	memory_counter_destroy(chrome->counter);
	used_stacks_clear(&chrome->used);
	free(chrome);
}

static void *start(const struct export_job *export)
{
	struct chrome *chrome = calloc(1, sizeof(*chrome));
	if (!chrome)
		return NULL;
	chrome->export = export;
	chrome->separator = "";
	chrome->counter = memory_counter_create(export->trace);
	if (!chrome->counter) {
		destroy(chrome);
		return NULL;
	}
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", export->out);
	return chrome;
}

/* The begin of an event, up to and without the comma before its other keys. */
static void put_event(struct chrome *chrome, const char *phase, const char *name, int64_t pid)
{
	FILE *out = chrome->export->out;
	fprintf(out, "%s{\"ph\":\"%s\",\"pid\":%lld,\"name\":", chrome->separator, phase,
	    (long long)pid);
	export_json_text(out, name);
	chrome->separator = ",\n";
}

static int put_fault(struct chrome *chrome, const struct trace_fault *fault, int64_t time_ns)
{
	FILE *out = chrome->export->out;
	const struct code_frame *site = code_names_site(chrome->export->names, fault->stack);
	if (!site || used_stacks_add(&chrome->used, fault->stack) < 0)
		return -ENOMEM;
	put_event(chrome, "i", site->lines[site->site].function->name, fault->thread->process->pid);
	fprintf(out,
	    ",\"tid\":%lld,\"s\":\"t\",\"cat\":\"fault\",\"ts\":", (long long)fault->thread->tid);
	export_decimal(out, time_ns, 3);
	if (fault->stack)
		fprintf(out, ",\"sf\":\"%u\"", fault->stack->index);
	fprintf(out, ",\"args\":{\"address\":\"0x%llx\",\"bytes\":%llu,\"kind\":\"%s\"",
	    (unsigned long long)fault->addr, (unsigned long long)fault->bytes,
	    fault_kind_words[fault->kind]);
	if (fault->access != FAULT_ACCESS_NONE)
		fprintf(out, ",\"access\":\"%s\"", fault_access_words[fault->access]);
	if (fault->origin != FAULT_ORIGIN_NONE)
		fprintf(out, ",\"origin\":\"%s\"", fault_origin_words[fault->origin]);
	if (fault->region) {
		fputs(",\"source\":", out);
		export_json_text(out, fault->region->source);
	}
	if (fault->alloc) {
		fputs(",\"function\":", out);
		export_json_text(out, fault->alloc->func);
	}
	fputs("}}", out);
	return 0;
}

static void put_counter(struct chrome *chrome, const struct memory_change *change, int64_t time_ns)
{
	FILE *out = chrome->export->out;
	put_event(chrome, "C", "touched memory", change->process->pid);
	fputs(",\"ts\":", out);
	export_decimal(out, time_ns, 3);
	fprintf(out, ",\"args\":{\"bytes\":%llu}}", (unsigned long long)change->now);
}

static int take(void *state, const struct trace_event *event)
{
	struct chrome *chrome = state;
	struct memory_change change;
	int result = memory_counter_take(chrome->counter, event, &change);
	if (result == 0 && change.process)
		put_counter(chrome, &change, event->time_ns);
	if (result == 0 && event->type == TRACE_FAULT)
		result = put_fault(chrome, &event->fault, event->time_ns);
	return result;
}

/* What a process or thread is called. */
static void put_name(
    struct chrome *chrome, const char *what, int64_t pid, int64_t tid, const char *name)
{
	put_event(chrome, "M", what, pid);
	fprintf(chrome->export->out, ",\"tid\":%lld,\"args\":{\"name\":", (long long)tid);
	export_json_text(chrome->export->out, name);
	fputs("}}", chrome->export->out);
}

/*
 * The tree of calls. A frame that stands for several functions is several nodes: the innermost one
 * has the stack's number, the others number.1 and so on.
 */
static int put_stack_frames(struct chrome *chrome)
{
	FILE *out = chrome->export->out;
	const char *separator = "";
	for (uint32_t i = 0; i < trace_stack_count(chrome->export->trace); i++) {
		if (!used_stacks_has(&chrome->used, i))
			continue;
		const struct trace_stack *stack = trace_stack_at(chrome->export->trace, i);
		const struct code_frame *frame =
		    code_names_frame(chrome->export->names, stack->frame);
		if (!frame)
			return -ENOMEM;
		for (unsigned j = 0; j < frame->line_count; j++) {
			const struct code_function *function = frame->lines[j].function;
			fprintf(out,
			    j == 0 ? "%s\"%u\":{\"name\":" : "%s\"%u.%u\":{\"name\":", separator, i,
			    j);
			export_json_text(out, function->name);
			fputs(",\"category\":", out);
			export_json_text(
			    out, function->module ? code_base_name(function->module->path) : "");
			if (j + 1 < frame->line_count)
				fprintf(out, ",\"parent\":\"%u.%u\"", i, j + 1);
			else if (stack->caller)
				fprintf(out, ",\"parent\":\"%u\"", stack->caller->index);
			putc_unlocked('}', out);
			separator = ",\n";
		}
	}
	return 0;
}

static int finish(void *state)
{
	struct chrome *chrome = state;
	const struct export_job *export = chrome->export;
	const struct trace *trace = export->trace;
	char name[EXPORT_NAME_SIZE];
	for (uint32_t i = 0; i < trace_process_count(trace); i++) {
		const struct trace_process *process = trace_process_at(trace, i);
		put_name(chrome, "process_name", process->pid, process->pid,
		    code_base_name(process->exe));
	}
	for (uint32_t i = 0; i < trace_thread_count(trace); i++) {
		const struct trace_thread *thread = trace_thread_at(trace, i);
		put_name(chrome, "thread_name", thread->process->pid, thread->tid,
		    export_thread_name(thread, name));
	}
	fputs("],\n\"stackFrames\":{\n", export->out);
	int result = put_stack_frames(chrome);
	fputs("},\n\"otherData\":{\"tool\":\"faultline " FAULTLINE_VERSION "\",\"command\":",
	    export->out);
	export_json_text(export->out, trace_session_of(trace)->command);
	fputs("}}\n", export->out);
	return result;
}

const struct export_format chrome_format = {
    .name = "chrome",
    .summary = "trace events for Perfetto and chrome://tracing",
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
