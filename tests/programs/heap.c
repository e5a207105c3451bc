/* SPDX-License-Identifier: MIT */
/*
 * heap: first touches in memory from every function of malloc's family, in the main heap (brk), in
 * two arenas of other threads, and in chunks with a mapping of their own.
 *
 *   heap TRUTH PAGES
 *
 * Only what the program can be sure of is noted: the whole pages inside an allocation that it knows
 * to be fresh, which malloc itself has no reason to touch; and where a small allocation's end makes
 * glibc write the next chunk's header (at p + malloc_usable_size(p)) into a page that is fresh, a
 * touch inside malloc. A call in which the heap grew is passed over: malloc has used the new memory
 * before anyone else can know of it.
 */
#include "touch.h"

#include <malloc.h>

#define MAPPED ((size_t)128 * 1024) /* glibc's threshold, fixed below */

static size_t pages;

/* Addresses of this thread's heap from here on have never been used. */
static __thread uintptr_t fresh_from;

static uintptr_t round_up(uintptr_t address)
{
	return (address + PAGE - 1) / PAGE * PAGE;
}

static void check(const void *p)
{
	if (!p)
		truth_fail("out of memory");
}

static ALWAYS_INLINE void *old_valloc(size_t size)
{
	return valloc(size);
}

static ALWAYS_INLINE void *old_pvalloc(size_t size)
{
	return pvalloc(size);
}

/* Touches the whole pages of [start, end). */
static NOINLINE void touch_inside(uintptr_t start, uintptr_t end)
{
	TRACED();
	uintptr_t first = round_up(start), last = end / PAGE * PAGE;

	if (first < last)
		touch_mixed((volatile char *)first, 0, (last - first) / PAGE);
}

/* Called by the function that made the allocation. A size of 0: as large as malloc says. */
static NOINLINE void touch_allocation(char *p, size_t size)
{
	check(p);
	truth_alloc(p, size);
	TRACED();
	touch_inside((uintptr_t)p, (uintptr_t)p + (size ? size : malloc_usable_size(p)));
	truth_alloc(NULL, 0);
}

/* The same for one that lies in a heap, if it lies where nothing was before. */
static ALWAYS_INLINE void touch_if_fresh(char *p, size_t size)
{
	if ((uintptr_t)p < fresh_from)
		return;
	touch_allocation(p, size);
	fresh_from = (uintptr_t)p + malloc_usable_size(p) + 8;
}

/*
 * And for an aligned one: malloc has cut it out of a chunk larger by the alignment, and so has
 * written behind it. A filler takes up that place.
 */
static ALWAYS_INLINE void touch_aligned_if_fresh(char *p, size_t size)
{
	touch_if_fresh(p, size);
	p = malloc(16000);
	check(p);
	if ((uintptr_t)p >= fresh_from)
		fresh_from = (uintptr_t)p + malloc_usable_size(p) + 8;
}

/* Small allocations: malloc's own header writes are the first touches. */
static NOINLINE void small_allocations(bool main_heap)
{
	TRACED();
	size_t seen = 0;

	for (size_t i = 0; seen < pages && i < pages * 64; i++) {
		uintptr_t before = main_heap ? (uintptr_t)sbrk(0) : 0, header;
		char *p = malloc(200 + i % 1800);

		check(p);
		header = (uintptr_t)p + malloc_usable_size(p);
		if ((uintptr_t)p + 16 < fresh_from)
			continue;
		if (header / PAGE > fresh_from / PAGE) {
			seen++;
			if (!main_heap || before == (uintptr_t)sbrk(0))
				truth_exact((char *)header, "write", NULL);
		}
		fresh_from = header;
		*p = 1;
	}
}

static NOINLINE void large_in_heap(void)
{
	TRACED();
	size_t size = 40000;

	for (size_t i = 0; i < pages * PAGE / size; i++)
		touch_if_fresh(malloc(size + i * 8), size + i * 8);
}

static NOINLINE void aligned_in_heap(void)
{
	TRACED();
	size_t size = 30000;
	void *p;

	for (size_t i = 0; i < pages * PAGE / size / 5 + 1; i++) {
		touch_aligned_if_fresh(memalign(64 << i % 8, size), size);
		if (posix_memalign(&p, 4096, size) != 0)
			truth_fail("posix_memalign");
		touch_aligned_if_fresh(p, size);
		touch_aligned_if_fresh(aligned_alloc(256, size / 256 * 256), size / 256 * 256);
		touch_aligned_if_fresh(old_valloc(size), size);
		touch_aligned_if_fresh(old_pvalloc(size), round_up(size));
	}
}

