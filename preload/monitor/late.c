/* SPDX-License-Identifier: MIT */
/*
 * late.c: mappings that no hook reported: libc's own, those made by the system call instruction,
 * thread stacks. perf's side-band tells of them; they are registered when a hook had its time.
 */
#include "service.h"

#include "maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES UINT64_C(4096)
#define LATE_NS	   50000000u /* a hook reports its mapping within this */
#define BLOCK_SPAN 8192u     /* glibc's struct pthread is 2304 bytes; thread-local data lie above */
#define BLOCK_SELF 2u	     /* words from its tcb to its self: nptl/tls.h, fixed by the ABI */

static void add(struct service *s, struct process *p, struct late_mapping late)
{
	struct late_mapping *grown =
	    process_room(p->late, p->late_count, &p->late_room, sizeof(*grown));

	if (!grown) {
		service_lost(s, LOST_EVENTS, 1, "no memory for a mapping");
		return;
	}
	p->late = grown;
	p->late[p->late_count++] = late;
}

void late_expect(struct service *s, struct process *p, const struct perf_mapping *mapping,
    int32_t task, uint64_t ts)
{
	add(s, p, (struct late_mapping){.mapping = *mapping, .ts = ts, .tid = task});
}

void late_forget(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	size_t count = p->late_count, kept = 0;

	if (count == 0) /* there may be no array */
		return;
	for (size_t i = 0; i < count; i++) {
		struct late_mapping below = p->late[i], above = below;
		uint64_t from = below.mapping.start, to = from + below.mapping.size;

		if (from >= end || to <= start) {
			p->late[kept++] = below;
			continue;
		}
		below.mapping.size = start - from;
		above.mapping.start = end;
		above.mapping.size = to - end;
		if (from < start)
			p->late[kept++] = below;
		if (to > end && kept <= i)
			p->late[kept++] = above;
		else if (to > end)
			add(s, p, above);
	}
	memmove(p->late + kept, p->late + count, (p->late_count - count) * sizeof(*p->late));
	p->late_count -= count - kept;
}

/* libc puts a thread's own block at the upper end of its stack: it begins with where it is. */
static bool has_thread_block(struct process *p, uint64_t start, uint64_t size)
{
	uint64_t words[PAGE_BYTES / sizeof(uint64_t)], end = start + size;

	for (uint64_t page = end - PAGE_BYTES; page >= start && end - page <= BLOCK_SPAN;
	     page -= PAGE_BYTES) {
		size_t got = remote_read(p, page, words, sizeof(words)) / sizeof(words[0]);

		for (size_t i = 0; i + BLOCK_SELF < got; i++) {
			uint64_t at = page + i * sizeof(words[0]);

			if (words[i] == at && words[i + BLOCK_SELF] == at)
				return true;
		}
	}
	return false;
}

/* A thread's stack is where its stack pointer was at a fault; others have not run yet. */
static bool is_stack(struct service *s, struct process *p, uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; i < THREAD_BUCKETS; i++)
		for (const struct thread *t = s->threads[i]; t; t = t->next)
			if (t->pid == p->pid && t->sample.registers.r[ARCH_SP] - start < size)
				return true;
	return has_thread_block(p, start, size);
}

static bool is_traceable(const struct mapping *m, const char *path, bool shared)
{
	if (m->shared || shared)
		return m->shared && shared;
	return !m->inode &&
	       (!path[0] || strcmp(path, "[heap]") == 0 || strncmp(path, "[anon", 5) == 0);
}

/* The next range of such memory in [*start, end): from *start to the result, or 0. */
static uint64_t next_range(const struct process *p, bool shared, uint64_t *start, uint64_t end)
{
	char path[MAPS_PATH];
	struct mapping m;
	uint64_t to = 0;

	for (uint64_t at = *start; at < end && maps_at(process_memory(p), at, &m, path) == 0;
	     at = m.end) {
		bool wanted = m.start < end && is_traceable(&m, path, shared);

		if (to && (!wanted || m.start > to))
			break;
		if (!wanted && m.start >= end)
			break;
		if (!wanted)
			continue;
		if (!to)
			*start = m.start > *start ? m.start : at;
		to = m.end < end ? m.end : end;
	}
	return to;
}

