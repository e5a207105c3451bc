/* SPDX-License-Identifier: MIT */
/* process.c: the traced processes, from start to end. */
#include "control.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES  UINT64_C(4096)
#define COMMAND_MAX 65536u

struct process *process_by_pid(struct service *s, int32_t pid)
{
	for (struct process *p = s->processes; p; p = p->next)
		if (p->pid == pid && !p->dead)
			return p;
	return NULL;
}

bool process_has_ended(const struct process *p)
{
	struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

	return p->pidfd >= 0 && poll(&end, 1, 0) > 0;
}

struct process *process_by_number(struct service *s, uint32_t number)
{
	for (struct process *p = s->processes; p; p = p->next)
		if (p->number == number && !p->dead)
			return p;
	return NULL;
}

static void watch_end(struct service *s, struct process *p)
{
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd >= 0)
		service_watch(s, p->pidfd, (uint64_t)p | 1);
}

static struct process *process_add(struct service *s, int uffd)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->uffd = p->memory_uffd = uffd;
	p->pidfd = -1;
	p->next = s->processes;
	s->processes = p;
	s->live_count++;
	p->number = ++s->last_number;
	s->process_count++;
	s->attached_any = true;
	service_watch(s, uffd, (uint64_t)p);
	return p;
}

void *process_room(void *array, size_t count, size_t *room, size_t size)
{
	size_t larger = *room ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return array;
	grown = realloc(array, larger * size);
	if (grown)
		*room = larger;
	return grown;
}

struct process *process_create(struct service *s, int32_t pid, int uffd)
{
	struct process *p = process_add(s, uffd);

	if (!p)
		return NULL;
	p->pid = pid;
	namespace_enter(s, p);
	p->space = space_create();
	watch_end(s, p);
	return p;
}

/* The one birth that this child can be. */
static void take_birth(struct service *s, struct process *child, uint64_t ts)
{
	int32_t pid = 0;

	for (uint32_t i = 0; i < BIRTHS_MAX; i++) {
		if (!s->births[i].pid || s->births[i].parent != child->ppid)
			continue;
		if (pid)
			return;
		if (!process_by_pid(s, s->births[i].pid) &&
		    namespace_is_copy(child, s->births[i].pid))
			pid = s->births[i].pid;
		s->births[i].pid = 0;
	}
	if (pid)
		process_identify(s, child, pid, ts);
}

struct process *process_fork(struct service *s, struct process *parent, int uffd, uint64_t ts)
{
	struct process *p = process_add(s, uffd);

	(void)ts;
	if (!p)
		return NULL;
	p->ppid = parent->pid;
	p->features = parent->features;
	p->doorbell = parent->doorbell;
	p->doorbell_end = parent->doorbell_end;
	p->state = parent->state;
	p->quiet = parent->quiet;
	p->program_break = parent->program_break;
	p->shared = parent->shared;
	if (p->shared)
		p->shared->references++;
	p->space = space_share(parent->space);
	region_inherit(s, p, &parent->regions, &parent->pieces, &parent->allocations);
	p->begin_due = s->control.waiting;
	take_birth(s, p, ts);
	return p;
}

/*
 * perf tells of a birth when the kernel has waited for its EVENT_FORK to be read, so perhaps before
 * that is handled. Which child belongs to which of several births only the child can tell.
 */
void process_born(struct service *s, int32_t pid, int32_t parent, uint64_t ts)
{
	struct process *child = NULL;

	if (process_by_pid(s, pid))
		return;
	for (struct process *p = s->processes; p; p = p->next)
		/* One without memory is of a clone that failed. */
		if (!p->dead && !p->pid && p->ppid == parent && !process_has_no_memory(p)) {
			if (child)
				return;
			child = p;
		}
	if (!child) {
		s->births[s->next_birth].pid = pid;
		s->births[s->next_birth].parent = parent;
		s->next_birth = (s->next_birth + 1) % BIRTHS_MAX;
	} else if (namespace_is_copy(child, pid)) {
		process_identify(s, child, pid, ts);
	}
}

static void set_pid(struct service *s, struct process *p, int32_t pid)
{
	remote_forget(p);
	p->pid = pid;
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
	p->nested = false;
	p->pid_namespace = 0;
	if (!pid)
		return;
	namespace_enter(s, p);
	watch_end(s, p);
}

void process_identify(struct service *s, struct process *p, int32_t pid, uint64_t ts)
{
	struct process *other;

	if (p->pid == pid)
		return;
	other = process_by_pid(s, pid);
	if (other && process_has_ended(other)) { /* numbers are used again */
		process_exited(s, other, ts);
	} else if (other) { /* two were taken for each other; each has its line */
		bool announced = p->announced;

		p->announced = other->announced;
		other->announced = announced;
		set_pid(s, other, p->pid);
	}
	set_pid(s, p, pid);
	if (!p->announced)
		process_tell(s, p, PROCESS_FORK, ts);
	if (p->begin_due && !s->control.waiting)
		control_begin_process(s, p, ts);
}

