/* SPDX-License-Identifier: MIT */
/*
 * call_tree.c: nodes in an array, found by their parent and function.
 */
#include "call_tree.h"

#include "../hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int call_tree_start(struct call_tree *tree, struct code_names *names)
{
	*tree = (struct call_tree){.names = names, .room = 1024, .count = 1};
	tree->nodes = calloc(tree->room, sizeof(*tree->nodes));
	return tree->nodes ? 0 : -ENOMEM;
}

void call_tree_free(struct call_tree *tree)
{
	hash_set_clear(&tree->set);
	free(tree->nodes);
	free(tree->by_stack);
	free(tree->order);
	*tree = (struct call_tree){0};
}

/* The set's items are numbers of nodes; that of the root, 0, is not in it. */
struct child {
	const struct call_node *nodes;
	uint32_t parent, function;
};

static bool is_child(const void *item, const void *key)
{
	const struct child *child = key;
	const struct call_node *node = &child->nodes[(uintptr_t)item];
	return node->parent == child->parent && node->function == child->function;
}

/* The node of a function called from `parent`, made if it is new. 0 or -ENOMEM. */
static int enter(struct call_tree *tree, uint32_t parent, uint32_t function, uint32_t *node)
{
	const struct child child = {tree->nodes, parent, function};
	uint64_t hash = hash_number((uint64_t)parent << 32 | function);
	void *found = hash_set_find(&tree->set, hash, is_child, &child);
	if (found) {
		*node = (uint32_t)(uintptr_t)found;
		return 0;
	}
	if (tree->count == tree->room) {
		struct call_node *nodes =
		    reallocarray(tree->nodes, tree->room, 2 * sizeof(*tree->nodes));
		if (!nodes)
			return -ENOMEM;
		tree->nodes = nodes;
		tree->room *= 2;
	}
	*node = tree->count++;
	tree->nodes[*node] = (struct call_node){.parent = parent, .function = function};
	return hash_set_add(&tree->set, hash, (void *)(uintptr_t)*node);
}

/* The functions of a frame, those that were inlined last. 0 or -ENOMEM. */
static int enter_frame(struct call_tree *tree, const struct trace_frame *frame, uint32_t *node)
{
	const struct code_frame *code = code_names_frame(tree->names, frame);
	if (!code)
		return -ENOMEM;
	int result = 0;
	for (unsigned i = code->line_count; i > 0 && result == 0; i--)
		result = enter(tree, *node, code->lines[i - 1].function->index, node);
	return result;
}

static int remember(struct call_tree *tree, const struct trace_stack *stack, uint32_t node)
{
	if (stack->index >= tree->stack_room) {
		size_t room = (size_t)stack->index * 2 + 1024;
		uint32_t *grown = reallocarray(tree->by_stack, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + tree->stack_room, 0, (room - tree->stack_room) * sizeof(*grown));
		tree->by_stack = grown;
		tree->stack_room = room;
	}
	tree->by_stack[stack->index] = node + 1;
	return 0;
}

static bool is_known(const struct call_tree *tree, const struct trace_stack *stack)
{
	return stack->index < tree->stack_room && tree->by_stack[stack->index] != 0;
}

/* From the outermost caller that is not known yet to the stack itself. */
static int enter_stack(struct call_tree *tree, const struct trace_stack *stack, uint32_t *node)
{
	const struct trace_stack **way = malloc(stack->depth * sizeof(*way));
	uint32_t depth = 0;
	if (!way)
		return -ENOMEM;
	while (stack && !is_known(tree, stack)) {
		way[depth++] = stack;
		stack = stack->caller;
	}
	*node = stack ? tree->by_stack[stack->index] - 1 : 0;
	int result = 0;
	while (depth > 0 && result == 0) {
		depth--;
		result = enter_frame(tree, way[depth]->frame, node);
		if (result == 0)
			result = remember(tree, way[depth], *node);
	}
	free(way);
	return result;
}

int call_tree_add(
    struct call_tree *tree, const struct trace_stack *stack, uint64_t faults, uint32_t *node)
{
	*node = 0;
	int result = stack ? enter_stack(tree, stack, node) : enter_frame(tree, NULL, node);
	if (result == 0)
		tree->nodes[*node].weight += faults;
	return result;
}

/* What is sorted to find the heaviest. */
struct ranked {
	uint64_t weight;
	uint32_t node;
};

static int heavier(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	/* a parent is as heavy as its only child, and has a lower number */
	return a->node < b->node ? -1 : 1;
}

/* Weights become those of whole branches. Children have higher numbers than their parents. */
static void add_up(struct call_tree *tree)
{
	for (uint32_t i = tree->count - 1; i > 0; i--)
		tree->nodes[tree->nodes[i].parent].weight += tree->nodes[i].weight;
	tree->added_up = true;
}

/* Marks the heaviest; those without any faults are left out, too. Their number, the root one. */
static uint32_t choose(struct call_tree *tree, struct ranked *ranked, uint32_t limit)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < tree->count; i++)
		ranked[i] = (struct ranked){tree->nodes[i].weight, i};
	qsort(ranked, tree->count, sizeof(*ranked), heavier);
	for (uint32_t i = 0; i < tree->count; i++) {
		struct call_node *node = &tree->nodes[ranked[i].node];
		node->kept = ranked[i].node == 0 || (i < limit && node->weight > 0);
		kept += node->kept;
	}
	return kept;
}

/* Fills tree->order, generation after generation. `ranked` has the heaviest first. */
static int put_in_order(struct call_tree *tree, const struct ranked *ranked)
{
	/* lists of children by their parents' numbers; 0 ends them */
	uint32_t *first = calloc(tree->count, sizeof(*first));
	uint32_t *next = calloc(tree->count, sizeof(*next));
	uint32_t *order = reallocarray(tree->order, tree->kept, sizeof(*order));
	if (order)
		tree->order = order;
	if (first && next && order) {
		for (uint32_t i = tree->count; i-- > 0;) {
			uint32_t node = ranked[i].node, parent = tree->nodes[node].parent;
			if (node == 0 || !tree->nodes[node].kept)
				continue;
			next[node] = first[parent];
			first[parent] = node;
		}
		uint32_t count = 0;
		order[count++] = 0;
		for (uint32_t i = 0; i < count; i++)
			for (uint32_t child = first[order[i]]; child != 0; child = next[child])
				order[count++] = child;
	}
	int result = first && next && order ? 0 : -ENOMEM;
	free(first);
	free(next);
	return result;
}

int call_tree_cut(struct call_tree *tree, uint32_t limit)
{
	struct ranked *ranked = malloc(tree->count * sizeof(*ranked));
	if (!ranked)
		return -ENOMEM;
	if (!tree->added_up)
		add_up(tree);
	tree->kept = choose(tree, ranked, limit);
	int result = put_in_order(tree, ranked);
	free(ranked);
	if (result < 0)
		return result;
	for (uint32_t i = 0; i < tree->kept; i++)
		tree->nodes[tree->order[i]].place = i;
	tree->cut = 0;
	tree->cut_weight = 0;
	for (uint32_t i = 1; i < tree->count; i++) {
		const struct call_node *node = &tree->nodes[i];
		const struct call_node *parent = &tree->nodes[node->parent];
		if (node->kept)
			continue;
		tree->cut += node->weight > 0;
		tree->cut_weight += parent->kept ? node->weight : 0;
	}
	return 0;
}

uint32_t call_tree_kept(const struct call_tree *tree, uint32_t node)
{
	while (!tree->nodes[node].kept)
		node = tree->nodes[node].parent;
	return node;
}
