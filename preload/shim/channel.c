/* SPDX-License-Identifier: MIT */
/*
 * channel.c: the shim's end of the control channel: attaching and requests.
 *
 * The rules of living inside somebody else's process, for every file of this folder:
 *  - libc only, and of libc only what takes no lock and allocates nothing; the kernel is asked
 *    by raw system calls (sys.h), so errno never changes and nothing is a cancellation point;
 *  - no thread, no descriptor kept, no lock that could be held when the program needs us;
 *  - any hook can run in any thread, inside a signal handler, under an allocator's lock, in a
 *    child of vfork, before constructors and after destructors;
 *  - whatever happens to the monitor, the program goes on: a request that nobody answers ends
 *    tracing (SHIM_DETACHED), it never waits.
 */
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#pragma GCC poison malloc calloc realloc free printf fprintf snprintf dprintf puts fopen

#define PAGE_BYTES	      4096u
#define DOORBELL_HALF	      (FL_DOORBELL_PAGES / 2)
#define DOORBELL_TRIES	      4
#define SLOT_YIELDS	      16
#define STACK_SPAN	      (64u << 20) /* two frames further apart are on two stacks */
#define SLOT_NAP_NS	      250000
#define SLOT_NAP_MAX_NS	      16000000
#define SLOT_WAIT_NS	      100000000000
#define END_NAPS	      400
#define QUIET_TURN_NS	      50
#define MADV_DONTNEED_LOCKED_ 24 /* Linux 5.18 */

struct shim_channel shim_channel;

static void doorbell_clear(uint32_t first, uint32_t pages)
{
	uint8_t *start = shim_channel.doorbell + (size_t)first * PAGE_BYTES;
	size_t size = (size_t)pages * PAGE_BYTES;

	/* A program that called mlockall has locked the doorbell too. */
	if (SYS3(SYS_madvise, start, size, MADV_DONTNEED) == -EINVAL)
		SYS3(SYS_madvise, start, size, MADV_DONTNEED_LOCKED_);
}

static uint32_t next_page(void)
{
	uint32_t page = __atomic_fetch_add(&shim_channel.doorbell_next, 1, __ATOMIC_RELAXED) %
			FL_DOORBELL_PAGES;

	if (page % DOORBELL_HALF == 0 && !shim_is_quiet())
		doorbell_clear(page, DOORBELL_HALF);
	return page;
}

/* Touches a fresh page of the doorbell until the slot is answered; see protocol.h. */
static int doorbell_ring(struct fl_slot *slot)
{
	uint32_t own = FL_DOORBELL_PAGES + (uint32_t)(slot - shim_channel.area->slots);

	for (int i = 0; i < DOORBELL_TRIES; i++) {
		bool quiet = shim_is_quiet();
		uint32_t page = slot->op == FL_OP_FORKED ? own : next_page();
		volatile uint8_t *at = shim_channel.doorbell + (size_t)page * PAGE_BYTES;

		__atomic_store_n(&slot->page, page, __ATOMIC_RELEASE);
		if (i > 0 &&
		    !quiet) /* used by a thread that was slow by a whole round, or by the parent */
			doorbell_clear(page, 1);
		if (quiet)
			*at = 1;
		else
			(void)*at;
		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == FL_SLOT_DONE)
			return 0;
	}
	return -ENOTCONN;
}

