/* SPDX-License-Identifier: MIT */
/*
 * temporary_file.h: files without a name, in TMPDIR or /tmp, for what need not stay in memory.
 */
#ifndef FAULTLINE_TEMPORARY_FILE_H
#define FAULTLINE_TEMPORARY_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A descriptor, or negative errno. */
int temporary_file_open(void);

/* All of it, at an offset. 0 or negative errno. */
int temporary_file_write(int file, const void *bytes, size_t size, int64_t offset);
int temporary_file_read(int file, void *bytes, size_t size, int64_t offset);

#endif
