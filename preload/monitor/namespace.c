/* SPDX-License-Identifier: MIT */
/*
 * namespace.c: PID namespaces, as /proc shows them. The program's own /proc may be another one than
 * ours, or none: only ours is asked, and it knows every process that can be traced, for a PID
 * namespace sees those below it. Runs in the service thread; looks through all of /proc only when a
 * program lives in a namespace of its own and nothing cheaper tells.
 */
#include "service.h"

#include "capture.h"
#include "maps.h"

#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define STATUS_BYTES 4096u

/* What /proc/TASK/status says of it; the first number of NSpid is ours, the last its own. */
struct identity {
	int32_t group, parent, inner;
	uint32_t depth;
};

static bool identify(int32_t task, struct identity *identity)
{
	char path[64], text[STATUS_BYTES], *line, *end;

	*identity = (struct identity){0};
	snprintf(path, sizeof(path), "/proc/%d/status", task);
	if (capture_read_file(path, text, sizeof(text)) <= 0)
		return false;
	if ((line = strstr(text, "\nTgid:")))
		identity->group = atoi(line + 6);
	if ((line = strstr(text, "\nPPid:")))
		identity->parent = atoi(line + 6);
	line = strstr(text, "\nNSpid:");
	for (line = line ? line + 7 : text; *line == '\t'; line = end) {
		identity->inner = (int32_t)strtol(line, &end, 10);
		identity->depth++;
	}
	if (!identity->depth) { /* a kernel without PID namespaces */
		identity->inner = task;
		identity->depth = 1;
	}
	return true;
}

bool namespace_shares_memory(const struct process *p, int32_t task)
{
	long order = syscall(SYS_kcmp, process_memory(p), task, KCMP_VM, 0, 0);

	/* A kernel that does not compare: children are taken for those of vfork. */
	return order == 0 || (order < 0 && errno == ENOSYS && process_parent(task) == p->pid);
}

int32_t namespace_inner(int32_t task, uint32_t *depth)
{
	struct identity identity;

	if (!identify(task, &identity))
		return 0;
	*depth = identity.depth;
	return identity.inner;
}

void namespace_enter(struct service *s, struct process *p)
{
	char path[64];
	struct stat status;
	uint32_t depth = 1;
	int32_t inner = namespace_inner(p->pid, &depth);

	p->inner_pid = inner ? inner : p->pid;
	p->nested = depth > 1;
	if (!p->nested)
		return;
	s->nested = true;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", p->pid);
	if (stat(path, &status) == 0)
		p->pid_namespace = status.st_ino;
}

/* Calls `take` for each process until that says stop (false). */
static void for_each_process(bool (*take)(void *context, int32_t pid), void *context)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	bool more = true;

	while (processes && more && (entry = readdir(processes))) {
		int32_t pid = atoi(entry->d_name);

		more = pid <= 0 || take(context, pid);
	}
	if (processes)
		closedir(processes);
}

struct search {
	struct service *s;
	const struct process *p;
	int32_t inner, found, sure;
	uint32_t slot;
	uint64_t page;
};

struct doorbell {
	uint64_t start, end;
	bool found;
};

static bool is_doorbell(void *context, const struct mapping *m)
{
	struct doorbell *doorbell = context;

	doorbell->found = m->start <= doorbell->start && doorbell->end <= m->end;
	return m->start <= doorbell->start && !doorbell->found;
}

/* Whoever has a doorbell at this place is of the family; a child of vfork has none of its own. */
bool namespace_is_copy(const struct process *p, int32_t pid)
{
	struct doorbell doorbell = {p->doorbell, p->doorbell_end, false};

	maps_read(pid, is_doorbell, &doorbell);
	return doorbell.found && (!p->ppid || syscall(SYS_kcmp, p->ppid, pid, KCMP_VM, 0, 0) != 0);
}

/* The shim's page is never registered: to read it waits for nobody. */
bool namespace_asks(const struct process *p, int32_t pid, uint32_t slot)
{
	struct fl_state state = {0};
	struct iovec to = {&state, sizeof(state)}, from = {(void *)p->state, sizeof(state)};

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof(state) &&
	       state.slot == slot + 1;
}

