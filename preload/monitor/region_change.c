/* SPDX-License-Identifier: MIT */
/* region_change.c: what becomes of regions: they are cut, they move, they end. */
#include "service.h"

#include <stdlib.h>

#define PAGE_BYTES UINT64_C(4096)

/* How many pieces a region is in, where it is more than one: by its identifier. */
static struct interval *pieces_of(const struct process *p, uint64_t id)
{
	return interval_find(&p->pieces, id);
}

static void add_pieces(struct service *s, struct process *p, uint64_t id, uint32_t more)
{
	struct interval *pieces = pieces_of(p, id);
	struct interval first = {.start = id, .end = id + 1, .detail = 1 + more};

	if (pieces)
		pieces->detail += more;
	else if (more && !interval_insert(&p->pieces, &first))
		service_lost(s, LOST_EVENTS, 1, "no memory for a region's parts");
}

bool region_drop_piece(struct process *p, uint64_t id)
{
	struct interval *pieces = pieces_of(p, id);

	if (!pieces)
		return false;
	if (--pieces->detail == 1)
		interval_remove(&p->pieces, id);
	return true;
}

/* `gone` is in the books no more. */
static void tell_end(struct service *s, struct process *p, const struct interval *gone,
    enum region_end_reason reason, uint64_t ts)
{
	struct event_region_end *event =
	    writer_reserve(s->writer, EVENT_REGION_END, sizeof(*event), ts);

	event->id = (uint32_t)gone->id;
	event->pid = p->pid;
	event->reason = reason;
	event->partial = region_drop_piece(p, gone->id);
	event->start = gone->start;
	event->size = gone->end - gone->start;
	writer_commit(s->writer);
}

/* A part of a piece that stays where it was. */
static void put_rest(struct service *s, struct process *p, const struct interval *rest)
{
	if (interval_insert(&p->regions, rest))
		add_pieces(s, p, rest->id, 1);
	else
		service_lost(s, LOST_EVENTS, 1, "no memory for a region's part");
}

/* Takes the range out of the map; calls `out` with each piece that was in it. */
static void cut(struct service *s, struct process *p, uint64_t start, uint64_t end,
    void (*out)(void *context, const struct interval *piece), void *context)
{
	for (;;) {
		struct interval *found = interval_next(&p->regions, start), piece, rest;

		if (!found || found->start >= end)
			return;
		piece = rest = *found;
		interval_remove(&p->regions, found->start);
		if (rest.start < start) {
			rest.end = start;
			put_rest(s, p, &rest);
			piece.start = start;
		}
		if (piece.end > end) {
			rest.start = end;
			rest.end = piece.end;
			put_rest(s, p, &rest);
			piece.end = end;
		}
		out(context, &piece);
	}
}

struct ending {
	struct service *service;
	struct process *process;
	enum region_end_reason reason;
	uint64_t ts;
};

static void end_piece(void *context, const struct interval *piece)
{
	struct ending *e = context;

	tell_end(e->service, e->process, piece, e->reason, e->ts);
}

/* The heap was trimmed: what it grows by next has to be registered. */
static void forget_break(struct process *p, uint64_t start, uint64_t end)
{
	uint64_t last = (p->program_break + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	if (!p->program_break || start >= last || end < last)
		return;
	p->program_break = start;
	if (p->shared)
		__atomic_fetch_add(&p->shared->area->break_shrunk, 1, __ATOMIC_RELEASE);
}

/* Malloc's arenas that went have to be noticed again when others take their place. */
static void forget_arenas(struct process *p, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; p->shared && i < FL_ARENAS; i++) {
		uint64_t *arena = &p->shared->area->arenas[i];
		uint64_t base = __atomic_load_n(arena, __ATOMIC_ACQUIRE);

		if (base > 1 && base >= start && base < end)
			__atomic_store_n(arena, 1, __ATOMIC_RELEASE); /* keeps probing going */
	}
}

void region_cut(struct service *s, struct process *p, uint64_t start, uint64_t size,
    enum region_end_reason reason, uint64_t ts)
{
	p->gone_ns = ts;
	region_protect_not(s, p, start, start + size);
	forget_arenas(p, start, start + size);
	cut(s, p, start, start + size, end_piece, &(struct ending){s, p, reason, ts});
}

