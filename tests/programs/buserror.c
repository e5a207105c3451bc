/* SPDX-License-Identifier: MIT */
/*
 * buserror: a program with bus errors, masks and stacks of its own, and with system calls on memory
 * that nobody has touched. It prints what it sees, which must be the same when its faults are
 * served by a SIGBUS handler that is not its own, or by nobody inside the kernel.
 *
 *   buserror WHAT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE   4096
#define PAGES  64
#define STACK  (256 << 10)
#define UNUSED __attribute__((unused))

static void *fresh(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(99);
	}
	return p;
}

/* New pages, read and written, and what they hold. */
static unsigned touched(void)
{
	volatile unsigned char *p = fresh(PAGES * PAGE);
	unsigned sum = 0;

	for (size_t i = 0; i < PAGES * PAGE; i += PAGE) {
		sum += p[i];
		p[i + 1] = (unsigned char)(i / PAGE);
		sum += p[i + 1];
	}
	munmap((void *)(uintptr_t)p, PAGES * PAGE);
	return sum;
}

/* A page of a file that ends before it: a bus error of the program's own. */
static volatile char *past_the_end(void)
{
	int fd = memfd_create("short", 0);
	char *p;

	if (fd < 0 || ftruncate(fd, PAGE) < 0)
		exit(99);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p + PAGE;
}

static sigjmp_buf back;
static volatile char *expected;

static void bus_error(int number, siginfo_t *info, UNUSED void *context)
{
	char local;
	stack_t stack;

	sigaltstack(NULL, &stack);
	printf("signal %d code %d at offset %td, on the alternate stack: %d, memory %u\n", number,
	    info->si_code,
	    info->si_code > 0 ? (char *)info->si_addr - (char *)(uintptr_t)expected : -1,
	    (uintptr_t)&local - (uintptr_t)stack.ss_sp < stack.ss_size, touched());
	if (info->si_code > 0)
		siglongjmp(back, 1);
}

static void own_handler(void)
{
	struct sigaction action = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK},
			 found;
	stack_t stack = {.ss_sp = malloc(STACK), .ss_size = STACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGBUS, &action, &found);
	printf("before: default %d\n", found.sa_handler == SIG_DFL);
	sigaction(SIGBUS, NULL, &found);
	printf("found again: %d, flags %x\n", found.sa_sigaction == bus_error,
	    (unsigned)found.sa_flags & ~0x04000000u);
	expected = past_the_end();
	for (int i = 0; i < 3; i++) {
		touched();
		if (sigsetjmp(back, 1) == 0)
			expected[i] = 1;
		printf("back again\n");
	}
	raise(SIGBUS);
	printf("memory %u\n", touched());
}

static void by_default(void)
{
	touched();
	*past_the_end() = 1;
	printf("not reached\n");
}

static void ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	raise(SIGBUS);
	printf("ignored what was sent, memory %u\n", touched());
	fflush(stdout);
	*past_the_end() = 1;
	printf("not reached\n");
}

static void touching_handler(UNUSED int number)
{
	printf("in a handler: %u\n", touched());
}

static bool blocked(int number)
{
	sigset_t now;

	sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, number);
}

static void *masked_thread(UNUSED void *argument)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	printf("in a thread: %u, blocked %d\n", touched(), blocked(SIGBUS));
	return NULL;
}

static void masks(void)
{
	struct sigaction action = {.sa_handler = touching_handler}, found;
	sigset_t all, before, old;
	pthread_t thread;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	printf("blocked %d, %d, memory %u\n", blocked(SIGBUS), blocked(SIGUSR1), touched());
	sigprocmask(SIG_SETMASK, &before, &old);
	printf("was blocked %d, is %d\n", sigismember(&old, SIGBUS), blocked(SIGBUS));
	action.sa_mask = all;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR1, NULL, &found);
	printf("mask has it %d\n", sigismember(&found.sa_mask, SIGBUS));
	raise(SIGUSR1);
	sigprocmask(SIG_BLOCK, &all, NULL);
	raise(SIGUSR1);
	sigdelset(&all, SIGUSR1);
	printf("suspended %d\n", sigsuspend(&all));
	pthread_create(&thread, NULL, masked_thread, NULL);
	pthread_join(thread, NULL);
}

static ucontext_t here, there;

static unsigned deep(unsigned levels)
{
	volatile char room[1000];

	room[0] = (char)levels;
	return levels ? (unsigned)room[0] + deep(levels - 1) : touched();
}