void process_close_uffds(struct process *p)
{
	remote_forget(p);
	if (p->memory_uffd >= 0 && p->memory_uffd != p->uffd)
		close(p->memory_uffd);
	if (p->uffd >= 0)
		close(p->uffd);
	p->uffd = p->memory_uffd = -1;
}

void process_reset(struct service *s, struct process *p, enum region_end_reason reason, uint64_t ts)
{
	if (p->shared)
		request_drain_cells(s, p->shared);
	ring_drain_all(s, p);
	region_end_all(s, p, reason, ts);
	interval_clear(&p->foreign);
	interval_clear(&p->unprotected);
	interval_clear(&p->lifted);
	interval_clear(&p->allocations);
	space_release(p->space);
	p->space = NULL;
	shared_area_release(p->shared);
	p->shared = NULL;
	p->quiet = false;
	process_close_uffds(p);
	p->late_count = p->pending_count = p->parked_count = p->departed_count = 0;
	p->last_task = 0;
	p->leader_ended = p->without_memory = p->locks_future = p->file_mapped = false;
}

static ssize_t read_file(int32_t pid, const char *name, char *to, size_t size)
{
	char path[64];
	ssize_t got, total = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = rights_open_proc(path);
	if (fd < 0)
		return -errno;
	while ((size_t)total < size && (got = read(fd, to + total, size - (size_t)total)) > 0)
		total += got;
	close(fd);
	return total;
}

int32_t process_parent(int32_t pid)
{
	char text[512];
	ssize_t got = read_file(pid, "stat", text, sizeof(text) - 1);
	const char *end;
	int parent = 0;

	if (got <= 0)
		return 0;
	text[got] = '\0';
	end = strrchr(text, ')'); /* the name before it may hold anything */
	return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* How a process ended, as wait() encodes it; -1 when nobody can tell. */
static int exit_code(const struct process *p)
{
	/* A pidfd tells it once the parent has waited; /proc until then. Between the two looks at
	   the pidfd stands the one at /proc: whenever the parent waits, one of them finds it. */
	for (int look = 0; look < 2; look++) {
		struct fl_pidfd_info info = {.mask = FL_PIDFD_INFO_EXIT};
		char text[1024], state = 0;
		ssize_t got;
		char *end;

		if (p->pidfd < 0)
			break;
		if (ioctl(p->pidfd, FL_PIDFD_GET_INFO, &info) == 0 &&
		    (info.mask & FL_PIDFD_INFO_EXIT))
			return info.exit_code;
		got = read_file(p->pid, "stat", text, sizeof(text) - 1);
		if (got <= 0)
			continue;
		text[got] = '\0';
		end = strrchr(text, ')'); /* the name before it may hold anything */
		if (end && sscanf(end, ") %c", &state) == 1 && (state == 'Z' || state == 'X'))
			return atoi(strrchr(end, ' ')); /* the last number */
	}
	return -1;
}

void process_tell(struct service *s, struct process *p, enum process_event kind, uint64_t ts)
{
	static char text[COMMAND_MAX + 4096];
	char path[64];
	struct event_process *event;
	uint32_t exe_size = 0, text_size = 0, argc = 0;
	ssize_t got;
	int code;

	if (!p->ppid)
		p->ppid = process_parent(p->pid);
	if (kind == PROCESS_START || kind == PROCESS_EXEC) {
		snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
		got = readlink(path, text, 4095);
		if (got > 0) {
			text[got] = '\0';
			exe_size = text_size = (uint32_t)got + 1;
		}
		got = read_file(p->pid, "cmdline", text + text_size, COMMAND_MAX - 1);
		if (got > 0) {
			if (text[text_size + (uint32_t)got - 1])
				text[text_size + (uint32_t)got++] = '\0';
			for (ssize_t i = 0; i < got; i++)
				argc += text[text_size + (uint32_t)i] == '\0';
			text_size += (uint32_t)got;
		}
	}
	event = writer_reserve(s->writer, EVENT_PROCESS, sizeof(*event) + text_size, ts);
	event->pid = p->pid;
	event->ppid = p->ppid;
	event->inner_pid = p->nested ? p->inner_pid : 0;
	event->pid_namespace = p->pid_namespace;
	event->event = kind;
	event->status = -1;
	event->signal = 0;
	event->exe_size = exe_size;
	event->argc = argc;
	event->text_size = text_size;
	memcpy(event->text, text, text_size);
	if (kind == PROCESS_EXIT && (code = exit_code(p)) >= 0) {
		if (WIFSIGNALED(code))
			event->signal = WTERMSIG(code);
		else
			event->status = WEXITSTATUS(code);
	}
	writer_commit(s->writer);
	p->announced = true;
}

void process_tell_module(void *context, pid_t pid, const struct space_module *module)
{
	struct service *s = context;
	const struct thread *thread = thread_known(s, pid);
	size_t path_size = strlen(module->path) + 1;
	struct event_module *event =
	    writer_reserve(s->writer, EVENT_MODULE, sizeof(*event) + path_size, service_now());
	const uint8_t *build_id;

	event->id = module->id;
	event->pid = thread ? thread->pid : pid; /* see process_memory */
	event->root_pid = pid;
	event->start = module->start;
	event->end = module->end;
	event->offset = module->offset;
	event->build_id_size = 0;
	event->file = module->file ? elf_file_descriptor(module->file) + 1 : 0;
	if (module->file) {
		build_id = elf_file_build_id(module->file, &event->build_id_size);
		memcpy(event->build_id, build_id, event->build_id_size);
	}
	event->path_size = (uint32_t)path_size;
	memcpy(event->path, module->path, path_size);
	writer_commit(s->writer);
}

void process_tell_remove(struct service *s, struct process *p, int32_t tid, uint64_t start,
    uint64_t size, bool lazy, uint64_t ts)
{
	struct event_remove *event = writer_reserve(s->writer, EVENT_REMOVE, sizeof(*event), ts);

	event->pid = p->pid;
	event->tid = tid;
	event->start = start;
	event->size = size;
	event->lazy = lazy;
	event->pad = 0;
	writer_commit(s->writer);
}

void process_exited(struct service *s, struct process *p, uint64_t ts)
{
	if (p->dead)
		return;
	if (p->shared)
		request_drain_cells(s, p->shared);
	ring_drain_all(s, p);
	if (p->exec_pending)
		process_tell(s, p, PROCESS_DETACH, ts);
	region_end_all(s, p, REGION_END_EXIT, ts);
	if (p->pid)
		process_tell(s, p, PROCESS_EXIT, ts);
	p->dead = true;
	s->live_count--;
	process_close_uffds(p);
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
	for (uint32_t i = 0; i < FL_SLOTS && p->shared; i++) {
		/* What a killed thread had claimed, perhaps before it had a number. */
		struct fl_slot *slot = &p->shared->area->slots[i];
		bool early = !slot->process && !p->nested && slot->tid == p->pid;

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != FL_SLOT_FREE &&
		    (slot->process == p->number || early))
			__atomic_store_n(&slot->state, FL_SLOT_FREE, __ATOMIC_RELEASE);
	}
	thread_forget_all(s, p);
}

