/* SPDX-License-Identifier: MIT */
/*
 * collection.c: every event goes to the profile first, which leaves in regions and allocations
 * where they came from.
 */
#include "collection.h"

#include <errno.h>

/* Rows of 64 bytes, and their shares of the tables that find them: some 50 MiB in all. */
#define CODE_ROWS   (192u << 10)
#define ORIGIN_ROWS (96u << 10)
#define SHARE_ROWS  (32u << 10)
#define MAP_ROWS    (256u << 10)
#define ASKED_ROWS  (64u << 10)

int collection_start(struct collection *collection, const struct trace *trace)
{
	*collection = (struct collection){.profile = profile_create(trace, PROFILE_REGIONS)};
	if (!collection->profile ||
	    tally_start(&collection->code, CODE_ROWS, TALLY_MAY_FORGET) < 0 ||
	    tally_start(&collection->origins, ORIGIN_ROWS, TALLY_MAY_FORGET) < 0 ||
	    tally_start(&collection->shares, SHARE_ROWS, 0) < 0 ||
	    tally_start(&collection->map, MAP_ROWS, TALLY_MAP | TALLY_MAY_FORGET) < 0 ||
	    tally_start(&collection->asked, ASKED_ROWS, TALLY_MAY_FORGET) < 0)
		return -ENOMEM;
	return 0;
}

void collection_free(struct collection *collection)
{
	profile_destroy(collection->profile);
	tally_free(&collection->code);
	tally_free(&collection->origins);
	tally_free(&collection->shares);
	tally_free(&collection->map);
	tally_free(&collection->asked);
}

static uint32_t thread_key(const struct trace_thread *thread)
{
	return thread ? thread->index + 1 : 0;
}

/* What was asked for, by whom and where. */
static struct tally_row row_of(
    const struct trace_thread *thread, const struct profile_origin *origin)
{
	return (struct tally_row){
	    .key = {.thread = thread_key(thread), .origin = origin->index + 1}};
}

static struct tally_row row_of_region(const struct trace_region *region)
{
	const struct profile_region *row = region->data;
	return row_of(region->thread, row->origin);
}

static struct tally_row row_of_alloc(const struct trace_alloc *alloc)
{
	return row_of(alloc->thread, alloc->data);
}

static int add_region(struct collection *collection, const struct trace_region *region)
{
	struct tally_row row = row_of_region(region);
	row.count = 1;
	row.bytes = region->size;
	return tally_add(&collection->asked, &row, region->time_ns);
}

static int add_alloc(struct collection *collection, const struct trace_alloc *alloc)
{
	const struct profile_origin *origin = alloc->data;
	struct tally_row row = row_of_alloc(alloc);
	row.count = 1;
	row.bytes = alloc->size;
	row.present = origin->last_present;
	return tally_add(&collection->asked, &row, alloc->time_ns);
}

/* Bytes that were touched for the first time count for the time when they were asked for. */
static int add_touched(struct tally *asked, struct tally_row row, uint64_t bytes, int64_t asked_ns)
{
	row.touched = bytes;
	return bytes > 0 ? tally_add(asked, &row, asked_ns) : 0;
}

/* What the fault touched first; *key gets the origin, the owner and the source. */
static int add_news(
    struct collection *collection, const struct trace_fault *fault, struct tally_key *key)
{
	int result = 0;
	if (fault->region) {
		const struct profile_region *region = fault->region->data;
		const struct tally_row row = row_of_region(fault->region);
		key->source = (uint16_t)(region->origin->source_index + 1);
		key->origin = row.key.origin;
		key->owner = row.key.thread;
		result = add_touched(
		    &collection->asked, row, fault->region_news.touched, fault->region->time_ns);
	}
	if (fault->alloc && result == 0) {
		const struct tally_row row = row_of_alloc(fault->alloc);
		key->origin = row.key.origin;
		key->owner = row.key.thread;
		result = add_touched(
		    &collection->asked, row, fault->alloc_news.touched, fault->alloc->time_ns);
	}
	return result;
}

static int add_fault(struct collection *collection, const struct trace_event *event)
{
	const struct trace_fault *fault = &event->fault;
	uint64_t page_size = trace_session_of(collection->profile->trace)->page_size;
	uint64_t from = fault->bytes > 0 ? fault->from : fault->addr;
	uint64_t size = fault->bytes > 0 ? fault->bytes : 1;
	uint64_t first = from / page_size, last = (from + size - 1) / page_size;
	struct tally_row row = {.count = 1, .bytes = fault->bytes};
	struct tally_key key = {
	    .thread = thread_key(fault->thread),
	    .place = fault->stack ? fault->stack->index + 1 : 0,
	    .access = fault->access,
	};
	int result = add_news(collection, fault, &key);
	if (result < 0)
		return result;
	row.key =
	    (struct tally_key){.thread = key.thread, .place = key.place, .source = key.source};
	result = tally_add(&collection->code, &row, event->time_ns);
	if (result < 0)
		return result;
	row.key = (struct tally_key){.thread = key.thread, .origin = key.origin};
	result = tally_add(&collection->origins, &row, event->time_ns);
	if (result < 0)
		return result;
	row.key = (struct tally_key){.thread = key.thread, .owner = key.owner};
	result = tally_add(&collection->shares, &row, event->time_ns);
	if (result < 0)
		return result;
	row.key = key;
	row.key.owner = 0;
	return tally_map(&collection->map, &row, event->time_ns, first, last - first + 1);
}

static int add(struct collection *collection, const struct trace_event *event)
{
	int result = profile_add(collection->profile, event);
	if (result < 0)
		return result;
	switch (event->type) {
	case TRACE_FAULT:
		return add_fault(collection, event);
	case TRACE_REGION:
		return add_region(collection, event->region);
	case TRACE_ALLOC:
		return add_alloc(collection, event->alloc);
	default:
		return 0;
	}
}

int collection_read(struct collection *collection, struct trace *trace)
{
	struct trace_event event;
	int result;
	while ((result = trace_next(trace, &event)) > 0) {
		if (add(collection, &event) < 0) {
			trace_refuse(trace, "out of memory");
			return -ENOMEM;
		}
	}
	return result;
}
