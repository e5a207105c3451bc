/* SPDX-License-Identifier: MIT */
/*
 * touch.c: the first-touch loop. Run as it is, recorded, or under another tool; knows of none.
 * Prints the nanoseconds of a touch.
 */
#include "loop.h"

int main(int count, char **words)
{
	size_t pages;
	unsigned threads, passes;

	loop_arguments(count, words, &pages, &threads, &passes);
	loop_run(pages, threads, passes, NULL);
	return 0;
}
