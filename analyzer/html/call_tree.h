/* SPDX-License-Identifier: MIT */
/*
 * call_tree.h: the functions that were called by one another, as a flame graph shows them: stacks
 * whose frames lie in the same functions are one. A page cannot hold every branch of a large
 * program, so the lightest can be cut off; what they weigh counts for the callers that are left.
 */
#ifndef FAULTLINE_HTML_CALL_TREE_H
#define FAULTLINE_HTML_CALL_TREE_H

#include "../code_names.h"
#include "../hash_set.h"

struct call_node {
	uint32_t parent;   /* lower than its own number; the root's is itself */
	uint32_t function; /* of code_names; the root's is not used */
	uint64_t weight;   /* faults, with those of its branches after call_tree_cut */
	uint32_t place;	   /* of one that is kept */
	bool kept;
};

struct call_tree {
	struct code_names *names; /* borrowed */
	struct call_node *nodes;  /* the root is 0 */
	uint32_t count;
	size_t room;
	struct hash_set set;
	uint32_t *by_stack; /* node + 1 by the index of a trace_stack; 0: not asked yet */
	size_t stack_room;
	bool added_up;
	uint32_t *order; /* after call_tree_cut: the nodes that are kept, as they stand */
	uint32_t kept;
	uint32_t cut;	     /* nodes that are not */
	uint64_t cut_weight; /* faults that count for a caller */
};

/* 0 or -ENOMEM. */
int call_tree_start(struct call_tree *tree, struct code_names *names);
void call_tree_free(struct call_tree *tree);

/*
 * Adds a stack (NULL: none) with so many faults; *node becomes where it ends. 0 or -ENOMEM.
 */
int call_tree_add(
    struct call_tree *tree, const struct trace_stack *stack, uint64_t faults, uint32_t *node);

/*
 * Keeps the heaviest nodes, `limit` at most, and gives them their places: the root comes first,
 * children follow each other behind all of their parent's generation, the heaviest first. Nothing
 * can be added after that, but it can be cut again. 0 or -ENOMEM.
 */
int call_tree_cut(struct call_tree *tree, uint32_t limit);

/* After call_tree_cut: the node itself, or its innermost caller that is kept. */
uint32_t call_tree_kept(const struct call_tree *tree, uint32_t node);

#endif
