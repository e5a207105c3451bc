/* SPDX-License-Identifier: MIT */
/*
 * page_places.c: in the beginning places have the numbers that stacks have in keys, and origins
 * those that they have there; those that no key names stay zero. Whenever some have become alike,
 * one of them is kept.
 */
#include "page_places.h"

#include "numbering.h"

#include <errno.h>
#include <stdlib.h>

void page_places_free(struct page_places *places)
{
	call_tree_free(&places->tree);
	code_names_destroy(places->names);
	free(places->sites);
	free(places->places);
	free(places->origins);
	*places = (struct page_places){0};
}

/* The site of a stack. 0 or -ENOMEM. */
static int locate(
    struct page_places *places, const struct trace_stack *stack, struct page_site *site)
{
	const struct code_frame *code = code_names_site(places->names, stack);
	if (!code)
		return -ENOMEM;
	const struct trace_frame *frame = code->frame;
	const struct code_line *line = &code->lines[code->site];
	site->function = line->function;
	site->line = line->line;
	if (frame && line->line == 0)
		site->offset = frame->offset - (frame->symbol ? (uint64_t)frame->symbol_offset : 0);
	return 0;
}

static int add_stack(struct page_places *places, const struct trace_stack *stack, uint64_t faults)
{
	uint32_t key = stack ? stack->index + 1 : 0;
	int result = locate(places, stack, &places->sites[key]);
	if (result == 0)
		result = call_tree_add(&places->tree, stack, faults, &places->places[key].node);
	places->places[key].site = key;
	return result;
}

/* The faults of keys: `member` of each. NULL without memory. */
static uint64_t *weigh(const struct tally *tally, uint32_t count, bool by_origin)
{
	uint64_t *weights = calloc(count, sizeof(*weights));
	for (size_t i = 0; weights && i < tally->count; i++) {
		const struct tally_key *key = &tally->rows[i].key;
		weights[by_origin ? key->origin : key->place] += tally->rows[i].count;
	}
	return weights;
}

static int add_places(struct page_places *places, const struct collection *collection)
{
	const struct trace *trace = collection->profile->trace;
	uint64_t *faults = weigh(&collection->code, places->place_count, false);
	int result = faults ? 0 : -ENOMEM;
	for (uint32_t key = 0; key < places->place_count && result == 0; key++)
		if (faults[key] > 0)
			result = add_stack(
			    places, key > 0 ? trace_stack_at(trace, key - 1) : NULL, faults[key]);
	free(faults);
	return result;
}

static int add_origins(struct page_places *places, const struct collection *collection)
{
	const struct profile *profile = collection->profile;
	struct profile_origin *const *origins = profile->origins;
	uint64_t *faults = weigh(&collection->origins, places->origin_count, true);
	bool *told = profile_told_origins(profile);
	int result = faults && told ? 0 : -ENOMEM;
	for (uint32_t key = 1; key < places->origin_count && result == 0; key++) {
		const struct profile_origin *origin = origins[key - 1];
		result = add_stack(places, origin->stack, faults[key]);
		places->origins[key].place = origin->stack ? origin->stack->index + 1 : 0;
		places->origins[key].how = origin->source;
		places->origins[key].is_allocation = origin->is_allocation;
		places->origins[key].is_told = told[key - 1];
	}
	free(faults);
	free(told);
	return result;
}

/* Sites that are alike become one. */
static int join_sites(struct page_places *places)
{
	uint32_t *numbers = reallocarray(NULL, places->site_count, sizeof(*numbers));
	int result = -ENOMEM;
	if (numbers)
		result = numbering_join(places->sites, sizeof(*places->sites), places->site_count,
		    numbers, &places->site_count);
	for (uint32_t i = 0; i < places->place_count && result == 0; i++)
		places->places[i].site = numbers[places->places[i].site];
	free(numbers);
	return result;
}

