/* SPDX-License-Identifier: MIT */
/*
 * fault.c: one fault, from the kernel's message to its line: find the registers and the stack,
 * serve the page, name the stack. What a known rule can unwind is unwound while the thread still
 * sleeps (a microsecond); otherwise the stack is copied, the thread woken, and the rest done
 * after it.
 */
#include "service.h"

#include "capture.h"
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES	UINT64_C(4096)
#define RETRIES_MAX	4u
#define TOUCHED_AT_ONCE 1024u /* pages that one request has filled */

/* ---- stacks ---- */

static void tell_stack(struct service *s, struct process *p, uint64_t id, uint64_t ts)
{
	const struct unwound *u = &s->unwound;
	size_t frames = u->count * sizeof(u->frames[0]);
	struct event_stack *event =
	    writer_reserve(s->writer, EVENT_STACK, sizeof(*event) + frames, ts);

	event->id = (uint32_t)id;
	event->pid = p->pid;
	event->truncated = u->truncated;
	event->count = u->count;
	memcpy(event->frames, u->frames, frames);
	writer_commit(s->writer);
}

static uint64_t intern(struct service *s, struct process *p, uint64_t ts)
{
	bool is_new;
	uint64_t id = stacks_intern(s->stacks, p->space->generation, &s->unwound, &is_new);

	if (is_new)
		tell_stack(s, p, id, ts);
	return id;
}

/* Compares what rules found with libunwind's own answer. */
static void verify(struct service *s, struct process *p, const struct registers *registers,
    struct stack_view *view)
{
	static struct unwound reference;

	unwind_by_libunwind(s->unwinder, p->space, registers, view, &reference);
	s->verified++;
	if (reference.count == s->unwound.count &&
	    memcmp(reference.frames, s->unwound.frames,
		reference.count * sizeof(reference.frames[0])) == 0)
		return;
	s->differing++;
}

uint64_t fault_request_stack(
    struct service *s, struct process *p, const struct fl_registers *registers, uint64_t ts)
{
	struct registers r;
	struct stack_view view = {.more = capture_read_more, .context = p, .extra = s->stack_extra};

	if (s->capture == FL_CAPTURE_NONE)
		return 0;
	arch_from_shim(&r, registers);
	if (!unwind_by_rules(s->unwinder, p->space, &r, &view, &s->unwound))
		unwind_fully(s->unwinder, &p->space, process_memory(p), &r, &view, &s->unwound);
	if (s->options.verify_stacks)
		verify(s, p, &r, &view);
	return intern(s, p, ts);
}

/* ---- serving ---- */

struct served {
	int error;
	uint64_t bytes; /* of memory that it brought in */
	uint64_t ts;
	enum fault_served how;
};

/* What the kernel's message asks for. In --mode=write a page that is only read stays protected. */
static enum uffd_fill fill_for(
    const struct service *s, const struct interval *region, enum fault_kind kind, bool write)
{
	bool protect = s->options.mode == FL_MODE_WRITE && !write;

	switch (kind) {
	case FAULT_WRITE_PROTECT:
		return UFFD_FILL_UNPROTECT;
	case FAULT_MINOR:
		return protect ? UFFD_FILL_CONTINUE_WP : UFFD_FILL_CONTINUE;
	default:
		if (protect)
			return UFFD_FILL_COPY_WP;
		/* There is no shared huge page of zeros. */
		return write || !s->reads_share_zeros ||
			       (region && (region->detail & REGION_HUGETLB))
			   ? UFFD_FILL_COPY
			   : UFFD_FILL_ZEROPAGE;
	}
}

static enum fault_served served_by(enum uffd_fill how)
{
	switch (how) {
	case UFFD_FILL_UNPROTECT:
		return SERVED_UNPROTECT;
	case UFFD_FILL_CONTINUE:
	case UFFD_FILL_CONTINUE_WP:
		return SERVED_CONTINUE;
	default:
		return SERVED_ZERO;
	}
}

/*
 * With a coarse granularity: the aligned block round the page, as far as the region goes; pages
 * that are there already stay what they are. One wake for all. The result tells of `page` alone.
 */
