/* SPDX-License-Identifier: MIT */
/* capture.c: the three ways to a sleeping thread's registers and stack. */
#include "capture.h"

#include "rights.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES	 UINT64_C(4096)
#define RUNNING_WAIT_NS	 5000000u
#define RUNNING_SPIN	 64u /* looks before it is given our processor, if need be */
#define ANSWER_WAIT_NS	 UINT64_C(1000000000) /* a busy machine lets it wait for a processor */
#define FRAME_EXTRA	 1024u		      /* red zone, alignment, and what the handler calls */
#define ANSWER_SPIN	 256u /* looks for the answer between two at the thread's state */
#define STACK_NEAR_BYTES (256u << 10)
#define SIGNAL_FAILURES	 16u /* a thread that never answers is not asked any more */

size_t capture_read_more(void *context, uint64_t address, void *to, size_t size)
{
	return remote_read(context, address, to, size);
}

ssize_t capture_read_file(const char *path, char *text, size_t size)
{
	int fd = rights_open_proc(path);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, size - 1);
	close(fd);
	if (got >= 0)
		text[got] = '\0';
	return got;
}

/* /proc/TID/syscall gives a blocked thread's stack and instruction pointers, and whether it is
   inside a system call (proc_pid_syscall(5)). A thread with a signal to take does not sleep, and
   repeats its message until it is served. One of the kernel's own, such as a worker of io_uring,
   was never in user mode: it has neither. */
static bool capture_by_proc(
    struct process *p, uint64_t page, enum fault_kind kind, int32_t task, struct capture *c)
{
	char path[64], text[256];
	const char *words[9];
	uint64_t until = service_now() + RUNNING_WAIT_NS;
	unsigned looks = 0;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/syscall", task);
	for (;;) { /* the message comes a moment before the thread sleeps */
		if (capture_read_file(path, text, sizeof(text)) <= 0)
			return false;
		if (strncmp(text, "running", 7) != 0)
			break;
		c->outdated = kind != FAULT_WRITE_PROTECT && remote_is_present(p, page);
		if (c->outdated || service_now() > until)
			return false;
		if (++looks % RUNNING_SPIN == 0)
			sched_yield();
	}
	for (char *save, *word = strtok_r(text, " \n", &save); word && count < 9;
	     word = strtok_r(NULL, " \n", &save))
		words[count++] = word;
	if (count < 3)
		return false;
	c->origin = strcmp(words[0], "-1") == 0 ? ORIGIN_USER : ORIGIN_KERNEL;
	memset(&c->registers, 0, sizeof(c->registers));
	c->registers.r[ARCH_SP] = strtoull(words[count - 2], NULL, 16);
	c->registers.r[ARCH_IP] = strtoull(words[count - 1], NULL, 16);
	c->stackless = !c->registers.r[ARCH_SP];
	c->has_registers = !c->stackless;
	if (c->stackless)
		c->origin = ORIGIN_KERNEL;
	return c->has_registers;
}

/* Whether the thread would run our handler now: the signal is caught and not blocked. */
static bool takes_signal(int32_t task)
{
	char path[64], text[4096];
	uint64_t blocked, caught, bit = UINT64_C(1) << (FL_CAPTURE_SIGNAL_NUMBER - 1);
	const char *b, *c;

	snprintf(path, sizeof(path), "/proc/%d/status", task);
	if (capture_read_file(path, text, sizeof(text)) <= 0 || !(b = strstr(text, "\nSigBlk:")) ||
	    !(c = strstr(text, "\nSigCgt:")) || sscanf(b + 8, "%" SCNx64, &blocked) != 1 ||
	    sscanf(c + 8, "%" SCNx64, &caught) != 1)
		return false;
	return (caught & bit) && !(blocked & bit);
}

/*
 * True when the thread runs on the stack that it had before: a signal's frame takes kilobytes,
 * and an alternate signal stack, or another one that the program made, may not have them.
 */
static bool on_own_stack(struct thread *thread, uint64_t sp)
{
	uint64_t home = thread->home_sp ? thread->home_sp : sp;
	bool near = sp > home ? sp - home < STACK_NEAR_BYTES : home - sp < STACK_NEAR_BYTES;

	if (near)
		thread->home_sp = sp;
	return near;
}

