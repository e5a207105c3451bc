/* SPDX-License-Identifier: MIT */
/* request.c: what shims ask and tell (protocol.h). */
#include "service.h"

#include "maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)
#define HUGE_SHIFT 26 /* linux/mman.h: MAP_HUGE_SHIFT */
#define HUGE_MASK  0x3f
#define HUGE_USUAL (2u << 20)

#define MREMAP_DONTUNMAP_ 4u /* Linux 5.7 */

/* ---- requests ---- */

static struct region_origin origin_of(struct service *s, struct process *p,
    const struct fl_slot *slot, enum fl_source source, uint64_t ts)
{
	return (struct region_origin){.source = source,
	    .tid = slot->tid,
	    .prot = -1,
	    .flags = -1,
	    .ts = ts,
	    .catch_up = p->locks_future,
	    .populated = p->locks_future,
	    .stack = fault_request_stack(s, p, &slot->registers, ts)};
}

static uint64_t whole_pages(uint64_t size)
{
	return (size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static void do_map(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	int flags = (int)a[3] == -1 ? 0 : (int)a[3]; /* unknown: System V shared memory */
	struct region_origin origin = origin_of(s, p, slot, (enum fl_source)a[5], ts);
	const struct interval *before;
	uint64_t size = a[1];
	char path[MAPS_PATH];
	struct mapping m;

	origin.prot = (int)a[2];
	origin.flags = (int)a[3];
	origin.shared = flags & MAP_SHARED;
	if (!a[1] || !(flags & MAP_ANONYMOUS)) {
		/* Shared memory segments, memfds, files in memory: the kernel knows more. */
		if (maps_at(process_memory(p), a[0], &m, path) < 0 || m.start > a[0])
			return;
		size = size ? size : m.end - m.start;
		if (origin.prot < 0)
			origin.prot = m.prot;
		origin.shared = m.inode != 0;
		if (strncmp(path, "/memfd:", 7) == 0)
			origin.source = FL_SOURCE_MEMFD;
	}
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_HUGETLB)) {
		unsigned shift = (unsigned)flags >> HUGE_SHIFT & HUGE_MASK;

		origin.page_size = shift ? 1u << shift : HUGE_USUAL;
	}
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		origin.catch_up = origin.populated = true;
	/* Its hook comes later than usual; what was there is told. */
	before = interval_find(&p->regions, a[0]);
	if (before && (before->detail & REGION_LATE))
		origin.catch_up = false;
	region_add(s, p, a[0], size, &origin);
	late_forget(s, p, a[0], a[0] + whole_pages(size));
}

/* Memory by which a mapping grows, or that it leaves behind, is like the rest of it, at `like`. */
static void do_grow(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t like,
    uint64_t start, uint64_t size, uint64_t ts)
{
	const struct interval *region = interval_find(&p->regions, like);
	struct region_origin origin;

	if (!region || !size || (region->detail & REGION_NATIVE))
		return;
	origin = origin_of(s, p, slot, FL_SOURCE_MREMAP, ts);
	origin.shared = region->detail & REGION_SHARED;
	origin.page_size = region->page_size;
	/* Memory that is locked was filled by the kernel. */
	origin.catch_up = origin.populated = true;
	region_cover(s, p, start, size, &origin);
}

static void do_remap(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	uint64_t from = a[0], from_size = whole_pages(a[1]);
	uint64_t to = a[2], to_size = whole_pages(a[3]);

	if (s->options.mode == FL_MODE_SIGBUS || a[5])
		region_unpark(s, p, from, from_size, to, to_size, slot->tid, ts);
	if (!from_size) /* shared memory, mapped once more */
		do_grow(s, p, slot, from, to, to_size, ts);
	else if (to_size > from_size)
		do_grow(s, p, slot, to, to + from_size, to_size - from_size, ts);
	if (a[4] & MREMAP_DONTUNMAP_)
		do_grow(s, p, slot, to, from, from_size, ts);
	if (s->options.mode == FL_MODE_SIGBUS)
		region_register_around(s, p, from, from + from_size);
}

static bool is_mapped(int32_t pid, uint64_t address)
{
	struct mapping m;

	return maps_at(pid, address, &m, NULL) == 0 && m.start <= address;
}

