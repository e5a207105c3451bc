/* SPDX-License-Identifier: MIT */
/*
 * table.h: tables of text that fit the output's width. Columns of numbers keep their width;
 * columns of names share what is left, and names that do not fit lose their middle.
 */
#ifndef FAULTLINE_TABLE_H
#define FAULTLINE_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS 12

enum column_kind { COLUMN_NUMBER, COLUMN_NAME };

struct table {
	size_t column_count;
	struct column {
		const char *title;
		enum column_kind kind;
	} columns[TABLE_COLUMNS];
	char **cells; /* row by row, owned */
	size_t cell_count, capacity;
};

/* Appends one cell; rows fill from the left. What could steer a terminal becomes "?". 0 or -ENOMEM.
 */
int table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints titles and rows on standard output, no line wider than `width` as far as that can be. */
void table_print(const struct table *table, size_t width);

/* Frees the cells; the columns stay. */
void table_free(struct table *table);

/* The width of the terminal that standard output is; 80 when it is none. */
size_t table_output_width(void);

#endif
