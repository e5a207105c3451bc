/* SPDX-License-Identifier: MIT */
/*
 * table.c: measures and prints tables. A letter is a code point of UTF-8: good enough for the
 * names of functions and files.
 */
#include "table.h"

#include "utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80
#define LEAST_WIDTH   40
#define GAP	      2 /* spaces between columns */
#define LEAST_NAME    8 /* letters that a column of names keeps */

size_t table_output_width(void)
{
	struct winsize size;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ||
	    size.ws_col == 0)
		return DEFAULT_WIDTH;
	return size.ws_col < LEAST_WIDTH ? LEAST_WIDTH : size.ws_col;
}

int table_add(struct table *table, const char *format, ...)
{
	if (table->cell_count == table->capacity) {
		size_t capacity = table->capacity > 0 ? table->capacity * 2 : 128;
		char **cells = realloc(table->cells, capacity * sizeof(*cells));
		if (!cells)
			return -ENOMEM;
		table->cells = cells;
		table->capacity = capacity;
	}
	char *cell;
	va_list values;
	va_start(values, format);
	int length = vasprintf(&cell, format, values);
	va_end(values);
	if (length < 0)
		return -ENOMEM;
	/* names come from the traced program */
	utf8_make_printable(cell);
	table->cells[table->cell_count++] = cell;
	return 0;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->cell_count = table->capacity = 0;
}

static bool begins_letter(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

static size_t letters(const char *text)
{
	size_t count = 0;
	for (; *text != '\0'; text++)
		count += begins_letter(*text);
	return count;
}

/* The text behind its first `count` letters. */
static const char *skip_letters(const char *text, size_t count)
{
	while (*text != '\0' && (count > 0 || !begins_letter(*text))) {
		count -= begins_letter(*text);
		text++;
	}
	return text;
}

/*
 * Prints one cell after *spaces spaces, and leaves in *spaces what must stand before the next one:
 * a line that ends in empty cells ends without spaces.
 */
static void print_cell(const char *text, size_t width, enum column_kind kind, size_t *spaces)
{
	size_t count = letters(text);
	size_t padding = count < width ? width - count : 0;
	if (kind == COLUMN_NUMBER)
		*spaces += padding;
	if (count > 0)
		printf("%*s", (int)*spaces, "");
	if (count > width && width > 3) {
		size_t head = (width - 3 + 1) / 2, tail = width - 3 - head;
		printf("%.*s...%s", (int)(skip_letters(text, head) - text), text,
		    skip_letters(text, count - tail));
	} else {
		printf("%s", text);
	}
	if (count > 0)
		*spaces = 0;
	*spaces += GAP + (kind == COLUMN_NAME ? padding : 0);
}

/* Takes letters from the widest columns of names until all fit. */
static void fit(const struct table *table, size_t *widths, size_t width)
{
	size_t total = GAP * (table->column_count - 1);
	for (size_t i = 0; i < table->column_count; i++)
		total += widths[i];
	while (total > width) {
		size_t *widest = NULL;
		for (size_t i = 0; i < table->column_count; i++)
			if (table->columns[i].kind == COLUMN_NAME && widths[i] > LEAST_NAME &&
			    (!widest || widths[i] > *widest))
				widest = &widths[i];
		if (!widest)
			return;
		(*widest)--;
		total--;
	}
}

void table_print(const struct table *table, size_t width)
{
	size_t widths[TABLE_COLUMNS];
	size_t columns = table->column_count;
	for (size_t i = 0; i < columns; i++)
		widths[i] = letters(table->columns[i].title);
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t count = letters(table->cells[i]);
		if (count > widths[i % columns])
			widths[i % columns] = count;
	}
	fit(table, widths, width);
	size_t spaces = 0;
	for (size_t i = 0; i < table->cell_count + columns; i++) {
		size_t column = i % columns;
		const char *text =
		    i < columns ? table->columns[i].title : table->cells[i - columns];
		print_cell(text, widths[column], table->columns[column].kind, &spaces);
		if (column == columns - 1) {
			putchar('\n');
			spaces = 0;
		}
	}
}
