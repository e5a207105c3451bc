/* SPDX-License-Identifier: MIT */
/*
 * stranger.c: who touches a process's memory without living in it: a debugger, another process by
 * process_vm_readv(2) and its kin. The kernel's message names that thread by the number that it has
 * for itself. It is never asked for registers and never signalled: it sleeps in a system call of
 * its own, and is nobody's to disturb. Runs in the service thread.
 */
#include "service.h"

#include "capture.h"

#include <stdio.h>
#include <string.h>

/* Its name now; "" when there is no such thread. */
static void read_name(int32_t task, char name[16])
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", task);
	memset(name, 0, 16);
	if (capture_read_file(path, text, sizeof(text)) > 0)
		memcpy(name, text, strcspn(text, "\n") < 16 ? strcspn(text, "\n") : 15);
}

bool stranger_find(
    struct service *s, const struct process *p, int32_t tid, struct stranger *stranger)
{
	*stranger = (struct stranger){.tid = tid};
	stranger->task = namespace_find_stranger(s, p, tid, &stranger->group);
	if (stranger->task)
		read_name(stranger->task, stranger->name);
	return stranger->task;
}

bool stranger_of(struct service *s, struct process *owner, int32_t tid, struct stranger *stranger)
{
	*stranger = (struct stranger){
	    .tid = tid, .task = thread_task(s, owner, tid, false), .group = owner->pid};
	if (stranger->task)
		read_name(stranger->task, stranger->name);
	return stranger->task;
}

bool stranger_is_known(const struct process *p, int32_t tid)
{
	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		if (p->strangers[i].tid == tid)
			return true;
	return false;
}

void stranger_tell(
    struct service *s, struct process *p, const struct stranger *stranger, uint64_t ts)
{
	struct event_thread *event;

	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		if (memcmp(&p->strangers[i], stranger, sizeof(*stranger)) == 0)
			return;
	p->strangers[p->next_stranger++ % STRANGERS_MAX] = *stranger;
	event = writer_reserve(s->writer, EVENT_THREAD, sizeof(*event), ts);
	event->pid = p->pid;
	event->tid = stranger->tid;
	event->group = stranger->group;
	memcpy(event->name, stranger->name, sizeof(event->name));
	writer_commit(s->writer);
}
