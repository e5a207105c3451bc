/* SPDX-License-Identifier: MIT */
/*
 * service.h: the service thread's world: the traced processes and what serves them.
 *
 * service.c waits and dispatches; fault.c and pending.c answer faults; request.c answers shims;
 * region.c, region_change.c and process.c keep the books. All of it runs in the service thread,
 * which never blocks on anything but its own descriptors and, when the writer is behind, the
 * writer's queue.
 */
#ifndef FAULTLINE_SERVICE_H
#define FAULTLINE_SERVICE_H

#include "../launch.h"
#include "../options.h"
#include "../protocol.h"
#include "../user.h"
#include "event.h"
#include "interval.h"
#include "perf.h"
#include "space.h"
#include "stacks.h"
#include "uffd.h"
#include "unwind.h"
#include "writer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARED_AREA_NAME "faultline-area" /* of the memfd */

/* The memory shared with a shim; a process and its forked children use one. */
struct shared_area {
	struct fl_area *area;
	uint32_t references;
	uint32_t full;		/* fl_area.full that was reported */
	uint64_t left;		/* fl_area.left at the last look */
	uint64_t ring_position; /* records before it were taken */
	uint64_t ring_hopeless; /* one that was waited for in vain */
};

/* A mapping seen in perf's side-band that no hook has reported yet. */
struct late_mapping {
	struct perf_mapping mapping;
	uint64_t ts;
	int32_t tid; /* as perf calls it */
};

/* From where memory was moved, for which EVENT_UNMAP comes after EVENT_REMAP. */
struct departed {
	uint64_t start, end;
};

/* Faults that were read but could not be served yet (EAGAIN: an event comes first). */
struct pending_fault {
	uint64_t address, flags;
	int32_t tid;
};

/* A piece of a region that a thread is moving, of which no event tells. */
struct parked {
	struct interval piece;
	int32_t tid;
};

/* A thread of another process that reaches into a traced one's memory: stranger.c. */
struct stranger {
	int32_t tid;   /* as it sees itself; 0: none */
	int32_t task;  /* as the monitor sees it */
	int32_t group; /* its process, as the monitor sees it */
	char name[16];
};
#define STRANGERS_MAX 8u

struct process {
	struct process *next;
	uint32_t number;	/* by which its shim names it */
	int32_t pid;		/* 0: a forked child that has not shown itself */
	int32_t ppid;		/* both as the monitor sees them */
	int32_t inner_pid;	/* as the program sees it */
	uint64_t pid_namespace; /* its inode when it is not the monitor's own, or 0 */
	bool nested;		/* it is not the monitor's own */
	uint32_t doorbell_half; /* that was rung last, 2: beyond; kept when quiet */
	bool quiet;		/* its shim makes no system calls: FL_OP_QUIET */
	bool confirmed;		/* it has told itself which process it is */
	bool locks_future;	/* the kernel fills new mappings: mlockall */
	bool file_mapped;	/* privately, or what follows, since bss was looked for */
	int32_t last_task;	/* the thread that faulted last, as the monitor sees it */
	bool leader_ended;	/* its main thread has, but not the process */
	int uffd, pidfd;
	int memory_uffd;     /* of its regions: uffd, or with --mode=sigbus another */
	bool dead;	     /* to be freed after this round */
	bool announced;	     /* its process line is written */
	bool begin_due;	     /* born before tracing began, and nameless when it did */
	bool exec_pending;   /* it runs another program; a hello should follow */
	bool without_memory; /* at the last look its old memory was gone */
	uint64_t features;
	uint64_t doorbell, doorbell_end, state;
	uint64_t program_break;
	uint64_t file_end; /* of the last file that was mapped privately */
	uint64_t gone_ns;  /* when memory was last seen to go */
	struct shared_area *shared;
	struct space *space;
	struct interval_map regions;	 /* detail: enum region_detail bits */
	struct interval_map pieces;	 /* of regions that are in several: region_change.c */
	struct interval_map foreign;	 /* given to a userfaultfd of the program's own */
	struct interval_map allocations; /* base: when, in nanoseconds */
	struct interval_map unprotected; /* --mode=write: to be protected after an event */
	struct interval_map lifted;	 /* --mode=write: to be protected after a move */
	struct late_mapping *late;
	size_t late_count, late_room;
	struct parked *parked;
	size_t parked_count, parked_room;
	struct departed *departed;
	size_t departed_count, departed_room;
	struct pending_fault *pending;
	size_t pending_count, pending_room;
	struct stranger strangers[STRANGERS_MAX]; /* that touched its memory last */
	uint32_t next_stranger;
};

