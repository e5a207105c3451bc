/* SPDX-License-Identifier: MIT */
/*
 * used_stacks.h: which nodes of the tree of calls an output has to tell of.
 */
#ifndef FAULTLINE_USED_STACKS_H
#define FAULTLINE_USED_STACKS_H

#include "trace.h"

/* A zeroed one is empty. */
struct used_stacks {
	bool *is_used; /* by the stack's index */
	size_t room;
};

/* The stack and its callers are used; NULL is none. 0 or -ENOMEM. */
int used_stacks_add(struct used_stacks *used, const struct trace_stack *stack);

bool used_stacks_has(const struct used_stacks *used, uint32_t index);

void used_stacks_clear(struct used_stacks *used);

#endif