static int fill_block(struct service *s, struct process *p, const struct interval *region,
    enum uffd_fill how, uint64_t page, uint64_t *bytes)
{
	uint64_t size = region->page_size, granularity = s->options.granularity;
	uint64_t start = page & ~(granularity - 1), end = start + granularity;
	int error = -EEXIST;

	if (start < region->start)
		start = region->start;
	if (end > region->end)
		end = region->end;
	for (uint64_t at = start, length = end - at; at < end; length = end - at) {
		int64_t filled;

		/* Parts with other rights are mappings of their own: none is filled across. */
		while ((filled = uffd_fill(p->memory_uffd, how, at, length, false)) == -ENOENT &&
		       length > size)
			length = length / 2 & ~(size - 1);
		if (filled == -EAGAIN)
			break;
		if (filled < 0) {
			if (at == page)
				error = (int)filled;
			at += size;
			continue;
		}
		if (page - at < (uint64_t)filled)
			error = 0;
		at += (uint64_t)filled;
		*bytes += (uint64_t)filled;
	}
	if (error == -EEXIST) /* or not reached */
		error = (int)uffd_fill(p->memory_uffd, how, page, size, false);
	if (error >= 0)
		uffd_wake(p->memory_uffd, start, end - start);
	return error < 0 ? error : 0;
}

/*
 * A page that we cannot fill, perhaps because a limit on memory is reached, is the kernel's own: it
 * gives the page, or does what it does to a program that cannot have it. Ends with a wake.
 */
static void give_up(struct service *s, struct process *p, const struct interval *region,
    uint64_t page, uint64_t size, int error)
{
	char why[96];

	snprintf(why, sizeof(why), "a page could not be filled: %s", strerror(-error));
	service_lost(s, LOST_EVENTS, 1, why);
	if (uffd_unregister(p->memory_uffd, page, size) < 0 && region)
		uffd_unregister(p->memory_uffd, region->start, region->end - region->start);
}

/* Fills the page, or its block; wakes who waits there when it is there already or gone. */
static struct served fill(struct service *s, struct process *p, const struct interval *region,
    uint64_t address, enum fault_kind kind, bool write)
{
	uint64_t size = region ? region->page_size : PAGE_BYTES;
	uint64_t page = address & ~(size - 1), bytes = 0;
	enum uffd_fill how = fill_for(s, region, kind, write);
	struct served served = {.how = served_by(how)};
	int64_t filled;

	if (region && s->options.granularity > size) {
		served.error = fill_block(s, p, region, how, page, &bytes);
	} else {
		filled = uffd_fill(p->memory_uffd, how, page, size, true);
		served.error = filled < 0 ? (int)filled : 0;
		bytes = size;
	}
	served.ts = service_now();
	if (kind == FAULT_MISSING)
		served.bytes = bytes;
	if (served.error == -EEXIST && size > PAGE_BYTES && !remote_is_present(p, page))
		served.error = -ENOMEM; /* what the kernel means when its pool of them is empty */
	if (served.error == -EEXIST || served.error == -ENOENT || served.error == -ESRCH ||
	    (served.error == -EFAULT && kind == FAULT_MINOR))
		uffd_wake(p->memory_uffd, page, size); /* there already, or gone: the thread sees */
	return served;
}

static bool is_hopeless(const struct served *served, enum fault_kind kind)
{
	return served->error < 0 && served->error != -EEXIST && served->error != -ENOENT &&
	       served->error != -ESRCH && served->error != -EAGAIN &&
	       !(served->error == -EFAULT && kind == FAULT_MINOR);
}

static struct served serve(struct service *s, struct process *p, const struct interval *region,
    uint64_t address, enum fault_kind kind, bool write)
{
	struct served served = fill(s, p, region, address, kind, write);
	uint64_t size = region ? region->page_size : PAGE_BYTES;

	if (is_hopeless(&served, kind))
		give_up(s, p, region, address & ~(size - 1), size, served.error);
	return served;
}

