/* SPDX-License-Identifier: MIT */
/*
 * mappings: first touches in every kind of mapping, by several named threads at once.
 *
 *   mappings TRUTH PAGES [hugetlb]
 *
 * PAGES is the size of each kind. With "hugetlb" it touches huge pages and nothing else.
 */
#include "touch.h"

#include <sys/ipc.h>

#define PRIVATE	   (MAP_PRIVATE)
#define READ_WRITE (PROT_READ | PROT_WRITE)
#define HUGE_PAGE  ((size_t)2 << 20)
#define BSS_PAGES  8192

static size_t pages;
static char bss[BSS_PAGES * PAGE] __attribute__((aligned(4096)));

static NOINLINE volatile char *fresh(size_t count)
{
	volatile char *p = touch_map(count * PAGE, READ_WRITE, PRIVATE);

	truth_region("mmap", p, count * PAGE);
	return p;
}

static NOINLINE void private_written(void)
{
	TRACED();
	touch_pages(fresh(pages), 0, pages, note_and_write);
}

static NOINLINE void private_read(void)
{
	TRACED();
	touch_pages(fresh(pages), 0, pages, note_and_read);
}

/* A page that is read first and written later faults once as far as the trace is concerned. */
static NOINLINE void read_then_written(void)
{
	TRACED();
	volatile char *p = fresh(pages);

	touch_pages(p, 0, pages, note_and_read);
	for (size_t i = 0; i < pages; i++)
		touch_write_byte(touch_place(p, i));
}

static NOINLINE void shared_anonymous(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_SHARED);

	truth_region("mmap", p, pages * PAGE);
	touch_mixed(p, 0, pages);
	for (size_t i = 0; i < pages; i++)
		touch_write_byte(touch_place(p, i));
}

static NOINLINE void memory_file(void)
{
	TRACED();
	int fd = memfd_create("truth", MFD_CLOEXEC);
	volatile char *p;

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) != 0)
		truth_fail("memfd_create");
	p = mmap(NULL, pages * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		truth_fail("mmap");
	close(fd);
	truth_region("memfd", p, pages * PAGE);
	touch_mixed(p, 0, pages);
	if (madvise((void *)(uintptr_t)p, pages / 2 * PAGE, MADV_REMOVE) != 0)
		truth_fail("MADV_REMOVE");
	touch_mixed(p, 0, pages / 2);
}

static NOINLINE void not_reserved(void)
{
	TRACED();
	size_t size = (size_t)1 << 30, stride = size / PAGE / pages;
	volatile char *p = touch_map(size, READ_WRITE, PRIVATE | MAP_NORESERVE);

	truth_region("mmap", p, size);
	for (size_t i = 0; i < pages; i++)
		nest((unsigned)i, note_and_write, touch_place(p, i * stride));
}

static NOINLINE void opened_later(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, PROT_NONE, PRIVATE);
	size_t step = pages / 8;

	truth_region("mmap", p, pages * PAGE);
	for (size_t i = 0; i + step <= pages; i += step) {
		if (mprotect((void *)(uintptr_t)(p + i * PAGE), step * PAGE, READ_WRITE) != 0)
			truth_fail("mprotect");
		touch_mixed(p, i, i + step);
	}
}

static NOINLINE void static_array(void)
{
	TRACED();
	size_t count = pages < BSS_PAGES ? pages : BSS_PAGES;

	truth_region("bss", NULL, 0);
	touch_mixed(bss, 0, count);
}

/* The mapping grows where nothing is free behind it, so that it moves and keeps what it has. */
static NOINLINE void grown(void)
{
	TRACED();
	size_t half = pages / 2;
	volatile char *p = fresh(half + 1), *moved;

	if (mprotect((void *)(uintptr_t)(p + half * PAGE), PAGE, PROT_NONE) != 0)
		truth_fail("mprotect");
	truth_region("mmap", p, 0);
	touch_pages(p, 0, half / 2, note_and_write);
	moved = mremap((void *)(uintptr_t)p, half * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED || moved == p)
		truth_fail("mremap did not move");
	for (size_t i = 0; i < half / 2; i++)
		if (touch_read_byte(touch_place(moved, i)) == 0)
			truth_fail("mremap lost data");
	truth_region("mmap|mremap", NULL, 0);
	touch_mixed(moved, half / 2, pages);
}

