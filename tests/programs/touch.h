/* SPDX-License-Identifier: MIT */
/*
 * touch.h: the functions that touch pages in the traced test programs, and the nests of named
 * functions that they are called from. Lives in the traced program, in any thread.
 */
#ifndef TOUCH_H
#define TOUCH_H

#include "truth.h"

#ifdef __cplusplus
extern "C" {
#endif

static NOINLINE UNUSED void touch_write_byte(volatile char *p)
{
	*p = 1;
}

static NOINLINE UNUSED void touch_write_word(volatile char *p)
{
	*(volatile uint64_t *)(uintptr_t)p = 1;
}

static NOINLINE UNUSED char touch_read_byte(volatile char *p)
{
	return *p;
}

static NOINLINE UNUSED uint64_t touch_read_word(volatile char *p)
{
	return *(volatile uint64_t *)(uintptr_t)p;
}

/* A touch with a frame of its own around it. */
static NOINLINE UNUSED void touch_write_frame(volatile char *p)
{
	volatile char frame[200];

	frame[0] = 1;
	frame[199] = frame[0];
	*p = frame[199];
}

static NOINLINE UNUSED void note_and_write(volatile char *p)
{
	TRACED();
	switch ((uintptr_t)p / PAGE % 3) {
	case 0:
		truth_exact(p, "write", "touch_write_byte");
		touch_write_byte(p);
		break;
	case 1:
		truth_exact(p, "write", "touch_write_word");
		touch_write_word(p);
		break;
	default:
		truth_exact(p, "write", "touch_write_frame");
		touch_write_frame(p);
	}
}

static NOINLINE UNUSED void note_and_read(volatile char *p)
{
	TRACED();
	if ((uintptr_t)p / PAGE % 2) {
		truth_exact(p, "read", "touch_read_byte");
		if (touch_read_byte(p) != 0)
			truth_fail("a fresh page is not zero");
	} else {
		truth_exact(p, "read", "touch_read_word");
		if (touch_read_word(p) != 0)
			truth_fail("a fresh page is not zero");
	}
}

typedef void (*touch_function)(volatile char *);

static NOINLINE UNUSED void nest_3(touch_function function, volatile char *p)
{
	TRACED();
	function(p);
}

static NOINLINE UNUSED void nest_2(touch_function function, volatile char *p)
{
	TRACED();
	nest_3(function, p);
}

static NOINLINE UNUSED void nest_1(touch_function function, volatile char *p)
{
	TRACED();
	nest_2(function, p);
}

static NOINLINE UNUSED void nest(unsigned depth, touch_function function, volatile char *p)
{
	TRACED();
	switch (depth % 4) {
	case 0:
		function(p);
		break;
	case 1:
		nest_3(function, p);
		break;
	case 2:
		nest_2(function, p);
		break;
	default:
		nest_1(function, p);
	}
}

/* An 8-aligned place in the i-th page of `start` that differs from page to page. */
static UNUSED volatile char *touch_place(volatile char *start, size_t i)
{
	return start + i * PAGE + i * 72 % (PAGE - 8) / 8 * 8;
}

static ALWAYS_INLINE UNUSED void touch_pages(
    volatile char *start, size_t first, size_t end, touch_function how)
{
	for (size_t i = first; i < end; i++)
		nest((unsigned)i, how, touch_place(start, i));
}

/* Every second page is read, the others written. */
static ALWAYS_INLINE UNUSED void touch_mixed(volatile char *start, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		nest(
		    (unsigned)i / 2, i % 2 ? note_and_write : note_and_read, touch_place(start, i));
}

static NOINLINE UNUSED volatile char *touch_map(size_t size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		truth_fail("mmap");
	return (volatile char *)p;
}

#ifdef __cplusplus
}
#endif

#endif
