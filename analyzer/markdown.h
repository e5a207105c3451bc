/* SPDX-License-Identifier: MIT */
/*
 * markdown.h: tables as GitHub, GitLab and their like render them.
 */
#ifndef FAULTLINE_MARKDOWN_H
#define FAULTLINE_MARKDOWN_H

#include "table.h"

/*
 * Prints the table on standard output. What stands in columns of names means nothing to Markdown,
 * to HTML, or to a site that makes links of "@name" and "#1".
 */
void markdown_table(const struct table *table);

/* The same of a text in a line of its own: printed as code. */
void markdown_code(const char *text);

#endif
