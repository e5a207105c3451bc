/* SPDX-License-Identifier: MIT */
/*
 * tally.h: counts what happened, by when, where and who, in bounded memory. What is alike, in one
 * step of time and, on a map, one block of addresses, is one row. It begins with steps of a
 * microsecond and exact pages; when there would be too many rows
 *
 *   - steps double in size, and blocks do, in turn;
 *   - before they are very large, the tally forgets: a map then has one row for each step and
 *     block, which names who had most of it; others that may no longer tell threads apart.
 *
 * Sums stay exact.
 */
#ifndef FAULTLINE_HTML_TALLY_H
#define FAULTLINE_HTML_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts of a block, each a bit of its row. */
#define TALLY_BLOCK_PARTS 64

/* What makes a row. All but `step` and `block` are numbers of the caller's. */
struct tally_key {
	uint64_t block; /* of a map: in blocks of TALLY_BLOCK_PARTS parts of 2^block_shift pages */
	uint32_t step;	/* time since the recording began, in steps of 2^step_shift ns */
	uint32_t thread, place, origin, owner;
	uint16_t source, access;
};

struct tally_row {
	struct tally_key key;
	uint64_t count, bytes;
	union {
		struct {		/* of a map */
			uint64_t parts; /* of the block: the lowest bit is the first one */
			uint64_t lead;	/* by how much the key's things lead the others */
		};
		struct { /* of others */
			uint64_t touched, present;
		};
	};
};

/* However fine the steps, there are no more: a screen has not as many columns. */
#define TALLY_MOST_STEPS 2048

struct tally {
	struct tally_row *rows;
	size_t count, limit;
	uint32_t *slots; /* numbers of rows + 1, found by hash; 0: free */
	size_t slot_count;
	bool is_map, may_forget;
	bool forgets;
	unsigned step_shift, block_shift;
	uint32_t first_step, last_step; /* of all that was ever added; first > last: nothing */
};

enum { TALLY_MAP = 1, TALLY_MAY_FORGET = 2 };

/* Holds `limit` rows, more only when nothing coarser is left. 0 or -ENOMEM. */
int tally_start(struct tally *tally, size_t limit, unsigned flags);
void tally_free(struct tally *tally);

/* Adds the row's counts to the row of its key, whose step is that of the time. 0 or -ENOMEM. */
int tally_add(struct tally *tally, const struct tally_row *row, int64_t time_ns);

/*
 * The same on a map, for `pages` from `page` on; the key's block, the row's parts and its lead are
 * set here. What spans blocks counts in the first.
 */
int tally_map(struct tally *tally, const struct tally_row *row, int64_t time_ns, uint64_t page,
    uint64_t pages);

/*
 * Makes it coarser, until there are at most `limit` rows. False when that would take fewer steps
 * than `least_steps`, or blocks of terabytes.
 */
#define TALLY_LEAST_STEPS 16
bool tally_reduce(struct tally *tally, size_t limit, uint32_t least_steps);

/* Makes steps at least that coarse. */
void tally_widen(struct tally *tally, unsigned step_shift);

/* Joins rows that have become alike because the caller gave their keys other numbers. */
void tally_join(struct tally *tally);

/*
 * Sorts by time; of rows that differ only in their blocks, one follows the other. Nothing can be
 * added after that.
 */
void tally_sort(struct tally *tally);

#endif