static void tell_fault(struct service *s, struct process *p, const struct interval *region,
    uint64_t address, enum fault_kind kind, enum fault_access access, int32_t tid,
    const struct capture *c, const struct served *served, uint64_t stack)
{
	const uint64_t page_size = region ? region->page_size : PAGE_BYTES;
	const uint64_t page = address & ~(page_size - 1);
	const struct interval *allocation = interval_find(&p->allocations, address);
	struct event_fault *event = writer_reserve(s->writer, EVENT_FAULT, sizeof(*event), c->ts);

	event->pid = p->pid;
	event->tid = tid;
	event->addr = address;
	event->region = region ? region->id : 0;
	event->offset = region ? address - region->base : 0;
	event->alloc = allocation ? allocation->id : 0;
	event->stack = stack;
	event->service_ns = c->sampled ? served->ts - c->ts : 0;
	event->access = (uint8_t)access;
	event->kind = (uint8_t)kind;
	event->origin = (uint8_t)c->origin;
	event->served = (uint8_t)served->how;
	event->bytes = (uint32_t)served->bytes;
	writer_commit(s->writer);
	region_protect_not(s, p, page, page + page_size); /* or it would be told again */
}

/*
 * When a half of the doorbell is entered the other's pages are protected anew, and so are the pages
 * for forked children when one of them rings its second time. A thread that was slow and has not
 * passed its page yet rings again, and finds its slot answered.
 */
static void protect_doorbell(struct process *p, uint64_t number)
{
	const uint64_t half = FL_DOORBELL_PAGES / 2;
	uint64_t forked = p->doorbell + FL_DOORBELL_PAGES * PAGE_BYTES;
	uint32_t now = (uint32_t)(number / half);

	if (now == p->doorbell_half)
		return;
	if (now < 2)
		uffd_protect(
		    p->uffd, p->doorbell + (1 - now) * half * PAGE_BYTES, half * PAGE_BYTES);
	if (p->doorbell_half >= 2)
		uffd_protect(p->uffd, forked, p->doorbell_end - forked);
	p->doorbell_half = now;
}

static void answer_doorbell(struct service *s, struct process *p, uint64_t address, uint64_t flags,
    int32_t tid, int32_t task)
{
	uint64_t page = address & ~(PAGE_BYTES - 1);
	uint64_t number = (page - p->doorbell) / PAGE_BYTES;

	if (pending_event_is_due(p, page)) {
		pending_add(s, p, address, flags, tid);
		return;
	}
	if (number < FL_DOORBELL_PAGES)
		request_handle(s, p, tid, task, (uint32_t)number);
	else if (number - FL_DOORBELL_PAGES < FL_SLOTS)
		request_handle_forked(s, p, (uint32_t)number - FL_DOORBELL_PAGES, tid);
	if (p->quiet)
		protect_doorbell(p, number);
	if (!region_protect_rest(p)) {
		pending_add(s, p, address, flags, tid); /* the answer is there, and waits */
		return;
	}
	if (!(flags & UFFD_PAGEFAULT_FLAG_WP) ||
	    uffd_fill(p->uffd, UFFD_FILL_UNPROTECT, page, PAGE_BYTES, true) < 0)
		uffd_wake(p->uffd, page, PAGE_BYTES); /* if need be it rings again */
}

/* A page that says by itself who rings: a child that tells who it is. */
static bool is_forked_doorbell(const struct process *p, uint64_t address)
{
	return address < p->doorbell_end &&
	       address >= p->doorbell + (uint64_t)FL_DOORBELL_PAGES * PAGE_BYTES;
}

/* A first fault tells which process a forked child is. */
static void identify(struct service *s, struct process *p, int32_t tid)
{
	int32_t pid = namespace_find_child(s, p, tid, FL_SLOTS);

	if (pid)
		process_identify(s, p, pid, service_now());
}

/* A stranger's fault does not, but the page is in one process alone. */
static void identify_by_page(struct service *s, struct process *p, uint64_t address)
{
	int32_t pid = namespace_find_holder(s, p, address & ~(PAGE_BYTES - 1));

	if (pid)
		process_identify(s, p, pid, service_now());
}

