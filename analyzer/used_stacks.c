/* SPDX-License-Identifier: MIT */
/*
 * used_stacks.c: a mark for each index. A marked stack's callers are marked, too.
 */
#include "used_stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int used_stacks_add(struct used_stacks *used, const struct trace_stack *stack)
{
	if (stack && stack->index >= used->room) {
		size_t room = 2 * ((size_t)stack->index + 512);
		bool *grown = realloc(used->is_used, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + used->room, 0, (room - used->room) * sizeof(*grown));
		used->is_used = grown;
		used->room = room;
	}
	for (; stack && !used->is_used[stack->index]; stack = stack->caller)
		used->is_used[stack->index] = true;
	return 0;
}

bool used_stacks_has(const struct used_stacks *used, uint32_t index)
{
	return index < used->room && used->is_used[index];
}

void used_stacks_clear(struct used_stacks *used)
{
	free(used->is_used);
	*used = (struct used_stacks){0};
}
