/* SPDX-License-Identifier: MIT */
/*
 * report_table.c: tables of a report: sorted, cut, printed for people and as JSON.
 */
#include "report.h"

#include "demangle.h"
#include "table.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB	    (1024.0 * 1024.0)
#define BAR_LETTERS 20

struct report_row *report_table_row(struct report_table *table, uint64_t weight)
{
	if (table->row_count == table->row_room) {
		size_t room = table->row_room > 0 ? table->row_room * 2 : 64;
		struct report_row **rows = realloc(table->rows, room * sizeof(*rows));
		if (!rows)
			return NULL;
		table->rows = rows;
		table->row_room = room;
	}
	struct report_row *row = arena_alloc(
	    &table->arena, sizeof(*row) + table->kind->column_count * sizeof(row->cells[0]));
	if (!row)
		return NULL;
	row->weight = weight;
	row->order = (uint32_t)table->row_count;
	table->rows[table->row_count++] = row;
	table->all_count = table->row_count;
	return row;
}

void report_table_free(struct report_table *table)
{
	free(table->rows);
	arena_clear(&table->arena);
}

static int compare_texts(const char *a, const char *b)
{
	if (!a || !b)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

/* Texts from A to Z, numbers from the most to the least. */
static int compare_cells(
    enum report_kind kind, const union report_cell *a, const union report_cell *b)
{
	switch (kind) {
	case REPORT_NAME:
		return compare_texts(a->text, b->text);
	case REPORT_PLACE:
	case REPORT_FUNCTION:
	case REPORT_WHERE:
		if (!a->location || !b->location)
			return (a->location == NULL) - (b->location == NULL);
		return compare_texts(a->location->function, b->location->function);
	case REPORT_BYTES:
	case REPORT_PERCENT:
	case REPORT_COUNT:
	case REPORT_ID:
	case REPORT_NS:
	case REPORT_ADDRESS:
	case REPORT_BAR:
		break;
	}
	/* what is not known comes last */
	uint64_t left = a->number == REPORT_UNKNOWN ? 0 : a->number;
	uint64_t right = b->number == REPORT_UNKNOWN ? 0 : b->number;
	return (left < right) - (left > right);
}

/* What qsort's comparison is about. */
struct sorting {
	const struct report_table *table;
	size_t column; /* column_count: as they were added */
};

static int compare_rows(const void *left, const void *right, void *context)
{
	const struct sorting *sorting = context;
	const struct report_table *table = sorting->table;
	const struct report_row *a = *(const struct report_row *const *)left;
	const struct report_row *b = *(const struct report_row *const *)right;
	int order = 0;
	if (sorting->column < table->kind->column_count)
		order = compare_cells(table->kind->columns[sorting->column].kind,
		    &a->cells[sorting->column], &b->cells[sorting->column]);
	if (order == 0)
		order = (a->weight < b->weight) - (a->weight > b->weight);
	/* what is alike is told apart by what it says, not by chance */
	for (size_t i = 0; order == 0 && i < table->kind->column_count; i++)
		order = compare_cells(table->kind->columns[i].kind, &a->cells[i], &b->cells[i]);
	return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static size_t find_column(const struct report_table *table, const char *key)
{
	size_t i = 0;
	while (i < table->kind->column_count && !(key && table->kind->columns[i].key &&
						    strcmp(table->kind->columns[i].key, key) == 0))
		i++;
	return i;
}

void report_table_arrange(struct report_table *table, const struct report *report)
{
	const struct report_request *request = report->request;
	double all = (double)report->profile->sum.bytes;
	struct sorting sorting = {table, find_column(table, request->sort)};
	if (sorting.column == table->kind->column_count)
		sorting.column = find_column(table, table->kind->sort);
	if (sorting.column < table->kind->column_count && table->row_count > 0)
		qsort_r(
		    table->rows, table->row_count, sizeof(*table->rows), compare_rows, &sorting);
	size_t kept = 0, limit = request->limit > 0 ? request->limit : table->kind->limit;
	for (size_t i = 0; i < table->row_count && kept < limit; i++)
		if (request->min_percent <= 0 ||
		    (double)table->rows[i]->weight * 100 >= all * request->min_percent)
			table->rows[kept++] = table->rows[i];
	table->row_count = kept;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] != '\0' ? slash + 1 : path;
}

const char *report_function_name(const struct location *location)
{
	if (!location)
		return "(no stack)";
	return location->function ? location->function : location->module ? "?" : "(no name)";
}

const char *report_where(const struct location *location, char *text, size_t size)
{
	if (!location)
		return "";
	if (location->file)
		snprintf(text, size, "%s:%d", base_name(location->file), location->line);
	else if (location->module)
		snprintf(text, size, "%s+0x%llx", base_name(location->module),
		    (unsigned long long)location->offset);
	else
		snprintf(text, size, "%s", location->is_generated ? "generated code" : "");
	return text;
}

static int add_place(struct table *text, enum report_kind kind, const struct location *location)
{
	char place[512];
	if (kind == REPORT_WHERE)
		return table_add(text, "%s", report_where(location, place, sizeof(place)));
	char *name = strdup(report_function_name(location));
	if (!name)
		return -ENOMEM;
	demangle_drop_parameters(name);
	int result;
	/* in one column there is room for what says most */
	if (kind == REPORT_FUNCTION || !location || (location->function && !location->file))
		result = table_add(text, "%s", name);
	else
		result = table_add(text, "%s%s%s", location->function ? name : "",
		    location->function ? " " : "", report_where(location, place, sizeof(place)));
	free(name);
	return result;
}

/* As long as the part of the largest that the number is. */
static int add_bar(struct table *text, uint64_t number, uint64_t largest)
{
	char bar[BAR_LETTERS + 1];
	size_t length = 0;
	if (largest > 0 && number != REPORT_UNKNOWN)
		length = (size_t)((double)number / (double)largest * BAR_LETTERS + 0.5);
	if (length == 0 && number > 0)
		length = 1;
	memset(bar, '#', length);
	bar[length] = '\0';
	return table_add(text, "%s", bar);
}

static int add_cell(struct table *text, const struct report_column *column,
    const union report_cell *cell, uint64_t all, uint64_t largest)
{
	switch (column->kind) {
	case REPORT_NAME:
		return table_add(text, "%s", cell->text ? cell->text : "");
	case REPORT_PLACE:
	case REPORT_FUNCTION:
	case REPORT_WHERE:
		return add_place(text, column->kind, cell->location);
	case REPORT_BAR:
		return add_bar(text, cell->number, largest);
	case REPORT_BYTES:
	case REPORT_PERCENT:
	case REPORT_COUNT:
	case REPORT_ID:
	case REPORT_NS:
	case REPORT_ADDRESS:
		break;
	}
	if (cell->number == REPORT_UNKNOWN)
		return table_add(text, "%s", "");
	if (column->kind == REPORT_BYTES)
		return table_add(text, "%.2f", (double)cell->number / MIB);
	if (column->kind == REPORT_NS)
		return table_add(text, "%.3f", (double)cell->number / 1e9);
	if (column->kind == REPORT_PERCENT)
		return table_add(
		    text, "%.1f", all > 0 ? 100.0 * (double)cell->number / (double)all : 0.0);
	if (column->kind == REPORT_ADDRESS)
		return table_add(text, "0x%llx", (unsigned long long)cell->number);
	return table_add(text, "%llu", (unsigned long long)cell->number);
}

static bool is_name(enum report_kind kind)
{
	return kind == REPORT_NAME || kind == REPORT_PLACE || kind == REPORT_FUNCTION ||
	       kind == REPORT_WHERE || kind == REPORT_BAR;
}

static uint64_t largest_of(const struct report_table *table, size_t column)
{
	uint64_t largest = 0;
	for (size_t i = 0; i < table->row_count; i++) {
		uint64_t number = table->rows[i]->cells[column].number;
		if (number != REPORT_UNKNOWN && number > largest)
			largest = number;
	}
	return largest;
}

/* The rows' cells, row by row, of the columns that have a title. */
static int add_rows(
    struct table *text, const struct report_table *table, const struct report *report)
{
	uint64_t largest[TABLE_COLUMNS] = {0};
	uint64_t all = report->profile->sum.bytes;
	for (size_t i = 0; i < table->kind->column_count; i++) {
		const struct report_column *column = &table->kind->columns[i];
		if (!column->title)
			continue;
		if (column->kind == REPORT_BAR)
			largest[text->column_count] = largest_of(table, i);
		text->columns[text->column_count].title = column->title;
		text->columns[text->column_count++].kind =
		    is_name(column->kind) ? COLUMN_NAME : COLUMN_NUMBER;
	}
	for (size_t row = 0; row < table->row_count; row++) {
		size_t shown = 0;
		for (size_t i = 0; i < table->kind->column_count; i++) {
			if (!table->kind->columns[i].title)
				continue;
			if (add_cell(text, &table->kind->columns[i], &table->rows[row]->cells[i],
				all, largest[shown++]) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int report_table_print(const struct report_table *table, const struct report *report)
{
	struct table text = {0};
	int result = add_rows(&text, table, report);
	if (table->row_count < table->all_count)
		printf("\n%s (%zu of %zu; --limit=all)\n\n", table->kind->title, table->row_count,
		    table->all_count);
	else
		printf("\n%s\n\n", table->kind->title);
	if (table->row_count > 0 && result == 0)
		table_print(&text, table_output_width());
	else
		printf("none\n");
	table_free(&text);
	return result;
}

static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

static int set_address(json_t *object, const char *key, uint64_t address)
{
	char text[32];
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
	return set(object, key, json_string(text));
}

int report_set_location(json_t *object, const struct location *location)
{
	int result = 0;
	if (!location)
		return 0;
	if (location->function)
		result = set(object, "function", utf8_json(location->function));
	if (result == 0 && location->module)
		result = set(object, "module", utf8_json(location->module));
	if (result == 0 && location->module)
		result = set_address(object, "offset", location->offset);
	if (result == 0 && location->file)
		result = set(object, "file", utf8_json(location->file));
	if (result == 0 && location->file)
		result = set(object, "line", json_integer(location->line));
	return result;
}

static int set_cell(
    json_t *object, const struct report_column *column, const union report_cell *cell)
{
	switch (column->kind) {
	case REPORT_NAME:
		return cell->text ? set(object, column->key, utf8_json(cell->text)) : 0;
	case REPORT_PLACE:
	case REPORT_FUNCTION:
	case REPORT_WHERE:
		return report_set_location(object, cell->location);
	case REPORT_ADDRESS:
		return cell->number == REPORT_UNKNOWN
			   ? 0
			   : set_address(object, column->key, cell->number);
	case REPORT_BYTES:
	case REPORT_PERCENT:
	case REPORT_COUNT:
	case REPORT_ID:
	case REPORT_NS:
	case REPORT_BAR:
		break;
	}
	if (cell->number == REPORT_UNKNOWN)
		return 0;
	return set(object, column->key, json_integer((json_int_t)cell->number));
}

json_t *report_table_json(const struct report_table *table)
{
	json_t *array = json_array();
	for (size_t row = 0; array && row < table->row_count; row++) {
		json_t *object = json_object();
		int result = object ? 0 : -ENOMEM;
		for (size_t i = 0; result == 0 && i < table->kind->column_count; i++)
			if (table->kind->columns[i].key)
				result = set_cell(
				    object, &table->kind->columns[i], &table->rows[row]->cells[i]);
		/* the array takes the object over in any case */
		if (json_array_append_new(array, object) < 0 || result < 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}
