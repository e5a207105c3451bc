/* SPDX-License-Identifier: MIT */
/*
 * firefox_tables.c: tables are objects of columns. Each place is settled first, so that columns can
 * be written one behind the other.
 *
 * A frame of the trace is as many frames here as there are functions in it, innermost first; so is
 * each stack as many stacks, outermost first, the last of which is its place. The Firefox Profiler
 * leaves out of its sums what has no stack: such events get one, the table's last, that says so.
 */
#include "firefox_tables.h"

#include "code_names.h"
#include "export_text.h"

#include <errno.h>
#include <stdlib.h>

#define NO_PLACE	UINT32_MAX
#define LARGEST_NUMBER	(UINT64_C(1) << 53) /* that JavaScript keeps to the last digit */
#define TYPE_OF_LIBRARY 1

/* The place in firefox_categories, which is what is listed there as grey, blue and so on. */
enum { CATEGORY_OTHER, CATEGORY_PROGRAM, CATEGORY_RUNTIME };

const char firefox_categories[] =
    "[{\"name\":\"Other\",\"color\":\"grey\",\"subcategories\":[\"Other\"]},"
    "{\"name\":\"Program\",\"color\":\"blue\",\"subcategories\":[\"Other\"]},"
    "{\"name\":\"Runtime\",\"color\":\"lightblue\",\"subcategories\":[\"Other\"]}]";

static int settle_stacks(struct firefox_tables *tables)
{
	const struct export_job *export = tables->export;
	uint32_t count = trace_stack_count(export->trace), next = 0;
	tables->nodes = reallocarray(NULL, (size_t)count + 1, sizeof(*tables->nodes));
	if (!tables->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		tables->nodes[i] = NO_PLACE;
		if (!used_stacks_has(&tables->used, i))
			continue;
		const struct code_frame *frame =
		    code_names_frame(export->names, trace_stack_at(export->trace, i)->frame);
		if (!frame)
			return -ENOMEM;
		next += frame->line_count;
		tables->nodes[i] = next - 1;
	}
	if (tables->has_stackless) {
		const struct code_frame *frame = code_names_frame(export->names, NULL);
		if (!frame)
			return -ENOMEM;
		next += frame->line_count;
	}
	tables->node_count = next;
	return 0;
}

static int settle_frames(struct firefox_tables *tables)
{
	const struct code_names *names = tables->export->names;
	uint32_t count = code_names_frame_count(names), next = 0;
	tables->rows = reallocarray(NULL, (size_t)count + 1, sizeof(*tables->rows));
	if (!tables->rows)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		tables->rows[i] = next;
		next += code_names_frame_at(names, i)->line_count;
	}
	return 0;
}

static int settle_libraries(struct firefox_tables *tables)
{
	const struct code_names *names = tables->export->names;
	size_t count = trace_file_count(tables->export->trace);
	tables->libraries = reallocarray(NULL, count + 1, sizeof(*tables->libraries));
	tables->files = reallocarray(NULL, count + 1, sizeof(const struct trace_file *));
	if (!tables->libraries || !tables->files)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		tables->libraries[i] = NO_PLACE;
	for (uint32_t i = 0; i < code_names_function_count(names); i++) {
		const struct trace_file *file = code_names_function_at(names, i)->module;
		if (file && tables->libraries[file->index] == NO_PLACE) {
			tables->libraries[file->index] = tables->file_count;
			tables->files[tables->file_count++] = file;
		}
	}
	return 0;
}

int firefox_tables_settle(struct firefox_tables *tables)
{
	int result = settle_stacks(tables);
	if (result == 0)
		result = settle_frames(tables);
	if (result == 0)
		result = settle_libraries(tables);
	return result;
}

uint32_t firefox_tables_node(const struct firefox_tables *tables, uint32_t stack_index)
{
	return stack_index == FIREFOX_NO_STACK ? tables->node_count - 1
					       : tables->nodes[stack_index];
}

