/* SPDX-License-Identifier: MIT */
/* request.c: what shims ask and tell (protocol.h), and how they announce themselves. */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)
#define HUGE_SHIFT 26 /* linux/mman.h: MAP_HUGE_SHIFT */
#define HUGE_MASK  0x3f
#define HUGE_USUAL (2u << 20)

/* Shims claim cells one after the other; a gap of more than this is the end. */
#define CELLS_AHEAD 64u

/* ---- requests ---- */

static struct region_origin origin_of(struct service *s, struct process *p,
    const struct fl_slot *slot, enum fl_source source, uint64_t ts)
{
	return (struct region_origin){.source = source,
	    .tid = slot->tid,
	    .prot = -1,
	    .flags = -1,
	    .ts = ts,
	    .stack = fault_request_stack(s, p, &slot->registers, ts)};
}

static void do_map(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	int flags = (int)a[3];
	struct region_origin origin = origin_of(s, p, slot, (enum fl_source)a[5], ts);

	origin.prot = (int)a[2];
	origin.flags = flags;
	if (!a[1] || (flags != -1 && !(flags & MAP_ANONYMOUS))) {
		/* Shared memory segments, memfds, files in memory: the kernel knows more. */
		region_look_up(s, p, a[0], &origin);
		return;
	}
	origin.shared = flags & MAP_SHARED;
	if (flags & MAP_HUGETLB) {
		unsigned shift = (unsigned)flags >> HUGE_SHIFT & HUGE_MASK;

		origin.page_size = shift ? 1u << shift : HUGE_USUAL;
	}
	origin.catch_up = origin.populated = flags & (MAP_POPULATE | MAP_LOCKED);
	region_add(s, p, a[0], a[1], &origin);
}

static void do_remap(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	struct region_origin origin;

	if (!interval_find(&p->regions, a[2])) /* what moved was no region */
		return;
	if (a[3] <= a[1])
		return;
	origin = origin_of(s, p, slot, FL_SOURCE_MREMAP, ts);
	region_cover(s, p, a[2] + a[1], a[3] - a[1], &origin);
}

static void break_to(
    struct service *s, struct process *p, uint64_t end, const struct region_origin *origin)
{
	uint64_t start = (p->program_break + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	struct region_origin brk = *origin;

	brk.source = FL_SOURCE_BRK;
	brk.catch_up = true;
	end = (end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	if (p->program_break && end > start)
		region_cover(s, p, start, end - start, &brk);
	p->program_break = end;
}

static void remember_arena(struct process *p, uint64_t base)
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

static void do_alloc(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	const uint64_t *a = slot->argument;
	struct region_origin origin = origin_of(s, p, slot, FL_SOURCE_MALLOC_MMAP, ts);
	struct interval allocation = {.start = a[0], .end = a[0] + (a[1] ? a[1] : 1), .base = ts};
	struct interval *before;
	struct event_alloc *event;

	/* The allocation comes first: its first page was touched by malloc's own header. */
	if (a[3] & FL_NOTE_ALLOC) {
		event = writer_reserve(s->writer, EVENT_ALLOC, sizeof(*event), ts);
		event->id = allocation.id = s->next_allocation++;
		event->pid = p->pid;
		event->tid = slot->tid;
		event->addr = a[0];
		event->size = a[1];
		event->func = (uint32_t)a[2];
		event->stack = origin.stack;
		event->pad = 0;
		writer_commit(s->writer);
		while ((before = interval_next(&p->allocations, allocation.start)) &&
		       before->start < allocation.end)
			interval_remove(&p->allocations, before->start);
		if (!interval_insert(&p->allocations, &allocation))
			service_lost(s, LOST_EVENTS, 1, "no memory for an allocation");
	}
	origin.catch_up = true;
	if (a[3] & FL_NOTE_BREAK)
		break_to(s, p, a[4], &origin);
	if (a[3] & FL_NOTE_CHUNK)
		region_cover(s, p, a[5], a[6], &origin);
	if (a[3] & FL_NOTE_ARENA) {
		origin.source = FL_SOURCE_ARENA;
		region_cover(s, p, a[5], a[6], &origin);
		remember_arena(p, a[5]);
	}
}

/* The bss of a module that is being loaded must be registered before its code runs. */
static void do_loaded(struct service *s, struct process *p, const struct fl_slot *slot, uint64_t ts)
{
	struct region_origin origin;

	if (s->perf && !p->space->stale && !p->late_count)
		return; /* perf would have told of new mappings */
	p->space->stale = true;
	origin = origin_of(s, p, slot, FL_SOURCE_BSS, ts);
	origin.catch_up = true;
	region_add_mapped(s, p, &origin);
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

	uffd_unregister(p->uffd, start, size);
	region_cut(s, p, start, size, REGION_END_REPLACE, ts);
	if (range.end <= start)
		return;
	while ((before = interval_next(&p->foreign, start)) && before->start < range.end)
		interval_remove(&p->foreign, before->start);
	interval_insert(&p->foreign, &range);
}

static int64_t handle(struct service *s, struct process *p, const struct fl_slot *slot)
{
	uint64_t ts = service_now();
	struct region_origin origin;

	if (slot->op != FL_OP_DRAIN)
		thread_get(s, p, slot->tid, ts);
	switch (slot->op) {
	case FL_OP_FORKED:
		process_identify(s, p, slot->pid, ts);
		return 0;
	case FL_OP_MAP:
		do_map(s, p, slot, ts);
		return 0;
	case FL_OP_REMAP:
		do_remap(s, p, slot, ts);
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
	case FL_OP_DRAIN:
		request_drain_cells(s, p->shared, true);
		return 0;
	default:
		return -EINVAL;
	}
}

void request_handle(struct service *s, struct process *p, int32_t tid)
{
	for (uint32_t i = 0; p->shared && i < FL_SLOTS; i++) {
		/* Shims begin to look at a place that depends on the thread. */
		struct fl_slot *slot = &p->shared->area->slots[((uint32_t)tid + i) % FL_SLOTS];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_READY ||
		    slot->tid != tid)
			continue;
		slot->result = handle(s, p, slot);
		__atomic_store_n(&slot->state, FL_SLOT_DONE, __ATOMIC_RELEASE);
	}
}

bool request_is_replacing(const struct process *p, uint64_t start, uint64_t size)
{
	for (uint32_t i = 0; p->shared && i < FL_SLOTS; i++) {
		const struct fl_slot *slot = &p->shared->area->slots[i];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == FL_SLOT_ANNOUNCED &&
		    slot->op == FL_OP_REPLACE && slot->pid == p->pid &&
		    slot->argument[0] <= start &&
		    start + size <= slot->argument[0] + slot->argument[1] + PAGE_BYTES)
			return true;
	}
	return false;
}