enum region_detail {
	REGION_INHERITED = 1, /* of a parent: its end is not this process's to tell */
	REGION_HUGETLB = 2,
	REGION_NATIVE = 8, /* the kernel cannot register it: perf's samples tell of its faults */
	REGION_SHARED = 16,
	REGION_DONTFORK = 32, /* children do not get it */
	REGION_LATE = 4,      /* found by perf's side-band; a hook may still tell what it is */
};

struct thread {
	struct thread *next; /* in its hash bucket, by task */
	struct thread *next_inner;
	int32_t task;	    /* as the monitor sees it */
	int32_t tid;	    /* as the program sees it; 0: not known yet */
	int32_t pid;	    /* of the process whose memory it uses, as the monitor sees it */
	bool told;	    /* its thread line is written */
	bool sampled;	    /* sample is of a fault that was not served yet */
	uint64_t served_ns; /* when its last fault was served */
	uint32_t signal_failures, signals; /* --capture=signal: unanswered in a row, sent */
	uint64_t home_sp;		   /* --capture=signal: where its own stack is */
	uint32_t retries; /* --capture=signal: of the fault that could not be captured yet */
	char name[16];
	struct perf_sample sample;
};
#define THREAD_BUCKETS	 1024u
#define BIRTHS_MAX	 64u
#define STACK_COPY_BYTES (256u << 10)
#define SEIZED_MAX	 16u

#define CONTROL_ASKERS 8u

/* control.c: begin and end of tracing. */
struct control {
	bool waiting;	      /* for the delay to be over */
	uint64_t begin_ns;    /* when tracing begins, or began */
	const char *ended_by; /* as the trace's end line tells; NULL: not ended */
	int askers[CONTROL_ASKERS];
	size_t asker_count;
};

struct service {
	struct fl_options options;
	struct control control;
	enum fl_capture capture;
	struct writer *writer;
	struct perf *perf; /* NULL unless capture is perf */
	struct unwinder *unwinder;
	struct stacks *stacks;
	int epoll_fd, listen_fd, starter_fd;
	int32_t root_pid;
	struct fl_user user; /* --user: the program's; else all zero */
	int device_fd;	     /* /dev/userfaultfd for that user's processes, or -1 */
	bool root_exited, attached_any;
	bool spin;
	int latency_fd;	    /* fl_cpu_latency_open, or negative */
	bool awake;	    /* the processors are kept from deep sleep */
	bool served_lately; /* since the last tick: a thread waited for us, or told us something */
	bool user_mode;	    /* the kernel cannot wait for pages: --mode=sigbus, --unprivileged */
	bool ring_active;   /* some process left a record since the last look */
	bool reads_share_zeros; /* uffd_reads_share_zeros */
	bool has_native;	/* some process has a REGION_NATIVE */
	struct process *processes;
	struct forking *forkings; /* newest first */
	uint32_t next_forking;
	uint64_t features;	/* of userfaultfd, that are asked for */
	uint32_t process_count; /* that were ever traced */
	uint32_t last_number;	/* that a process got */
	uint32_t live_count;
	uint64_t next_region, next_allocation;
	uint64_t stacks_lost; /* to be told with a lost line */
	struct {
		int32_t pid, parent;
	} births[BIRTHS_MAX]; /* told by perf, and by no userfaultfd yet */
	uint32_t next_birth;
	int32_t *covered; /* processes that perf samples */
	size_t covered_count, covered_room;
	bool covers_all; /* whoever may still say hello is among them */
	struct thread *threads[THREAD_BUCKETS];
	struct thread *inner[THREAD_BUCKETS]; /* whose tid is not their task: by both pid and tid */
	bool nested; /* some thread ran in another PID namespace than the monitor */
	struct unwound unwound;
	uint8_t *stack_copy;  /* STACK_COPY_BYTES: a stack to be unwound after the thread woke */
	uint8_t *stack_extra; /* STACK_EXTRA_BYTES: what lies above perf's sample */
	uint64_t verified, differing; /* with --verify-stacks */
	int32_t seized[SEIZED_MAX];   /* threads that ptrace has yet to stop */
	size_t seized_count;
};