static void break_to(
    struct service *s, struct process *p, uint64_t end, const struct region_origin *origin)
{
	uint64_t start = whole_pages(p->program_break);
	struct region_origin brk = *origin;

	brk.source = FL_SOURCE_BRK;
	brk.catch_up = true;
	end = whole_pages(end);
	if (p->program_break && end > start)
		region_cover(s, p, start, end - start, &brk);
	else if (p->program_break && end < start && s->options.mode == FL_MODE_SIGBUS) {
		/* No event tells that the heap was trimmed; but this word of it may be old. */
		if (is_mapped(process_memory(p), end))
			return;
		region_cut(s, p, end, start - end, REGION_END_UNMAP, brk.ts);
	}
	p->program_break = end;
}

void request_know_arena(struct process *p, uint64_t base)
{
	uint64_t *arenas = p->shared->area->arenas;

	for (uint32_t i = 0; i < FL_ARENAS; i++) {
		uint64_t *at = &arenas[(base / FL_ARENA_BYTES + i) % FL_ARENAS];

		if (*at <= 1 || *at == base) {
			__atomic_store_n(at, base, __ATOMIC_RELEASE);
			return;
		}
	}
}

static void tell_alloc(struct service *s, struct process *p, int32_t tid, uint64_t address,
    uint64_t size, uint32_t function, uint64_t stack, uint64_t ts)
{
	struct interval allocation = {
	    .start = address, .end = address + (size ? size : 1), .base = ts};
	const struct interval *before;
	struct event_alloc *event = writer_reserve(s->writer, EVENT_ALLOC, sizeof(*event), ts);

	event->id = allocation.id = s->next_allocation++;
	event->pid = p->pid;
	event->tid = tid;
	event->addr = address;
	event->size = size;
	event->func = function;
	event->stack = stack;
	event->pad = 0;
	writer_commit(s->writer);
	while ((before = interval_next(&p->allocations, allocation.start)) &&
	       before->start < allocation.end)
		interval_remove(&p->allocations, before->start);
	if (!interval_insert(&p->allocations, &allocation))
		service_lost(s, LOST_EVENTS, 1, "no memory for an allocation");
}

static void do_alloc(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	struct region_origin origin = origin_of(s, p, slot, FL_SOURCE_MALLOC_MMAP, ts);

	/* The allocation comes first: its first page was touched by malloc's own header. */
	if (a[3] & FL_NOTE_ALLOC)
		tell_alloc(s, p, slot->tid, a[0], a[1], (uint32_t)a[2], origin.stack, ts);
	origin.catch_up = true;
	if (a[3] & FL_NOTE_BREAK)
		break_to(s, p, a[4], &origin);
	if (a[3] & FL_NOTE_ARENA)
		origin.source = FL_SOURCE_ARENA;
	if (a[3] & (FL_NOTE_CHUNK | FL_NOTE_ARENA)) {
		region_cover(s, p, a[5], a[6], &origin);
		late_forget(s, p, a[5], a[5] + a[6]);
	}
	if (a[3] & FL_NOTE_ARENA)
		request_know_arena(p, a[5]);
}

/* The bss of a module that is being loaded must be registered before its code runs. */
static void do_loaded(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	struct region_origin origin;

	if (s->perf && !p->file_mapped) /* perf tells of each */
		return;
	p->file_mapped = false;
	if (!s->perf)
		p->space->stale = true;
	origin = origin_of(s, p, slot, FL_SOURCE_BSS, ts);
	origin.catch_up = true;
	region_add_mapped(s, p, REGION_MAPPED_BSS, &origin);
}

/* No event tells of memory that the kernel would not register. */
static void do_detach(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const struct interval *region = interval_find(&p->regions, slot->argument[0]);

	fault_take_samples(s);
	if (region && (region->detail & REGION_NATIVE))
		region_cut(s, p, region->start, region->end - region->start, REGION_END_UNMAP, ts);
}

