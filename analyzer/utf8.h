/* SPDX-License-Identifier: MIT */
/*
 * utf8.h: texts of any origin made fit for where they are printed. What comes from a trace is
 * UTF-8, what comes from a debug file or the command line may be anything; all of it may be made to
 * do harm.
 */
#ifndef FAULTLINE_UTF8_H
#define FAULTLINE_UTF8_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The letter (code point) at `text`, which ends with a NUL, in *letter. Returns its bytes; 0 when
 * they are not UTF-8 (RFC 3629), and *letter is then the single byte.
 */
size_t utf8_letter(const char *text, uint32_t *letter);

/*
 * Replaces, in place, what could steer a terminal or make a line read as another: control
 * characters, those that turn the direction of writing, and bytes that are not UTF-8. Each becomes
 * "?".
 */
void utf8_make_printable(char *text);

/* A JSON string, in which bytes that are not UTF-8 are U+FFFD. NULL without memory. */
json_t *utf8_json(const char *text);

#endif
