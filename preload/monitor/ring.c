/* SPDX-License-Identifier: MIT */
/*
 * ring.c: the records that threads leave which serve their own faults (--mode=sigbus; protocol.h).
 * The program can write anything there, so nothing of it is trusted but what cannot do harm.
 */
#include "service.h"

#include <time.h>

#define PAGE_BYTES 4096u
#define NAP_NS	   50000
#define NAPS_MAX   6000 /* 300 milliseconds: a busy machine keeps a thread waiting that long */

/* The record at `position`, when it is complete; NULL otherwise. */
static struct fl_record *record_at(struct fl_ring *ring, uint64_t position, uint32_t *size)
{
	uint64_t at = position % FL_RING_BYTES;
	struct fl_record *record = (struct fl_record *)&ring->bytes[at];

	if (__atomic_load_n(&record->published, __ATOMIC_ACQUIRE) != position + 1)
		return NULL;
	*size = record->size;
	return *size && *size % FL_RECORD_UNIT == 0 && *size <= FL_RING_BYTES - at ? record : NULL;
}

bool ring_holds(struct process *p, uint64_t page)
{
	struct fl_ring *ring = &p->shared->area->ring;
	uint64_t at = p->shared->ring_position;
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	const struct timespec nap = {.tv_nsec = NAP_NS};

	for (int naps = 0; at < head && naps < NAPS_MAX;) {
		uint32_t size;
		const struct fl_record *record = record_at(ring, at, &size);

		if (!record) {
			nanosleep(&nap, NULL);
			naps++;
			continue;
		}
		if (record->kind == FL_RECORD_FAULT && (record->address ^ page) < PAGE_BYTES)
			return true;
		at += size;
	}
	return false;
}

static void take(struct service *s, struct process *p, struct fl_record *record, uint32_t size)
{
	uint32_t stack_size = record->stack_size, room = size - (uint32_t)sizeof(*record);

	if (size < sizeof(*record) || stack_size > room)
		stack_size = 0;
	if (!record->ts)
		record->ts = service_now();
	switch (record->kind) {
	case FL_RECORD_FAULT:
		fault_self_served(s, p, record, stack_size);
		break;
	case FL_RECORD_ALLOC:
		request_allocated(s, p, record, stack_size);
		break;
	case FL_RECORD_UNMAP:
		region_cut(s, p, record->address, record->bytes, REGION_END_UNMAP, record->ts);
		break;
	case FL_RECORD_REPLACE:
		region_cut(s, p, record->address, record->bytes, REGION_END_REPLACE, record->ts);
		break;
	case FL_RECORD_REMOVE:
	case FL_RECORD_FREE:
		process_tell_remove(s, p, record->tid, record->address, record->bytes,
		    record->kind == FL_RECORD_FREE, record->ts);
		break;
	case FL_RECORD_FREED:
		request_freed(s, p, record->tid, record->address, record->ts);
		break;
	case FL_RECORD_UNLOADED:
		p->space->stale = true;
		break;
	default:
		break;
	}
}

/* Takes what is complete, in order. True when there was anything. */
static bool drain(struct service *s, struct process *p, struct fl_ring *ring)
{
	struct fl_record *record;
	bool any = false;
	uint32_t size;

	while ((record = record_at(ring, p->shared->ring_position, &size))) {
		take(s, p, record, size);
		/* What lies here next time must not look complete before it is. */
		for (uint32_t at = 0; at < size; at += FL_RECORD_UNIT)
			*(uint64_t *)((uint8_t *)record + at) = 0;
		p->shared->ring_position += size;
		__atomic_store_n(&ring->tail, p->shared->ring_position, __ATOMIC_RELEASE);
		any = true;
	}
	return any;
}

bool ring_drain(struct service *s, struct process *p)
{
	if (s->options.mode != FL_MODE_SIGBUS || !p->shared)
		return false;
	return drain(s, p, &p->shared->area->ring);
}

void ring_drain_all(struct service *s, struct process *p)
{
	struct fl_ring *ring = p->shared ? &p->shared->area->ring : NULL;
	const struct timespec nap = {.tv_nsec = NAP_NS};
	uint64_t head;

	if (s->options.mode != FL_MODE_SIGBUS || !ring)
		return;
	head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	for (int naps = 0; naps < NAPS_MAX; naps++) {
		drain(s, p, ring);
		if (p->shared->ring_position >= head ||
		    p->shared->ring_position == p->shared->ring_hopeless)
			return;
		nanosleep(&nap, NULL);
	}
	p->shared->ring_hopeless = p->shared->ring_position;
}