void region_unmapped(struct service *s, struct process *p, uint64_t start, uint64_t size,
    enum region_end_reason reason, uint64_t ts)
{
	forget_break(p, start, start + size);
	region_cut(s, p, start, size, reason, ts);
}

struct changing {
	struct interval_map changed;
	uint32_t set, cleared; /* enum region_detail bits */
};

static void change_piece(void *context, const struct interval *piece)
{
	struct changing *c = context;
	struct interval changed = *piece;

	changed.detail = (piece->detail & ~c->cleared) | c->set;
	interval_insert(&c->changed, &changed);
}

/* The pieces come back to the books. */
static void put_back(struct service *s, struct process *p, struct interval_map *pieces)
{
	for (const struct interval *piece = interval_next(pieces, 0); piece;
	     piece = interval_next(pieces, piece->end))
		if (!interval_insert(&p->regions, piece))
			service_lost(s, LOST_EVENTS, 1, "no memory for a region's part");
	interval_clear(pieces);
}

void region_set_forks(
    struct service *s, struct process *p, uint64_t start, uint64_t size, bool forks)
{
	struct changing c = {
	    .set = forks ? 0 : REGION_DONTFORK, .cleared = forks ? REGION_DONTFORK : 0};

	cut(s, p, start, start + size, change_piece, &c);
	put_back(s, p, &c.changed);
}

struct moving {
	struct process *process;
	uint64_t from, to;
	struct interval_map moved;
};

static void move_piece(void *context, const struct interval *piece)
{
	struct moving *m = context;
	struct interval at = *piece;

	at.start += m->to - m->from;
	at.end += m->to - m->from;
	at.base += m->to - m->from;
	interval_insert(&m->moved, &at);
}

/* `before`: the piece where it was. */
static void tell_move(struct service *s, struct process *p, const struct interval *before,
    uint64_t distance, int32_t tid, uint64_t ts)
{
	struct event_remap *event = writer_reserve(s->writer, EVENT_REMAP, sizeof(*event), ts);

	event->pid = p->pid;
	event->tid = tid;
	event->region = before->id;
	event->from = before->start;
	event->to = before->start + distance;
	event->size = before->end - before->start;
	writer_commit(s->writer);
}

void region_move(struct service *s, struct process *p, uint64_t from, uint64_t to, uint64_t size,
    int32_t tid, uint64_t ts)
{
	struct moving m = {.process = p, .from = from, .to = to};

	p->gone_ns = ts;
	cut(s, p, from, from + size, move_piece, &m);
	region_cut(s, p, to, size, REGION_END_REPLACE, ts);
	for (const struct interval *piece = interval_next(&m.moved, 0); piece;
	     piece = interval_next(&m.moved, piece->end)) {
		struct interval before = *piece;

		before.start -= to - from;
		before.end -= to - from;
		tell_move(s, p, &before, to - from, tid, ts);
	}
	put_back(s, p, &m.moved);
}

void region_departed(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	struct departed *grown;

	if (!(p->features & UFFD_FEATURE_EVENT_UNMAP))
		return;
	grown = process_room(p->departed, p->departed_count, &p->departed_room, sizeof(*grown));
	if (!grown) {
		service_lost(s, LOST_EVENTS, 1, "no memory for a region that moves");
		return;
	}
	p->departed = grown;
	p->departed[p->departed_count++] = (struct departed){start, end};
}

/* A move that shrinks is told in two parts. */
bool region_is_departed(struct process *p, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < p->departed_count; i++) {
		struct departed *d = &p->departed[i];

		if (start < d->start || end > d->end || (start > d->start && end < d->end))
			continue;
		if (start > d->start)
			d->end = start;
		else
			d->start = end;
		if (d->start == d->end)
			*d = p->departed[--p->departed_count];
		return true;
	}
	return false;
}

void region_none_departed(struct process *p)
{
	p->departed_count = 0;
}

struct parking {
	struct service *service;
	struct process *process;
	int32_t tid;
};