uint64_t service_now(void);

/* ---- process.c ---- */

struct process *process_by_pid(struct service *s, int32_t pid);
struct process *process_by_number(struct service *s, uint32_t number);

/* By what number /proc and process_vm_readv(2) reach its memory: a main thread that has ended,
   while others go on, has none any more. */
static inline int32_t process_memory(const struct process *p)
{
	return p->leader_ended && p->last_task ? p->last_task : p->pid;
}

/*
 * An array of a process's, of *room things of `size` bytes, with room for one more than `count`: it
 * has moved, perhaps, and *room is larger. NULL when there is no memory, and nothing has changed.
 */
void *process_room(void *array, size_t count, size_t *room, size_t size)
    __attribute__((warn_unused_result));

/* A new process with its userfaultfd (owned from now on). NULL when there is no memory. */
struct process *process_create(struct service *s, int32_t pid, int uffd);

/* The parent of a process, of those that are seen from here; 0 when nobody can tell. */
int32_t process_parent(int32_t pid);

/* True when the process has ended, though its end may not have been noticed yet. */
bool process_has_ended(const struct process *p);

/* True when the memory that its userfaultfd was opened for is no more. */
bool process_has_no_memory(const struct process *p);

/*
 * Ends forked children that ended, or never began, before anybody learned who they are; and, where
 * perf does not tell of it, notes who runs another program without a shim that says so.
 */
void process_look_for_memory(struct service *s);

/* The child of EVENT_FORK: inherits regions, modules, area. */
struct process *process_fork(struct service *s, struct process *parent, int uffd, uint64_t ts);

/* A process was born, as perf tells: the child of EVENT_FORK, or one that is still to come. */
void process_born(struct service *s, int32_t pid, int32_t parent, uint64_t ts);

/* Gives a forked child its pid, once it is known: what the monitor calls it. */
void process_identify(struct service *s, struct process *p, int32_t pid, uint64_t ts);

/* Forgets the memory of the image before exec. */
void process_reset(
    struct service *s, struct process *p, enum region_end_reason reason, uint64_t ts);

/* Writes the line of a module that was first seen: a space_announce, `context` the service. */
void process_tell_module(void *context, pid_t pid, const struct space_module *module);

void process_tell(struct service *s, struct process *p, enum process_event event, uint64_t ts);
/* `lazy`: the kernel takes the pages when it needs them. */
void process_tell_remove(struct service *s, struct process *p, int32_t tid, uint64_t start,
    uint64_t size, bool lazy, uint64_t ts);
/* Ends every registration but what --mode=sigbus left with the program; wakes its threads. */
void process_close_uffds(struct process *p);
void process_exited(struct service *s, struct process *p, uint64_t ts);
void process_free_dead(struct service *s);

/* ---- thread.c: a `tid` is as the program sees it, a `task` as the monitor and perf do ---- */

/* A thread that appears in the trace: its line is written first. `task`: 0 when it is not known. */
struct thread *thread_get(
    struct service *s, struct process *p, int32_t tid, int32_t task, uint64_t ts);
/* The thread's own bookkeeping, without a line in the trace. NULL when there is no memory. */
struct thread *thread_slot(struct service *s, int32_t pid, int32_t task);
struct thread *thread_known(struct service *s, int32_t task);
void thread_named(struct service *s, int32_t pid, int32_t task, const char *name, uint64_t ts);
void thread_forget(struct service *s, int32_t task);
void thread_forget_all(struct service *s, const struct process *p);

/*
 * What the monitor calls the thread that the program calls `tid`: a thread of the process, or a
 * child of vfork that runs in its memory. `waits`: it certainly lives, for it waits for us. 0 when
 * it cannot be told, or is a stranger that waits.
 */
