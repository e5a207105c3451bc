/* SPDX-License-Identifier: MIT */
/*
 * stack_tree.c: a list of nodes to be handed out, the next one last. A node that is handed out is
 * replaced in the list by its children, which are made from the stacks that it consists of.
 */
#include "stack_tree.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A stack on its way through the tree: the place in it that belongs to the node. */
struct item {
	const struct trace_stack *stack; /* NULL: no stack */
	size_t position;		 /* in its frame's locations, 0 the innermost */
	uint64_t bytes, faults;
};

struct group {
	struct stack_node node;
	uint64_t heaviest; /* bytes of the item whose location the node has */
	struct item *items;
	size_t count, room;
};

struct stack_tree {
	const struct profile *profile;
	struct locations *locations;
	struct stack_tree_request request;
	uint64_t least;			    /* bytes or faults that a node must have */
	struct profile_sum *totals;	    /* by stack, with what it called; not when upwards */
	uint32_t *first_child, *next_child; /* by stack: index + 1, 0 for none */
	struct group **waiting;
	size_t waiting_count, waiting_room;
	size_t node_count;
};

static void free_group(struct group *group)
{
	if (group)
		free(group->items);
	free(group);
}

void stack_tree_destroy(struct stack_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->waiting_count; i++)
		free_group(tree->waiting[i]);
	free(tree->waiting);
	free(tree->totals);
	free(tree->first_child);
	free(tree->next_child);
	free(tree);
}

static bool same_function(const struct location *a, const struct location *b)
{
	if (!a || !b)
		return a == b;
	return a->function == b->function && a->module == b->module &&
	       (a->function || a->offset == b->offset);
}

static bool same_group(const void *item, const void *key)
{
	const struct group *group = item;
	return same_function(group->node.location, key);
}

static uint64_t hash_function(const struct location *location)
{
	if (!location)
		return 0;
	uint64_t hash = hash_pair((uintptr_t)location->function, (uintptr_t)location->module);
	return location->function ? hash : hash_pair(hash, location->offset);
}

/* Children in the making. */
struct children {
	struct hash_set by_function;
	struct group **list;
	size_t count, room;
};

