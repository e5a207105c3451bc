/* SPDX-License-Identifier: MIT */
/*
 * borrowers: allocates where the C library's own word for the calling thread is another's: in
 * children of vfork, of clone that shares the memory, and of fork by the bare system call; and in
 * their parents afterwards. Prints the size of each allocation and who made it.
 *
 *   borrowers
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES 65536
#define MOST	    16

static struct {
	int tid;
	size_t size;
} made[MOST];
static size_t count;

static void allocate(void)
{
	size_t number = count++, size = 100000 + 4096 * number;
	char *volatile block = malloc(size);

	if (!block)
		abort();
	made[number].tid = (int)syscall(SYS_gettid);
	made[number].size = size;
	free(block);
}

static void wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		abort();
}

static void by_vfork(void)
{
	pid_t child = vfork();

	if (child == 0) {
		allocate();
		_exit(0);
	}
	wait_for(child);
	allocate();
	allocate();
}

static void *in_thread(void *unused)
{
	allocate();
	by_vfork();
	return unused;
}

static int cloned(void *unused)
{
	(void)unused;
	allocate();
	return 0;
}

int main(void)
{
	static _Alignas(16) char stack[STACK_BYTES];
	pthread_t thread;
	pid_t child;

	allocate();
	by_vfork();
	if (pthread_create(&thread, NULL, in_thread, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
	child = (pid_t)syscall(SYS_fork);
	if (child == 0) {
		allocate();
		printf("%zu %d\n", made[count - 1].size, made[count - 1].tid);
		fflush(stdout);
		_exit(0);
	}
	count++; /* its copy of ours */
	wait_for(child);
	wait_for(clone(cloned, stack + STACK_BYTES, CLONE_VM | SIGCHLD, NULL));
	allocate();
	for (size_t i = 0; i < count; i++)
		if (made[i].size)
			printf("%zu %d\n", made[i].size, made[i].tid);
	return 0;
}