int32_t thread_task(struct service *s, struct process *p, int32_t tid, bool waits);

/* What a thread of process `pid` calls itself. */
int32_t thread_tid(struct service *s, int32_t pid, int32_t task);

/* ---- namespace.c ---- */

/* The process or thread `task` as it sees itself, and in how many PID namespaces, from ours down,
   it has a number. 0 when there is none. */
int32_t namespace_inner(int32_t task, uint32_t *depth);

/* Once the pid of a process is known: where it lives. */
void namespace_enter(struct service *s, struct process *p);

/* Whether process `pid` has a copy of the memory of which `p`, a forked child, has one. */
bool namespace_is_copy(const struct process *p, int32_t pid);

/* Whether it is process `pid` that asks in this slot. */
bool namespace_asks(const struct process *p, int32_t pid, uint32_t slot);

/* Which process a forked child is that calls itself `inner`, or 0. `slot`: that it asks in, or
   FL_SLOTS. */
int32_t namespace_find_child(struct service *s, struct process *p, int32_t inner, uint32_t slot);

/* Which process `p` is, a forked child that nobody knows yet: it has this page, which was just
   filled, and its sisters, who are not known either, have not. 0 when none is found. */
int32_t namespace_find_holder(struct service *s, const struct process *p, uint64_t page);

/* The traced process that `p` calls by this number, which may be that of a thread of it. NULL when
   there is none. Threads in a PID namespace of their own are not found. */
struct process *namespace_named(struct service *s, const struct process *p, int32_t number);

/* Whether that thread or process runs in the memory of `p`. */
bool namespace_shares_memory(const struct process *p, int32_t task);

/* A thread that calls itself `inner` and has other memory than `p`; 0 when none is seen from here.
   `group`: its process. */
int32_t namespace_find_stranger(
    struct service *s, const struct process *p, int32_t inner, int32_t *group);

/* A child of vfork in the memory of `p`, that calls itself `inner`, or 0. */
int32_t namespace_find_guest(struct service *s, const struct process *p, int32_t inner);

/* Makes /proc show processes by the numbers that the monitor itself uses. 0 or negative errno. */
int namespace_mount_proc(void);

/* ---- stranger.c ---- */

/* The thread of another process that calls itself `tid` and waits for a page of `p`. False when
   nobody can tell. */
bool stranger_find(
    struct service *s, const struct process *p, int32_t tid, struct stranger *stranger);

/* The same for a thread of a traced process, that calls itself `tid`. */
bool stranger_of(struct service *s, struct process *owner, int32_t tid, struct stranger *stranger);

/* Writes its line, unless that was done. */
void stranger_tell(
    struct service *s, struct process *p, const struct stranger *stranger, uint64_t ts);

/* Whether one with that number was told of before. */
bool stranger_is_known(const struct process *p, int32_t tid);

void shared_area_release(struct shared_area *shared);

/* Says once what was lost, and counts it. */
void service_lost(struct service *s, enum lost_what what, uint64_t count, const char *why);

/* ---- region.c ---- */

/* What a new region is, beside its addresses. */
struct region_origin {
	enum fl_source source;
	int32_t tid;	 /* 0: unknown */
	int prot, flags; /* -1: unknown */
	uint64_t stack, ts;
	uint64_t mapped_ns; /* of what no hook has reported: when, by perf's record; 0 */
	bool catch_up;	    /* pages that are there already are faults that the kernel served */
	bool populated;	    /* ... by the mapping itself, so that perf has no samples of them */
	bool shared;	    /* when the caller knows; see region_look_up */
	uint32_t page_size; /* 0: the system's, or what the mapping says */
};

/* Registers [start, start + size) and writes its region line; silently none where the kernel
   cannot (files, another userfaultfd's memory). False: late_is_doubtful, and not done. */
bool region_add(struct service *s, struct process *p, uint64_t start, uint64_t size,
    const struct region_origin *origin);

/* The same for those parts of the range that are in no region yet. */
bool region_cover(struct service *s, struct process *p, uint64_t start, uint64_t size,
    const struct region_origin *origin);