uint64_t shim_time(void)
{
	struct timespec now;

	if (shim_is_quiet())
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void shim_pass(long ns)
{
	const struct timespec nap = {.tv_nsec = ns};

	if (shim_is_quiet())
		for (long i = 0; i <= ns / QUIET_TURN_NS; i++)
			__builtin_ia32_pause();
	else if (ns)
		SYS2(SYS_nanosleep, &nap, NULL);
	else
		SYS1(SYS_sched_yield, 0);
}

/* True when a frame at `sp` had been left by the time when one at `later_sp` was made. */
static bool was_left(uint64_t sp, uint64_t later_sp)
{
	return later_sp >= sp && later_sp - sp < STACK_SPAN;
}

/*
 * A signal handler that jumps out of a request, or of a call that was announced, leaves the slot
 * behind. It shows by what the thread did afterwards, at the same height of its stack or above.
 */
static bool is_abandoned(const struct fl_slot *slot, int32_t tid)
{
	const struct fl_slot *slots = shim_channel.area->slots;
	uint64_t sp = slot->registers.sp;
	stack_t stack = {0};

	if (slot->tid != tid) /* of a thread that is gone? */
		return SYS2(SYS_tkill, slot->tid, 0) == -ESRCH;
	for (uint32_t i = 0; i < FL_SLOTS; i++)
		if (__atomic_load_n(&slots[i].state, __ATOMIC_ACQUIRE) != FL_SLOT_FREE &&
		    slots[i].process == slot->process && slots[i].tid == tid &&
		    slots[i].order > slot->order && was_left(sp, slots[i].registers.sp))
			return true;
	SYS2(SYS_sigaltstack, NULL, &stack);
	return !(stack.ss_flags & SS_ONSTACK) && was_left(sp, (uint64_t)__builtin_frame_address(0));
}

/* When no slot is free: those that nobody will ever free. */
static void slots_reclaim(void)
{
	const struct shim_state *own = shim_channel.state;
	int32_t tid = shim_thread_id();

	/* A child of vfork may be in another PID namespace than the threads of its memory. */
	if (shim_is_quiet() || !own->number || (int32_t)SYS1(SYS_getpid, 0) != own->pid)
		return;

	for (uint32_t i = 0; i < FL_SLOTS; i++) {
		struct fl_slot *slot = &shim_channel.area->slots[i];
		uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

		if ((state == FL_SLOT_READY || state == FL_SLOT_DONE ||
			state == FL_SLOT_ANNOUNCED) &&
		    slot->process == own->number && is_abandoned(slot, tid))
			__atomic_compare_exchange_n(&slot->state, &state, FL_SLOT_FREE, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
}

/* What was left may explain an event that the monitor has read, and not handled yet: only when
   there is no other. */
static struct fl_slot *slot_claim(void)
{
	struct fl_slot *slots = shim_channel.area->slots;
	int32_t tid = shim_thread_id();
	uint32_t first = (uint32_t)tid;

	for (uint32_t i = 0; i < 2 * FL_SLOTS; i++) {
		struct fl_slot *slot = &slots[(first + i) % FL_SLOTS];
		uint32_t expected = i < FL_SLOTS ? FL_SLOT_FREE : FL_SLOT_LEFT;

		if (__atomic_compare_exchange_n(&slot->state, &expected, FL_SLOT_CLAIMED, false,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			slot->process = shim_channel.state->number;
			slot->tid = tid;
			slot->order =
			    __atomic_fetch_add(&shim_channel.area->claims, 1, __ATOMIC_RELAXED);
			return slot;
		}
	}
	return NULL;
}

static void slot_release(struct fl_slot *slot)
{
	__atomic_store_n(&slot->state, FL_SLOT_FREE, __ATOMIC_RELEASE);
}

static void slot_fill(struct fl_slot *slot, enum fl_op op, const uint64_t argument[8])
{
	slot->op = op;
	for (int i = 0; i < 8; i++)
		slot->argument[i] = argument ? argument[i] : 0;
	SYS_REGISTERS(&slot->registers);
}

static int64_t slot_request(struct fl_slot *slot, enum fl_op op, const uint64_t argument[8])
{
	int64_t result;

	if (shim_is_quiet()) /* it need not be what the kernel calls it: in a child of vfork */
		slot->tid = 0;
	slot_fill(slot, op, argument);
	if (op == FL_OP_FORKED)
		shim_channel.state->shown.slot = (uint32_t)(slot - shim_channel.area->slots) + 1;
	__atomic_store_n(&slot->state, FL_SLOT_READY, __ATOMIC_RELEASE);
	result = doorbell_ring(slot);
	if (result == 0)
		result = slot->result;
	slot_release(slot);
	return result;
}

static int64_t request(enum fl_op op, const uint64_t argument[8])
{
	struct fl_slot *slot;
	long waited_ns = 0, nap_ns = SLOT_NAP_NS;

	/* More threads ask at once than there are slots: each is answered within microseconds,
	   unless the monitor is stopped; when it is dead, every slot becomes free. */
	for (int i = 0; !(slot = slot_claim()); i++) {
		if (i == 0 || i == SLOT_YIELDS)
			slots_reclaim();
		if (waited_ns > SLOT_WAIT_NS) {
			__atomic_fetch_add(&shim_channel.area->full, 1, __ATOMIC_RELAXED);
			return -EBUSY;
		}
		if (i < SLOT_YIELDS) {
			shim_pass(0);
			continue;
		}
		/* A thousand threads that look every millisecond leave no time for what they wait
		 * for. */
		shim_pass(nap_ns);
		waited_ns += nap_ns;
		if (nap_ns < SLOT_NAP_MAX_NS)
			nap_ns *= 2;
	}
	return slot_request(slot, op, argument);
}

size_t shim_descriptor_link(int32_t fd, char *text, size_t size)
{
	char path[32] = "/proc/self/fd/", digits[12];
	size_t length = sizeof("/proc/self/fd/") - 1, count = 0;
	long got;

	for (uint32_t rest = (uint32_t)fd; count == 0 || rest; rest /= 10)
		digits[count++] = (char)('0' + rest % 10);
	while (count)
		path[length++] = digits[--count];
	got = SYS3(SYS_readlink, path, text, size);
	return got > 0 ? (size_t)got : 0;
}

/* The handler's descriptor, unless the program has closed it and has another file there now. */
static void close_memory_uffd(int32_t fd)
{
	static const char kind[] = "anon_inode:[userfaultfd]";
	char text[sizeof(kind)] = "";

	if (shim_descriptor_link(fd, text, sizeof(text)) == sizeof(kind) - 1 &&
	    memcmp(text, kind, sizeof(kind) - 1) == 0)
		SYS1(SYS_close, fd);
}

static void release_memory_uffd(void)
{
	int32_t uffd = __atomic_exchange_n(&shim_channel.state->memory_uffd, 0, __ATOMIC_ACQ_REL);

	if (!uffd)
		return;
	shim_channel.memory_uffd = 0;
	close_memory_uffd(uffd - 1);
}

/*
 * A monitor that dies gives back the memory of one process after the other: what the kernel does
 * not wait for, in this process or in another, is right when it is gone.
 */
static void await_end(void)
{
	int32_t monitor = shim_channel.monitor;

	for (int i = 0; i < END_NAPS && monitor && !shim_is_quiet() &&
			!__atomic_load_n(&shim_channel.area->ended, __ATOMIC_ACQUIRE) &&
			SYS2(SYS_kill, monitor, 0) != -ESRCH;
	     i++)
		shim_pass(SLOT_NAP_NS);
}

/*
 * Nobody answers any more. With --mode=sigbus our own descriptor keeps the registrations of a
 * monitor that died; one that ended tracing took them back itself. Every thread that comes here
 * does all of it: none can wait for another, which may be the one that its signal handler
 * interrupted.
 */
static void detach(void)
{
	struct shim_state *state = shim_channel.state;
	bool kept = state->memory_uffd &&
		    !__atomic_load_n(&shim_channel.area->ended, __ATOMIC_ACQUIRE) &&
		    shim_memory_release() == 0;

	await_end();
	__atomic_store_n(&state->status, SHIM_DETACHED, __ATOMIC_RELEASE);
	if (!kept) /* else other threads may be at it */
		release_memory_uffd();
}

static int64_t checked(int64_t result)
{
	if (result == -ENOTCONN)
		detach();
	return result;
}

int64_t shim_request(enum fl_op op, const uint64_t argument[8])
{
	return checked(request(op, argument));
}

int64_t shim_request_announced(struct fl_slot *slot, enum fl_op op, const uint64_t argument[8])
{
	return checked(slot ? slot_request(slot, op, argument) : request(op, argument));
}

struct fl_slot *shim_announce(enum fl_op op, const uint64_t argument[8])
{
	struct fl_slot *slot = slot_claim();

	if (!slot)
		return NULL;
	slot_fill(slot, op, argument);
	slot->moved = 0;
	slot->up_to = slot->target_up_to = 0;
	__atomic_store_n(&slot->state, FL_SLOT_ANNOUNCED, __ATOMIC_RELEASE);
	return slot;
}

void shim_withdraw(struct fl_slot *slot)
{
	if (!slot)
		return;
	__atomic_store_n(&slot->state, FL_SLOT_LEFT, __ATOMIC_RELEASE);
	__atomic_fetch_add(&shim_channel.area->left, 1, __ATOMIC_RELEASE);
}

/* The page that tells a forked child from its parent. */
static struct shim_state *state_create(void)
{
	long page = SYS6(
	    SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page < 0)
		return NULL;
	if (SYS3(SYS_madvise, page, PAGE_BYTES, MADV_WIPEONFORK) < 0) {
		SYS2(SYS_munmap, page, PAGE_BYTES);
		return NULL;
	}
	return (struct shim_state *)page;
}

/* What FL_OP_FORKING said to the thread that forks; its child finds it here. */
static __thread uint32_t fork_number;

void shim_forking(void)
{
	int64_t result;

	if (!shim_traced() || shim_is_quiet() || !shim_channel.area->tell_forks ||
	    !shim_channel.area->follow)
		return;
	result = shim_request(FL_OP_FORKING, NULL);
	fork_number = result > 0 ? (uint32_t)result : 0;
}

void shim_forked(bool failed)
{
	if (failed && fork_number)
		shim_request(FL_OP_NOT_FORKED, (uint64_t[8]){fork_number});
	fork_number = 0;
}

/* A child of fork: its userfaultfd reached the monitor by itself where the kernel permits that
   (EVENT_FORK), and then the inherited doorbell works at once. */
static int attach_forked(void)
{
	int64_t result;

	if (shim_channel.memory_uffd) { /* the parent's: it would fill the parent's pages */
		close_memory_uffd(shim_channel.memory_uffd - 1);
		shim_channel.memory_uffd = 0;
	}
	if (!shim_channel.area->follow)
		return -ECANCELED;
	result = request(FL_OP_FORKED, (uint64_t[8]){(uint64_t)shim_channel.state->pid});
	if (result == -ENOTCONN && !shim_is_quiet())
		return shim_hello(&shim_channel, fork_number ? fork_number : 1);
	if (result < 0)
		return (int)result;
	shim_channel.state->number = (uint32_t)result;
	return 0;
}

void shim_attach(void)
{
	struct shim_state *state = shim_channel.state;
	uint32_t expected = SHIM_NEW;
	int result;

	if (!state) {
		static uint32_t started; /* one thread creates the page; the others pass through */

		if (__atomic_exchange_n(&started, 1, __ATOMIC_ACQ_REL))
			return;
		state = state_create();
		if (!state)
			return;
		__atomic_store_n(&shim_channel.state, state, __ATOMIC_RELEASE);
	}
	if (!__atomic_compare_exchange_n(&state->status, &expected, SHIM_ATTACHING, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	if (!shim_is_quiet()) {
		shim_thread_id_begin();
		state->pid = (int32_t)SYS1(SYS_getpid, 0);
		/* libc learns the break when it first moves it; the kernel always knows. */
		state->program_break = (uint64_t)SYS1(SYS_brk, 0);
	} else {
		state->program_break = (uint64_t)shim_program_break();
	}
	if (shim_channel.quiet == SHIM_SILENT)
		result = -EPERM;
	else if (shim_channel.area)
		result = attach_forked();
	else
		result = shim_hello(&shim_channel, 0);
	if (result == 0 && shim_channel.area->sigbus && !shim_is_quiet())
		shim_handler_install();
	if (result == 0 && shim_channel.area->capture_signal && !shim_is_quiet())
		shim_capture_install();
	__atomic_store_n(
	    &state->status, result == 0 ? SHIM_ATTACHED : SHIM_DETACHED, __ATOMIC_RELEASE);
}

void shim_become_quiet(void)
{
	int64_t result;

	if (shim_is_quiet() || !shim_attached())
		return;
	shim_thread_id_begin(); /* nobody can be asked then; a child of vfork is not known */
	result = shim_request(FL_OP_QUIET, NULL);
	/* From now on the monitor fills, and when it dies the kernel gives the memory back. */
	release_memory_uffd();
	__atomic_store_n(
	    &shim_channel.quiet, result == 0 ? SHIM_QUIET : SHIM_SILENT, __ATOMIC_RELEASE);
	if (result < 0)
		__atomic_store_n(&shim_channel.state->status, SHIM_DETACHED, __ATOMIC_RELEASE);
}