bool process_has_no_memory(const struct process *p)
{
	return uffd_fill(p->uffd, UFFD_FILL_ZEROPAGE, p->doorbell_end - PAGE_BYTES, PAGE_BYTES,
		   false) == -ESRCH;
}

void process_look_for_memory(struct service *s)
{
	for (struct process *p = s->processes; p; p = p->next) {
		if (p->dead || p->uffd < 0 || (p->pid && p->pidfd >= 0 && s->perf) ||
		    !process_has_no_memory(p))
			continue;
		if (p->pid && p->pidfd < 0) { /* its parent had waited for it when its name came */
			process_exited(s, p, service_now());
			continue;
		}
		if (p->pid) { /* twice, for it may just be ending */
			p->exec_pending |= p->without_memory && !process_has_ended(p);
			p->without_memory = true;
			continue;
		}
		/* The kernel tells of a child before it is sure that there will be one, and one
		   that was killed at once has told nobody who it was. Both had no memory to
		   speak of. */
		p->dead = true;
		s->live_count--;
		s->process_count--;
		process_close_uffds(p);
	}
}

void process_free_dead(struct service *s)
{
	for (struct process **at = &s->processes; *at;) {
		struct process *p = *at;

		if (!p->dead) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		interval_clear(&p->regions);
		interval_clear(&p->pieces);
		interval_clear(&p->allocations);
		interval_clear(&p->foreign);
		interval_clear(&p->unprotected);
		interval_clear(&p->lifted);
		space_release(p->space);
		shared_area_release(p->shared);
		free(p->late);
		free(p->parked);
		free(p->departed);
		free(p->pending);
		free(p);
	}
}

void shared_area_release(struct shared_area *shared)
{
	if (!shared || --shared->references)
		return;
	munmap(shared->area, sizeof(*shared->area));
	free(shared);
}
