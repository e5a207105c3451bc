/* SPDX-License-Identifier: MIT */
/*
 * blocks: for --granularity: touches fresh pages in and out of order, with islands of pages that
 * are there already and with parts of other rights, and checks what every page holds. Prints how
 * many of its touches faulted.
 *
 *   blocks PAGES
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE	((size_t)4096)
#define STRIDE	7919u /* a prime: every page, out of order */
#define ISLANDS 37u

static void fail(const char *what)
{
	perror(what);
	exit(99);
}

static uint64_t *map(size_t pages, int flags)
{
	uint64_t *p =
	    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static volatile uint64_t *word(uint64_t *p, size_t page)
{
	return p + page * (PAGE / sizeof(*p));
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/*
 * With `part` the memory that may be touched grows by so many pages, as malloc's arenas do, and
 * ends inside of blocks; 0: all may be.
 */
static void in_order(size_t pages, int flags, size_t part)
{
	uint64_t *p = map(pages, flags);

	if (part && mprotect(p, pages * PAGE, PROT_NONE) < 0)
		fail("mprotect");
	for (size_t i = 0; i < pages; i++) {
		if (part && i % part == 0 &&
		    mprotect((void *)word(p, i), (pages - i < part ? pages - i : part) * PAGE,
			PROT_READ | PROT_WRITE) < 0)
			fail("mprotect");
		if (*word(p, i) != 0)
			fail("a fresh page is not zero");
		*word(p, i) = i;
	}
	for (size_t i = 0; i < pages; i++)
		if (*word(p, i) != i)
			fail("a page has lost its bytes");
	munmap(p, pages * PAGE);
}

static void with_islands(size_t pages, int flags)
{
	uint64_t *p = map(pages, flags);

	for (size_t i = 0; i < pages; i += ISLANDS)
		*word(p, i) = i + 1;
	for (size_t i = 0; i < pages; i++) {
		size_t page = i * STRIDE % pages;

		if (*word(p, page) != (page % ISLANDS ? 0 : page + 1))
			fail("a page has lost its bytes");
		*word(p, page) = ~page;
	}
	for (size_t i = 0; i < pages; i++)
		if (*word(p, i) != ~i)
			fail("a page has other bytes than were written");
	munmap(p, pages * PAGE);
}

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	uint64_t *p;
	long before;

	in_order(pages, MAP_PRIVATE, 0);
	in_order(pages, MAP_SHARED, 0);
	in_order(pages, MAP_PRIVATE, ISLANDS);
	with_islands(pages, MAP_PRIVATE);
	with_islands(pages, MAP_SHARED);
	puts("blocks: right");
	p = map(pages, MAP_PRIVATE);
	before = faults();
	for (size_t i = 0; i < pages; i++)
		*word(p, i) = 1;
	fprintf(stderr, "%ld\n", faults() - before);
	return 0;
}
