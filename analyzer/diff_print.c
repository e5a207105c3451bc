/* SPDX-License-Identifier: MIT */
/*
 * diff_print.c: a comparison as tables, for a terminal and as Markdown.
 */
#include "diff_output.h"

#include "demangle.h"
#include "markdown.h"
#include "table.h"
#include "trace_request.h"
#include "utf8.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_SIZE 64

static double in_unit(enum diff_unit unit, double number)
{
	return unit == DIFF_BYTES ? number / (1 << 20) : unit == DIFF_NS ? number / 1e9 : number;
}

/* Bytes in MiB, times in seconds; of counts a decimal where the mean has one. */
static const char *number(char *text, enum diff_unit unit, double value)
{
	int decimals = unit != DIFF_COUNT ? 2 : rint(value) < value || rint(value) > value;
	snprintf(text, NUMBER_SIZE, "%.*f", decimals, in_unit(unit, value));
	return text;
}

/* With its sign; what is none has none. */
static const char *difference(char *text, enum diff_unit unit, const struct diff_change *change)
{
	double value = change->new_mean - change->old_mean;
	text[0] = '+';
	number(value > 0 ? text + 1 : text, unit, value);
	return text;
}

static const char *percent(char *text, const struct diff_change *change)
{
	double value = change->new_mean - change->old_mean;
	if (change->old_mean > 0)
		snprintf(text, NUMBER_SIZE, "%+.1f", 100 * value / change->old_mean);
	else
		snprintf(text, NUMBER_SIZE, "%s", value > 0 ? "new" : "");
	return text;
}

static const char *chance(char *text, double p)
{
	if (p < 0.001)
		snprintf(text, NUMBER_SIZE, "<0.001");
	else
		snprintf(text, NUMBER_SIZE, "%.3f", p);
	return text;
}

static void add_column(struct table *table, const char *title, enum column_kind kind)
{
	table->columns[table->column_count++] = (struct column){title, kind};
}

/* Adds the cells old, new, change, percent and p, as far as there are columns for them. */
static int add_change(struct table *table, const struct diff_output *output, enum diff_unit unit,
    const struct diff_change *change, bool has_percent)
{
	char text[NUMBER_SIZE + 1];
	if (table_add(table, "%s", number(text, unit, change->old_mean)) < 0 ||
	    table_add(table, "%s", number(text, unit, change->new_mean)) < 0 ||
	    table_add(table, "%s", difference(text, unit, change)) < 0 ||
	    (has_percent && table_add(table, "%s", percent(text, change)) < 0) ||
	    (output->has_p && table_add(table, "%s", chance(text, change->p)) < 0))
		return -ENOMEM;
	return 0;
}

static void add_change_columns(
    struct table *table, const struct diff_output *output, bool has_percent)
{
	add_column(table, "old", COLUMN_NUMBER);
	add_column(table, "new", COLUMN_NUMBER);
	add_column(table, "change", COLUMN_NUMBER);
	if (has_percent)
		add_column(table, "%", COLUMN_NUMBER);
	if (output->has_p)
		add_column(table, "p", COLUMN_NUMBER);
}

/* All of it: a measure a row. */
static int fill_totals(struct table *table, const struct diff_output *output)
{
	const struct diff_list *list = &output->diff->lists[DIFF_TOTAL];
	int result = 0;
	add_change_columns(table, output, true);
	add_column(table, "", COLUMN_NAME);
	for (size_t i = 0; result == 0 && i < list->kind->measure_count; i++) {
		const struct diff_measure *measure = &list->kind->measures[i];
		result = add_change(table, output, measure->unit, &list->rows[0]->changes[i], true);
		if (result == 0)
			result = table_add(table, "%s%s", measure->unit == DIFF_BYTES ? "MiB " : "",
			    measure->title);
	}
	return result;
}

static int add_function(struct table *table, const struct diff_row *row)
{
	char *name = strdup(row->function ? row->function : row->module ? "(unnamed)" : "(none)");
	if (!name)
		return -ENOMEM;
	demangle_drop_parameters(name);
	int result = table_add(table, "%s", name);
	free(name);
	return result;
}

/* The names of a row, of those that rows of that list have. */
static int add_names(struct table *table, size_t list, const struct diff_row *row)
{
	int result = 0;
	if (list != DIFF_SITE)
		result = table_add(table, "%s", row->source ? row->source : "");
	if (result == 0 && list != DIFF_SOURCE)
		result = add_function(table, row);
	if (result == 0 && list != DIFF_SOURCE)
		result = table_add(table, "%s", row->module ? row->module : "");
	return result;
}

/* Rows that changed, up to the limit; *count becomes the number of all that did. */
static int fill_list(
    struct table *table, const struct diff_output *output, size_t index, size_t *count)
{
	const struct diff_list *list = &output->diff->lists[index];
	const struct diff_list_kind *kind = list->kind;
	bool has_percent = index != DIFF_ALLOC; /* there is no room for more */
	char text[NUMBER_SIZE + 1];
	int result = 0;
	add_change_columns(table, output, has_percent);
	for (size_t i = 1; i < kind->measure_count; i++)
		add_column(table, kind->measures[i].title, COLUMN_NUMBER);
	if (index != DIFF_SITE)
		add_column(table, index == DIFF_SOURCE ? "source" : "by", COLUMN_NAME);
	if (index != DIFF_SOURCE) {
		add_column(table, "function", COLUMN_NAME);
		add_column(table, "module", COLUMN_NAME);
	}
	*count = 0;
	for (size_t i = 0; result == 0 && i < list->row_count; i++) {
		const struct diff_row *row = list->rows[i];
		if (!diff_has_changed(list, row) || ++*count > output->limit)
			continue;
		result = add_change(
		    table, output, kind->measures[0].unit, &row->changes[0], has_percent);
		for (size_t j = 1; result == 0 && j < kind->measure_count; j++)
			result = table_add(table, "%s",
			    difference(text, kind->measures[j].unit, &row->changes[j]));
		if (result == 0)
			result = add_names(table, index, row);
	}
	return result;
}