static void park_piece(void *context, const struct interval *piece)
{
	struct parking *parking = context;
	struct process *p = parking->process;
	struct parked *grown =
	    process_room(p->parked, p->parked_count, &p->parked_room, sizeof(*grown));

	if (!grown) {
		service_lost(parking->service, LOST_EVENTS, 1, "no memory for a region that moves");
		return;
	}
	p->parked = grown;
	p->parked[p->parked_count++] = (struct parked){*piece, parking->tid};
}

static void lift_page(void *context, uint64_t page, enum remote_page kind)
{
	struct parking *parking = context;
	struct interval protected = {.start = page, .end = page + PAGE_BYTES};

	if ((kind & REMOTE_PROTECTED) && !interval_insert(&parking->process->lifted, &protected))
		service_lost(parking->service, LOST_EVENTS, 1, "no memory for a page that moves");
}

/* With the registration goes the protection. */
void region_lift(struct service *s, struct process *p, uint64_t start, uint64_t size, int32_t tid)
{
	struct parking parking = {s, p, tid};

	if (s->options.mode == FL_MODE_WRITE)
		remote_present(p, start, start + size, lift_page, &parking);
	uffd_unregister(p->memory_uffd, start, size);
	cut(s, p, start, start + size, park_piece, &parking);
}

static void protect_lifted(
    struct service *s, struct process *p, uint64_t from, uint64_t to, uint64_t size)
{
	const struct interval *page;

	while ((page = interval_next(&p->lifted, from)) && page->start < from + size) {
		region_protect(s, p, page->start - from + to, page->end - from + to);
		interval_remove(&p->lifted, page->start);
	}
}

/* One piece, taken from its place when the move began: [from, from + kept) is now at `to`. */
static void unpark_piece(struct service *s, struct process *p, struct interval piece, uint64_t from,
    uint64_t kept, uint64_t to, int32_t tid, uint64_t ts)
{
	struct interval rest = piece;

	if (piece.end > from + kept) {
		rest.start = piece.start > from + kept ? piece.start : from + kept;
		if (rest.start > piece.start)
			add_pieces(s, p, piece.id, 1);
		tell_end(s, p, &rest, REGION_END_UNMAP, ts);
		piece.end = rest.start;
	}
	if (piece.end <= piece.start)
		return;
	if (from != to)
		tell_move(s, p, &piece, to - from, tid, ts);
	piece.start += to - from;
	piece.end += to - from;
	piece.base += to - from;
	interval_insert(&p->regions, &piece);
}

void region_register_around(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	const struct interval *piece;

	while (start && (piece = interval_find(&p->regions, start - 1)))
		start = piece->start;
	while ((piece = interval_find(&p->regions, end)))
		end = piece->end;
	/* What is not there has been moved or unmapped since, and a record of that is to come. */
	while ((piece = interval_next(&p->regions, start)) && piece->start < end) {
		region_register_again(s, p, piece);
		start = piece->end;
	}
}

void region_unpark(struct service *s, struct process *p, uint64_t from, uint64_t from_size,
    uint64_t to, uint64_t to_size, int32_t tid, uint64_t ts)
{
	uint64_t kept = from_size < to_size ? from_size : to_size;
	size_t left = 0;

	p->gone_ns = ts;
	region_cut(s, p, to, from == to ? kept : to_size, REGION_END_REPLACE, ts);
	for (size_t i = 0; i < p->parked_count; i++) {
		struct parked *parked = &p->parked[i];

		if (parked->tid == tid && parked->piece.start - from < from_size)
			unpark_piece(s, p, parked->piece, from, kept, to, tid, ts);
		else
			p->parked[left++] = *parked;
	}
	p->parked_count = left;
	region_register_around(s, p, to, to + kept);
	protect_lifted(s, p, from, to, kept);
}

void region_end_all(
    struct service *s, struct process *p, enum region_end_reason reason, uint64_t ts)
{
	for (const struct interval *piece = interval_next(&p->regions, 0); piece;
	     piece = interval_next(&p->regions, piece->end))
		if (!(piece->detail & REGION_INHERITED))
			tell_end(s, p, piece, reason, ts);
	interval_clear(&p->regions);
	interval_clear(&p->pieces);
}
