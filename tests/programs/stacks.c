/* SPDX-License-Identifier: MIT */
/*
 * stacks: threads on stacks of their own making, in memory that nobody has touched, and on the
 * smallest that there are; what is used of a stack by the calls that tracing intercepts, and by a
 * touch of a fresh page; what lies below the end of a stack; one whose thread is on another.
 *
 *   stacks WHAT TRUTH [COUNT]
 *
 * `depth` prints on standard error how many bytes of the stack each kind of work used, and on
 * standard output which it did.
 */
#include "acts.h"
#include "notes.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

#define STACK_BYTES ((size_t)256 << 10)
#define PAINT	    0x5a

static const char *truth;
static size_t count;

static void start(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	int error = pthread_create(thread, attributes, run, argument);

	if (error) {
		errno = error;
		truth_fail("pthread_create");
	}
}

static NOINLINE void *live(void *number)
{
	truth_thread("own stack");
	return (void *)(uintptr_t)notes_live(4, (char)(size_t)number);
}

static int own(void)
{
	size_t right = 0;

	for (size_t i = 0; i < count; i++) {
		void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (i % 2 ? MAP_STACK : 0), -1, 0);
		pthread_attr_t attributes;
		pthread_t thread;
		void *result, *at;
		size_t size;

		pthread_attr_init(&attributes);
		pthread_attr_setstack(&attributes, stack, STACK_BYTES);
		start(&thread, &attributes, live, (void *)i);
		pthread_getattr_np(thread, &attributes);
		pthread_attr_getstack(&attributes, &at, &size);
		pthread_join(thread, &result);
		right += result && at == stack && size == STACK_BYTES;
	}
	printf("%zu of %zu were right\n", right, count);
	return 0;
}

/* ---- how deep ---- */

static void *fresh_map(size_t pages)
{
	void *p =
	    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		truth_fail("mmap");
	return p;
}

static volatile char *memory;
static const char *painted; /* the stack that is measured; NULL: none is */

static size_t used_bytes(void)
{
	size_t unused = 0;

	while (painted[unused] == PAINT)
		unused++;
	return STACK_BYTES - unused;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		truth_fail("a child failed");
}

static void nothing(void)
{
}

static void touch_page(void)
{
	*memory = 1;
}

static void map(void)
{
	fresh_map(1);
}

static void allocate(void)
{
	free(malloc(300000));
	free(malloc(30000));
}

static void reallocate(void)
{
	free(realloc(realloc(NULL, 300000), 3000000));
}

static void divide(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	wait_for(pid);
}

/* The child, and what it needs to be traced, on a stack of the same size. */
static void divide_and_live(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		free(malloc(300000));
		*memory = 1;
		if (painted)
			fprintf(stderr, "in the child: %zu\n", used_bytes());
		_exit(0);
	}
	wait_for(pid);
}

static void read_into(void)
{
	int fds[2];

	if (pipe(fds) != 0 || write(fds[1], "x", 1) != 1 ||
	    read(fds[0], (void *)(uintptr_t)memory, 1) != 1)
		truth_fail("read");
	close(fds[0]);
	close(fds[1]);
}

static void act(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sigaction(SIGBUS, NULL, &action);
	sigaction(SIGUSR1, &action, NULL);
}

static const struct work {
	const char *name;
	void (*run)(void);
} works[] = {
    {"nothing", nothing},
    {"touch", touch_page},
    {"mmap", map},
    {"malloc", allocate},
    {"realloc", reallocate},
    {"fork", divide},
    {"fork, child", divide_and_live},
    {"read", read_into},
    {"sigaction", act},
};
#define WORKS (sizeof(works) / sizeof(works[0]))

static NOINLINE void *work(void *which)
{
	((const struct work *)which)->run();
	return NULL;
}

static int depth(void)
{
	for (size_t i = 0; i < WORKS; i++) {
		char *stack = fresh_map(STACK_BYTES / PAGE);
		pthread_attr_t attributes;
		pthread_t thread;

		memset(stack, PAINT, STACK_BYTES);
		painted = stack;
		memory = fresh_map(1);
		pthread_attr_init(&attributes);
		pthread_attr_setstack(&attributes, stack, STACK_BYTES);
		start(&thread, &attributes, work, (void *)(uintptr_t)&works[i]);
		pthread_join(thread, NULL);
		puts(works[i].name);
		fprintf(stderr, "%s: %zu\n", works[i].name, used_bytes());
	}
	return 0;
}

/* What the kernel takes of a stack for a signal. */
static int frame(void)
{
	printf("%ld\n", sysconf(_SC_MINSIGSTKSZ));
	return 0;
}

/* ---- the smallest ---- */

static NOINLINE void *work_small(void *number)
{
	size_t turn = (size_t)number;
	volatile char room[2048];

	truth_thread("small");
	room[0] = 1;
	for (size_t i = 0; i < WORKS; i++) {
		memory = fresh_map(1);
		works[i].run();
		munmap((void *)(uintptr_t)memory, PAGE);
	}
	return (void *)(uintptr_t)notes_live(4, (char)(turn + (size_t)room[0]));
}

