/* SPDX-License-Identifier: MIT */
/*
 * crash: dies of a signal that leaves a core file, with pages that it has written, read and never
 * touched, perhaps while other threads touch new ones.
 *
 *   crash segv|abort|threads|filter TRUTH AREAS
 *
 * AREAS gets a line for tests/check_core.py about each piece of memory. Page i of it was written
 * where i is a multiple of `every`, a byte at i * 72 % 4096; with `counter`, which is in the core
 * file itself, only those before that number, and perhaps the next one.
 */
#include "given.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define AREA_PAGES   96
#define THREADS	     4
#define THREAD_PAGES 2048
#define BEFORE_CRASH 64

static struct counted {
	volatile char *start;
	volatile uint64_t counter;
} counted[THREADS];

static FILE *areas;
static volatile char bss[AREA_PAGES * PAGE] __attribute__((aligned(PAGE)));

static volatile char *place(volatile char *start, size_t i)
{
	return start + i * PAGE + i * 72 % PAGE;
}

static void tell_area(const char *name, volatile char *start, size_t pages, size_t every)
{
	fprintf(areas, "{\"name\":\"%s\",\"start\":%zu,\"pages\":%zu,\"every\":%zu}\n", name,
	    (size_t)start, pages, every);
}

/* Every third page is written, and every third is read. Without a source it is not noted: bss,
   which is not traced in every mode. */
static NOINLINE void use(const char *name, volatile char *start, const char *source)
{
	TRACED();
	tell_area(name, start, AREA_PAGES, 3);
	truth_region(source, NULL, 0);
	for (size_t i = 0; i < AREA_PAGES; i++) {
		if (i % 3 == 2)
			continue;
		if (source)
			truth_exact(place(start, i), i % 3 ? "read" : "write", NULL);
		if (i % 3)
			expect(*place(start, i) == 0, "a fresh page is not zero");
		else
			*place(start, i) = (char)(i % 251 + 1);
	}
}

static volatile char *shared_memory(int fd)
{
	void *p = mmap(
	    NULL, AREA_PAGES * PAGE, READ_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	expect(p != MAP_FAILED, "mmap");
	return (volatile char *)p;
}

static NOINLINE void use_every_kind(void)
{
	TRACED();
	int fd = memfd_create("crash", MFD_CLOEXEC);
	volatile char *p;

	expect(ftruncate(fd, AREA_PAGES * PAGE) == 0, "ftruncate");
	use("private", fresh(AREA_PAGES), "mmap");
	use("shared", shared_memory(-1), "mmap|memfd");
	use("memfd", shared_memory(fd), "mmap|memfd");
	use("bss", bss, NULL);
	p = fresh(AREA_PAGES);
	tell_area("untouched", p, AREA_PAGES, AREA_PAGES + 1);
}

static void *touch_for_ever(void *arg)
{
	struct counted *own = arg;

	for (size_t i = 0; i < THREAD_PAGES; i++) {
		*place(own->start, i) = (char)(i % 251 + 1);
		own->counter = i + 1;
	}
	pause();
	return NULL;
}

static NOINLINE void start_threads(void)
{
	TRACED();
	pthread_t thread;

	for (int i = 0; i < THREADS; i++) {
		counted[i].start = touch_map(THREAD_PAGES * PAGE, READ_WRITE, MAP_PRIVATE);
		fprintf(areas,
		    "{\"name\":\"thread %d\",\"start\":%zu,\"pages\":%d,\"every\":1,"
		    "\"counter\":%zu}\n",
		    i, (size_t)counted[i].start, THREAD_PAGES, (size_t)&counted[i].counter);
	}
	fflush(areas);
	for (int i = 0; i < THREADS; i++)
		expect(pthread_create(&thread, NULL, touch_for_ever, &counted[i]) == 0,
		    "pthread_create");
	for (int i = 0; i < THREADS; i++)
		while (counted[i].counter < BEFORE_CRASH)
			sched_yield();
}

/* Of private memory nothing is dumped: see core(5). */
static void filter(void)
{
	int fd = open("/proc/self/coredump_filter", O_WRONLY);

	expect(fd >= 0 && write(fd, "2", 1) == 1, "coredump_filter");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	truth_thread("crash");
	areas = fopen(argv[3], "w");
	expect(areas != NULL, argv[3]);
	TRACED();
	if (strcmp(argv[1], "filter") == 0)
		filter();
	use_every_kind();
	fflush(areas);
	truth_write(argv[2], "w");
	if (strcmp(argv[1], "threads") == 0)
		start_threads();
	puts("crash: now");
	fflush(stdout);
	if (strcmp(argv[1], "abort") == 0)
		abort();
	*(volatile int *)NULL = 0;
	return 1;
}