/*
 * A thread that is not asleep was interrupted by a signal of the program's own and will fault
 * again: better then than without registers. The wake makes sure that it does.
 */
static bool ask_again(struct service *s, struct process *p, uint64_t address, int32_t task)
{
	struct thread *thread = task ? thread_slot(s, p->pid, task) : NULL;

	if (!thread || ++thread->retries % RETRIES_MAX == 0)
		return false;
	uffd_wake(p->memory_uffd, address & ~(PAGE_BYTES - 1), PAGE_BYTES);
	return true;
}

/* In --mode=write: a page that is read is there from now on, and waits for its first write. */
static void serve_read(struct service *s, struct process *p, const struct interval *region,
    uint64_t address, enum fault_kind kind, uint64_t flags, int32_t tid, int32_t task)
{
	struct thread *thread = thread_known(s, task);
	uint64_t ts = service_now();

	if (serve(s, p, region, address, kind, false).error == -EAGAIN) {
		pending_add(s, p, address, flags, tid);
	} else if (thread) {
		thread->served_ns = ts; /* its sample is not that of a write to the same page */
		if ((thread->sample.addr ^ address) < PAGE_BYTES)
			thread->sampled = false;
	}
}

void fault_handle(
    struct service *s, struct process *p, uint64_t address, uint64_t flags, int32_t tid)
{
	bool write = flags & UFFD_PAGEFAULT_FLAG_WRITE, unwound = false;
	enum fault_kind kind = flags & UFFD_PAGEFAULT_FLAG_WP	   ? FAULT_WRITE_PROTECT
			       : flags & UFFD_PAGEFAULT_FLAG_MINOR ? FAULT_MINOR
								   : FAULT_MISSING;
	struct stranger stranger;
	bool is_stranger = false;
	struct process *runs = p; /* whose code the thread runs */
	struct interval *region;
	struct thread *thread;
	struct served served;
	struct capture c;
	uint64_t stack = 0;
	int32_t task;

