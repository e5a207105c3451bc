/* SPDX-License-Identifier: MIT */
/*
 * late.c: mappings that no hook reported: libc's own, those made by the system call instruction,
 * thread stacks. perf's side-band tells of them; they are registered when a hook had its time.
 */
#include "service.h"

#include "maps.h"

#include <stdlib.h>

#define PAGE_BYTES UINT64_C(4096)
#define LATE_NS	   50000000u /* a hook reports its mapping within this */

void late_expect(struct service *s, struct process *p, const struct perf_mapping *mapping,
    int32_t task, uint64_t ts)
{
	if (p->late_count == p->late_room) {
		size_t room = p->late_room ? p->late_room * 2 : 16;
		struct late_mapping *grown = realloc(p->late, room * sizeof(*grown));

		if (!grown) {
			service_lost(s, LOST_EVENTS, 1, "no memory for a mapping");
			return;
		}
		p->late = grown;
		p->late_room = room;
	}
	p->late[p->late_count++] =
	    (struct late_mapping){.mapping = *mapping, .due_ns = ts + LATE_NS, .tid = task};
}

/* A thread's stack is where its stack pointer was at a fault. */
static bool is_stack(struct service *s, const struct process *p, uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; i < THREAD_BUCKETS; i++)
		for (const struct thread *t = s->threads[i]; t; t = t->next)
			if (t->pid == p->pid && t->sample.registers.r[ARCH_SP] - start < size)
				return true;
	return false;
}

/*
 * Registers what is left of a mapping. malloc gives most of what it reserves for an arena back at
 * once, and before it was registered no event tells that; what is mapped there later has its own
 * report, and must not be taken for known.
 */
static void cover_what_is_left(struct service *s, struct process *p,
    const struct maps_ranges *mapped, const struct perf_mapping *m,
    const struct region_origin *origin)
{
	uint64_t end = m->start + m->size;

	for (size_t i = maps_ranges_find(mapped, m->start);
	     i < mapped->count && mapped->ranges[i].start < end; i++) {
		uint64_t from = mapped->ranges[i].start, to = mapped->ranges[i].end;

		from = from > m->start ? from : m->start;
		region_cover(s, p, from, (to < end ? to : end) - from, origin);
	}
}

static bool is_late(const struct process *p, uint64_t now)
{
	for (size_t i = 0; i < p->late_count; i++)
		if (p->late[i].due_ns <= now)
			return true;
	return false;
}

/* What is being moved is in the books again when its thread has told where to. */
static bool is_moving(const struct process *p, const struct perf_mapping *m)
{
	for (size_t i = 0; i < p->parked_count; i++) {
		const struct interval *piece = &p->parked[i].piece;

		if (piece->start < m->start + m->size && piece->end > m->start)
			return true;
	}
	return false;
}

void late_register(struct service *s, struct process *p, uint64_t now)
{
	struct maps_ranges mapped;
	size_t kept = 0;

	if (!is_late(p, now) || pending_event_is_due(p, p->doorbell_end - PAGE_BYTES))
		return;
	maps_anonymous(p->pid, &mapped);
	for (size_t i = 0; i < p->late_count; i++) {
		const struct late_mapping *late = &p->late[i];
		const struct perf_mapping *m = &late->mapping;
		struct region_origin origin = {.source = FL_SOURCE_LATE,
		    .tid = thread_tid(s, p->pid, late->tid),
		    .prot = (int)m->prot,
		    .flags = -1,
		    .ts = now,
		    .catch_up = true};

		if (late->due_ns > now || request_is_mapping(p, origin.tid) || is_moving(p, m)) {
			p->late[kept++] = *late;
			continue;
		}
		if (m->heap)
			origin.source = FL_SOURCE_BRK;
		else if (is_stack(s, p, m->start, m->size))
			origin.source = FL_SOURCE_STACK;
		cover_what_is_left(s, p, &mapped, m, &origin);
	}
	maps_ranges_free(&mapped);
	p->late_count = kept;
}
