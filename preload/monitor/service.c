/* SPDX-License-Identifier: MIT */
/*
 * service.c: the loop. Waits for faults, events, shims and ends; after a fault it spins for a
 * while before it sleeps, which is worth more than any other single thing, but only while that
 * takes no processor from the program.
 */
#include "capture.h"
#include "control.h"

#include "../cpu_latency.h"
#include "../launch.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES    4096u
#define MESSAGES      32
#define EVENTS	      32
#define SPIN_NS	      100000u /* after a fault */
#define SPIN_PAUSE_NS 100000u /* no spinning after somebody else wanted the processor */
#define SPIN_GAP_NS   30000u  /* a turn of the spin loop that took longer may have been preempted */
#define SPIN_LOOKS    8	      /* for a sample, between two for a message */
#define SPIN_CELLS    8	      /* looks for a message, between two for what is told without asking */
#define SPIN_TURNS    8	      /* faults of one process before others are looked at */
#define RING_MS	      2
#define TICK_MS	      100	  /* the safety net and whatever has a time */
#define LINGER_NS     100000000u  /* a child may be between exec and hello */
#define PROMISE_NS    2000000000u /* a child that was said to be forked has not said hello */

/* epoll data: a process's userfaultfd is its pointer, its pidfd the pointer plus 1. */
enum { TAG_LISTEN = 2, TAG_STARTER = 3, TAG_SIDEBAND = 4, TAG_LAST = 15 };

uint64_t service_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void service_watch(struct service *s, int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		service_lost(s, LOST_EVENTS, 1, "a descriptor cannot be watched");
}

void service_lost(struct service *s, enum lost_what what, uint64_t count, const char *why)
{
	size_t size = strlen(why) + 1;
	struct event_lost *event =
	    writer_reserve(s->writer, EVENT_LOST, sizeof(*event) + size, service_now());

	event->what = what;
	event->count = count;
	event->why_size = (uint32_t)size;
	memcpy(event->why, why, size);
	writer_commit(s->writer);
}

/* ---- perf's side-band ---- */

static int32_t *covered_find(struct service *s, int32_t pid)
{
	for (size_t i = 0; i < s->covered_count; i++)
		if (s->covered[i] == pid)
			return &s->covered[i];
	return NULL;
}

static void covered_add(struct service *s, int32_t pid)
{
	if (s->covered_count == s->covered_room) {
		size_t room = s->covered_room ? s->covered_room * 2 : 64;
		int32_t *grown = realloc(s->covered, room * sizeof(*grown));

		if (!grown) {
			s->covers_all = false;
			return;
		}
		s->covered = grown;
		s->covered_room = room;
	}
	s->covered[s->covered_count++] = pid;
}

void service_cover(struct service *s, int32_t pid)
{
	perf_drain_sideband(s->perf);
	if (covered_find(s, pid))
		return;
	if (perf_open(s->perf, pid, s->epoll_fd, TAG_SIDEBAND) < 0) {
		s->covers_all = false;
		return;
	}
	/* Those that it forks are covered with it, and so are theirs: of all that can come, when it
	   is the first and has not begun. */
	s->covers_all = pid == s->root_pid && !s->attached_any;
	covered_add(s, pid);
}

static void on_forked(void *context, int32_t pid, int32_t ppid, int32_t tid, uint64_t ts)
{
	struct service *s = context;

	(void)tid;
	if (pid == ppid) /* a thread */
		return;
	if (!covered_find(s, pid))
		covered_add(s, pid);
	process_born(s, pid, ppid, ts);
}

static void on_exited(void *context, int32_t pid, int32_t tid, uint64_t ts)
{
	struct service *s = context;
	struct process *p;
	int32_t *covered;

	(void)ts;
	if (pid != tid) {
		thread_forget(s, tid);
		return;
	}
	p = process_by_pid(s, pid);
	if (p)
		p->leader_ended = true;
	covered = covered_find(s, pid);
	if (covered)
		*covered = s->covered[--s->covered_count];
}

static void on_named(
    void *context, int32_t pid, int32_t tid, const char *name, bool exec, uint64_t ts)
{
	struct service *s = context;
	struct process *p = exec ? process_by_pid(s, pid) : NULL;

	if (p)
		p->exec_pending = true;
	/* A thread that is not the main one ends it, in perf's words, and goes on in its place. */
	if (exec && !covered_find(s, pid))
		covered_add(s, pid);
	thread_named(s, pid, tid, name, ts);
}

