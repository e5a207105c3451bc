/* SPDX-License-Identifier: MIT */
/*
 * page_set.c: the tree of page_set.h. Functions recurse by level, which are ten at most; ranges
 * within a child are relative to its first page.
 */
#include "page_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS	 64
#define WAY_BITS 6

struct page_node {
	uint64_t mask, full; /* no child is in both */
	uint64_t count;	     /* pages below */
	union page_child children[];
};

/* The page numbers of a child of a node at `level` have this many bits. */
static unsigned child_shift(unsigned level)
{
	return level * WAY_BITS;
}

static uint64_t child_pages(unsigned level)
{
	return UINT64_C(1) << child_shift(level);
}

/* Bits first to last of a word. */
static uint64_t bit_range(uint64_t first, uint64_t last)
{
	return (UINT64_MAX << first) & (UINT64_MAX >> (WAYS - 1 - last));
}

static unsigned position(const struct page_node *node, uint64_t bit)
{
	return (unsigned)__builtin_popcountll(node->mask & (bit - 1));
}

static uint64_t child_count(union page_child child, unsigned level)
{
	return level == 0 ? (uint64_t)__builtin_popcountll(child.bits) : child.node->count;
}

/* The part of [first, last] that lies in child `way` of a node at `level`, relative to it. */
static void clip(
    unsigned level, uint64_t way, uint64_t first, uint64_t last, uint64_t *from, uint64_t *to)
{
	uint64_t base = way << child_shift(level), pages = child_pages(level);
	*from = first > base ? first - base : 0;
	*to = last - base < pages - 1 ? last - base : pages - 1;
}

static void free_child(union page_child child, unsigned level)
{
	if (level == 0 || !child.node)
		return;
	for (int i = 0; i < __builtin_popcountll(child.node->mask); i++)
		free_child(child.node->children[i], level - 1);
	free(child.node);
}

void page_set_clear(struct page_set *set)
{
	free_child(set->root, set->height);
	*set = (struct page_set){0};
}

/* The array has room for the next power of two of its children, or more. */
static int insert_child(struct page_node **slot, uint64_t bit, union page_child child)
{
	struct page_node *node = *slot;
	unsigned count = (unsigned)__builtin_popcountll(node->mask), at = position(node, bit);
	if ((count & (count - 1)) == 0) {
		size_t room = count > 0 ? 2 * count : 1;
		node = realloc(node, sizeof(*node) + room * sizeof(child));
		if (!node)
			return -ENOMEM;
		*slot = node;
	}
	memmove(node->children + at + 1, node->children + at, (count - at) * sizeof(child));
	node->children[at] = child;
	node->mask |= bit;
	return 0;
}

static void remove_child(struct page_node *node, uint64_t bit)
{
	unsigned count = (unsigned)__builtin_popcountll(node->mask), at = position(node, bit);
	memmove(node->children + at, node->children + at + 1,
	    (count - at - 1) * sizeof(union page_child));
	node->mask &= ~bit;
}

/* A new child of the level, with all its pages or with none. */
static int make_child(union page_child *child, unsigned level, bool full)
{
	if (level == 0) {
		child->bits = full ? UINT64_MAX : 0;
		return 0;
	}
	child->node = calloc(1, sizeof(*child->node));
	if (!child->node)
		return -ENOMEM;
	child->node->full = full ? UINT64_MAX : 0;
	child->node->count = full ? child_pages(level) * WAYS : 0;
	return 0;
}

static int change_range(
    union page_child *child, unsigned level, uint64_t first, uint64_t last, bool add);

/* Adds or removes the part of [first, last] in one child of a node at `level`. */
static int change_way(
    struct page_node **slot, unsigned level, uint64_t way, uint64_t first, uint64_t last, bool add)
{
	uint64_t bit = UINT64_C(1) << way, from, to, pages = child_pages(level);
	struct page_node *node = *slot;
	bool partial = node->mask & bit, full = node->full & bit;
	if (add ? full : !full && !partial)
		return 0;
	clip(level, way, first, last, &from, &to);
	bool whole = from == 0 && to == pages - 1;
	int result = 0;
	if (!partial && !whole) {
		union page_child child;
		if (make_child(&child, level - 1, full) < 0)
			return -ENOMEM;
		if (insert_child(slot, bit, child) < 0) {
			free_child(child, level - 1);
			return -ENOMEM;
		}
		node = *slot;
		node->full &= ~bit;
		partial = true;
	}
	union page_child *child = partial ? &node->children[position(node, bit)] : NULL;
	uint64_t before = child ? child_count(*child, level - 1) : full ? pages : 0;
	uint64_t after = add ? pages : 0;
	if (!whole) {
		result = change_range(child, level - 1, from, to, add);
		after = child_count(*child, level - 1);
	}
	node->count += after - before;
	if (child && (after == 0 || after == pages)) {
		free_child(*child, level - 1);
		remove_child(node, bit);
	}
	node->full = after == pages ? node->full | bit : node->full & ~bit;
	return result;
}

