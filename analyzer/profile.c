/* SPDX-License-Identifier: MIT */
/*
 * profile.c: adds events up. Regions and allocations of the trace point, by their `data`, to what
 * they are added to.
 */
#include "profile.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKET_NS 1000000
/* No recording has as many; what a trace has more is added up in the last. */
#define MOST_SOURCES 64
#define MOST_LOSSES  256

struct profile *profile_create(const struct trace *trace, unsigned flags)
{
	struct profile *profile = calloc(1, sizeof(*profile));
	if (profile) {
		profile->trace = trace;
		profile->flags = flags;
		profile->time.bucket_ns = FIRST_BUCKET_NS;
	}
	return profile;
}

void profile_destroy(struct profile *profile)
{
	if (!profile)
		return;
	for (size_t i = 0; i < profile->process_room; i++)
		page_set_clear(&profile->processes[i].resident);
	free(profile->losses);
	free(profile->stacks);
	free(profile->sources);
	free(profile->origins);
	free(profile->threads);
	free(profile->processes);
	free(profile->shares);
	free(profile->regions);
	hash_set_clear(&profile->origin_set);
	hash_set_clear(&profile->share_set);
	arena_clear(&profile->arena);
	free(profile);
}

/*
 * Makes room for `count` entries of `size` bytes in an array, by doubling; new ones are zeroed.
 * 0 or -ENOMEM.
 */
static int make_room(void *array_address, size_t *room, size_t count, size_t size)
{
	if (count <= *room)
		return 0;
	size_t larger = *room > 0 ? *room : 16;
	while (larger < count)
		larger *= 2;
	char *array = realloc(*(void **)array_address, larger * size);
	if (!array)
		return -ENOMEM;
	memset(array + *room * size, 0, (larger - *room) * size);
	*(void **)array_address = array;
	*room = larger;
	return 0;
}

static struct profile_thread *thread_of(struct profile *profile, const struct trace_thread *thread)
{
	if (make_room(&profile->threads, &profile->thread_room, (size_t)thread->index + 1,
		sizeof(*profile->threads)) < 0)
		return NULL;
	struct profile_thread *found = &profile->threads[thread->index];
	found->thread = thread;
	return found;
}

static struct profile_process *process_of(
    struct profile *profile, const struct trace_process *process)
{
	if (make_room(&profile->processes, &profile->process_room, (size_t)process->index + 1,
		sizeof(*profile->processes)) < 0)
		return NULL;
	struct profile_process *found = &profile->processes[process->index];
	found->process = process;
	return found;
}