/*
 * --mode=write: protects what could not be protected yet, because an event had to be read first.
 * False while there is still such an event: nobody may be told that the memory is registered.
 */
bool region_protect_rest(struct process *p);

/* Registers a piece anew. False: the process does not have that memory. */
bool region_register_again(struct service *s, struct process *p, const struct interval *piece);

/* --mode=write: what is there in the range is protected, now or when an event was read. */
void region_protect(struct service *s, struct process *p, uint64_t start, uint64_t end);

/* What of it is still to be protected is not: it is gone, or its first write was told. */
void region_protect_not(struct service *s, struct process *p, uint64_t start, uint64_t end);

/* A forked child begins with its parent's regions and allocations. */
void region_inherit(struct service *s, struct process *p, const struct interval_map *regions,
    const struct interval_map *pieces, const struct interval_map *allocations);

/* Whether it is the path of a mapping that the shim has made. */
bool region_is_ours(const char *path);

enum region_mapped {
	REGION_MAPPED_BSS,     /* of modules */
	REGION_MAPPED_PRIVATE, /* all anonymous memory but the main stack */
	REGION_MAPPED_ALL,     /* ... what is shared and what may not be accessed yet, too */
};

/* Registers what is mapped already and in no region yet. Each gets a source of its own. */
void region_add_mapped(struct service *s, struct process *p, enum region_mapped which,
    const struct region_origin *origin);

/* Registers what is in no region yet of the mapping that holds `address`. */
void region_look_up(
    struct service *s, struct process *p, uint64_t address, const struct region_origin *origin);

/* ---- region_change.c ---- */

/*
 * Memory that thread `tid` is about to move is unregistered and taken out of the books, for others
 * may be given its place before the thread can tell where it is now: region_unpark puts it there.
 * What is over `to_size` has ended.
 */
void region_lift(struct service *s, struct process *p, uint64_t start, uint64_t size, int32_t tid);
/*
 * What is moved beside other memory may become one mapping with it, and then all of that is
 * registered no more (userfaultfd_reset_ctx of fs/userfaultfd.c): registers it again.
 */
void region_register_around(struct service *s, struct process *p, uint64_t start, uint64_t end);
void region_unpark(struct service *s, struct process *p, uint64_t from, uint64_t from_size,
    uint64_t to, uint64_t to_size, int32_t tid, uint64_t ts);

/* EVENT_UNMAP, which comes before any request that was made after it: see pending_event_is_due. */
void region_unmapped(struct service *s, struct process *p, uint64_t start, uint64_t size,
    enum region_end_reason reason, uint64_t ts);
void region_cut(struct service *s, struct process *p, uint64_t start, uint64_t size,
    enum region_end_reason reason, uint64_t ts);
/* Whether children get this memory. */
void region_set_forks(
    struct service *s, struct process *p, uint64_t start, uint64_t size, bool forks);

/* EVENT_REMAP. `tid`: who has moved it, or 0. */
void region_move(struct service *s, struct process *p, uint64_t from, uint64_t to, uint64_t size,
    int32_t tid, uint64_t ts);
/*
 * After EVENT_REMAP the kernel tells the place that the memory has left as EVENT_UNMAP, when the
 * thread that has moved it goes on (mremap_userfaultfd_complete and then userfaultfd_unmap_complete
 * in mm/mremap.c): by then another may have moved something there. region_is_departed takes such an
 * event for what it is, once; region_none_departed may be called when no event is due.
 */
void region_departed(struct service *s, struct process *p, uint64_t start, uint64_t end);
bool region_is_departed(struct process *p, uint64_t start, uint64_t end);
void region_none_departed(struct process *p);
/* A piece of region `id` is in the books no more. False when it was the last. */
bool region_drop_piece(struct process *p, uint64_t id);

void region_end_all(
    struct service *s, struct process *p, enum region_end_reason reason, uint64_t ts);

/* ---- late.c ---- */

/* A mapping that thread `task` has made, as perf tells: a hook may still report it. */
void late_expect(struct service *s, struct process *p, const struct perf_mapping *mapping,
    int32_t task, uint64_t ts);

/* What is mapped there now a hook has reported; what was there before is gone. */
void late_forget(struct service *s, struct process *p, uint64_t start, uint64_t end);

