/* SPDX-License-Identifier: MIT */
/*
 * source_lines.h: the source file and line of an address in a program or library, from its DWARF
 * (elfutils finds separate debug files by build-id).
 */
#ifndef FAULTLINE_SOURCE_LINES_H
#define FAULTLINE_SOURCE_LINES_H

#include <stdbool.h>
#include <stdint.h>

struct source_lines;

/* NULL without memory. */
struct source_lines *source_lines_create(void);
void source_lines_destroy(struct source_lines *lines);

/*
 * The line of `offset` (an ELF virtual address) in the file at `path`. Returns false when nothing
 * is known: no such file any more, another build-id than `build_id` (hex; "" is not compared), no
 * debug information. *file belongs to `lines`.
 */
bool source_lines_find(struct source_lines *lines, const char *path, const char *build_id,
    uint64_t offset, const char **file, int *line);

#endif