/* From now on whoever reads there may wait for the program. */
static void do_yield(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	uint64_t start = slot->argument[0], size = slot->argument[1];
	struct interval range = {.start = start, .end = start + size};
	const struct interval *before;

	uffd_unregister(p->memory_uffd, start, size);
	region_cut(s, p, start, size, REGION_END_REPLACE, ts);
	if (range.end <= start)
		return;
	while ((before = interval_next(&p->foreign, start)) && before->start < range.end)
		interval_remove(&p->foreign, before->start);
	interval_insert(&p->foreign, &range);
}

/* Memory that becomes a stack; of size 0: the whole region. */
static void do_stack(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	uint64_t start = slot->argument[0] & ~(PAGE_BYTES - 1);
	uint64_t end = whole_pages(slot->argument[0] + slot->argument[1]);
	const struct interval *region = interval_find(&p->regions, start);

	if (!slot->argument[1] && region) {
		start = region->start;
		end = region->end;
	}
	uffd_unregister(p->memory_uffd, start, end - start);
	region_cut(s, p, start, end - start, REGION_END_UNMAP, ts);
}

static int64_t do_touch(
    struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	struct process *owner =
	    slot->argument[3] ? namespace_named(s, p, (int32_t)slot->argument[3]) : p;

	return owner ? fault_touch(s, owner, p, slot, ts) : -ESRCH;
}

/* Of the doorbell nothing is emptied any more: its pages are rung by writing, and protected. */
static int64_t do_quiet(struct process *p)
{
	uint64_t size = p->doorbell_end - p->doorbell, ioctls;
	int error = uffd_register(p->uffd, p->doorbell, size,
	    UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP, &ioctls);

	if (error == 0)
		error = uffd_protect(p->uffd, p->doorbell, size);
	p->quiet = error == 0;
	return error;
}

/*
 * A forked child tells what it calls itself. perf may have told before which one it is; in a PID
 * namespace of its own only /proc can say who that is.
 */
static int64_t do_forked(
    struct service *s, struct process *p, const struct fl_slot *slot, uint32_t index, uint64_t ts)
{
	/* One that may not ask for its ID has one thread, the first. */
	int32_t inner = slot->argument[0] ? (int32_t)slot->argument[0] : slot->tid, pid;

	if (!p->pid || p->inner_pid != inner || (p->nested && !namespace_asks(p, p->pid, index))) {
		pid = namespace_find_child(s, p, inner, index);
		if (pid)
			process_identify(s, p, pid, ts);
	}
	p->confirmed = true;
	thread_get(s, p, slot->tid, 0, ts);
	return p->number;
}

static void do_lift(struct service *s, struct process *p, const struct fl_slot *slot)
{
	region_lift(s, p, slot->argument[0], whole_pages(slot->argument[1]), slot->tid);
}

static int64_t handle(
    struct service *s, struct process *p, const struct fl_slot *slot, int32_t task)
{
	uint64_t ts = service_now();
	struct region_origin origin;

	if (slot->op == FL_OP_WAKE)
		return 0;
	ring_drain_all(s, p);
	if (slot->op != FL_OP_DRAIN)
		thread_get(s, p, slot->tid, task, ts);
	switch (slot->op) {
	case FL_OP_FORKING:
		return forking_keep(s, p);
	case FL_OP_NOT_FORKED:
		forking_free(forking_take(s, (uint32_t)slot->argument[0]));
		return 0;
	case FL_OP_MAP:
		do_map(s, p, slot, ts);
		return 0;
	case FL_OP_REMAP:
		do_remap(s, p, slot, ts);
		return 0;
	case FL_OP_REMOVE:
		process_tell_remove(
		    s, p, slot->tid, slot->argument[0], whole_pages(slot->argument[1]), false, ts);
		return 0;
	case FL_OP_FORKS:
		region_set_forks(
		    s, p, slot->argument[0], whole_pages(slot->argument[1]), slot->argument[2]);
		return 0;
	case FL_OP_LIFT:
		do_lift(s, p, slot);
		return 0;
	case FL_OP_LOCKED:
		p->locks_future = slot->argument[0];
		return 0;
	case FL_OP_ALLOC:
		do_alloc(s, p, slot, ts);
		return 0;
	case FL_OP_BREAK:
		origin = origin_of(s, p, slot, FL_SOURCE_BRK, ts);
		break_to(s, p, slot->argument[0], &origin);
		return 0;
	case FL_OP_LOADED:
		do_loaded(s, p, slot, ts);
		return 0;
	case FL_OP_YIELD:
		do_yield(s, p, slot, ts);
		return 0;
	case FL_OP_DETACH:
		do_detach(s, p, slot, ts);
		return 0;
	case FL_OP_STACK:
		do_stack(s, p, slot, ts);
		return 0;
	case FL_OP_TOUCH:
		return do_touch(s, p, slot, ts);
	case FL_OP_SERVE:
		return fault_serve(s, p, slot->argument[0], slot->argument[1]);
	case FL_OP_QUIET:
		return do_quiet(p);
	case FL_OP_DRAIN:
		request_drain_cells(s, p->shared);
		return 0;
	default:
		return -EINVAL;
	}
}

