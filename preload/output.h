/* SPDX-License-Identifier: MIT */
/*
 * output.h: the file of the trace. Takes whole lines in batches and sees to it that the file
 * always ends with a complete line (plain) or a complete frame (zstd), whatever happens to the
 * disk.
 *
 * Used by the monitor's writer thread, and by the service thread before and after that one's life;
 * and by the faultline command where it writes traces.
 */
#ifndef FAULTLINE_OUTPUT_H
#define FAULTLINE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output;

/*
 * Opens `path`, compressed when it ends in ".zst". A new file is made; an existing one is taken
 * only when it is empty or begins as a faultline trace, plain or zstd, and is not being recorded
 * to; it keeps its content until output_begin. Besides regular files only /dev/null and its like
 * are taken: a pipe or terminal whose reader stops would stop the traced program.
 * 0, or a negative errno with one sentence in `error` that names the path, the reason and the way
 * out; -EEXIST for an existing file that is no trace.
 */
int output_open(struct output **output, const char *path, char *error, size_t error_size);

/* Empties the file. 0 or negative errno. */
int output_begin(struct output *output);

/*
 * How much text should be in a batch, and how old its first line may get before it is written.
 * A zstd batch is one frame: larger ones compress better.
 */
size_t output_batch_bytes(const struct output *output);
uint64_t output_batch_ns(const struct output *output);

/*
 * Writes a batch: whole lines. 0; or a negative errno, and the file then ends with a complete
 * line: the first *kept bytes of the batch are in it (also whole lines).
 */
int output_write(struct output *output, const char *text, size_t size, size_t *kept);

bool output_compresses(const struct output *output);
uint64_t output_file_bytes(const struct output *output);

/* Closes the file. 0, or the negative errno of a late write error (network file systems). */
int output_close(struct output *output);

/* Closes and frees; removes the file if it was made by output_open and never begun. NULL: no-op. */
void output_destroy(struct output *output);

#endif