void firefox_tables_put_libraries(const struct firefox_tables *tables)
{
	FILE *out = tables->export->out;
	const char *machine = trace_session_of(tables->export->trace)->machine;
	fputs("\"libs\":[", out);
	for (uint32_t i = 0; i < tables->file_count; i++) {
		const struct trace_file *file = tables->files[i];
		const char *name = code_base_name(file->path);
		fputs(i > 0 ? ",\n{\"arch\":" : "{\"arch\":", out);
		export_json_text(out, machine);
		fputs(",\"name\":", out);
		export_json_text(out, name);
		fputs(",\"path\":", out);
		export_json_text(out, file->path);
		fputs(",\"debugName\":", out);
		export_json_text(out, name);
		fputs(",\"debugPath\":", out);
		export_json_text(out, file->path);
		fputs(",\"breakpadId\":\"\",\"codeId\":", out);
		if (file->build_id[0] != '\0')
			export_json_text(out, file->build_id);
		else
			fputs("null", out);
		putc_unlocked('}', out);
	}
	putc_unlocked(']', out);
}

/* What a cell is made of: of a function, of a line of a frame, or of that and its stack. */
struct row {
	const struct code_function *function;
	const struct code_frame *frame;
	unsigned line; /* of the frame */
	const struct trace_stack *stack;
};

/* Writes a cell. 0 or -ENOMEM. */
typedef int put_cell(struct firefox_tables *tables, const struct row *row);

struct column {
	const char *name;
	put_cell *put;
};

/* Writes a column: `each` calls `put` for every row of the table. */
typedef int each_row(struct firefox_tables *tables, put_cell *put);

static int put_row(struct firefox_tables *tables, put_cell *put, const struct row *row, bool *first)
{
	if (!*first)
		putc_unlocked(',', tables->export->out);
	*first = false;
	return put(tables, row);
}

static int each_function(struct firefox_tables *tables, put_cell *put)
{
	const struct code_names *names = tables->export->names;
	bool first = true;
	int result = 0;
	for (uint32_t i = 0; result == 0 && i < code_names_function_count(names); i++) {
		struct row row = {.function = code_names_function_at(names, i)};
		result = put_row(tables, put, &row, &first);
	}
	return result;
}

static int each_frame(struct firefox_tables *tables, put_cell *put)
{
	const struct code_names *names = tables->export->names;
	bool first = true;
	int result = 0;
	for (uint32_t i = 0; i < code_names_frame_count(names); i++) {
		const struct code_frame *frame = code_names_frame_at(names, i);
		for (unsigned j = 0; result == 0 && j < frame->line_count; j++) {
			struct row row = {frame->lines[j].function, frame, j, NULL};
			result = put_row(tables, put, &row, &first);
		}
	}
	return result;
}

static int put_node(
    struct firefox_tables *tables, put_cell *put, const struct trace_stack *stack, bool *first)
{
	const struct code_frame *frame =
	    code_names_frame(tables->export->names, stack ? stack->frame : NULL);
	int result = 0;
	for (unsigned j = frame->line_count; result == 0 && j-- > 0;) {
		struct row row = {frame->lines[j].function, frame, j, stack};
		result = put_row(tables, put, &row, first);
	}
	return result;
}

static int each_stack(struct firefox_tables *tables, put_cell *put)
{
	const struct trace *trace = tables->export->trace;
	bool first = true;
	int result = 0;
	for (uint32_t i = 0; result == 0 && i < trace_stack_count(trace); i++)
		if (used_stacks_has(&tables->used, i))
			result = put_node(tables, put, trace_stack_at(trace, i), &first);
	if (result == 0 && tables->has_stackless)
		result = put_node(tables, put, NULL, &first);
	return result;
}

static int put_zero(struct firefox_tables *tables, const struct row *row)
{
	(void)row;
	putc_unlocked('0', tables->export->out);
	return 0;
}

static int put_null(struct firefox_tables *tables, const struct row *row)
{
	(void)row;
	fputs("null", tables->export->out);
	return 0;
}

