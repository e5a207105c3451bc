/* SPDX-License-Identifier: MIT */
/*
 * markdown.c: prints names as HTML's <code> with what could mean something written by number. In
 * backticks it would be easier to read, but there is no way to write a backslash before a bar in
 * them, nor a bar in a table that all renderers understand.
 */
#include "markdown.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Does the letter at `at` mean nothing, whatever stands around it? */
static bool is_plain(const char *text, const char *at)
{
	unsigned char letter = (unsigned char)*at;
	/* the parts of a letter beyond ASCII: there is no control letter in a table's cells */
	if (letter >= 0x80 || isalnum(letter) || strchr(" (),;+-/%=", letter))
		return true;
	/* a link begins with "http://" or "www." */
	if (letter == ':')
		return at[1] != '/';
	if (letter == '.')
		return at == text || (at[-1] != 'w' && at[-1] != 'W');
	/* within a word it does not begin what is emphasized */
	if (letter == '_')
		return at > text && isalnum((unsigned char)at[-1]) && isalnum((unsigned char)at[1]);
	return false;
}

void markdown_code(const char *text)
{
	printf("<code>");
	for (const char *at = text; *at != '\0'; at++) {
		/* an address of mail is recognized in text of one piece, however it is written */
		if (*at == '@' && at > text)
			printf("</code><code>");
		if (is_plain(text, at))
			putchar(*at);
		else
			printf("&#%d;", (unsigned char)*at);
	}
	printf("</code>");
}

void markdown_table(const struct table *table)
{
	putchar('|');
	for (size_t i = 0; i < table->column_count; i++)
		printf(" %s |", table->columns[i].title);
	printf("\n|");
	for (size_t i = 0; i < table->column_count; i++)
		printf(table->columns[i].kind == COLUMN_NUMBER ? " ---: |" : " --- |");
	putchar('\n');
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t column = i % table->column_count;
		printf(column == 0 ? "| " : " ");
		if (table->columns[column].kind == COLUMN_NUMBER)
			printf("%s", table->cells[i]);
		else if (table->cells[i][0] != '\0')
			markdown_code(table->cells[i]);
		printf(column == table->column_count - 1 ? " |\n" : " |");
	}
}
