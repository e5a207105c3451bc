/* SPDX-License-Identifier: MIT */
/* control.c: see control.h. */
#include "control.h"

#include "maps.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

void control_start(struct service *s)
{
	struct control *c = &s->control;

	c->waiting = s->options.delay_ns > 0;
	c->begin_ns = service_now() + s->options.delay_ns;
}

/* The heap's growth is registered from its present end on. */
static bool note_heap(void *context, const struct mapping *m)
{
	struct process *p = context;

	if (strcmp(m->path, "[heap]") == 0)
		p->program_break = m->end;
	return true;
}

/* Where the kernel cannot wait for pages: malloc's arenas that nobody watched stay untraced. */
static bool note_arena(void *context, const struct mapping *m)
{
	if (!m->inode && m->start % FL_ARENA_BYTES == 0)
		request_know_arena(context, m->start);
	return true;
}

/*
 * With --mode=sigbus and --unprivileged only memory that comes from now on is traced: what libc
 * hands to the kernel by itself, and what became a stack, was not noted while waiting.
 */
void control_begin_process(struct service *s, struct process *p, uint64_t ts)
{
	const struct region_origin origin = {.ts = ts};

	p->begin_due = false;
	/* Before the mappings are read: one that is made later is reported. */
	__atomic_store_n(&p->shared->area->paused, 0, __ATOMIC_SEQ_CST);
	p->space->stale = true;
	maps_read(p->pid, note_heap, p);
	if (s->user_mode)
		maps_read(p->pid, note_arena, p);
	else
		region_add_mapped(s, p, REGION_MAPPED_ALL, &origin);
}

static void begin(struct service *s)
{
	uint64_t ts = service_now();

	s->control.waiting = false;
	s->control.begin_ns = ts;
	for (struct process *p = s->processes; p; p = p->next)
		if (!p->dead && p->shared && p->pid)
			control_begin_process(s, p, ts);
}

/* The last userfaultfd of a process that is closed takes every registration with it, and wakes
   every thread. With --mode=sigbus the program holds one more. */
static void end_process(struct service *s, struct process *p, uint64_t ts)
{
	ring_drain_all(s, p);
	if (s->options.mode == FL_MODE_SIGBUS)
		for (const struct interval *piece = interval_next(&p->regions, 0); piece;
		     piece = interval_next(&p->regions, piece->end))
			uffd_unregister(p->memory_uffd, piece->start, piece->end - piece->start);
	if (p->shared)
		__atomic_store_n(&p->shared->area->ended, 1, __ATOMIC_RELEASE);
	process_tell(s, p, PROCESS_DETACH, ts);
	process_close_uffds(p);
}

static void end(struct service *s, const char *why)
{
	uint64_t ts = service_now();

	s->control.ended_by = why;
	for (struct process *p = s->processes; p; p = p->next)
		if (!p->dead)
			end_process(s, p, ts);
}

bool control_turn(struct service *s, uint64_t now)
{
	struct control *c = &s->control;

	if (c->waiting && now >= c->begin_ns)
		begin(s);
	if (!c->ended_by && c->asker_count)
		end(s, "stop");
	else if (!c->ended_by && !c->waiting && s->options.duration_ns &&
		 now - c->begin_ns >= s->options.duration_ns)
		end(s, "duration");
	return c->ended_by != NULL;
}

/* Whether `pid` is a process of this recording: traced, or one of those that trace. */
static bool is_recording(struct service *s, int32_t pid)
{
	struct ucred starter = {0};
	socklen_t size = sizeof(starter);

	getsockopt(s->starter_fd, SOL_SOCKET, SO_PEERCRED, &starter, &size);
	return pid == s->root_pid || pid == getpid() || pid == starter.pid ||
	       process_by_pid(s, pid);
}

void control_accept(struct service *s, int socket)
{
	static struct fl_launch_message message;
	struct control *c = &s->control;
	ssize_t got = recv(socket, &message, sizeof(message), MSG_DONTWAIT);
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int32_t refusal = 0;

	if (got != (ssize_t)sizeof(message) || message.kind != FL_LAUNCH_STOP ||
	    getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		goto out;
	if (!is_recording(s, message.pid))
		refusal = -ESRCH;
	else if (peer.uid != 0 && peer.uid != geteuid())
		refusal = -EPERM;
	else if (c->asker_count == CONTROL_ASKERS)
		refusal = -EBUSY;
	memset(&message, 0, sizeof(message));
	message.kind = refusal == 0 ? FL_LAUNCH_READY : FL_LAUNCH_ERROR;
	message.status = refusal;
	send(socket, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (refusal == 0) {
		c->askers[c->asker_count++] = socket;
		return;
	}
out:
	close(socket);
}

void control_finished(struct service *s, const struct fl_launch_message *message)
{
	struct control *c = &s->control;

	while (c->asker_count) {
		int socket = c->askers[--c->asker_count];

		send(socket, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
		close(socket);
	}
}
