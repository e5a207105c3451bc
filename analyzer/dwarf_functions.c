/* SPDX-License-Identifier: MIT */
/*
 * dwarf_functions.c: sorted ranges, searched by halving.
 */
#include "dwarf_functions.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NESTED 64 /* namespaces and classes, or blocks, within each other */

/* A range of addresses and what it belongs to: a unit, or one of its functions. */
struct range {
	Dwarf_Addr low, high; /* `high` is not included */
	size_t owner;
};

struct ranges {
	struct range *list;
	size_t count, room;
};

struct unit {
	Dwarf_Die *die;
	Dwarf_Die *functions;
	size_t function_count, function_room;
	struct ranges ranges; /* of functions */
	bool collected;
};

struct dwarf_functions {
	struct unit *units;
	size_t unit_count, unit_room;
	struct ranges ranges; /* of units */
};

/* One more entry in an array that doubles. 0 or -ENOMEM. */
static int make_room(void *array_address, size_t *room, size_t count, size_t size)
{
	if (count < *room)
		return 0;
	size_t larger = *room > 0 ? *room * 2 : 32;
	void *array = realloc(*(void **)array_address, larger * size);
	if (!array)
		return -ENOMEM;
	*(void **)array_address = array;
	*room = larger;
	return 0;
}

/* Adds what a die covers. 0 or -ENOMEM. */
static int add_ranges(struct ranges *ranges, Dwarf_Die *die, size_t owner)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;
	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		/* what the linker has thrown away lies at 0 */
		if (low >= high || low == 0)
			continue;
		if (make_room(&ranges->list, &ranges->room, ranges->count, sizeof(*ranges->list)))
			return -ENOMEM;
		ranges->list[ranges->count++] = (struct range){low, high, owner};
	}
	return 0;
}

static int by_address(const void *left, const void *right)
{
	const struct range *a = left, *b = right;
	return (a->low > b->low) - (a->low < b->low);
}

static void sort(struct ranges *ranges)
{
	if (ranges->count > 0)
		qsort(ranges->list, ranges->count, sizeof(*ranges->list), by_address);
}

/* The range that holds an address; NULL when none does. */
static const struct range *search(const struct ranges *ranges, Dwarf_Addr address)
{
	size_t low = 0, high = ranges->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges->list[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address >= ranges->list[low - 1].high)
		return NULL;
	return &ranges->list[low - 1];
}

struct dwarf_functions *dwarf_functions_create(Dwfl_Module *module)
{
	struct dwarf_functions *functions = calloc(1, sizeof(*functions));
	Dwarf_Die *die = NULL;
	Dwarf_Addr bias;
	if (!functions)
		return NULL;
	while ((die = dwfl_module_nextcu(module, die, &bias))) {
		if (make_room(&functions->units, &functions->unit_room, functions->unit_count,
			sizeof(*functions->units)) < 0 ||
		    add_ranges(&functions->ranges, die, functions->unit_count) < 0) {
			dwarf_functions_destroy(functions);
			return NULL;
		}
		functions->units[functions->unit_count++] = (struct unit){.die = die};
	}
	sort(&functions->ranges);
	return functions;
}

void dwarf_functions_destroy(struct dwarf_functions *functions)
{
	if (!functions)
		return;
	for (size_t i = 0; i < functions->unit_count; i++) {
		free(functions->units[i].functions);
		free(functions->units[i].ranges.list);
	}
	free(functions->units);
	free(functions->ranges.list);
	free(functions);
}

/* Adds the functions below a die, also those in namespaces and classes. 0 or -ENOMEM. */
static int collect(struct unit *unit, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die child;
	if (depth > MOST_NESTED || dwarf_child(parent, &child) != 0)
		return 0;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_subprogram:
			if (make_room(&unit->functions, &unit->function_room, unit->function_count,
				sizeof(*unit->functions)) < 0 ||
			    add_ranges(&unit->ranges, &child, unit->function_count) < 0)
				return -ENOMEM;
			unit->functions[unit->function_count++] = child;
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
			if (collect(unit, &child, depth + 1) < 0)
				return -ENOMEM;
			break;
		default:
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return 0;
}

/* The part of a function that holds an address, and is itself a part that has parts. */
static bool find_part(Dwarf_Die *die, Dwarf_Addr address)
{
	Dwarf_Die child;
	if (dwarf_child(die, &child) != 0)
		return false;
	do {
		int tag = dwarf_tag(&child);
		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
			tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
		    dwarf_haspc(&child, address) > 0) {
			*die = child;
			return true;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

size_t dwarf_functions_find(struct dwarf_functions *functions, Dwarf_Addr address, Dwarf_Die **unit,
    Dwarf_Addr *start, Dwarf_Die *found, size_t most)
{
	const struct range *range = search(&functions->ranges, address);
	*unit = NULL;
	if (!range)
		return 0;
	struct unit *owner = &functions->units[range->owner];
	*unit = owner->die;
	if (!owner->collected) {
		owner->collected = true;
		if (collect(owner, owner->die, 0) < 0)
			return 0;
		sort(&owner->ranges);
	}
	range = search(&owner->ranges, address);
	if (!range || most == 0)
		return 0;
	*start = range->low;
	/* from the outermost in, each put before the others; of too many the inner ones are lost */
	Dwarf_Die die = owner->functions[range->owner];
	size_t count = 0;
	found[count++] = die;
	for (unsigned depth = 0;
	     depth < MOST_NESTED * 4 && count < most && find_part(&die, address); depth++) {
		if (dwarf_tag(&die) != DW_TAG_inlined_subroutine)
			continue;
		memmove(found + 1, found, count * sizeof(*found));
		found[0] = die;
		count++;
	}
	return count;
}
