/* SPDX-License-Identifier: MIT */
/*
 * row_spool.h: rows that come in any order and are wanted list by list: they wait in a temporary
 * file (in TMPDIR, else /tmp), so that memory is a block for each list, however many rows there
 * are.
 *
 *     while (...)
 *             row_spool_add(spool, list, &row);
 *     row_spool_rewind(spool, list);
 *     while ((result = row_spool_next(spool, &row)) > 0)
 *             ... the rows of `list` in the order they came ...
 */
#ifndef FAULTLINE_ROW_SPOOL_H
#define FAULTLINE_ROW_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct row_spool;

/* 0 or negative errno; *spool is set in either case. */
int row_spool_create(struct row_spool **spool, size_t row_size);
void row_spool_destroy(struct row_spool *spool);

/* Appends a row to a list; lists are counted from 0 and are there when first used. */
int row_spool_add(struct row_spool *spool, uint32_t list, const void *row);

/* How many rows the list has. */
uint64_t row_spool_count(const struct row_spool *spool, uint32_t list);

/* The next row to be read is the first of this list. */
void row_spool_rewind(struct row_spool *spool, uint32_t list);

/* 1, 0 behind the last row, or negative errno. */
int row_spool_next(struct row_spool *spool, void *row);

#endif
