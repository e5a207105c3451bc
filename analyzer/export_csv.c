/* SPDX-License-Identifier: MIT */
/*
 * export_csv.c: comma-separated values, a row for each fault and a heading (RFC 4180, but lines end
 * in \n). Texts are quoted, numbers are not, and what is not known is empty.
 */
#include "code_names.h"
#include "export.h"
#include "export_text.h"

#include <errno.h>
#include <stdlib.h>

static const char heading[] = "time_ns,pid,tid,thread,program,address,access,kind,origin,bytes,"
			      "source,region,region_start,region_size,"
			      "allocation,allocation_address,allocation_size,allocation_function,"
			      "owner_tid,owner_thread,owner_function,"
			      "function,module,offset,file,line,stack\n";

struct csv {
	const struct export_job *export;
};

static void *start(const struct export_job *export)
{
	struct csv *csv = malloc(sizeof(*csv));
	if (!csv)
		return NULL;
	csv->export = export;
	fputs(heading, export->out);
	return csv;
}

static void put_text(FILE *out, const char *text)
{
	if (text && text[0] != '\0')
		export_csv_text(out, text);
	putc_unlocked(',', out);
}

/* The memory that was touched: where it is, and who asked for it. */
static int put_memory(const struct export_job *export, const struct trace_fault *fault)
{
	FILE *out = export->out;
	const struct trace_region *region = fault->region;
	const struct trace_alloc *alloc = fault->alloc;
	const struct trace_thread *owner = alloc ? alloc->thread : region ? region->thread : NULL;
	const struct trace_stack *stack = alloc ? alloc->stack : region ? region->stack : NULL;
	put_text(out, region ? region->source : NULL);
	if (region)
		fprintf(out, "%lld,0x%llx,%llu,", (long long)region->id,
		    (unsigned long long)region->start, (unsigned long long)region->size);
	else
		fputs(",,,", out);
	if (alloc)
		fprintf(out, "%lld,0x%llx,%llu,", (long long)alloc->id,
		    (unsigned long long)alloc->addr, (unsigned long long)alloc->size);
	else
		fputs(",,,", out);
	put_text(out, alloc ? alloc->func : NULL);
	if (owner)
		fprintf(out, "%lld", (long long)owner->tid);
	putc_unlocked(',', out);
	put_text(out, owner ? owner->name : NULL);
	if (stack) {
		const struct code_frame *frame = code_names_site(export->names, stack);
		if (!frame)
			return -ENOMEM;
		put_text(out, frame->lines[frame->site].function->name);
	} else {
		putc_unlocked(',', out);
	}
	return 0;
}

/* The code that touched it: the function that stands for the stack, and the stack. */
static int put_code(const struct export_job *export, const struct trace_stack *stack)
{
	FILE *out = export->out;
	size_t count;
	if (!stack) {
		fputs(",,,,,", out);
		return 0;
	}
	const struct code_frame *site = code_names_site(export->names, stack);
	if (!site)
		return -ENOMEM;
	const struct code_line *line = &site->lines[site->site];
	put_text(out, line->function->name);
	put_text(out, line->function->module ? line->function->module->path : NULL);
	if (line->function->module)
		fprintf(out, "0x%llx", (unsigned long long)site->frame->offset);
	putc_unlocked(',', out);
	put_text(out, line->function->file);
	if (line->line > 0)
		fprintf(out, "%d", line->line);
	putc_unlocked(',', out);
	const struct code_frame *const *frames = code_names_stack(export->names, stack, &count);
	if (!frames)
		return -ENOMEM;
	putc_unlocked('"', out);
	for (size_t i = 0; i < count; i++)
		for (unsigned j = frames[i]->line_count; j-- > 0;) {
			bool is_first = i == 0 && j + 1 == frames[i]->line_count;
			if (!is_first)
				putc_unlocked(';', out);
			export_csv_folded_text(out, frames[i]->lines[j].function->name, is_first);
		}
	putc_unlocked('"', out);
	return 0;
}

static int take(void *state, const struct trace_event *event)
{
	const struct csv *csv = state;
	FILE *out = csv->export->out;
	if (event->type != TRACE_FAULT)
		return 0;
	const struct trace_fault *fault = &event->fault;
	fprintf(out, "%lld,%lld,%lld,", (long long)event->time_ns,
	    (long long)fault->thread->process->pid, (long long)fault->thread->tid);
	put_text(out, fault->thread->name);
	put_text(out, fault->thread->process->exe);
	fprintf(out, "0x%llx,", (unsigned long long)fault->addr);
	put_text(out, fault_access_words[fault->access]);
	put_text(out, fault_kind_words[fault->kind]);
	put_text(out, fault_origin_words[fault->origin]);
	fprintf(out, "%llu,", (unsigned long long)fault->bytes);
	int result = put_memory(csv->export, fault);
	if (result == 0)
		result = put_code(csv->export, fault->stack);
	putc_unlocked('\n', out);
	return result;
}

static int finish(void *state)
{
	(void)state;
	return 0;
}

static void destroy(void *state)
{
	free(state);
}

const struct export_format csv_format = {
    .name = "csv",
    .summary = "comma-separated values, a row for each fault",
    .start = start,
    .take = take,
    .finish = finish,
    .destroy = destroy,
};
