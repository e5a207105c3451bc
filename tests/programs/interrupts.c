/* SPDX-License-Identifier: MIT */
/*
 * interrupts: what signals do to a program that touches fresh memory in its handlers and in the
 * calls that they interrupt, and what they may not do: no call ends with EINTR that would not have
 * without tracing, no signal is lost, comes in another order or with another value.
 *
 *   interrupts WHAT TRUTH [COUNT]
 */
#include "notes.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define PAGES	  4
#define STKFLT	  16
#define PERIOD_US 1000

static const char *truth;
static size_t count;
static volatile sig_atomic_t handled;
static volatile bool stopping;

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};

	if (sigaction(number, &action, NULL) != 0)
		truth_fail("sigaction");
}

static volatile char *plain_map(size_t pages)
{
	void *p =
	    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		truth_fail("mmap");
	return (volatile char *)p;
}

/* Touches new memory again and again, so that the machinery of tracing is busy. */
static NOINLINE void *busy(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!stopping) {
		volatile char *p = plain_map(PAGES);

		for (size_t i = 0; i < PAGES; i++)
			p[i * PAGE] = 1;
		munmap((void *)(uintptr_t)p, PAGES * PAGE);
		free(malloc(30000));
	}
	return unused;
}

/* ---- calls that nobody interrupts ---- */

