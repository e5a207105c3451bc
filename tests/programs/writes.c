/* SPDX-License-Identifier: MIT */
/*
 * writes: for --mode=write, the first write to each page: pages that were never touched, that were
 * read before, that went and came again, that are shared, and those of a forked child.
 *
 *   writes TRUTH PAGES
 */
#include "touch.h"

#include <sys/wait.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)

static size_t pages;

/* Reads are not told in this mode. */
static NOINLINE void read_from(volatile char *p, size_t first)
{
	for (size_t i = first; i < pages; i++)
		if (touch_read_byte(touch_place(p, i)) != 0)
			truth_fail("a fresh page is not zero");
}

/* Only the first write to a page is told. */
static NOINLINE void write_again(volatile char *p)
{
	for (size_t i = 0; i < pages; i++)
		touch_write_byte(touch_place(p, i) + 8);
}

static NOINLINE void never_touched(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, pages * PAGE);
	touch_pages(p, 0, pages, note_and_write);
	write_again(p);
}

static NOINLINE void read_before(int flags)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, flags);

	truth_region("mmap", p, pages * PAGE);
	truth_kind("write-protect");
	read_from(p, 0);
	touch_pages(p, 0, pages, note_and_write);
	write_again(p);
}

static NOINLINE void given_back(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);

	truth_region("mmap", p, pages * PAGE);
	touch_pages(p, 0, pages, note_and_write);
	if (madvise((void *)(uintptr_t)p, pages * PAGE, MADV_DONTNEED) != 0)
		truth_fail("MADV_DONTNEED");
	touch_pages(p, 0, pages / 2, note_and_write);
	truth_kind("write-protect");
	read_from(p, pages / 2);
	touch_pages(p, pages / 2, pages, note_and_write);
}

static NOINLINE void moved(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE), *to;

	to = touch_map(pages * PAGE, PROT_NONE, MAP_PRIVATE);
	read_from(p, 0);
	to = mremap((void *)(uintptr_t)p, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	    (void *)(uintptr_t)to);
	if (to == MAP_FAILED)
		truth_fail("mremap");
	truth_region("mmap", NULL, 0);
	truth_kind("write-protect");
	touch_pages(to, 0, pages, note_and_write);
}

/* What was read through the second mapping is mapped there; the rest comes with its first write. */
static NOINLINE void mapped_twice(void)
{
	TRACED();
	int fd = memfd_create("twice", MFD_CLOEXEC);
	volatile char *first, *second;

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) != 0)
		truth_fail("memfd_create");
	first = mmap(NULL, pages * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	second = mmap(NULL, pages * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (first == MAP_FAILED || second == MAP_FAILED)
		truth_fail("mmap");
	truth_region("memfd", first, pages * PAGE);
	touch_pages(first, 0, pages, note_and_write);
	for (size_t i = 0; i < pages / 2; i++)
		if (touch_read_byte(touch_place(second, i)) != 1)
			truth_fail("the mappings differ");
	truth_region("memfd", second, pages * PAGE);
	truth_kind("write-protect");
	touch_pages(second, 0, pages / 2, note_and_write);
	truth_kind("minor");
	touch_pages(second, pages / 2, pages, note_and_write);
}

static NOINLINE void from_pipe(void)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);
	char text[64] = "text";
	int fds[2];

	truth_region("mmap", p, pages * PAGE);
	truth_kind("write-protect");
	read_from(p, 0);
	if (pipe(fds) != 0)
		truth_fail("pipe");
	for (size_t i = 0; i < pages; i++) {
		volatile char *to = p + i * PAGE;

		truth_page(to, "write", "kernel", NULL);
		if (write(fds[1], text, sizeof(text)) != sizeof(text) ||
		    read(fds[0], (void *)(uintptr_t)to, sizeof(text)) != sizeof(text))
			truth_fail("read");
	}
	close(fds[0]);
	close(fds[1]);
}

/* What the parent has written, the child writes for the first time. */
static NOINLINE void in_a_child(const char *truth)
{
	TRACED();
	volatile char *p = touch_map(pages * PAGE, READ_WRITE, MAP_PRIVATE);
	pid_t child;
	int status;

	truth_region("mmap", p, pages * PAGE);
	touch_pages(p, 0, pages, note_and_write);
	truth_write(truth, "w");
	child = fork();
	if (child == 0) {
		truth_forked();
		truth_region("mmap", p, 0);
		truth_kind("write-protect");
		touch_pages(p, 0, pages, note_and_write);
		truth_write(truth, "a");
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		truth_fail("the child");
	write_again(p);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pages = strtoul(argv[2], NULL, 10);
	truth_thread("boss");
	TRACED();
	never_touched();
	read_before(MAP_PRIVATE);
	read_before(MAP_SHARED);
	given_back();
	moved();
	mapped_twice();
	from_pipe();
	in_a_child(argv[1]);
	puts("writes: done");
	return 0;
}
