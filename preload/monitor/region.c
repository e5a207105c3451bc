/* SPDX-License-Identifier: MIT */
/*
 * region.c: which ranges of a process are registered, from which source, under which name. What
 * becomes of them later is in region_change.c.
 */
#include "service.h"

#include "maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES UINT64_C(4096)

#define SHIM_NAME "/libfaultline.so"

static bool is_traced(const struct service *s, enum fl_source source)
{
	return s->options.sources & (1u << source);
}

static void tell_region(struct service *s, struct process *p, const struct interval *region,
    const struct region_origin *origin)
{
	struct event_region *event =
	    writer_reserve(s->writer, EVENT_REGION, sizeof(*event), origin->ts);

	event->id = (uint32_t)region->id;
	event->pid = p->pid;
	event->tid = origin->tid;
	event->source = origin->source;
	event->memory = region->detail & REGION_HUGETLB ? MEMORY_HUGETLB
			: origin->shared		? MEMORY_SHMEM
							: MEMORY_ANON;
	event->page_size = region->page_size;
	event->prot = origin->prot;
	event->flags = origin->flags;
	event->start = region->start;
	event->size = region->end - region->start;
	event->stack = origin->stack;
	writer_commit(s->writer);
}

struct catching_up {
	struct service *service;
	struct process *process;
	const struct interval *region;
	const struct region_origin *origin;
};

static void catch_up_page(void *context, uint64_t page, enum remote_page kind)
{
	struct catching_up *c = context;

	if (c->service->options.mode == FL_MODE_SIGBUS && ring_holds(c->process, page))
		return;
	fault_native(c->service, c->process, c->region, page, kind & REMOTE_ZERO, c->origin);
}

/* Where the kernel cannot wait for pages, what it uses by itself is not registered: structures in
   bss, the frames of signals on stacks; what nobody reported may be either. */
static bool kernel_uses(const struct service *s, enum fl_source source)
{
	return s->user_mode &&
	       (source == FL_SOURCE_BSS || source == FL_SOURCE_STACK || source == FL_SOURCE_LATE);
}

/* Which faults of such memory the kernel shall tell: UFFDIO_REGISTER_MODE_ bits, 0 when none. */
static uint64_t mode_for(const struct service *s, const struct process *p, bool shared, bool huge)
{
	uint64_t missing = huge	    ? UFFD_FEATURE_MISSING_HUGETLBFS
			   : shared ? UFFD_FEATURE_MISSING_SHMEM
				    : 0;
	uint64_t minor = huge ? UFFD_FEATURE_MINOR_HUGETLBFS : UFFD_FEATURE_MINOR_SHMEM;
	uint64_t protect = shared || huge ? UFFD_FEATURE_WP_HUGETLBFS_SHMEM : 0;
	uint64_t mode = UFFDIO_REGISTER_MODE_MISSING;

	if ((p->features & missing) != missing)
		return 0;
	if (shared && (p->features & minor))
		mode |= UFFDIO_REGISTER_MODE_MINOR;
	if (s->options.mode == FL_MODE_WRITE) {
		if ((p->features & protect) != protect)
			return 0;
		mode |= UFFDIO_REGISTER_MODE_WP;
	}
	return mode;
}

/* The memory's own page size, where it is huge pages: 4 KiB is what nobody had to tell. */
static uint64_t register_range(struct service *s, struct process *p, uint64_t start, uint64_t end,
    const struct region_origin *origin, uint64_t page_size, int *error)
{
	uint64_t ioctls, mode = mode_for(s, p, origin->shared, page_size > PAGE_BYTES);

	*error = -EOPNOTSUPP;
	if (!mode)
		return page_size;
	*error = uffd_register(p->memory_uffd, start, end - start, mode, &ioctls);
	if (*error < 0 || page_size > PAGE_BYTES || (ioctls & (UINT64_C(1) << _UFFDIO_ZEROPAGE)))
		return page_size;
	/* Huge pages have no ZEROPAGE; behind a descriptor only the kernel knows how large. */
	uffd_unregister(p->memory_uffd, start, end - start);
	page_size = maps_page_size(process_memory(p), start);
	if (page_size <= PAGE_BYTES) {
		*error = -EINVAL;
		return PAGE_BYTES;
	}
	return register_range(s, p, start, end, origin, page_size, error);
}

static void protect_later(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	const struct interval range = {.start = start, .end = end};

	if (start < end && !interval_insert(&p->unprotected, &range))
		service_lost(s, LOST_EVENTS, 1, "no memory for a region");
}

void region_protect_not(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	const struct interval *found;

	while ((found = interval_next(&p->unprotected, start)) && found->start < end) {
		struct interval range = *found;

		interval_remove(&p->unprotected, range.start);
		protect_later(s, p, range.start, start);
		protect_later(s, p, end, range.end);
	}
}

