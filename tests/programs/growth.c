/* SPDX-License-Identifier: MIT */
/*
 * growth: functions of it touch known numbers of pages, which differ from one build to another.
 * Tests compile it twice. It prints "FUNCTION PAGES" for each.
 *
 *   growth [PAGES]        parse_lines touches as many more
 *
 * PARSE, RENDER, TABLE: pages of parse_lines, render_page and load_table. SHIFT: code before them,
 * so that every address is another one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef PARSE
#define PARSE  100
#define RENDER 50
#define TABLE  10
#endif

#define PAGE   ((size_t)4096)
#define STEADY ((size_t)7)
#define ROOM   ((size_t)1000) /* pages that load_table asks for */

/* Part of each caller: the call of mmap is theirs. */
__attribute__((always_inline)) static inline char *map(size_t pages)
{
	char *memory =
	    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(1);
	return memory;
}

#ifdef SHIFT
__attribute__((noinline, used)) int shift(int number)
{
	for (int i = 0; i < number; i++)
		printf("%d %d %d\n", i, number * i, number / (i + 1));
	return number;
}
#endif

__attribute__((noinline)) static void parse_lines(size_t pages)
{
	volatile char *memory = map(pages);

	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
}

__attribute__((noinline)) static void render_page(size_t pages)
{
	volatile char *memory = map(pages);

	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
}

__attribute__((noinline)) static void load_table(size_t pages)
{
	volatile char *memory = map(ROOM);

	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
}

__attribute__((noinline)) static void hold_steady(void)
{
	volatile char *memory = map(STEADY);

	for (size_t i = 0; i < STEADY; i++)
		memory[i * PAGE] = 1;
}

int main(int argc, char **argv)
{
	size_t more = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	/* here, and not by those whose pages are counted, the first line touches memory */
	printf("parse_lines %zu\nrender_page %d\nload_table %d\nhold_steady %zu\n", PARSE + more,
	    RENDER, TABLE, STEADY);
	parse_lines(PARSE + more);
	render_page(RENDER);
	load_table(TABLE);
	hold_steady();
	return 0;
}