bool request_take_captured(struct process *p, int32_t tid, struct registers *registers)
{
	bool taken = false;

	for (uint32_t i = 0; i < FL_SLOTS; i++) {
		struct fl_slot *slot = &p->shared->area->slots[i];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_CAPTURED ||
		    slot->tid != tid)
			continue;
		arch_from_shim(registers, &slot->registers);
		__atomic_store_n(&slot->state, FL_SLOT_FREE, __ATOMIC_RELEASE);
		taken = true;
	}
	return taken;
}

/* ---- cells ---- */

static void take_cell(struct service *s, const struct fl_cell *cell)
{
	struct process *p = process_by_pid(s, cell->pid);
	struct interval *allocation;
	struct event_free *event;

	if (!p)
		return;
	if (cell->kind == FL_CELL_UNLOADED) {
		p->space->stale = true;
		return;
	}
	allocation = interval_find(&p->allocations, cell->address);
	if (!allocation || allocation->start != cell->address || allocation->base > cell->ts)
		return; /* allocated before tracing, or below the threshold, or again since */
	thread_get(s, p, cell->tid, cell->ts);
	event = writer_reserve(s->writer, EVENT_FREE, sizeof(*event), cell->ts);
	event->pid = p->pid;
	event->tid = cell->tid;
	event->alloc = allocation->id;
	writer_commit(s->writer);
	interval_remove(&p->allocations, allocation->start);
}

/*
 * Takes what is published, in order, from the first cell that was not taken at the last look. A
 * shim that is between claiming and publishing holds up its own cell only: what that cell will
 * tell has not happened yet. `all` looks at every cell.
 */
void request_drain_cells(struct service *s, struct shared_area *shared, bool all)
{
	struct fl_area *area = shared->area;
	uint32_t at = shared->next_cell, empty = 0, full;
	uint32_t most_empty = all ? FL_CELLS : CELLS_AHEAD;
	bool waiting = false;
	uint32_t next = __atomic_load_n(&area->next_cell, __ATOMIC_ACQUIRE);

	if (!all && next == shared->hint && !shared->waiting)
		return;
	for (uint32_t seen = 0; seen < FL_CELLS && empty < most_empty; seen++, at++) {
		struct fl_cell *cell = &area->cells[at % FL_CELLS];

		switch (__atomic_load_n(&cell->state, __ATOMIC_ACQUIRE)) {
		case FL_CELL_FULL:
			take_cell(s, cell);
			__atomic_store_n(&cell->state, FL_CELL_EMPTY, __ATOMIC_RELEASE);
			empty = 0;
			if (!waiting)
				shared->next_cell = at + 1;
			break;
		case FL_CELL_CLAIMED:
			empty = 0;
			waiting = true;
			break;
		default:
			empty++;
			break;
		}
	}
	shared->hint = next;
	shared->waiting = waiting;
	full = __atomic_load_n(&area->full, __ATOMIC_RELAXED);
	if (full != shared->full) {
		service_lost(s, LOST_EVENTS, full - shared->full, "no room for free events");
		shared->full = full;
	}
}

/* ---- hello ---- */

