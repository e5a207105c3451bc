/* SPDX-License-Identifier: MIT */
/*
 * pending.c: faults that wait for an event of userfaultfd to be read first: as long as one is due
 * the kernel fills no page.
 */
#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define PAGE_BYTES UINT64_C(4096)

/* Whether any memory of its process is locked. */
static bool has_locked_memory(int32_t task)
{
	char path[64], text[4096];
	const char *locked;

	snprintf(path, sizeof(path), "/proc/%d/status", task);
	if (capture_read_file(path, text, sizeof(text)) <= 0)
		return false;
	locked = strstr(text, "VmLck:");
	return locked && strtoull(locked + sizeof("VmLck:") - 1, NULL, 10) > 0;
}

/*
 * A thread that moves locked memory, which grows, fills what it grows by before the event of the
 * move is sent. No page can be filled until that is read: it has to be the kernel who fills these.
 * They are registered again when the move is told, or a little later. False: it is another fault.
 */
static bool leave_to_move(struct service *s, struct process *p, uint64_t address, int32_t tid)
{
	uint64_t page = address & ~(PAGE_BYTES - 1), old_size, new_size;
	int32_t task = thread_task(s, p, tid, true);
	struct perf_mapping rest = {.start = page};
	char path[64], text[256];
	long call;

	snprintf(path, sizeof(path), "/proc/%d/syscall", task);
	if (!task || capture_read_file(path, text, sizeof(text)) <= 0 ||
	    sscanf(text, "%ld %*x %" SCNx64 " %" SCNx64, &call, &old_size, &new_size) != 3 ||
	    call != SYS_mremap || new_size <= old_size || !has_locked_memory(task))
		return false; /* a word of an earlier touch, said again after a signal, perhaps */
	rest.size = (new_size - old_size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	uffd_unregister(p->memory_uffd, rest.start, rest.size);
	late_expect(s, p, &rest, task, service_now());
	return true;
}

void pending_add(
    struct service *s, struct process *p, uint64_t address, uint64_t flags, int32_t tid)
{
	struct pending_fault *grown;

	for (size_t i = 0; i < p->pending_count; i++) /* a thread says it again after a signal */
		if (p->pending[i].tid == tid && p->pending[i].address == address)
			return;
	if (address - p->doorbell >= p->doorbell_end - p->doorbell &&
	    leave_to_move(s, p, address, tid))
		return;
	grown = process_room(p->pending, p->pending_count, &p->pending_room, sizeof(*grown));
	if (!grown) { /* the thread asks again */
		uffd_wake(p->memory_uffd, address & ~(PAGE_BYTES - 1), PAGE_BYTES);
		service_lost(s, LOST_EVENTS, 1, "no memory for a fault");
		return;
	}
	p->pending = grown;
	p->pending[p->pending_count++] = (struct pending_fault){address, flags, tid};
}

void pending_retry(struct service *s, struct process *p)
{
	size_t count = p->pending_count;

	/* What was put off for one event waits for the same: with many threads it is a long list.
	 */
	if (pending_event_is_due(p, p->doorbell_end - PAGE_BYTES))
		return;
	for (size_t i = 0; i < count; i++) {
		struct pending_fault fault = p->pending[i];

		p->pending[i].tid = 0; /* it may be put off again */
		fault_handle(s, p, fault.address, fault.flags, fault.tid);
	}
	memmove(p->pending, p->pending + count, (p->pending_count - count) * sizeof(*p->pending));
	p->pending_count -= count;
}

void pending_forget(struct process *p, uint64_t start, uint64_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->pending_count; i++) {
		struct pending_fault fault = p->pending[i];

		if (fault.address >= start && fault.address < end)
			uffd_wake(p->memory_uffd, fault.address & ~(PAGE_BYTES - 1), PAGE_BYTES);
		else
			p->pending[kept++] = fault;
	}
	p->pending_count = kept;
}

/*
 * Messages of faults are read before those of events, and an event is sent when its unmapping or
 * moving is done already. Until it is read and its sender has gone on, the kernel fills no page
 * (-EAGAIN), and that is how it shows.
 */
bool pending_event_is_due(struct process *p, uint64_t doorbell_page)
{
	return uffd_fill(p->uffd, UFFD_FILL_ZEROPAGE, doorbell_page, PAGE_BYTES, false) == -EAGAIN;
}