/*
 * Whether a signal's frame has room where the thread is, in pages that are there: one on a stack
 * that is nearly full would end the program, and one in a page that we had to serve first would
 * wait for us while we wait for its handler. A guard page is found by one of two looks that are
 * less than its size apart. The main thread's stack grows by itself.
 */
static bool has_room(struct process *p, int32_t task, uint64_t sp)
{
	uint64_t half = (getauxval(AT_MINSIGSTKSZ) + FRAME_EXTRA) / 2;
	uint8_t byte;

	for (uint64_t at = sp - half; task != p->pid && at >= sp - 2 * half; at -= half)
		if (remote_read(p, at, &byte, 1) != 1)
			return false;
	return true;
}

/* False when the thread waits again, or is stopped: it will do nothing before we serve. */
static bool is_running(int32_t task)
{
	char path[64], text[1024];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", task);
	if (capture_read_file(path, text, sizeof(text)) <= 0)
		return false;
	end = strrchr(text, ')'); /* the name before it may hold anything */
	return end && end[1] == ' ' && end[2] == 'R';
}

/*
 * Whether to look once more for what a thread does that was woken for it. Called before the look:
 * what it was late for, or kept from by a stop of ours, has then been seen by the last one.
 */
static bool look_on(int32_t task, uint64_t until, unsigned *looks)
{
	if (++*looks % ANSWER_SPIN)
		return true;
	sched_yield();
	return service_now() < until && is_running(task);
}

/*
 * Only for a fault in user mode: inside a system call the handler would not run until the page
 * is there (Linux commit dfa37dc3fc1f), and could turn the call into EINTR. A handler whose own
 * stack needs a page that only we can serve is not waited for.
 */
static bool capture_by_signal(
    struct service *s, struct process *p, int32_t tid, int32_t task, struct capture *c)
{
	struct thread *thread = thread_slot(s, p->pid, task);
	siginfo_t info = {.si_signo = FL_CAPTURE_SIGNAL_NUMBER, .si_code = SI_QUEUE};
	unsigned looks = 0;
	uint32_t order;
	uint64_t until;
	bool more;

	if (!thread || thread->signal_failures >= SIGNAL_FAILURES || !p->shared ||
	    !on_own_stack(thread, c->registers.r[ARCH_SP]) ||
	    !has_room(p, task, c->registers.r[ARCH_SP]) || !takes_signal(task))
		return false;
	order = ++thread->signals % FL_CAPTURE_ORDERS;
	info.si_ptr = (void *)(p->state + order);
	if (syscall(SYS_rt_tgsigqueueinfo, p->pid, task, FL_CAPTURE_SIGNAL_NUMBER, &info) < 0)
		return false;
	until = service_now() + ANSWER_WAIT_NS;
	do {
		more = look_on(task, until, &looks);
		if (request_take_captured(p, tid, order, &c->registers)) {
			thread->signal_failures = 0;
			return true;
		}
	} while (more);
	thread->signal_failures++;
	return false;
}

/* Lets a thread that has stopped for us go on. A signal of its own that came first is delivered as
   it would have been. */
static void let_go(int32_t task, int status)
{
	ptrace(PTRACE_DETACH, task, NULL, status >> 16 ? 0L : (long)WSTOPSIG(status));
}

void capture_let_go(struct service *s)
{
	size_t left = 0;

	for (size_t i = 0; i < s->seized_count; i++) {
		int status = 0;
		pid_t task = waitpid(s->seized[i], &status, __WALL | WNOHANG);

		if (task == 0)
			s->seized[left++] = s->seized[i];
		else if (task > 0 && WIFSTOPPED(status))
			let_go(task, status);
	}
	s->seized_count = left;
}

/*
 * Registers of a thread that waits in user mode and takes no signal of ours, or whose sample perf
 * has lost: memory that is not traced was touched so fast that the ring went round. The kernel
 * stops the thread for us on its way to fault again, which neither the program nor its parent can
 * see. Should it not stop, because a signal has led it into a system call that waits for a page, it
 * is let go later. A debugger that is at it already is left alone.
 */
