/* SPDX-License-Identifier: MIT */
/*
 * stack_tree.h: the stacks of a profile as a tree of functions, in either direction: from the root
 * of the program to what touched memory, or from what touched memory to those it was called by.
 * Calls of one function from one place of the tree are one node, whichever line they come from;
 * inlined functions are nodes of their own. Nodes are made one after the other, parents before
 * children, the heaviest child first, so that a cut-off costs nothing for what is below it.
 *
 *     struct stack_tree *tree = stack_tree_create(profile, locations, &request);
 *     while ((result = stack_tree_next(tree, &node)) > 0)
 *             ... node.depth, node.location->function, node.bytes ...
 *     stack_tree_destroy(tree);
 */
#ifndef FAULTLINE_STACK_TREE_H
#define FAULTLINE_STACK_TREE_H

#include "locations.h"
#include "profile.h"

struct stack_tree_request {
	bool upwards;	    /* from what touched memory to its callers */
	bool by_faults;	    /* heavy is what has many faults, not bytes */
	double min_percent; /* of all bytes (or faults): lighter nodes are left out */
};

struct stack_node {
	size_t id, parent; /* counted from 0 as they are made; parent SIZE_MAX: a root */
	unsigned depth;	   /* of a root 0 */
	unsigned branches; /* how many ancestors, and the node itself, have siblings */
	bool is_branch;	   /* it has siblings */
	/* Of the heaviest call; NULL: faults without a stack. */
	const struct location *location;
	uint64_t bytes, faults; /* with all below it */
	uint64_t self_bytes,
	    self_faults; /* where the stacks end: at touches, or upwards at roots */
};

struct stack_tree;

/* NULL without memory. Profile and locations must live as long. */
struct stack_tree *stack_tree_create(const struct profile *profile, struct locations *locations,
    const struct stack_tree_request *request);
void stack_tree_destroy(struct stack_tree *tree);

/* The next node. 1, 0 at the end, or -ENOMEM. */
int stack_tree_next(struct stack_tree *tree, struct stack_node *node);

#endif
