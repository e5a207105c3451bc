/* SPDX-License-Identifier: MIT */
/*
 * line_store.h: lines that may be needed later. The first ones are kept in memory, the others in a
 * temporary file without a name, in TMPDIR or /tmp.
 */
#ifndef FAULTLINE_LINE_STORE_H
#define FAULTLINE_LINE_STORE_H

#include <stddef.h>
#include <stdint.h>

/* A zeroed store is empty. */
struct line_store {
	char *buffer; /* what is not in the file yet */
	size_t used, capacity;
	int64_t filed; /* bytes in the file, before the buffer's */
	int file;      /* meaningful once `filed` is not 0 */
};

/* Keeps a line. Its place (0 or more), or negative errno. */
int64_t line_store_put(struct line_store *store, const char *text, size_t size);

/*
 * The line at a place, in *text, which is a buffer of *capacity bytes that grows as needed; the
 * caller frees it. Its length, or negative errno.
 */
int64_t line_store_get(struct line_store *store, int64_t place, char **text, size_t *capacity);

void line_store_clear(struct line_store *store);

#endif