static bool capture_by_ptrace(struct service *s, int32_t task, struct capture *c)
{
	struct user_regs_struct registers;
	struct iovec part = {&registers, sizeof(registers)};
	uint64_t until = service_now() + ANSWER_WAIT_NS;
	unsigned looks = 0;
	int status = 0;
	pid_t stopped;
	bool got, more;

	if (s->seized_count == SEIZED_MAX || ptrace(PTRACE_SEIZE, task, NULL, NULL) < 0)
		return false;
	ptrace(PTRACE_INTERRUPT, task, NULL, NULL);
	do {
		more = look_on(task, until, &looks);
		stopped = waitpid(task, &status, __WALL | WNOHANG);
	} while (stopped == 0 && more);
	if (stopped == 0)
		s->seized[s->seized_count++] = task;
	if (stopped <= 0 || !WIFSTOPPED(status))
		return false;
	got = ptrace(PTRACE_GETREGSET, task, NT_PRSTATUS, &part) == 0;
	if (got)
		arch_from_user(&c->registers, &registers);
	let_go(task, status);
	return got;
}

/* The sample of this very fault: the thread's last one; or, when a signal handler of the program
   has interrupted the wait and faulted elsewhere, an older one. */
static const struct perf_sample *find_sample(
    struct service *s, struct process *p, uint64_t address, int32_t task)
{
	static struct perf_sample older;
	struct thread *thread = thread_known(s, task);
	uint64_t page = address & ~(PAGE_BYTES - 1);

	if (thread && thread->sampled && (thread->sample.addr & ~(PAGE_BYTES - 1)) == page)
		return &thread->sample;
	if (perf_find_sample(s->perf, p->pid, page, page + PAGE_BYTES, &older) &&
	    older.tid == task && (!thread || older.ts > thread->served_ns))
		return &older;
	return NULL;
}

/*
 * A child of vfork in a new PID namespace may call itself what its parent, which waits for it,
 * calls itself in its own.
 */
static int32_t guest_of(struct service *s, struct process *p, int32_t tid, int32_t task)
{
	char path[64], text[256];
	long call;

	if (!s->nested || !task)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/syscall", task);
	if (capture_read_file(path, text, sizeof(text)) <= 0)
		return 0;
	call = strtol(text, NULL, 10);
	return call == SYS_vfork || call == SYS_clone || call == SYS_clone3
		   ? namespace_find_guest(s, p, tid)
		   : 0;
}

void capture_stranger(struct service *s, struct process *p, struct process *runs, uint64_t address,
    enum fault_kind kind, int32_t task, struct capture *c)
{
	*c = (struct capture){.ts = service_now(),
	    .origin = ORIGIN_KERNEL,
	    .view = {.more = capture_read_more, .context = runs, .extra = s->stack_extra},
	    .stackless = !runs};
	if (runs && s->capture != FL_CAPTURE_NONE)
		capture_by_proc(p, address & ~(PAGE_BYTES - 1), kind, task, c);
}

void capture_fault(struct service *s, struct process *p, uint64_t address, enum fault_kind kind,
    int32_t tid, int32_t task, struct capture *c)
{
	const struct perf_sample *sample;
	int32_t guest;

	*c = (struct capture){.task = task,
	    .view = {.more = capture_read_more, .context = p, .extra = s->stack_extra}};
	if (s->capture == FL_CAPTURE_NONE) {
		c->ts = service_now();
		return;
	}
	sample = s->perf && task ? find_sample(s, p, address, task) : NULL;
	if (!sample && (guest = guest_of(s, p, tid, task))) {
		c->task = task = guest;
		sample = s->perf ? find_sample(s, p, address, task) : NULL;
	}
	if (sample) {
		c->ts = sample->ts;
		c->sampled = true;
		c->origin = sample->kernel ? ORIGIN_KERNEL : ORIGIN_USER;
		c->has_registers = sample->has_registers && sample->registers.r[ARCH_SP];
		c->registers = sample->registers;
		c->view.start = sample->registers.r[ARCH_SP];
		c->view.bytes = sample->stack;
		c->view.size = sample->stack_size;
	}
	if (!c->has_registers) {
		uint64_t page = address & ~(PAGE_BYTES - 1);

		if (!c->ts)
			c->ts = service_now();
		if (!task || !capture_by_proc(p, page, kind, task, c))
			return;
		if (c->origin == ORIGIN_KERNEL)
			return; /* a system call's own frame is simple, and perf may not sample it
				 */
		if ((s->capture != FL_CAPTURE_SIGNAL || !capture_by_signal(s, p, tid, task, c)) &&
		    !capture_by_ptrace(s, task, c))
			c->registers.r[ARCH_SP] =
			    0; /* just the innermost frame: nothing is guessed */
	}
}
