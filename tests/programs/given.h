/* SPDX-License-Identifier: MIT */
/*
 * given.h: memory that a test program gives to the kernel before anybody has touched it, and the
 * notes of what the kernel will touch of it. Lives in the traced program, in any thread.
 */
#ifndef GIVEN_H
#define GIVEN_H

#include "touch.h"

#define READ_WRITE (PROT_READ | PROT_WRITE)

static UNUSED void expect(bool as_expected, const char *what)
{
	if (!as_expected)
		truth_fail(what);
}

static UNUSED void *plain(volatile char *p)
{
	return (void *)(uintptr_t)p;
}

static UNUSED void written(volatile char *p, size_t count)
{
	truth_range(p, count * PAGE, "write", "kernel");
}

static UNUSED void read_from(volatile char *p, size_t count)
{
	truth_range(p, count * PAGE, "read", "kernel");
}

/* The rest of one page. */
static UNUSED void *one_written(volatile char *p)
{
	truth_page(p, "write", "kernel", NULL);
	return plain(p);
}

static UNUSED void *one_read(volatile char *p)
{
	truth_page(p, "read", "kernel", NULL);
	return plain(p);
}

/* Memory of its own for so many pages, which the calling thread's further notes are of. */
static UNUSED volatile char *fresh(size_t count)
{
	volatile char *p = touch_map(count * PAGE, READ_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, 0);
	return p;
}

#endif