static int put_false(struct firefox_tables *tables, const struct row *row)
{
	(void)row;
	fputs("false", tables->export->out);
	return 0;
}

/* The place of a text in a table of strings. */
static int put_string(struct firefox_tables *tables, struct string_table *strings, const char *text)
{
	int64_t place = string_table_add(strings, text);
	if (place < 0)
		return -ENOMEM;
	fprintf(tables->export->out, "%lld", (long long)place);
	return 0;
}

static int put_function_name(struct firefox_tables *tables, const struct row *row)
{
	return put_string(tables, &tables->strings, row->function->name);
}

static int put_function_resource(struct firefox_tables *tables, const struct row *row)
{
	if (row->function->module)
		fprintf(tables->export->out, "%u", tables->libraries[row->function->module->index]);
	else
		fputs("-1", tables->export->out);
	return 0;
}

static int put_function_source(struct firefox_tables *tables, const struct row *row)
{
	if (!row->function->file)
		return put_null(tables, row);
	return put_string(tables, &tables->sources, row->function->file);
}

static int put_frame_address(struct firefox_tables *tables, const struct row *row)
{
	const struct trace_frame *frame = row->frame->frame;
	if (frame && frame->file && frame->offset < LARGEST_NUMBER)
		fprintf(tables->export->out, "%llu", (unsigned long long)frame->offset);
	else
		fputs("-1", tables->export->out);
	return 0;
}

static int put_frame_depth(struct firefox_tables *tables, const struct row *row)
{
	fprintf(tables->export->out, "%u", row->frame->line_count - 1 - row->line);
	return 0;
}

static int put_frame_category(struct firefox_tables *tables, const struct row *row)
{
	const struct trace_frame *frame = row->frame->frame;
	fprintf(tables->export->out, "%d",
	    !frame || frame->is_truncated ? CATEGORY_OTHER
	    : frame->is_runtime		  ? CATEGORY_RUNTIME
					  : CATEGORY_PROGRAM);
	return 0;
}

static int put_frame_function(struct firefox_tables *tables, const struct row *row)
{
	fprintf(tables->export->out, "%u", row->function->index);
	return 0;
}

static int put_frame_line(struct firefox_tables *tables, const struct row *row)
{
	int line = row->frame->lines[row->line].line;
	if (line == 0)
		return put_null(tables, row);
	fprintf(tables->export->out, "%d", line);
	return 0;
}

static int put_stack_frame(struct firefox_tables *tables, const struct row *row)
{
	fprintf(tables->export->out, "%u", tables->rows[row->frame->index] + row->line);
	return 0;
}

static int put_stack_prefix(struct firefox_tables *tables, const struct row *row)
{
	/* the next outer line is the stack before it */
	if (row->line + 1 < row->frame->line_count)
		fprintf(
		    tables->export->out, "%u", tables->nodes[row->stack->index] - row->line - 1);
	else if (row->stack && row->stack->caller)
		fprintf(tables->export->out, "%u", tables->nodes[row->stack->caller->index]);
	else
		return put_null(tables, row);
	return 0;
}

static const struct column function_columns[] = {
    {"name", put_function_name},
    {"isJS", put_false},
    {"relevantForJS", put_false},
    {"resource", put_function_resource},
    {"source", put_function_source},
    {"lineNumber", put_null},
    {"columnNumber", put_null},
    {NULL, NULL},
};

static const struct column frame_columns[] = {
    {"address", put_frame_address},
    {"inlineDepth", put_frame_depth},
    {"category", put_frame_category},
    {"subcategory", put_zero},
    {"func", put_frame_function},
    {"nativeSymbol", put_null},
    {"innerWindowID", put_null},
    {"line", put_frame_line},
    {"column", put_null},
    {NULL, NULL},
};

static const struct column stack_columns[] = {
    {"frame", put_stack_frame},
    {"prefix", put_stack_prefix},
    {NULL, NULL},
};

