/* SPDX-License-Identifier: MIT */
/*
 * handler.c: --mode=sigbus: the thread that touches a missing page serves itself. The kernel sends
 * it SIGBUS; the handler fills the page, leaves a record with registers and stack in the ring, and
 * the instruction runs again. Also what makes that possible: SIGBUS is never blocked, and no stack
 * lies in memory that is traced. The program's own handler comes after this one (actions.c).
 *
 * The handler runs in any thread at any instruction, on whatever stack is in use: raw system calls,
 * no locks, little stack.
 */
#include "../userfaultfd.h"
#include "real.h"
#include "shim.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define PAGE_BYTES     4096u
#define BUS_BIT	       (UINT64_C(1) << (SIGBUS - 1))
#define DETACHED_TRIES 20    /* milliseconds */
#define QUIET_NAP      20000 /* turns, about one */
#define WRITE_BIT      2     /* of a page fault's error code: AMD64 manual, volume 2, 8.4.2 */

static const uint8_t zeros[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

static __thread bool blocks_bus; /* what the program believes of this thread */
static uint32_t installed;	 /* atomic */

/* ---- filling ---- */

bool shim_is_sigbus(void)
{
	return __atomic_load_n(&installed, __ATOMIC_ACQUIRE) && shim_channel.area &&
	       shim_channel.area->sigbus;
}

/* 0; -EEXIST: the page is there already; or another error: it is none that can be filled so. */
static long fill(uint64_t page, bool write)
{
	int fd = shim_channel.state->memory_uffd - 1;
	struct uffdio_copy copy = {.dst = page, .src = (uint64_t)zeros, .len = PAGE_BYTES};
	struct uffdio_zeropage zero = {.range = {page, PAGE_BYTES}};

	if (fd < 0 || shim_is_quiet())
		return -EBADF; /* the monitor may */
	return write || !shim_channel.area->reads_share_zeros
		   ? SYS3(SYS_ioctl, fd, UFFDIO_COPY, &copy)
		   : SYS3(SYS_ioctl, fd, UFFDIO_ZEROPAGE, &zero);
}

/* ---- the record ---- */

/* What the record of a fault is claimed with. */
struct captured {
	uint64_t address;
	bool write;
	struct shim_extent stack;
	const greg_t *g;
};

static struct fl_record *claim(const struct captured *c)
{
	return shim_record_claim(FL_RECORD_FAULT, c->stack.bytes);
}

static void publish(struct fl_record *record, const struct captured *c, uint64_t bytes)
{
	const greg_t *g = c->g;

	if (!record)
		return;
	record->address = c->address;
	record->write = c->write;
	record->registers = (struct fl_registers){.ip = (uint64_t)g[REG_RIP],
	    .sp = (uint64_t)g[REG_RSP],
	    .bp = (uint64_t)g[REG_RBP],
	    .bx = (uint64_t)g[REG_RBX],
	    .r12 = (uint64_t)g[REG_R12],
	    .r13 = (uint64_t)g[REG_R13],
	    .r14 = (uint64_t)g[REG_R14],
	    .r15 = (uint64_t)g[REG_R15]};
	record->stack_size = shim_stack_copy(record->stack, record->registers.sp, &c->stack);
	shim_record_publish(record, bytes);
}

/*
 * The record is claimed before the page is filled: a monitor that finds the page there finds its
 * record, too, and does not take the page for one that the kernel filled.
 */
static int64_t fill_and_record(const struct captured *c)
{
	uint64_t page = c->address & ~(uint64_t)(PAGE_BYTES - 1);
	struct fl_record *record = claim(c);
	int64_t result = shim_channel.area->coarse ? -EBADF : fill(page, c->write);

	if (result == 0) {
		publish(record, c, PAGE_BYTES);
		return PAGE_BYTES;
	}
	if (record) {
		record->kind = FL_RECORD_PAD;
		shim_record_publish(record, 0);
	}
	if (result == -EEXIST)
		return result;
	/* Huge pages, blocks, a program that closed our descriptor; or no page of ours. */
	result = shim_request(FL_OP_SERVE, (uint64_t[8]){page, c->write});
	if (result > 0)
		publish(claim(c), c, (uint64_t)result);
	return result;
}

/* ---- the handler ---- */

/*
 * A touch that nobody can serve is tried once more: another thread may just have ended the tracing
 * of that page. The same touch again is the program's own bus error. After the monitor's death the
 * kernel may take a moment to give memory back whose descriptor the program has closed.
 */
static bool try_again(uint64_t address, uint64_t ip)
{
	static struct {
		uint64_t touch;
		uint32_t count;
	} tried[64];
	const struct timespec nap = {.tv_nsec = 1000000};
	uint32_t status = __atomic_load_n(&shim_channel.state->status, __ATOMIC_ACQUIRE);
	uint32_t at = (uint32_t)((uint64_t)__builtin_thread_pointer() >> 12) % 64;
	uint64_t touch = address ^ (ip << 1) ^ 1;

	if (__atomic_exchange_n(&tried[at].touch, touch, __ATOMIC_RELAXED) != touch) {
		__atomic_store_n(&tried[at].count, 0, __ATOMIC_RELAXED);
		return true;
	}
	if (status == SHIM_DETACHED &&
	    __atomic_add_fetch(&tried[at].count, 1, __ATOMIC_RELAXED) < DETACHED_TRIES) {
		for (int i = 0; i < QUIET_NAP && shim_is_quiet(); i++)
			__builtin_ia32_pause();
		if (!shim_is_quiet())
			SYS2(SYS_nanosleep, &nap, NULL);
		return true;
	}
	__atomic_store_n(&tried[at].touch, 0, __ATOMIC_RELAXED);
	return false;
}

static int unregister(uint64_t start, uint64_t size)
{
	struct uffdio_range range = {start, size};

	return (int)SYS3(SYS_ioctl, shim_channel.state->memory_uffd - 1, UFFDIO_UNREGISTER, &range);
}

/* Mappings that are none of ours refuse, and stay as they are. */
int shim_memory_release(void)
{
	uint64_t ends[2] = {0};
	unsigned which = 0; /* 0, 1: in an address; 2: in the rest of a line */
	char text[1024];
	long got, fd = SYS4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return (int)fd;
	while ((got = SYS3(SYS_read, fd, text, sizeof(text))) > 0)
		for (long i = 0; i < got; i++) {
			char c = text[i];

			if (c == '\n') {
				ends[0] = ends[1] = which = 0;
			} else if (which < 2 && (c == '-' || c == ' ')) {
				if (++which == 2)
					unregister(ends[0], ends[1] - ends[0]);
			} else if (which < 2) {
				ends[which] = ends[which] * 16 +
					      (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
			}
		}
	SYS1(SYS_close, fd);
	return (int)got;
}

/*
 * Without a monitor a page that is still registered is filled and not told; one that cannot be
 * filled so, such as a huge page, is given back to the kernel. What is not registered is none of
 * ours (ENOENT), though the kernel would say that it has been given back.
 */
static int64_t fill_alone(uint64_t address, bool write)
{
	static const uint64_t sizes[] = {PAGE_BYTES, UINT64_C(2) << 20, UINT64_C(1) << 30};
	int64_t result = fill(address & ~(uint64_t)(PAGE_BYTES - 1), write);

	for (size_t i = 0;
	     i < 3 && result < 0 && result != -EEXIST && result != -ENOENT && !shim_is_quiet(); i++)
		result = unregister(address & ~(sizes[i] - 1), sizes[i]);
	return result < 0 ? result : PAGE_BYTES;
}

/* True when the program can go on. */
static bool serve(const siginfo_t *info, const greg_t *g)
{
	struct captured c = {
	    .address = (uint64_t)info->si_addr, .write = g[REG_ERR] & WRITE_BIT, .g = g};
	int64_t bytes = -ENOTCONN;
	uint32_t status;

	if (info->si_code != BUS_ADRERR)
		return false;
	status = __atomic_load_n(&shim_channel.state->status, __ATOMIC_ACQUIRE);
	if (status == SHIM_ATTACHED || status == SHIM_ATTACHING) {
		c.stack = shim_stack_extent((uint64_t)g[REG_RSP], shim_channel.area->stack_bytes);
		bytes = fill_and_record(&c);
	}
	if (bytes == -ENOTCONN)
		bytes = fill_alone(c.address, c.write);
	return bytes > 0 || bytes == -EEXIST || bytes == -EAGAIN ||
	       try_again(c.address, (uint64_t)g[REG_RIP]);
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	if (!serve(info, ((ucontext_t *)context)->uc_mcontext.gregs))
		shim_action_pass(number, info, context);
}

static void unblock(void)
{
	uint64_t bus = BUS_BIT;

	SYS4(SYS_rt_sigprocmask, SIG_UNBLOCK, &bus, 0, sizeof(bus));
}

void shim_handler_install(void)
{
	int saved = errno;

	(void)*(const volatile uint8_t *)zeros;
	shim_action_front(SIGBUS, on_bus_error);
	__atomic_store_n(&installed, 1, __ATOMIC_RELEASE);
	unblock();
	errno = saved;
}

/* ---- which signals are blocked ---- */

/* A copy of `mask` that leaves SIGBUS through; `mask` itself where that changes nothing. */
static const sigset_t *let_through(const sigset_t *mask, sigset_t *copy)
{
	if (!mask || !shim_is_sigbus() || !sigismember(mask, SIGBUS))
		return mask;
	*copy = *mask;
	sigdelset(copy, SIGBUS);
	return copy;
}

static int change_mask(
    int (*change)(int, const sigset_t *, sigset_t *), int how, const sigset_t *mask, sigset_t *old)
{
	bool before = blocks_bus, named;
	sigset_t copy, wanted;
	int result;

	if (!shim_is_sigbus())
		return change(how, mask, old);
	if (mask)
		wanted = *mask; /* it may be `old` as well */
	named = mask && sigismember(mask, SIGBUS);
	result = change(how, mask ? let_through(&wanted, &copy) : NULL, old);
	if (result != 0)
		return result;
	if (old && before)
		sigaddset(old, SIGBUS);
	if (mask && how == SIG_SETMASK)
		blocks_bus = named;
	else if (named)
		blocks_bus = how == SIG_BLOCK;
	return 0;
}

EXPORT int sigprocmask(int how, const sigset_t *mask, sigset_t *old)
{
	if (!real_ready())
		return -1;
	return change_mask(real.sigprocmask, how, mask, old);
}

EXPORT int pthread_sigmask(int how, const sigset_t *mask, sigset_t *old)
{
	if (!real_ready())
		return EAGAIN;
	return change_mask(real.pthread_sigmask, how, mask, old);
}

EXPORT int sigsuspend(const sigset_t *mask)
{
	sigset_t copy;

	if (!real_ready())
		return -1;
	return real.sigsuspend(let_through(mask, &copy));
}

EXPORT int ppoll(
    struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;

	if (!real_ready())
		return -1;
	shim_buffer(fds, count * sizeof(*fds), 0);
	return real.ppoll(fds, count, timeout, let_through(mask, &copy));
}

EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *except,
    const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;

	if (!real_ready())
		return -1;
	return real.pselect(count, in, out, except, timeout, let_through(mask, &copy));
}

EXPORT int epoll_pwait(
    int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
	sigset_t copy;

	if (!real_ready())
		return -1;
	if (count > 0)
		shim_buffer(events, (size_t)count * sizeof(*events), FL_TOUCH_WRITE);
	return real.epoll_pwait(fd, events, count, timeout, let_through(mask, &copy));
}

/* ---- stacks ---- */

/* The kernel puts a signal's frame on the stack, and would not wait for a page of it. */
static void becomes_stack(const void *start, size_t size)
{
	if (start && size && shim_is_user_mode())
		shim_request(FL_OP_STACK, (uint64_t[8]){(uint64_t)start, size});
}

EXPORT int sigaltstack(const stack_t *stack, stack_t *old)
{
	if (!real_ready())
		return -1;
	if (stack && !(stack->ss_flags & SS_DISABLE))
		becomes_stack(stack->ss_sp, stack->ss_size);
	return real.sigaltstack(stack, old);
}

EXPORT int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	struct fl_slot *creating = NULL;
	void *stack = NULL;
	size_t size = 0;
	int error;

	if (!real_ready())
		return EAGAIN;
	/* Attributes that hold no stack say that one ends at 0. */
	if (attributes && shim_is_user_mode() &&
	    pthread_attr_getstack(attributes, &stack, &size) == 0 && (uintptr_t)stack + size != 0)
		becomes_stack(stack, size);
	if (shim_traced())
		creating = shim_announce(FL_OP_CREATE, NULL);
	error = real.pthread_create(thread, attributes, start, argument);
	shim_withdraw(creating);
	return error;
}

__attribute__((used)) static void context_made(const ucontext_t *context)
{
	int saved = errno;

	if (real_ready())
		becomes_stack(context->uc_stack.ss_sp, context->uc_stack.ss_size);
	errno = saved;
}

/* A stack for clone is given by its end; nobody says how large it is. */
__attribute__((used)) static void clone_stack(int (*function)(void *), const char *end)
{
	int saved = errno;

	(void)function;
	shim_thread_id_shared();
	if (real_ready() && end && shim_is_user_mode())
		shim_request(FL_OP_STACK, (uint64_t[8]){(uint64_t)end - 1, 0});
	errno = saved;
}

#define UNUSED __attribute__((unused))

EXPORT __attribute__((naked)) void makecontext(
    UNUSED ucontext_t *context, UNUSED void (*function)(void), UNUSED int count, ...)
{
	REAL_FORWARD("", context_made, "", makecontext, 0);
}

EXPORT __attribute__((naked)) int clone(UNUSED int (*function)(void *), UNUSED void *stack,
    UNUSED int flags, UNUSED void *argument, ...)
{
	REAL_FORWARD("", clone_stack, "", clone, 0);
}