/* "4 of 20; --limit=all", where rows are left out. */
static void print_cut(const struct diff_output *output, size_t count)
{
	if (count > output->limit)
		printf(" (%zu of %zu; --limit=all)", output->limit, count);
}

/* The traces of a side, with commas between. */
static int add_traces(struct table *table, const struct diff *diff, size_t first, size_t end)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	for (size_t i = first; i < end; i++)
		fprintf(out, "%s%s", i > first ? ", " : "", trace_request_name(diff->runs[i].path));
	int result = fclose(out) == 0 ? table_add(table, "%s", text) : -ENOMEM;
	free(text);
	return result;
}

/* What was compared: names and values in two columns. */
static int fill_head(struct table *table, const struct diff *diff)
{
	const struct diff_run *old = &diff->runs[0], *new = &diff->runs[diff->old_count];
	int result = table_add(table, "old");
	if (result == 0)
		result = add_traces(table, diff, 0, diff->old_count);
	if (result == 0)
		result = table_add(table, "new");
	if (result == 0)
		result = add_traces(table, diff, diff->old_count, diff->run_count);
	if (result == 0 && table_add(table, "command") == 0)
		result = table_add(table, "%s", new->command);
	/* texts are equal when their addresses are */
	if (result == 0 && old->command != new->command && table_add(table, "before") == 0)
		result = table_add(table, "%s", old->command);
	return result;
}

static int print_head(const struct diff *diff)
{
	struct table table = {.column_count = 2, .columns = {{"", COLUMN_NAME}, {"", COLUMN_NAME}}};
	int result = fill_head(&table, diff);
	/* the first line stands where titles do */
	if (result == 0) {
		struct table shown = table;
		shown.columns[0].title = table.cells[0];
		shown.columns[1].title = table.cells[1];
		shown.cells += 2;
		shown.cell_count -= 2;
		table_print(&shown, table_output_width());
	}
	table_free(&table);
	return result;
}

static int print_list(const struct diff_output *output, size_t index, bool markdown)
{
	struct table table = {0};
	size_t count = 0;
	int result = index == DIFF_TOTAL ? fill_totals(&table, output)
					 : fill_list(&table, output, index, &count);
	const struct diff_list_kind *kind = &diff_list_kinds[index];
	if (result == 0 && index != DIFF_TOTAL) {
		printf("\n%s%s, in MiB", markdown ? "**" : "", kind->title);
		print_cut(output, count);
		printf("%s\n", markdown ? "**" : "");
	}
	if (result == 0) {
		putchar('\n');
		if (table.cell_count == 0)
			printf("the same\n");
		else if (markdown)
			markdown_table(&table);
		else
			table_print(&table, table_output_width());
	}
	table_free(&table);
	return result;
}

int diff_print_text(const struct diff_output *output)
{
	int result = print_head(output->diff);
	for (size_t i = 0; result == 0 && i < DIFF_LISTS; i++)
		result = print_list(output, i, false);
	return result;
}

char *diff_describe(const struct diff_output *output, size_t condition)
{
	const struct diff_condition *asked = &output->conditions[condition];
	const struct diff_change *change = &output->verdicts[condition].change;
	enum diff_unit unit = diff_list_kinds[asked->list].measures[asked->measure].unit;
	char old[NUMBER_SIZE], new[NUMBER_SIZE], grown[NUMBER_SIZE + 1], part[NUMBER_SIZE];
	char p[NUMBER_SIZE] = "", *text = NULL;
	percent(part, change);
	if (output->has_p)
		chance(p, change->p);
	if (asprintf(&text, "%s: %s to %s%s, %s%s%s%s%s%s", asked->text,
		number(old, unit, change->old_mean), number(new, unit, change->new_mean),
		unit == DIFF_BYTES ? " MiB" : "", difference(grown, unit, change),
		part[0] != '\0' ? ", " : "", part, change->old_mean > 0 ? "%" : "",
		output->has_p ? ", p " : "", p) < 0)
		return NULL;
	utf8_make_printable(text);
	return text;
}

/* A list of what was asked, each with what came of it. */
static int print_conditions(const struct diff_output *output)
{
	if (output->condition_count > 0)
		printf("\n");
	for (size_t i = 0; i < output->condition_count; i++) {
		const struct diff_verdict *verdict = &output->verdicts[i];
		char *text = diff_describe(output, i);
		if (!text)
			return -ENOMEM;
		printf("- %s ", verdict->failed	    ? "**failed**"
				: verdict->exceeded ? "exceeded, maybe by chance:"
						    : "passed");
		markdown_code(text);
		printf("\n");
		free(text);
	}
	return 0;
}

int diff_print_markdown(const struct diff_output *output)
{
	const struct diff_change *touched = &output->diff->lists[DIFF_TOTAL].rows[0]->changes[0];
	char old[NUMBER_SIZE], new[NUMBER_SIZE], part[NUMBER_SIZE];
	percent(part, touched);
	printf("### Memory touched: %s MiB, was %s MiB", number(new, DIFF_BYTES, touched->new_mean),
	    number(old, DIFF_BYTES, touched->old_mean));
	if (touched->old_mean > 0)
		printf(" (%s%%)", part);
	printf("\n");
	int result = print_conditions(output);
	for (size_t i = 0; result == 0 && i < DIFF_LISTS; i++)
		result = print_list(output, i, true);
	return result;
}