static bool take_child(void *context, int32_t pid)
{
	struct search *search = context;
	const struct process *known = process_by_pid(search->s, pid);
	struct identity identity;

	/* What was guessed before may be wrong, as long as that process has not told itself. */
	if (pid != search->p->pid && known && (known->confirmed || search->slot == FL_SLOTS))
		return true;
	if (identify(pid, &identity) && identity.inner == search->inner &&
	    namespace_is_copy(search->p, pid)) {
		if (search->slot < FL_SLOTS && namespace_asks(search->p, pid, search->slot))
			search->sure = pid;
		search->found = pid;
	}
	return !search->sure;
}

int32_t namespace_find_child(struct service *s, struct process *p, int32_t inner, uint32_t slot)
{
	struct search search = {.s = s, .p = p, .inner = inner, .slot = slot};
	const struct process *known;
	struct identity identity;
	bool plain;

	/* A sister, who has told herself, may reach into the memory of one that has not. */
	plain = identify(inner, &identity) && identity.depth == 1 &&
		(!(known = process_by_pid(s, identity.group)) || known == p || !known->confirmed);
	/* As nearly always: no namespace, and the parent still there. */
	if (plain && identity.parent == p->ppid)
		return identity.group;
	for_each_process(take_child, &search);
	if (!search.found && plain && namespace_is_copy(p, identity.group))
		return identity.group; /* another thread of it than the first */
	return search.sure ? search.sure : search.found;
}

static bool take_holder(void *context, int32_t pid)
{
	struct search *search = context;

	if (!process_by_pid(search->s, pid) && namespace_is_copy(search->p, pid) &&
	    remote_holds(pid, search->page))
		search->found = pid;
	return !search->found;
}

int32_t namespace_find_holder(struct service *s, const struct process *p, uint64_t page)
{
	struct search search = {.s = s, .p = p, .page = page};

	for_each_process(take_holder, &search);
	return search.found;
}

static bool take_guest(void *context, int32_t pid)
{
	struct search *search = context;
	struct identity identity;

	/* One that was traced by itself has memory of its own. */
	if (identify(pid, &identity) && identity.inner == search->inner &&
	    identity.parent == search->p->pid && !process_by_pid(search->s, pid) &&
	    namespace_shares_memory(search->p, pid))
		search->found = pid;
	return !search->found;
}

int32_t namespace_find_guest(struct service *s, const struct process *p, int32_t inner)
{
	struct search search = {.s = s, .p = p, .inner = inner};

	for_each_process(take_guest, &search);
	return search.found;
}

struct process *namespace_named(struct service *s, const struct process *p, int32_t number)
{
	struct identity identity;
	struct process *named;

	if (!p->nested) {
		named = process_by_pid(s, number);
		return named || !identify(number, &identity) ? named
							     : process_by_pid(s, identity.group);
	}
	for (named = s->processes; named; named = named->next)
		if (!named->dead && named->inner_pid == number &&
		    named->pid_namespace == p->pid_namespace)
			break;
	return named;
}

static bool take_neighbour(void *context, int32_t pid)
{
	struct search *search = context;
	struct identity identity;
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	if (identify(pid, &identity) && identity.inner == search->inner &&
	    stat(path, &status) == 0 && status.st_ino == search->p->pid_namespace)
		search->found = pid;
	return !search->found;
}

int32_t namespace_find_stranger(
    struct service *s, const struct process *p, int32_t inner, int32_t *group)
{
	struct search search = {.s = s, .p = p, .inner = inner};
	struct identity identity;

	if (p->nested)
		for_each_process(take_neighbour, &search);
	if (!search.found && identify(inner, &identity) && identity.inner == inner)
		search.found = inner;
	if (!search.found || !identify(search.found, &identity) || identity.group == p->pid ||
	    namespace_shares_memory(p, search.found))
		return 0;
	*group = identity.group;
	return search.found;
}

/*
 * After unshare(1) without --mount-proc, /proc is that of the namespace before. We need our own,
 * and nobody else has to see it.
 */
int namespace_mount_proc(void)
{
	char self[32], own[32];
	ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

	snprintf(own, sizeof(own), "%d", (int)getpid());
	if (length > 0) {
		self[length] = '\0';
		if (strcmp(self, own) == 0)
			return 0;
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	return 0;
}