	if (is_forked_doorbell(p, address)) {
		answer_doorbell(s, p, address, flags, tid, 0);
		return;
	}
	if (!p->pid)
		identify(s, p, tid);
	task = thread_task(s, p, tid, true);
	if (task)
		p->last_task = task;
	else
		is_stranger = stranger_find(s, p, tid, &stranger);
	if (address - p->doorbell < p->doorbell_end - p->doorbell) {
		answer_doorbell(s, p, address, flags, tid, task);
		return;
	}
	region = interval_find(&p->regions, address);
	if (!region && request_grows(s, p, address, service_now()))
		region = interval_find(&p->regions, address);
	if (!region && pending_event_is_due(p, p->doorbell_end - PAGE_BYTES)) {
		pending_add(s, p, address, flags, tid); /* of memory that is being moved, perhaps */
		return;
	}
	if (!region) {
		/* Registered in the moment between another mapping's end and the word of it. */
		region_look_up(s, p, address,
		    &(struct region_origin){
			.source = FL_SOURCE_LATE, .prot = -1, .flags = -1, .ts = service_now()});
		region = interval_find(&p->regions, address);
	}
	if (s->options.mode == FL_MODE_WRITE && !write) {
		serve_read(s, p, region, address, kind, flags, tid, task);
		return;
	}
	/* The kernel tells of events when no fault is waiting to be told: a signal would make its
	   thread fault again, for nothing, and with many threads there would be no end of it. */
	if (s->capture == FL_CAPTURE_SIGNAL &&
	    pending_event_is_due(p, p->doorbell_end - PAGE_BYTES)) {
		pending_add(s, p, address, flags, tid);
		return;
	}
	if (is_stranger) {
		runs = process_by_pid(s, stranger.group);
		if (runs && process_has_no_memory(runs)) /* it runs another program now */
			runs = NULL;
		capture_stranger(s, p, runs, address, kind, stranger.task, &c);
	} else {
		capture_fault(s, p, address, kind, tid, task, &c);
	}
	task = c.task;
	if (c.outdated) {
		uffd_wake(p->memory_uffd, address & ~(PAGE_BYTES - 1), PAGE_BYTES);
		return;
	}
	if (s->capture != FL_CAPTURE_NONE && !c.has_registers && !c.stackless &&
	    ask_again(s, p, address, task))
		return;
	if (c.has_registers) {
		unwound =
		    unwind_by_rules(s->unwinder, runs->space, &c.registers, &c.view, &s->unwound);
		if (!unwound && interval_find(&runs->regions, c.registers.r[ARCH_SP])) {
			/* A stack in traced memory has holes: it is read word by word. */
			unwind_fully(s->unwinder, &runs->space, process_memory(runs), &c.registers,
			    &c.view, &s->unwound);
			unwound = true;
		} else if (!unwound) {
			c.view.start = c.registers.r[ARCH_SP];
			c.view.size =
			    remote_read(runs, c.view.start, s->stack_copy, STACK_COPY_BYTES);
			c.view.bytes = s->stack_copy;
		}
	}
	if (unwound && s->options.verify_stacks)
		verify(s, runs, &c.registers, &c.view);
	served = serve(s, p, region, address, kind, write);
	if (served.error == -EAGAIN) {
		pending_add(s, p, address, flags, tid);
		return;
	}
	if (is_stranger && served.error == 0) {
		if (!p->pid)
			identify_by_page(s, p, address);
		stranger_tell(s, p, &stranger, c.ts);
	}
	thread = task ? thread_get(s, p, tid, task, c.ts) : NULL;
	if (thread) {
		/* A sample of another page is of a fault whose message is still to come. */
		if ((thread->sample.addr ^ address) < PAGE_BYTES)
			thread->sampled = false;
		if (c.sampled)
			thread->served_ns = c.ts;
		thread->retries = 0;
	}
	if (served.error < 0)
		return; /* another thread's fault brought the page, or the mapping is gone */
	if (c.has_registers && !unwound) {
		c.view.more = NULL;
		c.view.extra = NULL;
		unwind_fully(s->unwinder, &runs->space, process_memory(runs), &c.registers, &c.view,
		    &s->unwound);
		if (s->options.verify_stacks)
			verify(s, runs, &c.registers, &c.view);
	}
	if (c.has_registers)
		stack = intern(s, runs, c.ts);
	if (!stack && s->capture != FL_CAPTURE_NONE && !c.stackless)
		s->stacks_lost++;
	tell_fault(s, p, region, address, kind, write ? ACCESS_WRITE : ACCESS_READ, tid, &c,
	    &served, stack);
}

/* ---- faults that their own thread served, or was spared ---- */

int64_t fault_serve(struct service *s, struct process *p, uint64_t address, bool write)
{
	const struct interval *region = interval_find(&p->regions, address);
	struct served served;

	if (!region)
		return -ENOENT;
	served = fill(s, p, region, address, FAULT_MISSING, write);
	/* -EFAULT: a file in memory that ends before this page: the program's own bus error. */
	if (is_hopeless(&served, FAULT_MISSING) && served.error != -EFAULT) {
		give_up(s, p, region, address & ~((uint64_t)region->page_size - 1),
		    region->page_size, served.error);
		return -ENOENT;
	}
	return served.error < 0 ? served.error : (int64_t)served.bytes;
}

uint64_t fault_record_stack(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size)
{
	struct stack_view view = {.bytes = record->stack, .size = stack_size};
	struct registers registers;

	if (s->capture == FL_CAPTURE_NONE)
		return 0;
	arch_from_shim(&registers, &record->registers);
	view.start = registers.r[ARCH_SP];
	if (!unwind_by_rules(s->unwinder, p->space, &registers, &view, &s->unwound))
		unwind_fully(
		    s->unwinder, &p->space, process_memory(p), &registers, &view, &s->unwound);
	if (s->options.verify_stacks)
		verify(s, p, &registers, &view);
	return intern(s, p, record->ts);
}

void fault_self_served(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size)
{
	struct capture c = {.ts = record->ts, .origin = ORIGIN_USER};
	struct served served = {.bytes = record->bytes, .how = SERVED_ZERO};
	uint64_t stack = fault_record_stack(s, p, record, stack_size);

	thread_get(s, p, record->tid, 0, c.ts);
	tell_fault(s, p, interval_find(&p->regions, record->address), record->address,
	    FAULT_MISSING, record->write ? ACCESS_WRITE : ACCESS_READ, record->tid, &c, &served,
	    stack);
}