static void in_context(int a, int b, int c, int d, int e, int f, int g, int h)
{
	printf("context %d, %u\n", a + b + c + d + e + f + g + h, deep(100));
}

static void *in_thread(UNUSED void *argument)
{
	printf("thread %u\n", deep(100));
	return NULL;
}

static int in_clone(void *argument)
{
	*(unsigned *)argument = deep(100);
	return 7;
}

static void stacks(void)
{
	static unsigned shared;
	pthread_attr_t attributes;
	pthread_t thread;
	pid_t child;
	int status;

	for (volatile int i = 0; i < 3; i++) {
		getcontext(&there);
		there.uc_stack.ss_sp = i ? fresh(STACK) : malloc(STACK);
		there.uc_stack.ss_size = STACK;
		there.uc_link = &here;
		makecontext(&there, (void (*)(void))in_context, 8, 1, 2, 3, 4, 5, 6, 7, i);
		swapcontext(&here, &there);
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, fresh(STACK), STACK);
	pthread_create(&thread, &attributes, in_thread, NULL);
	pthread_join(thread, NULL);
	child = clone(in_clone, (char *)fresh(STACK) + STACK, CLONE_VM | SIGCHLD, &shared);
	waitpid(child, &status, 0);
	printf("clone %u, status %d\n", shared, WEXITSTATUS(status));
}

/* A program that closes what it does not know, and a child that inherits nothing. */
static int open_files(void)
{
	int count = 0;

	for (int fd = 3; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Other files have every number from now on. */
static void reuse_all(void)
{
	while (open("/dev/null", O_RDWR) >= 0)
		continue;
	printf("reused: %d\n", open_files());
}

static void descriptors(void)
{
	int status;

	for (int fd = 3; fd < 4096; fd++)
		close(fd);
	printf("closed: %u\n", touched());
	reuse_all();
	fflush(stdout);
	if (fork() == 0) {
		printf("child %u, files %d\n", touched(), open_files());
		fflush(stdout);
		_exit(3);
	}
	wait(&status);
	printf("status %d, memory %u, files %d\n", WEXITSTATUS(status), touched(), open_files());
}

static void transfers(void)
{
	size_t size = 9 << 20;
	char *buffer = fresh(size), *copy = fresh(size);
	int fd = memfd_create("data", 0), pair[2];
	struct iovec vector[2];
	FILE *file;
	ssize_t got;

	printf("write %zd\n", write(fd, buffer, size));
	memset(copy, 1, PAGE);
	printf("pwrite %zd\n", pwrite(fd, copy, PAGE, (off_t)size - PAGE));
	munmap(copy, size);
	copy = fresh(size);
	lseek(fd, 0, SEEK_SET);
	got = read(fd, copy, size);
	printf("read %zd, %d\n", got, copy[size - 1]);
	vector[0] = (struct iovec){fresh(PAGE * 3), PAGE * 3};
	vector[1] = (struct iovec){fresh(PAGE * 5), PAGE * 5};
	printf("preadv %zd\n", preadv(fd, vector, 2, 100));
	lseek(fd, 0, SEEK_SET);
	file = fdopen(fd, "r");
	setvbuf(file, fresh(PAGE * 4), _IOFBF, PAGE * 4);
	printf("getc %d, fread %zu\n", getc(file), fread(fresh(size), 1, size, file));
	fclose(file);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		exit(99);
	printf("send %zd", send(pair[0], fresh(PAGE * 4), PAGE * 4, 0));
	printf(" recv %zd\n", recv(pair[1], fresh(PAGE * 8), PAGE * 8, 0));
}

/* What fails natively fails with the same error. */
static void failures(void)
{
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = open("/dev/zero", O_RDONLY);
	char *volatile null = NULL;

	printf("null: %zd %s\n", read(zero, null, 100), strerror(errno));
	printf("wild: %zd %s\n", read(zero, (void *)123456789, 100), strerror(errno));
	printf("wild vector: %zd %s\n", readv(zero, (void *)123456789, 3), strerror(errno));
	printf("none: %zd %s\n", read(zero, none, 100), strerror(errno));
	printf("closed: %zd %s\n", read(-1, fresh(PAGE), 100), strerror(errno));
	printf("memory %u\n", touched());
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*function)(void);
	} all[] = {{"own-handler", own_handler}, {"default", by_default}, {"ignored", ignored},
	    {"masks", masks}, {"stacks", stacks}, {"descriptors", descriptors},
	    {"transfers", transfers}, {"failures", failures}};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (count > 1 && strcmp(words[1], all[i].name) == 0) {
			all[i].function();
			return 0;
		}
	return 2;
}