static void on_mapped(
    void *context, int32_t pid, int32_t tid, const struct perf_mapping *mapping, uint64_t ts)
{
	struct service *s = context;
	struct process *p = process_by_pid(s, pid);
	const bool private_file = mapping->file && !(mapping->flags & MAP_SHARED);
	const uint64_t end = mapping->start + mapping->size;

	if (!p || !p->space)
		return;
	if (mapping->prot & PROT_EXEC)
		space_executable(p->space, mapping->start, end, mapping->file);
	p->file_mapped |= private_file || mapping->start == p->file_end;
	if (private_file) {
		p->file_end = end;
		return;
	}
	/* Of what is shared the kernel will say whether it can be registered. */
	if (s->control.waiting || (mapping->flags & MAP_GROWSDOWN) || region_is_ours(mapping->name))
		return;
	late_expect(s, p, mapping, tid, ts);
}

static void on_lost(void *context, uint64_t records)
{
	struct service *s = context;

	(void)records;
	s->covers_all = false;
	for (struct process *p = s->processes; p; p = p->next)
		if (p->space)
			p->space->stale = p->file_mapped = true;
}

/* ---- messages ---- */

/* `ts`: from before the message was read, for then its sender goes on and touches anew. */
static void handle_event(
    struct service *s, struct process *p, const struct uffd_msg *m, uint64_t ts)
{
	uint64_t start, end;
	const struct fl_slot *moving;
	const struct interval *region;
	bool lazy;

	switch (m->event) {
	case UFFD_EVENT_FORK:
		if (!process_fork(s, p, (int)m->arg.fork.ufd, ts)) {
			close((int)m->arg.fork.ufd); /* the child runs natively */
			service_lost(s, LOST_EVENTS, 1, "no memory for a child process");
		}
		break;
	case UFFD_EVENT_REMAP:
		start = m->arg.remap.from;
		moving = request_moving(p, start);
		pending_forget(p, start, start + m->arg.remap.len);
		end = start + m->arg.remap.len;
		if (moving && request_moved_bytes(moving) < end - start) /* the rest is unmapped */
			end = start + request_moved_bytes(moving);
		region_move(
		    s, p, start, m->arg.remap.to, end - start, moving ? moving->tid : 0, ts);
		if (!moving || !request_keeps(moving))
			region_departed(s, p, start, end);
		if (moving)
			request_left_behind(s, p, moving, m->arg.remap.to, ts);
		break;
	case UFFD_EVENT_UNMAP:
		start = m->arg.remove.start;
		end = m->arg.remove.end;
		if (region_is_departed(p, start, end))
			break;
		pending_forget(p, start, end);
		region_unmapped(s, p, start, end - start,
		    request_is_replacing(p, start, end) ? REGION_END_REPLACE : REGION_END_UNMAP,
		    ts);
		break;
	case UFFD_EVENT_REMOVE:
		start = m->arg.remove.start;
		end = m->arg.remove.end;
		if (start < p->doorbell_end && end > p->doorbell)
			break;
		pending_forget(p, start, end);
		lazy = request_is_lazy(p, start, end);
		region = interval_find(&p->regions, start);
		/* Shared memory is not taken so, whatever is asked, and the call says so later. */
		if (!lazy || !region || !(region->detail & REGION_SHARED))
			process_tell_remove(s, p, 0, start, end - start, lazy, ts);
		break;
	default:
		break;
	}
}

static bool is_request(const struct process *p, const struct uffd_msg *m)
{
	return m->event == UFFD_EVENT_PAGEFAULT &&
	       m->arg.pagefault.address - p->doorbell < p->doorbell_end - p->doorbell;
}

/* Reads and handles what is there. True when there was anything. */
static bool serve_process(struct service *s, struct process *p)
{
	struct uffd_msg messages[MESSAGES];
	uint64_t ts;
	ssize_t got;

	region_protect_rest(p);
	if (p->pending_count)
		pending_retry(s, p);
	if (p->shared)
		request_free_left(p->shared);
	ts = service_now();
	got = read(p->uffd, messages, sizeof(messages));
	if (got <= 0)
		return false;
	if (s->perf) {
		perf_drain_sideband(s->perf);
		fault_take_samples(s);
	}
	if (p->shared)
		request_drain_cells(s, p->shared);
	/* Faults are read before events, and events go on once they are read: what a shim asks for
	   may be about memory that an event behind it gave up. So requests come last. */
	for (int requests = 0; requests < 2; requests++)
		for (ssize_t i = 0; i < got / (ssize_t)sizeof(messages[0]); i++) {
			const struct uffd_msg *m = &messages[i];

			if (is_request(p, m) != requests)
				continue;
			if (m->event == UFFD_EVENT_PAGEFAULT)
				fault_handle(s, p, m->arg.pagefault.address, m->arg.pagefault.flags,
				    (int32_t)m->arg.pagefault.feat.ptid);
			else
				handle_event(s, p, m, ts);
		}
	return true;
}