void region_protect(struct service *s, struct process *p, uint64_t start, uint64_t end)
{
	if (uffd_protect(p->memory_uffd, start, end - start) != -EAGAIN)
		return;
	region_protect_not(s, p, start, end);
	protect_later(s, p, start, end);
}

struct protecting {
	struct service *service;
	struct process *process;
};

static void protect_page(void *context, uint64_t page, enum remote_page kind)
{
	const struct protecting *c = context;

	(void)kind;
	region_protect(c->service, c->process, page, page + PAGE_BYTES);
}

/*
 * Pages of shared memory that are not there are told when they come. To protect those as well takes
 * page tables for all of it, and it may be a reservation of terabytes.
 */
static void protect_all(struct service *s, struct process *p, const struct interval *piece)
{
	if ((piece->detail & (REGION_SHARED | REGION_HUGETLB)) == REGION_SHARED &&
	    (mode_for(s, p, true, false) & UFFDIO_REGISTER_MODE_MINOR))
		remote_present(
		    p, piece->start, piece->end, protect_page, &(struct protecting){s, p});
	else
		region_protect(s, p, piece->start, piece->end);
}

bool region_protect_rest(struct process *p)
{
	const struct interval *rest;

	while ((rest = interval_next(&p->unprotected, 0))) {
		if (uffd_protect(p->memory_uffd, rest->start, rest->end - rest->start) == -EAGAIN)
			return false;
		interval_remove(&p->unprotected, rest->start);
	}
	return true;
}

bool region_add(struct service *s, struct process *p, uint64_t start, uint64_t size,
    const struct region_origin *origin)
{
	struct interval range = {.page_size = origin->page_size ? origin->page_size : PAGE_BYTES};
	struct interval *region;
	uint64_t end = start + size;
	uint64_t unit = range.page_size - 1;
	int error;

	start &= ~unit;
	end = (end + unit) & ~unit;
	if (end <= start || !is_traced(s, origin->source) || kernel_uses(s, origin->source))
		return true;
	region_cut(s, p, start, end - start, REGION_END_REPLACE, origin->ts);
	range.page_size =
	    (uint32_t)register_range(s, p, start, end, origin, range.page_size, &error);
	/* System V segments have operations of their own, which userfaultfd does not know. */
	if (error == -EINVAL && origin->source == FL_SOURCE_SHM && s->perf &&
	    s->options.mode == FL_MODE_MISSING)
		range.detail |= REGION_NATIVE;
	else if (error < 0) {
		if (error == -ENOMEM && !process_has_no_memory(p))
			service_lost(s, LOST_EVENTS, 1,
			    "the kernel has no room for a region: too many mappings");
		return true;
	}
	if (origin->mapped_ns && late_is_doubtful(s, p, start, end, origin->mapped_ns)) {
		/* What was moved there is registered for its own sake. */
		if (!pending_event_is_due(p, p->doorbell_end - PAGE_BYTES))
			uffd_unregister(p->memory_uffd, start, end - start);
		return false;
	}
	range.start = range.base = start;
	range.end = end;
	range.id = s->next_region++;
	range.detail |= (range.page_size > PAGE_BYTES ? REGION_HUGETLB : 0u) |
			(origin->shared ? REGION_SHARED : 0u) |
			(origin->source == FL_SOURCE_LATE ? REGION_LATE : 0u);
	region = interval_insert(&p->regions, &range);
	if (!region) {
		uffd_unregister(p->memory_uffd, start, end - start);
		service_lost(s, LOST_EVENTS, 1, "no memory for a region");
		return true;
	}
	tell_region(s, p, region, origin);
	s->has_native |= (region->detail & REGION_NATIVE) != 0;
	if (s->options.mode == FL_MODE_WRITE)
		protect_all(s, p, region);
	if (origin->catch_up && !(region->detail & REGION_HUGETLB))
		remote_present(
		    p, start, end, catch_up_page, &(struct catching_up){s, p, region, origin});
	return true;
}

static void mark_inherited(struct interval *node)
{
	if (!node)
		return;
	node->detail |= REGION_INHERITED;
	mark_inherited(node->left);
	mark_inherited(node->right);
}

static void forget_piece(struct process *p, const struct interval *piece)
{
	region_drop_piece(p, piece->id);
	interval_remove(&p->regions, piece->start);
}

bool region_register_again(struct service *s, struct process *p, const struct interval *piece)
{
	uint64_t ioctls,
	    mode = mode_for(s, p, piece->detail & REGION_SHARED, piece->detail & REGION_HUGETLB);

	return (piece->detail & REGION_NATIVE) ||
	       uffd_register(
		   p->memory_uffd, piece->start, piece->end - piece->start, mode, &ioctls) == 0;
}

/* Forgets the pieces that the child does not have. */
static void register_inherited(struct service *s, struct process *p)
{
	const struct interval *piece;

	for (uint64_t at = 0; (piece = interval_next(&p->regions, at));) {
		at = piece->end;
		if (!region_register_again(s, p, piece))
			forget_piece(p, piece);
	}
}

