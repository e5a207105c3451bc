/* SPDX-License-Identifier: MIT */
/*
 * notes.h: touches of fresh pages in test programs that are about processes, threads and signals:
 * noted with who touched what, and nothing of the stack. Lives in the traced program.
 */
#ifndef NOTES_H
#define NOTES_H

#include "truth.h"

/* Fresh memory for so many pages; the calling thread's further notes are of it. */
static UNUSED volatile char *notes_map(size_t pages, int flags)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		truth_fail("mmap");
	truth_region("mmap", p, 0);
	return (volatile char *)p;
}

/* Writes to each page, which nobody has touched before; what is there must be zero. */
static UNUSED void notes_write(volatile char *p, size_t pages, char value)
{
	for (size_t i = 0; i < pages; i++) {
		volatile char *at = p + i * PAGE + i * 72 % PAGE;

		truth_exact(at, "write", NULL);
		*at = value;
	}
}

/* How many of the pages hold what notes_write put there, and else nothing. */
static UNUSED size_t notes_right(volatile char *p, size_t pages, char value)
{
	size_t right = 0;

	for (size_t i = 0; i < pages; i++) {
		volatile char *at = p + i * PAGE + i * 72 % PAGE;

		right += at[0] == value && p[i * PAGE + (i * 72 + 1) % PAGE] == 0;
	}
	return right;
}

/* Both, with memory of its own: the usual sign of life. True when all is right. */
static UNUSED bool notes_live(size_t pages, char value)
{
	struct truth_place place = truth_self.place;
	volatile char *p = notes_map(pages, MAP_PRIVATE);
	bool right;

	notes_write(p, pages, value);
	right = notes_right(p, pages, value) == pages;
	munmap((void *)(uintptr_t)p, pages * PAGE);
	truth_self.place = place;
	return right;
}

#endif