static int small(void)
{
	volatile char *inherited = notes_map(1, MAP_PRIVATE);
	size_t right = 0;

	notes_write(inherited, 1, 1);
	for (size_t i = 0; i < count; i++) {
		pthread_attr_t attributes;
		pthread_t thread;
		void *result;

		pthread_attr_init(&attributes);
		if (pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) != 0)
			truth_fail("pthread_attr_setstacksize");
		start(&thread, &attributes, work_small, (void *)i);
		pthread_join(thread, &result);
		right += (size_t)result;
	}
	printf("%zu of %zu small ones were right\n", right, count);
	return 0;
}

/* ---- a stack that is full to the brim ---- */

#define BRIM ((size_t)1600)

static NOINLINE size_t fill(const char *low)
{
	volatile char frame[256];

	frame[0] = 1;
	if ((size_t)((const char *)(uintptr_t)frame - low) > BRIM)
		return fill(low) + (size_t)frame[0];
	for (size_t i = 0; i < 4; i++)
		memory[i * PAGE] = 1;
	return (size_t)frame[0];
}

static NOINLINE void *to_the_brim(void *low)
{
	return (void *)fill(low);
}

static int brim(void)
{
	size_t levels = 0;

	for (size_t i = 0; i < count; i++) {
		char *stack = fresh_map(STACK_BYTES / PAGE + 1);
		pthread_attr_t attributes;
		pthread_t thread;
		void *result;

		memory = fresh_map(4);
		mprotect(stack, PAGE, PROT_NONE);
		pthread_attr_init(&attributes);
		pthread_attr_setstack(&attributes, stack + PAGE, STACK_BYTES);
		start(&thread, &attributes, to_the_brim, stack + PAGE);
		pthread_join(thread, &result);
		levels += (size_t)result > 100;
	}
	printf("%zu of %zu were filled\n", levels, count);
	return !notes_live(2, 1);
}

/* ---- guard pages ---- */

static sigjmp_buf back;
static volatile char *hit;

static void on_overflow(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
	hit = info->si_addr;
	siglongjmp(back, 1);
}

static NOINLINE size_t fall(size_t level)
{
	volatile char frame[1024];

	frame[0] = (char)level;
	return level ? fall(level - 1) + (size_t)frame[0] : 0;
}

static NOINLINE void *overflow(void *unused UNUSED)
{
	stack_t alternate = {.ss_sp = fresh_map(16), .ss_size = 16 * PAGE};
	pthread_attr_t attributes;
	size_t size, guard;
	void *stack;

	truth_thread("overflowing");
	if (sigaltstack(&alternate, NULL) != 0)
		truth_fail("sigaltstack");
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &stack, &size);
	pthread_attr_getguardsize(&attributes, &guard);
	if (sigsetjmp(back, 1) == 0)
		fall(1000000);
	/* The stack that pthread_getattr_np tells of begins above its guard. */
	return (void *)(uintptr_t)(hit < (char *)stack && hit >= (char *)stack - guard &&
				   notes_live(2, 1));
}

static int guards(void)
{
	struct sigaction action = {
	    .sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	size_t right = 0;

	sigaction(SIGSEGV, &action, NULL);
	for (size_t i = 0; i < count; i++) {
		pthread_attr_t attributes;
		pthread_t thread;
		void *result;

		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, STACK_BYTES);
		start(&thread, &attributes, overflow, NULL);
		pthread_join(thread, &result);
		right += (size_t)result;
	}
	printf("%zu of %zu met the guard\n", right, count);
	return 0;
}

static ucontext_t left;
static char *stack_begin;

static void wait_for_monitor(void)
{
	acts_settle(stack_begin);
}

static NOINLINE void *aside(void *unused)
{
	static char other[STACK_BYTES];
	static ucontext_t context;
	pthread_attr_t attributes;
	size_t size, guard;
	void *at;

	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &at, &size);
	pthread_attr_getguardsize(&attributes, &guard);
	stack_begin = (char *)at - guard;
	getcontext(&context);
	context.uc_stack = (stack_t){.ss_sp = other, .ss_size = sizeof(other)};
	context.uc_link = &left;
	makecontext(&context, wait_for_monitor, 0);
	swapcontext(&left, &context);
	return unused;
}

/* Where libc's stack of a thread begins that runs on another one when the monitor finds it. */
static int away(void)
{
	pthread_t thread;

	start(&thread, NULL, aside, NULL);
	pthread_join(thread, NULL);
	printf("%p\n", (void *)stack_begin);
	return 0;
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"own", own},
    {"depth", depth},
    {"frame", frame},
    {"small", small},
    {"brim", brim},
    {"guards", guards},
    {"away", away},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	truth_thread("stacks");
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
