/* SPDX-License-Identifier: MIT */
/*
 * shim.h: what the interposed functions report to. Knows no libc names: hooks.c translates.
 *
 * Every function here may be called from any thread, inside signal handlers and with the
 * allocator's locks held; none allocates, locks, prints or touches errno.
 */
#ifndef FAULTLINE_SHIM_H
#define FAULTLINE_SHIM_H

#include "../options.h"
#include "../protocol.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Lives in a page that the kernel wipes in forked children (MADV_WIPEONFORK): a child by whatever
 * kind of fork finds SHIM_NEW and knows that it has to announce itself.
 */
enum shim_status {
	SHIM_NEW,	/* not announced, or a child that has not been yet */
	SHIM_ATTACHING, /* some thread is at it */
	SHIM_ATTACHED,
	SHIM_DETACHED, /* not traced: everything passes through */
};

struct shim_state {
	struct fl_state shown;
	uint32_t status;	/* enum shim_status, atomic */
	int32_t pid;		/* as the program sees it */
	uint32_t number;	/* by which the monitor knows the process */
	uint64_t program_break; /* the last one that the monitor knows, atomic */
	uint32_t break_shrunk;	/* fl_area's at that time, atomic */
	int32_t memory_uffd;	/* --mode=sigbus: descriptor + 1 of our pages' userfaultfd, or 0 */
};

/*
 * A program that filters its system calls may be killed for one of ours: from then on we make none.
 */
enum shim_quiet {
	SHIM_NOT_QUIET,
	SHIM_QUIET,
	SHIM_SILENT, /* and no requests, for they cannot be made so */
};

struct shim_channel {
	struct shim_state *state;
	struct fl_area *area;
	uint8_t *doorbell;
	uint32_t doorbell_next; /* atomic */
	uint32_t quiet;		/* enum shim_quiet, atomic; forked children have it too */
	int32_t memory_uffd;	/* the same, which a forked child closes */
	int32_t monitor;	/* its process ID, in its own PID namespace */
};
extern struct shim_channel shim_channel;

/* Around a fork: where the kernel does not tell the monitor of children, the shim does. */
void shim_forking(void);
void shim_forked(bool failed);

static inline bool shim_is_quiet(void)
{
	return __builtin_expect(
	    __atomic_load_n(&shim_channel.quiet, __ATOMIC_ACQUIRE) != SHIM_NOT_QUIET, 0);
}

/* Before the program's first filter. */
void shim_become_quiet(void);

/* Announces the process if that was not done, starting a monitor if there is none. */
void shim_attach(void);

/* True when a monitor answers; attaches first where needed. */
static inline bool shim_attached(void)
{
	struct shim_state *state = shim_channel.state;

	if (state &&
	    __builtin_expect(__atomic_load_n(&state->status, __ATOMIC_ACQUIRE) == SHIM_ATTACHED, 1))
		return true;
	if (state && __atomic_load_n(&state->status, __ATOMIC_ACQUIRE) != SHIM_NEW)
		return false;
	shim_attach();
	state = shim_channel.state;
	return state && __atomic_load_n(&state->status, __ATOMIC_ACQUIRE) == SHIM_ATTACHED;
}

/* True when what happens to memory has to be reported. */
static inline bool shim_traced(void)
{
	return shim_attached() && !__atomic_load_n(&shim_channel.area->paused, __ATOMIC_SEQ_CST);
}

/* Sends a request and waits for it: its result; -ENOTCONN when nobody answers; -EBUSY when nobody
   took others for so long that this one found no room. */
int64_t shim_request(enum fl_op op, const uint64_t argument[8]);

/*
 * Claims a slot that explains what the thread is about to do; NULL when none is free. After that it
 * is either withdrawn, or its request is sent: the same with other arguments.
 */
struct fl_slot *shim_announce(enum fl_op op, const uint64_t argument[8]);
void shim_withdraw(struct fl_slot *slot);
int64_t shim_request_announced(struct fl_slot *slot, enum fl_op op, const uint64_t argument[8]);

/* ---- tell.c: what needs no answer ---- */

/* Puts an event where the monitor will take it before it handles the next fault. */
void shim_tell(enum fl_cell_kind kind, uint64_t address);

/* The same for an allocation by the caller. False when it has to be a request: its stack is too
   large to be copied, or there is no room. */
bool shim_tell_alloc(uint64_t address, uint64_t bytes, enum fl_function function);

/*
 * Claims and publishes a record with room for `stack` bytes: --mode=sigbus. Claiming gives NULL
 * when the ring is full and the monitor does not empty it; that is counted. `bytes` is the
 * record's.
 */