/* A page that is there already may be there to be read only: --mode=write. */
static struct served fill_for_kernel(struct service *s, struct process *p,
    const struct interval *region, uint64_t address, bool write, enum fault_kind *kind)
{
	struct served served = fill(s, p, region, address, FAULT_MISSING, write);

	*kind = FAULT_MISSING;
	if (served.error == -EEXIST && write && s->options.mode == FL_MODE_WRITE &&
	    remote_is_protected(p, address)) {
		*kind = FAULT_WRITE_PROTECT;
		served = fill(s, p, region, address, *kind, write);
	}
	return served;
}

int64_t fault_touch(struct service *s, struct process *p, struct process *asker,
    const struct fl_slot *slot, uint64_t ts)
{
	uint64_t at = slot->argument[0], end = at + slot->argument[1];
	uint64_t touch = slot->argument[2];
	bool silent = touch & FL_TOUCH_SILENT;
	struct capture c = {.ts = ts, .origin = ORIGIN_KERNEL};
	uint64_t stack = silent ? 0 : fault_request_stack(s, asker, &slot->registers, ts);
	const struct interval *region;
	struct mapping m = {0};
	struct stranger stranger;

	for (uint32_t pages = 0;
	     at < end && (region = interval_next(&p->regions, at)) && region->start < end;
	     pages++) {
		uint64_t size = region->page_size;
		struct served served;
		enum fault_access access;
		enum fault_kind kind;
		bool write;

		if (at < region->start)
			at = region->start;
		if (pages == TOUCHED_AT_ONCE)
			return (int64_t)at;
		if (at >= m.end && maps_at(process_memory(p), at, &m, NULL) < 0)
			break;
		write = touch & FL_TOUCH_WRITE ||
			(touch & FL_TOUCH_EITHER && m.prot & PROT_WRITE) ||
			(touch & FL_TOUCH_LOCK && m.prot & PROT_WRITE && !m.shared);
		if (at < m.start ||
		    (!(touch & FL_TOUCH_FORCED) && !(m.prot & (write ? PROT_WRITE : PROT_READ)))) {
			if (!(touch & FL_TOUCH_ALL))
				break; /* there the call ends, too */
			at = at < m.start ? m.start : m.end;
			continue;
		}
		access = touch & FL_TOUCH_EITHER ? ACCESS_UNKNOWN
			 : write		 ? ACCESS_WRITE
						 : ACCESS_READ;
		served = fill_for_kernel(s, p, region, at, write, &kind);
		if (served.error == -EAGAIN)
			return -EAGAIN;
		/* In --mode=write a page that is only read is not told. */
		if (served.error == 0 && !silent &&
		    (access != ACCESS_READ || s->options.mode != FL_MODE_WRITE)) {
			if (p != asker && stranger_of(s, asker, slot->tid, &stranger))
				stranger_tell(s, p, &stranger, ts);
			tell_fault(s, p, region, at, kind, access, slot->tid, &c, &served, stack);
		}
		at = (at & ~(size - 1)) + size;
	}
	return 0;
}

/* ---- faults that the kernel served by itself ---- */

/* `read_on`: the thread has not left the functions that were running. */
static uint64_t stack_of_sample(
    struct service *s, struct process *p, const struct perf_sample *sample, bool read_on)
{
	struct stack_view view = {.start = sample->registers.r[ARCH_SP],
	    .bytes = sample->stack,
	    .size = sample->stack_size};

	if (!sample->has_registers)
		return 0;
	if (read_on) {
		view.more = capture_read_more;
		view.context = p;
		view.extra = s->stack_extra;
	}
	unwind_fully(
	    s->unwinder, &p->space, process_memory(p), &sample->registers, &view, &s->unwound);
	return intern(s, p, sample->ts);
}

/* Pages that the program touched itself do not show how, in shared memory; others were written to,
   but for that of zeros. */