static NOINLINE void grown_at_fixed_place(void)
{
	TRACED();
	size_t half = pages / 2;
	volatile char *p = fresh(half), *target = touch_map(pages * PAGE, PROT_NONE, PRIVATE);

	touch_pages(p, 0, half / 2, note_and_read);
	p = mremap((void *)(uintptr_t)p, half * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	    (void *)(uintptr_t)target);
	if (p != target)
		truth_fail("mremap");
	truth_region("mmap|mremap", NULL, 0);
	touch_mixed(p, half / 2, pages);
}

static NOINLINE void given_back(void)
{
	TRACED();
	volatile char *p = fresh(pages);

	touch_mixed(p, 0, pages);
	if (madvise((void *)(uintptr_t)p, pages * PAGE, MADV_DONTNEED) != 0)
		truth_fail("MADV_DONTNEED");
	touch_pages(p, 0, pages / 2, note_and_write);
	touch_pages(p, pages / 2, pages, note_and_read);
}

static NOINLINE void address_used_again(void)
{
	TRACED();
	size_t half = pages / 2;
	volatile char *p = fresh(half), *again;

	touch_mixed(p, 0, half);
	if (munmap((void *)(uintptr_t)p, half * PAGE) != 0)
		truth_fail("munmap");
	again = mmap((void *)(uintptr_t)p, half * PAGE, READ_WRITE,
	    PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (again != p)
		return; /* another thread was faster: nothing to note */
	touch_pages(p, 0, half, note_and_write);
}

static NOINLINE void mapped_over(void)
{
	TRACED();
	size_t quarter = pages / 4;
	volatile char *p = fresh(pages), *inner = p + quarter * PAGE;

	touch_mixed(p, 0, pages - 8);
	if (mmap((void *)(uintptr_t)inner, quarter * PAGE, READ_WRITE,
		PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != inner)
		truth_fail("MAP_FIXED");
	truth_region("mmap", inner, quarter * PAGE);
	touch_pages(inner, 0, quarter, note_and_write);
	truth_region("mmap", NULL, 0);
	touch_pages(p, pages - 8, pages, note_and_write);
}

static NOINLINE void huge_pages(void)
{
	TRACED();
	size_t count = 4;
	volatile char *p = touch_map(count * HUGE_PAGE, READ_WRITE, PRIVATE | MAP_HUGETLB);

	truth_region("mmap", p, count * HUGE_PAGE);
	truth_self.place.page_size = HUGE_PAGE;
	for (size_t i = 0; i < count; i++)
		nest((unsigned)i, i % 2 ? note_and_read : note_and_write,
		    p + i * HUGE_PAGE + 4096 * i + 64);
}

static NOINLINE void *writer_thread(void *unused UNUSED)
{
	truth_thread("writer");
	TRACED();
	private_written();
	not_reserved();
	mapped_over();
	return NULL;
}

static NOINLINE void *reader_thread(void *unused UNUSED)
{
	truth_thread("reader");
	TRACED();
	private_read();
	read_then_written();
	opened_later();
	return NULL;
}

static NOINLINE void *sharer_thread(void *unused UNUSED)
{
	truth_thread("sharer");
	TRACED();
	shared_anonymous();
	memory_file();
	return NULL;
}

static NOINLINE void *mover_thread(void *unused UNUSED)
{
	truth_thread("mover");
	TRACED();
	grown();
	grown_at_fixed_place();
	given_back();
	address_used_again();
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const starts[])(void *) = {
	    writer_thread, reader_thread, sharer_thread, mover_thread};
	pthread_t threads[4];

	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("boss");
	TRACED();
	if (argc > 3) {
		huge_pages();
		truth_write(argv[1], "w");
		return 0;
	}
	for (size_t i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, starts[i], NULL) != 0)
			truth_fail("pthread_create");
	static_array();
	private_written();
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	truth_write(argv[1], "w");
	puts("mappings: done");
	return 0;
}