/* The source of that name (all names of a trace are kept once); NULL without memory. */
static struct profile_source *source_of(struct profile *profile, const char *name)
{
	for (size_t i = 0; i < profile->source_count; i++)
		if (profile->sources[i].name == name)
			return &profile->sources[i];
	if (profile->source_count == MOST_SOURCES)
		return &profile->sources[MOST_SOURCES - 1];
	struct profile_source *grown =
	    realloc(profile->sources, (profile->source_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	profile->sources = grown;
	profile->sources[profile->source_count] = (struct profile_source){.name = name};
	return &profile->sources[profile->source_count++];
}

static bool same_origin(const void *item, const void *key)
{
	const struct profile_origin *a = item, *b = key;
	return a->stack == b->stack && a->source == b->source &&
	       a->is_allocation == b->is_allocation;
}

static struct profile_origin *origin_of(struct profile *profile, const struct trace_stack *stack,
    const char *source, bool is_allocation)
{
	struct profile_origin key = {
	    .stack = stack, .source = source, .is_allocation = is_allocation};
	uint64_t hash = hash_pair((uintptr_t)stack, (uintptr_t)source + is_allocation);
	struct profile_origin *origin =
	    hash_set_find(&profile->origin_set, hash, same_origin, &key);
	if (origin)
		return origin;
	origin = arena_alloc(&profile->arena, sizeof(*origin));
	if (!origin || make_room(&profile->origins, &profile->origin_room,
			   profile->origin_count + 1, sizeof(*profile->origins)) < 0)
		return NULL;
	*origin = key;
	origin->index = (uint32_t)profile->origin_count;
	profile->origins[profile->origin_count++] = origin;
	return hash_set_add(&profile->origin_set, hash, origin) == 0 ? origin : NULL;
}

static bool same_share(const void *item, const void *key)
{
	const struct profile_share *a = item, *b = key;
	return a->toucher == b->toucher && a->owner == b->owner;
}

static struct profile_share *share_of(
    struct profile *profile, const struct trace_thread *toucher, const struct trace_thread *owner)
{
	struct profile_share key = {.toucher = toucher, .owner = owner};
	uint64_t hash = hash_pair((uintptr_t)toucher, (uintptr_t)owner);
	struct profile_share *share = hash_set_find(&profile->share_set, hash, same_share, &key);
	if (share)
		return share;
	share = arena_alloc(&profile->arena, sizeof(*share));
	if (!share || make_room(&profile->shares, &profile->share_room, profile->share_count + 1,
			  sizeof(*profile->shares)) < 0)
		return NULL;
	*share = key;
	profile->shares[profile->share_count++] = share;
	return hash_set_add(&profile->share_set, hash, share) == 0 ? share : NULL;
}

static void add_to_sum(struct profile_sum *sum, const struct trace_fault *fault)
{
	sum->faults++;
	sum->bytes += fault->bytes;
	sum->reads += fault->access == FAULT_ACCESS_READ;
	sum->writes += fault->access == FAULT_ACCESS_WRITE;
}

static void join_sums(struct profile_sum *sum, const struct profile_sum *other)
{
	sum->faults += other->faults;
	sum->bytes += other->bytes;
	sum->reads += other->reads;
	sum->writes += other->writes;
}

/*
 * The bucket of a time; buckets become twice as long until it is one of them. Those that come into
 * use have what is resident before the event of that time.
 */
static struct profile_bucket *bucket_of(struct profile *profile, int64_t time_ns)
{
	struct profile_time *time = &profile->time;
	if (time_ns < 0)
		time_ns = 0;
	while (time_ns / time->bucket_ns >= PROFILE_MOST_BUCKETS) {
		time->count = (time->count + 1) / 2;
		for (size_t i = 0; i < time->count; i++) {
			struct profile_bucket joined = time->buckets[2 * i];
			const struct profile_bucket *other = &time->buckets[2 * i + 1];
			join_sums(&joined.sum, &other->sum);
			if (joined.resident_bytes < other->resident_bytes)
				joined.resident_bytes = other->resident_bytes;
			time->buckets[i] = joined;
		}
		memset(&time->buckets[time->count], 0,
		    (PROFILE_MOST_BUCKETS - time->count) * sizeof(time->buckets[0]));
		time->bucket_ns *= 2;
	}
	size_t index = (size_t)(time_ns / time->bucket_ns);
	while (time->count <= index)
		time->buckets[time->count++].resident_bytes = profile->resident_bytes;
	return &time->buckets[index];
}

/* Notes what the process and all of them have now. */
static void note_resident(struct profile *profile, struct profile_process *process, int64_t time_ns)
{
	uint64_t page_size = trace_session_of(profile->trace)->page_size;
	uint64_t bytes = process->resident.count * page_size;
	if (bytes == process->resident_bytes)
		return;
	struct profile_bucket *bucket = bucket_of(profile, time_ns);
	profile->resident_bytes += bytes - process->resident_bytes;
	process->resident_bytes = bytes;
	if (process->peak_bytes < bytes) {
		process->peak_bytes = bytes;
		process->peak_ns = time_ns;
	}
	if (profile->peak_bytes < profile->resident_bytes) {
		profile->peak_bytes = profile->resident_bytes;
		profile->peak_ns = time_ns;
	}
	if (bucket->resident_bytes < profile->resident_bytes)
		bucket->resident_bytes = profile->resident_bytes;
}

/* The pages that a range touches: false for an empty one. */
static bool pages_of(
    const struct profile *profile, uint64_t start, uint64_t size, uint64_t *first, uint64_t *last)
{
	uint64_t page_size = trace_session_of(profile->trace)->page_size;
	uint64_t end = size > UINT64_MAX - start ? UINT64_MAX : start + size;
	*first = start / page_size;
	*last = (end - 1) / page_size;
	return end > start;
}

/* Where the fault lies in: who asked for it is the owner, NULL when that is not told. */
static int add_to_owner(struct profile *profile, struct profile_thread *toucher,
    const struct trace_fault *fault, const struct trace_thread *owner)
{
	if (!owner)
		return 0;
	struct profile_share *share = share_of(profile, fault->thread, owner);
	if (!share)
		return -ENOMEM;
	share->faults++;
	share->bytes += fault->bytes;
	if (owner == fault->thread) {
		toucher->own_bytes += fault->bytes;
		return 0;
	}
	toucher->others_bytes += fault->bytes;
	/* which may move the threads */
	struct profile_thread *giver = thread_of(profile, owner);
	if (!giver)
		return -ENOMEM;
	giver->given_bytes += fault->bytes;
	return 0;
}

static int add_to_stack(struct profile *profile, const struct trace_fault *fault)
{
	if (!fault->stack) {
		add_to_sum(&profile->no_stack, fault);
		return 0;
	}
	if (make_room(&profile->stacks, &profile->stack_room, (size_t)fault->stack->index + 1,
		sizeof(*profile->stacks)) < 0)
		return -ENOMEM;
	add_to_sum(&profile->stacks[fault->stack->index], fault);
	return 0;
}

static void add_to_origin(
    struct profile_origin *origin, const struct trace_fault *fault, const struct trace_news *news)
{
	origin->touched += news->touched;
	origin->written += news->written;
	add_to_sum(&origin->sum, fault);
}

static struct profile_origin *origin_of_region(
    const struct profile *profile, const struct trace_region *region)
{
	if (!(profile->flags & PROFILE_REGIONS))
		return region->data;
	struct profile_region *row = region->data;
	return row->origin;
}

static void add_to_region(struct profile *profile, const struct trace_fault *fault)
{
	struct profile_origin *origin = origin_of_region(profile, fault->region);
	add_to_origin(origin, fault, &fault->region_news);
	add_to_sum(&profile->sources[origin->source_index].sum, fault);
	if (profile->flags & PROFILE_REGIONS) {
		struct profile_region *row = fault->region->data;
		row->touched += fault->region_news.touched;
		row->written += fault->region_news.written;
		add_to_sum(&row->sum, fault);
	}
}

static int add_fault(struct profile *profile, const struct trace_event *event)
{
	const struct trace_fault *fault = &event->fault;
	struct profile_process *process = process_of(profile, fault->thread->process);
	struct profile_thread *thread = thread_of(profile, fault->thread);
	uint64_t first, last;
	if (!process || !thread || add_to_stack(profile, fault) < 0)
		return -ENOMEM;
	add_to_sum(&profile->sum, fault);
	add_to_sum(&process->sum, fault);
	add_to_sum(&thread->sum, fault);
	add_to_sum(&bucket_of(profile, event->time_ns)->sum, fault);
	if (fault->region)
		add_to_region(profile, fault);
	if (fault->alloc)
		add_to_origin(fault->alloc->data, fault, &fault->alloc_news);
	if (pages_of(profile, fault->from, fault->bytes, &first, &last)) {
		if (page_set_add(&process->resident, first, last) < 0)
			return -ENOMEM;
		note_resident(profile, process, event->time_ns);
	}
	return add_to_owner(profile, thread, fault,
	    fault->alloc    ? fault->alloc->thread
	    : fault->region ? fault->region->thread
			    : NULL);
}

static void reserve(struct profile_origin *origin, uint64_t size)
{
	origin->count++;
	origin->reserved += size;
	origin->live += size;
	if (origin->peak < origin->live)
		origin->peak = origin->live;
}

static void give_up(struct profile_origin *origin, uint64_t size)
{
	origin->freed++;
	origin->live -= size < origin->live ? size : origin->live;
}

static struct profile_region *add_row(
    struct profile *profile, const struct trace_region *region, struct profile_origin *origin)
{
	struct profile_region *row = arena_alloc(&profile->arena, sizeof(*row));
	if (!row || make_room(&profile->regions, &profile->region_room, profile->region_count + 1,
			sizeof(*profile->regions)) < 0)
		return NULL;
	*row = (struct profile_region){
	    .id = region->id,
	    .process = region->process,
	    .thread = region->thread,
	    .stack = region->stack,
	    .source = region->source,
	    .memory = region->memory,
	    .start = region->start,
	    .size = region->size,
	    .page_size = region->page_size,
	    .time_ns = region->time_ns,
	    .end_ns = -1,
	    .origin = origin,
	};
	profile->regions[profile->region_count++] = row;
	return row;
}

static int add_region(struct profile *profile, struct trace_region *region)
{
	struct profile_process *process = process_of(profile, region->process);
	struct profile_source *source = source_of(profile, region->source);
	struct profile_origin *origin = origin_of(profile, region->stack, region->source, false);
	if (!process || !source || !origin)
		return -ENOMEM;
	process->regions++;
	source->regions++;
	source->reserved += region->size;
	origin->source_index = (size_t)(source - profile->sources);
	reserve(origin, region->size);
	region->data = origin;
	if (profile->flags & PROFILE_REGIONS)
		region->data = add_row(profile, region, origin);
	return region->data ? 0 : -ENOMEM;
}

/* How many bytes of the allocation lie in pages that are there already. */
static uint64_t present_bytes(
    const struct profile *profile, const struct page_set *resident, const struct trace_alloc *alloc)
{
	uint64_t page_size = trace_session_of(profile->trace)->page_size, first, last;
	uint64_t end = alloc->touched.start + alloc->touched.size;
	if (!pages_of(profile, alloc->touched.start, alloc->touched.size, &first, &last))
		return 0;
	uint64_t bytes = page_set_count(resident, first, last) * page_size;
	if (page_set_has(resident, first))
		bytes -= alloc->touched.start - first * page_size;
	if (page_set_has(resident, last))
		bytes -= last * page_size + (page_size - 1) - (end - 1);
	return bytes;
}

static int add_alloc(struct profile *profile, struct trace_alloc *alloc)
{
	struct profile_process *process = process_of(profile, alloc->process);
	struct profile_origin *origin = origin_of(profile, alloc->stack, alloc->func, true);
	if (!process || !origin)
		return -ENOMEM;
	process->allocs++;
	reserve(origin, alloc->size);
	origin->last_present = present_bytes(profile, &process->resident, alloc);
	origin->present += origin->last_present;
	alloc->data = origin;
	return 0;
}

/* The pages of a part are gone, or are now elsewhere. */
static int drop_pages(struct profile *profile, const struct trace_event *event)
{
	const struct trace_part *part = &event->part;
	struct profile_process *process = process_of(profile, part->process);
	uint64_t first, last;
	if (!process)
		return -ENOMEM;
	if (!pages_of(profile, part->start, part->size, &first, &last))
		return 0;
	int result = page_set_remove(&process->resident, first, last);
	note_resident(profile, process, event->time_ns);
	return result;
}

static int move_pages(struct profile *profile, const struct trace_event *event)
{
	const struct trace_part *part = &event->part;
	struct profile_process *process = process_of(profile, part->process);
	struct page_set moved = {0};
	uint64_t from, end, to, last, first, run;
	int result = 0;
	if (!process)
		return -ENOMEM;
	if (!pages_of(profile, part->start, part->size, &from, &end) ||
	    !pages_of(profile, part->to, part->size, &to, &last))
		return 0;
	/* taken out first: the two places may overlap */
	for (first = from;
	     result == 0 && page_set_next(&process->resident, &first, &run) && first <= end;
	     first = run + 1) {
		if (run > end)
			run = end;
		result = page_set_add(&moved, first - from, run - from);
	}
	if (result == 0)
		result = page_set_remove(&process->resident, from, end);
	for (first = 0; result == 0 && page_set_next(&moved, &first, &run); first = run + 1)
		result = page_set_add(&process->resident, to + first, to + run);
	page_set_clear(&moved);
	note_resident(profile, process, event->time_ns);
	return result;
}

/* An end takes all pages with it. */
static int add_process(struct profile *profile, const struct trace_event *event)
{
	struct profile_process *process = process_of(profile, event->process);
	if (!process)
		return -ENOMEM;
	if (event->process->ended_by[0] != '\0') {
		page_set_clear(&process->resident);
		note_resident(profile, process, event->time_ns);
	}
	return 0;
}

static int end_region(struct profile *profile, const struct trace_event *event)
{
	const struct trace_part *part = &event->part;
	struct trace_region *region = part->region;
	/* what a child inherited is the parent's still */
	if (region && part->process == region->process && part->size == region->size) {
		give_up(origin_of_region(profile, region), region->size);
		if (profile->flags & PROFILE_REGIONS)
			((struct profile_region *)region->data)->end_ns = event->time_ns;
	}
	return drop_pages(profile, event);
}

static int add_loss(struct profile *profile, const struct trace_loss *loss)
{
	profile->lost += loss->count;
	for (size_t i = 0; i < profile->loss_count; i++) {
		struct profile_loss *known = &profile->losses[i];
		if ((known->what == loss->what && known->why == loss->why) ||
		    i == MOST_LOSSES - 1) {
			known->count += loss->count;
			return 0;
		}
	}
	if (make_room(&profile->losses, &profile->loss_room, profile->loss_count + 1,
		sizeof(*profile->losses)) < 0)
		return -ENOMEM;
	profile->losses[profile->loss_count++] =
	    (struct profile_loss){loss->what, loss->why, loss->count};
	return 0;
}

int profile_add(struct profile *profile, const struct trace_event *event)
{
	if (event->type == TRACE_END)
		profile->duration_ns = event->end.duration_ns;
	else if (event->time_ns > 0 && (uint64_t)event->time_ns > profile->duration_ns)
		profile->duration_ns = (uint64_t)event->time_ns;
	switch (event->type) {
	case TRACE_FAULT:
		return add_fault(profile, event);
	case TRACE_ALLOC:
		return add_alloc(profile, event->alloc);
	case TRACE_FREE:
		if (event->alloc)
			give_up(event->alloc->data, event->alloc->size);
		return 0;
	case TRACE_REGION:
		return add_region(profile, event->region);
	case TRACE_REGION_END:
		return end_region(profile, event);
	case TRACE_REMAP:
		return move_pages(profile, event);
	case TRACE_REMOVE:
		return drop_pages(profile, event);
	case TRACE_PROCESS:
		return add_process(profile, event);
	case TRACE_THREAD:
		return thread_of(profile, event->thread) ? 0 : -ENOMEM;
	case TRACE_LOST:
		return add_loss(profile, &event->loss);
	case TRACE_SESSION:
	case TRACE_MODULE:
	case TRACE_STACK:
	case TRACE_EPOCH:
	case TRACE_END:
	case TRACE_UNKNOWN:
		break;
	}
	return 0;
}

int profile_read(struct profile *profile, struct trace *trace)
{
	struct trace_event event;
	int result;
	while ((result = trace_next(trace, &event)) > 0) {
		if (profile_add(profile, &event) < 0) {
			trace_refuse(trace, "out of memory");
			return -ENOMEM;
		}
	}
	return result;
}

bool *profile_told_origins(const struct profile *profile)
{
	bool *told = calloc(profile->origin_count + 1, sizeof(*told));
	bool *allocates = calloc(trace_frame_count(profile->trace) + 1, sizeof(*allocates));
	for (size_t i = 0; told && allocates && i < profile->origin_count; i++) {
		const struct profile_origin *origin = profile->origins[i];
		if (origin->is_allocation && origin->stack)
			allocates[origin->stack->site->index] = true;
	}
	for (size_t i = 0; told && allocates && i < profile->origin_count; i++) {
		const struct profile_origin *origin = profile->origins[i];
		told[i] = strcmp(origin->source, "malloc-mmap") == 0 && origin->stack &&
			  allocates[origin->stack->site->index];
	}
	if (!allocates) {
		free(told);
		told = NULL;
	}
	free(allocates);
	return told;
}

const struct profile_sum *profile_of_stack(
    const struct profile *profile, const struct trace_stack *stack)
{
	static const struct profile_sum nothing;
	return stack->index < profile->stack_room ? &profile->stacks[stack->index] : &nothing;
}