static enum fault_access native_access(
    const struct interval *region, bool is_zero_page, const struct region_origin *origin)
{
	bool is_shared = region->detail & REGION_SHARED;

	if (origin->populated) /* as by mlock(2) */
		return is_zero_page || is_shared ||
			       (origin->prot >= 0 && !(origin->prot & PROT_WRITE))
			   ? ACCESS_READ
			   : ACCESS_WRITE;
	return is_zero_page ? ACCESS_READ : is_shared ? ACCESS_UNKNOWN : ACCESS_WRITE;
}

void fault_native(struct service *s, struct process *p, const struct interval *region,
    uint64_t page, bool is_zero_page, const struct region_origin *origin)
{
	static struct perf_sample sample;
	struct capture c = {.ts = origin->ts};
	struct served served = {.bytes = PAGE_BYTES, .how = SERVED_NATIVE};
	uint64_t address = page, stack = origin->stack;
	int32_t tid = origin->tid ? origin->tid : p->inner_pid, task = 0;
	enum fault_access access = native_access(region, is_zero_page, origin);

	if (s->options.mode == FL_MODE_WRITE) {
		if (access == ACCESS_READ)
			return;
		uffd_fill(p->memory_uffd, UFFD_FILL_UNPROTECT, page, PAGE_BYTES, true);
	}
	/* Without a sample: the kernel brought it in with the mapping, or malloc's header did. */
	if (origin->populated)
		c.origin = ORIGIN_KERNEL;
	else if (origin->stack)
		c.origin = ORIGIN_USER;
	if (s->perf && !origin->populated &&
	    perf_find_sample(s->perf, p->pid, page, page + PAGE_BYTES, &sample)) {
		uint64_t sampled = stack_of_sample(s, p, &sample, true);

		if (sampled)
			stack = sampled;
		/* What was here before went earlier, though it was seen later. */
		c.ts = sample.ts > p->gone_ns ? sample.ts : p->gone_ns;
		c.origin = sample.kernel ? ORIGIN_KERNEL : ORIGIN_USER;
		address = sample.addr;
		task = sample.tid;
		tid = thread_tid(s, p->pid, task);
	}
	thread_get(s, p, tid, task, c.ts);
	tell_fault(s, p, region, address, FAULT_MISSING, access, tid, &c, &served, stack);
}

/* Memory that cannot be registered: the sample is all there is. It does not tell the access. */
static void tell_sampled(struct service *s, const struct perf_sample *sample)
{
	struct process *p = process_by_pid(s, sample->pid);
	const struct interval *region = p ? interval_find(&p->regions, sample->addr) : NULL;
	struct capture c = {
	    .ts = sample->ts, .origin = sample->kernel ? ORIGIN_KERNEL : ORIGIN_USER};
	struct served served = {.bytes = PAGE_BYTES, .how = SERVED_NATIVE};

	int32_t tid;

	if (!region || !(region->detail & REGION_NATIVE))
		return;
	tid = thread_tid(s, p->pid, sample->tid);
	thread_get(s, p, tid, sample->tid, c.ts);
	tell_fault(s, p, region, sample->addr, FAULT_MISSING, ACCESS_UNKNOWN, tid, &c, &served,
	    stack_of_sample(s, p, sample, false));
}

static void take_sample(void *context, const struct perf_sample *sample)
{
	struct service *s = context;
	struct thread *thread = thread_known(s, sample->tid);

	if (s->has_native)
		tell_sampled(s, sample);
	if (!thread) /* a child of vfork stays with the process whose memory it uses */
		thread = thread_slot(s, sample->pid, sample->tid);
	if (!thread || sample->ts <= thread->sample.ts)
		return;
	memcpy(&thread->sample, sample, offsetof(struct perf_sample, stack) + sample->stack_size);
	thread->sampled = true;
}

void fault_take_samples(struct service *s)
{
	uint64_t overruns = s->perf ? perf_drain_samples(s->perf, take_sample, s) : 0;

	if (overruns && s->has_native)
		service_lost(s, LOST_EVENTS, overruns,
		    "System V shared memory was touched faster than it could be noted");
}
