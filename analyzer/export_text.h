/* SPDX-License-Identifier: MIT */
/*
 * export_text.h: names from a trace as each output takes them. They come from the traced program,
 * and from files that it named: any byte may stand in them. What is written is always UTF-8 without
 * control characters, whoever looks at it with whatever.
 */
#ifndef FAULTLINE_EXPORT_TEXT_H
#define FAULTLINE_EXPORT_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A JSON string with its quotes. Control characters are escaped. */
void export_json_text(FILE *out, const char *text);

/*
 * A quoted field of CSV (RFC 4180). Control characters become "?", so that a row is a line. What a
 * spreadsheet would take for a formula gets an apostrophe before it, which makes it text.
 */
void export_csv_text(FILE *out, const char *text);

/* A frame of a folded stack: control characters become "?", semicolons, which part frames, ":". */
void export_folded_text(FILE *out, const char *text);

/*
 * The same within a quoted field of CSV; `is_first`: at its begin, where it could be a formula.
 */
void export_csv_folded_text(FILE *out, const char *text, bool is_first);

/* A copy in UTF-8 without control characters, for the caller to free; NULL without memory. */
char *export_plain_text(const char *text);

/* value / 10^decimals in decimal notation, to the last digit: 1234567 with 3 decimals is 1234.567.
 */
void export_decimal(FILE *out, int64_t value, unsigned decimals);

#endif