static void handle_starter(struct service *s)
{
	static struct fl_launch_message message;
	ssize_t got = recv(s->starter_fd, &message, sizeof(message), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->starter_fd, NULL);
		s->root_exited = true;
	} else if (message.kind == FL_LAUNCH_ROOT_EXITED) {
		s->root_exited = true;
	}
}

static bool dispatch(struct service *s, const struct epoll_event *event, struct process **served)
{
	uint64_t tag = event->data.u64;
	struct process *p = (struct process *)(tag & ~UINT64_C(1));

	if (tag == TAG_LISTEN) {
		hello_accept(s);
	} else if (tag == TAG_STARTER) {
		handle_starter(s);
	} else if (tag == TAG_SIDEBAND) {
		perf_drain_sideband(s->perf);
		fault_take_samples(s);
		if (event->events & EPOLLHUP)
			perf_unwatch_ended(s->perf, s->epoll_fd);
	} else if (p->dead) {
		return false;
	} else if (tag & 1) {
		while (p->uffd >= 0 && serve_process(s, p))
			continue;
		if (s->perf)
			perf_drain_sideband(s->perf);
		fault_take_samples(s);
		process_exited(s, p, service_now());
	} else if (serve_process(s, p)) {
		*served = p;
		return true;
	}
	return false;
}

/* ---- spinning ---- */

/*
 * Whether another thread has taken our processor from us since the last call. A gap alone does not
 * tell: the machine below may have been stopped, or an interrupt may have come.
 */
static bool was_preempted(void)
{
	static long before;
	struct rusage usage = {.ru_nivcsw = before};
	bool more;

	getrusage(RUSAGE_THREAD, &usage);
	more = usage.ru_nivcsw != before;
	before = usage.ru_nivcsw;
	return more;
}

/*
 * A fault's sample is there some time before its message: it is taken while the thread is still on
 * its way to sleep. To look for it costs no system call.
 */
static void await_sample(struct service *s)
{
	if (!s->perf)
		return;
	for (int look = 0; look < SPIN_LOOKS && !perf_has_samples(s->perf); look++)
		arch_pause();
	fault_take_samples(s);
}

/*
 * Reads the descriptor that served last again and again for SPIN_NS. Stops at once, and for a
 * while, when somebody else wanted to run here. Now and then takes what its process tells without
 * asking, so that no thread waits for that later. True when there was anything.
 */
static bool spin(struct service *s, struct process *p, uint64_t *pause_until)
{
	uint64_t start = service_now(), last = start, now;

	for (unsigned look = 1;; look++) {
		await_sample(s);
		if (serve_process(s, p))
			return true;
		if (look % SPIN_CELLS == 0 && p->shared && request_drain_cells(s, p->shared))
			return true;
		if (p->dead || p->uffd < 0)
			return false;
		now = service_now();
		if (now - last > SPIN_GAP_NS && was_preempted()) {
			*pause_until = now + SPIN_PAUSE_NS;
			return false;
		}
		if (now - start > SPIN_NS)
			return false;
		last = now;
	}
}

/* The same for some faults: others may wait, too. False when there was nothing any more. */
static bool spin_turns(struct service *s, struct process *p, uint64_t *pause_until)
{
	for (int turn = 0; turn < SPIN_TURNS; turn++)
		if (!spin(s, p, pause_until))
			return false;
	return true;
}

/* ---- idle processors ---- */

/* While threads wait for us their processors are kept from deep sleep, and for a tick more. */
static void keep_awake(struct service *s, bool awake)
{
	if (s->latency_fd < 0 || s->awake == awake)
		return;
	s->awake = awake;
	fl_cpu_latency_hold(s->latency_fd, awake);
}

/* ---- what has a time ---- */

