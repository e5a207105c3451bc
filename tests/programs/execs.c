/* SPDX-License-Identifier: MIT */
/*
 * execs: what becomes of a program that runs another one: from a thread that is not the main one,
 * by a descriptor, through a script, in vain, and without the environment that carries the tracing.
 * Each image touches memory and says what it sees of itself.
 *
 *   execs WHAT TRUTH [ARGUMENT]
 */
#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define PAGES 6

extern char **environ;

static char *truth, *argument;
static volatile char *kept;

static NOINLINE void *faulting(void *unused)
{
	for (;;) {
		volatile char *p = mmap(
		    NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t i = 0; i < 8; i++)
			p[i * PAGE] = 1;
		munmap((void *)(uintptr_t)p, 8 * PAGE);
	}
	return unused;
}

static void leave_notes(void)
{
	fflush(stdout);
	truth_write(truth, "a");
	truth_touch_count = 0;
}

static int last(void)
{
	printf("the last image: %s process, %s, right %d\n",
	    getpid() == gettid() ? "its own" : "not its own", argument ? argument : "",
	    notes_live(PAGES, 2));
	return 21;
}

static NOINLINE void *executing(void *unused UNUSED)
{
	pid_t leader = getpid();

	truth_thread("executing");
	truth_region("mmap", kept, 0);
	notes_write(kept, PAGES, 1);
	if (notes_right(kept, PAGES, 1) != PAGES || gettid() == leader)
		truth_fail("a page is wrong");
	leave_notes();
	execl("/proc/self/exe", "execs", "last", truth, "from a thread", NULL);
	truth_fail("execl");
	return NULL;
}

static int from_thread(void)
{
	pthread_t threads[3], thread;

	kept = notes_map(PAGES, MAP_PRIVATE); /* where no other thread maps anything */
	for (size_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, faulting, NULL);
	pthread_create(&thread, NULL, executing, NULL);
	pthread_join(thread, NULL);
	return 1;
}

static int in_vain(void)
{
	char *arguments[] = {(char *)"none", NULL};
	volatile uintptr_t wrong = 8;
	bool right = true;

	for (int i = 0; i < 20; i++) {
		right &= execv("/does/not/exist", arguments) == -1 && errno == ENOENT;
		right &= execve("/", arguments, environ) == -1 && errno == EACCES;
		right &= execve("/proc/self/exe", (char **)wrong, environ) == -1 && errno == EFAULT;
		right &= notes_live(1, (char)i);
	}
	printf("in vain: %d\n", right);
	return 22;
}

static int by_descriptor(void)
{
	char *arguments[] = {(char *)"execs", (char *)"last", truth, (char *)"by descriptor", NULL};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (!notes_live(PAGES, 1))
		return 1;
	leave_notes();
	fexecve(fd, arguments, environ);
	return 1;
}

/* The argument is a script, or a program that nothing can be preloaded into. */
static int other(void)
{
	if (!notes_live(PAGES, 1))
		return 1;
	leave_notes();
	execl(argument, argument, truth, NULL);
	return 1;
}

static int child(void)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		truth_forked();
		truth_thread("child");
		exit(other());
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	printf("the child's status: %x\n", (unsigned)status);
	return !notes_live(PAGES, 3);
}

/* As env -i does it. */
static int bare(void)
{
	char *none[] = {NULL};
	char *arguments[] = {argument, truth, NULL};

	if (!notes_live(PAGES, 1))
		return 1;
	leave_notes();
	execve(argument, arguments, none);
	return 1;
}

static const struct {
	const char *name;
	int (*function)(void);
} table[] = {
    {"last", last},
    {"thread", from_thread},
    {"vain", in_vain},
    {"descriptor", by_descriptor},
    {"other", other},
    {"child", child},
    {"bare", bare},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	truth = argv[2];
	argument = argv[3];
	truth_thread("execs");
	if (strcmp(argv[1], "last") != 0)
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