/* The chunk at the end of the heap grows in its place. */
static NOINLINE void grown_in_heap(void)
{
	TRACED();
	size_t size = 20000;
	char *p = malloc(size), *q;

	check(p);
	if ((uintptr_t)p < fresh_from)
		return;
	touch_if_fresh(p, size);
	for (; size < 100000; size += 20000) {
		uintptr_t end = (uintptr_t)p + malloc_usable_size(p) + 8;

		q = realloc(p, size + 20000);
		check(q);
		if (q != p)
			return;
		truth_alloc(q, size + 20000);
		touch_inside(end, (uintptr_t)q + size + 20000);
		truth_alloc(NULL, 0);
		fresh_from = (uintptr_t)q + malloc_usable_size(q) + 8;
	}
}

/* calloc clears what it takes from a heap, and so is the one who touches it. */
static NOINLINE void cleared_in_heap(void)
{
	TRACED();
	size_t size = 48000;

	for (size_t i = 0; i < pages * PAGE / size / 4 + 1; i++) {
		uintptr_t before = (uintptr_t)sbrk(0), from = fresh_from, p;
		char *q = calloc(3, size / 3);

		check(q);
		p = (uintptr_t)q;
		if (p < from)
			continue;
		fresh_from = p + malloc_usable_size(q) + 8;
		if (before != (uintptr_t)sbrk(0))
			continue;
		for (p = round_up(p); p + PAGE <= fresh_from - 8; p += PAGE)
			truth_page((char *)p, "write", "user", NULL);
	}
}

/* What was trimmed off the heap's end is new memory when the heap grows again. */
static NOINLINE void trimmed(void)
{
	TRACED();
	enum { COUNT = 64 };
	static void *chunks[COUNT];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT; i++) {
			chunks[i] = malloc(100000);
			touch_if_fresh(chunks[i], 100000);
		}
		if (round == 1)
			break; /* nobody else may touch these pages again */
		for (size_t i = COUNT; i-- > 0;)
			free(chunks[i]);
		malloc_trim(0);
		fresh_from = round_up((uintptr_t)sbrk(0));
	}
}

static ALWAYS_INLINE void touch_mapped(void *p, size_t size)
{
	truth_region("malloc-mmap", NULL, 0);
	touch_allocation(p, size);
}

static NOINLINE void chunks_with_mappings(void)
{
	TRACED();
	size_t size = pages * PAGE / 8 + MAPPED, clear = size / 3 * 3;
	void *p;

	touch_mapped(malloc(size), size);
	touch_mapped(calloc(3, size / 3), clear);
	touch_mapped(reallocarray(NULL, 3, size / 3), clear);
	touch_mapped(memalign(1 << 16, size), size);
	if (posix_memalign(&p, 1 << 12, size) != 0)
		truth_fail("posix_memalign");
	touch_mapped(p, size);
	touch_mapped(aligned_alloc(64, size / 64 * 64), size / 64 * 64);
	touch_mapped(old_valloc(size), size);
	touch_mapped(old_pvalloc(size), round_up(size));
	p = malloc(size);
	touch_mapped(p, size);
	free(p);
	touch_mapped(malloc(size), size);
}

/* The mapping grows inside realloc, moves perhaps, and keeps what was touched. */
static NOINLINE void grown_mapping(void)
{
	TRACED();
	size_t size = MAPPED, end = pages * PAGE / 2;
	char *p = malloc(size), *q;

	touch_mapped(p, size);
	for (; size < end; size *= 2) {
		size_t used = malloc_usable_size(p);

		q = realloc(p, size * 2);
		check(q);
		truth_region("malloc-mmap|mremap|mmap", NULL, 0);
		truth_alloc(q, size * 2);
		touch_inside((uintptr_t)q + used, (uintptr_t)q + size * 2);
		truth_alloc(NULL, 0);
		p = q;
	}
}

static NOINLINE void *arena_thread(void *name)
{
	char *p;

	truth_thread(name);
	TRACED();
	truth_region("arena", NULL, 0);
	p = malloc(3000); /* makes the arena */
	check(p);
	fresh_from = round_up((uintptr_t)p + 5000);
	small_allocations(false);
	large_in_heap();
	aligned_in_heap();
	grown_in_heap();
	grown_mapping();
	return NULL;
}

int main(int argc, char **argv)
{
	static char names[2][16] = {"arena one", "arena two"};
	pthread_t threads[2];

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	mallopt(M_MMAP_THRESHOLD, (int)MAPPED);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	truth_thread("boss");
	TRACED();
	for (size_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, arena_thread, names[i]) != 0)
			truth_fail("pthread_create");
	truth_region("brk", NULL, 0);
	fresh_from = round_up((uintptr_t)sbrk(0));
	small_allocations(true);
	large_in_heap();
	aligned_in_heap();
	grown_in_heap();
	cleared_in_heap();
	chunks_with_mappings();
	grown_mapping();
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	truth_region("brk", NULL, 0);
	trimmed();
	truth_write(argv[1], "w");
	puts("heap: done");
	return 0;
}