/*
 * Whether what lies in the range may not be what was mapped at `ts`: an event is due, and what it
 * tells of may have been moved there; or a newer record is of it. To be asked before it is
 * registered and again after: what comes there later is told later.
 */
bool late_is_doubtful(
    struct service *s, struct process *p, uint64_t start, uint64_t end, uint64_t ts);

/* Registers those that no hook has reported. */
void late_register(struct service *s, struct process *p, uint64_t now);

/* ---- fault.c ---- */

void fault_handle(
    struct service *s, struct process *p, uint64_t address, uint64_t flags, int32_t tid);

/* A fault that its own thread has served. `stack_size`: the bytes of the stack in the record. */
void fault_self_served(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size);

/* The stack that a record holds: its identifier, 0 when there is none. */
uint64_t fault_record_stack(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size);

/* FL_OP_SERVE: the bytes that are there now, or a negative errno. */
int64_t fault_serve(struct service *s, struct process *p, uint64_t address, bool write);

/* FL_OP_TOUCH: fills what is missing of a buffer that the kernel is about to use for `asker`. 0, or
   the address where it has to go on, for others wait, too; or -EAGAIN when an event has to be read
   first. */
int64_t fault_touch(struct service *s, struct process *p, struct process *asker,
    const struct fl_slot *slot, uint64_t ts);

void fault_take_samples(struct service *s);

/* A line for a page that the kernel served before it was registered. */
void fault_native(struct service *s, struct process *p, const struct interval *region,
    uint64_t page, bool is_zero_page, const struct region_origin *origin);

/* The stack of a thread that waits in a request: its identifier, 0 when there is none. */
uint64_t fault_request_stack(
    struct service *s, struct process *p, const struct fl_registers *registers, uint64_t ts);

/* ---- pending.c ---- */

/*
 * True while an event is on its way: something was unmapped or moved, and the kernel has not told
 * yet. What is registered meanwhile might be taken for what went.
 */
bool pending_event_is_due(struct process *p, uint64_t doorbell_page);
/* A fault that could not be served yet. */
void pending_add(
    struct service *s, struct process *p, uint64_t address, uint64_t flags, int32_t tid);
void pending_retry(struct service *s, struct process *p);

/*
 * What was put off in memory that has gone since. It may be a thread's second word of a touch that
 * was served long ago, and must not be taken for one of what is there now: who still waits is woken
 * and asks again.
 */
void pending_forget(struct process *p, uint64_t start, uint64_t end);

/* ---- request.c ---- */

/* A malloc arena at `base` needs no word of the shim's any more. */
void request_know_arena(struct process *p, uint64_t base);

/* Answers what thread `tid` asks, which the monitor calls `task` and which rings this page. */
void request_handle(struct service *s, struct process *p, int32_t tid, int32_t task, uint32_t page);
/* Answers a forked child that has no number yet, and asks in this slot. */
void request_handle_forked(struct service *s, struct process *p, uint32_t slot, int32_t tid);
/* The program has allocated, as a record tells that has a stack of so many bytes. */
void request_allocated(
    struct service *s, struct process *p, const struct fl_record *record, uint32_t stack_size);

/* The allocation at `address` was given to free. */
void request_freed(
    struct service *s, struct process *p, int32_t tid, uint64_t address, uint64_t ts);
/* Takes what processes of this area have told without asking. True when there was anything. */
bool request_drain_cells(struct service *s, struct shared_area *shared);

/* Before a userfaultfd is read: what explained events that were read before does no more. */
void request_free_left(struct shared_area *shared);

/* What a shim has said of an event, once for each: something else is mapped there. */
bool request_is_replacing(const struct process *p, uint64_t start, uint64_t end);

/* The kernel takes the pages when it wants. */
bool request_is_lazy(const struct process *p, uint64_t start, uint64_t end);

/* Whether the thread has told that it maps memory, and has not been answered yet; or creates a
   thread, whose stack does not look like one before that is done. */
bool request_is_mapping(const struct process *p, int32_t tid);