static void drop_unforked(struct process *p)
{
	const struct interval *piece;

	for (uint64_t at = 0; (piece = interval_next(&p->regions, at));) {
		at = piece->end;
		if (piece->detail & REGION_DONTFORK)
			forget_piece(p, piece);
	}
}

void region_inherit(struct service *s, struct process *p, const struct interval_map *regions,
    const struct interval_map *pieces, const struct interval_map *allocations)
{
	if (interval_copy(&p->regions, regions) < 0 || interval_copy(&p->pieces, pieces) < 0 ||
	    interval_copy(&p->allocations, allocations) < 0)
		service_lost(s, LOST_EVENTS, 1, "no memory for a child's regions");
	mark_inherited(p->regions.root);
	drop_unforked(p);
	if (!(p->features & UFFD_FEATURE_EVENT_FORK) || s->options.mode == FL_MODE_WRITE)
		register_inherited(s, p);
	if (s->options.mode == FL_MODE_WRITE)
		for (const struct interval *piece = interval_next(&p->regions, 0); piece;
		     piece = interval_next(&p->regions, piece->end))
			protect_all(s, p, piece);
}

bool region_cover(struct service *s, struct process *p, uint64_t start, uint64_t size,
    const struct region_origin *origin)
{
	uint64_t end = start + size;
	bool covered = true;

	while (start < end) {
		const struct interval *next = interval_next(&p->regions, start);

		if (next && next->start <= start) {
			uint64_t stop = next->end < end ? next->end : end;

			if ((next->detail & REGION_LATE) && origin->source != FL_SOURCE_LATE &&
			    origin->source != FL_SOURCE_STACK) {
				/* Its hook comes later than usual; what was there is told. */
				struct region_origin known = *origin;

				known.catch_up = false;
				known.mapped_ns = 0;
				region_add(s, p, start, stop - start, &known);
			}
			start = stop;
			continue;
		}
		covered &= region_add(
		    s, p, start, (next && next->start < end ? next->start : end) - start, origin);
		start = next && next->start < end ? next->end : end;
	}
	return covered;
}

/* ---- what is mapped already ---- */

struct mapped {
	struct service *service;
	struct process *process;
	enum region_mapped which;
	const struct region_origin *origin;
	uint64_t file_end; /* of the last file mapping: bss follows it */
	bool file_is_shim;
};

static const char area_path[] = "/memfd:" SHARED_AREA_NAME;

bool region_is_ours(const char *path)
{
	return strncmp(path, area_path, sizeof(area_path) - 1) == 0;
}

static bool is_ours(const struct process *p, const struct mapping *m)
{
	return m->start == p->doorbell || m->start == p->state || region_is_ours(m->path);
}

static bool take_mapped(void *context, const struct mapping *m)
{
	struct mapped *c = context;
	struct process *p = c->process;
	struct region_origin origin = *c->origin;
	size_t length = strlen(m->path), shim = strlen(SHIM_NAME);
	bool bss = m->start == c->file_end;

	if (m->inode && m->path[0] == '/' && !m->shared) {
		c->file_end = m->end;
		c->file_is_shim = length >= shim && strcmp(m->path + length - shim, SHIM_NAME) == 0;
		return true;
	}
	if (is_ours(p, m) || (bss && c->file_is_shim) ||
	    (c->which != REGION_MAPPED_ALL && (m->inode || m->shared || !(m->prot & PROT_WRITE))))
		return true;
	origin.prot = m->prot;
	origin.shared = m->shared;
	origin.flags = m->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	if (bss)
		origin.source = FL_SOURCE_BSS;
	else if (c->which == REGION_MAPPED_BSS)
		return true;
	else if (strncmp(m->path, "/SYSV", 5) == 0)
		origin.source = FL_SOURCE_SHM;
	else if (strncmp(m->path, "/memfd:", 7) == 0)
		origin.source = FL_SOURCE_MEMFD;
	else if (strcmp(m->path, "[heap]") == 0)
		origin.source = FL_SOURCE_BRK;
	else if (m->path[0] == '[' && strncmp(m->path, "[anon", 5) != 0)
		return true; /* the stack, and what is the kernel's */
	else
		origin.source = FL_SOURCE_LATE;
	region_cover(c->service, p, m->start, m->end - m->start, &origin);
	return true;
}

void region_add_mapped(struct service *s, struct process *p, enum region_mapped which,
    const struct region_origin *origin)
{
	struct mapped context = {.service = s, .process = p, .which = which, .origin = origin};

	maps_read(process_memory(p), take_mapped, &context);
}

void region_look_up(
    struct service *s, struct process *p, uint64_t address, const struct region_origin *from)
{
	struct region_origin origin = *from;
	struct mapping m;

	if (maps_at(process_memory(p), address, &m, NULL) < 0 || m.start > address)
		return;
	origin.prot = m.prot;
	origin.shared = m.inode != 0;
	region_cover(s, p, m.start, m.end - m.start, &origin);
}