static struct group *find_group(struct children *children, const struct location *location)
{
	uint64_t hash = hash_function(location);
	struct group *group = hash_set_find(&children->by_function, hash, same_group, location);
	if (group)
		return group;
	if (children->count == children->room) {
		size_t room = children->room > 0 ? children->room * 2 : 8;
		struct group **list = realloc(children->list, room * sizeof(*list));
		if (!list)
			return NULL;
		children->list = list;
		children->room = room;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->node.location = location;
	children->list[children->count++] = group;
	return hash_set_add(&children->by_function, hash, group) == 0 ? group : NULL;
}

/* Puts an item into the group of its function. 0 or -ENOMEM. */
static int add_item(struct stack_tree *tree, struct children *children, const struct item *item)
{
	const struct location *location = NULL;
	size_t count;
	if (item->faults == 0)
		return 0;
	if (item->stack) {
		location = locations_of(tree->locations, item->stack->frame, &count);
		if (!location)
			return -ENOMEM;
		location += item->position;
	}
	struct group *group = find_group(children, location);
	if (!group)
		return -ENOMEM;
	if (group->count == group->room) {
		size_t room = group->room > 0 ? group->room * 2 : 4;
		struct item *items = realloc(group->items, room * sizeof(*items));
		if (!items)
			return -ENOMEM;
		group->items = items;
		group->room = room;
	}
	group->items[group->count++] = *item;
	group->node.bytes += item->bytes;
	group->node.faults += item->faults;
	/* Of several that weigh the same, not the one that the trace happens to hold first. */
	if (item->bytes > group->heaviest || (item->bytes == group->heaviest && location &&
						 location->offset < group->node.location->offset)) {
		group->heaviest = item->bytes;
		group->node.location = location;
	}
	return 0;
}

/* The places of a frame; 0 without memory. */
static size_t place_count(struct stack_tree *tree, const struct trace_stack *stack)
{
	size_t count;
	locations_of(tree->locations, stack->frame, &count);
	return count;
}

/* A stack with all that it called, at its outermost place. */
static int add_callee(struct stack_tree *tree, struct children *children, uint32_t index)
{
	const struct trace_stack *stack = trace_stack_at(tree->profile->trace, index);
	size_t count = place_count(tree, stack);
	if (count == 0)
		return -ENOMEM;
	return add_item(tree, children,
	    &(struct item){
		stack, count - 1, tree->totals[index].bytes, tree->totals[index].faults});
}

/* What comes behind an item in the tree; what ends with it is the node's own. */
static int add_next(
    struct stack_tree *tree, struct children *children, struct stack_node *node, struct item item)
{
	const struct trace_stack *stack = item.stack;
	bool has_next = stack != NULL;
	if (!stack) {
	} else if (tree->request.upwards) {
		size_t count = place_count(tree, stack);
		if (count == 0)
			return -ENOMEM;
		if (++item.position == count) {
			item.stack = stack->caller;
			item.position = 0;
			has_next = item.stack != NULL;
		}
	} else if (item.position > 0) {
		item.position--;
	} else {
		const struct profile_sum *own = profile_of_stack(tree->profile, stack);
		node->self_bytes += own->bytes;
		node->self_faults += own->faults;
		for (uint32_t child = tree->first_child[stack->index]; child > 0;
		     child = tree->next_child[child - 1])
			if (add_callee(tree, children, child - 1) < 0)
				return -ENOMEM;
		return 0;
	}
	if (has_next)
		return add_item(tree, children, &item);
	node->self_bytes += item.bytes;
	node->self_faults += item.faults;
	return 0;
}

static int compare_groups(const void *left, const void *right, void *context)
{
	const struct stack_node *a = &(*(struct group *const *)left)->node;
	const struct stack_node *b = &(*(struct group *const *)right)->node;
	const struct stack_tree *tree = context;
	uint64_t first = tree->request.by_faults ? a->faults : a->bytes;
	uint64_t second = tree->request.by_faults ? b->faults : b->bytes;
	/* the lightest first: the list is taken from its end */
	if (first != second)
		return first < second ? -1 : 1;
	if (a->faults != b->faults)
		return a->faults < b->faults ? -1 : 1;
	const char *one = a->location && a->location->function ? a->location->function : "";
	const char *other = b->location && b->location->function ? b->location->function : "";
	return strcmp(other, one);
}

/* Moves the children that are heavy enough to those that wait. 0 or -ENOMEM. */
static int wait_children(
    struct stack_tree *tree, struct children *children, const struct stack_node *parent)
{
	size_t kept = 0;
	for (size_t i = 0; i < children->count; i++) {
		const struct stack_node *node = &children->list[i]->node;
		if ((tree->request.by_faults ? node->faults : node->bytes) >= tree->least)
			children->list[kept++] = children->list[i];
		else
			free_group(children->list[i]);
	}
	children->count = kept;
	if (kept > 0)
		qsort_r(children->list, kept, sizeof(*children->list), compare_groups, tree);
	if (tree->waiting_count + kept > tree->waiting_room) {
		size_t room = (tree->waiting_count + kept) * 2;
		struct group **waiting = realloc(tree->waiting, room * sizeof(*waiting));
		if (!waiting)
			return -ENOMEM;
		tree->waiting = waiting;
		tree->waiting_room = room;
	}
	for (size_t i = 0; i < kept; i++) {
		struct stack_node *node = &children->list[i]->node;
		node->parent = parent ? parent->id : SIZE_MAX;
		node->depth = parent ? parent->depth + 1 : 0;
		node->is_branch = kept > 1;
		node->branches = (parent ? parent->branches : 0) + node->is_branch;
		tree->waiting[tree->waiting_count++] = children->list[i];
	}
	children->count = 0;
	return 0;
}

static void free_children(struct children *children)
{
	for (size_t i = 0; i < children->count; i++)
		free_group(children->list[i]);
	free(children->list);
	hash_set_clear(&children->by_function);
}

/* Sums with what was called, and lists of children. 0 or -ENOMEM. */
static int link_stacks(struct stack_tree *tree)
{
	const struct trace *trace = tree->profile->trace;
	uint32_t count = trace_stack_count(trace);
	tree->totals = calloc((size_t)count + 1, sizeof(*tree->totals));
	tree->first_child = calloc((size_t)count + 1, sizeof(*tree->first_child));
	tree->next_child = calloc((size_t)count + 1, sizeof(*tree->next_child));
	if (!tree->totals || !tree->first_child || !tree->next_child)
		return -ENOMEM;
	/* what is called comes behind its caller */
	for (uint32_t i = count; i-- > 0;) {
		const struct trace_stack *stack = trace_stack_at(trace, i);
		const struct profile_sum *own = profile_of_stack(tree->profile, stack);
		tree->totals[i].bytes += own->bytes;
		tree->totals[i].faults += own->faults;
		if (!stack->caller)
			continue;
		uint32_t caller = stack->caller->index;
		tree->totals[caller].bytes += tree->totals[i].bytes;
		tree->totals[caller].faults += tree->totals[i].faults;
		tree->next_child[i] = tree->first_child[caller];
		tree->first_child[caller] = i + 1;
	}
	return 0;
}

static int add_roots(struct stack_tree *tree, struct children *roots)
{
	const struct profile *profile = tree->profile;
	struct item item = {NULL, 0, profile->no_stack.bytes, profile->no_stack.faults};
	int result = add_item(tree, roots, &item);
	for (uint32_t i = 0; result == 0 && i < trace_stack_count(profile->trace); i++) {
		const struct trace_stack *stack = trace_stack_at(profile->trace, i);
		const struct profile_sum *own = profile_of_stack(profile, stack);
		if (tree->request.upwards)
			result = add_item(
			    tree, roots, &(struct item){stack, 0, own->bytes, own->faults});
		else if (!stack->caller)
			result = add_callee(tree, roots, i);
	}
	return result;
}

struct stack_tree *stack_tree_create(const struct profile *profile, struct locations *locations,
    const struct stack_tree_request *request)
{
	struct stack_tree *tree = calloc(1, sizeof(*tree));
	struct children roots = {0};
	if (!tree)
		return NULL;
	tree->profile = profile;
	tree->locations = locations;
	tree->request = *request;
	uint64_t all = request->by_faults ? profile->sum.faults : profile->sum.bytes;
	if (request->min_percent > 0)
		tree->least = (uint64_t)((double)all * request->min_percent / 100);
	int result = request->upwards ? 0 : link_stacks(tree);
	if (result == 0)
		result = add_roots(tree, &roots);
	if (result == 0)
		result = wait_children(tree, &roots, NULL);
	free_children(&roots);
	if (result < 0) {
		stack_tree_destroy(tree);
		return NULL;
	}
	return tree;
}

int stack_tree_next(struct stack_tree *tree, struct stack_node *node)
{
	if (tree->waiting_count == 0)
		return 0;
	struct group *group = tree->waiting[--tree->waiting_count];
	struct children children = {0};
	int result = 0;
	group->node.id = tree->node_count++;
	for (size_t i = 0; i < group->count && result == 0; i++)
		result = add_next(tree, &children, &group->node, group->items[i]);
	if (result == 0)
		result = wait_children(tree, &children, &group->node);
	*node = group->node;
	free_children(&children);
	free_group(group);
	return result < 0 ? result : 1;
}