/* The mremap that moves what begins at `from`; NULL: nobody has said anything. */
const struct fl_slot *request_moving(const struct process *p, uint64_t from);
/* How much of it arrives, in bytes; whether the place it leaves stays mapped, and empty. */
uint64_t request_moved_bytes(const struct fl_slot *moving);
bool request_keeps(const struct fl_slot *moving);

/*
 * A touch of memory by which a mapping grows just now, of which the shim has said so: it becomes a
 * region. False when it is none.
 */
bool request_grows(struct service *s, struct process *p, uint64_t address, uint64_t ts);

/* Memory that mremap has left behind, mapped and empty, becomes a region. */
void request_left_behind(
    struct service *s, struct process *p, const struct fl_slot *moving, uint64_t to, uint64_t ts);

/* Takes the registers that the handler of --capture=signal left for `tid` at signal number `order`;
   what it left at earlier ones is of faults that were served without waiting for it. */
bool request_take_captured(
    const struct process *p, int32_t tid, uint32_t order, struct registers *registers);

/* ---- forking.c ---- */

/*
 * Where the kernel does not tell of children (UFFD_FEATURE_EVENT_FORK), they say so themselves, and
 * their parent may have changed or ended before. So what it had when it forked is kept.
 */
struct forking;

/* FL_OP_FORKING: keeps it; the number for the child's hello, or a negative errno. */
int64_t forking_keep(struct service *s, const struct process *p);

/* What was kept under that number, to be freed by the caller; NULL when there is none. */
struct forking *forking_take(struct service *s, uint32_t number);
void forking_free(struct forking *forking);

/* Whose it was. */
int32_t forking_parent(const struct forking *forking);

/* Gives it to the child: space, regions and allocations. */
void forking_inherit(struct service *s, struct process *p, const struct forking *forking);

/* ---- hello.c ---- */

/* A connection on the listening socket: a shim's hello. */
void hello_accept(struct service *s);

/* ---- ring.c ---- */

/* Takes the records that the process has published: --mode=sigbus. True when there was one. */
bool ring_drain(struct service *s, struct process *p);

/* Whether a record that was not taken yet tells that its thread filled this page. */
bool ring_holds(struct process *p, uint64_t page);

/*
 * Takes every record that was claimed before the call: what is asked for next happened after it. A
 * thread that is kept from publishing is waited for, not long, and not twice.
 */
void ring_drain_all(struct service *s, struct process *p);

/* ---- remote.c ---- */

/*
 * Copies up to `size` bytes of the process's memory and returns how many. Never touches a page that
 * is missing: of registered memory the monitor would wait for itself, and other memory may be
 * registered in the next moment.
 */
size_t remote_read(struct process *p, uint64_t address, void *to, size_t size);

/* Whether the process has the page of 4 KiB at `page` in memory. */
bool remote_is_present(const struct process *p, uint64_t page);

/* Whether it is there and protected by userfaultfd from being written: --mode=write. */
bool remote_is_protected(const struct process *p, uint64_t page);

/* The same of a process that is not known to be one of the traced ones. */
bool remote_holds(int32_t pid, uint64_t page);

/* From now on the process has other memory, or none. */
void remote_forget(const struct process *p);

/* Starts the thread that frees a read from waiting for itself all the same. 0 or negative errno. */
int remote_guard_start(void);

/* Faults that it served, without a line, since the last call. */
uint64_t remote_rescues(void);

/* What a page is, beside present: any of these bits. */
enum remote_page {
	REMOTE_ZERO = 1,      /* the shared page of zeros */
	REMOTE_PROTECTED = 2, /* --mode=write: not written yet */
};

/* Pages of [start, end) that are present, in order. */
int remote_present(struct process *p, uint64_t start, uint64_t end,
    void (*take)(void *context, uint64_t page, enum remote_page kind), void *context);

/* ---- service.c ---- */

void service_watch(struct service *s, int fd, uint64_t data);

/* Makes sure that perf samples this process, unless it inherited that from its parent. */
void service_cover(struct service *s, int32_t pid);

/* Watches what there is to watch, before the program begins. 0 or negative errno. */
int service_prepare(struct service *s);

/* Runs until the last traced process has ended. 0 or negative errno. */
int service_run(struct service *s);

#endif