struct fl_record *shim_record_claim(enum fl_record_kind kind, uint32_t stack);
void shim_record_publish(struct fl_record *record, uint64_t bytes);

/* --mode=sigbus: the kernel does not tell of what is unmapped and moved. */
static inline bool shim_tells_itself(void)
{
	return __builtin_expect(shim_traced() && shim_channel.area->sigbus, 0);
}

/* Says that memory goes, where the kernel does not: --mode=sigbus. */
void shim_memory_goes(enum fl_record_kind kind, uint64_t address, uint64_t size);

/*
 * The same around the system call by which it goes, or does not: what others do after the call
 * comes after its record. No signal is handled in between, and nothing may be asked for.
 */
struct shim_going {
	bool begun, held; /* held: signals */
	struct fl_record *record;
	uint64_t size, before; /* before: the mask of signals */
};
void shim_goes_begin(
    struct shim_going *going, enum fl_record_kind kind, uint64_t address, uint64_t size);
void shim_goes_end(struct shim_going *going, bool gone);

/* ---- stack.c: the calling thread's stack, from `sp` upwards ---- */

struct shim_extent {
	uint32_t bytes;	 /* to be copied */
	bool is_known;	 /* where the stack ends */
	bool is_whole;	 /* it is all of it */
	bool is_certain; /* it is mapped in one piece */
	bool is_main;	 /* the main thread's */
};

/* At most `most` bytes, which are at most FL_NOTE_BYTES. */
struct shim_extent shim_stack_extent(uint64_t sp, uint32_t most);

/* Copies it without touching what was never touched: how many bytes from `sp` on. */
uint32_t shim_stack_copy(uint8_t *to, uint64_t sp, const struct shim_extent *extent);

/* ---- thread_id.c ---- */

/* The calling thread as the program sees it; 0 when quiet and unknown. */
int32_t shim_thread_id(void);

/* In a new process: finds out whether libc knows it. */
void shim_thread_id_begin(void);

/* From now on something may run with another thread's block that is not that thread. */
void shim_thread_id_shared(void);

/* ---- channel.c, for others of its kind ---- */

/* CLOCK_MONOTONIC in nanoseconds; 0 when quiet: when the monitor takes what carries it. */
uint64_t shim_time(void);

/* Lets others run, for so long or, 0, for a moment. */
void shim_pass(long ns);

/* start.c: finds or starts the monitor, sends hello; `forked` as in fl_hello. 0 or negative errno.
 */
int shim_hello(struct shim_channel *channel, uint32_t forked);

/* capture.c: installs the handler for --capture=signal, in front of the program's own. */
void shim_capture_install(void);

/*
 * actions.c: from now on `handler` gets this signal first, which is SIGBUS or that of
 * --capture=signal; and what is not its own it passes on, as its last deed.
 */
void shim_action_front(int number, void (*handler)(int, siginfo_t *, void *));
void shim_action_pass(int number, siginfo_t *info, void *context);

/* handler.c: installs the SIGBUS handler of --mode=sigbus, in front of the program's own. */
void shim_handler_install(void);

/* handler.c: has the kernel serve all memory again: --mode=sigbus. 0 or a negative errno. */
int shim_memory_release(void);

/* True when threads serve their faults themselves. */
bool shim_is_sigbus(void);

/*
 * buffers.c: what lies at [start, start + size) is about to be used by the kernel, which cannot
 * wait for pages (fl_area.user_mode): has those served that are missing. `touch`: FL_TOUCH_ bits.
 */
void shim_buffer(const void *start, size_t size, unsigned touch);

/* mappings.c: the function that does what this system call does, and tells of it; or NULL. It takes
   the same arguments, and returns long. NULL, too, within SHIM_INSIDE. */
void *shim_mapping_call(long number);

/* A call of a real function that such a system call is for. It may be another interposed one, which
   makes the system call by syscall(2), as tcmalloc's mmap does. */
extern __thread bool shim_inside;
#define SHIM_INSIDE(call)                                                                          \
	({                                                                                         \
		shim_inside = true;                                                                \
		__typeof__(call) result_ = (call);                                                 \
		shim_inside = false;                                                               \
		result_;                                                                           \
	})

/* True when the kernel must find every page of a buffer there. */
static inline bool shim_is_user_mode(void)
{
	return shim_traced() && shim_channel.area->user_mode;
}

/* What /proc says that a descriptor leads to, not NUL-terminated: its length, 0 for none. */
size_t shim_descriptor_link(int32_t fd, char *text, size_t size);

/* The break as libc knows it, without a system call; NULL when libc has none. */
void *shim_program_break(void);

#endif
