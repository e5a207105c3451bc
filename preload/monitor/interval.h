/* SPDX-License-Identifier: MIT */
/*
 * interval.h: an ordered map of address ranges that do not overlap: a process's regions, its
 * live allocations. A treap; the service thread's alone.
 */
#ifndef FAULTLINE_INTERVAL_H
#define FAULTLINE_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

struct interval {
	uint64_t start, end; /* [start, end), never empty */
	uint64_t id;
	uint64_t base;	 /* where the object began before parts of it went */
	uint32_t detail; /* the owner's */
	uint32_t page_size;
	/* the map's own */
	uint32_t priority;
	struct interval *left, *right;
};

struct interval_map {
	struct interval *root;
	size_t count;
};

/* The range that holds `address`, or NULL. */
struct interval *interval_find(const struct interval_map *map, uint64_t address);

/* The first range that ends after `address`: the one that holds it, or the next; or NULL. */
struct interval *interval_next(const struct interval_map *map, uint64_t address);

/*
 * Adds a copy of `range`, which must not overlap another. Returns it, owned by the map until it
 * is removed; NULL when there is no memory.
 */
struct interval *interval_insert(struct interval_map *map, const struct interval *range);

/* Removes and frees the range that begins at `start`, if there is one. */
void interval_remove(struct interval_map *map, uint64_t start);

/* Replaces `to` (empty) by a copy. 0 or -ENOMEM (then `to` is empty again). */
int interval_copy(struct interval_map *to, const struct interval_map *from);

void interval_clear(struct interval_map *map);

#endif