static int change_range(
    union page_child *child, unsigned level, uint64_t first, uint64_t last, bool add)
{
	if (level == 0) {
		uint64_t bits = bit_range(first, last);
		child->bits = add ? child->bits | bits : child->bits & ~bits;
		return 0;
	}
	uint64_t end = last >> child_shift(level);
	for (uint64_t way = first >> child_shift(level); way <= end; way++) {
		int result = change_way(&child->node, level, way, first, last, add);
		if (result < 0)
			return result;
	}
	return 0;
}

/* The last page that the root spans. */
static uint64_t root_last(const struct page_set *set)
{
	return child_pages(set->height + 1) - 1;
}

/* Puts nodes above the root until it spans the page. */
static int raise_root(struct page_set *set, uint64_t page)
{
	while (page > root_last(set)) {
		union page_child root;
		unsigned height = set->height + 1;
		if (make_child(&root, height, false) < 0)
			return -ENOMEM;
		if (set->count == 0 || set->count == child_pages(height))
			free_child(set->root, set->height);
		else if (insert_child(&root.node, 1, set->root) < 0) {
			free(root.node);
			return -ENOMEM;
		}
		root.node->full = set->count == child_pages(height);
		root.node->count = set->count;
		set->root = root;
		set->height = height;
	}
	return 0;
}

int page_set_add(struct page_set *set, uint64_t first, uint64_t last)
{
	int result = raise_root(set, last);
	if (result < 0)
		return result;
	result = change_range(&set->root, set->height, first, last, true);
	set->count = child_count(set->root, set->height);
	return result;
}

int page_set_remove(struct page_set *set, uint64_t first, uint64_t last)
{
	if (last > root_last(set))
		last = root_last(set);
	if (set->count == 0 || first > last)
		return 0;
	int result = change_range(&set->root, set->height, first, last, false);
	set->count = child_count(set->root, set->height);
	return result;
}

static uint64_t count_range(union page_child child, unsigned level, uint64_t first, uint64_t last)
{
	if (level == 0)
		return (uint64_t)__builtin_popcountll(child.bits & bit_range(first, last));
	const struct page_node *node = child.node;
	uint64_t pages = child_pages(level), count = 0;
	uint64_t begin = first >> child_shift(level), end = last >> child_shift(level);
	for (uint64_t ways = (node->mask | node->full) & bit_range(begin, end); ways;
	     ways &= ways - 1) {
		uint64_t bit = ways & -ways, from, to;
		clip(level, (uint64_t)__builtin_ctzll(ways), first, last, &from, &to);
		if (node->full & bit)
			count += to - from + 1;
		else if (from == 0 && to == pages - 1)
			count += child_count(node->children[position(node, bit)], level - 1);
		else
			count +=
			    count_range(node->children[position(node, bit)], level - 1, from, to);
	}
	return count;
}

uint64_t page_set_count(const struct page_set *set, uint64_t first, uint64_t last)
{
	if (last > root_last(set))
		last = root_last(set);
	if (set->count == 0 || first > last)
		return 0;
	return count_range(set->root, set->height, first, last);
}

bool page_set_has(const struct page_set *set, uint64_t page)
{
	return page_set_count(set, page, page) > 0;
}

/* The first run at or after `from` in a child; its ends are relative to the child, too. */
static bool next_run(
    union page_child child, unsigned level, uint64_t from, uint64_t *first, uint64_t *last)
{
	if (level == 0) {
		uint64_t bits = child.bits & (UINT64_MAX << from);
		if (bits == 0)
			return false;
		*first = (uint64_t)__builtin_ctzll(bits);
		uint64_t gap = ~bits & (UINT64_MAX << *first);
		*last = gap ? (uint64_t)__builtin_ctzll(gap) - 1 : WAYS - 1;
		return true;
	}
	const struct page_node *node = child.node;
	uint64_t begin = from >> child_shift(level);
	for (uint64_t ways = (node->mask | node->full) & (UINT64_MAX << begin); ways;
	     ways &= ways - 1) {
		uint64_t way = (uint64_t)__builtin_ctzll(ways), bit = ways & -ways;
		uint64_t base = way << child_shift(level), inside = from > base ? from - base : 0;
		if (node->full & bit) {
			*first = base + inside;
			*last = base + (child_pages(level) - 1);
			return true;
		}
		if (next_run(node->children[position(node, bit)], level - 1, inside, first, last)) {
			*first += base;
			*last += base;
			return true;
		}
	}
	return false;
}

bool page_set_next(const struct page_set *set, uint64_t *first, uint64_t *last)
{
	if (set->count == 0 || *first > root_last(set))
		return false;
	return next_run(set->root, set->height, *first, first, last);
}
