/* SPDX-License-Identifier: MIT */
/*
 * sighandler: touches inside signal handlers, on the thread's stack and on an alternate one, for
 * signals that are raised, that come from another thread, and that are the touch's own doing; and
 * alternate stacks that the kernel is the first to write to.
 *
 *   sighandler TRUTH PAGES
 */
#include "touch.h"

#include <signal.h>
#include <sys/time.h>

#define READ_WRITE   (PROT_READ | PROT_WRITE)
#define STACK_PAGES  16
#define SHORT_ROUNDS 50

static size_t pages, used;
static volatile char *memory, *sealed;
static volatile sig_atomic_t handled, looping;

static NOINLINE void in_handler(void)
{
	TRACED();
	nest((unsigned)used, used % 2 ? note_and_write : note_and_read, touch_place(memory, used));
	used++;
}

static NOINLINE void on_signal(int signal UNUSED)
{
	TRACED();
	in_handler();
	handled++;
}

/* libc's and the vdso's code touches a page from within a handler. */
static NOINLINE void on_signal_clock(int signal UNUSED)
{
	TRACED();
	volatile char *p = touch_place(memory, used++);

	truth_page(p, "write", NULL, NULL);
	if (gettimeofday((struct timeval *)(uintptr_t)p, NULL) != 0)
		truth_fail("gettimeofday");
	handled++;
}

/* The interrupted instruction is a store in a function's middle, not a call. */
static NOINLINE void on_segv(int signal UNUSED, siginfo_t *info, void *context UNUSED)
{
	TRACED();
	in_handler();
	if (info->si_addr != (const void *)(uintptr_t)sealed)
		truth_fail("si_addr");
	mprotect((void *)(uintptr_t)((uintptr_t)sealed / PAGE * PAGE), PAGE, READ_WRITE);
	handled++;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	static const int others[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGURG};
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	/* Handlers share the next page to touch, so none interrupts another. */
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		sigaddset(&action.sa_mask, others[i]);
	if (sigaction(signal, &action, NULL) != 0)
		truth_fail("sigaction");
}

static NOINLINE void raised(int signal)
{
	TRACED();
	if (raise(signal) != 0)
		truth_fail("raise");
}

static NOINLINE void write_sealed(void)
{
	/* Noted: the handler's pages, with this function as the one interrupted. */
	*sealed = 5;
}

static NOINLINE void by_segv(void)
{
	TRACED();
	const struct truth_frame *here = truth_self.top;

	sealed = touch_map(PAGE, PROT_NONE, MAP_PRIVATE) + 123;
	truth_self.top = truth_push("write_sealed", here);
	write_sealed();
	truth_self.top = here;
	if (*sealed != 5)
		truth_fail("the store was lost");
}

/* The kernel puts the signal's frame on a stack that nobody has touched before. */
static NOINLINE void on_fresh_stack(void)
{
	TRACED();
	volatile char *stack = touch_map(STACK_PAGES * PAGE, READ_WRITE, MAP_PRIVATE);
	stack_t alternate = {.ss_sp = (void *)(uintptr_t)stack, .ss_size = STACK_PAGES * PAGE};
	struct truth_place place = truth_self.place;

	truth_region("mmap", stack, STACK_PAGES * PAGE);
	truth_page(stack + (STACK_PAGES - 1) * PAGE, "write", "kernel", "raised");
	truth_self.place = place;
	if (sigaltstack(&alternate, NULL) != 0)
		truth_fail("sigaltstack");
	raised(SIGUSR2);
}

static NOINLINE void *other_thread(void *boss)
{
	truth_thread("sender");
	while (!__atomic_load_n(&looping, __ATOMIC_ACQUIRE))
		usleep(100);
	for (int i = 0; i < SHORT_ROUNDS; i++) {
		sig_atomic_t before = __atomic_load_n(&handled, __ATOMIC_ACQUIRE);

		if (pthread_kill(*(pthread_t *)boss, SIGALRM) != 0)
			truth_fail("pthread_kill");
		while (__atomic_load_n(&handled, __ATOMIC_ACQUIRE) == before)
			usleep(100);
	}
	return NULL;
}

/* A loop that no function call leaves: where the signal comes in is plain. */
static NOINLINE void interrupted_loop(sig_atomic_t until)
{
	TRACED();
	__atomic_store_n(&looping, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < until)
		;
}

int main(int argc, char **argv)
{
	struct sigaction segv = {.sa_flags = SA_SIGINFO};
	pthread_t thread, self = pthread_self();

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("sighandler");
	TRACED();
	memory = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);
	truth_region("mmap", memory, pages * PAGE);
	segv.sa_sigaction = on_segv;
	sigaction(SIGSEGV, &segv, NULL);
	handle(SIGUSR1, on_signal, 0);
	handle(SIGUSR2, on_signal, SA_ONSTACK);
	handle(SIGALRM, on_signal, SA_RESTART);
	handle(SIGURG, on_signal_clock, 0);

	if (pthread_create(&thread, NULL, other_thread, &self) != 0)
		truth_fail("pthread_create");
	interrupted_loop(SHORT_ROUNDS);
	pthread_join(thread, NULL);
	for (int i = 0; i < SHORT_ROUNDS; i++)
		on_fresh_stack();
	for (int i = 0; i < SHORT_ROUNDS; i++)
		by_segv();
	for (int i = 0; i < SHORT_ROUNDS; i++)
		raised(SIGURG);
	while (used < pages)
		raised(used % 3 ? SIGUSR1 : SIGUSR2);
	truth_write(argv[1], "w");
	printf("sighandler: %d signals\n", (int)handled);
	return 0;
}