static int area_create(struct service *s, struct shared_area **shared, int *fd)
{
	struct shared_area *made = calloc(1, sizeof(*made));
	int error = -ENOMEM;

	*fd = -1;
	if (!made)
		return -ENOMEM;
	*fd = memfd_create("faultline", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(*made->area)) < 0)
		goto fail_errno;
	made->area = mmap(NULL, sizeof(*made->area), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (made->area == MAP_FAILED)
		goto fail_errno;
	made->references = 1;
	made->area->version = FL_PROTOCOL_VERSION;
	made->area->capture_signal = s->capture == FL_CAPTURE_SIGNAL;
	made->area->follow = s->options.follow;
	made->area->sources = s->options.sources;
	made->area->alloc_threshold = s->options.alloc_threshold;
	*shared = made;
	return 0;
fail_errno:
	error = -errno;
	if (*fd >= 0)
		close(*fd);
	free(made);
	return error;
}

static int receive_hello(int socket, struct fl_hello *hello, int *uffd, int32_t *pid)
{
	struct iovec part = {hello, sizeof(*hello)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct timeval patience = {.tv_sec = 2};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const struct cmsghdr *header;
	ssize_t got;

	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(uffd, CMSG_DATA(header), sizeof(*uffd));
	if (got != (ssize_t)sizeof(*hello) || hello->version != FL_PROTOCOL_VERSION || *uffd < 0)
		return -EPROTO;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*pid = peer.pid;
	return 0;
}

static void send_welcome(int socket, const struct fl_welcome *welcome, int fd)
{
	struct iovec part = {(void *)welcome, sizeof(*welcome)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

/* Finds or makes the process that says hello, and writes its line. */
static struct process *greet(
    struct service *s, const struct fl_hello *hello, int32_t pid, int uffd, uint64_t ts)
{
	struct process *p = process_by_pid(s, pid), *parent = NULL;
	bool known = p != NULL;

	if (known) { /* exec: the old image's memory is gone */
		process_reset(s, p, REGION_END_EXEC, ts);
		p->uffd = uffd;
		p->space = space_create();
		p->exec_pending = false;
		service_watch(s, uffd, (uint64_t)p);
	} else {
		p = process_create(s, pid, uffd);
		if (!p)
			return NULL;
	}
	if (known) {
		process_tell(s, p, PROCESS_EXEC, ts);
	} else if (pid == s->root_pid || s->process_count == 1) {
		process_tell(s, p, PROCESS_START, ts);
	} else {
		process_tell(s, p, PROCESS_FORK, ts);
		if (hello->forked)
			parent = process_by_pid(s, p->ppid);
		else
			process_tell(s, p, PROCESS_EXEC, ts);
	}
	if (parent) { /* the parent's region names hold for what was inherited */
		space_release(p->space);
		p->space = space_share(parent->space);
	}
	return p;
}

static int attach(
    struct service *s, const struct fl_hello *hello, int32_t pid, int *uffd, int *area_fd)
{
	uint64_t features, ioctls, ts = service_now();
	struct shared_area *shared = NULL;
	struct process *p;
	int error;

	if (!s->options.follow && s->attached_any)
		return -ECANCELED;
	if (s->capture == FL_CAPTURE_PERF)
		service_cover(s, pid);
	error = uffd_negotiate(*uffd, s->features, &features);
	if (error < 0)
		return error;
	error = uffd_register(
	    *uffd, hello->doorbell, hello->doorbell_size, UFFDIO_REGISTER_MODE_MISSING, &ioctls);
	if (error < 0)
		return error;
	error = area_create(s, &shared, area_fd);
	if (error < 0)
		return error;
	p = greet(s, hello, pid, *uffd, ts);
	if (!p || !p->space) {
		shared_area_release(shared);
		return -ENOMEM;
	}
	*uffd = -1; /* the process's now */
	p->shared = shared;
	p->features = features;
	p->doorbell = hello->doorbell;
	p->doorbell_end = hello->doorbell + hello->doorbell_size;
	p->state = hello->state;
	p->program_break = hello->program_break;
	thread_get(s, p, pid, ts);
	region_add_mapped(
	    s, p, &(struct region_origin){.source = FL_SOURCE_COUNT, .tid = pid, .ts = ts});
	return 0;
}

void request_accept(struct service *s)
{
	struct fl_welcome welcome = {.monitor_pid = getpid()};
	struct fl_hello hello = {0};
	int socket, uffd = -1, area_fd = -1;
	int32_t pid = 0;

	socket = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (socket < 0)
		return;
	welcome.status = receive_hello(socket, &hello, &uffd, &pid);
	if (welcome.status == 0)
		welcome.status = attach(s, &hello, pid, &uffd, &area_fd);
	if (welcome.status < 0 && welcome.status != -ECANCELED)
		snprintf(welcome.text, sizeof(welcome.text),
		    "process %d cannot be traced: %s; it runs on untraced", pid,
		    welcome.status == -EPROTO
			? "its libfaultline.so is of another version than the monitor"
			: strerror(-welcome.status));
	send_welcome(socket, &welcome, area_fd);
	close(socket);
	if (area_fd >= 0)
		close(area_fd);
	if (uffd >= 0)
		close(uffd);
}