static int undisturbed(void)
{
	struct timespec nap = {.tv_nsec = 2000000}, left;
	size_t interrupted = 0, unexpected = 0;
	struct epoll_event event;
	pthread_t threads[3];
	int fds[2], epoll = epoll_create1(0);
	volatile char *fresh = notes_map(count, MAP_PRIVATE);
	sem_t never;
	sigset_t none;

	if (pipe(fds) != 0)
		truth_fail("pipe");
	sem_init(&never, 0, 0);
	sigemptyset(&none);
	for (size_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, busy, NULL);
	for (size_t i = 0; i < count; i++) {
		struct pollfd in = {.fd = fds[0], .events = POLLIN};
		struct timespec until;
		struct timeval wait = {.tv_usec = 2000};
		int results[6];
		int errors[6];
		fd_set set;

		notes_write(fresh + i * PAGE, 1, 1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 2000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		FD_ZERO(&set);
		FD_SET(fds[0], &set);
		results[0] = nanosleep(&nap, &left), errors[0] = errno;
		results[1] = poll(&in, 1, 2), errors[1] = errno;
		results[2] = select(fds[0] + 1, &set, NULL, NULL, &wait), errors[2] = errno;
		results[3] = epoll_wait(epoll, &event, 1, 2), errors[3] = errno;
		results[4] = sem_timedwait(&never, &until), errors[4] = errno;
		results[5] = sigtimedwait(&none, NULL, &nap), errors[5] = errno;
		for (size_t j = 0; j < 6; j++) {
			interrupted += results[j] < 0 && errors[j] == EINTR;
			unexpected += results[j] != (j < 4 ? 0 : -1);
		}
	}
	stopping = true;
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("interrupted %zu, unexpected %zu\n", interrupted, unexpected);
	return 0;
}

/* ---- interval timers at 1 kHz ---- */

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Leaves the program a period for itself, however slow tracing or the machine is: else ticks could
   take all of its time. */
static void on_tick(int number UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
	static volatile int64_t ended_us;

	if (now_us() - ended_us >= PERIOD_US) {
		volatile char *p = plain_map(1);

		p[100] = 1;
		munmap((void *)(uintptr_t)p, PAGE);
		ended_us = now_us();
	}
	handled++;
}

static int fds[2];

static NOINLINE void *feeder(void *unused)
{
	char bytes[PAGE];
	sigset_t all;

	memset(bytes, 'f', sizeof(bytes));
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (size_t i = 0; i < count; i++) {
		/* a reader that is slower than this must wait, too */
		for (int left = 1; left > 0; usleep(1500))
			if (ioctl(fds[1], FIONREAD, &left) != 0)
				truth_fail("FIONREAD");
		if (write(fds[1], bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
			truth_fail("write");
	}
	close(fds[1]);
	return unused;
}

/* Reads everything into pages that nobody has touched; how often the call was interrupted. */
static size_t read_fresh(volatile char *to, size_t *bytes)
{
	size_t interrupted = 0;

	*bytes = 0;
	for (;;) {
		ssize_t got = read(fds[0], (void *)(uintptr_t)(to + *bytes), PAGE);

		if (got == 0)
			return interrupted;
		if (got < 0 && errno != EINTR)
			truth_fail("read");
		interrupted += got < 0;
		*bytes += got > 0 ? (size_t)got : 0;
	}
}

static int timers(void)
{
	volatile char *fresh = notes_map(count, MAP_PRIVATE);
	struct itimerval period = {{0, PERIOD_US}, {0, PERIOD_US}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerspec posix = {{0, PERIOD_US * 1000}, {0, PERIOD_US * 1000}};

	for (int restarting = 0; restarting < 2; restarting++) {
		volatile char *to = plain_map(count + 1);
		struct timespec nap = {.tv_nsec = 40000000}, left = nap;
		size_t bytes, interrupted, right = 0, naps = 0;
		pthread_t thread;
		timer_t timer;
		int flags = restarting ? SA_RESTART : 0;

		handled = 0;
		if (pipe(fds) != 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
			truth_fail("pipe");
		handle(SIGALRM, on_tick, flags);
		handle(SIGPROF, on_tick, flags);
		handle(SIGRTMIN, on_tick, flags);
		pthread_create(&thread, NULL, feeder, NULL);
		setitimer(ITIMER_REAL, &period, NULL);
		setitimer(ITIMER_PROF, &period, NULL);
		timer_settime(timer, 0, &posix, NULL);
		interrupted = read_fresh(to, &bytes);
		notes_write(fresh + (restarting ? count / 2 : 0) * PAGE, count / 2, 1);
		while (nanosleep(&nap, &left) != 0) {
			if (errno != EINTR)
				truth_fail("nanosleep");
			nap = left;
			naps++;
		}
		setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
		setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
		timer_delete(timer);
		pthread_join(thread, NULL);
		for (size_t i = 0; i < bytes; i++)
			right += to[i] == 'f';
		printf("restarting %d: reads interrupted %s, naps %s, %zu of %zu right\n",
		    restarting, interrupted ? "some" : "none", naps ? "some" : "none", right,
		    count * PAGE);
		if (!handled)
			puts("no signal came");
	}
	return 0;
}

/* ---- order and payload ---- */

static char order[4096];
static volatile char *pages;
static volatile size_t used;

static void on_queued(int number, siginfo_t *info, void *context UNUSED)
{
	char text[64];

	notes_write(pages + used++ * PAGE, 1, 1);
	snprintf(text, sizeof(text), " %d:%d%s", number - SIGRTMIN, info->si_value.sival_int,
	    info->si_code == SI_QUEUE ? "" : "?");
	strcat(order, text);
}

static void send_all(void)
{
	for (int i = 0; i < 12; i++)
		if (sigqueue(getpid(), SIGRTMIN + 3 - i % 4, (union sigval){.sival_int = i}) != 0)
			truth_fail("sigqueue");
}

static int queue(void)
{
	struct timespec now = {0};
	struct signalfd_siginfo *read_info;
	siginfo_t info;
	sigset_t set;
	int fd, number;

	pages = notes_map(64, MAP_PRIVATE);
	sigemptyset(&set);
	for (int i = 0; i < 4; i++) {
		struct sigaction action = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO};

		/* One handler after the other. */
		sigfillset(&action.sa_mask);
		sigaction(SIGRTMIN + i, &action, NULL);
		sigaddset(&set, SIGRTMIN + i);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	send_all();
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf("handled:%s\n", order);
	sigprocmask(SIG_BLOCK, &set, NULL);
	send_all();
	fputs("waited:", stdout);
	for (int i = 0; i < 4; i++) {
		number = sigwaitinfo(&set, &info);
		printf(" %d:%d", number - SIGRTMIN, info.si_value.sival_int);
	}
	sigwait(&set, &number);
	printf(" %d", number - SIGRTMIN);
	fd = signalfd(-1, &set, 0);
	read_info = (struct signalfd_siginfo *)(uintptr_t)plain_map(1);
	for (int i = 0; i < 7; i++) {
		if (read(fd, read_info, sizeof(*read_info)) != (ssize_t)sizeof(*read_info))
			truth_fail("read");
		printf(" %d:%d", (int)read_info->ssi_signo - SIGRTMIN, read_info->ssi_int);
	}
	printf(", then %d %d\n", sigtimedwait(&set, &info, &now), errno);
	return 0;
}

/* ---- flags ---- */

static volatile int depth, deepest;
static volatile bool on_alternate;
static char alternate[65536];

static void on_nested(int number, siginfo_t *info UNUSED, void *context UNUSED)
{
	char here;

	notes_write(pages + used++ * PAGE, 1, 1);
	on_alternate = &here >= alternate && &here < alternate + sizeof(alternate);
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (depth < 5)
		raise(number);
	notes_write(pages + used++ * PAGE, 1, 1);
	depth--;
	handled++;
}

static void nested(const char *name, int flags)
{
	struct sigaction now;

	handle(SIGUSR1, on_nested, flags);
	depth = deepest = 0;
	handled = 0;
	/* Not nested, each would be sent again by the one before: five in all. */
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &now);
	printf("%s: deepest %d, %s, alternate %d, %s\n", name, deepest, handled ? "handled" : "not",
	    on_alternate, now.sa_handler == SIG_DFL ? "reset" : "kept");
}

static void on_once(int number UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
	notes_write(pages + used++ * PAGE, 1, 1);
	handled++;
}

static NOINLINE void *sender(void *main_thread)
{
	sig_atomic_t before = handled;

	/* It is blocked but in the calls that wait for it. */
	pthread_kill(*(pthread_t *)main_thread, SIGUSR2);
	while (__atomic_load_n(&handled, __ATOMIC_ACQUIRE) == before)
		usleep(100);
	pthread_kill(*(pthread_t *)main_thread, SIGUSR2);
	return NULL;
}

static int flags(void)
{
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	pthread_t self = pthread_self(), thread;
	sigset_t set, none, pending;
	int result;

	pages = notes_map(64, MAP_PRIVATE);
	sigaltstack(&stack, NULL);
	nested("no defer", SA_NODEFER);
	nested("no defer, on stack", SA_NODEFER | SA_ONSTACK);
	depth = 4;
	handle(SIGUSR1, on_once, SA_RESETHAND | SA_ONSTACK);
	handled = 0;
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	handle(SIGUSR2, on_once, 0);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	sigpending(&pending);
	printf("once %d, pending %d, ", (int)handled, sigismember(&pending, SIGUSR2));
	result = sigsuspend(&none);
	printf("suspended: %d %d, handled %d\n", result, errno, (int)handled);
	pthread_create(&thread, NULL, sender, &self);
	result = pselect(0, NULL, NULL, NULL, NULL, &none);
	printf("pselect: %d %d, handled %d\n", result, errno, (int)handled);
	result = ppoll(NULL, 0, NULL, &none);
	printf("ppoll: %d %d, handled %d\n", result, errno, (int)handled);
	pthread_join(thread, NULL);
	return 0;
}

/* ---- jumping out of handlers ---- */

static sigjmp_buf back;
static volatile char *heap;
static volatile size_t heap_pages;

/* Grows the heap by the page that is missing; where that is nothing, jumps away. */
static void on_segv(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
	size_t page = (size_t)((volatile char *)info->si_addr - heap) / PAGE;

	truth_region("mmap", pages, 0);
	notes_write(pages + used++ * PAGE, 1, 1);
	truth_region("mmap", heap, 0);
	if (page >= count)
		siglongjmp(back, 1);
	mprotect((void *)(uintptr_t)(heap + page * PAGE), PAGE, PROT_READ | PROT_WRITE);
	heap_pages++;
}

static int grow(void)
{
	volatile size_t jumps = 0;
	volatile size_t sum = 0;

	pages = notes_map(2 * count, MAP_PRIVATE);
	heap = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	handle(SIGSEGV, on_segv, 0);
	truth_region("mmap", heap, 0);
	notes_write(heap, count, 3);
	for (size_t i = 0; i < count; i++) {
		if (sigsetjmp(back, 1) == 0)
			*(volatile char *)(uintptr_t)(i + 8) = 1;
		else
			jumps++;
	}
	for (size_t i = 0; i < count; i++)
		sum += (size_t)heap[i * PAGE + i * 72 % PAGE];
	printf("heap: %zu pages, sum %zu, %zu jumps\n", heap_pages, sum, jumps);
	return 0;
}

static pthread_t jumper;
static volatile bool armed;

static void on_alarm(int number UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
	volatile char *p;

	if (!armed)
		return;
	armed = false;
	p = plain_map(1);
	*p = 1;
	siglongjmp(back, 1);
}

static NOINLINE void *alarming(void *unused)
{
	while (!stopping) {
		pthread_kill(jumper, SIGUSR1);
		usleep(300);
	}
	return unused;
}

/* Away from wherever the program was, in a call that maps memory for the most part. */
static int jump(void)
{
	volatile size_t jumps = 0, turn = 0;
	volatile char *last = notes_map(PAGES, MAP_PRIVATE);
	volatile char *volatile p;
	pthread_t thread;

	jumper = pthread_self();
	handle(SIGUSR1, on_alarm, SA_NODEFER);
	pthread_create(&thread, NULL, alarming, NULL);
	if (sigsetjmp(back, 1) != 0)
		jumps++;
	while (jumps < count) {
		armed = true;
		p = mmap((void *)(uintptr_t)0x10000000000, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (turn++ % 2 ? MAP_FIXED : 0), -1, 0);
		*p = 1;
		munmap((void *)(uintptr_t)p, PAGE);
	}
	stopping = true;
	pthread_join(thread, NULL);
	truth_region("mmap", last, 0);
	notes_write(last, PAGES, 3);
	printf("%zu jumps, right %d\n", jumps, notes_right(last, PAGES, 3) == PAGES);
	return 0;
}

/* ---- stops ---- */

static NOINLINE void child_of_stops(void)
{
	pthread_t threads[3];
	char ready = 'r';

	for (size_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, busy, NULL);
	if (write(fds[1], &ready, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int stops(void)
{
	siginfo_t info;
	char ready;
	pid_t pid;
	size_t stopped = 0, traced = 0;

	if (pipe(fds) != 0)
		truth_fail("pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child_of_stops();
	if (read(fds[0], &ready, 1) != 1)
		truth_fail("read");
	for (size_t i = 0; i < count; i++) {
		kill(pid, SIGSTOP);
		waitid(P_PID, (id_t)pid, &info, WSTOPPED);
		stopped += info.si_code == CLD_STOPPED;
		kill(pid, SIGCONT);
		waitid(P_PID, (id_t)pid, &info, WCONTINUED);
		usleep(500);
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
		for (size_t i = 0; i < count; i++) {
			ptrace(PTRACE_INTERRUPT, pid, 0, 0);
			if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | __WALL) == 0)
				traced += info.si_code == CLD_TRAPPED;
			ptrace(PTRACE_CONT, pid, 0, 0);
		}
	}
	/* Among its threads are some that wait for a page. */
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL);
	printf("stopped %zu, traced %zu, then code %d status %d\n", stopped, traced, info.si_code,
	    info.si_status);
	return !notes_live(PAGES, 1);
}

/* ---- signal 16, which has no use in Linux ---- */

static void on_fault(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
	notes_write(pages + used++ * PAGE, 1, 1);
	handled += info->si_code == SI_QUEUE ? info->si_value.sival_int : 1;
}

static int stack_fault(void)
{
	struct timespec now = {0};
	struct sigaction action;
	siginfo_t info;
	sigset_t set;
	int status;
	pid_t pid;

	pages = notes_map(64, MAP_PRIVATE);
	sigaction(STKFLT, NULL, &action);
	printf("at first: %s, flags %x\n", action.sa_handler == SIG_DFL ? "default" : "other",
	    (unsigned)action.sa_flags);
	handle(STKFLT, on_fault, SA_RESETHAND);
	raise(STKFLT);
	sigaction(STKFLT, NULL, &action);
	printf("handled %d, then %s\n", (int)handled,
	    action.sa_handler == SIG_DFL ? "default" : "other");
	handle(STKFLT, on_fault, 0);
	for (int i = 0; i < 10; i++)
		sigqueue(getpid(), STKFLT, (union sigval){.sival_int = 100});
	printf("handled %d, %s\n", (int)handled,
	    signal(STKFLT, SIG_IGN) == (sighandler_t)(uintptr_t)on_fault ? "mine" : "other");
	raise(STKFLT);
	sigemptyset(&set);
	sigaddset(&set, STKFLT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(STKFLT, SIG_DFL);
	raise(STKFLT);
	printf("waited for %d, ", sigtimedwait(&set, &info, &now));
	printf("sent by %s\n", info.si_pid == getpid() ? "myself" : "another");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		volatile char *p = plain_map(PAGES);

		p[0] = p[PAGE] = 1;
		raise(STKFLT);
		_exit(3);
	}
	waitpid(pid, &status, 0);
	printf("by default: %x\n", (unsigned)status);
	return 0;
}

/* ---- registers ---- */

#define VECTORS 16

/* Fills the vector registers, touches the page, and adds up what is left of them. */
static NOINLINE uint64_t with_vectors(volatile char *p, uint64_t seed)
{
	uint64_t out[4 * VECTORS], sum = 0;

	if (!__builtin_cpu_supports("avx")) {
		*p = 1;
		return seed;
	}
	__asm__ volatile(
	    "vmovq %2, %%xmm0\n\tvpunpcklqdq %%xmm0, %%xmm0, %%xmm0\n\t"
	    "vinsertf128 $1, %%xmm0, %%ymm0, %%ymm0\n\t"
	    "vmovaps %%ymm0, %%ymm7\n\tvmovaps %%ymm0, %%ymm15\n\t"
	    "movb $1, (%1)\n\t"
	    "vmovups %%ymm0, (%0)\n\tvmovups %%ymm7, 32(%0)\n\tvmovups %%ymm15, 64(%0)\n\t"
	    "vzeroupper"
	    :
	    : "r"(out), "r"(p), "r"(seed)
	    : "memory", "xmm0", "xmm7", "xmm15");
	for (size_t i = 0; i < 12; i++)
		sum += out[i];
	return sum / 12;
}

static void on_clobber(int number UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
	volatile double x = 1.5;

	with_vectors(plain_map(1), (uint64_t)handled * 3);
	x = x * x / 3;
	handled++;
}

static int registers(void)
{
	struct itimerval period = {{0, PERIOD_US}, {0, PERIOD_US}};
	volatile char *fresh = notes_map(count, MAP_PRIVATE);
	volatile long double sum = 0;
	size_t right = 0;

	handle(SIGALRM, on_clobber, SA_RESTART);
	setitimer(ITIMER_REAL, &period, NULL);
	for (size_t i = 0; i < count; i++) {
		truth_exact(fresh + i * PAGE, "write", NULL);
		right += with_vectors(fresh + i * PAGE, i << 20) == i << 20;
		sum += (long double)i / 3;
	}
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	printf("%zu of %zu right, sum %.3Lf\n", right, count, (long double)sum);
	return 0;
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"undisturbed", undisturbed},
    {"timers", timers},
    {"queue", queue},
    {"flags", flags},
    {"grow", grow},
    {"jump", jump},
    {"stops", stops},
    {"16", stack_fault},
    {"registers", registers},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	truth_thread("interrupts");
	fclose(fopen(truth, "w"));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int result;

		if (strcmp(argv[1], table[i].name) != 0)
			continue;
		result = table[i].function();
		truth_write(truth, "a");
		return result;
	}
	return 2;
}
