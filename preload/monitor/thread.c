/* SPDX-License-Identifier: MIT */
/*
 * thread.c: the threads of the traced processes, and what each of them is called: `tid` by the
 * program, `task` by the monitor, by perf and in our /proc. Both are the same number unless the
 * program runs in a PID namespace of its own, and then the kernel's messages, the shim and the
 * trace have the one, and whatever we ask of the kernel wants the other.
 */
#include "service.h"

#include "capture.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the books ---- */

struct thread *thread_known(struct service *s, int32_t task)
{
	struct thread *thread = s->threads[(uint32_t)task % THREAD_BUCKETS];

	while (thread && thread->task != task)
		thread = thread->next;
	return thread;
}

static struct thread **inner_bucket(struct service *s, int32_t pid, int32_t tid)
{
	return &s->inner[((uint32_t)pid * 31 + (uint32_t)tid) % THREAD_BUCKETS];
}

static void unlink_inner(struct service *s, struct thread *thread)
{
	struct thread **at = inner_bucket(s, thread->pid, thread->tid);

	while (*at && *at != thread)
		at = &(*at)->next_inner;
	if (*at)
		*at = thread->next_inner;
}

static void set_tid(struct service *s, struct thread *thread, int32_t tid)
{
	struct thread **bucket = inner_bucket(s, thread->pid, tid);

	if (thread->tid == tid)
		return;
	unlink_inner(s, thread);
	thread->tid = tid;
	if (tid == thread->task)
		return;
	s->nested = true;
	thread->next_inner = *bucket;
	*bucket = thread;
}

struct thread *thread_slot(struct service *s, int32_t pid, int32_t task)
{
	struct thread *thread = thread_known(s, task);

	if (thread && thread->pid == pid)
		return thread;
	if (thread) /* the number was another process's */
		thread_forget(s, task);
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		return NULL;
	thread->task = task;
	thread->tid = s->nested ? 0 : task;
	thread->pid = pid;
	thread->next = s->threads[(uint32_t)task % THREAD_BUCKETS];
	s->threads[(uint32_t)task % THREAD_BUCKETS] = thread;
	return thread;
}

/* Takes *at out of its bucket. */
static void forget(struct service *s, struct thread **at)
{
	struct thread *thread = *at;

	unlink_inner(s, thread);
	*at = thread->next;
	free(thread);
}

void thread_forget(struct service *s, int32_t task)
{
	struct thread **at = &s->threads[(uint32_t)task % THREAD_BUCKETS];

	while (*at && (*at)->task != task)
		at = &(*at)->next;
	if (*at)
		forget(s, at);
}

void thread_forget_all(struct service *s, const struct process *p)
{
	for (uint32_t bucket = 0; bucket < THREAD_BUCKETS; bucket++)
		for (struct thread **at = &s->threads[bucket]; *at;)
			if ((*at)->pid == p->pid)
				forget(s, at);
			else
				at = &(*at)->next;
}

/* ---- numbers ---- */

static bool is_alive(int32_t task)
{
	return syscall(SYS_tkill, task, 0) == 0 || errno == EPERM;
}

static struct thread *inner_known(struct service *s, int32_t pid, int32_t tid)
{
	struct thread *thread = *inner_bucket(s, pid, tid);

	while (thread && (thread->pid != pid || thread->tid != tid))
		thread = thread->next_inner;
	return thread;
}

static bool is_thread_of(int32_t pid, int32_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return access(path, F_OK) == 0;
}

/* Learns how the threads of the process see themselves, until it finds the one. */
static int32_t look_for(struct service *s, struct process *p, int32_t tid)
{
	char path[64];
	const struct dirent *entry;
	int32_t found = 0;
	uint32_t depth;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", p->pid);
	tasks = opendir(path);
	if (!tasks)
		return 0;
	while (!found && (entry = readdir(tasks))) {
		int32_t task = atoi(entry->d_name);
		struct thread *thread = task > 0 ? thread_slot(s, p->pid, task) : NULL;

		if (!thread)
			continue;
		if (!thread->tid)
			set_tid(s, thread, namespace_inner(task, &depth));
		if (thread->tid == tid)
			found = task;
	}
	closedir(tasks);
	return found;
}

