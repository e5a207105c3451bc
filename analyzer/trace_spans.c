/* SPDX-License-Identifier: MIT */
/*
 * trace_spans.c: regions and allocations, and what becomes of them.
 */
#include "trace_private.h"

#include <errno.h>
#include <stdlib.h>

void trace_spans_free_region(void *region)
{
	struct trace_region *freed = region;
	if (!freed)
		return;
	trace_pending_free(freed->defined.pending);
	touched_free(&freed->touched);
	touched_free(&freed->written);
	free(freed);
}

void trace_spans_free_alloc(void *alloc)
{
	struct trace_alloc *freed = alloc;
	if (!freed)
		return;
	trace_pending_free(freed->defined.pending);
	touched_free(&freed->touched);
	touched_free(&freed->written);
	free(freed);
}

static void forget(struct trace *trace, struct id_map *map, uint64_t id)
{
	if (map == &trace->regions)
		trace_spans_free_region(id_map_remove(map, id));
	else
		trace_spans_free_alloc(id_map_remove(map, id));
}

/* The region or allocation is forgotten when RETIRING_SPANS others have ended. */
static void retire(struct trace *trace, struct id_map *map, int64_t id)
{
	struct retiring *slot = &trace->retiring[trace->next_retiring++ % RETIRING_SPANS];
	if (slot->map)
		forget(trace, slot->map, slot->id);
	*slot = (struct retiring){map, (uint64_t)id};
}

/* "id", an address and "size". */
static int take_span(
    struct taking *taking, const char *address_key, int64_t *id, uint64_t *start, uint64_t *size)
{
	int64_t bytes;
	int result = trace_integer(taking->reader, taking->json, "id", true, id);
	if (result >= 0)
		result = trace_address(taking->reader, taking->json, address_key, true, start);
	if (result >= 0)
		result = trace_integer(taking->reader, taking->json, "size", true, &bytes);
	if (result < 0)
		return result;
	if (bytes < 0)
		return trace_reader_refuse(taking->reader, "\"size\" is negative");
	*size = (uint64_t)bytes;
	return 0;
}

static int fill_region(struct taking *taking, struct trace_region *region)
{
	struct trace_process *process;
	int64_t page_size = (int64_t)taking->trace->session.page_size;
	int result = take_span(taking, "start", &region->id, &region->start, &region->size);
	if (result >= 0)
		result = taking_who(taking, &process, &region->thread);
	if (result >= 0)
		result = taking_text(taking, "source", "?", &region->source);
	if (result >= 0)
		result = taking_text(taking, "memory", "", &region->memory);
	if (result >= 0)
		result =
		    trace_integer(taking->reader, taking->json, "page_size", false, &page_size);
	if (result >= 0)
		result = trace_integer(taking->reader, taking->json, "prot", false, &region->prot);
	if (result >= 0)
		result =
		    trace_integer(taking->reader, taking->json, "flags", false, &region->flags);
	if (result >= 0)
		result = taking_calling(taking, &region->stack);
	if (result < 0)
		return result;
	if (!trace_is_page_size(page_size))
		return trace_reader_refuse(taking->reader, "impossible page_size");
	region->process = process;
	region->time_ns = taking->event->time_ns;
	region->now = region->start;
	region->page_size = (uint64_t)page_size;
	return 0;
}

int taking_region(struct taking *taking)
{
	struct trace *trace = taking->trace;
	struct trace_region *region = calloc(1, sizeof(*region));
	if (!region)
		return taking_no_memory(taking);
	region->prot = region->flags = -1;
	region->defined.text = -1;
	int result = fill_region(taking, region);
	if (result < 0)
		goto failed;
	forget(trace, &trace->regions, (uint64_t)region->id);
	if (id_map_put(&trace->regions, (uint64_t)region->id, region) < 0) {
		result = taking_no_memory(taking);
		goto failed;
	}
	uint64_t page_size = trace->session.page_size;
	touched_start(&region->touched, region->start, region->size, page_size);
	touched_start(&region->written, region->start, region->size, page_size);
	region->defined.stack = taking->meaning->stack;
	region->defined.kept = !trace->filter;
	taking->event->region = region;
	return 0;
failed:
	free(region);
	return result;
}