void request_handle(struct service *s, struct process *p, int32_t tid, int32_t task, uint32_t page)
{
	for (uint32_t i = 0; p->shared && i < FL_SLOTS; i++) {
		/* Shims begin to look at a place that depends on the thread. */
		struct fl_slot *slot = &p->shared->area->slots[((uint32_t)tid + i) % FL_SLOTS];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_READY ||
		    slot->process != p->number ||
		    (slot->tid ? slot->tid != tid
			       : __atomic_load_n(&slot->page, __ATOMIC_ACQUIRE) != page))
			continue;
		slot->tid = tid;
		slot->result = handle(s, p, slot, task);
		__atomic_store_n(&slot->state, FL_SLOT_DONE, __ATOMIC_RELEASE);
	}
}

void request_handle_forked(struct service *s, struct process *p, uint32_t index, int32_t tid)
{
	struct fl_slot *slot = p->shared ? &p->shared->area->slots[index] : NULL;

	if (!slot || __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_READY ||
	    slot->op != FL_OP_FORKED)
		return;
	slot->tid = tid;
	slot->result = do_forked(s, p, slot, index, service_now());
	slot->process = p->number; /* whose it is, should it be killed now */
	__atomic_store_n(&slot->state, FL_SLOT_DONE, __ATOMIC_RELEASE);
}

