/* SPDX-License-Identifier: MIT */
/*
 * report_text.c: the report as tables for people.
 */
#include "report.h"

#include "demangle.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static double mib(uint64_t bytes)
{
	return (double)bytes / MIB;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] != '\0' ? slash + 1 : path;
}

/* Two cells: the function, and where it is. */
static int add_location(struct table *table, const struct location *location)
{
	const char *name = location->function;
	if (!name)
		name = location->module ? "?" : "(no stack)";
	char *shortened = strdup(name);
	if (!shortened)
		return -ENOMEM;
	demangle_drop_parameters(shortened);
	int result = table_add(table, "%s", shortened);
	free(shortened);
	if (result < 0)
		return result;
	if (location->file)
		return table_add(table, "%s:%d", base_name(location->file), location->line);
	if (location->module)
		return table_add(table, "%s+0x%llx", base_name(location->module),
		    (unsigned long long)location->offset);
	return table_add(table, "%s", location->function ? "generated code" : "");
}

static void print_title(const char *title, size_t shown, size_t count)
{
	if (shown < count)
		printf("\n%s (%zu of %zu; --top=all)\n\n", title, shown, count);
	else
		printf("\n%s\n\n", title);
}

static int print_code(const struct report *report, size_t top, size_t width)
{
	struct table table = {
	    .column_count = 5,
	    .columns = {{"MiB", COLUMN_NUMBER}, {"%", COLUMN_NUMBER}, {"faults", COLUMN_NUMBER},
		{"function", COLUMN_NAME}, {"where", COLUMN_NAME}},
	};
	size_t count = report->code_count < top ? report->code_count : top;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct code_row *row = &report->code[i];
		if (table_add(&table, "%.2f", mib(row->bytes)) < 0 ||
		    table_add(&table, "%.1f", percent(row->bytes, report->profile->sum.bytes)) <
			0 ||
		    table_add(&table, "%llu", (unsigned long long)row->faults) < 0 ||
		    add_location(&table, &row->location) < 0)
			result = -ENOMEM;
	}
	print_title("Code that touched most memory", count, report->code_count);
	if (count > 0)
		table_print(&table, width);
	else
		printf("none\n");
	table_free(&table);
	return result;
}

static int print_memory(const struct report *report, size_t top, size_t width)
{
	struct table table = {
	    .column_count = 7,
	    .columns = {{"reserved", COLUMN_NUMBER}, {"touched", COLUMN_NUMBER},
		{"%", COLUMN_NUMBER}, {"times", COLUMN_NUMBER}, {"by", COLUMN_NAME},
		{"function", COLUMN_NAME}, {"where", COLUMN_NAME}},
	};
	size_t count = report->memory_count < top ? report->memory_count : top;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct memory_row *row = &report->memory[i];
		if (table_add(&table, "%.2f", mib(row->reserved)) < 0 ||
		    table_add(&table, "%.2f", mib(row->touched)) < 0 ||
		    table_add(&table, "%.0f", percent(row->touched, row->reserved)) < 0 ||
		    table_add(&table, "%llu", (unsigned long long)row->count) < 0 ||
		    table_add(&table, "%s", row->source) < 0 ||
		    add_location(&table, &row->location) < 0)
			result = -ENOMEM;
	}
	print_title(
	    "Memory by who asked for it: MiB reserved and touched", count, report->memory_count);
	if (count > 0)
		table_print(&table, width);
	else
		printf("none\n");
	table_free(&table);
	return result;
}

static int print_threads(const struct report *report, size_t top, size_t width)
{
	struct table table = {
	    .column_count = 5,
	    .columns = {{"MiB", COLUMN_NUMBER}, {"faults", COLUMN_NUMBER}, {"pid", COLUMN_NUMBER},
		{"tid", COLUMN_NUMBER}, {"name", COLUMN_NAME}},
	};
	size_t count = report->thread_count < top ? report->thread_count : top;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct profile_thread *thread = report->threads[i];
		if (table_add(&table, "%.2f", mib(thread->sum.bytes)) < 0 ||
		    table_add(&table, "%llu", (unsigned long long)thread->sum.faults) < 0 ||
		    table_add(&table, "%lld", (long long)thread->thread->process->pid) < 0 ||
		    table_add(&table, "%lld", (long long)thread->thread->tid) < 0 ||
		    table_add(&table, "%s", thread->thread->name) < 0)
			result = -ENOMEM;
	}
	print_title("Threads", count, report->thread_count);
	if (count > 0)
		table_print(&table, width);
	else
		printf("none\n");
	table_free(&table);
	return result;
}

/* A line "name  value" of the heading, cut to the width. */
static int print_fact(const char *name, const char *value, size_t width)
{
	struct table table = {
	    .column_count = 2, .columns = {{name, COLUMN_NUMBER}, {"", COLUMN_NAME}}};
	/* the titles are the line: a table without rows */
	int result = table_add(&table, "%s", value);
	if (result == 0) {
		table.columns[1].title = table.cells[0];
		size_t cells = table.cell_count;
		table.cell_count = 0;
		table_print(&table, width);
		table.cell_count = cells;
	}
	table_free(&table);
	return result;
}

static int print_heading(const struct report *report, const char *name, size_t width)
{
	const struct profile *profile = report->profile;
	const struct trace_session *session = trace_session_of(profile->trace);
	char mode[256];
	snprintf(mode, sizeof(mode), "%s, stacks by %s, Linux %s", session->mode, session->capture,
	    session->kernel);
	int result = print_fact("command ", session->command, width);
	if (result == 0)
		result = print_fact("trace   ", name, width);
	if (result == 0)
		result = print_fact("mode    ", mode, width);
	printf("\n%10.2f MiB in %llu faults, %.2f s\n", mib(profile->sum.bytes),
	    (unsigned long long)profile->sum.faults, (double)profile->duration_ns / 1e9);
	printf("%10llu thread%s in %llu process%s\n", (unsigned long long)report->thread_count,
	    report->thread_count == 1 ? "" : "s", (unsigned long long)report->process_count,
	    report->process_count == 1 ? "" : "es");
	printf("%10llu lost\n", (unsigned long long)profile->lost);
	return result;
}

int report_text(const struct report *report, const char *name, size_t top)
{
	size_t width = table_output_width();
	int result = print_heading(report, name, width);
	for (size_t i = 0; i < report->profile->loss_count; i++) {
		const struct profile_loss *loss = &report->profile->losses[i];
		char text[256];
		snprintf(text, sizeof(text), "%llu %s: %s", (unsigned long long)loss->count,
		    loss->what, loss->why);
		if (result == 0)
			result = print_fact("   lost", text, width);
	}
	if (result == 0)
		result = print_code(report, top, width);
	if (result == 0)
		result = print_memory(report, top, width);
	if (result == 0)
		result = print_threads(report, top, width);
	return result;
}
