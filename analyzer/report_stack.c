/* SPDX-License-Identifier: MIT */
/*
 * report_stack.c: the tree of calls. For people, a line that begins with "+" is one of several
 * callees (or callers) of the same function, and lines below it that stand as far to the right are
 * what it called, one after the other:
 *
 *     main
 *     run
 *     + load
 *       read
 *     + sort
 */
#include "report.h"

#include "demangle.h"
#include "stack_tree.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MIN_PERCENT 1.0
#define MOST_INDENT	    60 /* letters; what is deeper stays there */

/* What a node can be sorted by; it is printed by functions of its own. */
static const struct report_column stack_columns[] = {
    {"bytes", "MiB", REPORT_BYTES},
    {"faults", NULL, REPORT_COUNT},
};

const struct report_section report_stack = {
    .name = "stack",
    .tables = {{
	.key = "stack",
	.title = "Calls",
	.columns = stack_columns,
	.column_count = sizeof(stack_columns) / sizeof(stack_columns[0]),
	.sort = "bytes",
	.limit = 40,
    }},
};

static struct stack_tree *make_tree(const struct report *report)
{
	const struct report_request *request = report->request;
	return stack_tree_create(report->profile, report->locations,
	    &(struct stack_tree_request){
		.upwards = request->upwards,
		.by_faults = request->sort && strcmp(request->sort, "faults") == 0,
		.min_percent =
		    request->min_percent < 0 ? DEFAULT_MIN_PERCENT : request->min_percent,
	    });
}

static size_t most_lines(const struct report *report)
{
	return report->request->limit == 0 ? report_stack.tables[0].limit : report->request->limit;
}

static int add_line(struct table *table, const struct report *report, const struct stack_node *node)
{
	char where[512];
	uint64_t all = report->profile->sum.bytes;
	unsigned indent = node->branches * 2;
	char *name = strdup(report_function_name(node->location));
	if (!name)
		return -ENOMEM;
	demangle_drop_parameters(name);
	if (indent > MOST_INDENT)
		indent = MOST_INDENT;
	int result = table_add(table, "%.2f", (double)node->bytes / (1024 * 1024));
	if (result == 0)
		result = table_add(
		    table, "%.1f", all > 0 ? 100.0 * (double)node->bytes / (double)all : 0.0);
	if (result == 0)
		result = table_add(table, "%.2f", (double)node->self_bytes / (1024 * 1024));
	if (result == 0)
		result =
		    table_add(table, "%*s%s%s", node->is_branch ? (int)indent - 2 : (int)indent, "",
			node->is_branch ? "+ " : "", name);
	if (result == 0)
		result = table_add(table, "%s", report_where(node->location, where, sizeof(where)));
	free(name);
	return result;
}

int report_stack_print(const struct report *report)
{
	struct table table = {
	    .column_count = 5,
	    .columns = {{"MiB", COLUMN_NUMBER}, {"%", COLUMN_NUMBER}, {"self", COLUMN_NUMBER},
		{"function", COLUMN_NAME}, {"where", COLUMN_NAME}},
	};
	struct stack_tree *tree = make_tree(report);
	struct stack_node node;
	size_t lines = 0;
	int result = tree ? 0 : -ENOMEM;
	while (result >= 0 && (result = stack_tree_next(tree, &node)) > 0 &&
	       lines < most_lines(report)) {
		result = add_line(&table, report, &node);
		lines++;
	}
	printf("\nCalls, %s%s\n\n",
	    report->request->upwards ? "from what touched memory up to the root"
				     : "from the root down to what touched memory",
	    result > 0 ? " (cut; --limit=all)" : "");
	if (lines > 0 && result >= 0)
		table_print(&table, table_output_width());
	else
		printf("none\n");
	table_free(&table);
	stack_tree_destroy(tree);
	return result < 0 ? result : 0;
}

static json_t *node_json(const struct stack_node *node)
{
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)node->id,
	    "depth", (json_int_t)node->depth, "bytes", (json_int_t)node->bytes, "faults",
	    (json_int_t)node->faults, "self_bytes", (json_int_t)node->self_bytes, "self_faults",
	    (json_int_t)node->self_faults);
	int result = object ? 0 : -ENOMEM;
	if (result == 0 && node->parent != SIZE_MAX)
		result =
		    json_object_set_new(object, "parent", json_integer((json_int_t)node->parent));
	if (result == 0)
		result = report_set_location(object, node->location);
	if (result == 0 && node->location && node->location->is_inlined)
		result = json_object_set_new(object, "inlined", json_true());
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *report_stack_json(const struct report *report)
{
	struct stack_tree *tree = make_tree(report);
	json_t *array = json_array();
	struct stack_node node;
	int result = tree && array ? 0 : -ENOMEM;
	for (size_t lines = 0; result >= 0 && lines < most_lines(report) &&
			       (result = stack_tree_next(tree, &node)) > 0;
	     lines++)
		if (json_array_append_new(array, node_json(&node)) < 0)
			result = -ENOMEM;
	stack_tree_destroy(tree);
	if (result >= 0)
		return array;
	json_decref(array);
	return NULL;
}