static void tick(struct service *s, uint64_t now)
{
	uint64_t rescued;

	if (s->perf)
		perf_drain_sideband(s->perf);
	for (struct process *p = s->processes; p; p = p->next) {
		if (p->dead || p->uffd < 0)
			continue;
		/* A message that was missed would leave a thread asleep for ever. */
		while (serve_process(s, p))
			continue;
		if (p->shared)
			request_drain_cells(s, p->shared);
		ring_drain(s, p);
		if (p->departed_count && !pending_event_is_due(p, p->doorbell_end - PAGE_BYTES))
			region_none_departed(p); /* that memory has stayed, too: mremap(2) */
		late_register(s, p, now);
	}
	keep_awake(s, s->served_lately);
	s->served_lately = false;
	capture_let_go(s);
	process_look_for_memory(s);
	rescued = remote_rescues();
	if (rescued)
		service_lost(s, LOST_EVENTS, rescued, "a stack was read while its pages went");
	if (s->stacks_lost) {
		service_lost(
		    s, LOST_STACKS, s->stacks_lost, "the registers of a fault could not be read");
		s->stacks_lost = 0;
	}
}

static void tell_starter(struct service *s)
{
	static bool told;
	static struct fl_launch_message message = {.kind = FL_LAUNCH_WARNING};
	const char *complaint = told ? NULL : writer_complaint(s->writer);

	if (!complaint)
		return;
	told = true;
	snprintf(message.text, sizeof(message.text), "%s", complaint);
	send(s->starter_fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool is_pending(const struct service *s)
{
	for (const struct process *p = s->processes; p; p = p->next)
		if ((p->pending_count || p->unprotected.root) && !p->dead)
			return true;
	return false;
}

/* While records come the rings are looked at every RING_MS; the middle of each wakes us besides. */
static void drain_rings(struct service *s)
{
	if (s->options.mode != FL_MODE_SIGBUS)
		return;
	s->ring_active = false;
	for (struct process *p = s->processes; p; p = p->next)
		if (!p->dead && ring_drain(s, p))
			s->ring_active = true;
}

int service_prepare(struct service *s)
{
	struct perf_handler handler = {.context = s,
	    .forked = on_forked,
	    .exited = on_exited,
	    .named = on_named,
	    .mapped = on_mapped,
	    .lost = on_lost};

	s->served_lately = true; /* it begins */
	keep_awake(s, true);
	s->next_region = s->next_allocation = 1;
	s->reads_share_zeros = uffd_reads_share_zeros();
	control_start(s);
	service_watch(s, s->listen_fd, TAG_LISTEN);
	service_watch(s, s->starter_fd, TAG_STARTER);
	if (s->capture == FL_CAPTURE_PERF) {
		int error = perf_create(&s->perf, &handler);

		if (error < 0)
			return error;
		service_cover(s, s->root_pid);
	}
	return remote_guard_start();
}

/* While everything has ended, `idle_ns` ago: whether nobody can come any more. */
static bool is_over(struct service *s, uint64_t idle_ns)
{
	if (s->covers_all && !s->forkings) {
		perf_drain_sideband(s->perf);
		if (s->covers_all && !s->covered_count)
			return true;
	}
	return idle_ns > (s->forkings ? PROMISE_NS : LINGER_NS);
}

int service_run(struct service *s)
{
	uint64_t pause_until = 0, idle_since = 0, last_tick = 0;
	struct process *served = NULL; /* last, and others may wait now; else NULL */

	for (;;) {
		struct epoll_event events[EVENTS];
		uint64_t now = service_now();
		int count;

		count = epoll_wait(s->epoll_fd, events, EVENTS,
		    served || is_pending(s)	   ? 0
		    : s->ring_active || idle_since ? RING_MS
						   : TICK_MS);
		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count; i++)
			dispatch(s, &events[i], &served);
		if (served) {
			s->served_lately = true;
			keep_awake(s, true);
		}
		if (served && !(s->spin && service_now() > pause_until &&
				  spin_turns(s, served, &pause_until)))
			served = NULL;
		drain_rings(s);
		if (is_pending(s))
			for (struct process *p = s->processes; p; p = p->next)
				if (!p->dead && (p->pending_count || p->unprotected.root))
					serve_process(s, p);
		if (served && served->dead)
			served = NULL;
		process_free_dead(s);
		now = service_now();
		if (now - last_tick > (uint64_t)TICK_MS * 1000000u) {
			tick(s, now);
			tell_starter(s);
			last_tick = now;
		}
		if (control_turn(s, now))
			break;
		if (s->live_count || !s->root_exited) {
			idle_since = 0;
			continue;
		}
		idle_since = idle_since ? idle_since : now;
		if (is_over(s, now - idle_since))
			break;
	}
	tick(s, service_now());
	keep_awake(s, false);
	return 0;
}
