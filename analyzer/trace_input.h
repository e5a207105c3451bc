/* SPDX-License-Identifier: MIT */
/*
 * trace_input.h: the bytes of a trace, from a file or standard input, plain or zstd (told by the
 * first bytes, not by the name).
 */
#ifndef FAULTLINE_TRACE_INPUT_H
#define FAULTLINE_TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct trace_input;

/*
 * The decoder holds a frame's window in memory. A frame may want any; this, 128 MiB, is the largest
 * that zstd itself makes and reads when it is not told otherwise.
 */
#define TRACE_INPUT_WINDOW_LOG 27

/* For a file that is being written. */
struct trace_growth {
	/*
	 * Called when all that is there was read. Waits as long as it likes; true to look again,
	 * false: no more will come.
	 */
	bool (*wait)(void *context);
	void *context;
};

/*
 * Opens `path`; "-" is standard input. `growth`, which must live as long, is NULL for a file that
 * ends where it ends. 0 or negative errno (-EISDIR for a folder).
 */
int trace_input_open(
    struct trace_input **input, const char *path, const struct trace_growth *growth);
void trace_input_close(struct trace_input *input);

/*
 * Up to `size` bytes of text. Returns their number, 0 at the end, or a negative errno: -EBADMSG
 * for compressed data that is damaged, -EFBIG for a frame whose window is larger than
 * TRACE_INPUT_WINDOW_LOG, -ESTALE for a growing file that became shorter.
 */
ssize_t trace_input_read(struct trace_input *input, char *buffer, size_t size);

/* At the end: did the compressed data stop inside a frame? */
bool trace_input_cut(const struct trace_input *input);

/* How far into the file reading has come, 0 to 100; -1 when the size is not known. */
int trace_input_percent(const struct trace_input *input);

#endif