void request_free_left(struct shared_area *shared)
{
	uint64_t left = __atomic_load_n(&shared->area->left, __ATOMIC_ACQUIRE);

	if (left == shared->left)
		return;
	shared->left = left;
	for (uint32_t i = 0; i < FL_SLOTS; i++) {
		uint32_t expected = FL_SLOT_LEFT;

		__atomic_compare_exchange_n(&shared->area->slots[i].state, &expected, FL_SLOT_FREE,
		    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
}

/*
 * The slot that explains an event. Its thread may have announced, and left, others by now: it is
 * the oldest one that has not explained such an event yet.
 */
static struct fl_slot *explain(const struct process *p,
    bool (*is_about)(const struct fl_slot *slot, uint64_t start, uint64_t end), uint64_t start,
    uint64_t end)
{
	struct fl_slot *oldest = NULL;

	for (uint32_t i = 0; p->shared && i < FL_SLOTS; i++) {
		struct fl_slot *slot = &p->shared->area->slots[i];
		uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

		if ((state == FL_SLOT_ANNOUNCED || state == FL_SLOT_LEFT ||
			state == FL_SLOT_READY) &&
		    slot->process == p->number && (!oldest || slot->order < oldest->order) &&
		    is_about(slot, start, end))
			oldest = slot;
	}
	return oldest;
}

static bool is_within(uint64_t start, uint64_t end, uint64_t address, uint64_t size)
{
	return start >= address && end <= address + whole_pages(size);
}

static bool is_target(const struct fl_slot *slot, uint64_t start, uint64_t end)
{
	return slot->op == FL_OP_REMAP && slot->argument[2] && start >= slot->target_up_to &&
	       is_within(start, end, slot->argument[2], slot->argument[3]);
}

static bool is_replacing(const struct fl_slot *slot)
{
	return slot->op == FL_OP_MAP && (slot->argument[3] & MAP_FIXED);
}

static bool is_unmapping(const struct fl_slot *slot, uint64_t start, uint64_t end)
{
	return is_target(slot, start, end) ||
	       ((slot->op == FL_OP_UNMAP || is_replacing(slot) || slot->op == FL_OP_REMAP) &&
		   start >= slot->up_to &&
		   is_within(start, end, slot->argument[0], slot->argument[1]));
}

static bool is_removing(const struct fl_slot *slot, uint64_t start, uint64_t end)
{
	return slot->op == FL_OP_REMOVE && start >= slot->up_to &&
	       is_within(start, end, slot->argument[0], slot->argument[1]);
}

static bool is_moving(const struct fl_slot *slot, uint64_t start, uint64_t end)
{
	(void)end;
	return slot->op == FL_OP_REMAP && slot->argument[0] == start && !slot->moved;
}

/* Where it is, for elsewhere what grows is told by the move. */
static bool is_growth(const struct fl_slot *slot, uint64_t start, uint64_t end)
{
	uint64_t old_size = whole_pages(slot->argument[1]);

	return slot->op == FL_OP_REMAP && slot->argument[3] > old_size &&
	       is_within(start, end, slot->argument[0] + old_size, slot->argument[3] - old_size);
}

bool request_is_replacing(const struct process *p, uint64_t start, uint64_t end)
{
	struct fl_slot *slot = explain(p, is_unmapping, start, end);

	if (!slot)
		return false;
	if (is_target(slot, start, end)) {
		slot->target_up_to = end;
		return true;
	}
	slot->up_to = end;
	return is_replacing(slot);
}

bool request_is_lazy(const struct process *p, uint64_t start, uint64_t end)
{
	struct fl_slot *slot = explain(p, is_removing, start, end);

	if (!slot)
		return false;
	slot->up_to = end;
	return slot->argument[2];
}

const struct fl_slot *request_moving(const struct process *p, uint64_t from)
{
	struct fl_slot *slot = explain(p, is_moving, from, from);

	if (slot)
		slot->moved = 1;
	return slot;
}

uint64_t request_moved_bytes(const struct fl_slot *moving)
{
	return whole_pages(moving->argument[3]);
}

bool request_keeps(const struct fl_slot *moving)
{
	return moving->argument[4] & MREMAP_DONTUNMAP_;
}

bool request_grows(struct service *s, struct process *p, uint64_t address, uint64_t ts)
{
	const struct fl_slot *slot = explain(p, is_growth, address, address + 1);
	uint64_t old_end;

	if (!slot)
		return false;
	old_end = slot->argument[0] + whole_pages(slot->argument[1]);
	do_grow(s, p, slot, slot->argument[0], old_end,
	    slot->argument[0] + whole_pages(slot->argument[3]) - old_end, ts);
	return interval_find(&p->regions, address) != NULL;
}

void request_left_behind(
    struct service *s, struct process *p, const struct fl_slot *moving, uint64_t to, uint64_t ts)
{
	if (request_keeps(moving))
		do_grow(
		    s, p, moving, to, moving->argument[0], whole_pages(moving->argument[1]), ts);
}

bool request_is_mapping(const struct process *p, int32_t tid)
{
	for (uint32_t i = 0; p->shared && i < FL_SLOTS; i++) {
		const struct fl_slot *slot = &p->shared->area->slots[i];
		uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

		if ((state == FL_SLOT_ANNOUNCED || state == FL_SLOT_READY) &&
		    (slot->op == FL_OP_MAP || slot->op == FL_OP_CREATE) &&
		    slot->process == p->number && (slot->tid == tid || !slot->tid))
			return true;
	}
	return false;
}

bool request_take_captured(
    const struct process *p, int32_t tid, uint32_t order, struct registers *registers)
{
	bool taken = false;

	for (uint32_t i = 0; i < FL_SLOTS; i++) {
		struct fl_slot *slot = &p->shared->area->slots[i];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_CAPTURED ||
		    slot->process != p->number || slot->tid != tid)
			continue;
		if (slot->argument[0] == order) {
			arch_from_shim(registers, &slot->registers);
			taken = true;
		}
		__atomic_store_n(&slot->state, FL_SLOT_FREE, __ATOMIC_RELEASE);
	}
	return taken;
}

/* ---- cells ---- */

void request_freed(struct service *s, struct process *p, int32_t tid, uint64_t address, uint64_t ts)
{
	struct interval *allocation = interval_find(&p->allocations, address);
	struct event_free *event;

	if (!allocation || allocation->start != address || allocation->base > ts)
		return; /* allocated before tracing, or below the threshold, or again since */
	thread_get(s, p, tid, 0, ts);
	event = writer_reserve(s->writer, EVENT_FREE, sizeof(*event), ts);
	event->pid = p->pid;
	event->tid = tid;
	event->alloc = allocation->id;
	writer_commit(s->writer);
	interval_remove(&p->allocations, allocation->start);
}

void request_allocated(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size)
{
	uint64_t stack = fault_record_stack(s, p, record, stack_size);

	thread_get(s, p, record->tid, 0, record->ts);
	tell_alloc(
	    s, p, record->tid, record->address, record->bytes, record->write, stack, record->ts);
}

static void take_note(
    struct service *s, struct process *p, const struct fl_cell *cell, struct fl_record *record)
{
	uint32_t stack_size = record->stack_size;

	record->tid = cell->tid;
	record->ts = cell->ts ? cell->ts : service_now();
	if (record->kind == FL_RECORD_ALLOC && stack_size <= FL_NOTE_BYTES - sizeof(*record))
		request_allocated(s, p, record, stack_size);
}

static void take_cell(struct service *s, struct fl_area *area, const struct fl_cell *cell)
{
	struct process *p = process_by_number(s, cell->process);
	uint64_t address = cell->address;
	struct fl_record *note;

	switch (cell->kind) {
	case FL_CELL_UNLOADED:
		if (p)
			p->space->stale = true;
		break;
	case FL_CELL_FREED:
		if (p)
			request_freed(
			    s, p, cell->tid, address, cell->ts ? cell->ts : service_now());
		break;
	case FL_CELL_NOTE:
		if (address >= FL_NOTES)
			break;
		note = (struct fl_record *)area->notes[address];
		if (p)
			take_note(s, p, cell, note);
		__atomic_store_n(&note->published, 0, __ATOMIC_RELEASE);
		if (address < __atomic_load_n(&area->next_note, __ATOMIC_RELAXED))
			__atomic_store_n(&area->next_note, (uint32_t)address, __ATOMIC_RELAXED);
		break;
	default:
		break;
	}
}

struct published {
	uint64_t order;
	uint32_t cell;
};

static int by_order(const void *a, const void *b)
{
	const struct published *first = a, *second = b;

	return (first->order > second->order) - (first->order < second->order);
}

/*
 * Notes which cells are published. What others knew of when they published was published before:
 * when a look finds nothing more, nothing that came earlier is missing.
 */
static uint32_t find_published(struct fl_area *area, struct published *found)
{
	uint32_t count = 0, before;

	do {
		before = count;
		for (uint32_t i = 0; i < FL_CELLS / 64 && count < FL_CELLS; i++) {
			uint64_t *word = &area->published[i], bits;

			if (!__atomic_load_n(word, __ATOMIC_RELAXED))
				continue;
			bits = __atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE);
			for (; bits && count < FL_CELLS; bits &= bits - 1) {
				uint32_t cell = i * 64 + (uint32_t)__builtin_ctzll(bits);

				found[count++] = (struct published){area->cells[cell].order, cell};
			}
		}
	} while (count > before);
	return count;
}

bool request_drain_cells(struct service *s, struct shared_area *shared)
{
	static struct published found[FL_CELLS];
	struct fl_area *area = shared->area;
	uint32_t count = find_published(area, found);
	uint32_t full = __atomic_load_n(&area->full, __ATOMIC_RELAXED);

	if (count > 1)
		qsort(found, count, sizeof(found[0]), by_order);
	for (uint32_t i = 0; i < count; i++) {
		struct fl_cell *cell = &area->cells[found[i].cell];

		take_cell(s, area, cell);
		__atomic_store_n(&cell->state, FL_CELL_EMPTY, __ATOMIC_RELEASE);
	}
	if (full != shared->full) {
		service_lost(
		    s, LOST_EVENTS, full - shared->full, "no room for what the program reported");
		shared->full = full;
	}
	return count > 0;
}
