/* SPDX-License-Identifier: MIT */
/*
 * churn: two threads and their children use memory in every way that involves a tracer, and compute
 * a checksum that no tracer, and no death of one, may change.
 *
 *   churn ROUNDS
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES	   ((size_t)160)
#define PAGE	   ((size_t)4096)
#define READ_WRITE (PROT_READ | PROT_WRITE)

static unsigned rounds;

static void fail(const char *what)
{
	perror(what);
	_exit(99);
}

/* Every page must be zero or what this thread wrote before. */
static uint64_t fill_and_sum(unsigned char *p, size_t pages, unsigned seed)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pages; i++) {
		unsigned char *byte = p + i * PAGE + (i * 37 + seed) % PAGE;

		sum = sum * 31 + *byte;
		*byte = (unsigned char)(i + seed);
	}
	for (size_t i = 0; i < pages * PAGE; i += 512)
		sum = sum * 31 + p[i];
	return sum;
}

static uint64_t use_mapping(unsigned seed)
{
	unsigned char *p = mmap(NULL, PAGES * PAGE, READ_WRITE,
	    (seed % 2 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	uint64_t sum;

	if (p == MAP_FAILED)
		fail("mmap");
	sum = fill_and_sum(p, PAGES, seed);
	if (seed % 2 == 0) {
		p = mremap(p, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
		if (p == MAP_FAILED)
			fail("mremap");
		sum += fill_and_sum(p, 2 * PAGES, seed + 1);
		if (madvise(p, PAGES * PAGE, MADV_DONTNEED) != 0)
			fail("madvise");
		sum += fill_and_sum(p, 2 * PAGES, seed + 2);
		munmap(p + PAGES * PAGE, PAGES * PAGE);
	}
	munmap(p, PAGES * PAGE);
	return sum;
}

static uint64_t use_malloc(unsigned seed)
{
	unsigned char *p = calloc(PAGES, PAGE), *q;
	uint64_t sum;

	if (!p)
		fail("calloc");
	sum = fill_and_sum(p, PAGES, seed);
	q = realloc(p, 2 * PAGES * PAGE);
	if (!q)
		fail("realloc");
	for (size_t i = 0; i < PAGES; i++)
		sum = sum * 31 + q[i * PAGE + (i * 37 + seed) % PAGE];
	free(q);
	return sum;
}

static uint64_t use_kernel(unsigned seed)
{
	static const char text[3 * PAGE] = {1, 2, 3};
	unsigned char *p = mmap(NULL, 8 * PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = seed;
	int fds[2];

	if (p == MAP_FAILED || pipe(fds) != 0)
		fail("pipe");
	if (write(fds[1], text, sizeof(text)) != (ssize_t)sizeof(text))
		fail("write");
	for (size_t done = 0; done < sizeof(text);) {
		ssize_t got = read(fds[0], p + 100 + done, sizeof(text) - done);

		if (got <= 0)
			fail("read");
		done += (size_t)got;
	}
	close(fds[0]);
	close(fds[1]);
	sum += memcmp(p + 100, text, sizeof(text)) == 0;
	munmap(p, 8 * PAGE);
	return sum;
}

static uint64_t use_child(unsigned seed)
{
	unsigned char *p = mmap(NULL, 32 * PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (p == MAP_FAILED)
		fail("mmap");
	fill_and_sum(p, 16, seed);
	pid = fork();
	if (pid == 0)
		_exit((int)(fill_and_sum(p, 32, seed + 3) & 0x7f));
	fill_and_sum(p, 32, seed);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		fail("a child died");
	munmap(p, 32 * PAGE);
	return (uint64_t)WEXITSTATUS(status);
}

static void *churn(void *number)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned seed = i * 2 + (unsigned)(uintptr_t)number;

		sum = sum * 31 + use_mapping(i);
		sum = sum * 31 + use_malloc(seed);
		sum = sum * 31 + use_kernel(seed);
		if (i % 4 == 0)
			sum = sum * 31 + use_child(seed);
	}
	return (void *)(uintptr_t)sum;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *mine, *other;

	if (argc < 2)
		return 2;
	rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (pthread_create(&thread, NULL, churn, (void *)1) != 0)
		fail("pthread_create");
	mine = churn(NULL);
	pthread_join(thread, &other);
	printf("churn: %p %p\n", mine, other);
	return 0;
}
