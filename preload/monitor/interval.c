/* SPDX-License-Identifier: MIT */
/* interval.c: a treap keyed by start; heap order by a pseudo-random priority. */
#include "interval.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t next_priority(void)
{
	static uint32_t state = 2463534242u; /* xorshift32, G. Marsaglia 2003 */

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

struct interval *interval_next(const struct interval_map *map, uint64_t address)
{
	struct interval *best = NULL;

	for (struct interval *node = map->root; node;) {
		if (node->end > address) {
			best = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}

struct interval *interval_find(const struct interval_map *map, uint64_t address)
{
	struct interval *node = interval_next(map, address);

	return node && node->start <= address ? node : NULL;
}

/* Splits by start: left gets those below `start`. */
static void split(
    struct interval *node, uint64_t start, struct interval **left, struct interval **right)
{
	if (!node) {
		*left = *right = NULL;
	} else if (node->start < start) {
		split(node->right, start, &node->right, right);
		*left = node;
	} else {
		split(node->left, start, left, &node->left);
		*right = node;
	}
}

static struct interval *merge(struct interval *left, struct interval *right)
{
	if (!left)
		return right;
	if (!right)
		return left;
	if (left->priority > right->priority) {
		left->right = merge(left->right, right);
		return left;
	}
	right->left = merge(left, right->left);
	return right;
}

struct interval *interval_insert(struct interval_map *map, const struct interval *range)
{
	struct interval *node = malloc(sizeof(*node)), **at = &map->root;

	if (!node)
		return NULL;
	*node = *range;
	node->priority = next_priority();
	while (*at && (*at)->priority >= node->priority)
		at = range->start < (*at)->start ? &(*at)->left : &(*at)->right;
	split(*at, node->start, &node->left, &node->right);
	*at = node;
	map->count++;
	return node;
}

void interval_remove(struct interval_map *map, uint64_t start)
{
	struct interval **at = &map->root, *node;

	while (*at && (*at)->start != start)
		at = start < (*at)->start ? &(*at)->left : &(*at)->right;
	node = *at;
	if (!node)
		return;
	*at = merge(node->left, node->right);
	free(node);
	map->count--;
}

static void free_tree(struct interval *node)
{
	if (!node)
		return;
	free_tree(node->left);
	free_tree(node->right);
	free(node);
}

void interval_clear(struct interval_map *map)
{
	free_tree(map->root);
	*map = (struct interval_map){0};
}

static struct interval *copy_tree(const struct interval *from, int *error)
{
	struct interval *node;

	if (!from || *error)
		return NULL;
	node = malloc(sizeof(*node));
	if (!node) {
		*error = -ENOMEM;
		return NULL;
	}
	*node = *from;
	node->left = copy_tree(from->left, error);
	node->right = copy_tree(from->right, error);
	return node;
}

int interval_copy(struct interval_map *to, const struct interval_map *from)
{
	int error = 0;

	*to = (struct interval_map){.root = copy_tree(from->root, &error), .count = from->count};
	if (error)
		interval_clear(to);
	return error;
}