/*
 * What went in the very moment of registration is not told: it is looked for. Only there: of what
 * was in the books before an event tells, which has yet to be read, and may be that of a move.
 */
static void cut_what_went(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	struct mapping now;

	for (uint64_t at = start; at < end; at = now.end) {
		int error = maps_at(process_memory(p), at, &now, NULL);

		if (error == -ENOENT || (error == 0 && now.start > end))
			now.start = now.end = end;
		else if (error < 0)
			return;
		if (now.start > at) {
			if (process_has_no_memory(p)) /* it has ended, or runs another program */
				return;
			region_cut(s, p, at, now.start - at, REGION_END_UNMAP, service_now());
		}
	}
}

/*
 * Registers what is left of a mapping. malloc gives most of what it reserves for an arena back at
 * once, and before it was registered no event tells that; what is mapped there later has its own
 * report, and must not be taken for known. False: to be tried again.
 */
static bool cover_what_is_left(struct service *s, struct process *p, const struct perf_mapping *m,
    const struct region_origin *origin)
{
	uint64_t at = m->start, end = m->start + m->size, to;
	struct region_origin like = *origin;
	bool covered = true;

	like.shared = m->flags & MAP_SHARED;
	while ((to = next_range(p, like.shared, &at, end))) {
		while (at < to) {
			const struct interval *piece = interval_next(&p->regions, at);
			bool known = piece && piece->start <= at;
			uint64_t stop = piece ? known ? piece->end : piece->start : to;

			stop = stop < to ? stop : to;
			covered &= region_cover(s, p, at, stop - at, &like);
			if (!known)
				cut_what_went(s, p, at, stop);
			at = stop;
		}
	}
	return covered;
}

/* True when all of it is in the books. */
static bool is_covered(const struct process *p, const struct perf_mapping *m)
{
	const struct interval *piece;
	uint64_t at = m->start;

	while (at < m->start + m->size && (piece = interval_find(&p->regions, at)))
		at = piece->end;
	return at >= m->start + m->size;
}

static bool is_late(const struct process *p, uint64_t now)
{
	for (size_t i = 0; i < p->late_count; i++)
		if (p->late[i].ts + LATE_NS <= now)
			return true;
	return false;
}

/*
 * Something else has been mapped in the range since, and has its own record: the older one must not
 * be taken for what is there. mprotect makes a record, too, of a part that has its rights from now
 * on.
 */
static bool is_replaced(const struct process *p, uint64_t start, uint64_t end, uint64_t ts)
{
	for (size_t i = 0; i < p->late_count; i++) {
		uint64_t from = p->late[i].mapping.start, to = from + p->late[i].mapping.size;

		if (p->late[i].ts > ts && from < end && to > start &&
		    (from < start || to > end || to - from == end - start))
			return true;
	}
	return false;
}

bool late_is_doubtful(
    struct service *s, struct process *p, uint64_t start, uint64_t end, uint64_t ts)
{
	if (pending_event_is_due(p, p->doorbell_end - PAGE_BYTES))
		return true;
	if (s->perf)
		perf_drain_sideband(s->perf);
	return is_replaced(p, start, end, ts);
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
	size_t kept = 0;

	if (!is_late(p, now))
		return;
	/* More may come meanwhile, at the end. */
	for (size_t i = 0; i < p->late_count; i++) {
		struct late_mapping late = p->late[i];
		const struct perf_mapping *m = &late.mapping;
		struct region_origin origin = {.source = FL_SOURCE_LATE,
		    .prot = (int)m->prot,
		    .flags = -1,
		    .ts = now,
		    .mapped_ns = late.ts,
		    .catch_up = true};

		if (is_covered(p, m))
			continue;
		origin.tid = thread_tid(s, p->pid, late.tid);
		if (late.ts + LATE_NS > now || request_is_mapping(p, origin.tid) ||
		    is_moving(p, m) ||
		    late_is_doubtful(s, p, m->start, m->start + m->size, late.ts)) {
			p->late[kept++] = late;
			continue;
		}
		if (m->heap)
			origin.source = FL_SOURCE_BRK;
		else if (is_stack(s, p, m->start, m->size))
			origin.source = FL_SOURCE_STACK;
		if (!cover_what_is_left(s, p, m, &origin))
			p->late[kept++] = late;
	}
	p->late_count = kept;
}
