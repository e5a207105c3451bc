/* SPDX-License-Identifier: MIT */
/*
 * source_lines.h: the functions, source files and lines of an address in a program or library, from
 * its debug information, with the functions that the compiler has put into others. The file's own
 * is used, or a separate one, which elfutils finds by build-id below .build-id of /usr/lib/debug
 * (and of the same below the sysroot), beside the file, or from the servers of DEBUGINFOD_URLS.
 */
#ifndef FAULTLINE_SOURCE_LINES_H
#define FAULTLINE_SOURCE_LINES_H

#include <stddef.h>
#include <stdint.h>

struct source_lines;

/* The functions that an address may lie in at once; more are left out in the middle. */
#define SOURCE_LINES_MOST 64

struct source_line {
	const char *function; /* mangled as in the file; NULL: not known */
	uint64_t
	    start; /* of the last one: where its code begins, as `offset` counts; 0: not known */
	const char *file; /* NULL: not known */
	int line;
};

/*
 * `sysroot`, NULL for none, is put before the paths of files; it must live as long. One at a time.
 * NULL without memory.
 */
struct source_lines *source_lines_create(const char *sysroot);
void source_lines_destroy(struct source_lines *lines);

/*
 * Of `offset` (an ELF virtual address) in the file at `path`: the innermost function first, each
 * inlined into the next, at most SOURCE_LINES_MOST of them. Returns their number; 0 when nothing
 * is known: no such file any more, another build-id than `build_id` (hex; "" is not compared) and
 * none elsewhere, no debug information. Strings belong to `lines`.
 */
size_t source_lines_find(struct source_lines *lines, const char *path, const char *build_id,
    uint64_t offset, struct source_line found[SOURCE_LINES_MOST]);

/*
 * The name, mangled, of the function at an address by the symbol tables of the file or its separate
 * debug file; NULL when they have none.
 */
const char *source_lines_symbol(
    struct source_lines *lines, const char *path, const char *build_id, uint64_t offset);

#endif