static int put_table(struct firefox_tables *tables, const char *name, const struct column *columns,
    each_row *each, uint32_t length)
{
	FILE *out = tables->export->out;
	int result = 0;
	fprintf(out, "\"%s\":{", name);
	for (; result == 0 && columns->name; columns++) {
		fprintf(out, "\"%s\":[", columns->name);
		result = each(tables, columns->put);
		fputs("],\n", out);
	}
	fprintf(out, "\"length\":%u},\n", length);
	return result;
}

/* A library is a resource, too. 0 or -ENOMEM. */
static int put_resources(struct firefox_tables *tables)
{
	FILE *out = tables->export->out;
	int result = 0;
	fputs("\"resourceTable\":{\"lib\":[", out);
	for (uint32_t i = 0; i < tables->file_count; i++)
		fprintf(out, i > 0 ? ",%u" : "%u", i);
	fputs("],\"name\":[", out);
	for (uint32_t i = 0; result == 0 && i < tables->file_count; i++) {
		if (i > 0)
			putc_unlocked(',', out);
		result =
		    put_string(tables, &tables->strings, code_base_name(tables->files[i]->path));
	}
	fputs("],\"host\":[", out);
	for (uint32_t i = 0; i < tables->file_count; i++)
		fputs(i > 0 ? ",null" : "null", out);
	fputs("],\"type\":[", out);
	for (uint32_t i = 0; i < tables->file_count; i++)
		fprintf(out, i > 0 ? ",%d" : "%d", TYPE_OF_LIBRARY);
	fprintf(out, "],\"length\":%u},\n", tables->file_count);
	return result;
}

static int put_sources(struct firefox_tables *tables)
{
	FILE *out = tables->export->out;
	int result = 0;
	fputs("\"sources\":{\"uuid\":[", out);
	for (size_t i = 0; i < tables->sources.count; i++)
		fputs(i > 0 ? ",null" : "null", out);
	fputs("],\"filename\":[", out);
	for (size_t i = 0; result == 0 && i < tables->sources.count; i++) {
		if (i > 0)
			putc_unlocked(',', out);
		result = put_string(tables, &tables->strings, tables->sources.texts[i]);
	}
	fprintf(out, "],\"length\":%zu},\n", tables->sources.count);
	return result;
}

/* The number of rows of the table of frames. */
static uint32_t count_frames(const struct firefox_tables *tables)
{
	const struct code_names *names = tables->export->names;
	uint32_t count = code_names_frame_count(names);
	return count == 0
		   ? 0
		   : tables->rows[count - 1] + code_names_frame_at(names, count - 1)->line_count;
}

int firefox_tables_put_shared(struct firefox_tables *tables)
{
	FILE *out = tables->export->out;
	fputs("\"shared\":{", out);
	int result = put_table(tables, "stackTable", stack_columns, each_stack, tables->node_count);
	if (result == 0)
		result = put_table(
		    tables, "frameTable", frame_columns, each_frame, count_frames(tables));
	if (result == 0)
		result = put_table(tables, "funcTable", function_columns, each_function,
		    code_names_function_count(tables->export->names));
	if (result == 0)
		result = put_resources(tables);
	if (result == 0)
		result = put_sources(tables);
	fputs("\"nativeSymbols\":{\"libIndex\":[],\"address\":[],\"name\":[],"
	      "\"functionSize\":[],\"length\":0},\n\"stringArray\":[",
	    out);
	for (size_t i = 0; i < tables->strings.count; i++) {
		if (i > 0)
			fputs(",\n", out);
		export_json_text(out, tables->strings.texts[i]);
	}
	fputs("]}", out);
	return result;
}

void firefox_tables_clear(struct firefox_tables *tables)
{
	used_stacks_clear(&tables->used);
	string_table_clear(&tables->strings);
	string_table_clear(&tables->sources);
	free(tables->nodes);
	free(tables->rows);
	free(tables->libraries);
	free(tables->files);
}