static void remember(struct service *s, struct process *p, int32_t tid, int32_t task)
{
	struct thread *thread = thread_slot(s, p->pid, task);

	if (thread)
		set_tid(s, thread, tid);
}

int32_t thread_task(struct service *s, struct process *p, int32_t tid, bool waits)
{
	const struct thread *thread = s->nested ? inner_known(s, p->pid, tid) : NULL;
	int32_t task, group;

	if (thread && is_alive(thread->task))
		return thread->task;
	if (!p->nested) {
		thread = thread_known(s, tid);
		/* perf tells when threads end; without it the number may be another's now. */
		if (thread && thread->pid == p->pid && (!thread->tid || thread->tid == tid) &&
		    (s->perf || !waits))
			return tid;
		if (!waits || is_thread_of(p->pid, tid) || namespace_shares_memory(p, tid))
			return tid;
		task = stranger_is_known(p, tid) ? 0 : namespace_find_guest(s, p, tid);
		if (!task)
			return namespace_find_stranger(s, p, tid, &group) ? 0 : tid;
	} else {
		task = tid == p->inner_pid ? p->pid : look_for(s, p, tid);
		if (!task && waits && !stranger_is_known(p, tid))
			task = namespace_find_guest(s, p, tid);
		if (!task)
			return 0;
	}
	remember(s, p, tid, task);
	return task;
}

int32_t thread_tid(struct service *s, int32_t pid, int32_t task)
{
	struct thread *thread = s->nested ? thread_slot(s, pid, task) : NULL;
	uint32_t depth;
	int32_t tid;

	if (!thread)
		return task;
	if (!thread->tid) {
		tid = namespace_inner(task, &depth);
		set_tid(s, thread, tid ? tid : task);
	}
	return thread->tid;
}

/* ---- what the trace says ---- */

static void tell(struct service *s, const struct thread *thread, uint64_t ts)
{
	struct event_thread *event = writer_reserve(s->writer, EVENT_THREAD, sizeof(*event), ts);

	event->pid = thread->pid;
	event->tid = thread->tid;
	event->group = 0;
	memcpy(event->name, thread->name, sizeof(event->name));
	writer_commit(s->writer);
}

struct thread *thread_get(
    struct service *s, struct process *p, int32_t tid, int32_t task, uint64_t ts)
{
	struct thread *thread;
	char path[64];
	ssize_t got;

	if (!task)
		task = thread_task(s, p, tid, false);
	thread = task ? thread_slot(s, p->pid, task) : NULL;
	if (!thread)
		return NULL;
	set_tid(s, thread, tid);
	if (thread->told)
		return thread;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", p->pid, task);
	got = capture_read_file(path, thread->name, sizeof(thread->name));
	if (got <= 0) { /* a child of vfork: a process of its own in this memory */
		snprintf(path, sizeof(path), "/proc/%d/comm", task);
		got = capture_read_file(path, thread->name, sizeof(thread->name));
	}
	if (got <= 0)
		return thread; /* it has ended: what it left behind is read only now */
	thread->name[strcspn(thread->name, "\n")] = '\0';
	thread->told = true;
	tell(s, thread, ts);
	return thread;
}

void thread_named(struct service *s, int32_t pid, int32_t task, const char *name, uint64_t ts)
{
	struct thread *thread = thread_known(s, task);

	if (!thread || !thread->told || thread->pid != pid || strncmp(thread->name, name, 15) == 0)
		return;
	memset(thread->name, 0, sizeof(thread->name));
	memcpy(thread->name, name, strnlen(name, sizeof(thread->name) - 1));
	tell(s, thread, ts);
}