static int fill_alloc(struct taking *taking, struct trace_alloc *alloc)
{
	struct trace_process *process;
	int result = take_span(taking, "addr", &alloc->id, &alloc->addr, &alloc->size);
	if (result >= 0)
		result = taking_who(taking, &process, &alloc->thread);
	if (result >= 0)
		result = taking_text(taking, "func", "?", &alloc->func);
	if (result >= 0)
		result = taking_calling(taking, &alloc->stack);
	if (result < 0)
		return result;
	alloc->process = process;
	alloc->time_ns = taking->event->time_ns;
	return 0;
}

int taking_alloc(struct taking *taking)
{
	struct trace *trace = taking->trace;
	struct trace_alloc *alloc = calloc(1, sizeof(*alloc));
	if (!alloc)
		return taking_no_memory(taking);
	alloc->defined.text = -1;
	int result = fill_alloc(taking, alloc);
	if (result < 0)
		goto failed;
	forget(trace, &trace->allocs, (uint64_t)alloc->id);
	if (id_map_put(&trace->allocs, (uint64_t)alloc->id, alloc) < 0) {
		result = taking_no_memory(taking);
		goto failed;
	}
	uint64_t page_size = trace->session.page_size;
	touched_start(&alloc->touched, alloc->addr, alloc->size, page_size);
	touched_start(&alloc->written, alloc->addr, alloc->size, page_size);
	alloc->defined.stack = taking->meaning->stack;
	alloc->defined.kept = !trace->filter;
	taking->event->alloc = alloc;
	return 0;
failed:
	free(alloc);
	return result;
}

int taking_free(struct taking *taking)
{
	struct trace *trace = taking->trace;
	int64_t id;
	int result = trace_integer(taking->reader, taking->json, "alloc", true, &id);
	if (result < 0)
		return result;
	taking->event->alloc = id_map_get(&trace->allocs, (uint64_t)id);
	if (taking->event->alloc)
		retire(trace, &trace->allocs, id);
	return 0;
}

/* Process, and where there are any, region, "start" and "size". 1 when there is a size. */
static int take_part(struct taking *taking, const char *region_key, const char *start_key)
{
	struct trace_part *part = &taking->event->part;
	struct trace_reader *reader = taking->reader;
	int64_t id, size = 0;
	*part = (struct trace_part){0};
	const struct trace_thread *thread;
	int result = taking_who(taking, &part->process, &thread);
	if (result >= 0 && region_key)
		result = trace_integer(reader, taking->json, region_key, false, &id);
	if (result > 0)
		part->region = id_map_get(&taking->trace->regions, (uint64_t)id);
	if (result >= 0)
		result = trace_address(reader, taking->json, start_key, false, &part->start);
	if (result >= 0)
		result = trace_integer(reader, taking->json, "size", false, &size);
	if (result < 0)
		return result;
	if (size < 0)
		return trace_reader_refuse(reader, "\"size\" is negative");
	part->size = (uint64_t)size;
	return result;
}

int taking_region_end(struct taking *taking)
{
	struct trace_part *part = &taking->event->part;
	int result = take_part(taking, "id", "start");
	if (result < 0)
		return result;
	struct trace_region *region = part->region;
	if (result > 0 || !region)
		return 0;
	part->start = region->now;
	part->size = region->size;
	/* what a child has inherited is the parent's still */
	if (part->process == region->process)
		retire(taking->trace, &taking->trace->regions, region->id);
	return 0;
}

int taking_remap(struct taking *taking)
{
	struct trace_part *part = &taking->event->part;
	int result = take_part(taking, "region", "from");
	if (result >= 0)
		result = trace_address(taking->reader, taking->json, "to", true, &part->to);
	if (result < 0)
		return result;
	struct trace_region *region = part->region;
	if (region && part->start == region->now && part->size == region->size)
		region->now = part->to;
	return 0;
}

int taking_remove(struct taking *taking)
{
	int result = take_part(taking, NULL, "start");
	return result < 0 ? result : 0;
}