int page_places_make(struct page_places *places, const struct collection *collection,
    const struct location_request *locations)
{
	const struct profile *profile = collection->profile;
	*places = (struct page_places){.names = code_names_create(locations)};
	places->place_count = places->site_count = trace_stack_count(profile->trace) + 1;
	places->origin_count = (uint32_t)profile->origin_count + 1;
	places->sites = calloc(places->site_count, sizeof(*places->sites));
	places->places = calloc(places->place_count, sizeof(*places->places));
	places->origins = calloc(places->origin_count, sizeof(*places->origins));
	if (!places->names || !places->sites || !places->places || !places->origins)
		return -ENOMEM;
	int result = call_tree_start(&places->tree, places->names);
	if (result == 0)
		result = add_places(places, collection);
	if (result == 0)
		result = add_origins(places, collection);
	if (result == 0)
		result = join_sites(places);
	return result;
}

/* --- Cutting -----------------------------------------------------------------------------------
 */

struct ranked {
	uint64_t weight;
	uint32_t site;
};

static int heavier(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return a->site < b->site ? -1 : 1;
}

/* The lightest sites lose their names; what was asked for and never touched has weight, too. */
static int cut_sites(
    struct page_places *places, const struct collection *collection, uint32_t limit)
{
	struct ranked *ranked = calloc(places->site_count, sizeof(*ranked));
	if (!ranked)
		return -ENOMEM;
	for (uint32_t i = 0; i < places->site_count; i++)
		ranked[i].site = i;
	for (size_t i = 0; i < collection->code.count; i++) {
		const struct tally_row *row = &collection->code.rows[i];
		ranked[places->places[row->key.place].site].weight += row->bytes + row->count;
	}
	for (size_t i = 0; i < collection->asked.count; i++) {
		const struct tally_row *row = &collection->asked.rows[i];
		const struct page_origin *origin = &places->origins[row->key.origin];
		ranked[places->places[origin->place].site].weight += row->bytes;
	}
	qsort(ranked, places->site_count, sizeof(*ranked), heavier);
	for (uint32_t i = limit; i < places->site_count; i++) {
		struct page_site *site = &places->sites[ranked[i].site];
		places->cut_sites += site->function != NULL;
		*site = (struct page_site){.function = NULL};
	}
	free(ranked);
	return join_sites(places);
}

/* Gives keys the numbers of places and origins, by those that they had. */
static void renumber(struct collection *collection, const uint32_t *places, const uint32_t *origins)
{
	struct tally *tallies[] = {
	    &collection->code, &collection->origins, &collection->map, &collection->asked};
	for (size_t t = 0; t < sizeof(tallies) / sizeof(tallies[0]); t++) {
		for (size_t i = 0; i < tallies[t]->count; i++) {
			struct tally_key *key = &tallies[t]->rows[i].key;
			key->place = places[key->place];
			key->origin = origins[key->origin];
		}
		tally_join(tallies[t]);
	}
}

/* Places and origins that are alike become one. */
static int join_places(struct page_places *places, struct collection *collection)
{
	uint32_t *new_places = reallocarray(NULL, places->place_count, sizeof(*new_places));
	uint32_t *new_origins = reallocarray(NULL, places->origin_count, sizeof(*new_origins));
	int result = new_places && new_origins ? 0 : -ENOMEM;
	if (result == 0)
		result = numbering_join(places->places, sizeof(*places->places),
		    places->place_count, new_places, &places->place_count);
	for (uint32_t i = 0; i < places->origin_count && result == 0; i++)
		places->origins[i].place = new_places[places->origins[i].place];
	if (result == 0)
		result = numbering_join(places->origins, sizeof(*places->origins),
		    places->origin_count, new_origins, &places->origin_count);
	if (result == 0)
		renumber(collection, new_places, new_origins);
	free(new_places);
	free(new_origins);
	return result;
}

int page_places_cut(
    struct page_places *places, struct collection *collection, uint32_t nodes, uint32_t sites)
{
	int result = 0;
	if (places->site_count > sites)
		result = cut_sites(places, collection, sites);
	if (result == 0)
		result = call_tree_cut(&places->tree, nodes);
	for (uint32_t i = 0; i < places->place_count && result == 0; i++)
		places->places[i].node = call_tree_kept(&places->tree, places->places[i].node);
	return result == 0 ? join_places(places, collection) : result;
}
