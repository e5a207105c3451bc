/* SPDX-License-Identifier: MIT */
/*
 * page_data.c: makes rows fewer until a browser can draw them at once.
 */
#include "page_data.h"

#include <errno.h>
#include <stdlib.h>

/* Rows of each kind; together they make less than ten megabytes of page. */
#define MOST_CODE    60000
#define MOST_ORIGINS 30000
#define MOST_SHARES  15000
#define MOST_RUNS    60000
#define MOST_ASKED   30000
#define MOST_NODES   20000
#define MOST_SITES   5000
#define MOST_REGIONS 4000

/* No fewer nodes and sites while steps can be longer; but no longer steps than that before. */
#define FEW_NODES 2000
#define FEW_SITES 1000
#define FEW_STEPS 128

void page_data_free(struct page_data *data)
{
	page_places_free(&data->places);
	numbering_free(&data->threads);
	numbering_free(&data->processes);
	runs_free(&data->runs);
	free(data->regions);
	*data = (struct page_data){0};
}

/* --- Threads -----------------------------------------------------------------------------------
 */

static int number_process(struct page_data *data, const struct trace_process *process)
{
	uint32_t number;
	return numbering_of(&data->processes, process->index, &number);
}

/* Makes an index + 1 the number of that thread on the page + 1; 0 stays 0. */
static int number_thread(struct page_data *data, uint32_t *key)
{
	uint32_t number;
	if (*key == 0)
		return 0;
	const struct trace_thread *thread =
	    trace_thread_at(data->collection->profile->trace, *key - 1);
	int result = numbering_of(&data->threads, thread->index, &number);
	*key = number + 1;
	return result < 0 ? result : number_process(data, thread->process);
}

/* All tallies, in the order in which threads get their numbers. */
#define TALLIES 5
static void list_tallies(struct collection *collection, struct tally *tallies[TALLIES])
{
	tallies[0] = &collection->shares;
	tallies[1] = &collection->code;
	tallies[2] = &collection->origins;
	tallies[3] = &collection->map;
	tallies[4] = &collection->asked;
}

static int number_threads(struct page_data *data)
{
	struct tally *tallies[TALLIES];
	list_tallies(data->collection, tallies);
	int result = 0;
	for (size_t t = 0; t < TALLIES; t++) {
		for (size_t i = 0; i < tallies[t]->count && result == 0; i++) {
			struct tally_key *key = &tallies[t]->rows[i].key;
			result = number_thread(data, &key->thread);
			if (result == 0)
				result = number_thread(data, &key->owner);
		}
		tally_join(tallies[t]);
	}
	return result;
}

/* --- Rows --------------------------------------------------------------------------------------
 */

static bool fit(struct collection *collection, uint32_t steps)
{
	return tally_reduce(&collection->code, MOST_CODE, steps) &&
	       tally_reduce(&collection->origins, MOST_ORIGINS, steps) &&
	       tally_reduce(&collection->asked, MOST_ASKED, steps);
}

/* With fewer nodes and sites more places are alike, and more rows. */
static int reduce(struct page_data *data)
{
	uint32_t nodes = MOST_NODES, sites = MOST_SITES, steps = FEW_STEPS;
	for (;;) {
		int result = page_places_cut(&data->places, data->collection, nodes, sites);
		if (result < 0 || fit(data->collection, steps))
			return result;
		if (nodes > FEW_NODES)
			nodes /= 2;
		else if (sites > FEW_SITES)
			sites /= 2;
		else if (steps > TALLY_LEAST_STEPS)
			steps = TALLY_LEAST_STEPS;
		else
			return 0;
	}
}

/* The time that all tallies together span. */
static void set_times(struct page_data *data, struct tally *const tallies[TALLIES])
{
	data->start_ns = UINT64_MAX;
	for (size_t t = 0; t < TALLIES; t++) {
		const struct tally *tally = tallies[t];
		if (tally->first_step > tally->last_step)
			continue;
		uint64_t start = (uint64_t)tally->first_step << tally->step_shift;
		uint64_t end = ((uint64_t)tally->last_step + 1) << tally->step_shift;
		data->start_ns = start < data->start_ns ? start : data->start_ns;
		data->end_ns = end > data->end_ns ? end : data->end_ns;
	}
	if (data->start_ns > data->end_ns)
		data->start_ns = 0;
}

/* A tally whose events were all in a short time has as long steps as the others at least. */
static void set_steps(struct page_data *data, struct tally *const tallies[TALLIES])
{
	unsigned shift = 0;
	while ((data->end_ns - data->start_ns) >> shift > TALLY_MOST_STEPS)
		shift++;
	data->shortest_shift = UINT32_MAX;
	for (size_t t = 0; t < TALLIES; t++) {
		tally_widen(tallies[t], shift);
		if (data->shortest_shift > tallies[t]->step_shift)
			data->shortest_shift = tallies[t]->step_shift;
		if (data->longest_shift < tallies[t]->step_shift)
			data->longest_shift = tallies[t]->step_shift;
	}
	uint64_t step = 1ull << data->longest_shift;
	data->start_ns = data->start_ns / step * step;
	data->end_ns = (data->end_ns > 0 ? (data->end_ns - 1) / step + 1 : 1) * step;
}

static int make_rows(struct page_data *data)
{
	struct collection *collection = data->collection;
	struct tally *tallies[TALLIES];
	int result = number_threads(data);
	if (result == 0)
		result = reduce(data);
	if (result < 0)
		return result;
	tally_reduce(&collection->shares, MOST_SHARES, TALLY_LEAST_STEPS);
	tally_reduce(&collection->map, MOST_RUNS, TALLY_LEAST_STEPS);
	list_tallies(collection, tallies);
	set_times(data, tallies);
	set_steps(data, tallies);
	for (size_t t = 0; t < TALLIES; t++)
		tally_sort(tallies[t]);
	return runs_make(&data->runs, &collection->map, MOST_RUNS);
}

/* --- Regions -----------------------------------------------------------------------------------
 */

static const struct profile_region *region_at(const void *item)
{
	return *(const struct profile_region *const *)item;
}

static int by_touched(const void *left, const void *right)
{
	const struct profile_region *a = region_at(left), *b = region_at(right);
	if (a->touched != b->touched)
		return a->touched > b->touched ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int by_address(const void *left, const void *right)
{
	const struct profile_region *a = region_at(left), *b = region_at(right);
	if (a->process != b->process)
		return a->process->index < b->process->index ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Those with most touched memory. */
static int choose_regions(struct page_data *data)
{
	const struct profile *profile = data->collection->profile;
	data->regions = calloc(profile->region_count + 1, sizeof(*data->regions));
	if (!data->regions)
		return -ENOMEM;
	for (size_t i = 0; i < profile->region_count; i++)
		if (profile->regions[i]->sum.faults > 0)
			data->regions[data->region_total++] = profile->regions[i];
	qsort(data->regions, data->region_total, sizeof(*data->regions), by_touched);
	data->region_count = data->region_total < MOST_REGIONS ? data->region_total : MOST_REGIONS;
	qsort(data->regions, data->region_count, sizeof(*data->regions), by_address);
	int result = 0;
	for (size_t i = 0; i < data->region_count && result == 0; i++)
		result = number_process(data, data->regions[i]->process);
	return result;
}

int page_data_make(
    struct page_data *data, struct collection *collection, const struct location_request *locations)
{
	*data = (struct page_data){.collection = collection};
	int result = page_places_make(&data->places, collection, locations);
	if (result == 0)
		result = make_rows(data);
	if (result == 0)
		result = choose_regions(data);
	return result;
}
