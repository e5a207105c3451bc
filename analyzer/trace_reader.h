/* SPDX-License-Identifier: MIT */
/*
 * trace_reader.h: the lines of a trace, one JSON object at a time. The reader checks what every
 * reader has to check: the session line comes first, the version is not newer, a cut end is told
 * apart from damage. It prints nothing but progress, and that only to a terminal.
 */
#ifndef FAULTLINE_TRACE_READER_H
#define FAULTLINE_TRACE_READER_H

#include "fault_line.h"
#include "trace_input.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TRACE_VERSION 1

struct trace_reader;

/*
 * Opens `path` ("-": standard input). `growth`: see trace_input.h; with it there is no progress.
 * 0, or negative errno: see trace_reader_error.
 */
int trace_reader_open(
    struct trace_reader **reader, const char *path, const struct trace_growth *growth);
void trace_reader_close(struct trace_reader *reader);

/* One line. What it points to is valid until the next one is read. */
struct trace_line {
	const char *text; /* as it stands, without its newline; not ended by a NUL */
	size_t size;
	const char *type;	 /* its own "type" */
	const json_t *json;	 /* NULL for a fault in the recorder's own shape: */
	struct fault_line fault; /* read without jansson. Set for every fault */
};

/* The next line. Returns 1, 0 at the end, or a negative errno: see trace_reader_error. */
int trace_reader_next(struct trace_reader *reader, struct trace_line *line);

/*
 * Notes what is wrong with the present line: "FILE:LINE: REASON". Returns -EBADMSG for the
 * caller to return. trace_reader_no_memory does so for a lack of memory, and returns -ENOMEM.
 */
int trace_reader_refuse(struct trace_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int trace_reader_no_memory(struct trace_reader *reader);

/* What went wrong, with file name and line number. The string belongs to the reader. */
const char *trace_reader_error(const struct trace_reader *reader);

/* At the end: did the text stop inside a line or a compressed frame? */
bool trace_reader_cut(const struct trace_reader *reader);

/*
 * The value of a key of the present line. 1 when it is there, 0 when it is not (then the output is
 * untouched), or -EBADMSG, noted, when it has the wrong type or is required and not there.
 * Strings belong to the line.
 */
int trace_integer(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    int64_t *value);
int trace_address(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    uint64_t *value);
int trace_string(struct trace_reader *reader, const json_t *object, const char *key, bool required,
    const char **value);

#endif
