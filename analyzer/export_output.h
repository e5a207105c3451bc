/* SPDX-License-Identifier: MIT */
/*
 * export_output.h: where an export goes: standard output, or a file, whose content is compressed
 * with zstd when its name ends in .zst.
 */
#ifndef FAULTLINE_EXPORT_OUTPUT_H
#define FAULTLINE_EXPORT_OUTPUT_H

#include <stdio.h>

struct export_output;

/*
 * `path` NULL or "-": standard output. A file that is there is replaced, unless it is the trace
 * that is read. 0, or negative errno after a message that names `command`, as later ones do.
 */
int export_output_open(
    struct export_output **output, const char *command, const char *path, const char *trace_path);

/* To write to. Errors stay in it. */
FILE *export_output_file(const struct export_output *output);

/*
 * Writes what is left and frees the output. 0, or negative errno after a message when something
 * could not be written. NULL: 0.
 */
int export_output_close(struct export_output *output);

#endif
